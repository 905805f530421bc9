//! Which limits a forecast breaks, as answers have it.
//!
//! Not here: how they are found (see `analysis::forecast`), the other parts of a forecast (see `reports`).

use super::shapes::Time;
use crate::analysis::forecast::{self, Forecast, Limits};
use serde::Serialize;

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
