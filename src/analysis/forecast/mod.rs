//! Forecasts: what a series will do next, within which band, and when it reaches a limit.
//!
//! Samples are put on a `grid`; `season` finds the periods it repeats in; `forecasters` continue it, each in its own way;
//! `back_test` tries them on the past, `combination` makes one forecast of the best, and their errors are the `spread`;
//! `outlook` carries the path beyond the horizon, where `capacity` and `sla_risk` look for a limit. `measures` says how good
//! forecasts were.
//!
//! Not here: reading, clocks, threads. The same samples always give the same forecast.
//!
//! Invariants: every number is finite; lower <= forecast <= upper; samples that were never negative are not forecast to
//! be, and others may be; a forecast of scaled samples is the scaled forecast.
//!
//! Cost: some tens of milliseconds for 1000 samples, choice and back-test included (`benches/forecast.rs`).

mod grid;
mod season;

mod forecasters;
mod spread;

mod back_test;
mod combination;
mod outlook;

mod capacity;
mod sla_risk;

pub mod measures;

#[cfg(test)]
mod tests;

pub use capacity::{Direction, Exhaustion, Threshold};

use super::robust::{self, Slope, theil_sen};
use back_test::{Choice, History};
use forecasters::Past;
use grid::Grid;
use outlook::Outlook;

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
}

/// A forecaster by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method(&'static str);

impl Method {
    /// The one of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|method| method.0 == name)
    }

    /// Every one, simplest first.
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
        Self { horizon: 168, level: 80.0, threshold: None, method: None }
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Season {
    /// Milliseconds.
    pub period_ms: i64,
    /// Share, 0 to 1, of the variation around the trend that it explains.
    pub strength: f64,
}

/// How good forecasts of parts of the past were that had been held out.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// None for a series too short to hold anything out.
    pub held_out_error: Option<HeldOutError>,
}

impl ForecastEngine {
    /// Forecasts samples in any order; values that are not finite are left out.
    ///
    /// # Errors
    /// When fewer than two samples are usable, or a setting is out of its range.
    pub fn forecast(&self, times_ms: &[i64], values: &[f64]) -> Result<Forecast, ForecastError> {
        if times_ms.len() != values.len() {
            return Err(ForecastError::Unpaired { times: times_ms.len(), values: values.len() });
        }
        self.check_settings()?;
        let grid = Grid::new(times_ms, values)?;
        grid.time_ms(self.horizon)?;
        let bridged = grid.bridged();
        let periods = season::periods(&bridged, grid.step_ms);
        let history = History { values: &grid.values, bridged: &bridged, periods: &periods, zero: grid.zero() };
        let Choice { members, spread, held_out_error } =
            back_test::choose(history, self.horizon, self.level / 100.0, self.method.map(Method::name));
        let cycle = periods.last().copied().unwrap_or(1);
        let path = combined(history, &members, self.horizon.max(cycle));
        let past = Past::new(&grid.values, &bridged, &periods, None);
        let parts = past.parts();
        let slope = current_slope(&parts.rest, self.level / 100.0);
        // A period that none of the members has use for is no season.
        let used = members.iter().map(|(candidate, _)| candidate.periods.end).max().unwrap_or(0);
        let method = members.iter().map(|(candidate, _)| candidate.name());
        let per_day = |per_cell: f64| grid.unscaled_difference(per_cell * DAY_MS / grid.step_ms as f64);
        let season = |(i, period): (usize, &usize)| Season {
            period_ms: *period as i64 * grid.step_ms,
            strength: season::strength(&parts.rest, &parts.profiles[i..=i]),
        };
        let outlook = Outlook { path, cycle, spread, horizon: self.horizon, slope, sign: 1.0 };
        let mut forecast = Forecast {
            method: method.collect::<Vec<_>>().join(" "),
            step_ms: grid.step_ms,
            points: points(&grid, &outlook, self.horizon)?,
            trend: TrendPerDay {
                slope: per_day(slope.per_cell),
                lower: per_day(slope.lower),
                upper: per_day(slope.upper),
            },
            seasons: periods.iter().enumerate().filter(|(i, _)| *i < used).map(season).collect(),
            days_to_exhaustion: None,
            exhaustion: None,
            sla_risk: 0.0,
            held_out_error,
        };
        if let Some(threshold) = self.threshold {
            self.look_for(threshold, &grid, outlook, &mut forecast)?;
        }
        Ok(forecast)
    }

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

    /// Fills in what a limit brings.
    fn look_for(
        &self,
        threshold: Threshold,
        grid: &Grid,
        outlook: Outlook,
        forecast: &mut Forecast,
    ) -> Result<(), ForecastError> {
        let newest = grid.values[grid.values.len() - 1];
        let (outlook, limit, newest) = match threshold.direction {
            Direction::Above => (outlook, grid.scaled(threshold.value), newest),
            Direction::Below => (outlook.mirrored(), -grid.scaled(threshold.value), -newest),
        };
        forecast.sla_risk = sla_risk::sla_risk(&outlook, limit, self.horizon);
        if newest >= limit {
            let now = grid.last_ms;
            forecast.days_to_exhaustion = Some(0.0);
            let exhaustion =
                Exhaustion { earliest_ms: now, likely_ms: Some(now), latest_ms: Some(now), probability: 1.0 };
            forecast.exhaustion = Some(exhaustion);
            return Ok(());
        }
        let Some(found) = capacity::crossings(&outlook, limit, grid.values.len(), self.horizon) else { return Ok(()) };
        forecast.days_to_exhaustion = found.likely.map(|ahead| ahead as f64 * grid.step_ms as f64 / DAY_MS);
        forecast.exhaustion = Some(Exhaustion {
            earliest_ms: grid.time_ms(found.earliest)?,
            likely_ms: found.likely.and_then(|ahead| grid.time_ms(ahead).ok()),
            latest_ms: found.latest.and_then(|ahead| grid.time_ms(ahead).ok()),
            probability: found.probability,
        });
        Ok(())
    }
}

/// The weighted mean of what the members expect in the next cells.
fn combined(history: History<'_>, members: &[(back_test::Candidate, f64)], horizon: usize) -> Vec<f64> {
    let fits = members.iter().filter_map(|(member, weight)| Some((member.fit(history, history.values.len())?, weight)));
    let (mut path, mut whole) = (vec![0.0; horizon], 0.0);
    for (fit, weight) in fits {
        path.iter_mut().zip(fit.path(horizon)).for_each(|(sum, value)| *sum += weight * value);
        whole += weight;
    }
    path.iter_mut().for_each(|value| *value /= whole);
    path
}

fn points(grid: &Grid, outlook: &Outlook, horizon: usize) -> Result<Vec<ForecastPoint>, ForecastError> {
    let point = |ahead: usize| {
        let (value, (low, high)) = (outlook.at(ahead), outlook.band(ahead));
        Ok(ForecastPoint {
            time_ms: grid.time_ms(ahead)?,
            forecast: grid.unscaled(value),
            lower: grid.unscaled(value + low),
            upper: grid.unscaled(value + high),
        })
    };
    (1..=horizon).map(point).collect()
}

/// The slope of the whole, or of its newer half where that clearly goes another way.
fn current_slope(rest: &[f64], level: f64) -> Slope {
    let whole = theil_sen(rest, level);
    let recent = &rest[rest.len() / 2..];
    if recent.len() < RECENT_MIN {
        return whole;
    }
    let recent = theil_sen(recent, level);
    if (recent.lower..=recent.upper).contains(&whole.per_cell) { whole } else { recent }
}
