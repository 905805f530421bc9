//! Chosen series judged window by window, for those who come from a pipeline of that kind: statistics of the last minute
//! every ten seconds, one score each, and a limit that follows the scores themselves.
//!
//! ```text
//!  store ── runner: new samples ── series: windows ── score ── limit of the last scores ── run ═queue═▶ anomaly book
//! ```
//!
//! Beside the live models, which judge every sample of every series without being told to.
//!
//! Not here: the thread that ticks (see `server`), windows and scales themselves (see `analysis::prepare`), what becomes
//! of anomalies (see `alert`).

mod board;
mod limit;
mod preview;
mod runner;
mod series;

pub use board::{WindowFigures, WindowedBoard};
pub use preview::{Preview, preview};
pub use runner::{Runner, Settings};
pub use series::Normalization;
