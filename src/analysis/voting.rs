//! How the detectors' votes on a sample become one word: by majority, unanimity, weights, or any of them.
//!
//! ```
//! use infrawatch::analysis::VotingMode;
//! use infrawatch::{EnsembleConfig, EnsembleDetector};
//!
//! let config = EnsembleConfig { mode: VotingMode::Unanimous, ..EnsembleConfig::default() };
//! let mut detector = EnsembleDetector::new(config);
//! let mut flagged = Vec::new();
//! for minute in 0..3000 {
//!     let value = if minute == 2500 { 900.0 } else { 100.0 + f64::from(minute * 7919 % 100) / 50.0 };
//!     if detector.observe(i64::from(minute) * 60_000, value).is_anomaly {
//!         flagged.push(minute);
//!     }
//! }
//! assert_eq!(flagged, [2500]);
//! ```
//!
//! Not here: the votes (see `detect`, `calibrate`), persistence and direction (see `judge`).
//!
//! Invariants: a detector that abstains counts in no mode; a score below the flag line of 0.6 is never flagged.

use super::ensemble::{Vote, Votes};
use super::{SeriesModel, Settings, Verdict};
use serde::{Deserialize, Serialize};

/// Whose votes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VotingMode {
    /// More than half of the families of detectors that judge.
    #[default]
    Majority,
    /// Every detector that judges.
    Unanimous,
    /// The weighted mean of the detectors' own scores.
    Weighted,
    /// One detector is enough: for records, not for waking people.
    Any,
    /// As the third of the documents has it: enough detectors that agree, or a weighted mean that is high enough.
    Seed003,
}

/// What a detector's own score counts for in the weighted mode.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Weights {
    /// Distance from the slow mean.
    pub zscore: f64,
    /// Distance from the fast mean.
    pub ema: f64,
    /// Distance from what the time of day or week usually has.
    pub seasonal: f64,
    /// Isolation among several series; it counts where a group has one.
    pub isolation_forest: f64,
    /// Every other detector.
    pub others: f64,
}

/// How votes become a word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct EnsembleConfig {
    /// Whose votes it takes.
    pub mode: VotingMode,
    /// What they count for in the weighted mode.
    pub weights: Weights,
    /// Detectors that must agree at least, in the modes of majority and unanimity.
    pub agreement_threshold: usize,
    /// Least score; below 0.6 it changes nothing.
    pub score_threshold: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { zscore: 1.0, ema: 1.0, seasonal: 1.5, isolation_forest: 1.2, others: 1.0 }
    }
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        let mode = VotingMode::Majority;
        Self { mode, weights: Weights::default(), agreement_threshold: 2, score_threshold: 0.6 }
    }
}

impl Weights {
    /// Of a detector by its name.
    pub fn of(&self, detector: &str) -> f64 {
        match detector {
            "zscore" => self.zscore,
            "ema" => self.ema,
            "seasonal" => self.seasonal,
            "isolation_forest" => self.isolation_forest,
            _ => self.others,
        }
    }
}

impl EnsembleConfig {
    /// The score of a sample, from 0 to 1, given that of all families' evidence together.
    #[inline]
    pub(crate) fn score(&self, votes: &Votes, combined: f64) -> f64 {
        match self.mode {
            VotingMode::Majority | VotingMode::Unanimous => combined,
            VotingMode::Weighted => self.weighted(votes),
            VotingMode::Seed003 => {
                let mean = self.weighted(votes);
                // Who agrees flags whatever the mean; below the flag line nothing is flagged.
                if self.has_agreement(votes) { mean.max(self.score_threshold) } else { mean }
            }
            VotingMode::Any => counted(votes).map(|(_, score)| score).fold(0.0, f64::max),
        }
    }

    /// Whether the votes are enough to flag a sample of this score.
    #[inline]
    pub(crate) fn agrees(&self, votes: &Votes, score: f64) -> bool {
        score >= self.score_threshold && self.votes_agree(votes)
    }

    #[cold]
    fn votes_agree(&self, votes: &Votes) -> bool {
        let agreeing = || votes.agreeing().count();
        if votes.is_prior() && votes.judging() == 1 {
            // There is nobody else who could agree.
            return true;
        }
        match self.mode {
            VotingMode::Majority => votes.has_majority() && agreeing() >= self.agreement_threshold,
            VotingMode::Unanimous => {
                let judged = votes.judging();
                agreeing() == judged && judged >= self.agreement_threshold
            }
            VotingMode::Weighted | VotingMode::Any | VotingMode::Seed003 => true,
        }
    }

    fn has_agreement(&self, votes: &Votes) -> bool {
        votes.agreeing().count() >= self.agreement_threshold
    }

    /// Sum of weight times score over the sum of weights, of those that judge; 0 if none does.
    fn weighted(&self, votes: &Votes) -> f64 {
        let (sum, weights) = counted(votes).fold((0.0, 0.0), |(sum, weights), (vote, score)| {
            let weight = self.weights.of(vote.detector);
            (sum + weight * score, weights + weight)
        });
        if weights > 0.0 { sum / weights } else { 0.0 }
    }
}

/// The votes that count, of those who judge, with their scores.
fn counted(votes: &Votes) -> impl Iterator<Item = (Vote, f64)> {
    let of = |(at, (vote, score)): (usize, (Vote, Option<f64>))| Some((vote, score.filter(|_| votes.counts(at))?));
    votes.all().zip(votes.scores()).enumerate().filter_map(of)
}

/// Judges the samples of one series as they come, by a rule of its own.
#[derive(Debug, Clone)]
pub struct EnsembleDetector {
    model: SeriesModel,
}

impl EnsembleDetector {
    /// Knows nothing of its series yet.
    pub fn new(config: EnsembleConfig) -> Self {
        Self { model: SeriesModel::new(None, Settings { ensemble: config, ..Settings::default() }) }
    }

    /// Judges a sample against everything before it, then learns it. Time is in milliseconds since 1970 UTC.
    pub fn observe(&mut self, time_ms: i64, value: f64) -> Verdict {
        self.model.observe(time_ms, value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::detect::NAMES;
    use super::super::ensemble::OWN;
    use super::super::ensemble::score;
    use super::*;

    const BUDGET: f64 = 4.0;

    /// Name and family of those that every series has.
    fn own() -> [(&'static str, crate::analysis::Family); OWN] {
        std::array::from_fn(|at| NAMES[at])
    }

    /// Whether each mode flags a sample that these detectors find very unusual; `-` before a name: it abstains.
    fn flags(unusual: &[&str]) -> [bool; 5] {
        let abstains = |name: &str| unusual.iter().any(|said| said.strip_prefix('-') == Some(name));
        let log_tails = own().map(|(detector, _)| match detector {
            _ if abstains(detector) => f32::NAN,
            _ if unusual.contains(&detector) => 40.0,
            _ => 0.1,
        });
        let votes = Votes::new(log_tails, None, BUDGET);
        let combined = votes.combined(false).map_or(0.0, |log_tail| score(log_tail, BUDGET));
        [VotingMode::Majority, VotingMode::Unanimous, VotingMode::Weighted, VotingMode::Any, VotingMode::Seed003].map(
            |mode| {
                let config = EnsembleConfig { mode, ..EnsembleConfig::default() };
                config.agrees(&votes, config.score(&votes, combined))
            },
        )
    }

    #[test]
    fn every_mode_has_its_column_of_the_vote_matrix() {
        let all = own().map(|(name, _)| name);
        let most: Vec<&str> = all.into_iter().filter(|name| *name != "shift").collect();
        let only = |kept: &[&'static str]| -> Vec<String> {
            let others = all.into_iter().filter(|name| !kept.contains(name)).map(|name| format!("-{name}"));
            kept.iter().map(|name| (*name).to_owned()).chain(others).collect()
        };
        let of = |said: Vec<String>| flags(&said.iter().map(String::as_str).collect::<Vec<_>>());
        //                                 majority, unanimous, weighted, any, the documents'
        assert_eq!(flags(&[]), [false, false, false, false, false]);
        assert_eq!(flags(&["ema"]), [false, false, false, true, false]);
        assert_eq!(flags(&["zscore", "robust", "ema"]), [false, false, false, true, true]);
        assert_eq!(flags(&["zscore", "seasonal"]), [true, false, false, true, true]);
        assert_eq!(flags(&most), [true, false, true, true, true]);
        assert_eq!(flags(&all), [true, true, true, true, true]);
        assert_eq!(of(only(&["ema", "step_change"])), [true, true, true, true, true]);
        assert_eq!(of(only(&["ema"])), [false, false, true, true, true], "one alone is no agreement");
        assert_eq!(of(only(&[])), [false, false, false, false, false]);
    }

    #[test]
    fn the_defaults_are_those_of_the_documents_and_each_can_be_overridden() {
        let weights = serde_json::json!({
            "zscore": 1.0, "ema": 1.0, "seasonal": 1.5, "isolation_forest": 1.2, "others": 1.0
        });
        let defaults = serde_json::json!({
            "mode": "majority", "weights": weights, "agreement_threshold": 2, "score_threshold": 0.6
        });
        assert_eq!(serde_json::to_value(EnsembleConfig::default()).unwrap(), defaults);
        let read: EnsembleConfig = serde_json::from_str(r#"{"mode":"any","weights":{"ema":2.0}}"#).unwrap();
        let weights = Weights { ema: 2.0, ..Weights::default() };
        assert_eq!(read, EnsembleConfig { mode: VotingMode::Any, weights, ..EnsembleConfig::default() });
    }

    #[test]
    fn a_weight_moves_the_weighted_score() {
        let log_tails = own().map(|(detector, _)| match detector {
            "zscore" => 8.0,
            "seasonal" => 2.0,
            _ => f32::NAN,
        });
        let config = EnsembleConfig { mode: VotingMode::Weighted, ..EnsembleConfig::default() };
        // zscore scores 0.8 and seasonal 0.3 at this budget.
        assert!((config.weighted(&Votes::new(log_tails, None, BUDGET)) - (0.8 + 1.5 * 0.3) / 2.5).abs() < 1e-12);
    }
}
