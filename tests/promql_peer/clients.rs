//! What clients of Prometheus ask, of both sides: Grafana's data source, promtool, and others that spell times and
//! parameters in ways of their own.
//!
//! Not here: expressions (see `expressions`), our own command line's ways of showing answers (see `command`).

use crate::fixture;
use crate::support::http::{Answer, get, post_form};
use serde_json::Value;
use std::process::Command;

/// A page and its parameters.
type Ask = (&'static str, &'static [(&'static str, &'static str)]);

/// Instants within the fixture.
const FROM: &str = "1700003000";
const TO: &str = "1700004000.123";

/// Both sides must answer these with the same status, the same kind of error and the same data.
const PAGES: &[Ask] = &[
    // Save & test, and what Grafana looks for on the way.
    ("query", &[("query", "1+1"), ("time", TO)]),
    ("query", &[("query", "1"), ("time", "2023-11-14T23:00:00Z")]),
    ("query_exemplars", &[("query", "up"), ("start", FROM), ("end", TO)]),
    ("rules", &[]),
    ("rules", &[("type", "alert")]),
    ("rules", &[("type", "nonsense")]),
    ("alerts", &[]),
    ("metadata", &[("limit", "1")]),
    ("metadata", &[("metric", "up")]),
    // Variables.
    ("labels", &[("match[]", "up"), ("start", FROM), ("end", TO)]),
    ("labels", &[("match[]", "up"), ("match[]", "build_info"), ("start", FROM), ("end", TO)]),
    ("labels", &[("match[]", "up{")]),
    ("label/job/values", &[("start", FROM), ("end", TO)]),
    ("label/job/values", &[("match[]", "up{job!=\"db\"}"), ("start", FROM), ("end", TO)]),
    ("label/__name__/values", &[("match[]", "{job=\"api\"}"), ("start", FROM), ("end", TO)]),
    ("label/none/values", &[]),
    ("label/bad-name/values", &[]),
    ("series", &[("match[]", "up"), ("start", FROM), ("end", TO)]),
    ("series", &[("match[]", "up{job=\"api\"}"), ("match[]", "build_info"), ("start", FROM), ("end", TO)]),
    ("series", &[("match[]", "{__name__=~\"latency.*\",path=\"/\"}"), ("start", FROM), ("end", TO)]),
    ("series", &[]),
    ("series", &[("match[]", "{}")]),
    ("series", &[("match[]", "sum(up)")]),
    ("series", &[("match[]", "up"), ("start", "then")]),
    // Panels.
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "15")]),
    (
        "query_range",
        &[("query", "max by (job) (rate(requests_total[1m]))"), ("start", FROM), ("end", TO), ("step", "15s")],
    ),
    (
        "query_range",
        &[("query", "up"), ("start", "2023-11-14T23:00:00Z"), ("end", "2023-11-15T00:10:00.5+01:00"), ("step", "1m")],
    ),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "1m30s")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "0.5")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "1e2")]),
    ("query_range", &[("query", "up"), ("start", "1.7000030001e9"), ("end", TO), ("step", "60")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", FROM), ("step", "60")]),
    ("query_range", &[("query", "up"), ("start", TO), ("end", FROM), ("step", "60")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "0")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "-1")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "1x")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO)]),
    ("query_range", &[("query", "up"), ("start", FROM), ("step", "1")]),
    ("query_range", &[("query", "up"), ("start", "0"), ("end", "11000"), ("step", "1")]),
    ("query_range", &[("query", "up"), ("start", "0"), ("end", "11001"), ("step", "1")]),
    ("query_range", &[("query", "up[5m]"), ("start", FROM), ("end", TO), ("step", "60")]),
    ("query_range", &[("query", "\"a\""), ("start", FROM), ("end", TO), ("step", "60")]),
    ("query_range", &[("start", FROM), ("end", TO), ("step", "60")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "60"), ("timeout", "30s")]),
    ("query_range", &[("query", "up"), ("start", FROM), ("end", TO), ("step", "60"), ("timeout", "soon")]),
    // Explore, and the spellings of others.
    ("query", &[("query", "up"), ("time", TO)]),
    ("query", &[("query", "up[1m]"), ("time", TO)]),
    ("query", &[("query", "\"text\""), ("time", TO)]),
    ("query", &[("query", "up"), ("time", "1.7000040001234e9")]),
    ("query", &[("query", "up"), ("time", "-292273086-05-16T16:47:06Z")]),
    ("query", &[("query", "up"), ("time", "292277025-08-18T07:12:54.999999999Z")]),
    ("query", &[("query", "up"), ("time", "now")]),
    ("query", &[("query", "up"), ("time", TO), ("timeout", "10")]),
    ("query", &[("query", "up"), ("time", TO), ("timeout", "x")]),
    ("query", &[("query", "")]),
    ("query", &[]),
    ("query", &[("query", "up{")]),
    ("query", &[("query", "up + on (job) up"), ("time", TO)]),
    ("format_query", &[("query", "sum(up)by(job)")]),
    ("format_query", &[("query", "(")]),
    ("format_query", &[]),
    ("query_exemplars", &[("query", "sum(")]),
    ("status/flags/no", &[]),
];

/// Pages that also take a form.
const WITH_FORM: [&str; 6] = ["query", "query_range", "series", "labels", "query_exemplars", "format_query"];

/// What differs between the answers of `theirs` and of ours, whose base ends in the prefix that Grafana is given.
pub(crate) fn differences(theirs: &str, ours: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (page, parameters) in PAGES {
        let url = |base: &str| format!("{base}/api/v1/{page}");
        let (a, b) = (get(&url(theirs), parameters).unwrap(), get(&url(ours), parameters).unwrap());
        found.extend(differing(&a, &b).map(|what| format!("GET {page} {parameters:?}\n   {what}")));
        if WITH_FORM.contains(page) {
            let (a, b) = (post_form(&url(theirs), parameters).unwrap(), post_form(&url(ours), parameters).unwrap());
            found.extend(differing(&a, &b).map(|what| format!("POST {page} {parameters:?}\n   {what}")));
        }
    }
    found
}

fn differing(theirs: &Answer, ours: &Answer) -> Option<String> {
    let read = |answer: &Answer| sorted(serde_json::from_str(&answer.body).unwrap_or(Value::Null));
    let (a, b) = (read(theirs), read(ours));
    let same = theirs.status == ours.status && ["status", "errorType", "data"].iter().all(|key| a[key] == b[key]);
    let short = |answer: &Answer| answer.body.chars().take(400).collect::<String>();
    (!same).then(|| format!("{} {}\n   ours {} {}", theirs.status, short(theirs), ours.status, short(ours)))
}

/// Lists of series and names have no order of their own.
fn sorted(mut answer: Value) -> Value {
    let data = &mut answer["data"];
    let list = if data.is_object() { &mut data["result"] } else { data };
    if let Some(items) = list.as_array_mut().filter(|items| items.iter().all(|item| !item.is_number())) {
        items.sort_by_key(ToString::to_string);
    }
    answer
}

/// What promtool prints of each side for the same command, where it differs.
pub(crate) fn promtool_differences(theirs: &str, ours: &str) -> Vec<String> {
    let (start, end) = (fixture::time_ms(200) / 1000, fixture::time_ms(240) / 1000);
    let (start, end) = (format!("--start={start}"), format!("--end={end}"));
    let at = format!("--time={}", fixture::time_ms(240) / 1000);
    let commands: [&[&str]; 7] = [
        &["instant", &at, "URL", "sum by (job) (rate(requests_total[5m]))"],
        &["instant", &at, "URL", "temperature[1m]"],
        &["instant", &at, "URL", "up +"],
        &["range", &start, &end, "--step=60s", "URL", "max by (room) (temperature)"],
        &["series", &start, &end, "--match=up", "--match=build_info", "URL"],
        &["labels", &start, &end, "URL", "job"],
        &["labels", &start, &end, "--match=up{job=\"api\"}", "URL", "instance"],
    ];
    let print = |command: &[&str], url: &str| {
        let arguments = command.iter().map(|&argument| if argument == "URL" { url } else { argument });
        let ran = Command::new("promtool").arg("query").args(arguments).output();
        let ran = ran.expect("promtool is part of Debian's package prometheus");
        let mut lines: Vec<String> = String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect();
        lines.sort();
        (ran.status.success(), lines, String::from_utf8_lossy(&ran.stderr).into_owned())
    };
    let compare = |command: &&[&str]| {
        let (a, b) = (print(command, theirs), print(command, ours));
        let same = a.0 == b.0 && a.1 == b.1 && (a.0 || !b.2.is_empty());
        assert!(!a.0 || !a.1.is_empty(), "promtool prints nothing of {command:?}");
        (!same).then(|| format!("promtool query {command:?}\n   {a:?}\n   ours {b:?}"))
    };
    commands.iter().filter_map(compare).collect()
}
