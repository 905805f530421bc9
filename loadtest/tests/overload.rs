//! The real server under more datagrams than its socket has room for: every loss is counted, memory stays bounded,
//! another source is answered all the while, and right after the flood nothing is lost.
//!
//! A small receive buffer makes any machine's server the slower side. Not here: a minute of it at full size, which
//! `loadtest flood` is for.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

/// The server's binary: `INFRAWATCH_BIN`, else the one that the same build puts beside the test programs.
fn server() -> PathBuf {
    let beside = || {
        let deps = std::env::current_exe().expect("this test has a path");
        deps.ancestors().nth(2).expect("tests lie in a folder of the target directory").join("infrawatch")
    };
    let binary = std::env::var_os("INFRAWATCH_BIN").map_or_else(beside, PathBuf::from);
    assert!(binary.is_file(), "{} is missing: build the server first: cargo build", binary.display());
    binary
}

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
