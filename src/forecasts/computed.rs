//! Forecasts as series of PromQL, made when a query asks for them: `yhat`, `yhat_lower` and `yhat_upper`, whose label `for`
//! names the metric. Other labels are those of its series; `level` is the percentage that the band shall hold.
//!
//! ```text
//! yhat{for="disk_used_percent", host="a"}            expected from the newest sample on, as far as the query reaches
//! yhat_upper{for="disk_used_percent", level="95"}    the band's upper edge
//! ```
//!
//! Between the steps of a forecast its values are joined by straight lines, so that a query may look at any time.
//!
//! Not here: evaluating queries (see `query`).
//!
//! Invariants: nothing is said of times that samples are known of; series that are stored under these names, as other
//! programs write them, are not hidden.

use super::desk::{ForecastDesk, Made, NoForecast};
use super::look::step_ms;
use crate::analysis::forecast::{ForecastEngine, ForecastPoint};
use crate::query::{ComputedSeries, Computes, QueryError};
use std::sync::Arc;
use storage::SelectedSeries;
use storage::label_index::{MatchOp, Matcher};
use storage::sample::Samples;
use storage::series::{self, KeyBuilder, NAME_LABEL};

const FOR_LABEL: &str = "for";
const LEVEL_LABEL: &str = "level";
/// Series that one selector may choose: each may cost some tens of milliseconds.
const SERIES_MAX: usize = 100;
const HOUR_MS: i64 = 3_600_000;
/// Spans ahead that are told apart, so that queries that reach about as far share what is kept.
const SPANS_MS: [i64; 6] = [HOUR_MS, 4 * HOUR_MS, 24 * HOUR_MS, 168 * HOUR_MS, 31 * 24 * HOUR_MS, 366 * 24 * HOUR_MS];

/// One of the numbers of a step.
type Part = fn(&ForecastPoint) -> f64;

/// What of a forecast is asked for, by the name of the series.
const NAMES: [(&str, Part); 3] =
    [("yhat", |point| point.forecast), ("yhat_lower", |point| point.lower), ("yhat_upper", |point| point.upper)];

/// The value that an equality matcher names.
fn named<'a>(matchers: &'a [Matcher], label: &str) -> Option<&'a str> {
    let is_of = |matcher: &&Matcher| matcher.name == label && matches!(matcher.op, MatchOp::Equal);
    matchers.iter().find(is_of).map(|matcher| matcher.value.as_str())
}

/// What matchers ask for.
struct Asked<'a> {
    name: &'a str,
    value: Part,
    level: Option<&'a str>,
    engine: ForecastEngine,
    /// The stored series that it is about.
    wanted: Vec<Matcher>,
}

impl<'a> Asked<'a> {
    /// None where that is no forecast.
    fn read(matchers: &'a [Matcher]) -> Result<Option<Self>, QueryError> {
        let name = named(matchers, NAME_LABEL).unwrap_or("");
        let Some((_, value)) = NAMES.iter().find(|(known, _)| *known == name) else { return Ok(None) };
        let bad = |what: &str| QueryError::BadData(format!("{name} is a forecast: {what}"));
        let level = named(matchers, LEVEL_LABEL);
        let mut engine = ForecastEngine::default();
        if let Some(text) = level {
            let level = text.parse().ok().filter(|level: &f64| *level > 0.0 && *level < 100.0);
            engine.level = level.ok_or_else(|| bad("level is a percentage more than 0 and less than 100"))?;
        }
        let is_ours = |matcher: &&Matcher| matcher.name == NAME_LABEL || matcher.name == LEVEL_LABEL && level.is_some();
        // What stands under `for` is the name of what is stored, by whatever comparison.
        let of_stored = |matcher: &Matcher| {
            let name = if matcher.name == FOR_LABEL { NAME_LABEL } else { &matcher.name };
            Matcher { name: name.to_owned(), ..matcher.clone() }
        };
        let wanted = matchers.iter().filter(|matcher| !is_ours(matcher)).map(of_stored).collect();
        Ok(Some(Self { name, value: *value, level, engine, wanted }))
    }
}

impl Computes for ForecastDesk {
    fn claims(&self, matchers: &[Matcher]) -> bool {
        let name = named(matchers, NAME_LABEL).unwrap_or("");
        NAMES.iter().any(|(known, _)| *known == name) && self.store.series_with(NAME_LABEL, name).is_empty()
    }

    fn list(&self, matchers: &[Matcher], stop: &dyn Fn() -> bool) -> Result<Vec<Arc<[u8]>>, QueryError> {
        let Some(asked) = Asked::read(matchers)? else { return Ok(Vec::new()) };
        let found = self.store.find(&asked.wanted, i64::MIN, i64::MAX, stop)?;
        Ok(found.iter().filter_map(|one| key_of(&one.key, asked.name, asked.level)).collect())
    }

    fn compute(
        &self,
        matchers: &[Matcher],
        instants: &[i64],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<ComputedSeries>, QueryError> {
        let Some(Asked { name, value, level: level_text, engine, wanted }) = Asked::read(matchers)? else {
            return Ok(Vec::new());
        };
        // All that is stored can be listed, but is too much to be forecast by accident.
        if !wanted.iter().any(|matcher| matcher.name == NAME_LABEL && !matcher.matches("")) {
            let what = "name the metric, as in for=\"disk_used_percent\"";
            return Err(QueryError::BadData(format!("{name} is a forecast: {what}")));
        }
        let found = self.store.find(&wanted, i64::MIN, i64::MAX, stop)?;
        if found.len() > SERIES_MAX {
            let what = format!("{} series are more than {SERIES_MAX} at a time; give it more matchers", found.len());
            return Err(QueryError::Execution(format!("{name} is a forecast: {what}")));
        }
        let (mut computed, mut room) = (Vec::with_capacity(found.len()), Samples::default());
        for one in &found {
            if stop() {
                return Err(QueryError::Canceled);
            }
            let samples = match self.expected(one, engine, instants, &mut room) {
                Ok(Some(made)) => values_at(&made, instants, value),
                Ok(None) | Err(NoForecast::Series(_)) => continue,
                Err(NoForecast::Store(error)) => return Err(error.into()),
            };
            computed.extend(key_of(&one.key, name, level_text).map(|key| ComputedSeries { key, samples }));
        }
        Ok(computed)
    }
}

/// A forecast and the time from which it says something.
struct Ahead {
    made: Made,
    newest: (i64, f64),
}

impl ForecastDesk {
    /// The forecast of a series up to the last of the instants; none where they are all known of.
    fn expected(
        &self,
        one: &SelectedSeries,
        engine: ForecastEngine,
        instants: &[i64],
        room: &mut Samples,
    ) -> Result<Option<Ahead>, NoForecast> {
        let newest = self.store.newest(one.series)?;
        let Some((newest, until_ms)) = newest.zip(instants.last().copied()) else { return Ok(None) };
        if until_ms <= newest.0 {
            return Ok(None);
        }
        let ahead_ms = until_ms.saturating_sub(newest.0);
        let span_ms = SPANS_MS.into_iter().find(|span_ms| *span_ms >= ahead_ms).unwrap_or(SPANS_MS[5]);
        let step_ms = step_ms(span_ms);
        let horizon = (span_ms / step_ms) as usize + 2;
        let made = self.until(one, ForecastEngine { horizon, ..engine }, (Some(step_ms), until_ms), room)?;
        Ok(Some(Ahead { made, newest }))
    }
}

/// Values at instants after the newest sample and up to the last step, on straight lines from step to step.
fn values_at(ahead: &Ahead, instants: &[i64], value: Part) -> Samples {
    let points = &ahead.made.forecast.points;
    let (newest_ms, newest) = ahead.newest;
    let mut out = Samples::default();
    let mut next = 0;
    for time_ms in instants.iter().copied().filter(|time_ms| *time_ms > newest_ms) {
        while next < points.len() && points[next].time_ms < time_ms {
            next += 1;
        }
        let Some(to) = points.get(next) else { break };
        let before = next.checked_sub(1).map(|before| (points[before].time_ms, value(&points[before])));
        // A step may have begun before the newest sample.
        let (from_ms, from) = before.filter(|(from_ms, _)| *from_ms >= newest_ms).unwrap_or((newest_ms, newest));
        let share = (time_ms - from_ms) as f64 / (to.time_ms - from_ms).max(1) as f64;
        out.push(time_ms, from + (value(to) - from) * share);
    }
    out
}

/// The key of what is expected of a series.
fn key_of(series_key: &[u8], name: &str, level: Option<&str>) -> Option<Arc<[u8]>> {
    let mut builder = KeyBuilder::default();
    for (label, value) in series::labels(series_key) {
        builder.push(if label == NAME_LABEL { FOR_LABEL } else { label }, value);
    }
    builder.push(NAME_LABEL, name);
    if let Some(level) = level {
        builder.push(LEVEL_LABEL, level);
    }
    // A series that has these labels itself cannot be told apart.
    builder.finish().ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::forecast::ForecastError;

    fn ahead() -> Result<Ahead, ForecastError> {
        let times_ms: Vec<i64> = (0..100).map(|i| i * 60_000).collect();
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let forecast = ForecastEngine { horizon: 10, ..ForecastEngine::default() }.forecast(&times_ms, &values)?;
        Ok(Ahead { made: Made { forecast, current: 99.0, current_ms: 99 * 60_000 }, newest: (99 * 60_000, 99.0) })
    }

    #[test]
    fn values_lie_on_lines_between_steps_from_the_newest_sample_to_the_last_step() {
        let ahead = ahead().unwrap();
        let instants: Vec<i64> = (95..120).flat_map(|minute| [minute * 60_000, minute * 60_000 + 30_000]).collect();
        let samples = values_at(&ahead, &instants, |point| point.forecast);
        assert_eq!(samples.times.first(), Some(&(99 * 60_000 + 30_000)));
        assert_eq!(samples.times.last(), Some(&(109 * 60_000)));
        for (time_ms, value) in samples.times.iter().zip(&samples.values) {
            assert!((value - *time_ms as f64 / 60_000.0).abs() < 1e-6, "{time_ms} {value}");
        }
        assert!(values_at(&ahead, &[0, 60_000], |point| point.forecast).is_empty());
    }

    #[test]
    fn a_series_keeps_its_labels_and_its_name_is_what_it_is_for() {
        let mut builder = KeyBuilder::default();
        [(NAME_LABEL, "disk"), ("host", "a")].into_iter().for_each(|(label, value)| builder.push(label, value));
        let key = key_of(builder.finish().unwrap(), "yhat_upper", Some("95")).unwrap();
        let labels: Vec<(&str, &str)> = series::labels(&key).collect();
        assert_eq!(labels, [(NAME_LABEL, "yhat_upper"), ("for", "disk"), ("host", "a"), ("level", "95")]);
        assert_eq!(key_of(&key, "yhat", None), None);
    }
}
