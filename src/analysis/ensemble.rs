//! Tail probabilities of several detectors become one score, and their votes a majority of families.
//!
//! Detectors of a family look at the same thing, so families vote, not detectors. Tail probabilities are combined by
//! their harmonic mean (Wilson 2019, PNAS 116), which holds under dependence: first within a family, then over the
//! families; one that abstains is left out.
//!
//! Not here: whether an anomaly is raised (see `judge`).
//!
//! Invariant: scores lie in 0..=1 and rise with the combined evidence; 0.6 is where the budget of anomalies is spent.

/// What a detector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Distance from the level, in units of the spread.
    LocationScale,
    /// Distance from what the slot of the season usually has.
    Seasonal,
    /// Difference from what was just before.
    Change,
}

impl Family {
    /// What that is, in words.
    pub fn looks_at(self) -> &'static str {
        match self {
            Self::LocationScale => "level and spread",
            Self::Seasonal => "time of day and week",
            Self::Change => "change",
        }
    }
}

const FAMILIES: [Family; 3] = [Family::LocationScale, Family::Seasonal, Family::Change];

/// Detectors that take part, at most.
pub const DETECTORS: usize = 6;

/// What one detector says of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Vote {
    /// Name of the detector.
    pub detector: &'static str,
    /// Its family.
    pub family: Family,
    /// -log10 of the tail probability; `None` if it abstains.
    pub log_tail: Option<f64>,
}

/// The votes on one sample.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Votes {
    votes: [Option<Vote>; DETECTORS],
    line: f64,
}

impl Votes {
    /// With the votes, and the evidence from which a vote counts as "unusual".
    pub(crate) fn new(votes: [Vote; DETECTORS], budget_log_tail: f64) -> Self {
        Self { votes: votes.map(Some), line: budget_log_tail * VOTE_SHARE }
    }

    /// Every detector's vote.
    pub fn all(&self) -> impl Iterator<Item = &Vote> {
        self.votes.iter().flatten()
    }

    /// The detectors that find the sample unusual.
    pub fn agreeing(&self) -> impl Iterator<Item = &Vote> {
        self.all().filter(|vote| vote.log_tail.is_some_and(|log_tail| log_tail >= self.line))
    }

    /// Each detector's score, as [`Verdict::score`](super::Verdict::score) would be if it judged alone; `None` where it
    /// abstains.
    pub fn scores(&self) -> [Option<f64>; DETECTORS] {
        self.votes.map(|vote| vote?.log_tail.map(|log_tail| score(log_tail, self.line / VOTE_SHARE)))
    }

    /// Combined evidence: -log10 of the tail probability of all families together; `None` if all abstain.
    pub(crate) fn combined(&self) -> Option<f64> {
        harmonic(FAMILIES.into_iter().filter_map(|family| self.of_family(family)))
    }

    /// Whether more than half of the families that judged find the sample unusual.
    pub(crate) fn has_majority(&self) -> bool {
        let judged = FAMILIES.into_iter().filter_map(|family| self.of_family(family));
        let (votes, families) =
            judged.fold((0, 0), |(yes, all), log_tail| (yes + u8::from(log_tail >= self.line), all + 1));
        2 * votes > families
    }

    fn of_family(&self, family: Family) -> Option<f64> {
        harmonic(self.all().filter(|vote| vote.family == family).filter_map(|vote| vote.log_tail))
    }
}

/// A family votes "unusual" at half the evidence the budget asks of all together: two independent families that just
/// vote make up the whole of it.
const VOTE_SHARE: f64 = 0.5;

/// -log10 of the harmonic mean of tail probabilities given as -log10.
fn harmonic(log_tails: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = log_tails.fold((0.0, 0), |(sum, n), log_tail| (sum + 10f64.powf(log_tail), n + 1));
    (n > 0).then(|| (sum / f64::from(n)).log10())
}

/// The score of combined evidence: 0.6 at the budget, towards 1 beyond.
pub(crate) fn score(log_tail: f64, budget_log_tail: f64) -> f64 {
    let share = log_tail.max(0.0) / budget_log_tail;
    if share <= 1.0 { 0.6 * share } else { 0.6 + 0.4 * (1.0 - 1.0 / share) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(location: [Option<f64>; 3], seasonal: Option<f64>, change: [Option<f64>; 2]) -> Votes {
        let of = |family, log_tail| Vote { detector: "one", family, log_tail };
        let l = location.map(|log_tail| of(Family::LocationScale, log_tail));
        let c = change.map(|log_tail| of(Family::Change, log_tail));
        Votes::new([l[0], l[1], l[2], of(Family::Seasonal, seasonal), c[0], c[1]], 4.0)
    }

    #[test]
    fn the_score_is_the_flag_line_where_the_budget_is_spent() {
        assert_eq!([0.0, 2.0, 4.0, 8.0, -1.0].map(|log_tail| score(log_tail, 4.0)), [0.0, 0.3, 0.6, 0.8, 0.0]);
        assert!(score(30.0, 4.0) < 1.0);
    }

    #[test]
    fn three_of_one_family_are_no_majority() {
        assert!(!votes([Some(9.0); 3], Some(0.1), [Some(0.1); 2]).has_majority());
        assert!(votes([Some(9.0); 3], Some(9.0), [Some(0.1); 2]).has_majority());
    }

    #[test]
    fn who_abstains_does_not_count() {
        assert!(votes([Some(9.0), None, None], None, [None; 2]).has_majority());
        assert!(!votes([None; 3], None, [None; 2]).has_majority());
        assert_eq!(votes([None; 3], None, [None; 2]).combined(), None);
    }

    #[test]
    fn evidence_that_agrees_stays_and_evidence_of_one_is_shared() {
        let all = votes([Some(6.0); 3], Some(6.0), [Some(6.0); 2]).combined().unwrap();
        let one = votes([Some(6.0); 3], Some(0.0), [Some(0.0); 2]).combined().unwrap();
        assert!((all - 6.0).abs() < 1e-9);
        assert!((one - (6.0 - 3f64.log10())).abs() < 1e-3);
    }

    #[test]
    fn agreeing_detectors_are_named() {
        assert_eq!(votes([Some(6.0), Some(1.0), None], None, [Some(2.0), None]).agreeing().count(), 2);
    }
}
