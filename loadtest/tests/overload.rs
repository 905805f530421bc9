//! The real server under more datagrams than its socket has room for: every loss is counted, memory stays bounded,
//! another source is answered all the while, and right after the flood nothing is lost.
//!
//! A small receive buffer makes any machine's server the slower side. Not here: a minute of it at full size, which
//! `loadtest flood` is for.

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

#[test]
fn a_flood_loses_only_what_is_counted_and_starves_nobody() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["flood", "--json", "--seconds", "2", "--senders", "2", "--server"])
        .arg(server())
        .env("INFRAWATCH_STATSD_RCVBUF_BYTES", "64KiB")
        .env("INFRAWATCH_STATSD_WINDOW", "1s")
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "loadtest flood: {}\n{stdout}\n{stderr}", output.status);
    let report: Value = serde_json::from_str(&stdout).expect("the figures are JSON");
    assert!(report["kernel_drops"].as_i64() > Some(0), "no flood: {report}");
    assert!(report["peak_rss_bytes"].as_u64() < Some(200 << 20), "{report}");
}

#[test]
fn stuck_and_heavy_readers_cost_no_sample() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["readers", "--json", "--series", "2000", "--samples", "10", "--rate", "20000"])
        .args(["--stuck", "60", "--heavy", "8", "--server"])
        .arg(server())
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // How soon anything was answered is for the machine at hand to say, not for a test.
    let reports: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    let parts = reports[0]["parts"].as_array().expect("the load has parts");
    assert_eq!(parts.len(), 3, "{reports}");
    assert!(parts.iter().all(|part| part["acknowledged"] == 20_000), "{reports}");
    assert!(parts[1]["reads"].as_array().is_some_and(|reads| reads.len() == 4), "{reports}");
    assert_eq!((&parts[2]["stuck_connected"], &parts[2]["refused_reads"]), (&60.into(), &0.into()), "{reports}");
}
