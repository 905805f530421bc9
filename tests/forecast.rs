//! `infrawatch forecast FILE` as its users meet it: columns, notations of time, exit codes, and the figures that count; and
//! forecasts of the running server (`served`).
//!
//! Not here: how good forecasts are (see `docs/forecast.md`), the engine's own promises (see `src/analysis/forecast`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "forecast/served.rs"]
mod served;
mod support;

use std::fmt::Write as _;
use std::process::{Command, Output};
use tempfile::TempDir;

const START_S: i64 = 1_700_000_000;

/// Runs the program on a file with this content, and further arguments.
fn forecast(content: &str, arguments: &[&str]) -> (Output, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("series"), content).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.args(["forecast", "series"]).args(arguments).current_dir(folder.path()).env_clear();
    (command.output().unwrap(), folder)
}

fn out(content: &str, arguments: &[&str]) -> String {
    let (output, _) = forecast(content, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn fails(content: &str, arguments: &[&str], code: i32, words: &[&str]) {
    let (output, _) = forecast(content, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word} is not in {said}");
    }
    assert!(output.stdout.is_empty());
}

/// Hourly values with the time in seconds.
fn hourly(hours: usize, value: impl Fn(f64) -> f64) -> String {
    let mut csv = String::from("timestamp,value\n");
    for hour in 0..hours {
        writeln!(csv, "{},{}", START_S + 3600 * hour as i64, value(hour as f64)).unwrap();
    }
    csv
}

fn rows(csv: &str) -> Vec<Vec<f64>> {
    csv.lines().skip(1).map(|line| line.split(',').map(|cell| cell.parse().unwrap()).collect()).collect()
}

#[test]
fn a_row_for_every_step_with_the_forecast_inside_its_band() {
    let csv = out(&hourly(200, |hour| (hour * 0.7).sin()), &["--horizon", "30", "--level", "80", "--format", "csv"]);
    assert_eq!(csv.lines().next(), Some("timestamp,forecast,lower,upper"));
    let rows = rows(&csv);
    assert_eq!(rows.len(), 30);
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row[0] as i64, START_S + 3600 * (200 + i as i64));
        assert!(row[2] <= row[1] && row[1] <= row[3], "{row:?}");
    }
}

#[test]
fn a_linear_trend_reaches_its_limit_on_the_right_day() {
    let csv = hourly(169, |hour| 53.0 + hour / 24.0);
    let json = out(&csv, &["--capacity-threshold", "95", "--json"]);
    let answer: serde_json::Value = serde_json::from_str(&json).unwrap();
    let series = &answer["series"][0];
    assert!((series["days_to_exhaustion"].as_f64().unwrap() - 35.0).abs() < 1.0, "{series}");
    assert!((series["trend_per_day"].as_f64().unwrap() - 1.0).abs() < 1e-6);
    assert_eq!(series["predicted_values"].as_array().unwrap().len(), 168);
    let likely_s = series["exhaustion"]["likely"].as_i64().unwrap();
    assert!((likely_s - START_S - 42 * 86_400).abs() < 86_400, "{likely_s}");
    assert!(series["sla_risk_score"].as_f64().unwrap() < 0.05);
    let table = out(&csv, &["--capacity-threshold", "95"]);
    for words in ["trend", "1 per day", "seasonality", "none", "days to exhaustion", "35.0", "SLA risk", " %"] {
        assert!(table.contains(words), "{words} is not in {table}");
    }
}

#[test]
fn the_level_is_the_share_the_band_shall_hold() {
    let mixed = |hour: f64| (hour * hour * 0.37).sin();
    let width = |level: &str| {
        let rows = rows(&out(&hourly(300, mixed), &["--horizon", "5", "--level", level, "--format", "csv"]));
        rows.iter().map(|row| row[3] - row[2]).sum::<f64>()
    };
    assert!(width("50") < 0.8 * width("80"));
    assert!(width("80") < width("95"));
}

#[test]
fn a_daily_season_is_named_and_continued() {
    let day = |hour: f64| 50.0 + 10.0 * (hour / 24.0 * std::f64::consts::TAU).sin() + (hour * 1.7).sin();
    let csv = hourly(24 * 10, day);
    for (i, row) in rows(&out(&csv, &["--horizon", "24", "--format", "csv"])).iter().enumerate() {
        let right = day((240 + i) as f64);
        assert!((row[1] - right).abs() < 3.0, "{row:?} is not {right}");
    }
    assert!(out(&csv, &["--horizon", "24"]).contains("every 1 d (strength "));
}

#[test]
fn a_method_is_used_alone_when_it_is_named_and_must_be_known() {
    let csv = hourly(100, |hour| 5.0 + (hour * 0.7).sin());
    let last = rows(&out(&csv, &["--horizon", "3", "--method", "naive", "--format", "csv"]));
    assert!(last.iter().all(|row| (row[1] - 5.0 - (99.0 * 0.7_f64).sin()).abs() < 1e-9), "{last:?}");
    assert!(out(&csv, &["--horizon", "3", "--method", "theta"]).contains("theta"));
    fails(&csv, &["--method", "magic"], 2, &["magic", "holt_winters", "autoregression"]);
}

#[test]
fn a_disk_that_fills_within_hours_is_warned_of_and_reported() {
    // Every five minutes 0.25 %, now at 74: 85 is reached in 220 minutes.
    let mut csv = String::from("timestamp,value\n");
    for i in 0..=200 {
        writeln!(csv, "{},{}", START_S + 300 * i, 24.0 + 0.25 * i as f64).unwrap();
    }
    let arguments = ["--metric", "Disk", "--unit", "%", "--horizon", "72", "--upper-threshold", "85"];
    let reached_s = START_S + 300 * 244;
    let table = out(&csv, &arguments);
    assert!(table.contains(&format!("WARNING: Disk predicted to reach 85% at {reached_s}\n")), "{table}");
    let answer: serde_json::Value = serde_json::from_str(&out(&csv, &[&arguments[..], &["--json"]].concat())).unwrap();
    let breach = &answer["series"][0]["breach"];
    assert_eq!((&breach["will_breach"], &breach["breach_time"]), (&true.into(), &reached_s.into()), "{breach}");
    let alert = &breach["alerts"][0];
    assert_eq!((&alert["type"], &alert["confidence"]), (&"upper_threshold_predicted".into(), &"high".into()));
    assert_eq!((&alert["threshold"], &alert["predicted_at"]), (&85.0.into(), &reached_s.into()));
    assert_eq!(breach["forecast"]["timestamps"].as_array().unwrap().len(), 72);
    let lower = out(&csv, &["--horizon", "72", "--lower-threshold", "0"]);
    assert!(!lower.contains("WARNING"), "{lower}");
}

#[test]
fn the_week_of_memory_in_the_sample_data_is_a_leak_under_collections() {
    let memory = include_str!("../sample_data/memory.csv");
    let table = out(memory, &["--capacity-threshold", "95"]);
    for words in ["sawtooth", "as garbage collection does", "a leak", "days to exhaustion", "SLA risk"] {
        assert!(table.contains(words), "{words} is not in {table}");
    }
    assert!(!table.contains("WARNING"), "{table}");
    let answer: serde_json::Value =
        serde_json::from_str(&out(memory, &["--capacity-threshold", "95", "--json"])).unwrap();
    // Peaks of 64 to 66 that rise by 2.3 to 2.6 a day reach 95 in eleven to fourteen days.
    let days = answer["series"][0]["days_to_exhaustion"].as_f64().unwrap();
    assert!((11.0..14.5).contains(&days), "{days}");
    assert!(answer["series"][0]["sla_risk_score"].as_f64().unwrap() < 0.05);
    let cache: String = (0..600).map(|i| format!("{},{}\n", START_S + 300 * i, 40 + i % 50)).collect();
    let table = out(&format!("timestamp,value\n{cache}"), &["--capacity-threshold", "95"]);
    assert!(table.contains("no leak") && table.contains("on a schedule"), "{table}");
    assert!(table.lines().any(|line| line.starts_with("days to exhaustion") && line.contains("none")), "{table}");
}

#[test]
fn a_report_lists_the_series_with_the_fewest_days_left() {
    let mut csv = String::from("timestamp,host,value\n");
    for hour in 0..100 {
        for (host, a_day) in [("slow", 1.0), ("fast", 4.0), ("still", 0.0)] {
            writeln!(csv, "{},{host},{}", START_S + 3600 * hour, 50.0 + a_day * hour as f64 / 24.0).unwrap();
        }
    }
    let report = out(&csv, &["--capacity-threshold", "90", "--top", "2", "--horizon", "24"]);
    let lines: Vec<&str> = report.lines().filter(|line| line.contains("host=")).collect();
    assert_eq!(lines.len(), 2, "{report}");
    assert!(lines[0].contains("fast") && lines[1].contains("slow"), "{report}");
    fails(&csv, &["--top", "2"], 2, &["--capacity-threshold"]);
}

#[test]
fn times_are_written_as_the_file_writes_them() {
    let first = |content: &str| {
        let csv = out(content, &["--horizon", "1", "--format", "csv"]);
        csv.lines().nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    assert_eq!(first("timestamp,value\n1700000000000,1\n1700000060000,2\n"), "1700000120000");
    assert_eq!(first("timestamp,value\n2023-11-14T22:00:00Z,1\n2023-11-14T22:05:00Z,1\n"), "2023-11-14T22:10:00Z");
    assert_eq!(first("{\"timestamp\":1700000000,\"value\":1}\n{\"timestamp\":1700000060,\"value\":1}\n"), "1700000120");
}

#[test]
fn every_label_set_is_a_series_of_its_own() {
    let mut csv = String::from("timestamp,host,value\n");
    for hour in 0..30 {
        writeln!(csv, "{0},a,{hour}\n{0},b,7", START_S + 3600 * hour).unwrap();
    }
    let answer = out(&csv, &["--horizon", "2", "--format", "csv"]);
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines[0], "timestamp,forecast,lower,upper,host");
    assert_eq!(lines.len(), 5);
    assert!(lines[2].ends_with(",a"));
    assert_eq!(lines[3], format!("{},7,7,7,b", START_S + 3600 * 30));
}

#[test]
fn a_picture_shows_history_forecast_and_limit() {
    let csv = hourly(169, |hour| 53.0 + hour / 24.0);
    let arguments = ["--horizon", "48", "--capacity-threshold", "61", "--plot", "picture.svg", "--format", "csv"];
    let (output, folder) = forecast(&csv, &arguments);
    assert!(output.status.success());
    let svg = std::fs::read_to_string(folder.path().join("picture.svg")).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
    for layer in ["value", "fan", "ahead", "limit"] {
        assert!(svg.contains(&format!("class=\"{layer}\"")), "{layer}");
    }
}

#[test]
fn wrong_usage_is_2_and_a_file_that_cannot_be_forecast_is_1() {
    let csv = hourly(30, |hour| hour);
    fails(&csv, &["--horizon", "0"], 2, &["horizon 0", "--horizon"]);
    fails(&csv, &["--level", "100"], 2, &["level 100"]);
    fails("timestamp,value\n1700000000,5\n", &[], 1, &["series:", "at least 2"]);
    fails("timestamp,value\n1700000000,nan\n1700000060,\n", &["--quiet"], 1, &["at least 2"]);
    fails("", &[], 1, &["series", "empty"]);
}

#[test]
fn rows_that_cannot_be_used_are_counted() {
    let (output, _) = forecast(&(hourly(30, |hour| hour) + "1700999999,\n"), &["--horizon", "1"]);
    assert!(output.status.success());
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "1 of 31 rows have no usable timestamp and value\n");
}

#[test]
fn the_foundation_model_continues_a_short_history_by_itself() {
    let csv = hourly(72, |hour| 50.0 + 20.0 * (hour / 24.0 * std::f64::consts::TAU).sin());
    let found = rows(&out(&csv, &["--method", "foundation", "--horizon", "24", "--format", "csv"]));
    for (hour, row) in found.iter().enumerate() {
        let wanted = 50.0 + 20.0 * ((72 + hour) as f64 / 24.0 * std::f64::consts::TAU).sin();
        assert!((row[1] - wanted).abs() < 8.0, "{row:?} instead of {wanted}");
    }
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("my.toml");
    std::fs::write(&settings, "[foundation]\nmodel = \"/nowhere\"\n").unwrap();
    fails(&csv, &["--config", settings.to_str().unwrap()], 1, &["foundation.model", "/nowhere", "model.safetensors"]);
}
