//! Monitors: conditions on what an expression did over a while, of the kinds that Datadog has.
//!
//! ```text
//! file ── Monitor ── MonitorRunner: values of the expression ─ judge ─ standing ─┬─ Signal ──▶ the book of alerts
//!                                     (bands, peers, forecast)                   └─ MonitorView ─▶ keeper ── api
//! ```
//!
//! - `anomaly`: which share of the points of a window lies outside of a band, and on which side;
//! - `outlier`: which member of a group stands apart from the others;
//! - `forecast`: which series reaches a limit within a horizon.
//!
//! Beside the live models, which judge every stored series without being told to: for those who bring monitors along, and for
//! expressions over many series.
//!
//! Not here: the thread that ticks (see `server`), what becomes of an alert (see `alert`).
//!
//! Invariant: what a monitor says depends on the values of its expression, the time it is asked for and where it stood alone.

mod bands;
mod file;
mod judge;
mod keeper;
mod message;
mod monitor;
mod runner;

pub use judge::Standing;
pub use keeper::{MonitorFiles, MonitorKeeper, MonitorView, SeriesView, load};
pub use monitor::{Algorithm, Limits, Monitor, MonitorKind, PeerMethod};
pub use runner::{Means, MonitorRunner, Values};

#[cfg(test)]
mod tests;
