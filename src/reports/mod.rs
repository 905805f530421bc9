//! Reports that the server makes by itself, on a schedule: on capacity, which series reach their limit and when.
//!
//! ```text
//!  schedule ─ due ─▶ making: a series at a time ─ document ─▶ shelf (on disk) ─▶ api
//!                         ▲                                       │
//!      forecasts: desk ───┘                                       └─ reporter ─▶ receivers (handed in by the server)
//! ```
//!
//! Not here: how a forecast is made (see `analysis::forecast`), who is told and how (see `alert`), when turns are (see
//! `server`).

mod capacity;
mod shapes;

mod making;

mod board;
mod shelf;
mod state_file;

mod reporter;

#[cfg(test)]
mod tests;

pub use board::{ReportBoard, ReportFigures};
pub use capacity::{CapacityLine, Limited, limited, of_rules};
pub use making::Summary;
pub use reporter::{Plan, Reporter};
pub use shapes::{Exhaustion, Sawtooth, Trend};
