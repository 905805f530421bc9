//! How rare a raw score is among a detector's own past scores.
//!
//! Past scores stand in a histogram with four bins an octave. Up to its upper 2 % a score's tail probability is counted;
//! beyond, the tail is Pareto's (a generalised Pareto tail with positive shape), its index estimated from the binned
//! exceedances as Hill does (1975, Annals of Statistics 3), shrunk towards a prior while there are few.
//!
//! Not here: what a score means; any number that grows with unusualness serves.
//!
//! Invariants: a score is compared before it is learned; scores below the first bin are all the same, so constants and
//! rounding noise make no tail.
//!
//! Cost: 128 B of counts; one binary logarithm and one power a score, a fit of 64 bins every 32 scores
//! (`benches/score.rs`).

use super::array;
use serde::{Deserialize, Serialize};

const BINS: usize = 64;
const BINS_PER_OCTAVE: f64 = 4.0;
/// Lower edge of the second bin as a power of two; the first holds everything below.
const LOWEST_LOG2: f64 = -4.0;

/// Share of scores that make the tail, and fewest that do: Hill's estimate needs some ten exceedances to be worth
/// anything and a share that small to be about the tail.
const TAIL_SHARE: f64 = 0.02;
const EXCEEDANCES_MIN: u32 = 8;

/// Index and weight, in exceedances, of the prior: a fourth-power tail is what heavy-tailed monitoring data has, so a
/// young series is not called unusual by a Gaussian tail it never showed.
const PRIOR_INDEX: f64 = 4.0;
const PRIOR_WEIGHT: f64 = 8.0;

/// Fewer past scores than this calibrate nothing.
const SCORES_MIN: u32 = 32;

/// Scores after which the tail is fitted again.
const REFIT_EVERY: u8 = 32;

/// At this many scores all counts are halved, which forgets slowly and keeps them in 16 bits.
const SCORES_MAX: u32 = 60_000;

/// -log10 of the smallest tail probability that is told; smaller ones say no more.
const LOG_TAIL_MAX: f64 = 30.0;

/// Tells how rare a score is, and learns it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Calibrator {
    #[serde(with = "array")]
    counts: [u16; BINS],
    total: u32,
    tail_from: f32,
    tail_share: f32,
    tail_index: f32,
    since_fit: u8,
}

impl Default for Calibrator {
    fn default() -> Self {
        Self { counts: [0; BINS], total: 0, tail_from: 0.0, tail_share: 1.0, tail_index: 0.0, since_fit: 0 }
    }
}

impl Calibrator {
    /// -log10 of the probability of a score at least this great; `None` while there are too few past scores.
    pub(crate) fn log_tail(&self, score: f64) -> Option<f64> {
        if self.total < SCORES_MIN || self.tail_index == 0.0 {
            return None;
        }
        if score < f64::from(self.tail_from) {
            let at_least: u32 = self.counts[bin(score)..].iter().map(|count| u32::from(*count)).sum();
            return Some(-(f64::from(at_least.max(1)) / f64::from(self.total)).log10());
        }
        let beyond = (score / f64::from(self.tail_from)).log10() * f64::from(self.tail_index);
        Some((beyond - f64::from(self.tail_share).log10()).min(LOG_TAIL_MAX))
    }

    /// The score whose tail probability is 10^-`log_tail`, for the far tail.
    pub(crate) fn score_at(&self, log_tail: f64) -> f64 {
        let beyond = (log_tail + f64::from(self.tail_share).log10()) / f64::from(self.tail_index).max(1e-3);
        f64::from(self.tail_from) * 10f64.powf(beyond.clamp(0.0, 30.0))
    }

    /// Adds a score.
    pub(crate) fn learn(&mut self, score: f64) {
        self.counts[bin(score)] += 1;
        self.total += 1;
        self.since_fit += 1;
        if self.total >= SCORES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
        if self.since_fit >= REFIT_EVERY {
            self.fit();
        }
    }

    fn fit(&mut self) {
        self.since_fit = 0;
        let wanted = EXCEEDANCES_MIN.max((TAIL_SHARE * f64::from(self.total)) as u32);
        let (mut from, mut above) = (BINS, 0u32);
        while from > 1 && above < wanted {
            from -= 1;
            above += u32::from(self.counts[from]);
        }
        let edge = lower_edge_log2(from);
        let middle = |at: usize| (lower_edge_log2(at) + 0.5 / BINS_PER_OCTAVE - edge) * std::f64::consts::LN_2;
        let excess: f64 = (from..BINS).map(|at| f64::from(self.counts[at]) * middle(at)).sum();
        let index = (f64::from(above) + PRIOR_WEIGHT) / (excess + PRIOR_WEIGHT / PRIOR_INDEX);
        self.tail_from = edge.exp2() as f32;
        self.tail_share = (f64::from(above + 1) / f64::from(self.total + 1)) as f32;
        self.tail_index = index as f32;
    }
}

fn bin(score: f64) -> usize {
    // The cast takes what is below the first bin, zero and NaN to 0.
    let at = (score.log2() - LOWEST_LOG2) * BINS_PER_OCTAVE + 1.0;
    (at as usize).min(BINS - 1)
}

fn lower_edge_log2(bin: usize) -> f64 {
    LOWEST_LOG2 + (bin as f64 - 1.0) / BINS_PER_OCTAVE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores whose survival function is x^-index from 1 on, at even quantiles.
    fn pareto(index: f64, n: u32) -> Calibrator {
        let mut calibrator = Calibrator::default();
        for i in 0..n {
            let quantile = (f64::from(i * 7919 % n) + 0.5) / f64::from(n);
            calibrator.learn(quantile.powf(-1.0 / index));
        }
        calibrator
    }

    #[test]
    fn the_tail_of_a_power_law_is_found() {
        let calibrator = pareto(3.0, 20_000);
        for log_tail in [2.5, 4.0, 6.0] {
            let told = calibrator.log_tail(10f64.powf(log_tail / 3.0)).unwrap();
            assert!((told - log_tail).abs() < 0.08 * log_tail, "{told} for {log_tail}");
        }
    }

    #[test]
    fn the_score_at_a_tail_probability_is_the_inverse() {
        let calibrator = pareto(3.0, 20_000);
        assert!((calibrator.log_tail(calibrator.score_at(5.0)).unwrap() - 5.0).abs() < 1e-6);
    }

    #[test]
    fn few_scores_calibrate_nothing() {
        assert_eq!(pareto(3.0, SCORES_MIN - 1).log_tail(1e9), None);
    }

    #[test]
    fn rounding_noise_makes_no_tail() {
        let mut calibrator = Calibrator::default();
        (0..1000).for_each(|i| calibrator.learn(if i % 2 == 0 { 0.0 } else { 1e-9 }));
        assert!(calibrator.log_tail(1e-3).unwrap() < 0.1);
        assert!(calibrator.log_tail(100.0).unwrap() > 6.0);
    }

    #[test]
    fn old_scores_are_forgotten_slowly() {
        let mut calibrator = Calibrator::default();
        (0..SCORES_MAX * 3).for_each(|_| calibrator.learn(1.0));
        assert!(calibrator.total < SCORES_MAX && calibrator.total > SCORES_MAX / 3);
    }
}
