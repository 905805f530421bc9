//! The live stream: what comes in goes out once, a reader that comes again loses nothing, and slow ones are told.

use super::support::eventually;
use super::support::http::{get, post};
use super::support::server::Server;
use super::{now_ms, refused};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

/// curl on a stream; killed when dropped.
struct Reader {
    child: Child,
    lines: BufReader<ChildStdout>,
}

/// An event: its kind, its id if it has one, and its data.
type Event = (String, Option<String>, Value);

impl Reader {
    fn start(server: &Server, query: &str, last: Option<&str>) -> Self {
        let mut command = Command::new("curl");
        command.args(["-sSN", "-m", "300", &server.url(&format!("/api/v1/stream?{query}"))]);
        if let Some(last) = last {
            command.args(["-H", &format!("Last-Event-ID: {last}")]);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("curl is installed; ./test installs it");
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// The next event; waits for it.
    fn next(&mut self) -> Event {
        let (mut kind, mut id, mut data) = (String::new(), None, None);
        loop {
            let mut line = String::new();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "the stream ended");
            match line.trim_end().split_once(": ") {
                Some(("event", word)) => word.clone_into(&mut kind),
                Some(("id", word)) => id = Some(word.to_owned()),
                Some(("data", text)) => data = Some(serde_json::from_str(text).unwrap()),
                _ if line == "\n" && data.is_some() => return (kind, id, data.unwrap()),
                _ => {}
            }
        }
    }

    /// Events up to a position, its word, and those before it of a kind.
    fn look(&mut self, wanted: &str) -> (String, Vec<Value>) {
        let mut found = Vec::new();
        loop {
            match self.next() {
                (kind, Some(id), _) if kind == "position" => return (id, found),
                (kind, _, data) if kind == wanted => found.push(data),
                _ => {}
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn push(server: &Server, host: &str, times_ms: impl Iterator<Item = i64>) {
    let sample =
        |time_ms: i64| json!({"name": "load", "labels": {"host": host}, "timestamp": time_ms, "value": time_ms % 1000});
    let body = Value::from(times_ms.map(sample).collect::<Vec<_>>());
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap().status, 200);
}

fn times(samples: &[Value]) -> Vec<String> {
    samples.iter().map(|sample| sample["timestamp"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_comes_in_goes_out_once_and_a_reader_that_comes_again_loses_nothing() {
    let server = Server::start();
    let begin_ms = now_ms(&server) - 600_000;
    push(&server, "a", [begin_ms].into_iter());
    let mut reader = Reader::start(&server, "metric_name=load&types=samples,scores", None);
    let (kind, _, first) = reader.next();
    assert_eq!((kind.as_str(), &first["name"]), ("score", &json!("load")), "where it stands comes first");
    let (first, _) = reader.look("sample");
    push(&server, "a", (1..=3).map(|i| begin_ms + i * 1000));
    let (position, samples) = reader.look("sample");
    assert_eq!(samples.len(), 3, "{samples:?}");
    assert_eq!(samples[0]["labels"], json!({"host": "a"}));
    drop(reader);
    push(&server, "a", (4..=6).map(|i| begin_ms + i * 1000));
    push(&server, "b", (1..=2).map(|i| begin_ms + i * 1000));
    let server = server.stop().restart();
    let again = |last: &str| Reader::start(&server, "metric_name=load&types=samples", Some(last)).look("sample").1;
    let missed = again(&position);
    assert_eq!(missed.len(), 3, "{missed:?}");
    let (all, two) = (times(&again(&first)), times(&missed));
    assert_eq!((all.len(), &all[3..]), (6, &two[..]), "in order, each once");
    server.stop();
}

#[test]
fn who_missed_too_much_is_told_how_much() {
    let server = Server::start();
    let begin_ms = now_ms(&server) - 3_000_000;
    push(&server, "a", [begin_ms].into_iter());
    let (position, _) = Reader::start(&server, "match=%7Bhost%3D%22a%22%7D", None).look("sample");
    push(&server, "a", (1..=2500).map(|i| begin_ms + i * 1000));
    let mut reader = Reader::start(&server, "match=%7Bhost%3D%22a%22%7D&types=samples", Some(&position));
    let (kind, _, data) = reader.next();
    assert_eq!((kind.as_str(), &data), ("dropped", &json!({"samples": 500})));
    assert_eq!(reader.look("sample").1.len(), 2000);
    assert_eq!(server.figure("infrawatch_stream_dropped_samples_total"), 500.0);
    assert_eq!(server.figure("infrawatch_stream_samples_total"), 2000.0);
    server.stop();
}

#[test]
fn anomalies_are_told_when_they_change() {
    let server = Server::start();
    let now_ms = now_ms(&server);
    push(&server, "a", [now_ms].into_iter());
    let mut reader = Reader::start(&server, "metric_name=load&types=anomalies,scores", None);
    // Where the series stands is told first: from then on the reader is there.
    assert_eq!(reader.next().0, "score");
    let tell = |state: &str| {
        let body = json!({"metric_name": "load", "labels": {"host": "a"}, "timestamp": now_ms, "severity": "high", "state": state});
        super::body_of(&super::ask(&server, "/api/v1/anomalies", &body), 201);
    };
    for state in ["open", "closed"] {
        tell(state);
        let told = loop {
            let (_, found) = reader.look("anomaly");
            if let Some(told) = found.into_iter().next() {
                break told;
            }
        };
        assert_eq!((&told["state"], &told["severity"]), (&json!(state), &json!("high")));
    }
    server.stop();
}

#[test]
fn a_stream_without_a_choice_or_beyond_the_limit_is_refused() {
    let server = Server::start_with_settings(&[("INFRAWATCH_HTTP_MAX_STREAMS", "0")]);
    refused(&get(&server.url("/api/v1/stream"), &[]).unwrap(), 400, Some("metric_name"));
    refused(&get(&server.url("/api/v1/stream?metric_name=x&types=smells"), &[]).unwrap(), 400, Some("types"));
    refused(
        &get(&server.url("/api/v1/stream?metric_name=x&last_event_id=-"), &[]).unwrap(),
        400,
        Some("last_event_id"),
    );
    let full = get(&server.url("/api/v1/stream?metric_name=x"), &[]).unwrap();
    refused(&full, 503, None);
    assert!(full.header("retry-after").is_some());
    server.stop();
}

/// The score of the last of many samples that go up in steps and fall at once, all but the last, which stays where
/// the one before was: the value is not unusual, only the way to it.
fn score_of_a_way_never_gone(settings: &[(&str, &str)]) -> f64 {
    let server = Server::start_with_settings(settings);
    let begin_ms = now_ms(&server) - 1000 * 60_000;
    let sample = |at: u64| {
        let noise = at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let step = at.min(995) % 8;
        json!({"name": "load", "timestamp": begin_ms + 60_000 * at as i64, "value": 50.0 + step as f64 + noise as f64 / 4e10})
    };
    let body = Value::from((0..997).map(sample).collect::<Vec<_>>());
    assert_eq!(post(&server.url("/api/v1/metrics"), &[], body.to_string().as_bytes()).unwrap().status, 200);
    eventually("all is scored", 60, || (server.figure("infrawatch_scored_total") == 997.0).then_some(()));
    let (kind, _, data) = Reader::start(&server, "metric_name=load&types=scores", None).next();
    assert_eq!((kind.as_str(), &data["samples"]), ("score", &json!(997)));
    server.stop();
    data["score"].as_f64().unwrap()
}

#[test]
fn an_unfamiliar_way_has_a_greater_score_where_patterns_are_told() {
    let without_bands = ("INFRAWATCH_FOUNDATION_ENABLED", "false");
    let plain = score_of_a_way_never_gone(&[without_bands]);
    let told = score_of_a_way_never_gone(&[without_bands, ("INFRAWATCH_MODELS_PATTERNS", "true")]);
    assert!(told > plain + 0.1, "{plain} {told}");
}
