//! What the built server does when the system refuses to write or to open files: it says so, keeps what it promised,
//! answers reads, and goes on by itself when the system does.
//!
//! A limit on the size of files (RLIMIT_FSIZE, set from outside by `prlimit`) refuses every write as a full disk does,
//! and can be lifted again; no test needs root for it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use protocols::remote_write::WriteRequestBuilder;
use std::time::{SystemTime, UNIX_EPOCH};
use support::eventually;
use support::http::{Answer, get, get_json, post};
use support::server::Server;

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");
const SNAPPY: (&str, &str) = ("Content-Encoding", "snappy");
const SERIES: usize = 50;
/// Until a failing part is tried again, with much to spare for a loaded machine.
const SECONDS: u64 = 60;

#[expect(clippy::disallowed_methods, reason = "the server's clock is the machine's")]
fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

/// Sends one sample for each of the series.
fn send(server: &Server, time_ms: i64, value: f64) -> Answer {
    let mut request = WriteRequestBuilder::default();
    for series in 0..SERIES {
        let host = format!("host-{series}");
        request.series(&[("__name__", "up"), ("host", &host)], &[(time_ms, value)]);
    }
    let mut body = Vec::new();
    request.compress(&mut body);
    post(&server.url("/api/v1/write"), &[PROTOBUF, SNAPPY], &body).unwrap()
}

/// How many samples the server serves.
fn count(server: &Server) -> u64 {
    let answer = get_json(&server.url("/api/v1/query"), &[("query", "sum(count_over_time(up[1h]))")]);
    answer["data"]["result"][0]["value"][1].as_str().map_or(0, |text| text.parse().unwrap())
}

fn compact(server: &Server) -> u16 {
    post(&server.url("/-/compact"), &[], b"").unwrap().status
}

#[test]
fn while_nothing_can_be_written_writers_are_told_to_come_again_and_readers_are_served() {
    let server = Server::start();
    let first_ms = now_ms() - 60_000;
    assert_eq!(send(&server, first_ms, 1.0).status, 204);
    assert_eq!(compact(&server), 200);
    assert_eq!(send(&server, first_ms + 1000, 2.0).status, 204);

    server.limit("fsize", Some(1));
    let refused =
        eventually("a refusal", SECONDS, || Some(send(&server, first_ms + 2000, 3.0)).filter(|a| a.status == 503));
    assert!(refused.body.contains("send again"), "{}", refused.body);
    assert_ne!(compact(&server), 200, "a checkpoint cannot be written either");
    let health = get(&server.url("/health"), &[]).unwrap();
    assert_eq!(health.status, 503);
    assert!(health.body.contains("journal-"), "it names what it cannot write: {}", health.body);
    assert!(count(&server) >= 2 * SERIES as u64, "what was acknowledged is served");

    server.limit("fsize", None);
    eventually("writing again", SECONDS, || (send(&server, first_ms + 2000, 3.0).status == 204).then_some(()));
    eventually("a checkpoint", SECONDS, || (compact(&server) == 200).then_some(()));
    assert_eq!(send(&server, first_ms + 3000, 4.0).status, 204);
    eventually("health", SECONDS, || (get(&server.url("/health"), &[]).unwrap().status == 200).then_some(()));
    assert_eq!(count(&server), 4 * SERIES as u64);
    let server = server.kill().restart();
    assert_eq!(count(&server), 4 * SERIES as u64, "nothing acknowledged is lost, nothing stands twice");
    server.stop();
}

#[test]
fn without_file_descriptors_to_spare_samples_are_still_taken_and_work_is_made_up_for_later() {
    let server = Server::start();
    let first_ms = now_ms() - 60_000;
    assert_eq!(send(&server, first_ms, 1.0).status, 204);
    // Room for one connection at a time and no file beside.
    server.limit("nofile", Some(server.open_files() + 1));
    assert_eq!(send(&server, first_ms + 1000, 2.0).status, 204, "the journal is open");
    assert_ne!(compact(&server), 200);
    assert_eq!(count(&server), 2 * SERIES as u64);
    server.limit("nofile", Some(1024));
    eventually("a checkpoint", SECONDS, || (compact(&server) == 200).then_some(()));
    // The rotation of the journal that the first attempt asked for may have to be made up for, too.
    eventually("writing", SECONDS, || (send(&server, first_ms + 2000, 3.0).status == 204).then_some(()));
    assert_eq!(count(&server), 3 * SERIES as u64);
    server.stop();
}
