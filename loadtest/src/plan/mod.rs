//! A plan says which streams of requests run at the same time, each at its own rate: the command `scenario`.
//!
//! ```text
//! plan ─┬─ remote write ─┐
//!       ├─ StatsD ───────┤
//!       ├─ JSON push ────┼──▶ one server ──▶ latencies of every stream, and the accounts of every source
//!       ├─ queries ──────┤
//!       └─ anomalies ────┘
//! ```
//!
//! `settings` is the file, `streams` the requests, `run` the whole of it. Not here: loads of a single kind (`write`,
//! `statsd`, `query`).
//!
//! Invariant: a stream never slows down for another: latencies count from when a request was due.

mod run;
mod settings;
mod streams;

pub(crate) use run::{ScenarioArgs, run};
pub(crate) use streams::{HttpStream, Pace};
