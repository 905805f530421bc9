//! Groups of series that are judged together while they are stored: the metrics that a setting names, of each host or
//! service that a label names.
//!
//! Beside the live models, which judge every series by itself: what is odd only together is told as an anomaly of its own,
//! of a series `METRIC+METRIC{LABEL="VALUE"}` that is in no store.
//!
//! Not here: the judging (see `analysis::group`), the task that ticks (see `server`).

mod board;
mod rows;
mod runner;

pub use board::GroupBoard;
pub use runner::{GroupRunner, GroupSettings};
