//! `infrawatch detect` as its users meet it: its columns, its rows, and that streaming never looks ahead.
//!
//! Not here: what is unusual (see `src/analysis`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::process::Command;
use tempfile::TempDir;

const HEADER: &str = "timestamp,value,score,is_anomaly,severity,expected,lower,upper";

/// Minutes of a quiet series with a spike at each of `spikes`.
fn minutes(rows: i64, spikes: &[i64]) -> String {
    let mut text = "timestamp,value\n".to_owned();
    for i in 0..rows {
        let noise = (i as u64).wrapping_mul(6_364_136_223_846_793_005) >> 40;
        let value = if spikes.contains(&i) { 900.0 } else { 100.0 + noise as f64 / 1e7 };
        writeln!(text, "{},{value}", 1_704_067_200 + i * 60).unwrap();
    }
    text
}

/// Output and errors of `detect` on a file of this text.
fn detect(text: &str, flags: &[&str]) -> (String, String) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("samples");
    std::fs::write(&path, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.arg("detect").arg(&path).args(flags).env_clear().output().unwrap();
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{err}");
    (out, err)
}

/// Numbers of the data rows that are flagged.
fn flagged(csv: &str) -> Vec<usize> {
    let is_flagged = |line: &str| line.split(',').nth(3) == Some("1");
    csv.lines().skip(1).enumerate().filter(|(_, line)| is_flagged(line)).map(|(at, _)| at).collect()
}

#[test]
fn streaming_output_of_a_prefix_is_a_prefix_of_the_output() {
    let text = minutes(3000, &[1000, 2500]);
    let (whole, _) = detect(&text, &["--format", "csv", "--streaming"]);
    assert_eq!(flagged(&whole), [1000, 2500]);
    for lines in [2, 500, 1001, 1002, 2400] {
        let prefix: String = text.split_inclusive('\n').take(lines).collect();
        let (part, _) = detect(&prefix, &["--format", "csv", "--streaming"]);
        assert_eq!(part.lines().count(), lines);
        assert!(whole.starts_with(&part), "{lines} lines");
    }
}

#[test]
fn two_passes_judge_the_beginning_by_what_came_later() {
    let text = minutes(2000, &[5]);
    assert_eq!(flagged(&detect(&text, &["--format", "csv", "--streaming"]).0), [0; 0]);
    let twice = flagged(&detect(&text, &["--format", "csv"]).0);
    // The step back from a spike may belong to its run.
    assert!(twice == [5] || twice == [5, 6], "{twice:?}");
}

#[test]
fn every_data_row_has_one_row_with_its_texts_and_labels() {
    let text = "host,value,timestamp\nb,1.50,2024-01-01 00:00:00\na,oops,2024-01-01 00:01:00\n\"x,y\",2e0,1704067260\n";
    let (out, err) = detect(text, &["--format", "csv", "--streaming"]);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], format!("{HEADER},host"));
    assert_eq!(lines[1], "2024-01-01 00:00:00,1.50,0.000000000,0,none,,,,b");
    assert_eq!(lines[2], "2024-01-01 00:01:00,oops,0.000000000,0,none,,,,a");
    assert_eq!(lines[3], "1704067260,2e0,0.000000000,0,none,,,,\"x,y\"");
    assert_eq!(lines.len(), 4);
    assert!(err.starts_with("1 of 3 rows "), "{err}");
}

#[test]
fn rows_of_different_labels_are_different_series() {
    let mut text = "timestamp,value,host\n".to_owned();
    for i in 0..600 {
        let time = 1_704_067_200 + i * 60;
        writeln!(text, "{time},10,a\n{time},{},b", if i == 500 { 10 } else { 99_000 }).unwrap();
    }
    assert_eq!(flagged(&detect(&text, &["--format", "csv", "--streaming"]).0), [1001]);
}

#[test]
fn a_flagged_row_has_a_band_that_excludes_it_and_people_get_a_sentence() {
    let text = minutes(2000, &[1500]);
    let (csv, _) = detect(&text, &["--format", "csv", "--streaming"]);
    let cells: Vec<_> = csv.lines().nth(1501).unwrap().split(',').collect();
    let number = |at: usize| cells[at].parse::<f64>().unwrap();
    assert!(number(2) >= 0.6 && number(6) < 100.0 && number(7) > 101.0 && number(7) < 900.0, "{cells:?}");
    let (table, _) = detect(&text, &["--streaming", "--metric", "queue_len"]);
    assert!(table.contains("queue_len is 900, expected 100.") && table.contains("would have been normal"), "{table}");
    for total in ["Total points analyzed: 2000\n", "Anomalies detected: 1\n", "Anomalous points: 1\n"] {
        assert!(table.contains(total), "{table}");
    }
    assert_eq!(table.lines().filter(|line| line.starts_with("1704157200  ")).count(), 1, "{table}");
    let (json, _) = detect(&text, &["--streaming", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2000);
    assert_eq!((&rows[1500]["is_anomaly"], &rows[1499]["is_anomaly"]), (&true.into(), &false.into()));
}

#[test]
fn counters_are_told_apart_or_named() {
    let mut text = "timestamp,value\n".to_owned();
    let mut total = 0;
    for i in 0..1000i64 {
        total += 100 + i * 31 % 7 + if i == 900 { 5000 } else { 0 };
        writeln!(text, "{},{total}", 1_704_067_200 + i * 60).unwrap();
    }
    assert_eq!(flagged(&detect(&text, &["--format", "csv", "--streaming"]).0), [900]);
    assert_eq!(flagged(&detect(&text, &["--format", "csv", "--streaming", "--kind", "counter"]).0), [900]);
}

#[test]
fn the_picture_has_values_band_and_marks_and_is_of_one_series() {
    let folder = TempDir::new().unwrap();
    let picture = folder.path().join("a.svg");
    let text = minutes(2000, &[1500]);
    detect(&text, &["--plot", picture.to_str().unwrap(), "--metric", "queue_len"]);
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.contains(">queue_len</text>") && svg.contains("1 marked as unusual"), "{svg}");
    for class in ["value", "band"] {
        assert!(svg.contains(&format!("class=\"{class}\"")), "{class}");
    }
    let two = folder.path().join("two.csv");
    std::fs::write(&two, "timestamp,value,host\n1,1,a\n2,2,b\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.arg("detect").arg(&two).args(["--plot", "b.svg"]).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--plot draws one series"), "wrong usage is told");
}
