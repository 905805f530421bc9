//! Forecasts of what is stored: kept from one request to the next, written down with the models, and watched by rules.
//!
//! ```text
//!  store ── history ──▶ desk ◀── shelf ── state_file (on disk)
//!                        │
//!                        ├── api: forecasts, capacity, yhat in PromQL (computed)
//!                        └── runner: look ─ standing ─ telling ═▶ anomaly::book
//!                              │
//!                              └── board ──▶ api
//! ```
//!
//! Not here: how a forecast is made (see `analysis::forecast`), when rules are run (see `server`).

mod desk;
mod history;
mod shelf;
mod state_file;

mod computed;

mod board;
mod look;
mod rule_file;
mod runner;
mod standing;
mod telling;

pub use board::{RuleBoard, RuleFigures};
pub use desk::{DeskFigures, ForecastDesk, Made, NoForecast};
pub use rule_file::{PredictiveRule, RuleError, Understand, read};
pub use runner::{Allowance, Runner};
pub use standing::{Prediction, Standing};
pub use state_file::StateFileError;
pub use telling::RULE_LABEL;
