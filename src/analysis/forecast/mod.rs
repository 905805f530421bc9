//! Forecasts: what a series will do next, within which band, and when it reaches a limit.
//!
//! Samples are put on a `grid`; `season` finds the periods it repeats in; `forecasters` continue it, each in its own way;
//! `back_test` tries them on the past, `combination` makes one forecast of the best, and their errors are the `spread`;
//! `outlook` carries the path beyond the horizon, where `capacity` and `sla_risk` look for a limit. `live` keeps
//! what was learned; `measures` says how good forecasts were.
//!
//! Not here: reading, clocks, threads. The same samples always give the same forecast.
//!
//! Invariants: every number is finite; lower <= forecast <= upper; samples that were never negative are not forecast to
//! be, and others may be; a forecast of scaled samples is the scaled forecast.
//!
//! Cost: about 130 milliseconds for 1000 samples, choice and back-test included (`benches/forecast.rs`).

mod grid;
mod season;

mod forecasters;
mod spread;

mod back_test;
mod combination;
mod outlook;

mod breach;
mod capacity;
mod saw_paths;
mod sawtooth;
mod sla_risk;

mod live;
pub mod measures;

#[cfg(test)]
mod tests;

pub use breach::{Breach, Limits, Side};
pub use capacity::{Direction, Exhaustion, Threshold};
pub use live::{ENCODING_VERSION, LiveForecast};
pub use sawtooth::{Envelope, Reset, Sawtooth};

use super::robust;
use serde::{Deserialize, Serialize};

const DAY_MS: f64 = 86_400_000.0;
/// Steps ahead that can be asked for: more than eleven years of hours.
pub const HORIZON_MAX: usize = 100_000;
/// Newer half whose slope replaces that of the whole when it clearly differs, if it has this many cells.
const RECENT_MIN: usize = 24;

/// What to forecast.
///
/// ```
/// use infrawatch::analysis::forecast::{ForecastEngine, Threshold};
///
/// // A disk that fills by 1 % a day, seen every hour for a week, now at 60 %.
/// let times_ms: Vec<i64> = (0..=168).map(|hour| 1_700_000_000_000 + hour * 3_600_000).collect();
/// let values: Vec<f64> = (0..=168).map(|hour| 53.0 + f64::from(hour) / 24.0).collect();
/// let limit = Threshold { value: 95.0, direction: Default::default() };
/// let engine = ForecastEngine { horizon: 168, threshold: Some(limit), ..ForecastEngine::default() };
/// let forecast = engine.forecast(&times_ms, &values)?;
/// assert_eq!(forecast.points.len(), 168);
/// assert!((forecast.days_to_exhaustion.unwrap() - 35.0).abs() < 1.0);
/// # Ok::<(), infrawatch::analysis::forecast::ForecastError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastEngine {
    /// Steps ahead, 1 to [`HORIZON_MAX`]; a step is the usual distance of the samples.
    pub horizon: usize,
    /// Percentage of values that the band shall hold, more than 0 and less than 100.
    pub level: f64,
    /// The limit to watch.
    pub threshold: Option<Threshold>,
    /// The one forecaster to use; none to combine the best.
    pub method: Option<Method>,
    /// The most a value can be, such as 100 for a percentage; ignored where a sample is more.
    pub most: Option<f64>,
}

/// The most that a metric of this name or unit can be: 100 of a percentage, 1 of a ratio; none where that is unknown.
pub fn most_of(name: &str, unit: Option<&str>) -> Option<f64> {
    let is_percent = unit == Some("%") || ["_percent", "_pct", "_percentage"].iter().any(|end| name.ends_with(end));
    match (is_percent, name.ends_with("_ratio")) {
        (true, _) => Some(100.0),
        (false, true) => Some(1.0),
        (false, false) => None,
    }
}

/// A forecaster by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(&'static str);

impl Method {
    /// A straight line through the newest hundred values with a band of two standard deviations of them, whatever the
    /// level: what the documents' predictive alerts fall back to, and what a method that cannot be fitted falls back to here.
    pub const LINEAR_TREND: Self = Self("linear_trend");

    /// The one of that name; `prophet` is `piecewise`, which is made in its manner.
    pub fn named(name: &str) -> Option<Self> {
        let name = if name == "prophet" { "piecewise" } else { name };
        Self::all().chain([Self::LINEAR_TREND]).find(|method| method.0 == name)
    }

    /// Every one that the combination chooses from, simplest first.
    pub fn all() -> impl Iterator<Item = Self> {
        forecasters::ALL.into_iter().map(|forecaster| Self(forecaster.name()))
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl Default for ForecastEngine {
    /// A week of hours, a band of 80 %, no limit.
    fn default() -> Self {
        Self { horizon: 168, level: 80.0, threshold: None, method: None, most: None }
    }
}

/// Why there is no forecast.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum ForecastError {
    /// There is nothing to learn from.
    #[error("a forecast needs at least 2 finite values at different times, found {usable}")]
    TooShort {
        /// Finite values that were found.
        usable: usize,
    },
    /// Times and values are not pairs.
    #[error("{times} times do not go with {values} values")]
    Unpaired {
        /// How many times.
        times: usize,
        /// How many values.
        values: usize,
    },
    /// The horizon is none or too far.
    #[error("horizon {0} is not between 1 and {HORIZON_MAX} steps")]
    Horizon(usize),
    /// The level is no percentage that a band can have.
    #[error("level {0} is not more than 0 and less than 100 percent")]
    Level(f64),
    /// The limit is not a number.
    #[error("the capacity threshold {0} is not finite")]
    Threshold(f64),
    /// The horizon lies beyond what 64-bit milliseconds can say.
    #[error("the horizon reaches beyond the end of time")]
    EndOfTime,
}

/// One step of a forecast; values in the unit of the samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForecastPoint {
    /// Milliseconds since 1970.
    pub time_ms: i64,
    /// What is expected.
    pub forecast: f64,
    /// The band's lower edge.
    pub lower: f64,
    /// The band's upper edge.
    pub upper: f64,
}

/// The slope of the samples without their season, in their unit a day, with its interval at the level of the band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrendPerDay {
    /// The most likely slope.
    pub slope: f64,
    /// The interval's lower edge.
    pub lower: f64,
    /// The interval's upper edge.
    pub upper: f64,
}

/// A period that was found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Season {
    /// Milliseconds.
    pub period_ms: i64,
    /// Share, 0 to 1, of the variation around the trend that it explains.
    pub strength: f64,
}

/// How good forecasts of parts of the past were that had been held out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HeldOutError {
    /// Mean absolute error over that of repeating the last cycle (Hyndman and Koehler 2006); less than 1 is better.
    pub mase: f64,
    /// Share, 0 to 1, of actual values within the band; none where too little could be held out.
    pub coverage: Option<f64>,
}

/// What a series will do.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// Names of the forecasters whose weighted mean it is, best first, with the number of seasons each goes with:
    /// `robust_linear+1`, `theta`.
    pub method: String,
    /// Distance of the points in milliseconds.
    pub step_ms: i64,
    /// One for each step of the horizon.
    pub points: Vec<ForecastPoint>,
    /// Slope a day.
    pub trend: TrendPerDay,
    /// Periods, shortest first.
    pub seasons: Vec<Season>,
    /// Days until the forecast reaches the limit: 0 when the newest value has; none when it does not.
    pub days_to_exhaustion: Option<f64>,
    /// When the limit is reached; none when not even the band's edge reaches it.
    pub exhaustion: Option<Exhaustion>,
    /// Probability, 0 to 1, that the limit is reached within the horizon; 0 without a limit.
    pub sla_risk: f64,
    /// Share, 0 to 1, of the horizon that the series is expected to spend at or beyond the limit; 0 without one.
    pub time_beyond: f64,
    /// How it rises and is set back, where it does; seen upside down for a limit below.
    pub sawtooth: Option<Sawtooth>,
    /// None for a series too short to hold anything out.
    pub held_out_error: Option<HeldOutError>,
}

impl ForecastEngine {
    /// Whether the settings are in their ranges.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_settings(&self) -> Result<(), ForecastError> {
        if !(1..=HORIZON_MAX).contains(&self.horizon) {
            return Err(ForecastError::Horizon(self.horizon));
        }
        if !(self.level > 0.0 && self.level < 100.0) {
            return Err(ForecastError::Level(self.level));
        }
        match self.threshold {
            Some(threshold) if !threshold.value.is_finite() => Err(ForecastError::Threshold(threshold.value)),
            _ => Ok(()),
        }
    }
}
