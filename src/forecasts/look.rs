//! What is expected of one series and the limit of a rule.
//!
//! Not here: whether that is worth telling (see `standing`).

use super::desk::{ForecastDesk, Made, NoForecast};
use super::rule_file::PredictiveRule;
use super::standing::Prediction;
use crate::analysis::forecast::Direction;
use crate::analysis::forecast::{Breach, ForecastEngine, Limits};
use storage::SelectedSeries;
use storage::sample::Samples;

/// Steps that a rule looks ahead, about: more say little more of when, and cost more.
const STEPS: i64 = 96;
/// Steps that clocks are set to and rollups divide, in milliseconds.
const STEPS_MS: [i64; 9] =
    [60_000, 300_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 21_600_000, 43_200_000, 86_400_000];
/// A series that is silent for so long, or as long as the rule looks ahead if that is more, is not forecast.
const SILENT_MS: i64 = 3_600_000;

/// What a look at a series came to.
#[derive(Debug)]
pub(super) enum Seen {
    /// What is expected.
    Expected(Prediction),
    /// Nothing came from it for long.
    Stale,
    /// Nothing can be said of it.
    Failed,
}

/// The step in which a rule forecasts.
pub(super) fn step_ms(within_ms: i64) -> i64 {
    STEPS_MS.into_iter().find(|step_ms| step_ms.saturating_mul(STEPS) >= within_ms).unwrap_or(STEPS_MS[8])
}

/// Looks at a series at `now_ms`.
pub(super) fn look(
    desk: &ForecastDesk,
    rule: &PredictiveRule,
    one: &SelectedSeries,
    now_ms: i64,
    samples: &mut Samples,
) -> Result<Seen, NoForecast> {
    let Some((newest_ms, newest)) = desk.store.newest(one.series)? else { return Ok(Seen::Stale) };
    if now_ms.saturating_sub(newest_ms) > rule.within_ms.max(SILENT_MS) {
        return Ok(Seen::Stale);
    }
    let step_ms = step_ms(rule.within_ms);
    // A step that has only begun is not known yet, so there may be two more to make.
    let horizon = rule.within_ms.unsigned_abs().div_ceil(step_ms.unsigned_abs()) as usize + 2;
    let engine = ForecastEngine { horizon, threshold: Some(rule.threshold), ..ForecastEngine::default() };
    let until_ms = now_ms.saturating_add(rule.within_ms);
    match desk.until(one, engine, (Some(step_ms), until_ms), samples) {
        Ok(made) => Ok(Seen::Expected(expected(rule, &made, (newest_ms, newest)))),
        Err(NoForecast::Series(_)) => Ok(Seen::Failed),
        Err(error) => Err(error),
    }
}

fn expected(rule: &PredictiveRule, made: &Made, (newest_ms, newest): (i64, f64)) -> Prediction {
    let forecast = &made.forecast;
    let limit = rule.threshold.value;
    let is_reached = match rule.threshold.direction {
        Direction::Above => newest >= limit,
        Direction::Below => newest <= limit,
    };
    let limits = match rule.threshold.direction {
        Direction::Above => Limits { upper: Some(limit), lower: None },
        Direction::Below => Limits { upper: None, lower: Some(limit) },
    };
    let last = forecast.points.last();
    let until_ms = last.map_or(newest_ms, |point| point.time_ms);
    let breach: Option<Breach> = forecast.breaches(limits).into_iter().next();
    let found = forecast.exhaustion.as_ref();
    // Peaks of a sawtooth may be expected to reach it between steps where the path itself does not.
    let likely_ms = found.and_then(|found| found.likely_ms).filter(|at_ms| *at_ms <= until_ms);
    let edge_ms = breach.map(|breach| breach.predicted_at_ms).or(found.map(|found| found.earliest_ms));
    let at_ms = if is_reached { newest_ms } else { likely_ms.or(edge_ms).unwrap_or(until_ms).min(until_ms) };
    let point = forecast.points.iter().find(|point| point.time_ms >= at_ms).or(last);
    let of = |edge: fn(&crate::analysis::forecast::ForecastPoint) -> f64| point.map_or(f64::NAN, edge);
    Prediction {
        probability: if is_reached { 1.0 } else { forecast.sla_risk },
        is_sure: is_reached || likely_ms.is_some(),
        at_ms,
        expected: of(|point| point.forecast),
        lower: of(|point| point.lower),
        upper: of(|point| point.upper),
        current: newest,
        current_ms: newest_ms,
        method: forecast.method.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_looks_ahead_in_about_a_hundred_steps_of_the_clock() {
        let (hour_ms, day_ms) = (3_600_000, 86_400_000);
        for (within_ms, expected_ms) in
            [(hour_ms, 60_000), (4 * hour_ms, 300_000), (day_ms, 900_000), (7 * day_ms, 7_200_000)]
        {
            assert_eq!(step_ms(within_ms), expected_ms);
        }
        assert_eq!(step_ms(366 * day_ms), day_ms);
    }
}
