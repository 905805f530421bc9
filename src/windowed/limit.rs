//! The limit of scores that follows them: mean and standard deviation of the last ones.
//!
//! Not here: what a score is (see `series`).
//!
//! Invariants: a score is compared with those before it, never with itself; one beyond the limit counts for no more than the
//! limit, so that a burst does not raise the limit over itself while a lasting change still does in time.

use std::collections::VecDeque;

/// Scores without which there is no limit.
const SCORES_MIN: usize = 30;

/// The last scores of one series.
#[derive(Debug, Clone)]
pub(super) struct ScoreLimit {
    scores: VecDeque<f64>,
    scores_max: usize,
    multiplier: f64,
}

impl ScoreLimit {
    /// Of the last `scores_max` scores: their mean and `multiplier` standard deviations of them.
    pub(super) fn new(scores_max: usize, multiplier: f64) -> Self {
        Self { scores: VecDeque::new(), scores_max: scores_max.max(SCORES_MIN), multiplier }
    }

    /// The limit for the next score; none while there are too few before it.
    pub(super) fn limit(&self) -> Option<f64> {
        if self.scores.len() < SCORES_MIN {
            return None;
        }
        let count = self.scores.len() as f64;
        let mean = self.scores.iter().sum::<f64>() / count;
        let variance = self.scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
        Some(mean + self.multiplier * variance.sqrt())
    }

    /// Takes a score in, after it was compared.
    pub(super) fn learn(&mut self, score: f64) {
        let score = self.limit().map_or(score, |limit| score.min(limit));
        if self.scores.len() >= self.scores_max {
            self.scores.pop_front();
        }
        self.scores.push_back(score);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_mean_and_so_many_deviations_of_the_population() {
        let mut limit = ScoreLimit::new(500, 3.0);
        (0..29).for_each(|at| limit.learn(f64::from(at % 2)));
        assert_eq!(limit.limit(), None);
        limit.learn(1.0);
        // Fifteen zeros and fifteen ones: mean and deviation are a half.
        assert_eq!(limit.limit(), Some(2.0));
    }

    #[test]
    fn a_burst_stays_beyond_it_and_a_lasting_change_does_not() {
        let mut limit = ScoreLimit::new(100, 3.0);
        (0..100).for_each(|at| limit.learn(1.0 + f64::from(at % 10) / 10.0));
        let beyond = |limit: &ScoreLimit| limit.limit().is_some_and(|limit| 5.0 > limit);
        for _ in 0..5 {
            assert!(beyond(&limit));
            limit.learn(5.0);
        }
        (0..200).for_each(|_| limit.learn(5.0));
        assert!(!beyond(&limit), "{:?}", limit.limit());
    }
}
