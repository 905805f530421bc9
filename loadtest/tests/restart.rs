//! The real server killed while it is written to: whatever it acknowledged is there after the restart.
//!
//! Not here: many rounds, which `loadtest crash` does on request; two are enough to see that a restart works.

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

#[test]
fn a_kill_loses_no_acknowledged_sample() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["crash", "--json", "--rounds", "2", "--series", "400", "--per-request", "100", "--server"])
        .arg(server())
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let report: Value = serde_json::from_str(&stdout).expect("the figures are JSON");
    assert!(report["acknowledged"].as_u64().is_some_and(|samples| samples > 0), "{report}");
    assert_eq!(report["restart"]["count"], 2, "{report}");
    for finding in ["lost", "wrong", "unexpected", "amiss_after_restart"] {
        assert_eq!(report[finding], 0, "{report}");
    }
}
