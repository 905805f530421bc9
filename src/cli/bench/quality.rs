//! How well detectors, alone and together, find the known anomalies of seeded hosts, beside what documents claim.
//!
//! Every sample is judged as if it came in now. A method's alerts are its runs of flagged samples; one that touches no
//! anomaly is false. The static limits are generous: the extremes of the first two fifths of each series, in which nothing
//! happens, as somebody would set them who had looked at that very series.
//!
//! Not here: labelled series of others (see `docs/detection.md`).

use super::super::output::Rows;
use crate::analysis::{SeriesModel, Settings, Verdict, detector_names};
use crate::synthetic::{Anomaly, AnomalyKind, Metric, Plan};
use serde_json::Value;

const STEP_MS: i64 = 60_000;
const PLAN: Plan = Plan {
    hosts: 4,
    start_ms: 1_767_571_200_000,
    step_ms: STEP_MS,
    length_ms: 7 * 86_400_000,
    seed: 2,
    anomalies: [12; 5],
};
/// Normal samples after which the next flagged one is another alert.
const CALM: usize = 5;
const FLAG_LINE: f64 = 0.6;

/// Mean time to detect in minutes and share of false alerts, as the documents claim them.
const CLAIMS: [(&str, &str, &str); 3] =
    [("static limits", "15-60", "30-50 %"), ("zscore", "5-15", "15-25 %"), ("ensemble", "1-3", "<5 %")];

/// A table, what it is about, and what follows from it.
pub(super) struct Quality {
    pub(super) rows: Rows,
    pub(super) about: String,
    pub(super) conclusion: String,
}

/// What a method did.
#[derive(Debug, Clone, Default)]
struct Tally {
    alerts: usize,
    false_alerts: usize,
    detected: usize,
    minutes: f64,
}

/// Nothing if the plan has no room for its anomalies.
pub(super) fn measure() -> Option<Quality> {
    let detectors = detector_names();
    let mut names = vec!["static limits"];
    names.extend(detectors);
    names.push("ensemble");
    let mut tallies = vec![Tally::default(); names.len()];
    let (mut anomalies, mut series_days) = (0, 0.0);
    for metric in Metric::ALL {
        for mut series in PLAN.series(metric)? {
            let samples: Vec<(i64, f64)> =
                PLAN.times().filter_map(|time_ms| Some((time_ms, series.next(&PLAN, time_ms)?))).collect();
            // No sample can say that there is none.
            let wanted: Vec<Anomaly> =
                series.anomalies.iter().copied().filter(|anomaly| anomaly.kind != AnomalyKind::Silence).collect();
            anomalies += wanted.len();
            series_days += PLAN.length_ms as f64 / 86_400_000.0;
            let flags = flags(&samples, names.len());
            for (tally, flags) in tallies.iter_mut().zip(&flags) {
                tally.add(&samples, flags, &wanted);
            }
        }
    }
    let mut rows = Rows::new(&[
        "method",
        "found",
        "found_percent",
        "mttd_minutes",
        "claimed_mttd",
        "false_percent",
        "claimed_false",
        "false_per_series_day",
    ]);
    for (name, tally) in names.iter().zip(&tallies) {
        let claim = CLAIMS.iter().find(|(claimed, ..)| claimed == name);
        let text = |claim: Option<&str>| claim.map_or(Value::Null, Value::from);
        rows.push(vec![
            (*name).into(),
            format!("{} of {anomalies}", tally.detected).into(),
            tenth(100.0 * tally.detected as f64 / anomalies as f64).into(),
            tenth(tally.minutes / tally.detected.max(1) as f64).into(),
            text(claim.map(|claim| claim.1)),
            tenth(100.0 * tally.false_alerts as f64 / tally.alerts.max(1) as f64).into(),
            text(claim.map(|claim| claim.2)),
            ((1000.0 * tally.false_alerts as f64 / series_days).round() / 1000.0).into(),
        ]);
    }
    let about = format!(
        "{} metrics of {} hosts, a week of minutes each, {anomalies} known anomalies, seed {}: as generate makes them\n",
        Metric::ALL.len(),
        PLAN.hosts,
        PLAN.seed
    );
    let conclusion = conclusion(&tallies[0], &tallies[names.len() - 1]);
    Some(Quality { rows, about, conclusion })
}

/// Every method's flags on the samples of a series, in the order of the names.
fn flags(samples: &[(i64, f64)], methods: usize) -> Vec<Vec<bool>> {
    let quiet = &samples[..samples.len() * 2 / 5];
    let (low, high) =
        quiet.iter().fold((f64::MAX, f64::MIN), |(low, high), (_, value)| (low.min(*value), high.max(*value)));
    let mut model = SeriesModel::new(None, Settings::default());
    let mut flags = vec![Vec::with_capacity(samples.len()); methods];
    for (time_ms, value) in samples {
        let verdict: Verdict = model.observe(*time_ms, *value);
        flags[0].push(*value < low || *value > high);
        for (score, flags) in verdict.votes.scores().into_iter().zip(&mut flags[1..]) {
            flags.push(score.is_some_and(|score| score >= FLAG_LINE));
        }
        flags[methods - 1].push(verdict.is_anomaly);
    }
    flags
}

impl Tally {
    /// Counts the alerts on a series, and how long each anomaly waited for its first.
    fn add(&mut self, samples: &[(i64, f64)], flags: &[bool], wanted: &[Anomaly]) {
        // Right after an anomaly its end is the change that is seen.
        let covers = |anomaly: &Anomaly, time_ms: i64| {
            (anomaly.start_ms..=anomaly.end_ms + CALM as i64 * STEP_MS).contains(&time_ms)
        };
        let (mut calm, mut is_true) = (CALM, true);
        for ((time_ms, _), is_flagged) in samples.iter().zip(flags) {
            if !is_flagged {
                calm += 1;
                continue;
            }
            if calm >= CALM {
                self.false_alerts += usize::from(!is_true);
                self.alerts += 1;
                is_true = false;
            }
            calm = 0;
            is_true |= wanted.iter().any(|anomaly| covers(anomaly, *time_ms));
        }
        self.false_alerts += usize::from(!is_true);
        for anomaly in wanted {
            let within = |time_ms: i64| (anomaly.start_ms..=anomaly.end_ms).contains(&time_ms);
            let first = samples.iter().zip(flags).find(|((time_ms, _), is_flagged)| **is_flagged && within(*time_ms));
            if let Some(((time_ms, _), _)) = first {
                self.detected += 1;
                // A sample tells of the minute that it ends.
                self.minutes += ((time_ms - anomaly.start_ms) / STEP_MS) as f64 + 1.0;
            }
        }
    }
}

fn conclusion(fixed: &Tally, ensemble: &Tally) -> String {
    let less = |fixed: usize, ensemble: usize| match fixed {
        0 => "no fewer".to_owned(),
        _ => format!("{:.0} % fewer", 100.0 * (1.0 - ensemble as f64 / fixed as f64)),
    };
    let mean = |tally: &Tally| tally.minutes / tally.detected.max(1) as f64;
    format!(
        "Against static limits the ensemble raises {} false alerts (claimed: 73 %) and {} alerts (claimed: 60 %), and what \
         it finds it finds {:.1} times as fast (claimed: 4).\n",
        less(fixed.false_alerts, ensemble.false_alerts),
        less(fixed.alerts, ensemble.alerts),
        mean(fixed) / mean(ensemble).max(1e-9),
    )
}

fn tenth(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_are_runs_and_one_that_touches_no_anomaly_is_false() {
        let series = PLAN.series(Metric::Cpu).unwrap();
        let all = series.iter().flat_map(|series| &series.anomalies);
        let wanted = *all.clone().find(|anomaly| anomaly.kind != AnomalyKind::Silence).unwrap();
        let samples: Vec<(i64, f64)> = PLAN.times().map(|time_ms| (time_ms, 0.0)).collect();
        let at = |time_ms: i64| ((time_ms - PLAN.start_ms) / STEP_MS) as usize;
        let mut flags = vec![false; samples.len()];
        // Two false alerts, the second of two samples with a calm one between; one that is right, in its third minute.
        for flagged in [100, 200, 202, at(wanted.start_ms) + 2] {
            flags[flagged] = true;
        }
        let mut tally = Tally::default();
        tally.add(&samples, &flags, &[wanted]);
        assert_eq!((tally.alerts, tally.false_alerts, tally.detected, tally.minutes), (3, 2, 1, 3.0));
    }
}
