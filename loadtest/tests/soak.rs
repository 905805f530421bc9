//! The real server over days of samples: all are stored, and it says after each that it is well.
//!
//! Not here: whether its memory stays flat, which two small days cannot show; `loadtest soak` does on request.

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

#[test]
fn days_of_samples_are_stored_one_after_the_other() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["soak", "--json", "--days", "4", "--series", "100", "--step-s", "600", "--server"])
        .arg(server())
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}\n{stderr}"));
    assert_eq!(report["accounts"]["stored"], 4 * 100 * 144, "{report}");
    assert_eq!(report["refused_requests"], 0, "{report}");
    let days = report["days"].as_array().expect("a list of days");
    assert_eq!(days.len(), 4, "{report}");
    for day in days {
        assert_eq!(day["health"], "healthy", "{report}");
        assert!(day["rss_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{report}");
    }
    // The exit code says whether memory was flat too; over days this small it may go either way.
    let flat = report["rss_growth"].as_f64().is_some_and(|growth| growth <= 0.05);
    assert_eq!(output.status.success(), flat, "{report}");
}
