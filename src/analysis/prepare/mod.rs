//! From samples as they were sent to what can be judged: counters become rates, the step and gaps are found; and for whole
//! series grids, scales, features, windows, and trends and seasons taken apart.
//!
//! Not here: what is usual (see `baseline`). On the live path gaps are never filled with made-up samples: detectors that
//! need a neighbour abstain after a gap.

mod counter_unwrap;
mod resolution;
mod step;

mod decompose;
mod features;
mod loess;
mod normalize;
mod resample;
mod window;

pub(crate) use counter_unwrap::counter_rate;
pub use decompose::{Decomposition, MultipleDecomposition, StlConfig, mstl};
pub use features::{FeatureEngineer, Matrix, MetricSample};
pub use normalize::{FeatureNormalizer, Scale, Scaling};
pub use resample::{Aggregate, Resampled, clip_for_training, fill, resample, usual_step_ms};
pub(crate) use resolution::Resolution;
pub(crate) use step::{Arrival, StepClock};
pub use window::{WindowAggregator, WindowConfig, WindowStats};
