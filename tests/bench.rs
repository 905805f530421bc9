//! `infrawatch bench` as a reader meets it: what it measures stands in its report, beside what is claimed.
//!
//! Not here: whether the figures are good; those are measured where the program runs.

use std::process::Command;

#[test]
fn the_report_has_every_part_and_every_method_with_its_measured_figures() {
    let output = Command::new(env!("CARGO_BIN_EXE_infrawatch")).args(["bench", "--json"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = |table: &str, name: &str| {
        let rows = report[table].as_array().unwrap().iter();
        rows.clone().find(|row| row["part"] == name || row["method"] == name).unwrap_or_else(|| panic!("{name}"))
    };
    for part in ["parse remote write", "parse StatsD", "encode a chunk", "decode a chunk", "score"] {
        let row = row("speed", part);
        let (rate, ns) = (row["per_second"].as_f64().unwrap(), row["ns_each"].as_f64().unwrap());
        assert!((rate * ns / 1e9 - 1.0).abs() < 0.02, "a rate is the inverse of a time: {row}");
    }
    for method in ["static limits", "zscore", "ensemble"] {
        let row = row("detection", method);
        assert!(row["claimed_mttd"].is_string() && row["claimed_false"].is_string(), "{row}");
        assert!((0.0..=100.0).contains(&row["found_percent"].as_f64().unwrap()), "{row}");
        assert!((0.0..=100.0).contains(&row["false_percent"].as_f64().unwrap()), "{row}");
        assert!(row["mttd_minutes"].as_f64().unwrap() >= 1.0, "a minute is known when it is over: {row}");
    }
}
