//! What a series is like, and which detectors suit it: told from its samples alone.
//!
//! | series | detectors |
//! |---|---|
//! | repeats in a day or week | `seasonal` |
//! | repeats in anything else | `stl` |
//! | moves slowly or has a trend | `ema`, `cusum` |
//! | dense, no season | `rolling_zscore` |
//! | heavy tails | `mad` |
//! | sparse: mostly zeros, or more gaps than samples | `isolation_forest`, `silence` |
//! | hardly ever moves | `static`, `flat_line` |
//! | lies away from zero | `drop_to_zero` |
//!
//! Always the ensemble is advised first: it holds several of these and calibrates them. Logs and traces are no series;
//! counts of log lines or durations of spans enter as metrics like any other.
//!
//! Not here: judging. Invariant: the same samples give the same advice.

use super::detectors::Samples;
use super::kind::{Kind, KindInference};
use super::prepare::usual_step_ms;
use super::robust::{median, quantile, theil_sen};
use super::seasonality::{self, FoundPeriod};

const DAY_MS: f64 = 86_400_000.0;
/// Series with more zeros, or more missing steps, than this share are sparse.
const SPARSE: f64 = 0.5;
/// Values that repeat the one before in more than this share of steps hardly move.
const STILL: f64 = 0.9;
/// Samples closer than this are dense: what monitors in real time.
const DENSE_MS: i64 = 60_000;
/// Distances of the 1 % quantiles in those of the quartiles: 3.45 of a Gaussian.
const HEAVY: f64 = 5.0;
/// A memory from which a level moves more slowly than its noise.
const SLOW: f64 = 0.8;
/// Less is no baseline that has seen peak, trough and weekend.
const BASELINE_MS: i64 = 14 * 86_400_000;

/// A detector and why it suits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advice {
    /// Its name.
    pub detector: &'static str,
    /// Why.
    pub why: &'static str,
}

/// What a series is like.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesProfile {
    /// Finite samples.
    pub samples: usize,
    /// Usual distance of two samples.
    pub step_ms: i64,
    /// From the first to the last sample.
    pub span_ms: i64,
    /// Steps without a sample.
    pub missing_share: f64,
    /// Samples that are zero.
    pub zero_share: f64,
    /// Samples that repeat the one before.
    pub repeat_share: f64,
    /// Gauge or counter.
    pub kind: &'static str,
    /// Periods in which it repeats, shortest first.
    pub seasons: Vec<FoundPeriod>,
    /// Slope in the value's unit a day.
    pub trend_per_day: f64,
    /// Whether the slope's 95 % interval leaves out zero.
    pub has_trend: bool,
    /// `light`, `heavy` or `none`: how far the rarest hundredth lies out.
    pub tails: &'static str,
    /// Correlation of what is left without season with the sample before it.
    pub memory: f64,
    /// Which detectors suit it, the most useful first.
    pub advice: Vec<Advice>,
    /// What the history is too short or too thin for.
    pub warnings: Vec<String>,
}

impl SeriesProfile {
    /// Of samples in order of time; a counter's are its increases. `None` of fewer than two finite ones.
    ///
    /// ```
    /// use infrawatch::analysis::detectors::Samples;
    /// use infrawatch::analysis::series_profile::SeriesProfile;
    ///
    /// let times_ms: Vec<i64> = (0..24 * 28).map(|hour| hour * 3_600_000).collect();
    /// let wave = |hour: u32| 50.0 + 30.0 * (f64::from(hour) / 24.0 * std::f64::consts::TAU).sin();
    /// let values: Vec<f64> = (0..24 * 28).map(|hour| wave(hour) + f64::from(hour * 7919 % 13)).collect();
    /// let profile = SeriesProfile::of(Samples::new(&times_ms, &values)).unwrap();
    /// assert_eq!(profile.seasons[0].period_ms, 86_400_000);
    /// assert!(profile.advice.iter().any(|advice| advice.detector == "seasonal"));
    /// ```
    pub fn of(samples: Samples<'_>) -> Option<Self> {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().filter(|(_, value)| value.is_finite()).unzip();
        let step_ms = usual_step_ms(&times)?;
        let span_ms = times.last()?.saturating_sub(*times.first()?);
        let mut inference = KindInference::new(None);
        let kind = values.iter().map(|value| inference.observe(*value).0).last()?;
        let (times, values) = if kind == Kind::Counter { increases(&times, &values) } else { (times, values) };
        let count = values.len() as f64;
        let share = |count_of: usize| count_of as f64 / count.max(1.0);
        let steps = (span_ms / step_ms).saturating_add(1) as f64;
        let rest = seasonality::without_season(&times, &values);
        let slope = theil_sen(&values, 0.95);
        let mut profile = Self {
            samples: values.len(),
            step_ms,
            span_ms,
            missing_share: (1.0 - count / steps).clamp(0.0, 1.0),
            zero_share: share(values.iter().filter(|value| **value == 0.0).count()),
            repeat_share: share(values.windows(2).filter(|pair| pair[0] == pair[1]).count()),
            kind: if kind == Kind::Counter { "counter" } else { "gauge" },
            seasons: seasonality::find(&times, &values),
            trend_per_day: slope.per_cell * DAY_MS / step_ms as f64,
            has_trend: slope.is_clear(),
            tails: tails(&rest),
            memory: memory(&rest),
            advice: Vec::new(),
            warnings: Vec::new(),
        };
        profile.advice = profile.advise(&values);
        profile.warnings = profile.warn();
        Some(profile)
    }

    fn advise(&self, values: &[f64]) -> Vec<Advice> {
        let mut all = vec![("ensemble", "the server's own: several detectors, calibrated, nothing to set")];
        let is_calendar = |found: &FoundPeriod| found.period_ms % 86_400_000 == 0;
        let is_sparse = self.zero_share > SPARSE || self.missing_share > SPARSE;
        if self.seasons.iter().any(is_calendar) {
            all.push(("seasonal", "it repeats by day or week, as traffic does"));
        }
        if self.seasons.iter().any(|found| !is_calendar(found)) {
            all.push(("stl", "it repeats in a period that is no day"));
        }
        if is_sparse {
            all.push(("isolation_forest", "it is sparse: most steps have nothing, so means say little"));
            all.push(("silence", "it is sparse: whether samples come at all is news"));
        }
        if self.repeat_share > STILL && !is_sparse {
            all.push(("static", "it hardly ever moves: a limit that is known is the best"));
            all.push(("flat_line", "it stays the same for long, which may be usual or a stuck sensor"));
        }
        if self.has_trend || self.memory > SLOW {
            all.push(("ema", "its level moves, and a mean that follows moves with it"));
            all.push(("cusum", "its level moves: lasting shifts are what to see"));
        }
        if self.step_ms <= DENSE_MS && self.seasons.is_empty() && !is_sparse && self.repeat_share <= STILL {
            all.push(("rolling_zscore", "it is dense and has no season: the last samples say what is usual"));
        }
        if self.tails == "heavy" && !is_sparse {
            all.push(("mad", "its tails are heavy, and medians do not mind"));
        }
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        if self.zero_share < 0.01 && (quantile(&sorted, 0.01) > 0.0 || quantile(&sorted, 0.99) < 0.0) {
            all.push(("drop_to_zero", "it lies away from zero, so a zero is news"));
        }
        all.into_iter().map(|(detector, why)| Advice { detector, why }).collect()
    }

    fn warn(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        let days = self.span_ms as f64 / DAY_MS;
        if self.span_ms < BASELINE_MS {
            warnings.push(format!("{days:.1} days are less than two weeks: weekends and deployments may be missing"));
        }
        if self.missing_share > 0.1 {
            warnings.push(format!("{:.0} % of the steps have no sample", 100.0 * self.missing_share));
        }
        warnings
    }
}

/// A counter's increases a second, at the times of its later totals.
fn increases(times: &[i64], totals: &[f64]) -> (Vec<i64>, Vec<f64>) {
    let pairs = times.windows(2).zip(totals.windows(2));
    let rate = |(times, totals): (&[i64], &[f64])| {
        let passed_ms = times[1].saturating_sub(times[0]).max(1);
        Some((times[1], super::prepare::counter_rate(totals[0], totals[1], passed_ms)?))
    };
    pairs.filter_map(rate).unzip()
}

fn tails(rest: &[f64]) -> &'static str {
    let mut sorted = rest.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let width = |p: f64| quantile(&sorted, 1.0 - p) - quantile(&sorted, p);
    match width(0.25) {
        middle if middle > 0.0 && width(0.01) / middle > HEAVY => "heavy",
        middle if middle > 0.0 => "light",
        _ => "none",
    }
}

/// Correlation of neighbours.
fn memory(rest: &[f64]) -> f64 {
    let level = median(&mut rest.to_vec());
    let power: f64 = rest.iter().map(|value| (value - level).powi(2)).sum();
    let products: f64 = rest.windows(2).map(|pair| (pair[0] - level) * (pair[1] - level)).sum();
    if power > 0.0 { (products / power).clamp(-1.0, 1.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(at: i64) -> f64 {
        let mixed = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1 << 24) as f64 - 0.5
    }

    fn advised(step_ms: i64, count: i64, value: impl Fn(i64) -> f64) -> Vec<&'static str> {
        let (times, values): (Vec<i64>, Vec<f64>) = (0..count).map(|at| (at * step_ms, value(at))).unzip();
        let profile = SeriesProfile::of(Samples::new(&times, &values)).unwrap();
        profile.advice.iter().map(|advice| advice.detector).collect()
    }

    /// PROD-032, PIT-008: sets by density, season and trend.
    #[test]
    fn advice_follows_density_season_and_trend() {
        let day = |at: i64| 100.0 + 40.0 * (std::f64::consts::TAU * at as f64 / 288.0).sin() + noise(at);
        let traffic = advised(300_000, 288 * 20, day);
        assert!(traffic.contains(&"seasonal") && traffic.contains(&"drop_to_zero"), "{traffic:?}");
        let infra = advised(10_000, 8640, |at| 50.0 + 10.0 * noise(at));
        assert!(infra.contains(&"rolling_zscore") && !infra.contains(&"seasonal"), "{infra:?}");
        let business = advised(3_600_000, 1000, |at| if noise(at) > 0.4 { 20.0 + noise(at * 7) } else { 0.0 });
        assert!(business.contains(&"isolation_forest") && !business.contains(&"rolling_zscore"), "{business:?}");
        let rising = advised(60_000, 5000, |at| at as f64 / 100.0 + noise(at));
        assert!(rising.contains(&"ema") && rising.contains(&"cusum"), "{rising:?}");
        let still = advised(60_000, 2000, |at| if at % 500 == 0 { 3.0 } else { 4.0 });
        assert!(still.contains(&"static"), "{still:?}");
        assert_eq!(traffic[0], "ensemble");
    }

    #[test]
    fn too_little_says_nothing_or_warns() {
        assert_eq!(SeriesProfile::of(Samples::new(&[1], &[1.0])), None);
        let times: Vec<i64> = (0..100).map(|at| at * 60_000).collect();
        let values: Vec<f64> = (0..100).map(noise).collect();
        let profile = SeriesProfile::of(Samples::new(&times, &values)).unwrap();
        assert!(profile.warnings[0].contains("less than two weeks"), "CAL-010");
    }
}
