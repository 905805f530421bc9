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

/// Standard output, standard error and exit code of the program.
fn infrawatch(arguments: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.args(arguments).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn detectors_are_asked_for_by_name_and_an_unknown_name_is_answered_with_the_nearest() {
    let text = minutes(1000, &[700]);
    let (csv, _) = detect(&text, &["--format", "csv", "--detectors", "zscore,gesd,mad"]);
    assert_eq!(csv.lines().next().unwrap(), format!("{HEADER},zscore,gesd,mad,agreeing"));
    assert_eq!(flagged(&csv), [700]);
    assert!(csv.lines().nth(701).unwrap().ends_with(",zscore gesd mad"), "{csv}");
    let (json, _) = detect(&text, &["--json", "--detectors", "z_score,ensemble", "--vote", "any"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[700]["results"][0]["method"], "z_score");
    assert_eq!(rows[700]["agreeing_detectors"], serde_json::json!(["zscore", "ensemble"]));
    let (table, _) = detect(&text, &["--streaming", "--detectors", "ema,static", "--above", "500", "--vote", "any"]);
    assert!(table.contains("value is 900") && table.contains("static: 1 of 1000 judged"), "{table}");
    let (list, _, code) = infrawatch(&["detect", "--detectors", "list"]);
    assert!(code == Some(0) && ["gesd", "isolation_forest", "ensemble"].iter().all(|name| list.contains(name)));
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    std::fs::write(&path, &text).unwrap();
    let path = path.to_str().unwrap();
    let (_, said, code) = infrawatch(&["detect", path, "--detectors", "gsed"]);
    assert_eq!((said.as_str(), code), ("error: Unknown detector type: gsed; did you mean gesd?\n", Some(1)));
    let (_, said, code) = infrawatch(&["detect", path, "--detectors", "gesd", "--streaming"]);
    assert!(code == Some(1) && said.contains("gesd looks at whole series"), "{said}");
    let (_, said, code) = infrawatch(&["detect", path, "--detectors", "dbscan"]);
    assert!(code == Some(1) && said.contains("compares 3 to 300 series, the file has 1"), "{said}");
}

#[test]
fn of_ten_hosts_in_one_file_the_one_that_stands_apart_is_flagged_alone() {
    let mut text = "timestamp,value,host\n".to_owned();
    for i in 0..200i64 {
        for host in 0..10i64 {
            let noise = ((i * 10 + host) as u64).wrapping_mul(6_364_136_223_846_793_005) >> 40;
            let apart = if host == 7 && i >= 100 { 60.0 } else { 0.0 };
            let value = 50.0 + noise as f64 / 4e6 + apart;
            writeln!(text, "{},{value},host-{host}", 1_704_067_200 + i * 60).unwrap();
        }
    }
    let (csv, _) = detect(&text, &["--format", "csv", "--detectors", "dbscan"]);
    let hosts: Vec<_> = flagged(&csv).iter().map(|row| row % 10).collect();
    assert!(!hosts.is_empty() && hosts.iter().all(|host| *host == 7), "{hosts:?}");
}

/// ENS-012, ENS-019: with a group the forest judges rows of several series, without one it abstains and has no weight.
#[test]
fn series_of_one_host_are_features_of_each_other() {
    let mut text = "timestamp,value,metric,host\n".to_owned();
    for i in 0..800i64 {
        let load = (i * 7919 % 101) as f64;
        // Latency follows the load, but for one minute in which it is that of a busy host while there is none.
        let latency = if i == 500 { 395.0 } else { 200.0 + 2.0 * load };
        let load = if i == 500 { 1.0 } else { load };
        let time = 1_700_000_000 + i * 60;
        text += &format!("{time},{load},load,a\n{time},{latency},latency,a\n{time},{load},load,b\n");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let arguments = ["detect", path, "--group-by", "host", "--format", "csv"];
    let (csv, _, status) = infrawatch(&arguments);
    assert_eq!(status, Some(0));
    let mut lines = csv.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| header.iter().position(|column| *column == name).unwrap();
    assert_eq!(header[at("zscore")..], ["zscore", "ema", "seasonal", "isolation_forest", "agreeing"]);
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    let forest = |row: &Vec<&str>| row[at("isolation_forest")].to_owned();
    let b: Vec<String> = rows.iter().filter(|row| row[at("host")] == "b").map(forest).collect();
    assert!(b.iter().all(String::is_empty), "alone in its group it has no features");
    let latency = |row: &&Vec<&str>| row[at("metric")] == "latency";
    let flags: Vec<usize> = rows
        .iter()
        .filter(latency)
        .enumerate()
        .filter(|(_, row)| row[at("agreeing")].contains("isolation_forest"))
        .map(|(at, _)| at)
        .collect();
    assert!(flags.contains(&500) && flags.len() <= 8, "{flags:?}");
    let (_, error, status) = infrawatch(&["detect", path, "--group-by", "rack"]);
    assert!(status == Some(1) && error.contains("no column \"rack\""), "{error}");
}

#[test]
fn evaluate_counts_what_is_right_and_names_what_is_missed() {
    let folder = TempDir::new().unwrap();
    let (samples, labels) = (folder.path().join("a.csv"), folder.path().join("labels.csv"));
    std::fs::write(&samples, minutes(1000, &[700])).unwrap();
    let at = |row: i64| 1_704_067_200 + row * 60;
    std::fs::write(&labels, format!("start,end\n{},{}\n{},{}\n", at(700), at(700), at(300), at(301))).unwrap();
    let (samples, labels) = (samples.to_str().unwrap(), labels.to_str().unwrap());
    let (json, said, code) = infrawatch(&["evaluate", samples, "--labels", labels, "--detectors", "zscore", "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    let counts =
        ["true_positives", "false_positives", "false_negatives", "true_negatives"].map(|key| value[key].as_u64());
    assert_eq!(counts, [Some(1), Some(0), Some(2), Some(997)]);
    assert_eq!((&value["precision"], &value["accuracy"]), (&1.0.into(), &0.998.into()));
    assert!(value["recall"].is_number() && value["f1"].is_number());
    assert_eq!(value["missed"][0]["start"], at(300).to_string());
    // The column of a file that marks its rows is no label of a series.
    let marked = folder.path().join("marked.csv");
    let text: String = minutes(1000, &[700]).lines().enumerate().fold(String::new(), |text, (line, row)| {
        text + row
            + if line == 0 {
                ",is_anomaly\n"
            } else if line == 701 {
                ",1\n"
            } else {
                ",0\n"
            }
    });
    std::fs::write(&marked, text).unwrap();
    let (json, said, _) =
        infrawatch(&["evaluate", marked.to_str().unwrap(), "--labels", "--detectors", "mad", "--json"]);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap_or_else(|_| panic!("{said}"));
    assert_eq!((&value["recall"], &value["precision"]), (&1.0.into(), &1.0.into()));
}

#[test]
fn calibrate_prints_five_figures_and_says_when_a_precision_is_out_of_reach() {
    let folder = TempDir::new().unwrap();
    let labels = folder.path().join("f.csv");
    std::fs::write(&labels, "score,label\n0.1,0\n0.4,0\n0.35,1\n0.8,1\n0.9,1\n0.7,0\n").unwrap();
    let labels = labels.to_str().unwrap();
    let (csv, _, code) = infrawatch(&["calibrate", "--labels", labels, "--target-precision", "0.9", "--format", "csv"]);
    assert_eq!(code, Some(0));
    assert_eq!(csv, "optimal_threshold,precision,recall,f1,false_positive_rate\n0.8,1.0,0.666666667,0.8,0.0\n");
    std::fs::write(folder.path().join("f.csv"), "score,label\n0.9,0\n0.8,1\n").unwrap();
    let (_, said, _) = infrawatch(&["calibrate", "--labels", labels]);
    assert!(said.contains("no score reaches a precision of 0.9"), "{said}");
}

#[test]
fn profile_says_what_a_series_is_like_and_what_suits_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.csv");
    let mut text = "timestamp,value\n".to_owned();
    for i in 0..24 * 28i64 {
        let wave = (i as f64 / 24.0 * std::f64::consts::TAU).sin();
        writeln!(text, "{},{}", 1_704_067_200 + i * 3600, 100.0 + 50.0 * wave + (i * 7919 % 13) as f64).unwrap();
    }
    std::fs::write(&path, text).unwrap();
    let (json, said, code) = infrawatch(&["profile", path.to_str().unwrap(), "--json"]);
    assert_eq!(code, Some(0), "{said}");
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value[0]["seasons"][0]["period_s"], 86_400);
    assert!(value[0]["detectors"].as_array().unwrap().iter().any(|advice| advice["detector"] == "seasonal"));
}
