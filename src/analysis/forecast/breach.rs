//! Whether a forecast crosses an upper or a lower limit, and where first.
//!
//! A limit is broken as soon as the edge of the band crosses it; that is sure where the forecast itself does.
//!
//! Not here: dates beyond the horizon (see `capacity`).

use super::{Forecast, ForecastPoint};

/// Limits to watch; 0 is a limit like any other.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    /// Values at or above it are too high.
    pub upper: Option<f64>,
    /// Values at or below it are too low.
    pub lower: Option<f64>,
}

/// Which limit is crossed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The upper one.
    Upper,
    /// The lower one.
    Lower,
}

impl Side {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Upper => "upper_threshold_predicted",
            Self::Lower => "lower_threshold_predicted",
        }
    }
}

/// The first crossing of a limit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Breach {
    /// Which limit.
    pub side: Side,
    /// Its value.
    pub threshold: f64,
    /// What is expected there.
    pub predicted_value: f64,
    /// When, in milliseconds since 1970.
    pub predicted_at_ms: i64,
    /// Whether the forecast itself crosses it there, not only the edge of its band.
    pub is_sure: bool,
}

impl Breach {
    /// How sure it is, in one word.
    pub fn confidence(&self) -> &'static str {
        if self.is_sure { "high" } else { "medium" }
    }
}

impl Forecast {
    /// The first crossing of each limit within the horizon, the earlier first.
    pub fn breaches(&self, limits: Limits) -> Vec<Breach> {
        let first = |side: Side, threshold: f64, edge: fn(&ForecastPoint) -> f64| {
            let over = |value: f64| if side == Side::Upper { value >= threshold } else { value <= threshold };
            self.points.iter().find(|point| over(edge(point))).map(|point| Breach {
                side,
                threshold,
                predicted_value: point.forecast,
                predicted_at_ms: point.time_ms,
                is_sure: over(point.forecast),
            })
        };
        let upper = limits.upper.and_then(|limit| first(Side::Upper, limit, |point| point.upper));
        let lower = limits.lower.and_then(|limit| first(Side::Lower, limit, |point| point.lower));
        let mut found: Vec<Breach> = upper.into_iter().chain(lower).collect();
        found.sort_by_key(|breach| breach.predicted_at_ms);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ForecastEngine, ForecastError};
    use super::*;

    /// A line of one a minute through zero at `cross`, seen for 60 minutes.
    fn line(cross: f64) -> Result<Forecast, ForecastError> {
        let times_ms: Vec<i64> = (0..60).map(|minute| minute * 60_000).collect();
        let values: Vec<f64> = (0..60).map(|minute| f64::from(minute) - cross).collect();
        ForecastEngine { horizon: 30, ..ForecastEngine::default() }.forecast(&times_ms, &values)
    }

    #[test]
    fn a_limit_of_zero_is_a_limit_and_the_first_crossing_is_given() {
        let limits = Limits { upper: Some(0.0), lower: None };
        let found = line(69.5).unwrap().breaches(limits);
        let [breach] = found[..] else { panic!("{found:?}") };
        assert_eq!((breach.side, breach.threshold, breach.confidence()), (Side::Upper, 0.0, "high"));
        assert_eq!(breach.predicted_at_ms, 70 * 60_000);
        assert!((breach.predicted_value - 0.5).abs() < 1e-6);
        assert!(line(200.0).unwrap().breaches(limits).is_empty());
    }

    #[test]
    fn the_edge_of_the_band_is_enough_but_not_sure() {
        let point = |ahead: i64, forecast: f64| ForecastPoint {
            time_ms: ahead,
            forecast,
            lower: forecast - 2.0,
            upper: forecast + 2.0,
        };
        let mut forecast = line(0.0).unwrap();
        forecast.points = vec![point(1, 5.0), point(2, 6.5), point(3, 2.0)];
        let found = forecast.breaches(Limits { upper: Some(8.0), lower: Some(0.0) });
        let told: Vec<_> = found.iter().map(|b| (b.side.as_str(), b.predicted_at_ms, b.confidence())).collect();
        let (upper, lower) = ("upper_threshold_predicted", "lower_threshold_predicted");
        assert_eq!(told, [(upper, 2, "medium"), (lower, 3, "medium")]);
    }
}
