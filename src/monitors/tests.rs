//! Monitors by a clock of their own and made values: the rows ALR-018 to ALR-023, one by one.

use super::file::parse;
use super::judge::{Standing, judge};
use super::runner::{Means, MonitorRunner};
use super::*;
use crate::alert::{AlertSeverity, Fingerprint, Origin, Signal};
use crate::pull::TrainingSeries;
use crate::query::{QueryLimits, RangeTimes};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// A Monday, at midnight.
const START: i64 = 1_699_833_600_000;

fn monitor(fields: &str) -> Monitor {
    let text = format!("monitors:\n- name: m\n  query: x\n  {}\n", fields.replace('\n', "\n  "));
    parse(&text, "m.yml", MINUTE, &QueryLimits::default()).unwrap_or_else(|errors| panic!("{errors:?}")).remove(0)
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A value a step up to and with `end_ms`.
fn series(pairs: &[(&str, &str)], times: RangeTimes, value: impl Fn(i64) -> f64) -> TrainingSeries {
    let times_ms: Vec<i64> =
        (0..).map(|at| times.start_ms + at * times.step_ms).take_while(|time_ms| *time_ms <= times.end_ms).collect();
    let values = times_ms.iter().map(|time_ms| value(*time_ms)).collect();
    TrainingSeries { labels: labels(pairs), times_ms, values }
}

fn noise(time_ms: i64) -> f64 {
    ((time_ms / MINUTE * 7919 + 13) % 101) as f64 / 101.0 - 0.5
}

/// A day's wave of 100 to 200 with some noise.
fn daily(time_ms: i64) -> f64 {
    150.0
        + 50.0 * ((time_ms % (24 * HOUR)) as f64 / (24 * HOUR) as f64 * std::f64::consts::TAU).sin()
        + 4.0 * noise(time_ms)
}

/// Has one monitor look at values every minute from `from_ms` to `to_ms`; what it tells.
fn told(monitor: &Monitor, (from_ms, to_ms): (i64, i64), value: &dyn Fn(i64) -> Option<f64>) -> Vec<Signal> {
    let told = RefCell::new(Vec::new());
    let values = |_: &str, times: RangeTimes| {
        let mut one = series(&[("__name__", "latency"), ("service", "api")], times, |_| 0.0);
        let kept: Vec<(i64, f64)> = one.times_ms.iter().filter_map(|at| Some((*at, value(*at)?))).collect();
        (one.times_ms, one.values) = kept.into_iter().unzip();
        Ok(vec![one].into_iter().filter(|one| !one.values.is_empty()).collect())
    };
    let means = Means { values: &values, tell: &|signal| told.borrow_mut().push(signal), known: &|_| None };
    let mut runner = MonitorRunner::default();
    runner.replace(vec![monitor.clone()], from_ms);
    (from_ms..=to_ms).step_by(MINUTE as usize).for_each(|now_ms| {
        runner.tick(now_ms, &means);
    });
    told.into_inner()
}

/// The changes among what was told: minutes after `from_ms`, whether it goes on, and how severe it is.
fn changes(told: &[Signal], from_ms: i64) -> Vec<(i64, bool, AlertSeverity)> {
    let mut found: Vec<(i64, bool, AlertSeverity)> = Vec::new();
    for signal in told {
        let is_same =
            found.last().is_some_and(|(_, open, severity)| (*open, *severity) == (signal.is_open, signal.severity));
        if !is_same {
            found.push(((signal.last_ms - from_ms) / MINUTE, signal.is_open, signal.severity));
        }
    }
    found
}

#[test]
fn the_seeds_anomaly_monitor_reads_with_its_defaults() {
    let monitor = monitor(
        "type: anomaly\nalgorithm: basic\nrequire_full_window: false\nnotify_no_data: false\nrenotify_interval: 60\nnotify_audit: false",
    );
    assert_eq!(monitor.kind, MonitorKind::Anomaly { algorithm: Algorithm::Basic, bounds: 2.0, season_ms: 24 * HOUR });
    assert_eq!((monitor.window_ms, monitor.rollup_ms, monitor.interval_ms), (4 * HOUR, MINUTE, MINUTE));
    assert_eq!((monitor.limits.critical, monitor.limits.warning), (1.0, Some(0.5)));
    assert_eq!((monitor.renotify_ms, monitor.no_data_ms, monitor.require_full_window), (Some(HOUR), None, false));
}

#[test]
fn the_share_of_anomalous_points_warns_at_half_and_alerts_at_all_of_the_window() {
    for algorithm in ["basic", "agile", "robust"] {
        let monitor = monitor(&format!(
            "type: anomaly\nalgorithm: {algorithm}\nwindow: 20m\nhistory: 3d\nbounds: 5\nrecovery_window: 5m"
        ));
        let from_ms = START + 4 * 24 * HOUR;
        // Unusual from the tenth minute on, for 25 minutes; agile follows a change that stays longer.
        let value = |at: i64| {
            Some(daily(at) + if (from_ms + 10 * MINUTE..from_ms + 35 * MINUTE).contains(&at) { 500.0 } else { 0.0 })
        };
        let told = told(&monitor, (from_ms, from_ms + 90 * MINUTE), &value);
        let changes = changes(&told, from_ms);
        let [(warned, true, AlertSeverity::Warning), (alerted, true, AlertSeverity::Critical), (over, false, _)] =
            changes[..]
        else {
            panic!("{algorithm}: {changes:?}")
        };
        assert!((19..=21).contains(&warned) && (29..=31).contains(&alerted), "{algorithm}: {changes:?}");
        // Five calm minutes after the last anomalous one, although half of the window is anomalous still.
        assert!((39..=41).contains(&over), "{algorithm}: {changes:?}");
        assert!(told.iter().all(|signal| signal.origin == Origin::Monitor));
        let first = &told[0];
        let told = [&first.labels["alertname"], &first.labels["metric_name"], &first.labels["alert_type"]];
        assert_eq!(told, ["m", "latency", "anomaly"]);
        assert!(first.summary.starts_with("latency of service=api was unusual for 50 %"), "{}", first.summary);
        assert_eq!(first.annotations["direction"], "above");
    }
}

#[test]
fn a_window_with_gaps_is_judged_unless_the_monitor_says_otherwise() {
    let from_ms = START + 4 * 24 * HOUR;
    // Every other minute is missing.
    let value = |at: i64| (at / MINUTE % 2 == 0).then(|| daily(at) + if at >= from_ms - HOUR { 500.0 } else { 0.0 });
    for (full, expected) in [("false", true), ("true", false)] {
        let monitor = monitor(&format!(
            "type: anomaly\nalgorithm: robust\nwindow: 20m\nhistory: 3d\nrequire_full_window: {full}"
        ));
        let told = told(&monitor, (from_ms, from_ms + 3 * MINUTE), &value);
        assert_eq!(!told.is_empty(), expected, "require_full_window: {full}");
    }
}

#[test]
fn silence_is_told_where_that_is_asked_for_and_ends_with_data() {
    let from_ms = START + 4 * 24 * HOUR;
    let value = |at: i64| (!(from_ms..from_ms + 30 * MINUTE).contains(&at)).then(|| daily(at));
    let quiet = monitor("type: anomaly\nalgorithm: robust\nwindow: 20m\nhistory: 3d");
    assert!(told(&quiet, (from_ms, from_ms + HOUR), &value).is_empty());
    let telling = monitor(
        "type: anomaly\nalgorithm: robust\nwindow: 20m\nhistory: 3d\nnotify_no_data: true\nno_data_timeframe: 15m\nmessage: \"{{#is_no_data}}gone{{/is_no_data}}\"",
    );
    let told = told(&telling, (from_ms, from_ms + HOUR), &value);
    let changes = changes(&told, from_ms);
    let [(gone, true, AlertSeverity::Warning), (back, false, _)] = changes[..] else { panic!("{changes:?}") };
    assert_eq!((gone, back, told[0].summary.as_str()), (14, 30, "gone"));
}

#[test]
fn a_drop_fires_and_a_rise_does_not() {
    let monitor = monitor("type: anomaly\nalgorithm: robust\nwindow: 10m\nhistory: 3d\nbounds: 4\ndirection: below");
    let from_ms = START + 4 * 24 * HOUR;
    let moved = |by: f64| {
        told(&monitor, (from_ms, from_ms + 30 * MINUTE), &|at| Some(daily(at) + if at >= from_ms { by } else { 0.0 }))
    };
    assert!(moved(100.0).is_empty());
    let told = moved(-100.0);
    assert_eq!(told[0].annotations["direction"], "below");
    assert!(told.iter().any(|signal| signal.severity == AlertSeverity::Critical));
}

#[test]
fn messages_name_values_labels_and_people_and_recoveries_have_their_own() {
    let monitor = monitor(
        "type: anomaly\nalgorithm: robust\nwindow: 10m\nhistory: 3d\nrecovery_window: 2m\ntags: [\"team:web\", \"service:other\", \"tier:1\"]\nmessage: |\n  {{#is_alert}}{{service.name}} at {{value}}, not {{expected_bounds}} @pagerduty-oncall{{/is_alert}}\n  {{#is_warning}}slow @slack-ops{{/is_warning}}{{#is_recovery}}{{service.name}} is well again{{/is_recovery}}",
    );
    let from_ms = START + 4 * 24 * HOUR;
    let value = |at: i64| Some(if (from_ms..from_ms + 20 * MINUTE).contains(&at) { 900.0 } else { daily(at) });
    let told = told(&monitor, (from_ms, from_ms + HOUR), &value);
    let [warned, alerted, over] = [
        told.first(),
        told.iter().find(|signal| signal.severity == AlertSeverity::Critical && signal.is_open),
        told.iter().find(|signal| !signal.is_open),
    ]
    .map(|signal| signal.unwrap_or_else(|| panic!("{:?}", changes(&told, from_ms))));
    assert_eq!((warned.summary.as_str(), warned.annotations["handles"].as_str()), ("slow @slack-ops", "slack-ops"));
    assert!(alerted.summary.starts_with("api at 900, not 1"), "{}", alerted.summary);
    assert!(alerted.summary.contains(&alerted.annotations["expected_bounds"]));
    assert_eq!((over.summary.as_str(), over.annotations["monitor_state"].as_str()), ("api is well again", "ok"));
    let tags = [&warned.labels["team"], &warned.labels["service"], &warned.labels["tier"]];
    assert_eq!(tags, ["web", "api", "1"], "a series' own label is not hidden by a tag");
}

#[test]
fn one_host_of_ten_that_stands_apart_is_named_alone() {
    let of = |count: usize, monitor: &Monitor| {
        let times = RangeTimes { start_ms: START, end_ms: START + HOUR - MINUTE, step_ms: MINUTE };
        let hosts: Vec<String> = (0..count).map(|number| format!("web{number}")).collect();
        let answer: Vec<_> = hosts
            .iter()
            .enumerate()
            .map(|(number, host)| {
                let apart = if number == 1 { 400.0 } else { 0.0 };
                series(&[("host", host)], times, |at| daily(at) + noise(at + number as i64 * 17 * MINUTE) + apart)
            })
            .collect();
        let found = judge(monitor, &answer, times.end_ms);
        let flagged = found.iter().filter(|found| found.standing == Standing::Alert);
        flagged.map(|found| found.labels["host"].clone()).collect::<Vec<_>>()
    };
    let monitor_of = |method: &str| monitor(&format!("type: outlier\nalgorithm: {method}\nby: host"));
    let dbscan = monitor_of("DBSCAN");
    assert_eq!(
        dbscan.kind,
        MonitorKind::Outlier { method: PeerMethod::Dbscan, tolerance: 3.0, by: vec!["host".into()] }
    );
    assert_eq!((of(10, &dbscan), of(10, &monitor_of("mad"))), (vec!["web1".to_owned()], vec!["web1".to_owned()]));
    assert!(of(2, &dbscan).is_empty(), "two members are no group");
}

#[test]
fn a_disk_that_fills_within_a_day_is_named_before_it_does() {
    let monitor = monitor(
        "type: forecast\nhistory: 1d\nthresholds: {critical: 90, warning: 80}\nmessage: \"{{host.name}} runs full within a day: {{value}} of {{threshold}}\"",
    );
    assert_eq!(monitor.kind, MonitorKind::Forecast { is_linear: true, deviations: 1.0, horizon_ms: 24 * HOUR });
    let times = RangeTimes { start_ms: START, end_ms: START + 23 * HOUR, step_ms: HOUR };
    let disk = |host: &'static str, now: f64, per_hour: f64| {
        series(&[("host", host)], times, |at| now - per_hour * (times.end_ms - at) as f64 / HOUR as f64)
    };
    let answer = [disk("fast", 70.0, 1.0), disk("slow", 70.0, 0.5), disk("still", 70.0, 0.0), disk("full", 95.0, 0.0)];
    let found = judge(&monitor, &answer, times.end_ms);
    let standings: Vec<_> = found.iter().map(|found| (found.labels["host"].as_str(), found.standing)).collect();
    let expected =
        [("fast", Standing::Alert), ("slow", Standing::Warning), ("still", Standing::Fine), ("full", Standing::Alert)];
    assert_eq!(standings, expected);
    assert!(found[0].says.contains("host=fast reaches 90 within 20h"), "{}", found[0].says);
    assert!(found[3].says.contains("by now"), "{}", found[3].says);
}

#[test]
fn after_a_start_it_goes_on_where_the_book_has_it() {
    let monitor = monitor("type: anomaly\nalgorithm: robust\nwindow: 10m\nhistory: 3d\nrecovery_window: 5m");
    let from_ms = START + 4 * 24 * HOUR;
    let looks = Cell::new(0);
    let values = |_: &str, times: RangeTimes| {
        looks.set(looks.get() + 1);
        // Anomalous until two minutes before the start.
        Ok(vec![series(&[("service", "api")], times, |at| {
            if (from_ms - 20 * MINUTE..from_ms - MINUTE).contains(&at) { 900.0 } else { daily(at) }
        })])
    };
    let told = RefCell::new(Vec::new());
    let known = |_: Fingerprint| Some((AlertSeverity::Critical, from_ms - HOUR));
    let means = Means { values: &values, tell: &|signal| told.borrow_mut().push(signal), known: &known };
    let mut runner = MonitorRunner::default();
    runner.replace(vec![monitor.clone()], from_ms);
    assert!(runner.active().is_none(), "nobody has looked");
    (from_ms..=from_ms + 10 * MINUTE).step_by(MINUTE as usize).for_each(|now_ms| {
        runner.tick(now_ms, &means);
    });
    let told = told.into_inner();
    assert!(told.iter().all(|signal| signal.occurrence_ms == from_ms - HOUR), "the same occurrence");
    assert_eq!((told[0].is_open, told[0].severity), (true, AlertSeverity::Critical));
    assert_eq!(told.iter().filter(|signal| !signal.is_open).count(), 1, "over once");
    assert_eq!((looks.get(), runner.active()), (10, Some(Vec::new())));
}

#[test]
fn what_failed_is_shown_and_alerts_of_monitors_that_are_gone_are_over() {
    let monitor = monitor("type: anomaly\nalgorithm: robust\nwindow: 10m\nhistory: 3d");
    let from_ms = START + 4 * 24 * HOUR;
    let fails = Cell::new(false);
    let values = |_: &str, times: RangeTimes| match fails.get() {
        true => Err("too slow".to_owned()),
        false => Ok(vec![series(&[("a", "b")], times, |at| if at >= from_ms - HOUR { 900.0 } else { daily(at) })]),
    };
    let told = RefCell::new(Vec::new());
    let means = Means { values: &values, tell: &|signal| told.borrow_mut().push(signal), known: &|_| None };
    let mut runner = MonitorRunner::default();
    runner.replace(vec![monitor.clone()], from_ms);
    runner.tick(from_ms + MINUTE, &means);
    fails.set(true);
    runner.tick(from_ms + 2 * MINUTE, &means);
    let views = runner.views();
    assert_eq!(
        (views[0].standing(), views[0].error.as_deref(), views[0].failures),
        (Standing::Alert, Some("too slow"), 1)
    );
    runner.replace(Vec::new(), from_ms + 3 * MINUTE);
    runner.tick(from_ms + 3 * MINUTE, &means);
    let open: Vec<_> = told.borrow().iter().map(|signal: &Signal| signal.is_open).collect();
    assert_eq!(open, [true, false]);
}

#[test]
fn every_mistake_has_its_line() {
    let read = |text: &str| parse(text, "m.yml", MINUTE, &QueryLimits::default());
    let with = |fields: &str| format!("monitors:\n- name: m\n  query: x\n  {fields}\n");
    let cases = [
        ("monitor: []\n".to_owned(), 1, "has no monitor"),
        (with("type: other"), 2, "none of anomaly"),
        (with("type: anomaly\n  bounds: wide"), 5, "bounds"),
        (with("type: anomaly\n  algorithm: magic"), 5, "basic, agile, robust"),
        (with("type: anomaly\n  by: host"), 5, "has no by"),
        (with("type: anomaly\n  message: '{{nope}}'"), 5, "nope"),
        (with("type: anomaly\n  thresholds: {critical: 0.5, warning: 0.8}"), 5, "warns before"),
        (with("type: anomaly\n  tags: [team]"), 5, "team:web"),
        (with("type: anomaly\n  window: 1h\n  recovery_window: 2h"), 2, "recovery_window"),
        (with("type: anomaly\n  rollup: 7m"), 2, "seasonality"),
        (with("type: anomaly\n  history: 900d"), 2, "points"),
        (with("type: outlier"), 2, "by:"),
        (with("type: outlier\n  by: host\n  window: 4h"), 2, "half an hour"),
        (with("type: forecast"), 2, "critical"),
        ("monitors:\n- name: m\n  type: anomaly\n  query: sum(\n".to_owned(), 4, "parse error"),
    ];
    for (text, line, words) in cases {
        let mistakes = read(&text).unwrap_err();
        let found = mistakes.iter().any(|(at, what)| *at == line && what.contains(words));
        assert!(found, "{text}: {mistakes:?}");
    }
    assert_eq!(read("# nothing\n"), Ok(Vec::new()));
}
