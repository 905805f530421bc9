//! The real server under several kinds of requests at once: no request is refused, and every source's account is right.
//!
//! The load generator is run as a user runs it. Not here: figures, which need a quiet machine.

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

#[test]
fn every_kind_of_request_at_once_is_taken_and_accounted_for() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["scenario", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/small_plan.toml"), "--json", "--server"])
        .arg(server())
        .env("INFRAWATCH_STATSD_WINDOW", "1s")
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let report: Value = serde_json::from_str(&stdout).expect("the figures are JSON");
    let streams = report["streams"].as_array().expect("a list of streams");
    let requests: Vec<_> =
        streams.iter().map(|stream| (stream["kind"].as_str(), stream["requests"].as_u64())).collect();
    let expected = [("remote_write", 9), ("statsd", 300), ("json_push", 30), ("queries", 60), ("anomalies", 15)];
    assert_eq!(requests, expected.map(|(kind, count)| (Some(kind), Some(count))), "{report}");
    assert_eq!(report["accounts"]["remote_write"]["stored"], 900, "{report}");
    assert_eq!(report["accounts"]["json"]["stored"], 600, "{report}");
    assert_eq!(report["accounts"]["statsd"]["aggregated"], 6000, "{report}");
    assert_eq!(report["findings"], Value::Array(vec![]), "{report}");
}

#[test]
fn a_plan_that_cannot_be_run_is_an_error_that_says_why() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["scenario", "nothing.toml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no plan nothing.toml"), "{output:?}");
}
