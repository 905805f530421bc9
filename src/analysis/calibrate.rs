//! How rare a raw score is among a detector's own past scores.
//!
//! Three quantiles of the scores are followed as Robbins and Monro (1951) follow one: those that 8 %, 2 % and 0.5 %
//! exceed. Their distances tell the tail's shape as Pickands (1975, Annals of Statistics 3) reads it from order
//! statistics, and the tail goes on beyond them as a generalised Pareto's does. Quantiles, not moments, because a few
//! scores however great must not move what is held to be rare.
//!
//! Not here: what a score means; any number that grows with unusualness serves.
//!
//! Invariants: a score is compared before it is learned; scores below a sixteenth are all the same, so constants and
//! rounding noise make no tail.
//!
//! Cost: 20 B; three comparisons and multiplications a score, one logarithm for one of 200 (`benches/score.rs`).

use serde::{Deserialize, Serialize};

/// Each quantile is exceeded a quarter as often as the one before.
const SHARES: [f32; 3] = [0.08, 0.02, 0.005];
/// -log10 of the shares, and of a quarter.
const LOGS: [f32; 3] = [1.097, 1.699, 2.301];
const QUARTER_LOG: f32 = 0.602;

/// Where the quantiles of mean absolute deviations are held to be before any was seen: between Gauss and Laplace.
const PRIOR: [f32; 3] = [2.3, 3.2, 4.2];

/// Inverse of the density of a score's logarithm at each quantile (Gauss): the gain for which Robbins and Monro's
/// procedure is as good as the sample quantile.
const GAINS: [f32; 3] = [3.3, 8.0, 23.0];
/// Scores the prior is worth, and those that are remembered.
const PRIOR_SCORES: [f32; 3] = [16.0, 40.0, 100.0];
const MEMORY: f32 = 2048.0;
const SETTLED: [f32; 3] = [GAINS[0] / MEMORY, GAINS[1] / MEMORY, GAINS[2] / MEMORY];

/// Ratio of neighbouring quantiles' distances in a tail not known yet, and how many exceedances it is worth.
const PRIOR_RATIO: f32 = 1.2;
const PRIOR_EXCEEDANCES: f32 = 10.0;
/// Bounds of the ratio: an exponential tail's, for no tail is believed to end, and that of a tail without a variance.
const RATIO: (f32, f32) = (1.0, 2.0);

/// Exceedances of a quantile that weigh as much as what is usual, when looking back.
const LOOK_BACK_EXCEEDANCES: f32 = 20.0;

/// Scores below this are no deviation at all.
const SCORE_MIN: f32 = 1.0 / 16.0;

/// Fewer past scores than this calibrate nothing.
const SCORES_MIN: u16 = 32;

/// Scores after which the line is drawn anew at the latest, while scores are counted; rare ones do it at once.
const LINE_EVERY: u16 = 32;

/// -log10 of the smallest tail probability that is told; smaller ones say no more.
const LOG_TAIL_MAX: f32 = 30.0;

/// Tells how rare a score is, and learns it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Calibrator {
    quantiles: [f32; 3],
    /// The score at the budget's tail probability, as of the last exceedance or a few scores ago.
    line: f32,
    seen: u16,
}

impl Default for Calibrator {
    fn default() -> Self {
        Self { quantiles: PRIOR, line: f32::INFINITY, seen: 0 }
    }
}

impl Calibrator {
    /// -log10 of the probability of a score at least this great; NaN while there are too few past scores.
    pub(crate) fn log_tail(&self, score: f32) -> f32 {
        let [a, b, c] = self.quantiles;
        if self.seen < SCORES_MIN {
            f32::NAN
        } else if score <= a {
            LOGS[0] * score / a
        } else if score <= b {
            LOGS[0] + QUARTER_LOG * (score - a) / (b - a)
        } else if score <= c {
            LOGS[1] + QUARTER_LOG * (score - b) / (c - b)
        } else {
            let (step, ratio) = self.shape();
            let beyond = (score - c) / step;
            let is_exponential = ratio - 1.0 < 1e-3;
            let steps = if is_exponential { beyond } else { (1.0 + beyond * (ratio - 1.0)).ln() / ratio.ln() };
            (LOGS[2] + QUARTER_LOG * steps).min(LOG_TAIL_MAX)
        }
    }

    /// The score at the budget's tail probability.
    pub(crate) fn line(&self) -> f32 {
        self.line
    }

    /// The next step of the quantiles, and the ratio of steps.
    fn shape(&self) -> (f32, f32) {
        let [a, b, c] = self.quantiles;
        let exceedances = SHARES[2] * f32::from(self.seen).min(MEMORY);
        let weight = exceedances / (exceedances + PRIOR_EXCEEDANCES);
        let ratio = (PRIOR_RATIO + weight * ((c - b) / (b - a) - PRIOR_RATIO)).clamp(RATIO.0, RATIO.1);
        ((c - b) * ratio, ratio)
    }

    /// The score whose tail probability is 10^-`log_tail`, for the far tail.
    fn score_at(&self, log_tail: f32) -> f32 {
        let (step, ratio) = self.shape();
        let steps = ((log_tail - LOGS[2]) / QUARTER_LOG).max(0.0);
        let reach = if ratio - 1.0 < 1e-3 { steps } else { (ratio.powf(steps) - 1.0) / (ratio - 1.0) };
        self.quantiles[2] + step * reach
    }

    /// Looking back on all scores, some of which may have been anomalous: the rarer quantiles rest on few scores, so
    /// they are moved to where the first one would have them in a usual tail, the further the fewer there are.
    pub(crate) fn look_back(&mut self, budget_log_tail: f32) {
        for at in 1..3 {
            let usual = self.quantiles[0] * PRIOR[at] / PRIOR[0];
            let exceedances = SHARES[at] * f32::from(self.seen);
            let weight = exceedances / (exceedances + LOOK_BACK_EXCEEDANCES);
            self.quantiles[at] = usual * (self.quantiles[at] / usual).powf(weight);
        }
        self.order();
        self.line = self.score_at(budget_log_tail);
    }

    /// Adds a score; the line is kept for the budget.
    pub(crate) fn learn(&mut self, score: f32, budget_log_tail: f32) {
        let score = score.max(SCORE_MIN);
        let is_rare = score > self.quantiles[1];
        self.seen = self.seen.saturating_add(1);
        let seen = f32::from(self.seen);
        for at in 0..3 {
            // Settled calibrators are spared the divisions.
            let gain = if seen < MEMORY { GAINS[at] / (seen + PRIOR_SCORES[at]).min(MEMORY) } else { SETTLED[at] };
            let quantile = &mut self.quantiles[at];
            if score > *quantile {
                *quantile = (*quantile * (1.0 + gain.min(0.5) * (1.0 - SHARES[at]))).min(score.max(*quantile * 1.001));
            } else {
                *quantile *= 1.0 - gain * SHARES[at];
            }
        }
        self.order();
        if is_rare || self.seen.is_multiple_of(LINE_EVERY) || self.line == f32::INFINITY {
            self.line = self.score_at(budget_log_tail);
        }
    }

    /// Quantiles stand in order, with room between.
    fn order(&mut self) {
        let [a, b, c] = &mut self.quantiles;
        *a = a.max(SCORE_MIN);
        *b = b.max(*a * 1.1);
        *c = c.max(*b * 1.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores with this quantile function, in a scattered order.
    fn learned(n: u32, quantile: impl Fn(f64) -> f64) -> Calibrator {
        let mut calibrator = Calibrator::default();
        for i in 0..n {
            calibrator.learn(quantile((f64::from(i.wrapping_mul(2_654_435_761) % n) + 0.5) / f64::from(n)) as f32, 5.0);
        }
        calibrator
    }

    #[test]
    fn quantiles_are_found_whatever_the_unit() {
        for unit in [0.2, 1.0, 30.0] {
            let calibrator = learned(50_000, |p| -unit * (1.0 - p).ln());
            for (found, share) in calibrator.quantiles.iter().zip(SHARES) {
                let wanted = -unit as f32 * share.ln();
                assert!((found / wanted - 1.0).abs() < 0.1, "{found} for {wanted}");
            }
        }
    }

    #[test]
    fn exponential_and_heavy_tails_are_continued_with_caution() {
        let exponential = learned(50_000, |p| -(1.0 - p).ln());
        let cubic = learned(50_000, |p| (1.0 - p).powf(-1.0 / 3.0));
        for log_tail in [3.0, 4.0, 5.0] {
            let told = exponential.log_tail(log_tail * std::f32::consts::LN_10);
            assert!((0.8 * log_tail..1.05 * log_tail).contains(&told), "{told} for {log_tail}");
            let told = cubic.log_tail(10f32.powf(log_tail / 3.0));
            assert!((0.85 * log_tail..1.15 * log_tail).contains(&told), "{told} for {log_tail}");
        }
    }

    #[test]
    fn a_few_giants_leave_the_tail_where_it_is() {
        let with = |every: u32| {
            let mut calibrator = Calibrator::default();
            for i in 0..20_000u32 {
                let p = (f64::from(i.wrapping_mul(2_654_435_761) % 20_000) + 0.5) / 20_000.0;
                calibrator.learn(if i % every == every - 1 { 1e6 } else { -(1.0 - p).ln() as f32 }, 5.0);
            }
            calibrator.score_at(5.0)
        };
        assert!(with(1000) < 1.6 * with(u32::MAX), "{} {}", with(1000), with(u32::MAX));
    }

    #[test]
    fn the_score_at_a_tail_probability_is_the_inverse() {
        let calibrator = learned(20_000, |p| (1.0 - p).powf(-0.25));
        assert!((calibrator.log_tail(calibrator.score_at(5.0)) - 5.0).abs() < 1e-3);
    }

    #[test]
    fn few_scores_calibrate_nothing() {
        assert!(learned(u32::from(SCORES_MIN) - 1, |p| p).log_tail(1e9).is_nan());
    }

    #[test]
    fn rounding_noise_makes_no_tail() {
        let calibrator = learned(1000, |p| 1e-9 * p);
        assert!(calibrator.log_tail(1e-3) < 0.1);
        assert!(calibrator.log_tail(100.0) > 6.0);
    }
}
