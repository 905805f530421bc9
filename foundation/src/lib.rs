//! Pre-trained forecasters: a history goes in, quantiles of what comes next come out.
//!
//! A foundation model was trained once, on many series, and has learned nothing from the one it is asked about, so it
//! answers from the first few dozen points on. Three published layouts are read from a folder of `config.json` and
//! `model.safetensors` ([`load`]): Chronos-Bolt, TimesFM 2.5 and Toto 2.0. One model of our own, in the first of these
//! layouts, is part of the program ([`embedded`]).
//!
//! ```text
//! folder ─ load ─ weights ─┐
//!                          ├─ bolt | timesfm | toto ─ Pretrained::forecast ─ Quantiles
//! history ─ prepare ───────┘        (network: linear, norm, attention)
//! ```
//!
//! The forward passes are written here on matrix products of `ndarray` instead of a tensor framework: the products are
//! nine tenths of the work, and their kernels (`matrixmultiply`) are the faster ones; see `docs/foundation.md`.
//!
//! Not here: threads, queues, budgets and what a forecast is used for; a caller brings the thread.
//!
//! Invariants: no file, however damaged, makes this crate panic; a forecast depends on the history, the horizon and the
//! weights alone, whatever else is in its batch.

mod bolt;
mod embedded;
mod load;
mod network;
mod numeric;
mod quantiles;
mod timesfm;
mod toto;
mod weights;

pub use bolt::Bolt;
pub use embedded::embedded;
pub use load::{LoadError, load};
pub use quantiles::Quantiles;
pub use timesfm::TimesFm;
pub use toto::Toto;

/// What is known of a model: who made it and how large it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Its name: that of its folder, or of the model in the program.
    pub name: String,
    /// Its layout: `chronos-bolt`, `timesfm-2.5` or `toto-2.0`.
    pub layout: &'static str,
    /// Where it came from: a folder's path, or `embedded`.
    pub source: String,
    /// Text of its licence, where the folder says.
    pub licence: Option<String>,
    /// Number of trained values.
    pub parameters: usize,
    /// The most points of a history that are used.
    pub context: usize,
    /// Steps forecast in one pass; more are made from forecasts.
    pub steps_per_pass: usize,
    /// Levels of the quantiles, ascending, each between 0 and 1.
    pub levels: Vec<f64>,
}

/// A forecaster that was trained before it met the series.
pub trait Pretrained: Send + Sync {
    /// What is known of the model.
    fn card(&self) -> &Card;

    /// The quantiles of the next `horizon` steps of each history.
    ///
    /// A history is equidistant, oldest first, in any unit; a value that is not finite is missing. The answers are in
    /// the unit of their history and in the order of `histories`. Quantiles are ascending at every step.
    ///
    /// # Errors
    /// [`ForecastError`] when a history holds no value or the horizon is out of bounds.
    fn forecast(&self, histories: &[&[f64]], horizon: usize) -> Result<Vec<Quantiles>, ForecastError>;
}

/// The most steps that may be asked for: beyond some dozen passes a forecast of forecasts says nothing.
pub const HORIZON_MAX: usize = 8_192;

/// Why there is no forecast.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForecastError {
    /// A history without a single value.
    #[error("history {index} holds no value")]
    Empty {
        /// Its place among the histories, from 0.
        index: usize,
    },
    /// No steps, or too many.
    #[error("a horizon of {horizon} steps is not between 1 and {HORIZON_MAX}")]
    Horizon {
        /// What was asked for.
        horizon: usize,
    },
}

/// Refuses what no model can answer.
fn check(histories: &[&[f64]], horizon: usize) -> Result<(), ForecastError> {
    if horizon == 0 || horizon > HORIZON_MAX {
        return Err(ForecastError::Horizon { horizon });
    }
    let empty = |history: &&[f64]| !history.iter().any(|value| value.is_finite());
    match histories.iter().position(empty) {
        Some(index) => Err(ForecastError::Empty { index }),
        None => Ok(()),
    }
}
