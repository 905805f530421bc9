//! The command `snmp`: simulated devices polled by the real server, what that costs, and every stored rate beside the truth.
//!
//! ```text
//! simulator: agent (fault) ── device (true counters)        server ── run: processor time, lateness
//!     ▲ datagrams ▼                                            │
//!     └────────────────────────── server ◀── devices file      └── truth: stored rates, equal or wrong
//! ```
//!
//! Read in this order: `device`, `fault`, `agent`, `simulator`, `truth`, `run`; `exporter` is a peer asked for the same.

mod agent;
mod device;
mod exporter;
mod fault;
mod run;
mod simulator;
mod truth;

pub(crate) use run::{SnmpArgs, run};
