//! What the receiver answers to good, bad and hostile requests, and that every sample is accounted for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use protocols::remote_write::{MetricKind, WriteRequestBuilder, WriteRequestV2Builder};
use serde_json::Value;
use std::time::{SystemTime, UNIX_EPOCH};
use support::http::{Answer, get, get_json, post};
use support::server::Server;

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const PROTOBUF_V2: (&str, &str) = ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request");
const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");
const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// The wall clock: the server under test judges by it what lies in the future.
#[expect(clippy::disallowed_methods, reason = "the server's clock is the machine's")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn send(server: &Server, body: &[u8]) -> Answer {
    post(&server.url("/api/v1/write"), &[PROTOBUF, SNAPPY], body).unwrap()
}

fn body(series: &[Series<'_>]) -> Vec<u8> {
    let mut request = WriteRequestBuilder::default();
    series.iter().for_each(|(labels, samples)| request.series(labels, samples));
    let mut body = Vec::new();
    request.compress(&mut body);
    body
}

/// The values a selector has over the last day, as the API writes them.
fn values(server: &Server, selector: &str) -> Vec<String> {
    let answer = get_json(&server.url("/api/v1/query"), &[("query", &format!("{selector}[1d]"))]);
    let series = answer["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
    let points = series.iter().flat_map(|one| one["values"].as_array().map_or(&[][..], Vec::as_slice));
    points.map(|point| point[1].as_str().unwrap_or_default().to_owned()).collect()
}

/// A counter of `/metrics`, summed over the lines whose labels contain `with`.
fn counter(server: &Server, name: &str, with: &str) -> u64 {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(with));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

fn assert_law(server: &Server) {
    let of = |name: &str| counter(server, &format!("infrawatch_{name}_total"), "remote_write");
    let accounted = of("stored") + of("aggregated") + of("rejected") + of("late") + of("duplicate") + of("dropped");
    assert_eq!(of("received"), accounted);
}

#[test]
fn good_samples_are_stored_once_however_often_they_are_sent() {
    let server = Server::start();
    let now = now_ms();
    let odd = [(now - 4000, f64::NEG_INFINITY), (now - 3000, f64::NAN), (now - 2000, -0.0), (now - 1000, 1e-310)];
    let good = body(&[
        (&[("__name__", "up"), ("job", "a")], &[(now - 1000, 1.0), (now, 2.5)]),
        (&[("__name__", "odd")], &odd),
    ]);
    for (stored, duplicate) in [(6, 0), (6, 6)] {
        let answer = send(&server, &good);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(counter(&server, "infrawatch_stored_total", "remote_write"), stored);
        assert_eq!(counter(&server, "infrawatch_duplicate_total", "remote_write"), duplicate);
    }
    assert_eq!(values(&server, "up"), ["1", "2.5"]);
    assert_eq!(values(&server, "odd")[..3], ["-Inf", "NaN", "-0"]);
    assert_law(&server);
    let restarted = server.stop().restart();
    assert_eq!(values(&restarted, "up"), ["1", "2.5"]);
    assert_eq!(send(&restarted, &good).status, 204);
    assert_eq!(counter(&restarted, "infrawatch_duplicate_total", "remote_write"), 6);
}

#[test]
fn a_staleness_marker_ends_a_series_at_once() {
    let server = Server::start();
    let now = now_ms();
    let samples = [(now - 2000, 1.0), (now - 1000, STALE)];
    assert_eq!(send(&server, &body(&[(&[("__name__", "gone")], &samples)])).status, 204);
    let at = |time_ms: i64| -> Value {
        let time = format!("{:.3}", time_ms as f64 / 1000.0);
        get_json(&server.url("/api/v1/query"), &[("query", "gone"), ("time", &time)])["data"]["result"].clone()
    };
    assert_eq!(at(now - 1500)[0]["value"][1], "1");
    assert_eq!(at(now - 500), Value::Array(Vec::new()));
}

#[test]
fn what_is_wrong_with_some_samples_is_said_and_the_rest_is_stored() {
    let server = Server::start();
    let now = now_ms();
    let first: Series<'_> = (&[("__name__", "a")], &[(now - 7_200_000, 0.0), (now, 1.0)]);
    assert_eq!(send(&server, &body(&[first])).status, 204);
    let cases: [(Series<'_>, &str); 7] = [
        ((&[("__name__", "a")], &[(now, 2.0)]), "1 conflict"),
        ((&[("__name__", "a")], &[(now - 5_000_000, 2.0)]), "1 late"),
        ((&[("__name__", "b")], &[(now + 3_600_000, 2.0)]), "1 in_future"),
        ((&[("__name__", "b")], &[(-1, 2.0), (i64::MIN, 2.0)]), "2 too_old"),
        ((&[("job", "x")], &[(now, 2.0)]), "1 no_name"),
        ((&[("__name__", "b"), ("x", "1"), ("x", "2")], &[(now, 2.0)]), "1 duplicate_label"),
        ((&[("__name__", "b"), ("", "1")], &[(now, 2.0)]), "1 bad_series"),
    ];
    for (number, (bad, expected)) in cases.into_iter().enumerate() {
        let name = format!("good_{number}");
        let labels = [("__name__", name.as_str())];
        let answer = send(&server, &body(&[bad, (&labels, &[(now, 7.0)])]));
        assert_eq!(answer.status, 400, "{expected}: {}", answer.body);
        assert!(answer.body.starts_with("1 samples written") && answer.body.contains(expected), "{}", answer.body);
        assert_eq!(values(&server, &name), ["7"], "{expected}");
    }
    let (long, now) = ("x".repeat(5000), now_ms());
    let answer = send(&server, &body(&[(&[("__name__", "b"), ("long", &long)], &[(now, 1.0)])]));
    assert!(answer.status == 400 && answer.body.contains("1 bad_series"), "{}", answer.body);
    assert_eq!(values(&server, "a"), ["0", "1"]);
    assert!(values(&server, "b").is_empty());
    assert_law(&server);
}

#[test]
fn unsorted_labels_and_empty_values_name_the_same_series() {
    let server = Server::start();
    let now = now_ms();
    let sorted: Series<'_> = (&[("__name__", "m"), ("a", "1"), ("z", "2")], &[(now - 1, 1.0)]);
    let unsorted: Series<'_> = (&[("z", "2"), ("empty", ""), ("a", "1"), ("__name__", "m")], &[(now, 2.0)]);
    assert_eq!(send(&server, &body(&[sorted, unsorted])).status, 204);
    let answer = get_json(&server.url("/api/v1/series"), &[("match[]", "m")]);
    assert_eq!(answer["data"].as_array().map(Vec::len), Some(1), "{answer}");
    assert_eq!(values(&server, "m"), ["1", "2"]);
}

#[test]
fn malformed_requests_are_refused_whole_and_leave_nothing() {
    let server = Server::start();
    let now = now_ms();
    let good = body(&[(&[("__name__", "m")], &[(now, 1.0)])]);
    let url = server.url("/api/v1/write");
    let refused = |what: &str, headers: &[(&str, &str)], body: &[u8], status: u16| {
        let answer = post(&url, headers, body).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        assert!(!answer.body.is_empty(), "{what} is answered without a word");
    };
    refused("no encoding", &[PROTOBUF], &good, 415);
    refused("another encoding", &[PROTOBUF, ("Content-Encoding", "gzip")], &good, 415);
    refused("another type", &[("Content-Type", "application/json"), SNAPPY], &good, 415);
    refused("the first version under the second's name", &[PROTOBUF_V2, SNAPPY], &good, 400);
    let v3 = ("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v3.Request");
    refused("a version that does not exist", &[v3, SNAPPY], &good, 415);
    for len in 0..good.len() {
        refused("a cut body", &[PROTOBUF, SNAPPY], &good[..len], 400);
    }
    // A snappy block whose header claims 4 GiB.
    refused("a bomb", &[PROTOBUF, SNAPPY], &[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00], 413);
    let mut damaged = WriteRequestBuilder::default();
    damaged.series(&[("__name__", "m")], &[(now, 1.0)]);
    let mut behind = damaged.as_bytes().to_vec();
    behind.extend([0x0a, 0x7f, 0x01]);
    refused("a series cut off behind a good one", &[PROTOBUF, SNAPPY], &snappy(&behind), 400);
    let asking_first = ("Expect", "100-continue");
    refused("far too many bytes", &[PROTOBUF, SNAPPY, asking_first], &vec![0; 33 << 20], 413);
    assert!(values(&server, "m").is_empty());
    assert_eq!(counter(&server, "infrawatch_received_total", "remote_write"), 0);
    assert_eq!(send(&server, &good).status, 204);
    assert_law(&server);
}

#[test]
fn the_second_version_is_stored_and_says_what_was_written() {
    let server = Server::start();
    let now = now_ms();
    let send = |request: &WriteRequestV2Builder| {
        let mut body = Vec::new();
        request.compress(&mut body);
        post(&server.url("/api/v1/write"), &[PROTOBUF_V2, SNAPPY], &body).unwrap()
    };
    let written = |answer: &Answer, what: &str| {
        let name = format!("x-prometheus-remote-write-{what}-written");
        answer.header(&name).map(|value| value.parse::<u64>().unwrap())
    };
    let mut good = WriteRequestV2Builder::default();
    good.series(&[("__name__", "up"), ("job", "a")], &[(now - 1000, 1.0), (now, 2.5)], 0, 0);
    good.series(&[("job", "b"), ("__name__", "up")], &[(now, STALE)], 0, 0);
    for _ in 0..2 {
        let answer = send(&good);
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
        assert_eq!(
            ["samples", "histograms", "exemplars"].map(|what| written(&answer, what)),
            [Some(3), Some(0), Some(0)]
        );
    }
    assert_eq!(values(&server, "up{job=\"a\"}"), ["1", "2.5"]);
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    assert!(page.contains("infrawatch_created_timestamps_ignored_total 0\n"), "{page}");

    let mut partly = WriteRequestV2Builder::default();
    partly.series(&[("__name__", "up"), ("job", "a")], &[(now, 3.0)], 0, 0);
    partly.series(&[("job", "a")], &[(now, 1.0)], 0, 0);
    partly.series(&[("__name__", "latency")], &[], 2, 0);
    partly.series(&[("__name__", "linked")], &[(now, 4.0)], 0, 3);
    partly.series(&[("__name__", "good")], &[(now, 7.0)], 0, 0);
    let answer = send(&partly);
    assert_eq!((answer.status, written(&answer, "samples"), written(&answer, "histograms")), (400, Some(2), Some(0)));
    assert_eq!(written(&answer, "exemplars"), Some(0));
    for reason in ["1 conflict", "1 no_name", "2 native_histogram", "3 exemplar"] {
        assert!(answer.body.contains(reason), "{reason}: {}", answer.body);
    }
    assert_eq!((values(&server, "good"), values(&server, "linked")), (vec!["7".to_owned()], vec!["4".to_owned()]));
    assert_eq!(counter(&server, "infrawatch_rejected_total", "reason=\"exemplar\""), 3);
    assert_law(&server);
}

#[test]
fn what_is_said_of_metrics_is_answered_and_kept_apart_from_samples() {
    let server = Server::start();
    let mut first = WriteRequestBuilder::default();
    first.metadata(MetricKind::Counter, "reads_total", "Bytes read.", "bytes");
    let mut body = Vec::new();
    first.compress(&mut body);
    assert_eq!(send(&server, &body).status, 204);
    let mut second = WriteRequestV2Builder::default();
    second.describe(MetricKind::Summary, "How long.", "seconds");
    second.series(&[("__name__", "latency_count")], &[(now_ms(), 3.0)], 0, 0);
    second.compress(&mut body);
    assert_eq!(post(&server.url("/api/v1/write"), &[PROTOBUF_V2, SNAPPY], &body).unwrap().status, 204);
    let told = get_json(&server.url("/api/v1/metadata"), &[]);
    let expected = serde_json::json!({
        "reads_total": [{ "type": "counter", "help": "Bytes read.", "unit": "bytes" }],
        "latency": [{ "type": "summary", "help": "How long.", "unit": "seconds" }],
    });
    assert_eq!(told["data"], expected, "{told}");
    assert_eq!(counter(&server, "infrawatch_received_total", "remote_write"), 1);
    assert_law(&server);
}

/// As VictoriaMetrics' agent does, which asks first.
#[test]
fn a_sender_that_asks_may_compress_by_zstd() {
    let server = Server::start();
    let now = now_ms();
    let question = server.url("/api/v1/write?get_vm_proto_version=1");
    let answers = [get(&question, &[]).unwrap(), post(&question, &[PROTOBUF, SNAPPY], b"").unwrap()];
    assert!(answers.iter().all(|answer| (answer.status, answer.body.as_str()) == (200, "1")), "{answers:?}");
    let mut request = WriteRequestBuilder::default();
    request.series(&[("__name__", "up")], &[(now, 1.0)]);
    let send =
        |frame: &[u8]| post(&server.url("/api/v1/write"), &[PROTOBUF, ("Content-Encoding", "zstd")], frame).unwrap();
    let frame = zstd(request.as_bytes());
    assert_eq!(send(&frame[..frame.len() - 1]).status, 400);
    assert_eq!(send(&frame).status, 204);
    assert_eq!(values(&server, "up"), ["1"]);
    assert_law(&server);
}

/// A frame of zstd with one block as it is: magic, one segment with one byte of length, the block's header.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let len = u8::try_from(bytes.len()).unwrap();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, len][..], &[len << 3 | 1, len >> 5, 0], bytes].concat()
}

/// A snappy block of one literal.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    assert!(bytes.len() < 128, "one length byte here");
    let mut block = vec![bytes.len() as u8, 60 << 2, bytes.len() as u8 - 1];
    block.extend(bytes);
    block
}

#[test]
fn series_beyond_the_limit_are_refused_and_known_ones_go_on() {
    let server = Server::start_with_settings(&[("INFRAWATCH_STORAGE_MAX_SERIES", "2")]);
    let now = now_ms();
    let write = |name: &str, time_ms: i64| send(&server, &body(&[(&[("__name__", name)], &[(time_ms, 1.0)])]));
    assert_eq!((write("a", now - 5).status, write("b", now - 5).status), (204, 204));
    let refused = write("c", now - 5);
    assert!(refused.status == 400 && refused.body.contains("storage.max_series"), "{}", refused.body);
    assert_eq!(write("a", now).status, 204);
    assert_law(&server);
}
