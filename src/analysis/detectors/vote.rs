//! What several named detectors say of a sample becomes one word.
//!
//! Not here: the votes of the live ensemble, which are tail probabilities of families (see `ensemble`, `voting`).
//!
//! Invariants: who abstains does not count; a combined score is at least 0.6 exactly where the sample is flagged.

use super::AnomalyResult;
use crate::analysis::{Confidence, EnsembleConfig, VotingMode};

/// The line of all scores.
const FLAG_LINE: f64 = 0.6;

/// The word of all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Combined {
    /// From 0 to 1.
    pub score: f64,
    /// Whether the sample is flagged.
    pub is_anomaly: bool,
    /// Detectors that flag it.
    pub agreeing: usize,
    /// Detectors that judged it.
    pub judged: usize,
}

impl Combined {
    /// How sure the word is.
    pub fn confidence(&self) -> Confidence {
        Confidence::of(self.score, self.agreeing)
    }
}

/// Combines what detectors said of one sample, each with its name.
///
/// By majority, unanimity or any, the score is that of the last detector that is needed. In the weighted mode it is the
/// weighted mean. The mode of the documents is theirs: two that agree, or a weighted mean of 0.6 on their own scale.
pub fn combine(config: &EnsembleConfig, said: &[(&str, AnomalyResult)]) -> Combined {
    let judged: Vec<&(&str, AnomalyResult)> = said.iter().filter(|(_, result)| result.judgement.is_judged).collect();
    let agreeing = judged.iter().filter(|(_, result)| result.is_anomaly).count();
    let word = |score: f64, is_anomaly: bool| Combined { score, is_anomaly, agreeing, judged: judged.len() };
    if judged.is_empty() {
        return word(0.0, false);
    }
    let mut scores: Vec<f64> = judged.iter().map(|(_, result)| result.judgement.normalised()).collect();
    scores.sort_unstable_by(|a, b| b.total_cmp(a));
    let of = |score: f64| word(score, score >= FLAG_LINE);
    match config.mode {
        VotingMode::Majority => of(scores[judged.len() / 2]),
        VotingMode::Unanimous => of(scores[judged.len() - 1]),
        VotingMode::Any => of(scores[0]),
        VotingMode::Weighted => of(weighted(config, &judged, |_, result| result.judgement.normalised())),
        VotingMode::Seed003 => {
            let mean = weighted(config, &judged, documented_score);
            let is_anomaly = agreeing >= config.agreement_threshold || mean >= config.score_threshold;
            // The documents' rule may flag at any mean; on our scale what is flagged has at least 0.6, and only that.
            word(if is_anomaly { mean.max(FLAG_LINE) } else { mean.min(FLAG_LINE - 1e-9) }, is_anomaly)
        }
    }
}

fn weighted(
    config: &EnsembleConfig,
    judged: &[&(&str, AnomalyResult)],
    score: impl Fn(&str, &AnomalyResult) -> f64,
) -> f64 {
    let (sum, weights) = judged.iter().fold((0.0, 0.0), |(sum, weights), (name, result)| {
        let weight = config.weights.of(name);
        (sum + weight * score(name, result), weights + weight)
    });
    if weights > 0.0 { sum / weights } else { 0.0 }
}

/// A score as the documents normalise it: a z-score by five, a distance from the exponential mean by a hundred of its unit,
/// anything else as a half where it is flagged. It depends on the unit of the values; the other modes do not.
pub fn documented_score(name: &str, result: &AnomalyResult) -> f64 {
    match name {
        "zscore" => (result.score / 5.0).min(1.0),
        "ema" => {
            let deviation = result.judgement.expected.map_or(0.0, |expected| (result.value - expected).abs());
            (deviation / 100.0).min(1.0)
        }
        _ if result.is_anomaly => 0.5,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Judgement;
    use super::*;

    fn said(score: f64, deviation: f64, is_anomaly: bool) -> AnomalyResult {
        let share = if is_anomaly { 2.0 } else { 0.5 };
        let judgement = Judgement {
            score,
            share,
            is_anomaly,
            is_judged: true,
            expected: Some(100.0 - deviation),
            lower: None,
            upper: None,
        };
        let (lower_bound, upper_bound) = (None, None);
        AnomalyResult {
            timestamp: 0,
            value: 100.0,
            is_anomaly,
            score,
            method: "any",
            lower_bound,
            upper_bound,
            judgement,
        }
    }

    fn abstains() -> AnomalyResult {
        AnomalyResult { judgement: Judgement::ABSTAINS, ..said(0.0, 0.0, false) }
    }

    fn by(mode: VotingMode, all: &[(&str, AnomalyResult)]) -> Combined {
        combine(&EnsembleConfig { mode, ..EnsembleConfig::default() }, all)
    }

    #[test]
    fn a_vote_needs_half_all_or_one_of_those_that_judge() {
        let (yes, no) = (said(9.0, 0.0, true), said(1.0, 0.0, false));
        let flags = |all: &[(&str, AnomalyResult)]| {
            [VotingMode::Majority, VotingMode::Unanimous, VotingMode::Any].map(|mode| by(mode, all).is_anomaly)
        };
        assert_eq!(flags(&[("zscore", yes), ("ema", no), ("iqr", no)]), [false, false, true]);
        assert_eq!(flags(&[("zscore", yes), ("ema", yes), ("iqr", no)]), [true, false, true]);
        assert_eq!(flags(&[("zscore", yes), ("ema", yes), ("iqr", abstains())]), [true, true, true]);
        assert_eq!(flags(&[("zscore", yes), ("ema", no)]), [false, false, true], "half is no majority");
        assert_eq!(flags(&[("zscore", abstains())]), [false; 3]);
        let combined = by(VotingMode::Majority, &[("zscore", yes), ("ema", yes), ("iqr", no)]);
        assert_eq!((combined.score, combined.agreeing, combined.judged), (0.8, 2, 3));
    }

    /// ENS-013, ENS-014, ENS-015: by hand, with weights 1, 1 and 1.5.
    #[test]
    fn the_documents_rule_is_two_that_agree_or_a_mean_of_six_tenths() {
        let all =
            [("zscore", said(4.0, 0.0, true)), ("ema", said(9.0, 30.0, false)), ("seasonal", said(3.5, 0.0, true))];
        let scores: Vec<f64> = all.iter().map(|(name, result)| documented_score(name, result)).collect();
        assert_eq!(scores, [0.8, 0.3, 0.5]);
        let combined = by(VotingMode::Seed003, &all);
        assert_eq!(
            (combined.is_anomaly, combined.score),
            (true, 0.6),
            "two agree; the mean is (0.8 + 0.3 + 0.75) / 3.5"
        );
        let alone = by(VotingMode::Seed003, &all[..2]);
        assert!(!alone.is_anomaly && (alone.score - 0.55).abs() < 1e-12);
        let strong = by(VotingMode::Seed003, &[("zscore", said(50.0, 0.0, true)), ("ema", said(1.0, 40.0, false))]);
        assert!(strong.is_anomaly && (strong.score - 0.7).abs() < 1e-12, "one is enough if it is sure");
        // Who abstains weighs nothing.
        let rest = by(VotingMode::Seed003, &[("zscore", said(50.0, 0.0, true)), ("isolation_forest", abstains())]);
        assert_eq!(rest.score, 1.0);
    }
}
