//! Who may use whom: what lies downstream in the flow, never upstream.
//!
//! Not here: crates of others (see `confined` for those that have one home); `Cargo.toml` keeps the rest apart.

use super::source::{Source, Word};
use super::{hold, source};

/// A module or crate of ours, and what of ours it may use beside itself; `ANYONE` may be used by most.
struct Room {
    name: &'static str,
    may_use: &'static [&'static str],
    /// Whether it may use what most may.
    common: bool,
}

/// Settings, counters and the clock: used by all but pure code.
const ANYONE: [&str; 3] = ["config", "self_metrics", "clock"];

const EVERYTHING: &[&str] = &["*"];

/// `series_file` because a time is read by one rule, whether it stands in a file or in a request; `ingest::snmp` because
/// what is known of devices is the poller's, which alone can say it.
const API: &[&str] = &[
    "http_server",
    "query",
    "shard::questions",
    "anomaly",
    "alert",
    "analysis",
    "storage",
    "series_file",
    "metric_metadata",
    "ingest::snmp",
    "change_events",
    "pull",
    "access",
    "watch",
    "windowed",
    "rules",
    "monitors",
    "forecasts",
    "reports",
    "groups",
];

const INGEST: &[&str] = &["protocols", "storage::series", "shard", "series_file", "metric_metadata", "listed_file"];

const SHARD: &[&str] =
    &["storage", "analysis", "anomaly::run", "anomaly::notice", "metric_metadata", "foundation_layer"];

const CLI: &[&str] =
    &["logging", "http_client", "query", "analysis", "storage", "protocols", "series_file", "synthetic", "plot"];

/// The most exact name of a file's module counts: `cli::serve` before `cli`. Paths into other crates start with the
/// crate's name, so `storage::series` is identity only.
const ROOMS: &[Room] = &[
    room("storage", &[], false),
    room("protocols", &[], false),
    room("foundation", &[], false),
    room("autoencoder", &[], false),
    room("onnx", &[], false),
    room("loadtest", &["protocols"], false),
    room("main", &["infrawatch::cli"], false),
    room("lib", EVERYTHING, false),
    room("clock", &[], false),
    room("nearest", &[], false),
    room("frame_log", &[], false),
    room("config", &["nearest", "storage::series"], false),
    room("logging", &[], true),
    room("snmp_counters", &[], false),
    room("service_counters", &[], false),
    room("scoring_counters", &[], false),
    room("foundation_counters", &["scoring_counters"], false),
    room("self_metrics", &["snmp_counters", "service_counters", "scoring_counters", "foundation_counters"], true),
    room("listed_file", &[], false),
    room("access", &["listed_file"], true),
    room("metric_metadata", &[], false),
    room("change_events", &[], false),
    room("analysis", &["nearest", "foundation", "autoencoder"], false),
    room("series_file", &[], false),
    room("synthetic", &[], false),
    room("anomaly", &["analysis", "frame_log", "storage::series"], true),
    room("foundation_layer", &["storage", "analysis", "foundation_counters"], true),
    room("shard", SHARD, true),
    room("ingest", INGEST, true),
    room("query", &["shard::questions", "storage"], true),
    room("pull", &["http_client", "query", "analysis", "storage"], true),
    room("watch", &["listed_file", "pull", "query", "analysis"], true),
    room("windowed", &["analysis", "anomaly::run", "storage", "onnx"], true),
    // What is planned for a series rests its forecasts as it does its models.
    room("forecasts", &["query", "analysis", "storage", "anomaly", "shard::rests"], true),
    // Times and recurrences are those of alerts, and who is told of a report is handed in by the server.
    room("reports", &["forecasts", "alert", "analysis", "storage"], true),
    room("groups", &["analysis", "anomaly::run", "storage", "shard::rests"], true),
    room("alert", &["analysis", "anomaly", "frame_log", "yaml", "storage::series", "storage::label_index"], true),
    room("yaml", &[], false),
    room("go_template", &["config"], false),
    // What it writes, and what an expression comes to, is handed in by the server.
    room("rules", &["query", "alert", "go_template", "yaml", "storage::sample"], true),
    // Its files are found and read as those of rules are, and its expressions evaluated as trained models' are.
    room("monitors", &["query", "pull", "alert", "analysis", "rules", "yaml", "storage::series"], true),
    room("http_client", &[], false),
    room("http_server", &[], true),
    room("api", API, true),
    room("plot", &[], false),
    room("dashboard", &[], false),
    room("cli", CLI, true),
    room("cli::serve", &["logging", "server"], true),
    // What a settings file names is looked at as well.
    room("cli::config", &["access", "rules", "monitors", "query"], true),
    // Its tests show what it wrote to whoever reads it.
    room("cli::import", &["watch", "yaml"], true),
    room("cli::snmp", &["logging", "ingest::snmp", "protocols", "storage"], true),
    room("cli::collect", &["logging", "series_file", "server"], true),
    room("cli::offline", &["logging", "server"], true),
    room("cli::report", &["server"], true),
    // Files of models are looked at where they lie.
    room("cli::models", &["analysis", "onnx"], true),
    room("cli::snapshot", &[], true),
    room("cli::replay", &["alert", "logging", "query", "series_file", "server"], true),
    room("service_manager", &[], false),
    room("server", EVERYTHING, true),
    room("house_rules", &[], false),
];

const fn room(name: &'static str, may_use: &'static [&'static str], common: bool) -> Room {
    Room { name, may_use, common }
}

/// Every use of a module or crate of ours that the table does not allow.
fn forbidden(source: &Source) -> Vec<String> {
    let home = home(&source.path);
    let Some(room) = room_of(&home) else {
        return vec![format!("{}: {} is missing from the table of who may use whom", source.path, home.join("::"))];
    };
    let mut complaints: Vec<_> = uses(&source.words, &home)
        .into_iter()
        .filter(|(_, target)| !allowed(room, &home[0], target))
        .map(|(line, target)| format!("{}:{line}: {} may not use {}", source.path, room.name, target.join("::")))
        .collect();
    complaints.dedup();
    complaints
}

fn allowed(room: &Room, itself: &str, target: &[String]) -> bool {
    let begins = |name: &str| name.split("::").eq(target.iter().map(String::as_str).take(name.split("::").count()));
    target[0] == itself
        || room.may_use == EVERYTHING
        || room.may_use.iter().any(|name| begins(name))
        || room.common && ANYONE.iter().any(|name| begins(name))
}

fn room_of(home: &[String]) -> Option<&'static Room> {
    let exact = home.iter().take(2).cloned().collect::<Vec<_>>().join("::");
    let named = |name: &str| ROOMS.iter().find(|room| room.name == name);
    named(&exact).or_else(|| named(&home[0]))
}

/// The module a file is: `src/api/query.rs` is `api::query`; another crate is one room.
fn home(path: &str) -> Vec<String> {
    match path.strip_prefix("src/") {
        Some(inside) => {
            let module = inside.trim_end_matches(".rs").trim_end_matches("/mod");
            module.split('/').map(str::to_owned).collect()
        }
        None => vec![path.split('/').next().unwrap_or(path).to_owned()],
    }
}

/// Every path to something of ours, as line and up to two names: module and item, or crate and module.
fn uses(words: &[Word], home: &[String]) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let text = |at: usize| words.get(at).map_or("", |word| word.text.as_str());
    for at in 0..words.len() {
        match text(at) {
            "{" => {
                depth += 1;
                if at >= 2 && text(at - 2) == "mod" {
                    inline.push(depth);
                }
            }
            "}" => {
                inline.pop_if(|opened| *opened == depth);
                depth -= 1;
            }
            _ => {}
        }
        if text(at + 1) != "::" || at > 0 && text(at - 1) == "::" {
            continue;
        }
        let line = words[at].line;
        match text(at) {
            "crate" if is_member(home) => {}
            "crate" => tails(words, at + 2).into_iter().for_each(|tail| found.push((line, tail))),
            "super" if is_member(home) => {}
            "super" => {
                let ups = (0..).take_while(|i| text(at + 2 * i) == "super" && text(at + 2 * i + 1) == "::").count();
                if ups == home.len() + inline.len() {
                    tails(words, at + 2 * ups).into_iter().for_each(|tail| found.push((line, tail)));
                }
            }
            name @ ("storage" | "protocols" | "foundation" | "autoencoder" | "onnx" | "infrawatch" | "loadtest") => {
                let to_crate = |tail: Vec<String>| [name.to_owned()].into_iter().chain(tail).take(2).collect();
                tails(words, at + 2).into_iter().for_each(|tail| found.push((line, to_crate(tail))));
            }
            _ => {}
        }
    }
    found
}

/// Whether a module belongs to another crate of the workspace, whose inner order is its own affair.
fn is_member(home: &[String]) -> bool {
    ["storage", "protocols", "foundation", "autoencoder", "onnx", "loadtest"].contains(&home[0].as_str())
}

/// The first two names of every path that the use tree at `at` spells: `a::b` or `{a, b::{c, d}}`.
fn tails(words: &[Word], at: usize) -> Vec<Vec<String>> {
    let Some(first) = words.get(at).map(|word| word.text.as_str()) else { return Vec::new() };
    if first != "{" {
        let second = words.get(at + 1).filter(|word| word.text == "::").map(|_| tails(words, at + 2));
        let join = |tail: Vec<String>| [first.to_owned()].into_iter().chain(tail).take(2).collect();
        return match second {
            Some(seconds) if !seconds.is_empty() => seconds.into_iter().map(join).collect(),
            _ => vec![vec![first.to_owned()]],
        };
    }
    let mut found = Vec::new();
    let mut depth = 0;
    for (i, word) in words.iter().enumerate().skip(at) {
        match word.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        if depth == 1 && matches!(word.text.as_str(), "{" | ",") && words.get(i + 1).is_some_and(|w| w.text != "}") {
            found.extend(tails(words, i + 1));
        }
    }
    found
}

#[test]
fn nothing_is_used_upstream() {
    hold(source::all().iter().flat_map(forbidden).collect());
}

fn complaints_about(path: &str, text: &str) -> usize {
    forbidden(&Source::new(path, text)).len()
}

#[test]
fn a_path_upstream_is_found_however_it_is_written() {
    for text in [
        "use crate::ingest::lane;",
        "use crate::{config::Config, ingest};",
        "use crate::{\n    config::{Config, Log},\n    ingest::{lane},\n};",
        "fn f() { crate::ingest::f() }",
        "use super::ingest;",
        "mod inner { use super::super::ingest; }",
        "use protocols::ParseError;",
        "use shard::x; use crate::shard::worker;",
    ] {
        assert_eq!(complaints_about("src/query/mod.rs", text), 1, "{text}");
    }
    assert_eq!(complaints_about("src/query/plan.rs", "use super::super::ingest;"), 1);
}

#[test]
fn a_path_downstream_or_within_a_module_is_fine() {
    for text in [
        "use crate::shard::questions::Ask; use storage::{Store, series}; use crate::config::Query;",
        "use super::plan; use super::ingest; mod tests { use super::*; }",
        "// use crate::ingest;\nconst A: &str = \"crate::ingest\";",
    ] {
        assert_eq!(complaints_about("src/query/evaluate.rs", text), 0, "{text}");
    }
    assert_eq!(complaints_about("src/main.rs", "fn main() { infrawatch::cli::main() }"), 0);
    assert_eq!(complaints_about("src/server.rs", "use crate::{ingest, api, storage};"), 0);
}

#[test]
fn identity_only_means_identity_only() {
    assert_eq!(complaints_about("src/ingest/lane.rs", "use storage::series::SeriesRef;"), 0);
    assert_eq!(complaints_about("src/ingest/lane.rs", "use storage::{series, Store};"), 1);
}

#[test]
fn crates_keep_to_themselves() {
    assert_eq!(complaints_about("storage/src/a.rs", "use protocols::x; use crate::b;"), 1);
    assert_eq!(complaints_about("protocols/src/a.rs", "use storage::x;"), 1);
    assert_eq!(complaints_about("loadtest/src/a.rs", "use protocols::x; use infrawatch::y;"), 1);
}

#[test]
fn only_serve_knows_the_server_and_pure_code_knows_nothing() {
    assert_eq!(complaints_about("src/cli/serve.rs", "use crate::server;"), 0);
    assert_eq!(complaints_about("src/cli/health.rs", "use crate::server;"), 1);
    assert_eq!(complaints_about("src/analysis/a.rs", "use crate::config::Config;"), 1);
}

#[test]
fn a_module_without_a_place_in_the_table_is_named() {
    assert_eq!(complaints_about("src/cupboard.rs", ""), 1);
}
