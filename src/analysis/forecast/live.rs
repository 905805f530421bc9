//! A forecast that is kept: what was learned from a history once, brought up to date by each new sample, and asked at any
//! time without looking at the history again.
//!
//! Not here: learning (see [`ForecastEngine::learn`]), who keeps it.
//!
//! Invariants: a sample costs the same however long the history was; what is kept does not grow; a forecast of what was
//! just learned is that of the engine.

use super::back_test::Choice;
use super::combination::weighted_median;
use super::forecasters::{Fit, Past};
use super::grid::Grid;
use super::outlook::Outlook;
use super::robust::{Slope, theil_sen};
use super::sawtooth::Teeth;
use super::spread::Spread;
use super::{
    DAY_MS, Direction, Exhaustion, Forecast, ForecastEngine, ForecastError, ForecastPoint, HeldOutError, RECENT_MIN,
    Season, Threshold, TrendPerDay, back_test, capacity, saw_paths, season, sla_risk,
};
use serde::{Deserialize, Serialize};

/// The version of what [`LiveForecast`] is written down as; another one is not read but learned anew.
pub const ENCODING_VERSION: u16 = 2;
/// Share of the history after whose length in new cells it is learned anew, and the least such length.
const FRESH: usize = 8;
const FRESH_MIN: usize = 24;
/// Weight of the newest error in their running mean.
const NEWEST: f64 = 0.05;
/// A running mean of errors so many times as large as in the back-test means that the series has changed.
const CHANGED: f64 = 3.0;

/// What is remembered of a series to forecast it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LiveForecast {
    /// Without its values.
    grid: Grid,
    cells: usize,
    learned_cells: usize,
    newest: f64,
    members: Vec<(Fit, f64)>,
    method: String,
    spread: Spread,
    cycle: usize,
    slope: Slope,
    seasons: Vec<Season>,
    /// As the series is, and upside down.
    teeth: [Option<Teeth>; 2],
    held_out_error: Option<HeldOutError>,
    /// Running mean of errors one step ahead over their usual size.
    error: f64,
}

impl ForecastEngine {
    /// Learns from samples in any order; values that are not finite are left out.
    ///
    /// # Errors
    /// When fewer than two samples are usable, or a setting is out of its range.
    pub fn learn(&self, times_ms: &[i64], values: &[f64]) -> Result<LiveForecast, ForecastError> {
        if times_ms.len() != values.len() {
            return Err(ForecastError::Unpaired { times: times_ms.len(), values: values.len() });
        }
        self.check_settings()?;
        let mut grid = Grid::new(times_ms, values, self.most)?;
        let bridged = grid.bridged();
        let cells = bridged.len();
        let periods = season::periods(&bridged, grid.step_ms);
        let history =
            back_test::History { values: &grid.values, bridged: &bridged, periods: &periods, zero: grid.zero() };
        let level = self.level / 100.0;
        let Choice { members, spread, held_out_error } =
            back_test::choose(history, self.horizon, level, self.method.map(super::Method::name));
        let past = Past::new(&grid.values, &bridged, &periods, None);
        let parts = past.parts();
        // A period that none of the members has use for is no season.
        let used = members.iter().map(|(candidate, _)| candidate.periods.end).max().unwrap_or(0);
        let season = |(i, period): (usize, &usize)| Season {
            period_ms: *period as i64 * grid.step_ms,
            strength: season::strength(&parts.rest, &parts.profiles[i..=i]),
        };
        let names: Vec<String> = members.iter().map(|(candidate, _)| candidate.name()).collect();
        let fits = members.iter().filter_map(|(member, weight)| Some((member.fit(history, cells)?, *weight)));
        let upside_down: Vec<f64> = bridged.iter().map(|value| -value).collect();
        let live = LiveForecast {
            cells,
            learned_cells: cells,
            newest: bridged[cells - 1],
            members: fits.collect(),
            method: names.join(" "),
            spread,
            cycle: periods.last().copied().unwrap_or(1),
            slope: current_slope(&parts.rest, level),
            seasons: periods.iter().enumerate().take(used).map(season).collect(),
            teeth: [Teeth::find(&bridged, level), Teeth::find(&upside_down, level)],
            held_out_error,
            error: 1.0,
            grid: Grid::default(),
        };
        grid.values = Vec::new();
        Ok(LiveForecast { grid, ..live })
    }

    /// Forecasts samples in any order; values that are not finite are left out.
    ///
    /// # Errors
    /// When fewer than two samples are usable, or a setting is out of its range.
    pub fn forecast(&self, times_ms: &[i64], values: &[f64]) -> Result<Forecast, ForecastError> {
        self.learn(times_ms, values)?.forecast(self.horizon, self.threshold)
    }
}

impl LiveForecast {
    /// Takes in a sample that is newer than all before; one in the step of the last one, or earlier, changes nothing.
    pub fn observe(&mut self, time_ms: i64, value: f64) {
        let Some(ahead) = self.grid.cells_to(time_ms).filter(|_| value.is_finite()) else { return };
        for _ in 1..ahead.min(self.learned_cells) {
            self.members.iter_mut().for_each(|(fit, _)| fit.observe(f64::NAN));
        }
        let value = self.grid.scaled(value);
        let mut next: Vec<(f64, f64)> = self.members.iter().map(|(fit, weight)| (fit.path(1)[0], *weight)).collect();
        let expected = weighted_median(&mut next);
        let size = self.spread.size(1).max(1e-9);
        self.error += NEWEST * (((value - expected).abs() / size).min(100.0) - self.error);
        self.members.iter_mut().for_each(|(fit, _)| fit.observe(value));
        self.cells = self.cells.saturating_add(ahead);
        for (teeth, sign) in self.teeth.iter_mut().zip([1.0, -1.0]) {
            if let Some(teeth) = teeth {
                teeth.observe(sign * self.newest, sign * value, self.cells, ahead);
            }
        }
        self.newest = value;
        self.grid.last_ms = time_ms;
    }

    /// Whether the history should be learned anew: so much has come since, or what came was not what was expected.
    pub fn is_stale(&self) -> bool {
        let fresh = (self.learned_cells / FRESH).max(FRESH_MIN);
        self.cells - self.learned_cells > fresh || self.error > CHANGED
    }

    /// About how many bytes of memory it takes.
    pub fn bytes(&self) -> usize {
        let fits: usize = self.members.iter().map(|(fit, _)| fit.bytes()).sum();
        let teeth = self.teeth.iter().flatten().map(|teeth| 2 * size_of::<(f64, f64)>() * teeth.peaks.len());
        size_of::<Self>() + fits + self.spread.bytes() + teeth.sum::<usize>()
    }

    /// The time of the newest sample, in milliseconds since 1970.
    pub fn last_ms(&self) -> i64 {
        self.grid.last_ms
    }

    /// The distance of its steps in milliseconds.
    pub fn step_ms(&self) -> i64 {
        self.grid.step_ms
    }

    /// The newest value.
    pub fn newest(&self) -> f64 {
        self.grid.unscaled(self.newest)
    }

    /// Forecasts so many steps, and looks for a limit.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn forecast(&self, horizon: usize, threshold: Option<Threshold>) -> Result<Forecast, ForecastError> {
        ForecastEngine { horizon, threshold, ..ForecastEngine::default() }.check_settings()?;
        self.grid.time_ms(horizon)?;
        let outlook = self.outlook(horizon);
        let per_day = |per_cell: f64| self.grid.unscaled_difference(per_cell * DAY_MS / self.grid.step_ms as f64);
        let is_below = threshold.is_some_and(|threshold| threshold.direction == Direction::Below);
        let (teeth, sign) = (&self.teeth[usize::from(is_below)], if is_below { -1.0 } else { 1.0 });
        let cells = (self.cells, horizon);
        let mut forecast = Forecast {
            method: self.method.clone(),
            step_ms: self.grid.step_ms,
            points: points(&self.grid, &outlook, horizon)?,
            trend: TrendPerDay {
                slope: per_day(self.slope.per_cell),
                lower: per_day(self.slope.lower),
                upper: per_day(self.slope.upper),
            },
            seasons: self.seasons.clone(),
            days_to_exhaustion: None,
            exhaustion: None,
            sla_risk: 0.0,
            time_beyond: 0.0,
            sawtooth: teeth.as_ref().map(|teeth| self.grid.sawtooth(teeth, sign, cells)),
            held_out_error: self.held_out_error,
        };
        if let Some(threshold) = threshold {
            self.look_for(threshold, outlook, teeth.as_ref(), &mut forecast)?;
        }
        Ok(forecast)
    }

    /// The weighted median of what the members expect, and its spread.
    fn outlook(&self, horizon: usize) -> Outlook {
        let ahead = horizon.max(self.cycle);
        let paths: Vec<(Vec<f64>, f64)> = self.members.iter().map(|(fit, weight)| (fit.path(ahead), *weight)).collect();
        let median = |i: usize| {
            let mut values: Vec<(f64, f64)> = paths.iter().map(|(path, weight)| (path[i], *weight)).collect();
            weighted_median(&mut values)
        };
        let path = (0..ahead).map(median).collect();
        Outlook { path, cycle: self.cycle, spread: self.spread.clone(), horizon, slope: self.slope, sign: 1.0 }
    }

    /// Fills in what a limit brings.
    fn look_for(
        &self,
        threshold: Threshold,
        outlook: Outlook,
        teeth: Option<&Teeth>,
        forecast: &mut Forecast,
    ) -> Result<(), ForecastError> {
        let (grid, horizon, cells) = (&self.grid, forecast.points.len(), self.cells);
        let (outlook, limit, newest) = match threshold.direction {
            Direction::Above => (outlook, grid.scaled(threshold.value), self.newest),
            Direction::Below => (outlook.mirrored(), -grid.scaled(threshold.value), -self.newest),
        };
        forecast.time_beyond = sla_risk::time_beyond(&outlook, limit, horizon);
        if newest >= limit {
            let now = grid.last_ms;
            forecast.days_to_exhaustion = Some(0.0);
            let exhaustion =
                Exhaustion { earliest_ms: now, likely_ms: Some(now), latest_ms: Some(now), probability: 1.0 };
            forecast.exhaustion = Some(exhaustion);
            forecast.sla_risk = 1.0;
            return Ok(());
        }
        let (risk, found) = match teeth {
            Some(teeth) => {
                let reached = saw_paths::reached(teeth, limit, (cells, newest), horizon);
                forecast.time_beyond = reached.share;
                (reached.risk, capacity::crossings_of_peaks(teeth, limit, cells))
            }
            None => {
                let risk = sla_risk::sla_risk(&outlook, limit, horizon);
                (risk, capacity::crossings(&outlook, limit, cells, horizon))
            }
        };
        forecast.sla_risk = risk;
        // Peaks may say less than paths do; of a time that is not reached no share is spent beyond.
        forecast.time_beyond = forecast.time_beyond.min(risk);
        let Some(found) = found else { return Ok(()) };
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn value(i: i64) -> f64 {
        let turn = i as f64 / 24.0 * std::f64::consts::TAU;
        50.0 + 0.02 * i as f64 + 5.0 * turn.sin() + 0.5 * (i as f64 * 1.3).sin()
    }

    fn learned(cells: i64) -> LiveForecast {
        let times_ms: Vec<i64> = (0..cells).map(|i| i * HOUR_MS).collect();
        let values: Vec<f64> = (0..cells).map(value).collect();
        ForecastEngine { horizon: 24, ..ForecastEngine::default() }.learn(&times_ms, &values).unwrap()
    }

    #[test]
    fn what_is_brought_up_to_date_forecasts_much_as_what_is_learned_anew() {
        let mut live = learned(24 * 14);
        // Two hours are missing, and one sample comes twice.
        for i in (24 * 14..24 * 15).filter(|i| ![340, 341].contains(i)) {
            live.observe(i * HOUR_MS, value(i));
            live.observe(i * HOUR_MS, 1e6);
        }
        assert!(!live.is_stale());
        assert_eq!(live.last_ms(), (24 * 15 - 1) * HOUR_MS);
        let (kept, anew) = (live.forecast(24, None).unwrap(), learned(24 * 15).forecast(24, None).unwrap());
        for (i, (kept, anew)) in kept.points.iter().zip(&anew.points).enumerate() {
            assert_eq!(kept.time_ms, anew.time_ms);
            assert!((kept.forecast - anew.forecast).abs() < 1.0, "{i}: {kept:?} {anew:?}");
        }
    }

    #[test]
    fn it_is_stale_when_much_has_come_or_nothing_is_as_expected() {
        let mut live = learned(24 * 14);
        (0..60).for_each(|i| live.observe((24 * 14 + i) * HOUR_MS, value(24 * 14 + i)));
        assert!(live.is_stale());
        let mut live = learned(24 * 14);
        (0..12).for_each(|i| live.observe((24 * 14 + i) * HOUR_MS, 900.0));
        assert!(live.is_stale());
    }
}
