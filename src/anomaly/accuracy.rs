//! How often what was told was right, by what people said of it: of all together, of each metric, and of each detector.
//!
//! Not here: what follows for a series (see `tolerance`), labels of files (see `analysis::accuracy`).
//!
//! Invariant: metrics are as many as the caller allows; those that were judged most stay.

use super::Records;
use super::record::FeedbackVerdict;
use std::collections::BTreeMap;

/// What people said of some anomalies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// That they were worth it.
    pub true_alarms: u64,
    /// That they were not.
    pub false_alarms: u64,
}

impl Said {
    /// The share that was right; `None` where nobody said anything.
    pub fn precision(&self) -> Option<f64> {
        let all = self.true_alarms + self.false_alarms;
        (all > 0).then(|| self.true_alarms as f64 / all as f64)
    }

    /// How many were judged.
    pub fn all(&self) -> u64 {
        self.true_alarms + self.false_alarms
    }

    fn add(&mut self, verdict: FeedbackVerdict) {
        match verdict {
            FeedbackVerdict::TrueAlarm => self.true_alarms += 1,
            FeedbackVerdict::FalseAlarm => self.false_alarms += 1,
        }
    }
}

/// What people said of all anomalies that are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accuracy {
    /// Of all together.
    pub all: Said,
    /// By the name of the metric.
    pub metrics: BTreeMap<String, Said>,
    /// By detector, of the anomalies it agreed to.
    pub detectors: BTreeMap<String, Said>,
}

impl Accuracy {
    /// By what was said at this time or later; one pass over all anomalies.
    pub fn of(records: &Records, since_ms: i64, names_max: usize) -> Self {
        let mut accuracy = Self::default();
        for record in records.all() {
            let Some(feedback) = record.feedback.as_ref().filter(|said| said.at_ms >= since_ms) else { continue };
            accuracy.all.add(feedback.verdict);
            accuracy.metrics.entry(record.name().to_owned()).or_default().add(feedback.verdict);
            for detector in record.agreeing() {
                accuracy.detectors.entry(detector.to_owned()).or_default().add(feedback.verdict);
            }
        }
        if accuracy.metrics.len() > names_max {
            let mut all: Vec<_> = std::mem::take(&mut accuracy.metrics).into_iter().collect();
            all.sort_by_key(|(_, said)| std::cmp::Reverse(said.all()));
            all.truncate(names_max);
            accuracy.metrics = all.into_iter().collect();
        }
        accuracy
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::run;
    use super::super::record::{AnomalyRecord, Feedback};
    use super::*;
    use std::sync::Arc;

    /// CAL-016.
    #[test]
    fn what_people_said_is_counted_by_metric_and_detector() {
        let mut records = Records::default();
        let verdicts = [Some(FeedbackVerdict::TrueAlarm), Some(FeedbackVerdict::FalseAlarm), None];
        for (at, verdict) in verdicts.into_iter().enumerate() {
            for name in ["cpu", "disk"] {
                let mut record = AnomalyRecord::of_run(run(name, "a", at as i64 * 1000, 0.8));
                record.feedback =
                    verdict.map(|verdict| Feedback { verdict, note: None, by: None, at_ms: at as i64 * 1000 });
                records.put(Arc::new(record));
            }
        }
        let accuracy = Accuracy::of(&records, i64::MIN, 10);
        assert_eq!(accuracy.all, Said { true_alarms: 2, false_alarms: 2 });
        assert_eq!(accuracy.metrics["cpu"].precision(), Some(0.5));
        assert!(accuracy.detectors.values().all(|said| said.all() == 4) && !accuracy.detectors.is_empty());
        assert_eq!(Accuracy::of(&records, 1000, 1).metrics.len(), 1);
        assert_eq!(Said::default().precision(), None);
    }
}
