//! Crashes at inconvenient moments: while a receiver is being told, and between two steps of an escalation.
//!
//! Not here: restarts with everything told (see `life`).

use super::support::eventually;
use super::support::sink::Sink;
use super::{SECONDS, alerts, anomaly, assert_accounted, now_s, said, server, webhooks};
use serde_json::json;
use tempfile::TempDir;

#[test]
fn what_was_being_told_when_the_server_died_is_told_after_the_start() {
    let folder = TempDir::new().unwrap();
    // The first request is never answered.
    let sink = Sink::start(&[0]);
    let server = server(&folder, &webhooks(&[sink.url()], ""));
    anomaly(&server, "a", now_s(), "critical", "open");
    eventually("the receiver is asked", SECONDS, || (sink.sent().len() == 1).then_some(()));
    eventually("it is pending", SECONDS, || (server.figure("infrawatch_alerts_pending") > 0.0).then_some(()));
    assert_accounted(&server);
    let server = server.kill().restart();
    let told = eventually("it is told anew", SECONDS, || sink.sent().into_iter().nth(1));
    assert_eq!((&told.body["reason"], &told.body["alerts"][0]["labels"]["host"]), (&json!("new"), &json!("a")));
    eventually("it counts as told", SECONDS, || {
        (server.figure("infrawatch_alerts_notified_total") == 1.0).then_some(())
    });
    assert_accounted(&server);
}

#[test]
fn a_ladder_goes_on_after_a_crash_and_stops_when_somebody_takes_it() {
    let folder = TempDir::new().unwrap();
    let [first, second, third] = [(); 3].map(|()| Sink::start(&[]));
    let mut text = webhooks(&[first.url(), second.url(), third.url()], "");
    // The routes that lead to all would tell everybody at once: of them only the ladder is left.
    text = text.split("[[routes]]").next().unwrap().to_owned()
        + "escalate = [{ after = \"6s\", receiver = \"hook1\" }, { after = \"12s\", receiver = \"hook2\" }]\n"
        + &text[text.find("[[receivers]]").unwrap()..];
    let server = server(&folder, &text);
    anomaly(&server, "a", now_s(), "critical", "open");
    eventually("the first is told", SECONDS, || (!first.sent().is_empty()).then_some(()));
    let known = alerts(&server, "active", 1);
    eventually("it is written down", SECONDS, || {
        let alert = &alerts(&server, "active", 1)[0];
        alert["history"].to_string().contains("told to hook0").then_some(())
    });
    // What is told is on disk within a second, which a crash may come before: a stop writes it down.
    let server = server.stop().restart();
    assert!(second.sent().is_empty(), "before its time");
    eventually("the second is told after the start", SECONDS, || (!second.sent().is_empty()).then_some(()));
    let news = || first.sent().iter().filter(|sent| sent.body["reason"] == "new").count();
    assert_eq!(news(), 1, "the first is not told again");
    let print = known[0]["fingerprint"].as_str().unwrap();
    said(&server, &format!("/api/v1/alerts/{print}/acknowledge"), &json!({"by": "ann"}));
    let server = server.kill().restart();
    // Another alert climbs past the time at which the third would have been told of the first.
    anomaly(&server, "b", now_s(), "critical", "open");
    eventually("the third is told of the other", SECONDS, || (!third.sent().is_empty()).then_some(()));
    let of_a = third
        .sent()
        .iter()
        .flat_map(|sent| sent.body["alerts"].as_array().cloned().unwrap())
        .any(|alert| alert["labels"]["host"] == "a" && alert["acknowledged_by"].is_null());
    assert!(!of_a, "{:?}", third.sent());
    assert_accounted(&server);
}
