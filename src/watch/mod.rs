//! Expressions that are evaluated again and again, each judged by the detector that was asked for, and scraped like any
//! other metric: what the documents call an anomaly exporter.
//!
//! Beside the live models, which judge every stored series without being told to: for sums, rates and quantiles of many.
//!
//! Not here: the thread that ticks (see `server`), the page (see `api::metrics_page`).

mod board;
mod file;
mod runner;

pub use board::{WatchBoard, Watched};
pub use file::{WatchedDetector, WatchedMetric, read};
pub use runner::Runner;
