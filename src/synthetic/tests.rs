//! The described shapes, as properties over seeds, and that a plan decides everything.

use super::*;
use proptest::prelude::*;

const STEP_MS: i64 = 300_000;
const DAY: usize = 288;

fn week(seed: u64, anomalies: usize) -> Plan {
    let anomalies = [anomalies; Metric::ALL.len()];
    Plan { hosts: 2, start_ms: 1_767_571_200_000, step_ms: STEP_MS, length_ms: 7 * 86_400_000, seed, anomalies }
}

fn values(plan: &Plan, metric: Metric) -> Vec<Option<f64>> {
    let mut series = plan.series(metric).unwrap().swap_remove(0);
    plan.times().map(|time_ms| series.next(plan, time_ms)).collect()
}

fn normal(seed: u64, metric: Metric) -> Vec<f64> {
    values(&week(seed, 0), metric).into_iter().map(|value| value.expect("normal hosts are never silent")).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// The mean over the hours `from..to` of all days.
fn hours(values: &[f64], from: usize, to: usize) -> f64 {
    let wanted = |at: &usize| (from..to).contains(&(at % DAY / 12));
    mean((0..values.len()).filter(wanted).map(|at| values[at]))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cpu_has_a_daily_rhythm_and_a_slight_upward_trend(seed: u64) {
        let values = normal(seed, Metric::Cpu);
        prop_assert!(hours(&values, 12, 16) > hours(&values, 0, 4) + 20.0);
        let first_to_last = mean(values[6 * DAY..].iter().copied()) - mean(values[..DAY].iter().copied());
        prop_assert!((2.0..8.0).contains(&first_to_last), "{first_to_last} percent in six days");
    }

    #[test]
    fn memory_leaks_under_a_sawtooth_of_collections(seed: u64) {
        let values = normal(seed, Metric::Memory);
        let drops = values.windows(2).filter(|pair| pair[1] < pair[0] - 5.0).count();
        prop_assert!((10..60).contains(&drops), "{drops} collections");
        let rises = values.windows(2).filter(|pair| pair[1] > pair[0] + 2.0).count();
        prop_assert_eq!(rises, 0, "memory only falls suddenly");
        let lowest = |day: usize| values[day * DAY..(day + 1) * DAY].iter().copied().fold(f64::MAX, f64::min);
        prop_assert!((1..7).all(|day| lowest(day) > lowest(day - 1)), "the floor rises every day");
    }

    #[test]
    fn bandwidth_has_a_daily_rhythm_with_bursts(seed: u64) {
        let values = normal(seed, Metric::Bandwidth);
        prop_assert!(hours(&values, 18, 22) > 2.0 * hours(&values, 6, 10));
        // A burst stands out against the same time of the other days.
        let usual = |at: usize| {
            let mut same: Vec<f64> = (0..7).map(|day| values[day * DAY + at % DAY]).collect();
            same.sort_by(f64::total_cmp);
            same[3]
        };
        let bursts = (0..values.len()).filter(|at| values[*at] > 1.3 * usual(*at)).count();
        prop_assert!((40..400).contains(&bursts), "{bursts} samples in bursts");
    }

    #[test]
    fn latency_is_log_normal_and_amplified_in_peak_hours(seed: u64) {
        let values = normal(seed, Metric::Latency);
        prop_assert!(hours(&values, 13, 15) > 2.0 * hours(&values, 0, 4));
        let night: Vec<f64> =
            (0..values.len()).filter(|at| at % DAY < 60).map(|at| values[at].ln()).collect();
        let center = mean(night.iter().copied());
        let moment = |power| mean(night.iter().map(|log| (log - center).powi(power)));
        let deviation = moment(2).sqrt();
        prop_assert!((0.18..0.26).contains(&deviation), "deviation of the logarithm {deviation}");
        prop_assert!((moment(3) / deviation.powi(3)).abs() < 0.5, "the logarithm is symmetric");
    }

    #[test]
    fn errors_are_few_but_for_incidents(seed: u64) {
        let quiet = normal(seed, Metric::Errors);
        prop_assert!(mean(quiet.iter().copied()) < 2.5 && quiet.iter().all(|value| *value < 15.0));
        let plan = Plan { hosts: 1, ..week(seed, 3) };
        let incidents = plan.series(Metric::Errors).unwrap().swap_remove(0).anomalies;
        let values: Vec<_> = plan.times().zip(values(&plan, Metric::Errors)).collect();
        for incident in incidents.iter().filter(|incident| incident.kind == AnomalyKind::Incident) {
            let first = values.iter().find(|(time_ms, _)| *time_ms == incident.start_ms).unwrap();
            prop_assert!(first.1.unwrap() >= 40.0);
        }
    }

    #[test]
    fn anomalies_change_their_samples_and_nothing_else(seed: u64) {
        let plan = week(seed, 4);
        for metric in Metric::ALL {
            let quiet = values(&week(seed, 0), metric);
            let anomalies = plan.series(metric).unwrap().swap_remove(0).anomalies;
            for ((time_ms, quiet), value) in plan.times().zip(quiet).zip(values(&plan, metric)) {
                let inside = anomalies.iter().any(|anomaly| anomaly.covers(time_ms));
                prop_assert!(inside || value == quiet, "{metric:?} at {time_ms}");
                prop_assert!(!inside || value != quiet, "{metric:?} at {time_ms}");
            }
            let apart = |pair: &[Anomaly]| pair[1].start_ms - pair[0].end_ms > 3 * 3_600_000;
            prop_assert!(anomalies.windows(2).all(apart), "{anomalies:?}");
        }
    }
}

#[test]
fn every_anomaly_asked_for_is_there_or_the_plan_is_refused() {
    let count = |plan: &Plan, metric| -> Option<usize> {
        plan.series(metric).map(|all| all.iter().map(|series| series.anomalies.len()).sum())
    };
    assert_eq!(count(&week(1, 9), Metric::Cpu), Some(9));
    assert_eq!(count(&week(1, 9000), Metric::Cpu), None);
    assert_eq!(Plan::deal(3, 17).iter().sum::<usize>(), 17);
}

#[test]
fn a_series_does_not_depend_on_the_hosts_beside_it() {
    let alone = Plan { hosts: 1, ..week(5, 0) };
    assert_eq!(values(&alone, Metric::Cpu), values(&week(5, 0), Metric::Cpu));
    assert_ne!(values(&alone, Metric::Cpu), values(&Plan { seed: 6, ..alone.clone() }, Metric::Cpu));
}
