//! How much of a sample's evidence is news: what has just been told again and again is less.
//!
//! Evidence says that a sample is as rare as one in so many. Where its like, or worse, was seen in the last minutes it is at
//! least as frequent there, so that it can be no rarer than that: evidence is capped by -log10 of the frequency of its like
//! of late, which is counted with a memory that fades by a factor of e in a quarter of an hour. A lone spike keeps all of
//! its evidence; the second sample of a burst keeps little, and an hour or two later one like it is whole again.
//!
//! Not here: what is unusual, and what is told to people: a sample that is flagged keeps its evidence (see
//! `model_patterns`).
//!
//! Invariants: what is told never exceeds what was given; it rises with what was given.

use serde::{Deserialize, Serialize};

/// Kinds of evidence that are counted by themselves: each a tenth of the budget's more, and the last what is more than
/// twice the budget.
const KINDS: usize = 21;
const A_KIND: f64 = 0.1;

/// What is remembered fades by a factor of e in this time.
const MEMORY_MS: f64 = 15.0 * 60_000.0;

/// How often evidence of each kind was seen of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct News {
    seen: [f32; KINDS],
}

impl News {
    /// What of a sample's evidence, as a share of the budget's, is news; then learns it. With the milliseconds since the
    /// sample before, the usual step, and -log10 of the budget's share of samples.
    pub(crate) fn observe(&mut self, evidence: f64, passed_ms: f64, step_ms: f64, budget_log_tail: f64) -> f64 {
        let left = (-passed_ms / MEMORY_MS).exp() as f32;
        self.seen.iter_mut().for_each(|seen| *seen *= left);
        let kind = ((evidence / A_KIND) as usize).min(KINDS - 1);
        let seen: f32 = self.seen[kind..].iter().sum();
        let frequency = f64::from(seen) * (step_ms / MEMORY_MS).min(1.0);
        self.seen[kind] += 1.0;
        evidence.min((-frequency.log10()).max(0.0) / budget_log_tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: f64 = 60_000.0;

    /// What is news of these, minute by minute, at a budget of one in 10 000.
    fn told(evidence: impl IntoIterator<Item = f64>) -> Vec<f64> {
        let mut news = News::default();
        evidence.into_iter().map(|evidence| news.observe(evidence, MINUTE_MS, MINUTE_MS, 4.0)).collect()
    }

    #[test]
    fn what_stands_alone_keeps_all_of_its_evidence() {
        let told = told((0..200).map(|at| if at == 150 { 1.4 } else { 0.05 }));
        assert_eq!(told[150], 1.4);
        assert!(told[20..].iter().enumerate().all(|(at, news)| at == 130 || *news < 0.05));
    }

    #[test]
    fn the_second_of_a_burst_is_less_news_and_a_worse_one_is_news() {
        let told = told([0.0, 0.0, 1.05, 1.05, 0.85, 1.6]);
        // One in the fifteen samples of memory, a minute old: log10(15) + 1 / 15 / ln(10), of 4.
        let second = (15f64.log10() + 1.0 / 15.0 / std::f64::consts::LN_10) / 4.0;
        assert!(told[2] == 1.05 && (told[3] - second).abs() < 1e-6 && told[4] < second && told[5] == 1.6, "{told:?}");
    }

    #[test]
    fn what_was_told_comes_back_with_time() {
        let after = |minutes: f64| {
            let mut news = News::default();
            news.observe(1.0, MINUTE_MS, MINUTE_MS, 4.0);
            news.observe(1.0, minutes * MINUTE_MS, MINUTE_MS, 4.0)
        };
        let told = [1.0, 30.0, 60.0, 120.0].map(after);
        assert!(told.is_sorted() && told[0] < 0.31 && told[3] == 1.0, "{told:?}");
    }

    #[test]
    fn more_evidence_is_never_less_news() {
        let mut news = News::default();
        (0..100).for_each(|at| _ = news.observe(f64::from(at * 37 % 23) / 10.0, MINUTE_MS, MINUTE_MS, 4.0));
        let told: Vec<f64> =
            (0..40).map(|at| news.clone().observe(f64::from(at) / 15.0, MINUTE_MS, MINUTE_MS, 4.0)).collect();
        assert!(told.is_sorted(), "{told:?}");
    }
}
