//! The real server under a small load: every sample is stored, accounted for and read back bit for bit.
//!
//! The load generator is run as a user runs it, and its JSON and exit code are looked at. Not here: kills (see
//! `restart.rs`).

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

/// Runs a command of the load generator, demands success, and gives its figures.
fn loadtest(command: &str, arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([command, "--json", "--server"])
        .arg(server())
        .args(arguments)
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "loadtest {command} {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).expect("the figures are JSON")
}

/// Writes with verification and checks what every good run has in common.
fn write_and_check(arguments: &[&str], samples: u64) -> Value {
    let common = ["--verify", "--drain-s", "0"];
    let report = loadtest("write", &[&common[..], arguments].concat())[0].take();
    assert_eq!(report["acknowledged"], samples, "{report}");
    assert_eq!(report["stored"], samples, "{report}");
    assert_eq!(report["lost"], 0, "{report}");
    assert_eq!(report["accounting_law_holds"], true, "{report}");
    assert_eq!(report["verification"]["equal"], samples, "{report}");
    report
}

#[test]
fn every_sample_written_is_stored_and_read_back_bit_for_bit() {
    let report = write_and_check(&["--scenario", "small"], 12_000);
    assert!(report["process"]["peak_rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
    assert!(report["process"]["disk"]["apparent_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
}

#[test]
fn samples_are_the_same_after_compaction() {
    let report = write_and_check(&["--scenario", "small", "--seed", "2", "--compact"], 12_000);
    assert!(report["process"]["compacted"]["disk"]["apparent_bytes"].is_u64(), "{report}");
}

#[test]
fn series_that_come_and_go_are_all_kept() {
    write_and_check(&["--series", "3000", "--samples", "4", "--churn"], 12_000);
}

#[test]
fn a_backfill_of_whole_histories_is_kept() {
    write_and_check(&["--scenario", "small", "--order", "series"], 12_000);
}

#[test]
fn a_steady_rate_is_kept() {
    let report = write_and_check(&["--series", "200", "--samples", "20", "--rate", "8000"], 4_000);
    assert!(report["samples_per_s"].as_f64().is_some_and(|rate| rate < 9_000.0), "{report}");
}

#[test]
fn samples_sent_twice_are_stored_once() {
    let report = loadtest("resend", &["--scenario", "small"]);
    assert_eq!(report["acknowledged_second"], 12_000, "{report}");
    assert_eq!(report["stored_second"], 0, "{report}");
    assert_eq!(report["duplicates_second"], 12_000, "{report}");
}

#[test]
fn the_usual_queries_are_answered() {
    let report = loadtest("query", &["--series", "300", "--samples", "40", "--rounds", "2"])[0].take();
    let questions = report["questions"].as_array().expect("a list of questions");
    let results: Vec<_> = questions.iter().map(|question| question["results"].as_u64()).collect();
    // Three hosts: one series, a sum for each host three times, one sum, three names, a host's series, all series.
    assert_eq!(results, [1, 3, 3, 3, 1, 3, 100, 300].map(Some), "{report}");
}
