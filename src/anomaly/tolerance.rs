//! What people have said is no anomaly of a series: how far it may be off, and what of it is not told again.
//!
//! Three false alarms to one side are a pattern: what is off by no more than the least of the three greatest, and a bit, is
//! not told again. A true alarm takes back what it is covered by. Three false alarms of a kind without a value (a silence, a
//! flat line, a drift) end that kind for the series.
//!
//! Not here: what people say (see `record`), habits that nobody had to tell (see `analysis::habit`).
//!
//! Invariant: a true alarm like which there is one is always told.

use super::record::{AnomalyRecord, FeedbackVerdict};
use super::run::{AnomalyKind, Peak, Side};

/// So many false alarms are a pattern.
const MARKS: usize = 3;
/// What is at most this share larger is like it: as for habits, whose likes are at least seven tenths.
const LIKE: f64 = 0.7;

/// What is tolerated of one series; nothing unless people said so.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tolerance {
    /// How far above what was expected.
    pub above: Option<f64>,
    /// How far below.
    pub below: Option<f64>,
    kinds: Vec<AnomalyKind>,
}

fn deviation(peak: &Peak) -> Option<f64> {
    Some((peak.value - peak.expected).abs()).filter(|deviation| deviation.is_finite() && !is_own(peak.kind))
}

/// Whether a kind is told by itself, whatever the value.
fn is_own(kind: AnomalyKind) -> bool {
    matches!(kind, AnomalyKind::Silence | AnomalyKind::Flat | AnomalyKind::Drift)
}

impl Tolerance {
    /// By what people said of these anomalies of one series.
    pub fn of<'a>(records: impl Iterator<Item = &'a AnomalyRecord> + Clone) -> Self {
        let marked = |verdict: FeedbackVerdict| {
            let is_marked = move |record: &&AnomalyRecord| {
                record.feedback.as_ref().is_some_and(|feedback| feedback.verdict == verdict)
            };
            records.clone().filter(is_marked).map(|record| &record.peak)
        };
        let side = |side: Side| {
            let of_side = |verdict| marked(verdict).filter(|peak| peak.direction == side).filter_map(deviation);
            let mut false_alarms: Vec<f64> = of_side(FeedbackVerdict::FalseAlarm).collect();
            false_alarms.sort_unstable_by(|left, right| right.total_cmp(left));
            let reach = false_alarms.get(MARKS - 1)? / LIKE;
            // What was a true alarm, and all beyond it, stays one.
            let least = of_side(FeedbackVerdict::TrueAlarm).fold(f64::INFINITY, f64::min);
            Some(reach.min(LIKE * least)).filter(|reach| *reach > 0.0)
        };
        let is_ended = |kind: &AnomalyKind| {
            let count = |verdict| marked(verdict).filter(|peak| peak.kind == *kind).count();
            count(FeedbackVerdict::FalseAlarm) >= MARKS && count(FeedbackVerdict::TrueAlarm) == 0
        };
        let own = [AnomalyKind::Silence, AnomalyKind::Flat, AnomalyKind::Drift];
        Self { above: side(Side::Above), below: side(Side::Below), kinds: own.into_iter().filter(is_ended).collect() }
    }

    /// Whether nothing is tolerated.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a run with this peak is not to be told.
    pub fn covers(&self, peak: &Peak) -> bool {
        if is_own(peak.kind) {
            return self.kinds.contains(&peak.kind);
        }
        let reach = if peak.direction == Side::Above { self.above } else { self.below };
        reach.zip(deviation(peak)).is_some_and(|(reach, deviation)| deviation <= reach)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Feedback;
    use super::super::record::tests::run;
    use super::*;

    fn marked(value: f64, kind: AnomalyKind, verdict: Option<FeedbackVerdict>) -> AnomalyRecord {
        let mut record = AnomalyRecord::of_run(run("cpu", "a", 5, 0.8));
        (record.peak.value, record.peak.expected, record.peak.kind) = (value, 100.0, kind);
        record.peak.direction = if value < 100.0 { Side::Below } else { Side::Above };
        record.feedback = verdict.map(|verdict| Feedback { verdict, note: None, by: None, at_ms: 0 });
        record
    }

    fn tolerance(marks: &[(f64, FeedbackVerdict)]) -> Tolerance {
        let records: Vec<_> =
            marks.iter().map(|(value, verdict)| marked(*value, AnomalyKind::Point, Some(*verdict))).collect();
        Tolerance::of(records.iter())
    }

    use FeedbackVerdict::{FalseAlarm, TrueAlarm};

    /// CAL-014.
    #[test]
    fn three_false_alarms_raise_the_limit_and_a_true_one_does_not() {
        let covers = |tolerance: &Tolerance, value| tolerance.covers(&marked(value, AnomalyKind::Point, None).peak);
        let two = tolerance(&[(170.0, FalseAlarm), (180.0, FalseAlarm), (170.0, TrueAlarm)]);
        assert!(two.is_nothing());
        let three = tolerance(&[(170.0, FalseAlarm), (180.0, FalseAlarm), (190.0, FalseAlarm)]);
        assert_eq!((three.above, three.below), (Some(100.0), None));
        assert!(covers(&three, 180.0) && !covers(&three, 210.0) && !covers(&three, 30.0));
        let true_one = tolerance(&[(170.0, FalseAlarm), (180.0, FalseAlarm), (190.0, FalseAlarm), (180.0, TrueAlarm)]);
        assert!(!covers(&true_one, 180.0) && covers(&true_one, 150.0));
    }

    #[test]
    fn kinds_without_a_value_end_by_three_marks() {
        let records: Vec<_> = (0..3).map(|_| marked(f64::NAN, AnomalyKind::Silence, Some(FalseAlarm))).collect();
        let told = |kind| Tolerance::of(records.iter()).covers(&marked(f64::NAN, kind, None).peak);
        assert!(told(AnomalyKind::Silence) && !told(AnomalyKind::Flat) && !told(AnomalyKind::Point));
        assert!(!Tolerance::of(records[..2].iter()).covers(&records[0].peak));
    }
}
