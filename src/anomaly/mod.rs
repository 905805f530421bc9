//! Anomalies as users know them: one record a run of anomalous samples of one series.
//!
//! ```text
//! shard: verdicts ─ run ═queue═▶ book ─ log (on disk)
//!                                  │
//!                                  └── records, detected ──▶ api
//! ```
//!
//! `run` is what a shard says about a run as it stands, `notice` the same of what is told beside values; `record` what is kept of it; `records` finds them; `detected`
//! counts them; `log` writes them down; `book` is the thread that does all this.
//!
//! Not here: what is anomalous (see `analysis`), pages (see `api`).

pub(crate) mod exact;
pub mod notice;
pub mod run;

mod record;

pub mod accuracy;
mod detected;
mod piece;
mod records;
pub mod tolerance;

mod log;

pub mod book;

pub use detected::{Count, Detected};
pub use record::{AnomalyId, AnomalyRecord, Confidence, ENSEMBLE, Feedback, FeedbackVerdict, NoUuid, Source};
pub use records::{Filter, Records, Stats};
