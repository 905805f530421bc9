//! Chosen series judged window by window, for those who come from a pipeline of that kind: statistics of the last minute
//! every ten seconds, one score each, and a limit that follows the scores themselves.
//!
//! ```text
//!  store ── runner: new samples ── series: windows ── score (statistics, or a model) ── limit of scores ── run ═queue═▶ anomaly book
//! ```
//!
//! Beside the live models, which judge every sample of every series without being told to.
//!
//! Not here: the thread that ticks (see `server`), windows and scales themselves (see `analysis::prepare`), what becomes
//! of anomalies (see `alert`).

mod board;
mod limit;
#[cfg(feature = "onnx")]
mod model;
#[cfg(not(feature = "onnx"))]
#[path = "model_absent.rs"]
mod model;
mod preview;
mod runner;
mod series;

pub use board::{WindowFigures, WindowedBoard};
pub use model::{WindowModel, WindowModelError};
pub use preview::{Preview, preview};
pub use runner::{Judge, Runner, Settings};
pub use series::Normalization;
