//! `infrawatch query` from end to end: a table of values, JSON, CSV, and a chart in the terminal.

use crate::fixture;
use crate::support::server::Server;
use serde_json::Value;
use std::process::{Command, Output};

fn run(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    command.env_clear().arg("query").args(arguments).args(["--server", &server.url("")]);
    command.output().expect("the built program starts")
}

fn printed(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every form of showing, on the fixture that the server holds.
pub(crate) fn shows_every_form(server: &Server) {
    let at = |step: usize| (fixture::time_ms(step) / 1000).to_string();
    let (start, end) = (at(280), at(300));
    let table = printed(server, &["temperature{floor=\"1\"}", "--time", &end]);
    assert_eq!(table.lines().count(), 5, "a heading and four rooms:\n{table}");
    assert!(table.contains("room=\"küche\""), "{table}");

    let json = printed(server, &["sum by (job) (up)", "--time", &end, "--json"]);
    let data: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&data["resultType"], data["result"].as_array().unwrap().len()), (&"vector".into(), 3), "{json}");

    let over = ["wave", "--start", &start, "--end", &end, "--step", "15s"];
    let csv = printed(server, &[&over[..], &["--format", "csv"]].concat());
    assert_eq!(csv.lines().count(), 22, "a heading and 21 instants:\n{csv}");
    let chart = printed(server, &over);
    let bars = chart.chars().filter(|c| ('▁'..='█').contains(c)).count();
    assert_eq!(bars, 21, "a bar for each instant:\n{chart}");

    let refused = run(server, &["sum(", "--time", &end]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("parse error"), "{refused:?}");
}
