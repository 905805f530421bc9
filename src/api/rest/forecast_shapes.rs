//! The parts of a forecast as answers have them: when a limit is reached, how a series is set back, which limits it breaks.
//!
//! Not here: how any of it is found (see `analysis::forecast`).

use super::shapes::Time;
use crate::analysis::forecast::{self, Forecast, Limits, TrendPerDay};
use serde::Serialize;

/// When a limit is reached.
#[derive(Debug, Serialize)]
pub(super) struct Exhaustion {
    earliest: Time,
    likely: Option<Time>,
    latest: Option<Time>,
    probability: f64,
}

impl Exhaustion {
    pub(super) fn of(found: forecast::Exhaustion) -> Self {
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
pub(super) struct Trend {
    slope: f64,
    lower: f64,
    upper: f64,
}

impl Trend {
    pub(super) fn of(trend: TrendPerDay) -> Self {
        Self { slope: trend.slope, lower: trend.lower, upper: trend.upper }
    }
}

/// How a series rises and is set back.
#[derive(Debug, Serialize)]
pub(super) struct Sawtooth {
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
    pub(super) fn of(saw: &forecast::Sawtooth) -> Self {
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

/// Which limits are broken within the horizon, and where first.
#[derive(Debug, Serialize)]
pub(super) struct Breaches {
    will_breach: bool,
    breach_time: Option<Time>,
    alerts: Vec<Breach>,
    forecast: Path,
}

#[derive(Debug, Serialize)]
struct Breach {
    #[serde(rename = "type")]
    side: &'static str,
    threshold: f64,
    predicted_value: f64,
    predicted_at: Time,
    confidence: &'static str,
}

/// The forecast itself.
#[derive(Debug, Serialize)]
struct Path {
    timestamps: Vec<Time>,
    predicted_values: Vec<f64>,
    lower_bound: Vec<f64>,
    upper_bound: Vec<f64>,
    method: String,
}

impl Breaches {
    pub(super) fn of(made: &Forecast, limits: Limits) -> Self {
        let found = made.breaches(limits);
        let breach = |found: &forecast::Breach| Breach {
            side: found.side.as_str(),
            threshold: found.threshold,
            predicted_value: found.predicted_value,
            predicted_at: Time(found.predicted_at_ms),
            confidence: found.confidence(),
        };
        Self {
            will_breach: !found.is_empty(),
            breach_time: found.first().map(|first| Time(first.predicted_at_ms)),
            alerts: found.iter().map(breach).collect(),
            forecast: Path {
                timestamps: made.points.iter().map(|point| Time(point.time_ms)).collect(),
                predicted_values: made.points.iter().map(|point| point.forecast).collect(),
                lower_bound: made.points.iter().map(|point| point.lower).collect(),
                upper_bound: made.points.iter().map(|point| point.upper).collect(),
                method: made.method.clone(),
            },
        }
    }
}
