//! From a sample as it was sent to a value that can be judged: counters become rates, the step and gaps are found.
//!
//! Not here: what is usual (see `baseline`). Gaps are never filled with made-up samples: detectors that need a
//! neighbour abstain after a gap.

mod counter_unwrap;
mod resolution;
mod step;

pub(crate) use counter_unwrap::CounterUnwrap;
pub(crate) use resolution::Resolution;
pub(crate) use step::{Arrival, StepClock};
