//! A leak of memory that drags others along, sent as samples: one incident with memory as its cause, heard of in the stream.
//!
//! Not here: relatedness and causes by themselves (see `alert::incident`), the same by posted anomalies (see `life`).

use super::support::eventually;
use super::support::http::{get_json, post};
use super::support::server::Server;
use super::{SECONDS, assert_accounted, infrawatch, now_s};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// What goes wrong, how many seconds after memory, and what is usual.
const CASCADE: [(&str, f64, f64); 4] =
    [("memory_used", 0.0, 60.0), ("cpu_busy", 30.0, 20.0), ("latency_ms", 60.0, 100.0), ("errors_rate", 90.0, 5.0)];

#[test]
fn samples_of_a_cascade_make_one_incident_with_memory_as_its_cause() {
    let server = Server::start();
    let url = server.url("/api/v1/stream?types=alerts,incidents");
    let mut reader = Command::new("curl")
        .args(["-sSN", "-m", "300", &url])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl is installed");
    let mut lines = BufReader::new(reader.stdout.take().unwrap());
    let began = now_s().floor() - 150.0;
    let (mut history, mut trouble) = (Vec::new(), Vec::new());
    for second in (-7200..150).step_by(5) {
        let at = began + f64::from(second);
        for (name, late, usual) in CASCADE {
            let noise = (at * 7919.0 % 101.0) / 101.0;
            let is_wrong = f64::from(second) >= late;
            let value = if is_wrong { usual * 6.0 } else { usual * (1.0 + noise / 20.0) };
            let sample = json!({"name": name, "timestamp": at, "value": value, "labels": {"service": "shop"}});
            if second < 0 { history.push(sample) } else { trouble.push(sample) }
        }
    }
    for part in [history, trouble].concat().chunks(2000) {
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(part).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let incidents = || get_json(&server.url("/api/v1/incidents"), &[]);
    let whole = eventually("all four are one incident", SECONDS, || {
        incidents()["items"].as_array().unwrap().iter().find(|one| one["alert_count"] == 4).cloned()
    });
    assert_eq!(incidents()["total"], 1, "{}", incidents());
    let metrics: Vec<_> = whole["alerts"].as_array().unwrap().iter().map(|one| &one["labels"]["metric_name"]).collect();
    assert!(CASCADE.iter().all(|(name, ..)| metrics.contains(&&json!(name))), "{metrics:?}");
    eventually("memory is the cause", SECONDS, || {
        let cause = &incidents()["items"][0]["cause"];
        (cause["metric_name"] == "memory_used").then_some(())
    });
    // The stream tells of all four and of their incident.
    let (mut alerts, mut has_incident, mut kind) = (Vec::new(), false, String::new());
    while alerts.len() < 4 || !has_incident {
        let mut line = String::new();
        assert_ne!(lines.read_line(&mut line).unwrap(), 0, "the stream ended");
        match line.trim_end().split_once(": ") {
            Some(("event", word)) => word.clone_into(&mut kind),
            Some(("data", text)) => {
                let data: Value = serde_json::from_str(text).unwrap();
                has_incident |= kind == "incident" && data["alert_count"] == 4;
                let print = data["fingerprint"].clone();
                if kind == "alert" && !alerts.contains(&print) {
                    alerts.push(print);
                }
            }
            _ => {}
        }
    }
    reader.kill().unwrap();
    reader.wait().unwrap();
    assert_accounted(&server);
}

#[test]
fn the_calendar_lists_what_comes_once_and_what_comes_again() {
    let server = Server::start();
    let url = server.url("");
    let start = "2030-01-01T10:00:00Z";
    let once = ["maintenance", "add", "{host=\"a\"}", "--start", start, "--duration", "1h", "--server", &url];
    infrawatch(&once);
    let weekly = ["--recurrence", "FREQ=WEEKLY;BYDAY=MO,TH", "--timezone", "Europe/Berlin"];
    infrawatch(&[&once[..], &weekly].concat());
    let asked = ["maintenance", "calendar", "--start", "2030-01-01T00:00:00Z", "--end", "2030-01-15T00:00:00Z"];
    let listed = infrawatch(&[&asked[..], &["--server", &url]].concat());
    let found: Vec<_> = listed
        .iter()
        .map(|one| (one["start"].as_str().unwrap()[..10].to_owned(), one["recurring"] == json!(true)))
        .collect();
    // The start itself counts, whatever the rule says of it (RFC 5545).
    let expected = [
        ("2030-01-01", false),
        ("2030-01-01", true),
        ("2030-01-03", true),
        ("2030-01-07", true),
        ("2030-01-10", true),
        ("2030-01-14", true),
    ];
    assert_eq!(found, expected.map(|(day, again)| (day.to_owned(), again)), "{listed:?}");
    let wrong = super::support::http::get(&server.url("/api/v1/maintenance/calendar?start=10&end=5"), &[]).unwrap();
    assert_eq!(wrong.status, 400, "{}", wrong.body);
}

#[test]
fn alerts_whose_series_always_move_together_become_one_incident() {
    let server = Server::start();
    let now = now_s().floor();
    // Six hours of a wave that both follow, and a third series that goes its own way; no label is shared.
    let series = [("queue_len", "rack", 1.0), ("temperature", "zone", 0.3), ("visitors", "site", 0.0)];
    let mut samples = Vec::new();
    for minute in (1..=380).rev() {
        let at = now - f64::from(minute) * 60.0;
        let wave = (f64::from(minute) / 17.0).sin() * 10.0 + (f64::from(minute) / 5.0).cos() * 4.0;
        for (number, (name, label, share)) in series.into_iter().enumerate() {
            let own = ((at + number as f64 * 37.0) * 7919.0 % 101.0) / 101.0;
            let value = 50.0 + wave * share + own * if share == 0.0 { 20.0 } else { 0.5 };
            samples.push(json!({"name": name, "timestamp": at, "value": value, "labels": {label: "x"}}));
        }
    }
    for part in samples.chunks(2000) {
        let answer = post(&server.url("/api/v1/metrics"), &[], json!(part).to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    for (name, label, _) in series {
        let body = json!({
            "metric_name": name, "labels": {label: "x"}, "timestamp": now - 30.0, "end": now, "severity": "high",
            "value": 97, "expected_value": 50, "state": "open", "summary": format!("{name} is high"),
        });
        let answer = post(&server.url("/api/v1/anomalies"), &[], body.to_string().as_bytes()).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }
    let incident = eventually("two are one incident", SECONDS, || {
        let incidents = get_json(&server.url("/api/v1/incidents"), &[]);
        incidents["items"].as_array().unwrap().iter().find(|one| one["alert_count"] == 2).cloned()
    });
    let mut metrics: Vec<_> =
        incident["alerts"].as_array().unwrap().iter().map(|one| &one["labels"]["metric_name"]).collect();
    metrics.sort_by_key(|name| name.to_string());
    assert_eq!(metrics, [&json!("queue_len"), &json!("temperature")]);
    assert!(
        incident["evidence"].to_string().contains("correlat") || incident["evidence"].to_string().contains("move"),
        "{incident}"
    );
}
