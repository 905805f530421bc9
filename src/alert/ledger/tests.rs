//! Tests of the ledger, by a clock of their own: who is told how often, and that every signal is accounted for.

use super::super::conditions::Conditions;
use super::super::notification::Reason;
use super::super::record::{AlertSeverity, AlertState};
use super::super::routing::{Receiver, Target, WebhookFormat};
use super::*;
use proptest::prelude::*;
use storage::label_index::Matcher;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 86_400 * SECOND;

/// A ledger whose one receiver is a webhook, grouped by alert and metric.
fn ledger() -> Ledger {
    let target = Target::Webhook { url: "http://h/".to_owned(), secret: None, format: WebhookFormat::InfraWatch };
    let receivers = vec![Receiver { name: "hook".into(), target, sends_resolved: true, ca_file: None }];
    let routing = Routing { receivers, ..Routing::default() };
    Ledger::new(Settings::default(), routing)
}

/// An anomaly of a host, warning while it goes on.
fn signal(host: &str, number: i64, at_ms: i64) -> Signal {
    let labels = [("alertname", "Anomaly"), ("metric_name", "cpu"), ("host", host)];
    let key = format!("cpu {host}");
    Signal {
        fingerprint: Fingerprint::of("anomaly", key.as_bytes()),
        origin: Origin::Anomaly,
        occurrence_ms: 0,
        name: "Anomaly".to_owned(),
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        annotations: BTreeMap::new(),
        severity: AlertSeverity::Warning,
        start_ms: at_ms,
        last_ms: at_ms,
        is_open: true,
        count: 1,
        value: 1.0,
        score: 0.7,
        summary: format!("cpu of {host} is high"),
        anomaly_id: Some(crate::anomaly::AnomalyId::of(key.as_bytes(), number, crate::anomaly::Source::Infrawatch)),
        renotify_ms: None,
    }
}

fn over(signal: Signal) -> Signal {
    Signal { is_open: false, ..signal }
}

fn silence(id: &str, from_ms: i64, until_ms: i64) -> Silence {
    let conditions = Conditions::of(vec![Matcher::equal("host", "a")]);
    let id = Fingerprint::of(id, b"");
    Silence { id, conditions, from_ms, until_ms, reason: String::new(), by: String::new() }
}

fn window(start_ms: i64, end_ms: i64) -> Window {
    let conditions = Conditions::of(vec![Matcher::equal("__name__", "cpu")]);
    Window::new((start_ms, end_ms), conditions, (String::new(), "UTC".to_owned()), String::new()).unwrap()
}

/// Lets a second after the other pass up to a time, every notification arriving; the alerts of each.
fn pass(ledger: &mut Ledger, from_ms: i64, to_ms: i64) -> Vec<(Reason, usize)> {
    let mut told = Vec::new();
    for now_ms in (from_ms..=to_ms).step_by(SECOND as usize) {
        for notification in ledger.tick(now_ms) {
            ledger.told(&notification.fresh, "hook", None, now_ms);
            told.push((notification.reason, notification.total));
        }
        assert_accounted(ledger);
    }
    told
}

fn assert_accounted(ledger: &Ledger) {
    let AlertCounts { raised, notified, failed, deduplicated, silenced, suppressed, inhibited, .. } = ledger.counts;
    let accounted =
        ledger.pending() + ledger.grouped() + notified + failed + deduplicated + silenced + suppressed + inhibited;
    assert_eq!(raised, accounted, "{:?} grouped {}", ledger.counts, ledger.grouped());
}

fn only(ledger: &Ledger) -> &Alert {
    let mut alerts = ledger.alerts.values().filter(|alert| alert.origin != Origin::Maintenance);
    let first = alerts.next().unwrap();
    assert!(alerts.next().is_none());
    first
}

#[test]
fn a_hundred_repeats_are_one_notification_that_counts_them() {
    let mut ledger = ledger();
    for number in 0..100 {
        ledger.take(over(signal("a", number, number * 100)), number * 100);
    }
    assert_eq!(pass(&mut ledger, 10 * SECOND, MINUTE), [(Reason::New, 1)]);
    assert_eq!((only(&ledger).count, ledger.counts.deduplicated, ledger.counts.notified), (100, 99, 1));
}

#[test]
fn twenty_hosts_are_one_notification() {
    let mut ledger = ledger();
    (0..20).for_each(|host| ledger.take(signal(&format!("h{host}"), 0, host * SECOND), host * SECOND));
    assert_eq!(pass(&mut ledger, 20 * SECOND, MINUTE), [(Reason::New, 20)]);
}

#[test]
fn what_asks_to_be_told_again_sooner_than_its_route_says_is() {
    let times = |renotify_ms: Option<i64>| -> Vec<i64> {
        let mut ledger = ledger();
        ledger.take(Signal { renotify_ms, ..signal("a", 1, 0) }, 0);
        let told = (0..130 * MINUTE).step_by(1000).filter(|now| !pass(&mut ledger, *now, *now).is_empty());
        told.map(|now| now / MINUTE).collect()
    };
    assert_eq!(times(None).len(), 1);
    assert_eq!(times(Some(60 * MINUTE)).len(), 3, "{:?}", times(Some(60 * MINUTE)));
}

#[test]
fn within_the_cooldown_it_is_told_once_and_after_it_again() {
    for (gap_ms, expected) in [(4 * MINUTE, 1), (5 * MINUTE + SECOND, 2)] {
        let mut ledger = ledger();
        ledger.take(over(signal("a", 1, 0)), 0);
        let mut told = pass(&mut ledger, 0, gap_ms - SECOND);
        ledger.take(over(signal("a", 2, gap_ms)), gap_ms);
        told.extend(pass(&mut ledger, gap_ms, gap_ms + 30 * MINUTE));
        let new = told.iter().filter(|(reason, _)| *reason == Reason::New).count();
        assert_eq!(new, expected, "{gap_ms} ms apart: {told:?}");
        assert_eq!(only(&ledger).state(), AlertState::Resolved);
    }
}

#[test]
fn becoming_critical_is_told_within_the_cooldown() {
    let mut ledger = ledger();
    ledger.take(signal("a", 1, 0), 0);
    assert_eq!(pass(&mut ledger, 0, MINUTE), [(Reason::New, 1)]);
    ledger.take(Signal { severity: AlertSeverity::Critical, score: 0.95, ..signal("a", 1, 0) }, MINUTE);
    assert_eq!(pass(&mut ledger, MINUTE, 10 * MINUTE), [(Reason::New, 1)]);
    assert_eq!((only(&ledger).severity, only(&ledger).count), (AlertSeverity::Critical, 1));
}

#[test]
fn what_goes_on_is_repeated_until_somebody_takes_it() {
    let mut ledger = ledger();
    ledger.take(signal("a", 1, 0), 0);
    let repeats = pass(&mut ledger, 0, 9 * 60 * MINUTE);
    assert_eq!(repeats, [(Reason::New, 1), (Reason::Repeat, 1), (Reason::Repeat, 1)]);
    let print = only(&ledger).fingerprint;
    let said = Said { by: Some("ann".to_owned()), note: None, at_ms: 0 };
    ledger.acknowledge(print, said, 9 * 60 * MINUTE);
    assert_eq!(only(&ledger).state(), AlertState::Acknowledged);
    assert_eq!(pass(&mut ledger, 9 * 60 * MINUTE, 20 * 60 * MINUTE), []);
}

#[test]
fn a_flapping_anomaly_keeps_its_alert() {
    let mut ledger = ledger();
    ledger.take(signal("a", 1, 0), 0);
    let mut told = pass(&mut ledger, 0, MINUTE);
    for minute in 1..20 {
        let at_ms = minute * MINUTE;
        ledger.take(over(signal("a", minute, at_ms)), at_ms);
        ledger.take(signal("a", minute + 1, at_ms + 30 * SECOND), at_ms + 30 * SECOND);
        told.extend(pass(&mut ledger, at_ms, at_ms + MINUTE - SECOND));
    }
    assert!(told.iter().all(|(reason, _)| *reason != Reason::Resolved), "{told:?}");
    assert!(only(&ledger).is_firing());
}

#[test]
fn slight_ones_are_kept_and_not_told_until_they_become_worse() {
    let mut ledger = ledger();
    ledger.take(Signal { severity: AlertSeverity::Info, ..signal("a", 1, 0) }, 0);
    assert_eq!(pass(&mut ledger, 0, MINUTE), []);
    assert_eq!((only(&ledger).suppressed_by.join(" "), ledger.counts.suppressed), ("severity:info".to_owned(), 1));
    ledger.take(signal("a", 1, 0), MINUTE);
    assert_eq!(pass(&mut ledger, MINUTE, 2 * MINUTE), [(Reason::New, 1)]);
}

#[test]
fn a_silence_keeps_quiet_and_its_end_tells_what_still_goes_on() {
    let mut ledger = ledger();
    let silence = silence("s", 0, 10 * MINUTE);
    ledger.silences.insert(silence.id, Arc::new(silence));
    ledger.take(signal("a", 1, 0), 0);
    ledger.take(signal("b", 1, 0), 0);
    assert_eq!(pass(&mut ledger, 0, 9 * MINUTE), [(Reason::New, 1)]);
    assert_eq!(ledger.counts.silenced, 1);
    let quiet = ledger.alerts.values().find(|alert| alert.labels["host"] == "a").unwrap();
    assert_eq!(quiet.state(), AlertState::Suppressed);
    assert_eq!(pass(&mut ledger, 9 * MINUTE, 20 * MINUTE), [(Reason::New, 2)]);
}

#[test]
fn maintenance_tells_nothing_not_even_of_what_waits_already() {
    let mut ledger = ledger();
    ledger.take(signal("a", 1, 0), 0);
    let window = window(10 * SECOND, 10 * MINUTE);
    ledger.windows.insert(window.id, Arc::new(window));
    assert_eq!(pass(&mut ledger, 0, 5 * MINUTE), []);
    ledger.take(over(signal("a", 1, 0)), 5 * MINUTE);
    assert_eq!(pass(&mut ledger, 5 * MINUTE, 60 * MINUTE), []);
    assert_eq!((ledger.counts.suppressed, only(&ledger).state()), (1, AlertState::Resolved));
}

#[test]
fn a_storm_is_a_handful_of_notifications() {
    let mut ledger = ledger();
    for number in 0..10_000 {
        let mut signal = signal(&format!("h{number}"), 0, 0);
        signal.labels.insert("metric_name".to_owned(), format!("m{}", number % 100));
        ledger.take(signal, 0);
    }
    let told = pass(&mut ledger, 0, 30 * MINUTE);
    assert_eq!(told, [(Reason::New, 10_000)]);
    assert_eq!(ledger.counts.notified, 10_000);
}

#[test]
fn history_that_is_read_in_raises_nothing() {
    let mut ledger = ledger();
    ledger.take(over(signal("a", 1, 0)), 60 * MINUTE);
    assert_eq!((ledger.alerts.len(), ledger.counts.ignored, ledger.counts.raised), (0, 1, 0));
}

#[test]
fn what_a_person_declared_over_stays_over_until_something_new_begins() {
    let mut ledger = ledger();
    ledger.take(signal("a", 1, 0), 0);
    pass(&mut ledger, 0, MINUTE);
    let print = only(&ledger).fingerprint;
    ledger.end(print, Some(Said { by: None, note: None, at_ms: 0 }), MINUTE);
    ledger.take(signal("a", 1, MINUTE), MINUTE);
    assert_eq!(only(&ledger).state(), AlertState::Resolved);
    ledger.take(signal("a", 2, 20 * MINUTE), 20 * MINUTE);
    assert_eq!(only(&ledger).state(), AlertState::Active);
}

#[test]
fn beyond_the_weekly_budget_only_critical_ones_are_told_before_the_day_is_over() {
    let mut ledger = ledger();
    ledger.budget = Budget::new(1);
    let of_metric = |metric: &str, severity| {
        let mut signal = signal(metric, 0, 0);
        signal.labels.insert("metric_name".to_owned(), metric.to_owned());
        Signal { severity, ..signal }
    };
    ledger.take(of_metric("m1", AlertSeverity::Warning), 0);
    ledger.take(of_metric("m2", AlertSeverity::Warning), 0);
    ledger.take(of_metric("m3", AlertSeverity::Critical), 0);
    let today = pass(&mut ledger, 0, MINUTE);
    assert_eq!(today.len(), 2, "one within the budget and the critical one");
    assert_eq!(ledger.grouped(), 1);
    let later: Vec<_> = (DAY..DAY + 2 * MINUTE).step_by(1000).flat_map(|now| pass(&mut ledger, now, now)).collect();
    assert!(later.iter().any(|(reason, _)| *reason == Reason::New), "{later:?}");
    assert_eq!(ledger.grouped(), 0);
}

#[test]
fn a_restart_neither_tells_again_nor_forgets_what_was_not_told() {
    let mut before = ledger();
    before.take(signal("a", 1, 0), 0);
    pass(&mut before, 0, MINUTE);
    before.take(signal("b", 1, MINUTE), MINUTE);
    let mut after = ledger();
    before.alerts.values().for_each(|alert| after.take_back(Alert::clone(alert), 2 * MINUTE));
    let told = pass(&mut after, 2 * MINUTE, 20 * MINUTE);
    assert_eq!(told, [(Reason::New, 2)], "b, beside a that is known to go on");
    assert_eq!(after.counts.notified, 1);
}

#[derive(Debug, Clone)]
enum Step {
    Signal { host: u8, number: i64, is_open: bool, severity: usize },
    Silence(bool),
    Window(i64),
    End(u8),
    Acknowledge(u8),
    Pass { seconds: i64, arrives: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let signal = (0..4u8, 0..6i64, any::<bool>(), 0..3usize);
    prop_oneof![
        4 => signal.prop_map(|(host, number, is_open, severity)| Step::Signal { host, number, is_open, severity }),
        1 => any::<bool>().prop_map(Step::Silence),
        1 => (1..600i64).prop_map(Step::Window),
        1 => (0..4u8).prop_map(Step::End),
        1 => (0..4u8).prop_map(Step::Acknowledge),
        4 => (1..1000i64, any::<bool>()).prop_map(|(seconds, arrives)| Step::Pass { seconds, arrives }),
    ]
}

fn host(number: u8) -> String {
    char::from(b'a' + number).to_string()
}

proptest! {
    #[test]
    fn all_that_is_raised_is_accounted_for(steps in prop::collection::vec(step(), 1..60)) {
        let mut ledger = ledger();
        let mut now_ms = 0;
        let said = Said { by: None, note: None, at_ms: 0 };
        for step in steps {
            let print = |host_number| signal(&host(host_number), 0, 0).fingerprint;
            match step {
                Step::Signal { host: number_of_host, number, is_open, severity } => {
                    let severity = AlertSeverity::ALL[severity];
                    let signal = signal(&host(number_of_host), number, now_ms);
                    ledger.take(Signal { is_open, severity, ..signal }, now_ms);
                }
                Step::Silence(true) => {
                    let silence = silence("s", now_ms, now_ms + 5 * MINUTE);
                    ledger.silences.insert(silence.id, Arc::new(silence));
                }
                Step::Silence(false) => ledger.silences.clear(),
                Step::Window(seconds) => {
                    let window = window(now_ms, now_ms + seconds * SECOND);
                    ledger.windows.insert(window.id, Arc::new(window));
                }
                Step::End(number) => ledger.end(print(number), Some(said.clone()), now_ms),
                Step::Acknowledge(number) => ledger.acknowledge(print(number), said.clone(), now_ms),
                Step::Pass { seconds, arrives } => {
                    now_ms += seconds * SECOND;
                    for notification in ledger.tick(now_ms) {
                        let error = (!arrives).then_some("refused");
                        ledger.told(&notification.fresh, "hook", error, now_ms);
                    }
                }
            }
            assert_accounted(&ledger);
        }
        // When nothing more happens, nothing stays under way for longer than a day.
        ledger.silences.clear();
        ledger.windows.clear();
        for hour in 1..60 {
            let now_ms = now_ms + hour * 60 * MINUTE;
            for notification in ledger.tick(now_ms) {
                ledger.told(&notification.fresh, "hook", None, now_ms);
            }
        }
        prop_assert_eq!(ledger.grouped(), 0);
    }
}

#[path = "incident_tests.rs"]
mod incidents;

#[path = "quiet_tests.rs"]
mod quiet;
