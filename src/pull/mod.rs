//! The pull service: models trained on request on the answer of a PromQL expression, and asked about its newest values.
//!
//! ```text
//!  POST /train ── source: a range of the expression ── trained: forest or networks, limit ── shelf: memory and disk
//!  GET /predict ── source: the last minutes ── shelf: the model by its name ── trained: a score for every value
//!  every few minutes ── predict: every model on its own expression ── gauges; trained again where values have drifted
//! ```
//!
//! Beside the live models, which need none of this, for those who come from a service of that kind.
//!
//! Not here: HTTP (see `api::rest`), the forest and its features (see `analysis`).

mod gauges;
mod predict;
mod retrain;
mod shelf;
mod source;
mod trained;

pub use gauges::{Judged, PullGauges, SweepCounts, short_name};
pub use predict::{POINTS_MAX, Predicted, Swept, predict, sweep};
pub use retrain::{Retrained, is_due, retrain};
pub use shelf::{ModelShelf, ShelfError};
pub use source::{Answered, Source, SourceError};
pub use trained::{
    ModelKind, POINTS_MIN, SAMPLES_MIN, Scored, TrainedModel, TrainedNetwork, Training, TrainingError, TrainingSeries,
};
