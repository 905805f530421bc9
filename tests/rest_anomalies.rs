//! Anomalies on record: listed, filtered, posted, judged by people, counted, scraped, and there again after a restart.
//!
//! Not here: detection over what is stored (see `tests/rest_metrics.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use support::http::{Answer, delete, get, get_json, post};
use support::server::Server;

const START_S: i64 = 1_700_000_000;

fn ask(server: &Server, path: &str, body: &Value) -> Answer {
    post(&server.url(path), &[], body.to_string().as_bytes()).unwrap()
}

fn posted(server: &Server, body: &Value) -> Value {
    let answer = ask(server, "/api/v1/anomalies", body);
    assert_eq!(answer.status, 201, "{body}: {}", answer.body);
    serde_json::from_str(&answer.body).unwrap()
}

fn refused(answer: &Answer, status: u16, field: Option<&str>) {
    assert_eq!(answer.status, status, "{}", answer.body);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert!(body["error"].is_string(), "{body}");
    assert_eq!(body.get("field").and_then(Value::as_str), field, "{body}");
}

/// Four anomalies, an hour apart: of two metrics, two hosts and four severities; the last one goes on.
fn filled(server: &Server) -> Vec<Value> {
    let of = |at: i64, name: &str, host: &str, severity: &str, state: &str| {
        json!({
            "metric_name": name, "labels": {"host": host}, "timestamp": START_S + at * 3600, "severity": severity,
            "value": 10 * at, "expected_value": 5, "state": state, "summary": format!("seen at {at}"),
        })
    };
    let bodies = [
        of(0, "cpu", "a", "low", "closed"),
        of(1, "cpu", "b", "medium", "closed"),
        of(2, "mem", "a", "high", "closed"),
        of(3, "mem", "b", "critical", "open"),
    ];
    bodies.iter().map(|body| posted(server, body)).collect()
}

/// Times of the items, in hours after the first one, and the total.
fn listed(server: &Server, parameters: &[(&str, &str)]) -> (Vec<i64>, u64) {
    let list = get_json(&server.url("/api/v1/anomalies"), parameters);
    let hour = |item: &Value| {
        let time: jiff::Timestamp = item["timestamp"].as_str().unwrap().parse().unwrap();
        (time.as_second() - START_S) / 3600
    };
    (list["items"].as_array().unwrap().iter().map(hour).collect(), list["total"].as_u64().unwrap())
}

#[test]
fn anomalies_are_listed_newest_first_and_every_filter_counts() {
    let server = Server::start();
    assert_eq!(listed(&server, &[]), (vec![], 0));
    filled(&server);
    assert_eq!(listed(&server, &[]), (vec![3, 2, 1, 0], 4));
    assert_eq!(listed(&server, &[("skip", "1"), ("limit", "2")]), (vec![2, 1], 4));
    assert_eq!(listed(&server, &[("metric_name", "cpu")]), (vec![1, 0], 2));
    assert_eq!(listed(&server, &[("severity", "high,low")]), (vec![2, 0], 2));
    assert_eq!(listed(&server, &[("severity", "high"), ("severity", "critical")]), (vec![3, 2], 2));
    assert_eq!(listed(&server, &[("state", "open")]), (vec![3], 1));
    assert_eq!(listed(&server, &[("state", "closed"), ("metric_name", "mem")]), (vec![2], 1));
    assert_eq!(listed(&server, &[("match", "{host=\"a\"}")]), (vec![2, 0], 2));
    assert_eq!(listed(&server, &[("match", "{host=\"a\"}"), ("match", "{__name__=\"cpu\"}")]), (vec![2, 1, 0], 3));
    let (from, to) = ((START_S + 3600).to_string(), "2023-11-15T00:13:20Z");
    assert_eq!(listed(&server, &[("start_time", &from), ("end_time", to)]), (vec![2, 1], 2));
    assert_eq!(listed(&server, &[("metric_name", "none")]), (vec![], 0));
    let url = server.url("/api/v1/anomalies");
    for (name, value) in [
        ("severity", "grave"),
        ("state", "ajar"),
        ("limit", "0"),
        ("limit", "1001"),
        ("skip", "x"),
        ("start_time", "then"),
        ("match", "{"),
    ] {
        refused(&get(&url, &[(name, value)]).unwrap(), 400, Some(name));
    }
    refused(&get(&url, &[("start_time", "20"), ("end_time", "10")]).unwrap(), 400, Some("end_time"));
    server.stop();
}

#[test]
fn an_anomaly_has_its_whole_shape_and_is_there_after_a_stop_and_after_a_kill() {
    let server = Server::start();
    let posted = filled(&server);
    let first = &posted[0];
    assert_eq!(
        first.as_object().unwrap().keys().collect::<Vec<_>>(),
        [
            "agreeing_detectors",
            "anomaly_score",
            "confidence",
            "context",
            "deviation_pct",
            "direction",
            "end",
            "expected_value",
            "feedback",
            "id",
            "kind",
            "labels",
            "lower",
            "metric_id",
            "metric_name",
            "severity",
            "source",
            "state",
            "summary",
            "suppressed",
            "timestamp",
            "upper",
            "value",
            "votes"
        ]
    );
    assert_eq!(
        (&first["source"], &first["severity"], &first["state"]),
        (&json!("external"), &json!("low"), &json!("closed"))
    );
    assert_eq!(
        (&first["timestamp"], &first["end"]),
        (&json!("2023-11-14T22:13:20.000Z"), &json!("2023-11-14T22:13:20.000Z"))
    );
    assert_eq!(
        (&first["deviation_pct"], &first["direction"], &first["lower"]),
        (&json!(-100.0), &json!("below"), &Value::Null)
    );
    assert_eq!((&posted[3]["end"], &posted[3]["anomaly_score"]), (&Value::Null, &json!(0.9)));
    let one = |server: &Server, anomaly: &Value| {
        get_json(&server.url(&format!("/api/v1/anomalies/{}", anomaly["id"].as_str().unwrap())), &[])
    };
    assert_eq!(&one(&server, first), first);
    let server = server.stop().restart();
    assert_eq!(&one(&server, first), first);
    let server = server.kill().restart();
    assert_eq!((listed(&server, &[]).1, &one(&server, &posted[3])), (4, &posted[3]));
    for (id, status, field) in [("00000000-0000-8000-8000-000000000000", 404, None), ("x", 400, Some("id"))] {
        refused(&get(&server.url(&format!("/api/v1/anomalies/{id}")), &[]).unwrap(), status, field);
    }
    server.stop();
}

#[test]
fn a_post_again_replaces_and_a_bad_one_changes_nothing() {
    let server = Server::start();
    let body = |summary: &str| json!({"metric_name": "cpu", "timestamp": START_S, "summary": summary});
    let (once, again) = (posted(&server, &body("first")), posted(&server, &body("second")));
    assert_eq!((&once["id"], &again["summary"]), (&again["id"], &json!("second")));
    let with = |field: &str, value: Value| {
        let mut body = body("bad");
        body[field] = value;
        body
    };
    for (field, value) in [
        ("metric_name", json!("")),
        ("metric_name", json!(7)),
        ("labels", json!({"host": 1})),
        ("labels", json!({"__name__": "other"})),
        ("timestamp", json!("soon")),
        ("timestamp", json!(-1)),
        ("end", json!(START_S - 1)),
        ("severity", json!("none")),
        ("anomaly_score", json!(1.5)),
        ("confidence", json!("sure")),
        ("kind", json!("odd")),
        ("direction", json!("up")),
        ("value", json!("7")),
        ("context", json!([])),
        ("context", json!({"long": "x".repeat(5000)})),
        ("summary", json!("x".repeat(2000))),
        ("surprise", json!(1)),
    ] {
        refused(&ask(&server, "/api/v1/anomalies", &with(field, value)), 400, Some(field));
    }
    refused(&post(&server.url("/api/v1/anomalies"), &[], b"[]").unwrap(), 400, None);
    assert_eq!(listed(&server, &[]).1, 1);
    server.stop();
}

#[test]
fn what_people_say_of_an_anomaly_is_kept_and_can_be_taken_back() {
    let server = Server::start();
    let anomaly = posted(&server, &json!({"metric_name": "cpu"}));
    let path = format!("/api/v1/anomalies/{}/feedback", anomaly["id"].as_str().unwrap());
    let said = ask(&server, &path, &json!({"verdict": "false_alarm", "note": "a test", "by": "me"}));
    assert_eq!(said.status, 200, "{}", said.body);
    let server = server.stop().restart();
    let one = get_json(&server.url(path.trim_end_matches("/feedback")), &[]);
    let feedback = &one["feedback"];
    assert_eq!(
        (&feedback["verdict"], &feedback["note"], &feedback["by"]),
        (&json!("false_alarm"), &json!("a test"), &json!("me"))
    );
    assert_eq!(delete(&server.url(&path)).unwrap().status, 204);
    assert_eq!(get_json(&server.url(path.trim_end_matches("/feedback")), &[])["feedback"], Value::Null);
    refused(&ask(&server, &path, &json!({"verdict": "perhaps"})), 400, Some("verdict"));
    refused(&ask(&server, &path, &json!({})), 400, Some("verdict"));
    let unknown = "/api/v1/anomalies/00000000-0000-8000-8000-000000000000/feedback";
    refused(&ask(&server, unknown, &json!({"verdict": "true_alarm"})), 404, None);
    refused(&delete(&server.url(unknown)).unwrap(), 404, None);
    server.stop();
}

#[test]
fn statistics_count_by_severity_metric_and_day() {
    let server = Server::start();
    filled(&server);
    posted(&server, &json!({"metric_name": "cpu", "severity": "low"}));
    let stats = get_json(&server.url("/api/v1/anomalies/stats"), &[]);
    assert_eq!(stats["total"], 5);
    assert_eq!(stats["by_severity"], json!({"low": 2, "medium": 1, "high": 1, "critical": 1}));
    assert_eq!(stats["by_metric"], json!([{"metric_name": "cpu", "count": 3}, {"metric_name": "mem", "count": 2}]));
    assert_eq!(stats["by_day"][0], json!({"date": "2023-11-14", "count": 2}));
    assert_eq!(stats["by_day"][1], json!({"date": "2023-11-15", "count": 2}));
    assert_eq!((&stats["last_24h"], &stats["last_7d"]), (&json!(1), &json!(1)));
    server.stop();
}

#[test]
fn the_earliest_leave_when_there_are_too_many() {
    let server = Server::start_with_settings(&[("INFRAWATCH_ANOMALIES_MAX_RECORDS", "2")]);
    filled(&server);
    assert_eq!(listed(&server, &[]), (vec![3, 2], 2));
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    assert!(page.contains("\ninfrawatch_anomaly_records_evicted_total 2\n"));
    server.stop();
}

#[test]
fn damage_to_the_record_is_told_and_the_rest_is_kept() {
    let server = Server::start();
    filled(&server);
    let path = server.data_dir().join("anomalies/records.log");
    let stopped = server.stop();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 0xFF;
    std::fs::write(&path, bytes).unwrap();
    let server = stopped.restart();
    assert_eq!(listed(&server, &[]), (vec![3, 2, 1], 3));
    let health = get_json(&server.url("/health"), &[]);
    assert_eq!(
        (&health["status"], &health["components"]["anomalies"]["status"]),
        (&json!("degraded"), &json!("degraded")),
        "{health}"
    );
    server.stop();
}

/// What promtool says of a page of metrics, empty if all is well.
fn complaints(page: &str) -> String {
    let mut promtool = Command::new("promtool");
    let promtool =
        promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).stdout(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is part of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat()
}

#[test]
fn every_line_of_the_metrics_page_is_understood_by_prometheus() {
    let server = Server::start();
    let odd = json!([{"name": "a \"quoted\" \\ name\nof two lines", "value": 1}, {"name": "cpu", "value": 2}]);
    assert_eq!(ask(&server, "/api/v1/metrics", &odd).status, 200);
    filled(&server);
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    assert!(
        page.contains("\n# TYPE anomaly_score gauge\n") && page.contains("\n# TYPE anomaly_detected_total counter\n")
    );
    assert_eq!(complaints(&page), "");
    assert!(!complaints("a{b=\"c} 1\n").is_empty(), "promtool would say so");
    server.stop();
}
