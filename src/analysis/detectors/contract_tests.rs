//! What every named detector keeps to, whatever its idea: finite output, no fear of what is no number, silence on
//! constants, indifference to units; and the causal ones: no look ahead, going on after a stop, bounded state.
//!
//! Not here: what each finds (see `golden_tests`).

use super::golden_tests::gauss;
use super::*;

const STEP_MS: i64 = 300_000;
const MONDAY_MS: i64 = 1_704_067_200_000;

/// Limits so that static rules have something to say.
fn options() -> Options {
    Options { above: Some(1e12), below: Some(-1e12), ..Options::default() }
}

/// Every detector of single series, causal where it can be, and all that look at whole series.
fn every() -> Vec<(&'static Entry, Box<dyn Detector>)> {
    let single = || ALL.iter().filter(|entry| !entry.is_of_group());
    let whole = single().map(|entry| (entry, entry.of_whole_series(&options()).unwrap()));
    whole.chain(causal()).collect()
}

fn causal() -> impl Iterator<Item = (&'static Entry, Box<dyn Detector>)> {
    ALL.iter().filter(|entry| entry.is_causal()).map(|entry| (entry, entry.causal(&options()).unwrap()))
}

fn times(count: i64) -> Vec<i64> {
    (0..count).map(|i| MONDAY_MS + i * STEP_MS).collect()
}

/// Two weeks with a day's wave, noise, spikes, a shift, zeros and a flat line.
fn eventful() -> Vec<f64> {
    let value = |i: i64| match i {
        500 | 1500 | 3100 => 300.0,
        2000..2003 => 0.0,
        2500..2560 => 77.0,
        i => {
            let shift = if i > 3500 { 40.0 } else { 0.0 };
            100.0 + shift + 20.0 * (std::f64::consts::TAU * i as f64 / 288.0).sin() + 3.0 * gauss(i)
        }
    };
    (0..4032).map(value).collect()
}

fn judged(detector: &mut dyn Detector, values: &[f64]) -> Vec<AnomalyResult> {
    judge(detector, Samples::new(&times(values.len() as i64), values))
}

fn is_sound(result: &AnomalyResult) -> bool {
    let Judgement { score, share, expected, lower, upper, is_anomaly, .. } = result.judgement;
    let edges = [expected, lower, upper];
    score.is_finite()
        && score >= 0.0
        && share.is_finite()
        && is_anomaly == (share >= 1.0)
        && (0.0..=1.0).contains(&result.judgement.normalised())
        && is_anomaly == (result.judgement.normalised() >= 0.6)
        && edges.iter().flatten().all(|edge| edge.is_finite())
}

#[test]
fn every_number_is_finite_and_scores_agree_with_flags() {
    let mut hostile = eventful();
    hostile[5] = 1e29;
    hostile[6] = -1e29;
    hostile[7] = 5e-324;
    for values in [eventful(), hostile, vec![], vec![1.0], vec![1.0, 2.0], vec![0.0; 40]] {
        for (entry, mut detector) in every() {
            let results = judged(detector.as_mut(), &values);
            assert_eq!(results.len(), values.len(), "{}", entry.name);
            let unsound = results.iter().find(|result| !is_sound(result));
            assert!(unsound.is_none(), "{}: {unsound:?}", entry.name);
        }
    }
}

#[test]
fn what_is_no_number_or_comes_late_is_passed_over_and_changes_nothing() {
    let values = eventful();
    let (mut with_times, mut with_values) = (times(4032), values.clone());
    for (at, odd) in [(100, f64::NAN), (700, f64::INFINITY), (1400, f64::NEG_INFINITY), (2100, 1e300)] {
        with_times.insert(at, with_times[at] - 1);
        with_values.insert(at, odd);
    }
    for ((entry, mut plain), (_, mut disturbed)) in every().into_iter().zip(every()) {
        let expected = judged(plain.as_mut(), &values);
        let mut found = judge(disturbed.as_mut(), Samples::new(&with_times, &with_values));
        let passed_over: Vec<AnomalyResult> =
            found.extract_if(.., |result| !(-1e30..=1e30).contains(&result.value)).collect();
        assert!(
            passed_over.len() == 4 && passed_over.iter().all(|result| !result.judgement.is_judged),
            "{}",
            entry.name
        );
        assert_eq!(found, expected, "{}", entry.name);
        let late = judge(plain.as_mut(), Samples::new(&[5, 5, 4], &[1.0, 2.0, 3.0]));
        assert!(plain.takes_late() || late[1..].iter().all(|result| !result.judgement.is_judged), "{}", entry.name);
    }
}

#[test]
fn constants_stay_quiet() {
    for level in [0.0, 1e-9, 42.5, -1e9] {
        for (entry, mut detector) in every() {
            let results = judged(detector.as_mut(), &[level; 1000]);
            assert!(results.iter().all(|result| !result.is_anomaly), "{} on {level}", entry.name);
        }
    }
}

#[test]
fn a_change_of_unit_changes_no_flag() {
    // Powers of two keep every digit, so nothing but the unit differs.
    for unit in [1024.0, 1.0 / 1024.0] {
        let values = eventful();
        let scaled: Vec<f64> = values.iter().map(|value| value * unit).collect();
        for ((entry, mut one), (_, mut other)) in every().into_iter().zip(every()) {
            let flags =
                |results: Vec<AnomalyResult>| results.iter().map(|result| result.is_anomaly).collect::<Vec<_>>();
            let (one, other) = (flags(judged(one.as_mut(), &values)), flags(judged(other.as_mut(), &scaled)));
            assert_eq!(one, other, "{} times {unit}", entry.name);
        }
    }
}

/// DET-005, DET-018: on the eventful series every detector that judges values finds something, from its first window on.
#[test]
fn every_detector_finds_something_in_an_eventful_series() {
    for (entry, mut detector) in every() {
        let results = judged(detector.as_mut(), &eventful());
        let is_of_times = ["silence", "late", "static", "drift"].contains(&entry.name);
        assert_eq!(results.iter().any(|result| result.is_anomaly), !is_of_times, "{}", entry.name);
    }
}

#[test]
fn causal_detectors_do_not_look_ahead() {
    let values = eventful();
    for ((entry, mut whole), (_, mut part)) in causal().zip(causal()) {
        let all = judged(whole.as_mut(), &values);
        assert_eq!(judged(part.as_mut(), &values[..2010]), all[..2010], "{}", entry.name);
    }
}

#[test]
fn going_on_from_a_state_is_as_if_nothing_had_stopped() {
    let (values, times) = (eventful(), times(4032));
    for ((entry, mut whole), ((_, mut first), (_, mut second))) in causal().zip(causal().zip(causal())) {
        let all = judged(whole.as_mut(), &values);
        judge(first.as_mut(), Samples::new(&times[..1777], &values[..1777]));
        let state = first.state().unwrap();
        assert!(second.restore(&state), "{}", entry.name);
        let rest = judge(second.as_mut(), Samples::new(&times[1777..], &values[1777..]));
        assert_eq!(rest, all[1777..], "{}", entry.name);
        assert!(!second.restore(&[0xFF]), "{}: what is no state is refused", entry.name);
    }
    let whole_only = ALL.iter().filter(|entry| !entry.is_of_group() && !entry.is_causal());
    assert!(
        whole_only.map(|entry| entry.of_whole_series(&options()).unwrap()).all(|detector| detector.state().is_none())
    );
}

#[test]
fn state_is_bounded_after_a_million_samples() {
    const BLOCK: i64 = 50_000;
    for (entry, mut detector) in causal() {
        let mut bytes = 0;
        for block in 0..20 {
            let of_block = block * BLOCK..(block + 1) * BLOCK;
            let (times, values): (Vec<i64>, Vec<f64>) =
                of_block.map(|i| (MONDAY_MS + i * STEP_MS, 100.0 + (i * 7919 % 1009) as f64)).unzip();
            judge(detector.as_mut(), Samples::new(&times, &values));
            bytes = detector.state().unwrap().len().max(bytes);
        }
        // Twenty-four hours of a thousand values each are the most that any keeps.
        assert!(bytes < 24 * 1000 * 9, "{}: {bytes}", entry.name);
    }
}
