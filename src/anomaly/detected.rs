//! How many anomalies each metric had, by detector and severity: `anomaly_detected_total`.
//!
//! An anomaly is counted once for every severity it reaches, under every detector that agreed then and under the
//! ensemble. Counts outlive the records they came from and a restart, so that they only rise.
//!
//! Not here: when a record is counted (see `book`).
//!
//! Invariant: no more names are counted than `names_max`; what comes on top is counted without its name.

use super::record::{AnomalyRecord, ENSEMBLE, Source};
use crate::analysis::Severity;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Counts by metric name, then by detector and severity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Detected {
    by_name: BTreeMap<String, Vec<Count>>,
    /// Counts of metrics beyond the limit.
    beyond: u64,
}

/// One count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// The detector, or the ensemble.
    pub detector: Cow<'static, str>,
    /// The severity reached.
    pub severity: Severity,
    /// How many anomalies did so.
    pub count: u64,
}

impl Detected {
    /// Counts what a record has reached and was not counted for yet, and notes in it that it was.
    pub(super) fn add(&mut self, record: &mut AnomalyRecord, names_max: usize) {
        if record.source != Source::Infrawatch {
            return;
        }
        let severity = record.peak.severity;
        let agreeing = record.peak.votes.iter().filter(|vote| vote.anomalous).map(|vote| vote.detector.clone());
        for detector in agreeing.chain([Cow::Borrowed(ENSEMBLE)]) {
            let reached = (detector, severity);
            if !record.counted.contains(&reached) {
                self.count(record.name(), reached.0.clone(), severity, names_max);
                record.counted.push(reached);
            }
        }
    }

    fn count(&mut self, name: &str, detector: Cow<'static, str>, severity: Severity, names_max: usize) {
        if !self.by_name.contains_key(name) {
            if self.by_name.len() >= names_max {
                self.beyond += 1;
                return;
            }
            self.by_name.insert(name.to_owned(), Vec::new());
        }
        let Some(counts) = self.by_name.get_mut(name) else { return };
        match counts.iter_mut().find(|count| count.detector == detector && count.severity == severity) {
            Some(found) => found.count += 1,
            None => counts.push(Count { detector, severity, count: 1 }),
        }
    }

    /// Every count with its metric's name, in order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Count)> {
        self.by_name.iter().flat_map(|(name, counts)| counts.iter().map(|count| (name.as_str(), count)))
    }

    /// How often something of a metric beyond the limit was not counted under its name.
    pub fn beyond(&self) -> u64 {
        self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::run;
    use super::*;

    fn counts(detected: &Detected) -> Vec<(&str, &str, &str, u64)> {
        detected.iter().map(|(name, c)| (name, &*c.detector, c.severity.as_str(), c.count)).collect()
    }

    #[test]
    fn a_record_counts_once_for_each_severity_it_reaches() {
        let mut detected = Detected::default();
        let mut record = AnomalyRecord::of_run(run("cpu", "a", 1, 0.65));
        detected.add(&mut record, 10);
        detected.add(&mut record, 10);
        assert_eq!(counts(&detected), [("cpu", "zscore", "low", 1), ("cpu", "ensemble", "low", 1)]);
        record.peak.severity = Severity::High;
        detected.add(&mut record, 10);
        assert_eq!(counts(&detected)[2..], [("cpu", "zscore", "high", 1), ("cpu", "ensemble", "high", 1)]);
    }

    #[test]
    fn names_beyond_the_limit_are_counted_without_their_name() {
        let mut detected = Detected::default();
        for name in ["a", "b", "c", "a"] {
            detected.add(&mut AnomalyRecord::of_run(run(name, "a", 1, 0.65)), 2);
        }
        assert_eq!((detected.iter().count(), detected.beyond()), (4, 2));
        assert_eq!(counts(&detected)[0], ("a", "zscore", "low", 2));
    }

    #[test]
    fn what_others_say_is_not_counted_as_detected() {
        let mut detected = Detected::default();
        let mut record = AnomalyRecord::of_run(run("cpu", "a", 1, 0.65));
        record.source = Source::External;
        detected.add(&mut record, 10);
        assert_eq!(detected, Detected::default());
    }
}
