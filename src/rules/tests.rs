//! Tests of groups by a clock of their own, over series in memory.

use super::file::parse;
use super::*;
use crate::alert::Signal;
use crate::query::memory::Memory;
use crate::query::{Labels, QueryLimits};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use storage::sample::{STALE_NAN_BITS, Samples, is_stale};

const SECOND: i64 = 1000;
pub(super) const MINUTE: i64 = 60 * SECOND;

/// A store in memory, and what rules told.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) memory: RefCell<Memory>,
    pub(super) told: RefCell<Vec<Signal>>,
    refuses: Cell<bool>,
}

impl Bench {
    pub(super) fn add(&self, labels: &[(&str, &str)], step_ms: i64, values: &[Option<f64>]) {
        self.memory.borrow_mut().add(labels, step_ms, values);
    }

    fn answer(&self, text: &str, time_ms: i64, lookback_ms: Option<i64>) -> Result<Answer, String> {
        let mut memory = self.memory.borrow_mut();
        let before = memory.limits.lookback_ms;
        memory.limits.lookback_ms = lookback_ms.unwrap_or(before);
        let answer = memory.instant(text, time_ms).map_err(|error| error.to_string());
        memory.limits.lookback_ms = before;
        of_answer(answer?)
    }

    fn write(&self, samples: &[Recorded]) -> Result<(), String> {
        if self.refuses.get() {
            return Err("the disk is full".to_owned());
        }
        let mut memory = self.memory.borrow_mut();
        for one in samples {
            let labels = Labels::from_pairs(one.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            match memory.series.iter_mut().find(|(known, _)| *known == labels) {
                Some((_, samples)) => samples.push(one.time_ms, one.value),
                None => {
                    let mut samples = Samples::default();
                    samples.push(one.time_ms, one.value);
                    memory.series.push((labels, samples));
                }
            }
        }
        Ok(())
    }

    pub(super) fn evaluate(&self, group: &mut GroupRunner, time_ms: i64) {
        self.with(|means| group.evaluate(time_ms, means));
    }

    fn with(&self, with: impl FnOnce(&Means<'_>)) {
        let settings = RuleSettings {
            external_labels: [("region".to_owned(), "eu".to_owned())].into(),
            external_url: "http://here".to_owned(),
        };
        let query = |text: &str, time_ms: i64, lookback_ms: Option<i64>| self.answer(text, time_ms, lookback_ms);
        let write = |samples: &[Recorded]| self.write(samples);
        let tell = |signal| self.told.borrow_mut().push(signal);
        with(&Means { query: &query, write: &write, tell: &tell, settings: &settings });
    }

    pub(super) fn at(&self, text: &str, time_ms: i64) -> Answer {
        self.answer(text, time_ms, None).unwrap()
    }

    /// What was told since the last call: name, host, whether it goes on.
    fn news(&self) -> Vec<(String, bool)> {
        let told = std::mem::take(&mut *self.told.borrow_mut());
        told.iter()
            .map(|signal| (format!("{} {}", signal.name, signal.labels.get("host").map_or("", |h| h)), signal.is_open))
            .collect()
    }
}

pub(super) fn groups(text: &str) -> Vec<GroupRunner> {
    let groups =
        parse(text, "a.yml", MINUTE, &QueryLimits::default()).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    groups.into_iter().map(GroupRunner::new).collect()
}

fn group(rules: &str) -> GroupRunner {
    groups(&format!("groups:\n- name: g\n  rules:\n{rules}")).remove(0)
}

fn high(more: &str) -> GroupRunner {
    group(&format!("  - alert: High\n    expr: load > 0.8\n{more}"))
}

/// A series with a value a minute.
fn load(bench: &Bench, host: &str, values: &[f64]) {
    let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
    bench.add(&[("__name__", "load"), ("host", host)], MINUTE, &values);
}

fn state(group: &GroupRunner) -> Vec<bool> {
    group.view().rules[0].alerts.iter().map(|alert| alert.is_firing).collect()
}

#[test]
fn an_alert_fires_when_its_time_is_over_and_not_a_second_before() {
    let bench = Bench::default();
    load(&bench, "a", &[0.9; 10]);
    let mut group = high(
        "    for: 2m\n    labels: {severity: critical}\n    annotations: {summary: 'load {{ $value | humanizePercentage }} of {{ $labels.host }} in {{ $externalLabels.region }}'}\n",
    );
    bench.evaluate(&mut group, MINUTE);
    assert_eq!(state(&group), [false]);
    bench.evaluate(&mut group, 3 * MINUTE - SECOND);
    assert_eq!((state(&group), bench.news()), (vec![false], Vec::new()), "1:59");
    bench.evaluate(&mut group, 3 * MINUTE);
    assert_eq!(state(&group), [true], "2:00");
    let signal = bench.told.borrow()[0].clone();
    assert_eq!((signal.summary.as_str(), signal.labels["region"].as_str()), ("load 90% of a in eu", "eu"));
    assert_eq!((signal.severity.as_str(), signal.start_ms), ("critical", MINUTE));
    let alerts = bench.at("ALERTS{alertstate=\"firing\"}", 3 * MINUTE);
    assert_eq!((alerts.len(), alerts[0].0["alertname"].as_str(), alerts[0].1), (1, "High", 1.0));
    assert_eq!(bench.at("ALERTS{alertstate=\"pending\"}", 3 * MINUTE), [], "ended by a marker");
    assert_eq!(bench.at("ALERTS_FOR_STATE", 3 * MINUTE)[0].1, 60.0);
}

#[test]
fn it_is_over_at_once_or_after_the_time_it_is_kept() {
    for (kept, over_at) in [("", 3), ("    keep_firing_for: 2m\n", 5)] {
        let bench = Bench::default();
        load(&bench, "a", &[0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1, 0.1]);
        let mut group = high(kept);
        for minute in 0..8 {
            bench.evaluate(&mut group, minute * MINUTE);
            let expected = match minute.cmp(&over_at) {
                std::cmp::Ordering::Less => vec![("High a".to_owned(), true)],
                std::cmp::Ordering::Equal => vec![("High a".to_owned(), false)],
                std::cmp::Ordering::Greater => Vec::new(),
            };
            assert_eq!(bench.news(), expected, "minute {minute}, kept {kept:?}");
        }
    }
}

#[test]
fn a_restart_goes_on_where_it_was_and_counts_no_time_in_which_nobody_looked() {
    let bench = Bench::default();
    load(&bench, "a", &[0.9; 60]);
    let mut before = high("    for: 5m\n");
    (1..=3).for_each(|minute| bench.evaluate(&mut before, minute * MINUTE));
    // Two minutes of the five had passed; ten more of a stop count for nothing.
    let mut after = high("    for: 5m\n");
    (13..=15).for_each(|minute| bench.evaluate(&mut after, minute * MINUTE));
    assert_eq!(state(&after), [false]);
    bench.evaluate(&mut after, 16 * MINUTE);
    assert_eq!((state(&after), bench.news().len()), (vec![true], 1));
    // What fired goes on, since when it did.
    let mut again = high("    for: 5m\n");
    bench.evaluate(&mut again, 20 * MINUTE);
    assert_eq!(state(&again), [true]);
    assert_eq!(again.view().rules[0].alerts[0].active_at_ms, after.view().rules[0].alerts[0].active_at_ms);
    // What was over before the stop begins anew.
    let bench = Bench::default();
    load(&bench, "a", &[0.9, 0.9, 0.1, 0.1, 0.9, 0.9]);
    let mut before = high("");
    (0..=3).for_each(|minute| bench.evaluate(&mut before, minute * MINUTE));
    let mut after = high("");
    bench.evaluate(&mut after, 4 * MINUTE);
    assert_eq!(after.view().rules[0].alerts[0].active_at_ms, 4 * MINUTE);
}

#[test]
fn recorded_series_are_seen_by_later_rules_of_the_same_evaluation_and_end_with_a_marker() {
    let bench = Bench::default();
    load(&bench, "a", &[2.0; 10]);
    bench.add(
        &[("__name__", "load"), ("host", "b")],
        MINUTE,
        &[Some(1.0), Some(1.0), Some(f64::from_bits(STALE_NAN_BITS))],
    );
    let mut group = group(
        "  - record: load:double\n    expr: load * 2\n    labels: {team: x, host: ''}\n  - record: load:four\n    expr: load:double * 2\n",
    );
    bench.evaluate(&mut group, MINUTE);
    let problem = &group.view().rules[0].health;
    assert!(matches!(problem, board::Health::Failing(what) if what.contains("same labelset")), "{problem:?}");
    let mut group = groups("groups:\n- name: g\n  labels: {by: us}\n  rules:\n  - record: load:double\n    expr: load * 2\n    labels: {team: x}\n  - record: load:four\n    expr: load:double * 2\n  - record: answer\n    expr: 42\n").remove(0);
    bench.evaluate(&mut group, MINUTE);
    assert_eq!(bench.at("load:four", MINUTE).len(), 2);
    assert_eq!(bench.at("load:double{host=\"a\"}", MINUTE)[0].0["team"], "x");
    assert_eq!(bench.at("answer{by=\"us\"}", MINUTE)[0].1, 42.0);
    bench.evaluate(&mut group, 2 * MINUTE);
    assert_eq!(bench.at("load:four", 2 * MINUTE).len(), 1, "host b ended");
    let memory = bench.memory.borrow();
    let ended = memory.series.iter().filter(|(_, samples)| samples.values.last().is_some_and(|value| is_stale(*value)));
    assert_eq!(ended.count(), 3, "the series itself, and both made of it");
}

#[test]
fn rules_that_fail_say_why_and_hold_up_no_other() {
    let bench = Bench::default();
    load(&bench, "a", &[2.0; 10]);
    bench.add(&[("__name__", "load"), ("host", "a"), ("disk", "x")], MINUTE, &[Some(1.0); 10]);
    let rules = "  - record: wrong\n    expr: load / on (host) load\n  - record: right\n    expr: sum(load)\n";
    let mut group = group(rules);
    bench.evaluate(&mut group, MINUTE);
    let healths: Vec<_> = group.view().rules.iter().map(|rule| matches!(rule.health, board::Health::Good)).collect();
    assert_eq!((healths, group.view().failures), (vec![false, true], 1));
    bench.refuses.set(true);
    bench.evaluate(&mut group, 2 * MINUTE);
    assert_eq!(group.view().rules[1].health, board::Health::Failing("the disk is full".to_owned()));
    let mut limited =
        groups(&format!("groups:\n- name: g\n  limit: 1\n  rules:\n  - record: x\n    expr: load\n{rules}")).remove(0);
    bench.evaluate(&mut limited, 3 * MINUTE);
    assert!(matches!(&limited.view().rules[0].health, board::Health::Failing(what) if what.contains("limit of 1")));
}

#[test]
fn files_that_change_leave_what_stayed_and_end_what_is_gone() {
    let bench = Bench::default();
    load(&bench, "a", &[0.9; 20]);
    let stays = "  - alert: High\n    expr: load > 0.8\n    for: 2m\n";
    let mut before = group(&format!("{stays}  - alert: Gone\n    expr: load > 0.5\n"));
    (0..=2).for_each(|minute| bench.evaluate(&mut before, minute * MINUTE));
    bench.news();
    let mut after = group(&format!("  - record: new\n    expr: load\n{stays}"));
    after.go_on_from(before);
    bench.evaluate(&mut after, 3 * MINUTE);
    assert_eq!(bench.news(), [("Gone a".to_owned(), false), ("High a".to_owned(), true)]);
    assert_eq!(after.view().rules[1].alerts[0].active_at_ms, 0);
    assert_eq!(bench.at("ALERTS{alertname=\"Gone\"}", 3 * MINUTE), []);
    bench.with(|means| after.end(4 * MINUTE, means));
    assert_eq!((bench.news(), bench.at("new", 4 * MINUTE)), (vec![("High a".to_owned(), false)], Answer::new()));
}

#[test]
fn a_template_that_fails_says_so_in_its_place() {
    let bench = Bench::default();
    load(&bench, "a", &[0.9; 3]);
    let mut group = high(
        "    annotations: {summary: '{{ query \"up\" | first | value }}'}\n    labels: {host: '{{ toUpper $labels.host }}'}\n",
    );
    bench.evaluate(&mut group, MINUTE);
    let told = bench.told.borrow();
    assert!(told[0].summary.starts_with("<error expanding template: first: there is none"), "{}", told[0].summary);
    assert_eq!(told[0].labels["host"], "A");
    let labels: BTreeMap<_, _> = told[0].labels.clone();
    assert!(!labels.contains_key("__name__"));
}
