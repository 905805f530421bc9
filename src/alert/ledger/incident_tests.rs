//! Tests of incidents in the ledger: what is one, what its cause is, and who is told how often.

use super::*;
use crate::alert::notification::{Notification, Reason};
use crate::alert::{Correlation, Incident, Topology};

fn of(metric: &str, labels: &[(&str, &str)], at_ms: i64) -> Signal {
    let key = format!("{metric} {labels:?}");
    let mut all: BTreeMap<_, _> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    all.extend(
        [("alertname", "Anomaly"), ("metric_name", metric)].map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    Signal {
        fingerprint: Fingerprint::of("anomaly", key.as_bytes()),
        labels: all,
        summary: format!("{metric} is high"),
        anomaly_id: Some(crate::anomaly::AnomalyId::of(key.as_bytes(), at_ms, crate::anomaly::Source::Infrawatch)),
        renotify_ms: None,
        ..signal("x", 0, at_ms)
    }
}

fn names<'a>(ledger: &'a Ledger, prints: impl Iterator<Item = Fingerprint> + 'a) -> Vec<&'a str> {
    prints.map(|print| ledger.alerts[&print].labels["metric_name"].as_str()).collect()
}

fn only_incident(ledger: &Ledger) -> &Incident {
    let incidents: Vec<_> = ledger.incidents.all.values().collect();
    assert_eq!(incidents.len(), 1, "{incidents:#?}");
    incidents[0]
}

/// Memory leaks, the processor swaps, answers take longer, requests fail: each a while after the other.
fn cascade(ledger: &mut Ledger) -> Vec<Notification> {
    let host = [("host", "web1"), ("service", "shop")];
    let mut told = Vec::new();
    for second in 0..600 {
        for (metric, at) in [("memory_used", 0), ("cpu_percent", 90), ("latency_p99", 150), ("error_rate", 200)] {
            if second == at {
                ledger.take(of(metric, &host, second * SECOND), second * SECOND);
            }
        }
        for notification in ledger.tick(second * SECOND) {
            ledger.told(&notification.fresh, "hook", None, second * SECOND);
            told.push(notification);
        }
        assert_accounted(ledger);
    }
    told
}

#[test]
fn a_cascade_is_one_incident_with_its_first_as_the_cause() {
    let mut ledger = ledger();
    let told = cascade(&mut ledger);
    let incident = only_incident(&ledger);
    let members = names(&ledger, incident.members.iter().map(|member| member.alert));
    assert_eq!(members, ["memory_used", "cpu_percent", "latency_p99", "error_rate"]);
    let cause = incident.cause.as_ref().unwrap();
    assert!(cause.is_sure, "{cause:?}");
    assert_eq!(names(&ledger, cause.candidates.iter().map(|one| one.alert))[0], "memory_used");
    assert!(cause.candidates[0].why.contains("began first, 90 s before the next"), "{cause:?}");
    assert!(ledger.alerts.values().all(|alert| alert.incident == Some(incident.id)));
    // The first alone, then one notification of all that came since.
    let counts: Vec<_> = told.iter().map(|one| (one.reason, one.total)).collect();
    assert_eq!(counts, [(Reason::New, 1), (Reason::New, 4)]);
    let title = told[1].title();
    assert!(title.contains("incident of 4 alerts, the cause: memory_used is high"), "{title}");
}

#[test]
fn going_through_the_same_again_gives_the_same() {
    let (mut one, mut other) = (ledger(), ledger());
    let ids = |told: Vec<Notification>| told.into_iter().map(|one| (one.id, one.title())).collect::<Vec<_>>();
    assert_eq!(ids(cascade(&mut one)), ids(cascade(&mut other)));
    assert_eq!(one.incidents.all, other.incidents.all);
}

#[test]
fn what_all_others_depend_on_is_the_cause_although_it_was_seen_late() {
    let mut ledger = ledger();
    ledger.set_topology(Topology(
        [("web-api", vec!["database", "cache"]), ("payment", vec!["database"])]
            .map(|(name, all)| (name.to_owned(), all.into_iter().map(str::to_owned).collect()))
            .into(),
    ));
    for (metric, service, second) in
        [("http_errors", "web-api", 0), ("pay_errors", "payment", 5), ("connections", "database", 10)]
    {
        ledger.take(of(metric, &[("service", service)], second * SECOND), second * SECOND);
    }
    pass(&mut ledger, 10 * SECOND, MINUTE);
    let incident = only_incident(&ledger);
    let cause = incident.cause.as_ref().unwrap();
    assert_eq!((names(&ledger, [cause.candidates[0].alert].into_iter()), cause.is_sure), (vec!["connections"], true));
    assert!(cause.candidates[0].why.contains("2 of 2 other services depend on database"), "{cause:?}");
    // Without the topology they have nothing to do with each other.
    ledger.set_topology(Topology::default());
    ledger.take(of("queue", &[("service", "mail")], 20 * SECOND), 20 * SECOND);
    assert!(ledger.alerts.values().any(|alert| alert.incident.is_none()));
}

#[test]
fn what_began_at_once_without_more_to_go_by_has_no_sure_cause() {
    let mut ledger = ledger();
    for metric in ["a_one", "b_two", "c_three"] {
        ledger.take(of(metric, &[("host", "h")], 0), 0);
    }
    pass(&mut ledger, 0, MINUTE);
    let cause = only_incident(&ledger).cause.clone().unwrap();
    assert!(!cause.is_sure && cause.doubt.contains("all began at once"), "{cause:?}");
    // One goes ahead of both others: that is something to go by.
    let print = |metric: &str| of(metric, &[("host", "h")], 0).fingerprint;
    let ahead = Correlation { r: 0.95, lag_ms: 60_000, points: 100 };
    let pairs = vec![(print("b_two"), print("a_one"), ahead), (print("b_two"), print("c_three"), ahead)];
    ledger.correlated(pairs, MINUTE);
    pass(&mut ledger, MINUTE, 2 * MINUTE);
    let cause = only_incident(&ledger).cause.clone().unwrap();
    assert_eq!(
        (names(&ledger, [cause.candidates[0].alert].into_iter()), cause.is_sure),
        (vec!["b_two"], true),
        "{cause:?}"
    );
}

#[test]
fn alerts_that_always_move_together_become_one_incident_and_two_incidents_one() {
    let mut ledger = ledger();
    let (a, b) = (of("a_x", &[("host", "1")], 0), of("b_x", &[("host", "2")], 0));
    let (c, d) = (of("c_x", &[("host", "1")], SECOND), of("d_x", &[("host", "2")], SECOND));
    for one in [&a, &b, &c, &d] {
        ledger.take(one.clone(), SECOND);
    }
    assert_eq!(ledger.incidents.all.len(), 2);
    ledger.correlated(vec![(a.fingerprint, b.fingerprint, Correlation { r: 0.9, lag_ms: 0, points: 300 })], 2 * SECOND);
    assert_eq!(only_incident(&ledger).alert_count(), 4);
    let told = pass(&mut ledger, 2 * SECOND, 2 * MINUTE);
    assert_eq!(told, [(Reason::New, 4)], "one notification of what had been two");
    // It ends with its last alert, and what comes later is another one.
    for one in [a, b, c, d] {
        ledger.take(over(one), 2 * MINUTE);
    }
    pass(&mut ledger, 2 * MINUTE, 10 * MINUTE);
    assert!(only_incident(&ledger).end_ms.is_some());
    ledger.take(of("e_x", &[("host", "1")], 10 * MINUTE), 10 * MINUTE);
    assert!(ledger.alerts[&of("e_x", &[("host", "1")], 0).fingerprint].incident.is_none());
}

#[test]
fn slight_alerts_that_are_many_are_told_as_one() {
    let mut ledger = ledger();
    let slight = |metric: &str, at_ms| Signal { severity: AlertSeverity::Info, ..of(metric, &[("host", "h")], at_ms) };
    ledger.take(slight("cpu", 0), 0);
    ledger.take(slight("memory", 10 * SECOND), 10 * SECOND);
    assert_eq!(pass(&mut ledger, 10 * SECOND, MINUTE), [], "two are too few");
    ledger.take(slight("disk", MINUTE), MINUTE);
    assert_eq!(pass(&mut ledger, MINUTE, 2 * MINUTE), [(Reason::New, 1)]);
    let joint = ledger.alerts.values().find(|alert| alert.name == "JointAnomaly").unwrap();
    assert_eq!(joint.summary, "3 metrics of h are unusual together, each too slight alone: cpu, disk, memory");
    for metric in ["cpu", "memory"] {
        ledger.take(over(slight(metric, if metric == "cpu" { 0 } else { 10 * SECOND })), 2 * MINUTE);
    }
    ledger.take(over(slight("disk", MINUTE)), 2 * MINUTE);
    pass(&mut ledger, 2 * MINUTE, 10 * MINUTE);
    assert!(ledger.alerts.values().all(|alert| !alert.is_firing()), "it ends with them");
}

#[test]
fn a_storm_of_one_service_is_one_incident_that_counts_what_it_does_not_list() {
    let mut ledger = ledger();
    for number in 0..10_000 {
        ledger.take(of(&format!("m{}", number % 7), &[("host", &format!("h{number}")), ("service", "shop")], 0), 0);
    }
    let told = pass(&mut ledger, 0, MINUTE);
    assert_eq!(told, [(Reason::New, 10_000)]);
    let incident = only_incident(&ledger);
    assert_eq!((incident.alert_count(), incident.members.len()), (10_000, 1000));
}
