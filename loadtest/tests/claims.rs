//! The claims that do not depend on how busy the machine is, in their short form; those that do have to be measurable.
//!
//! The load generator is run as a user runs it. Not here: figures, which need a quiet machine.

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

/// Measures claims; each has to have been measured, whatever came out.
fn measured(arguments: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["claims", "--json", "--for", "3", "--server"])
        .arg(server())
        .args(arguments)
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let claims: Vec<Value> =
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    for claim in &claims {
        let text = claim["measured"].as_str().expect("a claim says what was measured");
        assert!(!text.contains("could not be measured"), "{claim}");
    }
    let missed = claims.iter().any(|claim| claim["outcome"] == "miss");
    assert_eq!(output.status.success(), !missed, "the exit code says whether a claim was missed: {claims:?}");
    claims
}

fn outcomes<'a>(claims: &'a [Value], row: &str) -> Vec<&'a str> {
    claims.iter().filter(|claim| claim["row"] == row).filter_map(|claim| claim["outcome"].as_str()).collect()
}

#[test]
fn a_day_of_six_metrics_is_whole_and_takes_the_disk_and_memory_that_are_promised() {
    let claims = measured(&["day"]);
    assert_eq!(outcomes(&claims, "PERF-007"), ["ok", "ok"], "{claims:?}");
    assert_eq!(outcomes(&claims, "PERF-008"), ["ok"], "{claims:?}");
    assert_eq!(outcomes(&claims, "PERF-009"), ["ok"], "{claims:?}");
}

#[test]
fn three_hundred_hosts_lose_nothing_and_every_series_is_listed() {
    let claims = measured(&["fleet"]);
    assert_eq!(outcomes(&claims, "PROD-001"), ["ok", "ok"], "{claims:?}");
}

#[test]
fn the_api_answers_every_request_while_samples_come_in() {
    let claims = measured(&["api"]);
    let text = claims[0]["measured"].as_str().expect("a text");
    assert!(!text.contains("refused"), "{claims:?}");
}
#[test]
fn every_spike_becomes_an_anomaly_that_the_api_shows() {
    let claims = measured(&["freshness"]);
    let text = claims[0]["measured"].as_str().expect("a text");
    assert!(text.contains("; 0 not seen;"), "{claims:?}");
}

#[test]
fn learning_and_answering_can_be_timed() {
    assert_eq!(measured(&["training", "api"]).len(), 3);
}
