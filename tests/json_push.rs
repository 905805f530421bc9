//! Samples pushed as JSON: what is answered, what is stored, and that every one is accounted for.
//!
//! Not here: what one item may look like (see `src/ingest/json_item.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use support::http::{get, get_json, post};
use support::server::Server;

/// Status and body of a push.
fn push(server: &Server, query: &str, body: &str) -> (u16, Value) {
    let answer = post(&server.url(&format!("/api/v1/metrics{query}")), &[], body.as_bytes()).unwrap();
    let body = serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{}: {error}", answer.body));
    (answer.status, body)
}

/// The status line that answers the head of a push that claims a body of so many bytes.
fn status_of_head(server: &Server, body_bytes: usize) -> String {
    let url = server.url("");
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(connection, "POST /api/v1/metrics HTTP/1.1\r\nhost: x\r\ncontent-length: {body_bytes}\r\n\r\n").unwrap();
    BufReader::new(connection).lines().next().unwrap().unwrap()
}

/// The sum of all lines of a counter of JSON pushes on `/metrics`.
fn counted(server: &Server, name: &str) -> u64 {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    let lines = page.lines().filter(|line| line.starts_with(&format!("infrawatch_{name}_total{{source=\"json\"")));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
}

/// received = stored + rejected + late + duplicate + dropped, with these numbers.
fn accounts(server: &Server, stored: u64, duplicate: u64, rejected: u64, late: u64) {
    let parts = ["stored", "duplicate", "rejected", "late", "aggregated", "dropped"].map(|name| counted(server, name));
    assert_eq!(parts, [stored, duplicate, rejected, late, 0, 0]);
    assert_eq!(counted(server, "received"), parts.iter().sum::<u64>());
}

/// The values of a series from time 1 700 000 000 on, five minutes long.
fn stored(server: &Server, query: &str) -> Vec<String> {
    let parameters = [("query", format!("{query}[5m]")), ("time", "1700000300".to_owned())];
    let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = get_json(&server.url("/api/v1/query"), &parameters);
    let samples = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    samples.iter().map(|sample| format!("{}={}", sample[0], sample[1].as_str().unwrap())).collect()
}

#[test]
fn one_object_an_array_and_a_wrapped_array_are_stored_and_sent_again_are_duplicates() {
    let server = Server::start();
    let item =
        |time: u64, value: u64| json!({"name": "cpu", "timestamp": time, "value": value, "labels": {"host": "a"}});
    let one = item(1_700_000_001, 1).to_string();
    assert_eq!(push(&server, "", &one), (200, json!({"accepted": 1, "rejected": 0, "duplicate": 0})));
    let two = json!([item(1_700_000_001, 1), item(1_700_000_002_000, 2)]).to_string();
    assert_eq!(push(&server, "", &two), (200, json!({"accepted": 2, "rejected": 0, "duplicate": 1})));
    let wrapped = json!({"metrics": [item(1_700_000_003, 3)]}).to_string();
    assert_eq!(push(&server, "", &wrapped), (200, json!({"accepted": 1, "rejected": 0, "duplicate": 0})));
    assert_eq!(push(&server, "", "[]"), (200, json!({"accepted": 0, "rejected": 0, "duplicate": 0})));
    assert_eq!(stored(&server, "cpu{host=\"a\"}"), ["1700000001=1", "1700000002=2", "1700000003=3"]);
    accounts(&server, 3, 1, 0, 0);

    let without_time = r#"{"name": "now", "value": 7}"#;
    assert_eq!(push(&server, "", without_time).0, 200);
    let answer = get_json(&server.url("/api/v1/query"), &[("query", "now")]);
    assert_eq!(answer["data"]["result"][0]["value"][1], "7", "an item without a time is of now");
}

#[test]
fn one_bad_item_and_nothing_is_stored() {
    let server = Server::start();
    let good = r#"{"name":"cpu","timestamp":1700000001,"value":1}"#;
    for (bad, field) in [
        (r#"{"name":"cpu","timestamp":1700000002,"value":null}"#, "value"),
        (r#"{"name":"","timestamp":1700000002,"value":1}"#, "name"),
        (r#"{"name":"cpu","timestamp":"x","value":1}"#, "timestamp"),
        (r#"{"name":"cpu","timestamp":4100000000,"value":1}"#, "timestamp"),
        (r#"{"name":"cpu","value":1,"labels":{"a":1}}"#, "labels"),
        (r#"{"name":"cpu","value":1,"unit":"%"}"#, "unit"),
    ] {
        let (status, answer) = push(&server, "", &format!("[{good},{bad}]"));
        assert_eq!((status, &answer["index"], &answer["field"]), (400, &json!(1), &json!(field)), "{answer}");
        assert!(answer["error"].as_str().unwrap().contains("nothing of this request was stored"), "{answer}");
    }
    assert_eq!(stored(&server, "cpu"), Vec::<String>::new());
    accounts(&server, 0, 0, 0, 0);
}

#[test]
fn partial_stores_what_is_good_and_lists_what_is_not() {
    let server = Server::start();
    let body = r#"[{"name":"cpu","timestamp":1700000001,"value":1},{"name":"cpu","value":"x"},
                   {"name":"cpu","timestamp":1700000002,"value":2},{"value":1}]"#;
    let (status, answer) = push(&server, "?partial=true", body);
    assert_eq!(status, 200, "{answer}");
    assert_eq!([&answer["accepted"], &answer["rejected"], &answer["duplicate"]], [2, 2, 0]);
    let errors = answer["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| &error["index"]).collect::<Vec<_>>(), [1, 3]);
    assert!(errors[0]["error"].as_str().unwrap().starts_with("value: "), "{answer}");
    assert_eq!(stored(&server, "cpu"), ["1700000001=1", "1700000002=2"]);
    accounts(&server, 2, 0, 2, 0);

    let many = format!("[{}]", vec!["{}"; 150].join(","));
    let (_, answer) = push(&server, "?partial=true", &many);
    assert_eq!(answer["rejected"], 150);
    assert_eq!(answer["errors"].as_array().unwrap().len(), 100, "the first 100");
    accounts(&server, 2, 0, 152, 0);
}

#[test]
fn what_only_the_store_can_know_is_counted_and_the_rest_is_stored() {
    let server = Server::start();
    let item = |time: u64, value: u64| json!({"name": "cpu", "timestamp": time, "value": value});
    assert_eq!(push(&server, "", &json!([item(1_700_000_000, 0), item(1_700_009_000, 1)]).to_string()).0, 200);
    let mixed = json!([item(1_700_009_000, 2), item(1_700_000_001, 3), item(1_700_009_001, 4)]).to_string();
    let (status, answer) = push(&server, "", &mixed);
    assert_eq!(status, 400, "{answer}");
    assert_eq!([&answer["accepted"], &answer["rejected"], &answer["duplicate"]], [1, 2, 0]);
    let error = answer["error"].as_str().unwrap();
    assert!(error.contains("1 conflict") && error.contains("1 late"), "{error}");
    accounts(&server, 3, 0, 1, 1);

    let (status, answer) = push(&server, "?partial=true", &mixed);
    assert_eq!(status, 200, "{answer}");
    assert_eq!([&answer["accepted"], &answer["rejected"], &answer["duplicate"]], [1, 2, 1]);
    assert_eq!(answer["errors"].as_array().unwrap().len(), 2, "{answer}");
    accounts(&server, 3, 1, 2, 2);
}

#[test]
fn bodies_that_are_no_samples_are_refused_and_the_server_lives_on() {
    let server = Server::start();
    let deep = "[".repeat(100_000);
    let bodies =
        ["", "null", "7", "\"x\"", "{", "[1,", "[{}", "{\"metrics\":7}", "{\"metrics\":[],\"x\":1}", "\u{0}", &deep];
    for body in bodies {
        let (status, answer) = push(&server, "", body);
        assert_eq!(status, 400, "{answer}");
        assert!(answer["error"].is_string(), "{answer}");
    }
    let answer = post(&server.url("/api/v1/metrics"), &[], &[0xff, 0xfe, b'[']).unwrap();
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(push(&server, "?partial=perhaps", "[]").1["field"], "partial");
    assert_eq!(status_of_head(&server, 33 << 20), "HTTP/1.1 413 Payload Too Large");
    accounts(&server, 0, 0, 0, 0);
    assert_eq!(push(&server, "", r#"{"name":"cpu","value":1}"#).0, 200);
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let server = Server::start();
    let items: Vec<Value> =
        (0..5000).map(|n| json!({"name": "n", "timestamp": 1_700_000_000_000u64 + n * 10, "value": n, "labels": {"p": (n % 7).to_string()}})).collect();
    assert_eq!(push(&server, "", &Value::from(items).to_string()).1["accepted"], 5000);
    let server = server.kill().restart();
    let parameters = [("query", "sum(count_over_time(n[5m]))"), ("time", "1700000200")];
    let answer = get_json(&server.url("/api/v1/query"), &parameters);
    assert_eq!(answer["data"]["result"][0]["value"][1], "5000");
}
