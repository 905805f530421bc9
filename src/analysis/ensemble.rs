//! Tail probabilities of several detectors become one score, and their votes a majority of families.
//!
//! Detectors of a family look at the same thing, so families vote, not detectors. A family says what its most certain
//! detector says; together they say the mean of the two most certain families (in logarithms: the geometric mean of
//! their tail probabilities), so that no single estimate of a tail raises an anomaly alone. One that abstains is left out.
//! What the detectors that remember a day say counts a fifth beside that: bursts that are unusual only against the last
//! minutes are less news.
//!
//! Not here: whether an anomaly is raised (see `judge`).
//!
//! Invariant: scores lie in 0..=1 and rise with the combined evidence; 0.6 is where the budget of anomalies is spent.

use super::detect::NAMES;

/// What a detector looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Distance from the level, in units of the spread.
    LocationScale,
    /// Distance from what the slot of the season usually has.
    Seasonal,
    /// Difference from what was just before.
    Change,
    /// Distance from what a model that was trained on other series expects.
    Foundation,
}

impl Family {
    /// What that is, in words.
    pub fn looks_at(self) -> &'static str {
        match self {
            Self::LocationScale => "level and spread",
            Self::Seasonal => "time of day and week",
            Self::Change => "change",
            Self::Foundation => "forecast of the foundation model",
        }
    }
}

/// Detectors that take part, at most.
pub const DETECTORS: usize = OWN + 1;

/// Those that every series has.
pub(crate) const OWN: usize = 6;

/// The one that only series with a band of a foundation model have.
pub(crate) const FOUNDATION: usize = OWN;

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

/// Whose votes count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Counting {
    /// Those of the detectors every series has; what a foundation model says is shown beside them.
    #[default]
    Own,
    /// All.
    All,
    /// All, because the series is too young to be judged by its own detectors alone.
    Prior,
}

/// The votes on one sample.
#[derive(Debug, Clone, Copy)]
pub struct Votes {
    /// -log10 of each detector's tail probability; NaN where it abstains.
    log_tails: [f32; DETECTORS],
    counting: Counting,
    /// From where one counts as "unusual".
    line: f32,
}

impl PartialEq for Votes {
    /// Abstaining equals abstaining.
    fn eq(&self, other: &Self) -> bool {
        self.log_tails.map(f32::to_bits) == other.log_tails.map(f32::to_bits)
            && (self.line, self.counting) == (other.line, other.counting)
    }
}

impl Default for Votes {
    /// All abstain.
    fn default() -> Self {
        Self { log_tails: [f32::NAN; DETECTORS], counting: Counting::Own, line: 0.0 }
    }
}

impl Votes {
    /// With each detector's -log10 of its tail probability, NaN where it abstains; where a foundation model says
    /// something, with that and whose votes count then.
    pub(crate) fn new(own: [f32; OWN], foundation: Option<(f32, Counting)>, budget_log_tail: f64) -> Self {
        let (said, counting) = foundation.unwrap_or((f32::NAN, Counting::Own));
        let mut log_tails = [said; DETECTORS];
        log_tails[..OWN].copy_from_slice(&own);
        Self { log_tails, counting, line: (budget_log_tail * VOTE_SHARE) as f32 }
    }

    /// Whether a detector's vote counts; it may abstain all the same.
    #[inline]
    pub(crate) fn counts(&self, at: usize) -> bool {
        match self.counting {
            Counting::Own => at != FOUNDATION,
            Counting::All | Counting::Prior => true,
        }
    }

    /// Whether the forecast of a foundation model counts because the series is young.
    pub(crate) fn is_prior(&self) -> bool {
        self.counting == Counting::Prior
    }

    /// Whether a detector judges and its vote counts.
    #[inline]
    fn judges(&self, at: usize) -> bool {
        self.counts(at) && !self.log_tails[at].is_nan()
    }

    /// How many detectors judge whose votes count.
    pub(crate) fn judging(&self) -> usize {
        (0..DETECTORS).filter(|at| self.judges(*at)).count()
    }

    /// Whether a detector finds the sample unusual, whether or not its vote counts.
    pub fn finds(&self, detector: &str) -> bool {
        (0..DETECTORS).any(|at| NAMES[at].0 == detector && self.log_tails[at] >= self.line)
    }

    /// Every detector's vote.
    pub fn all(&self) -> impl Iterator<Item = Vote> {
        let of = |((detector, family), log_tail): ((&'static str, Family), f32)| Vote {
            detector,
            family,
            log_tail: (!log_tail.is_nan()).then_some(f64::from(log_tail)),
        };
        NAMES.into_iter().zip(self.log_tails).map(of)
    }

    /// The detectors that find the sample unusual, of those whose votes count.
    pub fn agreeing(&self) -> impl Iterator<Item = Vote> {
        let finds = |(at, _): &(usize, Vote)| self.counts(*at) && self.log_tails[*at] >= self.line;
        self.all().enumerate().filter(finds).map(|(_, vote)| vote)
    }

    /// Each detector's score, whether or not its vote counts, as [`Verdict::score`](super::Verdict::score) would be if it judged alone; `None` where it
    /// abstains.
    pub fn scores(&self) -> [Option<f64>; DETECTORS] {
        let budget = f64::from(self.line) / VOTE_SHARE;
        self.log_tails.map(|log_tail| (!log_tail.is_nan()).then(|| score(f64::from(log_tail), budget)))
    }

    /// What each detector contributes to a score, as far as its evidence counts in all families' together; they add up
    /// to the score where any judges.
    pub fn contributions(&self, score: f64) -> [f64; DETECTORS] {
        let mut best: Vec<usize> = Vec::with_capacity(4);
        for family in [Family::LocationScale, Family::Seasonal, Family::Change, Family::Foundation] {
            let members = (0..DETECTORS).filter(|at| NAMES[*at].1 == family && self.judges(*at));
            best.extend(members.max_by(|left, right| self.log_tails[*left].total_cmp(&self.log_tails[*right])));
        }
        best.sort_by(|left, right| self.log_tails[*right].total_cmp(&self.log_tails[*left]));
        let knows_a_day = best.len() > 1 && A_DAY.iter().all(|at| !self.log_tails[*at].is_nan());
        let long_run = if knows_a_day { LONG_RUN_SHARE } else { 0.0 };
        let mut shares = [0.0; DETECTORS];
        best.iter().take(2).for_each(|at| shares[*at] += (1.0 - long_run) * f64::from(self.log_tails[*at]));
        A_DAY.iter().filter(|_| knows_a_day).for_each(|at| shares[*at] += long_run * f64::from(self.log_tails[*at]));
        let sum: f64 = shares.iter().sum();
        shares.map(|share| if sum > 0.0 { share / sum * score } else { 0.0 })
    }

    /// Whether the detectors that judge by a long memory find nothing unusual.
    pub(crate) fn is_usual_in_the_long_run(&self) -> bool {
        SLOW.iter().all(|at| self.log_tails[*at].is_nan() || self.log_tails[*at] < USUAL_LOG_TAIL)
    }

    /// The detector that is most certain, or the first that judges.
    pub(crate) fn most_certain(&self) -> Option<usize> {
        (0..DETECTORS)
            .filter(|at| self.judges(*at))
            .reduce(|best, at| if self.log_tails[at] > self.log_tails[best] { at } else { best })
    }

    /// The same among those that know where a value belongs. The family of change knows only what the next value would
    /// have to be to undo a change, which may be far from any the series has had.
    pub(crate) fn most_certain_of_place(&self) -> Option<usize> {
        (0..DETECTORS)
            .filter(|at| self.judges(*at) && NAMES[*at].1 != Family::Change)
            .reduce(|best, at| if self.log_tails[at] > self.log_tails[best] { at } else { best })
    }

    /// The first detector that judges.
    pub(crate) fn first(&self) -> Option<usize> {
        (0..DETECTORS).find(|at| self.judges(*at))
    }

    /// Combined evidence as -log10 of a tail probability: that of the two most certain families, or while a run goes on
    /// that of the most certain one; `None` if all abstain.
    #[inline]
    pub(crate) fn combined(&self, goes_on: bool) -> Option<f64> {
        let (mut first, mut second, mut judged) = (0.0f32, 0.0f32, 0);
        for log_tail in self.families() {
            judged += u32::from(log_tail >= 0.0);
            let (greater, lesser) = if log_tail > first { (log_tail, first) } else { (first, log_tail) };
            (first, second) = (greater, if lesser > second { lesser } else { second });
        }
        match judged {
            0 => None,
            1 => Some(f64::from(first)),
            _ if goes_on => Some(f64::from(first) - ALONE_LOG),
            _ => Some(self.with_the_long_run(0.5 * f64::from(first + second))),
        }
    }

    /// The evidence of two families together with that of the detectors that remember a day, if those judge.
    #[inline]
    fn with_the_long_run(&self, evidence: f64) -> f64 {
        let long_run = 0.5 * f64::from(self.log_tails[A_DAY[0]] + self.log_tails[A_DAY[1]]);
        if long_run.is_nan() { evidence } else { evidence + LONG_RUN_SHARE * (long_run - evidence) }
    }

    /// Whether more than half of the families that judged find the sample unusual.
    pub(crate) fn has_majority(&self) -> bool {
        let families = self.families();
        let judged = families.iter().filter(|log_tail| **log_tail >= 0.0).count();
        2 * families.iter().filter(|log_tail| **log_tail >= self.line).count() > judged
    }

    /// What the most certain detector of each family says; less than nothing where all abstain.
    #[inline]
    fn families(&self) -> [f32; 4] {
        let mut said = [-1.0; 4];
        if self.counting != Counting::Own && self.log_tails[FOUNDATION] >= 0.0 {
            said[Family::Foundation as usize] = self.log_tails[FOUNDATION];
        }
        for at in 0..OWN {
            let said = &mut said[NAMES[at].1 as usize];
            // False where one abstains.
            *said = if self.log_tails[at] > *said { self.log_tails[at] } else { *said };
        }
        said
    }
}

/// A family that is alone in carrying a run on may be wrong about its tail by a factor of ten.
const ALONE_LOG: f64 = 1.0;

/// Detectors that remember a day: where a value lies and whether it stays there.
const A_DAY: [usize; 2] = [0, 5];

/// What they count for beside the most certain families.
const LONG_RUN_SHARE: f64 = 0.2;

/// Detectors whose memory is longer than a run of anomalous samples.
const SLOW: [usize; 2] = [0, 1];

/// What one of 20 samples reaches is usual.
const USUAL_LOG_TAIL: f32 = 1.3;

/// A family votes "unusual" at half the evidence the budget asks of all together: two independent families that just
/// vote make up the whole of it.
const VOTE_SHARE: f64 = 0.5;

/// The score of combined evidence: 0.6 at the budget, towards 1 beyond.
pub(crate) fn score(log_tail: f64, budget_log_tail: f64) -> f64 {
    let share = log_tail.max(0.0) / budget_log_tail;
    if share <= 1.0 { 0.6 * share } else { 0.6 + 0.4 * (1.0 - 1.0 / share) }
}

/// The evidence of a score as a share of the budget's: what [`score`] made the score of, a thousand at most.
pub(crate) fn share(score: f64) -> f64 {
    if score <= 0.6 { score / 0.6 } else { 1.0 / (1.0 - (score - 0.6) / 0.4).max(1e-3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn votes(location: [Option<f32>; 3], seasonal: Option<f32>, change: [Option<f32>; 2]) -> Votes {
        let [a, b, c] = location.map(|log_tail| log_tail.unwrap_or(f32::NAN));
        let [e, f] = change.map(|log_tail| log_tail.unwrap_or(f32::NAN));
        Votes::new([a, b, c, seasonal.unwrap_or(f32::NAN), e, f], None, 4.0)
    }

    #[test]
    fn the_score_is_the_flag_line_where_the_budget_is_spent() {
        assert_eq!([0.0, 2.0, 4.0, 8.0, -1.0].map(|log_tail| score(log_tail, 4.0)), [0.0, 0.3, 0.6, 0.8, 0.0]);
        assert!(score(30.0, 4.0) < 1.0);
        assert!(
            [0.0, 0.5, 1.0, 1.5, 30.0].iter().all(|evidence| (share(score(*evidence, 1.0)) - evidence).abs() < 1e-9)
        );
        assert!((share(1.0) - 1000.0).abs() < 1e-6);
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
        assert_eq!(votes([None; 3], None, [None; 2]).combined(false), None);
    }

    #[test]
    fn evidence_that_agrees_stays_and_evidence_of_one_is_halved() {
        let all = votes([Some(6.0); 3], Some(6.0), [Some(6.0); 2]).combined(false);
        let one = votes([Some(6.0); 3], Some(0.0), [Some(0.0); 2]).combined(false);
        assert_eq!((all, one), (Some(6.0), Some(3.0)));
        let run = votes([Some(6.0); 3], Some(0.0), [Some(0.0); 2]).combined(true);
        assert_eq!(run, Some(5.0));
    }

    #[test]
    fn what_is_unusual_only_against_the_last_minutes_is_less_news() {
        let burst = votes([Some(1.0), Some(6.0), Some(6.0)], None, [Some(6.0), Some(1.0)]).combined(false);
        assert_eq!(burst, Some(6.0 - LONG_RUN_SHARE * 5.0));
        let young = votes([None, Some(6.0), Some(6.0)], None, [Some(6.0), None]).combined(false);
        assert_eq!(young, Some(6.0), "in the first day nobody remembers one");
    }

    #[test]
    fn slow_detectors_come_first() {
        assert_eq!(SLOW.map(|at| NAMES[at].0), ["zscore", "robust"]);
        assert_eq!(A_DAY.map(|at| NAMES[at].0), ["zscore", "shift"]);
    }

    #[test]
    fn contributions_add_up_to_the_score_and_those_without_evidence_have_none() {
        let votes = votes([Some(2.0), Some(8.0), Some(1.0)], None, [Some(4.0), Some(2.0)]);
        let shares = votes.contributions(0.8);
        assert!((shares.iter().sum::<f64>() - 0.8).abs() < 1e-12);
        // The best of two families weigh 0.8, the two that remember a day 0.2: 6.4 + 3.2 + 0.4 + 0.4.
        let wanted = [0.4, 6.4, 0.0, 0.0, 3.2, 0.4].map(|share| share / 10.4 * 0.8);
        assert!(shares.iter().zip(wanted).all(|(share, wanted)| (share - wanted).abs() < 1e-9), "{shares:?}");
        assert_eq!(Votes::default().contributions(0.0), [0.0; DETECTORS]);
    }

    #[test]
    fn the_foundation_model_is_shown_or_counts_as_a_family_and_judges_where_nobody_else_does() {
        let own = [0.5, 0.5, 0.5, f32::NAN, 0.5, 0.5];
        let of = |counting| Votes::new(own, Some((9.0, counting)), 4.0);
        let [shown, all, prior] = [Counting::Own, Counting::All, Counting::Prior].map(of);
        let shows = |votes: &Votes| votes.finds("foundation") && votes.scores()[FOUNDATION].is_some();
        assert!([shown, all, prior].iter().all(shows));
        let evidence = |votes: &Votes| votes.combined(false).unwrap();
        assert!(evidence(&shown) < 0.6 && evidence(&all) > 3.0 && evidence(&prior) == evidence(&all));
        assert_eq!([shown, all, prior].map(|votes| votes.judging()), [5, 6, 6]);
        assert_eq!([shown, all, prior].map(|votes| votes.has_majority()), [false; 3]);
        assert_eq!([shown, all, prior].map(|votes| votes.agreeing().count()), [0, 1, 1]);
        assert_eq!([shown, all, prior].map(|votes| votes.contributions(0.8)[FOUNDATION] > 0.0), [false, true, true]);
        let agreeing = Votes::new([9.0, 0.1, 0.1, f32::NAN, 9.0, 0.1], Some((0.1, Counting::All)), 4.0);
        assert!(agreeing.has_majority(), "two of three families");
        assert_eq!(agreeing.most_certain(), Some(0));
        let alone = Votes::new([f32::NAN; OWN], Some((9.0, Counting::Prior)), 4.0);
        assert!(alone.has_majority() && alone.combined(false) == Some(9.0));
        assert_eq!((alone.judging(), alone.most_certain_of_place()), (1, Some(FOUNDATION)));
    }

    #[test]
    fn agreeing_detectors_are_named() {
        assert_eq!(votes([Some(6.0), Some(1.0), None], None, [Some(2.0), None]).agreeing().count(), 2);
    }
}
