//! Parts of a forecast as reports and answers have them: when a limit is reached, how fast, and how a series is set back.
//!
//! Not here: how any of it is found (see `analysis::forecast`).

use crate::alert::Time;
use crate::analysis::forecast::{self, TrendPerDay};
use serde::Serialize;

/// When a limit is reached.
#[derive(Debug, Serialize)]
pub struct Exhaustion {
    earliest: Time,
    likely: Option<Time>,
    latest: Option<Time>,
    probability: f64,
}

impl Exhaustion {
    /// Of what was found.
    pub fn of(found: forecast::Exhaustion) -> Self {
        Self {
            earliest: Time(found.earliest_ms),
            likely: found.likely_ms.map(Time),
            latest: found.latest_ms.map(Time),
            probability: found.probability,
        }
    }
}

/// A slope a day with its interval.
#[derive(Debug, Serialize)]
pub struct Trend {
    slope: f64,
    lower: f64,
    upper: f64,
}

impl Trend {
    /// Of what was found.
    pub fn of(trend: TrendPerDay) -> Self {
        Self { slope: trend.slope, lower: trend.lower, upper: trend.upper }
    }
}

/// How a series rises and is set back.
#[derive(Debug, Serialize)]
pub struct Sawtooth {
    resets: usize,
    cycle_s: f64,
    /// What sets it back: `scheduled`, `at_level`, `after_rise` or `irregular`.
    reset_by: &'static str,
    /// The level or the rise, where that is what sets it back.
    reset_value: Option<f64>,
    floor: f64,
    peak: f64,
    floor_per_day: Trend,
    peak_per_day: Trend,
    is_leak: bool,
    /// The lines of floors and peaks, at the first reset and at the end of the horizon.
    envelope: [Envelope; 2],
}

#[derive(Debug, Serialize)]
struct Envelope {
    timestamp: Time,
    floor: f64,
    peak: f64,
}

impl Envelope {
    fn of(edge: forecast::Envelope) -> Self {
        Self { timestamp: Time(edge.time_ms), floor: edge.floor, peak: edge.peak }
    }
}

impl Sawtooth {
    /// Of what was found.
    pub fn of(saw: &forecast::Sawtooth) -> Self {
        Self {
            resets: saw.resets,
            cycle_s: saw.cycle_ms as f64 / 1000.0,
            reset_by: saw.reset.as_str(),
            reset_value: saw.reset.value(),
            floor: saw.floor,
            peak: saw.peak,
            floor_per_day: Trend::of(saw.floor_per_day),
            peak_per_day: Trend::of(saw.peak_per_day),
            is_leak: saw.is_leak(),
            envelope: saw.envelope.map(Envelope::of),
        }
    }
}
