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
//! Cost: 18 B; three comparisons, divisions and multiplications a score in one go, one power for one of twenty, one
//! logarithm for one of 200 (`benches/score.rs`).

use super::ensemble::OWN;
use serde::{Deserialize, Serialize};

/// Each quantile is exceeded a quarter as often as the one before; the fourth number of these tables means nothing.
const SHARES: Ranks = [0.08, 0.02, 0.005, 0.0];
/// -log10 of the shares, and of a quarter.
const LOGS: [f32; 3] = [1.097, 1.699, 2.301];
const QUARTER_LOG: f32 = 0.602;

/// Where the quantiles of mean absolute deviations are held to be before any was seen: between Gauss and Laplace.
const PRIOR: Ranks = [2.3, 3.2, 4.2, 0.0];

/// Inverse of the density of a score's logarithm at each quantile (Gauss): the gain for which Robbins and Monro's
/// procedure is as good as the sample quantile.
const GAINS: Ranks = [3.3, 8.0, 23.0, 0.0];
/// Scores the prior is worth, and those that are remembered.
const PRIOR_SCORES: Ranks = [16.0, 40.0, 100.0, 1.0];
const MEMORY: f32 = 2048.0;

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
pub(super) const SCORES_MIN: u16 = 32;

/// Scores after which the line is drawn anew at the latest, while scores are counted; rare ones do it at once.
const LINE_EVERY: u16 = 32;

/// -log10 of the smallest tail probability that is told; smaller ones say no more.
const LOG_TAIL_MAX: f32 = 30.0;

/// Quantiles that are followed, and room for one more number: what is done to four numbers at once without branches is
/// compiled to vector instructions.
type Ranks = [f32; 4];

/// A step over all ranks.
#[inline(always)]
fn each(step: impl FnMut(usize) -> f32) -> Ranks {
    std::array::from_fn(step)
}

/// Tells how rare a score is, and learns it.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Calibrator {
    /// The quantiles, and the score at the budget's tail probability as of the last exceedance or a few scores ago.
    ranks: Ranks,
}

impl Default for Calibrator {
    fn default() -> Self {
        let [a, b, c, _] = PRIOR;
        Self { ranks: [a, b, c, f32::INFINITY] }
    }
}

impl Calibrator {
    /// -log10 of the probability of a score at least this great; NaN while there are too few past scores: `seen`.
    #[inline]
    pub(crate) fn log_tail(&self, score: f32, seen: u16) -> f32 {
        let [a, b, c, _] = self.ranks;
        if seen < SCORES_MIN {
            f32::NAN
        } else if score <= a {
            LOGS[0] * score / a
        } else if score <= b {
            LOGS[0] + QUARTER_LOG * (score - a) / (b - a)
        } else if score <= c {
            LOGS[1] + QUARTER_LOG * (score - b) / (c - b)
        } else {
            self.far_log_tail(score, seen)
        }
    }

    /// Of a score beyond the last quantile.
    #[cold]
    fn far_log_tail(&self, score: f32, seen: u16) -> f32 {
        let (step, ratio) = self.shape(seen);
        let beyond = (score - self.ranks[2]) / step;
        let is_exponential = ratio - 1.0 < 1e-3;
        let steps = if is_exponential { beyond } else { (1.0 + beyond * (ratio - 1.0)).ln() / ratio.ln() };
        (LOGS[2] + QUARTER_LOG * steps).min(LOG_TAIL_MAX)
    }

    /// The score at the budget's tail probability.
    #[inline]
    pub(crate) fn line(&self) -> f32 {
        self.ranks[3]
    }

    /// The next step of the quantiles, and the ratio of steps.
    fn shape(&self, seen: u16) -> (f32, f32) {
        let [a, b, c, _] = self.ranks;
        let exceedances = SHARES[2] * f32::from(seen).min(MEMORY);
        let weight = exceedances / (exceedances + PRIOR_EXCEEDANCES);
        let ratio = (PRIOR_RATIO + weight * ((c - b) / (b - a) - PRIOR_RATIO)).clamp(RATIO.0, RATIO.1);
        ((c - b) * ratio, ratio)
    }

    /// The score whose tail probability is 10^-`log_tail`, for the far tail.
    fn score_at(&self, log_tail: f32, seen: u16) -> f32 {
        let (step, ratio) = self.shape(seen);
        let steps = ((log_tail - LOGS[2]) / QUARTER_LOG).max(0.0);
        let reach = if ratio - 1.0 < 1e-3 { steps } else { (ratio.powf(steps) - 1.0) / (ratio - 1.0) };
        self.ranks[2] + step * reach
    }

    /// The line, or the score of this tail probability while no line was drawn yet.
    pub(crate) fn line_or_at(&self, log_tail: f32) -> f32 {
        if self.line().is_finite() { self.line() } else { self.score_at(log_tail, SCORES_MIN) }
    }

    /// Draws the line for the budget.
    #[cold]
    fn draw(&mut self, budget_log_tail: f32, seen: u16) {
        self.ranks[3] = self.score_at(budget_log_tail, seen);
    }

    /// Looking back on all scores, some of which may have been anomalous: the rarer quantiles rest on few scores, so
    /// they are moved to where the first one would have them in a usual tail, the further the fewer there are.
    pub(crate) fn look_back(&mut self, budget_log_tail: f32, seen: u16) {
        for at in 1..3 {
            let usual = self.ranks[0] * PRIOR[at] / PRIOR[0];
            let exceedances = SHARES[at] * f32::from(seen);
            let weight = exceedances / (exceedances + LOOK_BACK_EXCEEDANCES);
            self.ranks[at] = usual * (self.ranks[at] / usual).powf(weight);
        }
        let ranks = self.ranks;
        self.set(&ranks);
        self.draw(budget_log_tail, seen);
    }

    /// Adds a score, that of number `seen`; the line is kept for the budget.
    #[inline]
    pub(crate) fn learn(&mut self, score: f32, seen: u16, budget_log_tail: f32) {
        let score = greater(score, SCORE_MIN);
        let is_rare = score > self.ranks[1];
        let mut moved = self.ranks;
        step(&mut moved, score, f32::from(seen));
        self.set(&moved);
        if is_rare || seen.is_multiple_of(LINE_EVERY) || self.line() == f32::INFINITY {
            self.draw(budget_log_tail, seen);
        }
    }

    /// Quantiles stand in order, with room between; the line stays.
    #[inline(always)]
    fn set(&mut self, moved: &Ranks) {
        let a = greater(moved[0], SCORE_MIN);
        let b = greater(moved[1], a * 1.1);
        (self.ranks[0], self.ranks[1], self.ranks[2]) = (a, b, greater(moved[2], b * 1.1));
    }
}

/// Moves quantiles towards where a score would have them.
// Not inlined, because only then it is sure to become vector instructions: some twenty-five in all.
#[inline(never)]
fn step(q: &mut Ranks, score: f32, seen: f32) {
    let gain = each(|at| GAINS[at] / lesser(seen + PRIOR_SCORES[at], MEMORY));
    let risen = each(|at| q[at] * (1.0 + lesser(gain[at], 0.5) * (1.0 - SHARES[at])));
    let risen = each(|at| lesser(risen[at], greater(score, q[at] * 1.001)));
    let fallen = each(|at| q[at] * (1.0 - gain[at] * SHARES[at]));
    *q = each(|at| if score > q[at] { risen[at] } else { fallen[at] });
}

/// One number a detector.
pub(crate) type Scores = [f32; OWN];

/// The calibrators of all detectors.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Calibrators {
    each: [Calibrator; OWN],
    /// Scores each has learned.
    seen: [u16; OWN],
}

impl Calibrators {
    /// Reads what scores will need: see [`super::SeriesModel::touch`].
    #[inline]
    pub(crate) fn touch(&self) -> u64 {
        u64::from(self.each[0].ranks[0].to_bits()) + u64::from(self.each[OWN - 1].ranks[3].to_bits())
    }

    /// -log10 of the probability of a detector's score or a greater one; NaN while there are too few past scores.
    #[inline]
    pub(crate) fn log_tail(&self, at: usize, score: f32) -> f32 {
        self.each[at].log_tail(score, self.seen[at])
    }

    /// The detector's score at the budget's tail probability.
    #[inline]
    pub(crate) fn line(&self, at: usize) -> f32 {
        self.each[at].line()
    }

    /// Adds a detector's score; the line is kept for the budget.
    #[inline]
    pub(crate) fn learn(&mut self, at: usize, score: f32, budget_log_tail: f32) {
        self.seen[at] = self.seen[at].saturating_add(1);
        self.each[at].learn(score, self.seen[at], budget_log_tail);
    }

    /// For judging by tails that anomalies have not stretched.
    pub(crate) fn look_back(&mut self, budget_log_tail: f32) {
        for (calibrator, seen) in self.each.iter_mut().zip(self.seen) {
            calibrator.look_back(budget_log_tail, seen);
        }
    }
}

/// The greater of two numbers of which none is NaN, in one instruction.
#[inline(always)]
fn greater(left: f32, right: f32) -> f32 {
    if left > right { left } else { right }
}

/// The lesser one, likewise.
#[inline(always)]
fn lesser(left: f32, right: f32) -> f32 {
    if left < right { left } else { right }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores with this quantile function, in a scattered order.
    fn learned(n: u32, quantile: impl Fn(f64) -> f64) -> Learned {
        let mut calibrator = Calibrator::default();
        for i in 0..n {
            let score = quantile((f64::from(i.wrapping_mul(2_654_435_761) % n) + 0.5) / f64::from(n));
            calibrator.learn(score as f32, seen(i), 5.0);
        }
        Learned { calibrator, seen: seen(n - 1) }
    }

    fn seen(at: u32) -> u16 {
        u16::try_from(at + 1).unwrap_or(u16::MAX)
    }

    struct Learned {
        calibrator: Calibrator,
        seen: u16,
    }

    impl Learned {
        fn log_tail(&self, score: f32) -> f32 {
            self.calibrator.log_tail(score, self.seen)
        }

        fn score_at(&self, log_tail: f32) -> f32 {
            self.calibrator.score_at(log_tail, self.seen)
        }
    }

    #[test]
    fn quantiles_are_found_whatever_the_unit() {
        for unit in [0.2, 1.0, 30.0] {
            let calibrator = learned(50_000, |p| -unit * (1.0 - p).ln());
            for (found, share) in calibrator.calibrator.ranks.iter().zip(SHARES).take(3) {
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
                let score = if i % every == every - 1 { 1e6 } else { -(1.0 - p).ln() as f32 };
                calibrator.learn(score, seen(i), 5.0);
            }
            calibrator.score_at(5.0, seen(19_999))
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
