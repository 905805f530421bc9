//! What was told live, and what a replay of the same span says would have been told.
//!
//! Not here: the ledger by a clock of its own (see `alert::replay`).

use super::support::eventually;
use super::support::http::post;
use super::support::server::Server;
use super::support::sink::Sink;
use super::{SECONDS, infrawatch, now_s};
use serde_json::{Value, json};
use std::process::Command;
use tempfile::TempDir;

/// What is usual of a second.
fn usual(second: f64) -> f64 {
    40.0 + (second * 7919.0 % 101.0) / 50.0
}

fn push(server: &Server, samples: &[Value]) {
    let answer = post(&server.url("/api/v1/metrics"), &[], json!(samples).to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn sample(host: &str, at_s: f64, value: f64) -> Value {
    json!({"name": "cpu", "timestamp": at_s, "value": value, "labels": {"host": host}})
}

/// Notifications of a replay: receiver, reason and alerts.
fn told(items: &[Value]) -> Vec<(String, String, String)> {
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    items.iter().map(|item| (text(item, "receiver"), text(item, "reason"), text(item, "named"))).collect()
}

/// What the receiver was told, as reason and alerts.
fn told_live(sink: &Sink) -> Vec<(Value, Vec<Value>)> {
    let alerts = |body: &Value| {
        let all = body["alerts"].as_array().unwrap().iter();
        let mut alerts: Vec<Value> = all.map(|alert| json!([alert["labels"], alert["severity"]])).collect();
        alerts.sort_by_key(Value::to_string);
        alerts
    };
    sink.sent().iter().map(|sent| (sent.body["reason"].clone(), alerts(&sent.body))).collect()
}

#[test]
fn a_span_replayed_twice_and_live_gives_the_same_list_and_another_configuration_differs() {
    let folder = TempDir::new().unwrap();
    let sink = Sink::start(&[]);
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let routing = format!(
        "[route]\nreceiver = \"team\"\ngroup_wait = \"4s\"\ngroup_interval = \"4s\"\n\
         [[receivers]]\nname = \"team\"\nwebhook = {:?}\n",
        sink.url()
    );
    let routing = file("routing.toml", &routing);
    let rules = "groups:\n- name: g\n  interval: 1s\n  rules:\n  - alert: Hot\n    expr: cpu > 500\n    for: 2s\n    \
                 labels: {severity: critical}\n";
    let rules = file("rules.yml", rules);
    let settings = |more: &str| {
        format!("[alerts]\nrouting_file = {routing:?}\nresolve_after = \"2s\"\n[rules]\nfiles = {more:?}\n")
    };
    let config = file("infrawatch.toml", &settings(&rules));
    let other = file("other.toml", &settings(""));
    let server = Server::start_with(&["--statsd-listen", "off", "--config", &config]);
    // An hour of history, then live: unusual for six seconds, and usual again until that is told.
    let begin = now_s().floor();
    let history = (1..=3600)
        .rev()
        .flat_map(|back| ["a", "b"].map(|host| sample(host, begin - f64::from(back), usual(begin - f64::from(back)))));
    history.collect::<Vec<_>>().chunks(2000).for_each(|part| push(&server, part));
    let first = now_s().floor() + 1.0;
    let mut sent_s = begin;
    let is_over = || sink.sent().iter().any(|sent| sent.body["status"] == "resolved");
    eventually("all is told, and over", SECONDS, || {
        let now = now_s().floor();
        while sent_s < now {
            let value = if (first..first + 6.0).contains(&sent_s) { 900.0 } else { usual(sent_s) };
            push(&server, &[sample("a", sent_s, value), sample("b", sent_s, usual(sent_s))]);
            sent_s += 1.0;
        }
        is_over().then_some(())
    });
    let end = now_s().ceil();
    let live = told_live(&sink);
    let stopped = server.stop();
    let store = stopped.data_dir().to_str().unwrap().to_owned();
    let (from, to) = (begin.to_string(), end.to_string());
    let span = ["--from", &from, "--to", &to, "--data-dir", &store];
    let replay =
        |more: &[&str]| infrawatch(&[&["evaluate", "--replay", "--config", &config], &span[..], more].concat());
    let (once, again) = (replay(&[]), replay(&[]));
    assert_eq!(once, again, "twice the same");
    let reasons: Vec<_> = once.iter().map(|item| item["reason"].clone()).collect();
    let of_live: Vec<_> = live.iter().map(|(reason, _)| reason.clone()).collect();
    assert_eq!(reasons, of_live, "the same as live: {once:?} and {live:?}");
    for (item, (_, alerts)) in once.iter().zip(&live) {
        assert_eq!(item["alerts"], json!(alerts.len()), "{item} and {alerts:?}");
        assert!(
            alerts
                .iter()
                .all(|alert| item["named"].as_str().unwrap().contains(alert[0]["alertname"].as_str().unwrap()))
        );
    }
    assert!(once[0]["named"].as_str().unwrap().contains("Anomaly warning host=a"), "{once:?}");
    assert!(told(&once).iter().any(|(_, _, named)| named.contains("Hot critical")), "{once:?}");
    // Without the rule, its alert is told of by neither.
    let changed = replay(&["--against", &other]);
    let of = |sign: &str| changed.iter().filter(|item| item["change"] == sign).cloned().collect::<Vec<_>>();
    let (gone, come) = (told(&of("-")), told(&of("+")));
    assert!(gone.iter().any(|(_, _, named)| named.contains("Hot")), "{changed:?}");
    assert!(!come.iter().any(|(_, _, named)| named.contains("Hot")), "{changed:?}");
    let same = replay(&["--against", &config]);
    assert!(same.len() == once.len() && same.iter().all(|item| item["change"] == "="), "{same:?}");
    // Nothing was written: the store opens as it was.
    let server = stopped.restart();
    assert_eq!(server.figure("infrawatch_alerts_raised_total"), 0.0);
}

#[test]
fn a_replay_tells_of_a_series_that_fell_silent_while_another_went_on() {
    const MINUTES: i64 = 3 * 1440;
    let silent = 2 * 1440..2 * 1440 + 180;
    let server = Server::start();
    let begin = (now_s() / 60.0).floor() * 60.0 - 60.0 * MINUTES as f64;
    for from in (0..MINUTES).step_by(720) {
        let at = |minute: i64| begin + 60.0 * minute as f64;
        let of = |minute: i64, host: &'static str| sample(host, at(minute), usual(at(minute) / 60.0));
        let minutes = from..from + 720;
        let a = minutes.clone().filter(|minute| !silent.contains(minute)).map(|minute| of(minute, "a"));
        push(&server, &a.chain(minutes.map(|minute| of(minute, "b"))).collect::<Vec<_>>());
    }
    let stopped = server.stop();
    let store = stopped.data_dir().to_str().unwrap();
    let routing = stopped.data_dir().join("routing.toml");
    let text = "[route]\nreceiver = \"team\"\n[[receivers]]\nname = \"team\"\nwebhook = \"http://127.0.0.1:9/\"\n";
    std::fs::write(&routing, text).unwrap();
    let config = stopped.data_dir().join("infrawatch.toml");
    std::fs::write(&config, format!("[alerts]\nrouting_file = {:?}\n", routing.to_str().unwrap())).unwrap();
    let (from, to) = ((begin + 2.0 * 86_400.0).to_string(), (begin + 2.5 * 86_400.0).to_string());
    let config = config.to_str().unwrap();
    let told =
        infrawatch(&["evaluate", "--replay", "--config", config, "--data-dir", store, "--from", &from, "--to", &to]);
    let of = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    let shown: Vec<_> = told.iter().map(|item| [of(item, "named"), of(item, "status")]).collect();
    let named = ["critical", "resolved"].map(|word| format!("Anomaly {word} host=a,metric_name=cpu"));
    assert_eq!(shown, [[named[0].clone(), "firing".to_owned()], [named[1].clone(), "resolved".to_owned()]]);
    assert!(of(&told[0], "title").contains("cpu has sent nothing for 12 min"), "{told:?}");
    // Minutes after its last sample: ten steps and one of patience, and then what the group waits.
    let after = |item: &Value| {
        let time: jiff::Timestamp = of(item, "time").parse().unwrap();
        (time.as_second() as f64 - begin) / 60.0 - silent.start as f64 + 1.0
    };
    assert!((11.0..14.0).contains(&after(&told[0])) && (181.0..184.0).contains(&after(&told[1])), "{told:?}");
}

#[test]
fn a_replay_names_what_is_missing() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let nowhere = run(&["evaluate", "--replay", "--data-dir", "/nowhere"]);
    assert!(nowhere.0 == Some(1) && nowhere.1.contains("no store in /nowhere"), "{nowhere:?}");
    assert_eq!(run(&["evaluate", "--from", "0"]).0, Some(2));
    assert_eq!(run(&["evaluate"]).0, Some(2));
}
