//! How the detectors' votes become "anomalous" when a request says so itself.
//!
//! Not here: the judge, whose word counts unless a request says otherwise (see `analysis`).

use super::answer::ApiError;
use super::body::Fields;
use crate::analysis::Verdict;

/// Normal samples after which a run is over, as the judge has it.
const CALM_SAMPLES: u32 = 5;
/// The flag line.
const THRESHOLD: f64 = 0.6;

/// Which votes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// More than half of the families of detectors.
    Majority,
    /// Every detector that judges.
    Unanimous,
    /// The combined score alone.
    Weighted,
    /// Any detector.
    Any,
}

/// A rule and a threshold of a request, or neither.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flagging(Option<(Rule, f64)>);

impl Flagging {
    /// The fields `ensemble` and `threshold`.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let rules = [
            ("majority", Rule::Majority),
            ("unanimous", Rule::Unanimous),
            ("weighted", Rule::Weighted),
            ("any", Rule::Any),
        ];
        let rule = fields.word("ensemble", &rules)?;
        let threshold = fields.number("threshold")?;
        if threshold.is_some_and(|threshold| !(0.0..=1.0).contains(&threshold)) {
            return Err(ApiError::field("threshold", "expected a number between 0 and 1"));
        }
        let asks = rule.is_some() || threshold.is_some();
        Ok(Self(asks.then(|| (rule.unwrap_or(Rule::Majority), threshold.unwrap_or(THRESHOLD)))))
    }

    /// What holds for one series.
    pub(super) fn start(self) -> Flags {
        Flags { flagging: self, calm: CALM_SAMPLES }
    }
}

/// Flags one series' samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flags {
    flagging: Flagging,
    calm: u32,
}

impl Flags {
    /// Puts the request's word in the place of the judge's; whether a run goes on after this sample.
    pub(super) fn apply(&mut self, verdict: &mut Verdict, goes_on: bool) -> bool {
        let Some((rule, threshold)) = self.flagging.0 else { return goes_on };
        verdict.is_anomaly = verdict.judged.is_some() && flags(rule, threshold, verdict);
        self.calm = match (verdict.is_anomaly, verdict.judged) {
            (true, _) => 0,
            (false, Some(_)) => self.calm.saturating_add(1),
            (false, None) => self.calm,
        };
        self.calm < CALM_SAMPLES
    }
}

fn flags(rule: Rule, threshold: f64, verdict: &Verdict) -> bool {
    let judged = verdict.votes.all().filter(|vote| vote.log_tail.is_some()).count();
    let agreeing = verdict.votes.agreeing().count();
    match rule {
        Rule::Majority => verdict.votes.has_majority() && verdict.score >= threshold,
        Rule::Unanimous => judged > 0 && agreeing == judged && verdict.score >= threshold,
        Rule::Weighted => verdict.score >= threshold,
        Rule::Any => verdict.votes.scores().into_iter().flatten().any(|score| score >= threshold),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{DETECTORS, Family, SeriesModel, Settings, Votes};

    /// A verdict with a vote of one detector a family, in halves of the evidence that the flag line asks for; the other
    /// detectors abstain.
    fn verdict(halves: &[f64], score: f64) -> Verdict {
        let families = [Family::LocationScale, Family::Seasonal, Family::Change];
        let mut log_tails = [f32::NAN; DETECTORS];
        let none = Votes::new(log_tails, 4.0);
        for (family, halves) in families.iter().zip(halves) {
            let at = none.all().position(|vote| vote.family == *family).unwrap();
            log_tails[at] = 2.0 * *halves as f32;
        }
        let silent = SeriesModel::new(None, Settings::default()).observe(0, 1.0);
        Verdict { judged: Some(1.0), votes: Votes::new(log_tails, 4.0), score, ..silent }
    }

    #[test]
    fn every_rule_asks_for_its_own_votes() {
        let rules = [Rule::Unanimous, Rule::Majority, Rule::Weighted, Rule::Any];
        let flagged = |halves: &[f64], score| rules.map(|rule| flags(rule, 0.6, &verdict(halves, score)));
        assert_eq!(flagged(&[3.0, 3.0, 3.0], 0.8), [true, true, true, true]);
        assert_eq!(flagged(&[3.0, 3.0, 0.1], 0.7), [false, true, true, true]);
        assert_eq!(flagged(&[3.0, 0.1, 0.1], 0.65), [false, false, true, true]);
        assert_eq!(flagged(&[3.0, 0.1, 0.1], 0.5), [false, false, false, true]);
        assert_eq!(flagged(&[0.1, 0.1, 0.1], 0.1), [false; 4]);
        assert_eq!(flagged(&[], 0.0), [false; 4]);
    }

    #[test]
    fn a_run_goes_on_until_enough_samples_are_normal() {
        let mut flags = Flagging(Some((Rule::Weighted, 0.6))).start();
        let mut goes_on = |score| flags.apply(&mut verdict(&[1.0], score), false);
        assert!(!goes_on(0.1) && goes_on(0.9));
        let after: Vec<bool> = (0..CALM_SAMPLES).map(|_| goes_on(0.1)).collect();
        assert_eq!(after, [true, true, true, true, false]);
        let mut judged = Flagging::default().start();
        let mut verdict = verdict(&[3.0], 0.9);
        assert!(judged.apply(&mut verdict, true) && !verdict.is_anomaly, "the judge's word stands");
    }
}
