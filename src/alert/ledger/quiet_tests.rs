//! Tests of what keeps alerts quiet, and of who is told when nobody takes one.

use super::*;
use crate::alert::Timing;

/// An alert of a service.
fn of(name: &str, service: &str, severity: AlertSeverity) -> Signal {
    let mut signal = signal(&format!("{name} {service} {severity:?}"), 0, 0);
    signal.labels.insert("service".to_owned(), service.to_owned());
    signal.labels.insert("alertname".to_owned(), name.to_owned());
    Signal { severity, name: name.to_owned(), ..signal }
}

#[test]
fn a_critical_alert_stands_for_warnings_of_its_service_until_it_is_over() {
    let mut ledger = ledger();
    let critical = of("Anomaly", "shop", AlertSeverity::Critical);
    ledger.take(critical.clone(), 0);
    ledger.take(of("Anomaly", "shop", AlertSeverity::Warning), 0);
    ledger.take(of("Anomaly", "mail", AlertSeverity::Warning), 0);
    ledger.take(of("Other", "shop", AlertSeverity::Warning), 0);
    pass(&mut ledger, 0, MINUTE);
    assert_eq!(ledger.counts.inhibited, 1);
    let print = of("Anomaly", "shop", AlertSeverity::Warning).fingerprint;
    let quiet = ledger.alerts[&print].clone();
    assert_eq!(quiet.suppressed_by, [format!("inhibited:{}", critical.fingerprint)]);
    ledger.take(over(critical), MINUTE);
    let told = pass(&mut ledger, MINUTE, 20 * MINUTE);
    assert_eq!(ledger.alerts[&print].state(), AlertState::Active);
    assert!(told.iter().any(|(reason, _)| *reason == Reason::New), "it is told once nothing stands for it");
}

#[test]
fn maintenance_has_an_alert_that_keeps_anomalies_of_its_service_quiet() {
    let mut ledger = ledger();
    // The window names the service and a host; an anomaly of another host of the service is not part of it.
    let matchers = vec![Matcher::equal("service", "shop"), Matcher::equal("job", "deploy")];
    let window = Window::new(
        (0, 10 * MINUTE),
        Conditions::of(matchers),
        (String::new(), "UTC".to_owned()),
        "new disk".to_owned(),
    );
    let window = window.unwrap();
    ledger.windows.insert(window.id, Arc::new(window));
    assert_eq!(pass(&mut ledger, 0, SECOND), [], "nobody is told of it");
    let alert = ledger.alerts.values().find(|alert| alert.name == "MaintenanceWindow").unwrap();
    assert_eq!((alert.labels["service"].as_str(), alert.state()), ("shop", AlertState::Active));
    ledger.take(of("AnomalyHigh", "shop", AlertSeverity::Critical), 2 * SECOND);
    ledger.take(of("AnomalyHigh", "mail", AlertSeverity::Critical), 2 * SECOND);
    assert_eq!(pass(&mut ledger, 2 * SECOND, 5 * MINUTE), [(Reason::New, 1)]);
    assert_eq!(ledger.counts.inhibited, 1);
    let told = pass(&mut ledger, 5 * MINUTE, 30 * MINUTE);
    assert!(ledger.alerts.values().all(|alert| alert.name != "MaintenanceWindow" || !alert.is_firing()));
    assert!(!told.is_empty(), "what goes on afterwards is told");
}

/// A ledger whose alerts go to `first`, after five minutes to `second` and after an hour to `third`.
fn with_ladder() -> Ledger {
    let mut ledger = ledger();
    let mut routing = ledger.routing.clone();
    let (target, last) = (routing.receivers[0].target.clone(), routing.routes[0].clone());
    routing.receivers = ["first", "second", "third"]
        .map(|name| Receiver { name: name.into(), target: target.clone(), sends_resolved: true, ca_file: None })
        .into();
    for (number, after_ms) in [(1, 5 * MINUTE), (2, 60 * MINUTE)] {
        let timing = Timing { group_wait_ms: 0, ..last.timing };
        routing.routes.push(crate::alert::routing::Route { receiver: number, is_step: true, timing, ..last.clone() });
        routing.routes[0].ladder.push((after_ms, number));
    }
    ledger.reroute(routing, 0);
    ledger
}

/// Who is told what, and in which minute.
fn told_whom(ledger: &mut Ledger, from_ms: i64, to_ms: i64) -> Vec<(String, Reason, i64)> {
    let mut told = Vec::new();
    for now_ms in (from_ms..=to_ms).step_by(SECOND as usize) {
        for notification in ledger.tick(now_ms) {
            ledger.told(&notification.fresh, &notification.to.name, None, now_ms);
            told.push((notification.to.name.to_string(), notification.reason, now_ms / MINUTE));
        }
        assert_accounted(ledger);
    }
    told
}

#[test]
fn what_nobody_takes_is_told_to_the_next_and_its_end_to_all() {
    let mut ledger = with_ladder();
    ledger.take(signal("a", 1, 0), 0);
    let told = told_whom(&mut ledger, 0, 90 * MINUTE);
    let of = |name: &str, reason, minute| (name.to_owned(), reason, minute);
    assert_eq!(told, [of("first", Reason::New, 0), of("second", Reason::New, 5), of("third", Reason::New, 60)]);
    ledger.take(over(signal("a", 1, 0)), 90 * MINUTE);
    let mut names: Vec<_> =
        told_whom(&mut ledger, 90 * MINUTE, 100 * MINUTE).into_iter().map(|(name, reason, _)| (name, reason)).collect();
    names.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(names, ["first", "second", "third"].map(|name| (name.to_owned(), Reason::Resolved)));
}

#[test]
fn who_takes_it_stops_the_ladder() {
    let mut ledger = with_ladder();
    ledger.take(signal("a", 1, 0), 0);
    told_whom(&mut ledger, 0, 6 * MINUTE);
    let print = signal("a", 1, 0).fingerprint;
    ledger.acknowledge(print, Said { by: Some("ann".to_owned()), note: None, at_ms: 0 }, 6 * MINUTE);
    assert_eq!(told_whom(&mut ledger, 6 * MINUTE, 180 * MINUTE), []);
    assert_eq!(ledger.alerts[&print].escalated, 1);
}
