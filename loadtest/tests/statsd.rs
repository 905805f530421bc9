//! The real server under a small load of StatsD: nothing is lost, and every sum stored is the sum sent.
//!
//! The load generator is run as a user runs it. Not here: types other than counters (see `tests/statsd.rs` of the server).

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

/// Sends at a rate that no machine drops anything at, with windows of a second, and gives the figures.
fn statsd(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["statsd", "--json", "--rate", "100000", "--server"])
        .arg(server())
        .args(arguments)
        .env("INFRAWATCH_STATSD_WINDOW", "1s")
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "loadtest statsd {arguments:?}: {}\n{stdout}\n{stderr}", output.status);
    serde_json::from_str(&stdout).expect("the figures are JSON")
}

fn all_is_there(report: &Value, metrics: u64) {
    assert_eq!(report["received_metrics"], metrics, "{report}");
    assert_eq!(report["lost_metrics"], 0, "{report}");
    assert_eq!(report["accounts"]["aggregated"], metrics, "{report}");
    assert_eq!(report["accounting_law_holds"], true, "{report}");
    assert_eq!(report["wrong_sums"], 0, "{report}");
}

#[test]
fn every_sum_stored_is_the_sum_sent_over_several_windows() {
    all_is_there(&statsd(&["--series", "100", "--metrics", "250000"]), 250_000);
}

#[test]
fn one_metric_a_datagram_and_more_series_than_a_slice_closes_are_stored_exactly() {
    let many = ["--series", "10000", "--metrics", "20000", "--per-packet", "1", "--", "--log-level", "warn"];
    all_is_there(&statsd(&many), 20_000);
}
