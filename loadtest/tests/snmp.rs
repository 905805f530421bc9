//! The real server polls simulated devices with every fault there is, in every version: a stored rate is right or absent.
//!
//! The load generator is run as a user runs it. Not here: figures of a thousand devices (docs/benchmarks.md).

mod support;

use std::process::Command;

use serde_json::Value;
use support::server;

/// Faults whose devices are never polled whole.
const NEVER: [&str; 1] = ["Dead"];

#[test]
fn every_stored_rate_is_the_true_one_whatever_devices_do() {
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["snmp", "--json", "--all-faults", "--devices", "57", "--lines", "4", "--versions", "v2c,v3,v1"])
        .args(["--interval", "1", "--warmup", "2", "--intervals", "40", "--timeout", "400", "--server"])
        .arg(server())
        .output()
        .expect("the load generator starts");
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    let report: Value = serde_json::from_str(&stdout).expect("the figures are JSON");
    assert_eq!(report["wrong"], 0, "{report}");
    assert_eq!(report["accounting_law_holds"], true, "{report}");
    let by_fault = report["by_fault"].as_object().expect("an object");
    assert_eq!(by_fault.len(), 19, "every fault was there: {report}");
    for (fault, found) in by_fault {
        let has_rates = found["equal"].as_u64() > Some(0);
        assert_eq!(has_rates, !NEVER.contains(&fault.as_str()), "{fault}: {report}");
    }
    let withheld = report["rates_withheld"]["reset"].as_i64();
    assert!(withheld > Some(0), "counters began again and were noticed: {report}");
}
