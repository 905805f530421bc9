//! What trend and season leave, by STL, judged by the modified z-score: finds what is unusual for its time of day although
//! it is no extreme value.
//!
//! Not here: the decomposition (see `prepare::decompose`), finding the season (see `seasonality`).
//!
//! Invariant: a series without a season is not judged.

use super::super::prepare::{Aggregate, Resampled, StlConfig, resample};
use super::super::seasonality;
use super::mad::{Centre, THRESHOLD};
use super::{Detector, Floor, Judgement, Options, Samples};

/// Modified z-score of the residual of a robust STL with a periodic season.
#[derive(Debug, Clone)]
pub struct StlResidual {
    threshold: f64,
    season_ms: Option<i64>,
    floor: Floor,
}

impl StlResidual {
    /// With threshold and season of the options, or 3.5 and the strongest season that is found.
    pub fn new(options: &Options) -> Self {
        Self {
            threshold: options.threshold.unwrap_or(THRESHOLD),
            season_ms: options.season_ms,
            floor: Floor::new(options),
        }
    }
}

impl Detector for StlResidual {
    fn method(&self) -> &'static str {
        "stl"
    }

    fn detect(&mut self, samples: Samples<'_>) -> Vec<Judgement> {
        let silent = || vec![Judgement::ABSTAINS; samples.values.len()];
        let Some(Resampled { start_ms, step_ms, values, .. }) = resample(samples, None, Aggregate::Mean, usize::MAX)
        else {
            return silent();
        };
        let found = || {
            let seasons = seasonality::find(samples.times_ms, samples.values);
            seasons.into_iter().max_by(|a, b| a.strength.total_cmp(&b.strength)).map(|season| season.period_ms)
        };
        let Some(season_ms) = self.season_ms.or_else(found) else { return silent() };
        let period = (season_ms as f64 / step_ms as f64).round() as usize;
        let Some(parts) = StlConfig::periodic(period).decompose(&values) else { return silent() };
        let usual: Vec<f64> = parts.trend.iter().zip(&parts.seasonal).map(|(trend, season)| trend + season).collect();
        let cell = |time_ms: i64| {
            let at = (time_ms.saturating_sub(start_ms)).max(0) / step_ms;
            (at as usize).min(usual.len() - 1)
        };
        let rest: Vec<f64> = samples.iter().map(|(time_ms, value)| value - usual[cell(time_ms)]).collect();
        let Centre { median, spread } = Centre::of(&rest);
        let deviation_min = self.floor.of_all(samples.values);
        let reach = self.threshold * spread;
        let judge = |((time_ms, value), rest): ((i64, f64), &f64)| {
            let expected = usual[cell(time_ms)] + median;
            let score = if spread > 0.0 { (rest - median).abs() / spread } else { 0.0 };
            Judgement::of_band(value, score, [expected, expected - reach, expected + reach], deviation_min)
        };
        samples.iter().zip(&rest).map(judge).collect()
    }
}
