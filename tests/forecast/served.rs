//! Forecasts of the running server: rules that watch them, what outlives a restart, and what clients of Prometheus see.
//!
//! Not here: a single forecast over REST (see `tests/rest_metrics.rs`).

use crate::support::eventually;
use crate::support::http::{get, get_json, post};
use crate::support::server::Server;
use crate::support::sink::Sink;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;
use tempfile::TempDir;

/// A midnight at least five days ago: alerts are only raised of what is not long over.
static START_S: LazyLock<i64> = LazyLock::new(|| (infrawatch::clock::now_ms() / 86_400_000 - 5) * 86_400);
const STEP_S: i64 = 300;
const A_DAY: i64 = 288;
const SECONDS: u64 = 120;

/// A little noise, the same in every run.
fn noise(i: i64) -> f64 {
    ((i as u64).wrapping_mul(6_364_136_223_846_793_005) >> 40) as f64 / 1e8
}

/// Pushes samples `from..to`, one every five minutes.
fn push(server: &Server, name: &str, host: &str, value: impl Fn(i64) -> f64, (from, to): (i64, i64)) {
    let mut body = "[".to_owned();
    for i in from..to {
        let separator = if i == from { "" } else { "," };
        let (at, value) = (*START_S + i * STEP_S, value(i));
        let labels = format!("{{\"host\":\"{host}\"}}");
        let _ =
            write!(body, "{separator}{{\"name\":\"{name}\",\"timestamp\":{at},\"value\":{value},\"labels\":{labels}}}");
    }
    body.push(']');
    let answer = post(&server.url("/api/v1/metrics"), &[], body.as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// A server with these rules, and further settings under `[forecasts]`.
fn server(folder: &Path, rules: &str, more: &str) -> Server {
    let (file, config) = (folder.join("rules.toml"), folder.join("infrawatch.toml"));
    std::fs::write(&file, rules).unwrap();
    let text =
        format!("[forecasts]\nrules_file = {file:?}\n{more}\n[alerts]\nmax_age = \"365d\"\nresolve_after = \"0\"\n");
    std::fs::write(&config, text).unwrap();
    Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()])
}

const FULL_SOON: &str = r#"
[[rule]]
name = "full_soon"
match = '{__name__="disk_used_percent"}'
threshold = 90
within = "24h"
every = "1s"
clear_after = "0"
severity = "high"
"#;

fn rule(server: &Server) -> Value {
    get_json(&server.url("/api/v1/forecast_rules"), &[])["items"][0].clone()
}

/// What the rule holds for, as soon as that are so many series.
fn predictions(server: &Server, count: usize) -> Vec<Value> {
    eventually(&format!("the rule holds for {count} series"), SECONDS, || {
        let rule = rule(server);
        let known = rule["predictions"].as_array()?.clone();
        (rule["runs"].as_u64()? > 0 && known.len() == count && known.iter().all(|one| one["method"].is_string()))
            .then_some(known)
    })
}

fn anomalies(server: &Server, state: &str) -> Vec<Value> {
    let list = get_json(&server.url("/api/v1/anomalies"), &[("state", state), ("limit", "100")]);
    let told = list["items"].as_array().unwrap().iter();
    told.filter(|one| one["labels"]["forecast_rule"] == "full_soon").cloned().collect()
}

/// A disk that is at 70 % after three days and 24 % a day further on.
fn filling(i: i64) -> f64 {
    70.0 - 24.0 * (3.0 - i as f64 / A_DAY as f64) + noise(i)
}

#[test]
fn a_disk_that_will_be_full_is_told_once_as_a_drift_that_becomes_an_alert_and_ends() {
    let folder = TempDir::new().unwrap();
    let served = server(folder.path(), FULL_SOON, "");
    push(&served, "disk_used_percent", "fast", filling, (0, 3 * A_DAY));
    push(&served, "disk_used_percent", "slow", |i| 30.0 + noise(i), (0, 3 * A_DAY));
    push(&served, "load", "fast", filling, (0, 3 * A_DAY));
    let [told] = &predictions(&served, 1)[..] else { panic!() };
    assert_eq!((&told["metric_name"], &told["labels"]), (&json!("disk_used_percent"), &json!({"host": "fast"})));
    assert_eq!(told["confidence"], "high", "{told}");
    assert!(told["probability"].as_f64().unwrap() > 0.9 && told["method"].as_str().unwrap().len() > 3, "{told}");
    // 20 % are left, at 24 % a day: 20 hours.
    let at: jiff::Timestamp = told["predicted_at"].as_str().unwrap().parse().unwrap();
    let hours = (at.as_second() - *START_S - 3 * 86_400) as f64 / 3600.0;
    assert!((hours - 20.0).abs() < 1.5, "{told}");

    let anomaly = eventually("the prediction is an anomaly", SECONDS, || anomalies(&served, "open").pop());
    assert_eq!(
        (&anomaly["kind"], &anomaly["severity"], &anomaly["direction"]),
        (&json!("drift"), &json!("high"), &json!("above"))
    );
    let summary = anomaly["summary"].as_str().unwrap();
    assert!(
        summary.starts_with("disk_used_percent is at 7") && summary.contains("predicted to reach 90 at"),
        "{summary}"
    );
    let alert = eventually("the anomaly is an alert", SECONDS, || {
        let list = get_json(&served.url("/api/v1/alerts"), &[("match", "{forecast_rule=\"full_soon\"}")]);
        list["items"].as_array()?.first().cloned()
    });
    assert_eq!((&alert["anomaly_id"], &alert["labels"]["host"]), (&anomaly["id"], &json!("fast")));
    let of = |name: &str| served.figure(&format!("infrawatch_forecast_rule_{name}{{rule=\"full_soon\"}}"));
    assert!(of("runs_total") >= 1.0 && of("series_looked_at_total") >= 2.0);
    assert_eq!((of("holds"), of("series_matched"), of("series_beyond_limit_total")), (1.0, 2.0, 0.0));
    assert!(of("last_run_timestamp_seconds") > 1.7e9);

    // After a restart it is the same anomaly, forecast from what was kept.
    let served = served.stop().restart();
    predictions(&served, 1);
    assert!(served.figure("infrawatch_forecasts_restored_total") >= 2.0);
    assert_eq!(served.figure("infrawatch_forecasts_learned_total"), 0.0);
    assert_eq!(anomalies(&served, "all").len(), 1);
    assert_eq!(anomalies(&served, "open")[0]["id"], anomaly["id"]);

    // Somebody cleans up.
    push(&served, "disk_used_percent", "fast", |i| 20.0 + noise(i), (3 * A_DAY, 4 * A_DAY));
    push(&served, "disk_used_percent", "slow", |i| 30.0 + noise(i), (3 * A_DAY, 4 * A_DAY));
    predictions(&served, 0);
    let closed = eventually("the anomaly is closed", SECONDS, || anomalies(&served, "closed").pop());
    assert_eq!(closed["id"], anomaly["id"]);
    assert_eq!(anomalies(&served, "all").len(), 1);
    served.stop();
}

#[test]
fn series_beyond_the_limit_of_a_run_are_counted_and_come_first_in_the_next() {
    let folder = TempDir::new().unwrap();
    let served = server(folder.path(), FULL_SOON, "rule_series_max = 1");
    for host in ["a", "b", "c"] {
        push(&served, "disk_used_percent", host, filling, (0, 2 * A_DAY));
    }
    push(&served, "disk_used_percent", "few", |i| 50.0 + i as f64, (2 * A_DAY - 1, 2 * A_DAY));
    // At 46 % and 24 % a day none is full within a day; the next samples are at 80 %.
    for host in ["a", "b", "c"] {
        push(&served, "disk_used_percent", host, |i| 34.0 + filling(i), (2 * A_DAY, 2 * A_DAY + 12));
    }
    predictions(&served, 3);
    let of = |name: &str| served.figure(&format!("infrawatch_forecast_rule_{name}{{rule=\"full_soon\"}}"));
    eventually("the short series was looked at", SECONDS, || (of("series_failed_total") >= 1.0).then_some(()));
    assert!(of("series_beyond_limit_total") >= 9.0);
    assert_eq!(rule(&served)["matched"], 4);
    served.stop();
}

#[test]
fn rules_are_read_again_when_their_file_changes_and_a_mistake_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let served = server(folder.path(), FULL_SOON, "");
    push(&served, "disk_used_percent", "a", filling, (0, 3 * A_DAY));
    predictions(&served, 1);
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, FULL_SOON.replace("threshold = 90", "threshold = \"much\"")).unwrap();
    std::fs::write(&file, FULL_SOON.replace("threshold = 90", "threshold = 99")).unwrap();
    eventually("the new rule is in force", SECONDS, || (rule(&served)["threshold"] == 99.0).then_some(()));
    predictions(&served, 0);
    std::fs::write(&file, "[[rule]]\nname = 1\n").unwrap();
    let runs = rule(&served)["runs"].as_u64().unwrap();
    eventually("the rule before goes on", SECONDS, || (rule(&served)["runs"].as_u64()? > runs + 2).then_some(()));
    assert_eq!(rule(&served)["threshold"], 99.0);
    served.stop();
}

/// The columns of a range query, by their labels without the name.
fn range(server: &Server, query: &str, (start, end): (i64, i64), step_s: i64) -> Vec<(Value, Vec<(i64, f64)>)> {
    let (start, end, step) = (start.to_string(), end.to_string(), step_s.to_string());
    let parameters = [("query", query), ("start", &start), ("end", &end), ("step", &step)];
    let answer = get_json(&server.url("/prometheus/api/v1/query_range"), &parameters);
    let series = answer["data"]["result"].as_array().unwrap().iter();
    let value = |pair: &Value| (pair[0].as_i64().unwrap(), pair[1].as_str().unwrap().parse().unwrap());
    series.map(|one| (one["metric"].clone(), one["values"].as_array().unwrap().iter().map(value).collect())).collect()
}

#[test]
fn clients_of_prometheus_draw_forecasts_into_the_future_with_their_band() {
    let served = Server::start();
    push(&served, "disk_used_percent", "fast", filling, (0, 3 * A_DAY));
    push(&served, "disk_used_percent", "slow", |i| 30.0 + noise(i), (0, 3 * A_DAY));
    let newest_s = *START_S + (3 * A_DAY - 1) * STEP_S;
    let times = (newest_s - 3600, newest_s + 86_400);
    let drawn = |name: &str, matchers: &str| {
        let found = range(&served, &format!("{name}{{for=\"disk_used_percent\",{matchers}}}"), times, 600);
        let [(labels, values)] = &found[..] else { panic!("{name}: {found:?}") };
        assert_eq!(labels["__name__"], name);
        assert_eq!((&labels["for"], &labels["host"]), (&json!("disk_used_percent"), &json!("fast")));
        values.clone()
    };
    let middle = drawn("yhat", "host=\"fast\"");
    let (lower, upper) = (drawn("yhat_lower", "host=~\"f.*\""), drawn("yhat_upper", "host!=\"slow\""));
    let wide = drawn("yhat_upper", "host=\"fast\",level=\"99\"");
    // Nothing is said of the past, and every step of the query after it has a value.
    assert!(middle.iter().all(|(time_s, _)| *time_s > newest_s), "{middle:?}");
    assert!((140..=144).contains(&middle.len()), "{}", middle.len());
    for (((time_s, value), (_, lower)), ((_, upper), (_, wide))) in
        middle.iter().zip(&lower).zip(upper.iter().zip(&wide))
    {
        assert!(lower <= value && value <= upper && upper <= wide, "{lower} {value} {upper} {wide}");
        let expected = 70.0 + 24.0 * (time_s - newest_s) as f64 / 86_400.0;
        assert!((value - expected).abs() < 1.5, "{time_s}: {value} {expected}");
    }
    // They are series like any other: when does the worst disk reach 90 %?
    let both = range(&served, "max(yhat{for=\"disk_used_percent\"}) > 90", times, 600);
    let first = both[0].1[0].0 - newest_s;
    assert!((19 * 3600..=21 * 3600).contains(&first), "{first}");
    let most = "max_over_time(yhat{for=\"disk_used_percent\",host=\"fast\"}[1d])";
    let end = range(&served, most, (newest_s + 86_400, newest_s + 86_400), 600);
    assert!((end[0].1[0].1 - 94.0).abs() < 1.5, "{end:?}");
    let by_pattern = range(&served, "yhat{for=~\"disk_.*\",host=\"fast\"}", times, 600);
    assert_eq!(by_pattern[0].1, middle);
    // What there is to ask for can be listed by whoever names it, and is in nobody else's way.
    let listed = |path: &str, selector: &str| {
        let parameters = [("match[]", selector), ("start", "0"), ("end", "4000000000")];
        let parameters = if selector.is_empty() { &[][..] } else { &parameters };
        get_json(&served.url(&format!("/prometheus/api/v1/{path}")), parameters)["data"].clone()
    };
    let fast = json!({"__name__": "yhat_upper", "for": "disk_used_percent", "host": "fast", "level": "95"});
    assert_eq!(listed("series", "yhat_upper{level=\"95\",host=\"fast\"}"), json!([fast]));
    assert_eq!(listed("series", "yhat{for=\"disk_used_percent\"}").as_array().unwrap().len(), 2);
    assert_eq!(listed("labels", "yhat"), json!(["__name__", "for", "host"]));
    assert_eq!(listed("label/for/values", "yhat_lower"), json!(["disk_used_percent"]));
    assert_eq!(listed("label/host/values", "yhat{for=\"disk_used_percent\"}"), json!(["fast", "slow"]));
    assert_eq!(listed("label/host/values", "yhat{for=\"none\"}"), json!([]));
    let both = [("match[]", "yhat{host=\"fast\"}"), ("match[]", "disk_used_percent{host=\"fast\"}")];
    assert_eq!(get_json(&served.url("/api/v1/series"), &both)["data"].as_array().unwrap().len(), 2);
    assert_eq!(listed("label/__name__/values", ""), json!(["disk_used_percent"]));
    // What cannot be said is said so, and what others have stored under the name is not hidden.
    let asked = |query: &str| get(&served.url("/prometheus/api/v1/query"), &[("query", query)]).unwrap();
    let nameless = asked("yhat{host=\"fast\"}");
    assert!(nameless.status == 400 && nameless.body.contains("name the metric"), "{}", nameless.body);
    assert_eq!(asked("yhat{for=\"disk_used_percent\",level=\"much\"}").status, 400);
    push(&served, "yhat", "other", |i| i as f64, (0, 10));
    let stored = range(&served, "yhat", (*START_S, *START_S + 3000), 300);
    assert_eq!((stored.len(), stored[0].1.len()), (1, 11));
    served.stop();
}

/// What a command prints.
fn printed(arguments: &[&str], folder: &Path) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_infrawatch"));
    let output = command.args(arguments).current_dir(folder).env_clear().output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A heap that is collected whenever it has grown by 20, on a floor that rises by 4 a day.
fn leaking(i: i64) -> f64 {
    20.0 + 4.0 * i as f64 / A_DAY as f64 + 20.0 * (i % 96) as f64 / 96.0 + noise(i) / 10.0
}

#[test]
fn the_report_on_capacity_lists_what_may_be_full_first_with_what_resets_it() {
    let folder = TempDir::new().unwrap();
    let served = Server::start();
    push(&served, "disk_used_percent", "fast", filling, (0, 3 * A_DAY));
    push(&served, "disk_used_percent", "slow", |i| 75.0 + i as f64 / A_DAY as f64 + noise(i), (0, 3 * A_DAY));
    push(&served, "heap_used_percent", "leaky", leaking, (0, 5 * A_DAY));
    push(&served, "queue_length", "a", |i| 100.0 + i as f64, (0, 3 * A_DAY));
    let url = served.url("");
    let arguments = ["report", "capacity", "--server", &url];
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<String>>();
    let online = lines(&printed(&arguments, folder.path()));
    assert!(online[0].ends_with("3 series have a limit, 3 may reach it, 1 leak."), "{online:?}");
    assert!(online[2].starts_with("series  "), "{online:?}");
    let order: Vec<Option<usize>> =
        ["fast", "leaky", "slow"].iter().map(|host| online.iter().position(|line| line.contains(host))).collect();
    assert_eq!(order, [Some(3), Some(4), Some(5)], "{online:?}");
    assert!(online[4].contains("LEAK of ") && online[4].contains("set back every 8.0 h"), "{online:?}");
    let json: Value = serde_json::from_str(&printed(&[&arguments[..], &["--json"]].concat(), folder.path())).unwrap();
    assert_eq!((&json["total"], &json["items"][1]["sawtooth"]["is_leak"]), (&json!(3), &json!(true)));
    assert_eq!(json["left_out"], json!([]));
    let queue = ["--match", "{__name__=\"queue_length\"}", "--threshold", "2000", "--top", "1", "--format", "csv"];
    let queue = lines(&printed(&[&arguments[..], &queue].concat(), folder.path()));
    assert!(queue.len() == 2 && queue[1].starts_with("\"queue_length{"), "{queue:?}");
    // The same of the store itself, once no server has it open.
    let stopped = served.stop();
    let dir = stopped.data_dir().to_str().unwrap();
    let config = folder.path().join("off.toml");
    std::fs::write(&config, "[http]\nlisten = \"off\"\n").unwrap();
    let offline = ["--quiet", "report", "capacity", "--data-dir", dir, "--config", config.to_str().unwrap()];
    assert_eq!(lines(&printed(&offline, folder.path()))[2..], online[2..]);
}

/// A server that reports once a year, and tells a webhook and the log.
fn reporting(folder: &Path, sink: &Sink) -> Server {
    let (routing, config) = (folder.join("routing.toml"), folder.join("infrawatch.toml"));
    let hook = format!("[route]\nreceiver = \"log\"\n[[receivers]]\nname = \"hook\"\nwebhook = {:?}\n", sink.url());
    std::fs::write(&routing, hook).unwrap();
    let report = "[capacity_report]\nschedule = \"0 0 1 1 *\"\nreceivers = \"hook, log\"\n";
    let alerts = format!("[alerts]\nrouting_file = {routing:?}\n[forecasts]\ncpu_share = 4\n");
    std::fs::write(&config, format!("{report}{alerts}")).unwrap();
    Server::start_with(&["--statsd-listen", "off", "--config", config.to_str().unwrap()])
}

#[test]
fn a_report_that_was_missed_is_made_once_at_the_start_kept_and_told() {
    let (folder, sink) = (TempDir::new().unwrap(), Sink::start(&[500]));
    let served = reporting(folder.path(), &sink);
    push(&served, "disk_used_percent", "fast", filling, (0, 3 * A_DAY));
    push(&served, "disk_used_percent", "slow", |i| 30.0 + noise(i), (0, 3 * A_DAY));
    let list = |served: &Server| get_json(&served.url("/api/v1/reports/capacity"), &[]);
    assert_eq!(list(&served)["total"], 0);
    assert_eq!(get(&served.url("/api/v1/reports/capacity/latest"), &[]).unwrap().status, 404);
    let state = served.data_dir().join("reports/capacity_state.json");
    eventually("the schedule is kept", SECONDS, || state.exists().then_some(()));
    let stopped = served.stop();
    stopped.miss_reports();

    let served = stopped.restart();
    eventually("the report is made", SECONDS, || (list(&served)["total"] == 1).then_some(()));
    let report = get_json(&served.url("/api/v1/reports/capacity/latest"), &[]);
    assert_eq!((&report["kind"], &report["total"]), (&json!("capacity_report"), &json!(2)));
    assert_eq!(report["items"][0]["labels"]["host"], "fast");
    assert_eq!(list(&served)["items"][0]["id"], report["id"]);
    let by_id = format!("/api/v1/reports/capacity/{}", report["id"].as_str().unwrap());
    assert_eq!(get_json(&served.url(&by_id), &[]), report);
    // The log was told at once, the webhook failed and waits; it is told after the next start, under the same id.
    let of = |served: &Server, name: &str| served.figure(&format!("infrawatch_capacity_report{name}"));
    eventually("both were tried", SECONDS, || {
        (sink.sent().len() == 1 && of(&served, "s_told_total") == 1.0).then_some(())
    });
    assert_eq!((of(&served, "_receivers_waiting"), of(&served, "s_untold_total")), (1.0, 0.0));
    let served = served.stop().restart();
    let sent = eventually("the webhook is told", SECONDS, || sink.sent().get(1).cloned());
    assert_eq!((&sent.body, &*sent.headers["idempotency-key"]), (&report, report["id"].as_str().unwrap()));
    eventually("that is known", SECONDS, || (of(&served, "_receivers_waiting") == 0.0).then_some(()));
    assert!(of(&served, "_next_timestamp_seconds") > of(&served, "_last_due_timestamp_seconds"));

    // It is not made again, and can be read with a server and without one.
    let url = served.url("");
    let asked = printed(&["report", "capacity", "--last", "--server", &url], folder.path());
    assert!(asked.contains("of 2 series with a limit may reach it; first disk_used_percent"), "{asked}");
    let served = served.stop().restart();
    let page = || get(&served.url("/metrics"), &[]).unwrap().body;
    let looked = || page().contains("\ninfrawatch_capacity_report_next_timestamp_seconds ");
    eventually("it was looked", SECONDS, || looked().then_some(()));
    assert_eq!((list(&served)["total"].as_i64(), of(&served, "s_made_total"), sink.sent().len()), (Some(1), 0.0, 2));
    let stopped = served.stop();
    let config = folder.path().join("off.toml");
    std::fs::write(&config, "[http]\nlisten = \"off\"\n").unwrap();
    let dir = stopped.data_dir().to_str().unwrap();
    let offline = ["--quiet", "report", "capacity", "--last", "--data-dir", dir, "--config", config.to_str().unwrap()];
    assert_eq!(printed(&offline, folder.path()), asked);
}

/// CTX-003: forecasts leave out what came while trouble was planned, whether they learn a history or go on with it.
#[test]
fn what_came_in_maintenance_is_not_forecast_to_go_on() {
    let served = Server::start();
    let (from, to) = (3 * A_DAY - 48, 3 * A_DAY);
    let time = |i: i64| jiff::Timestamp::from_second(*START_S + i * STEP_S).unwrap().to_string();
    let window = json!({"matchers": "{host=\"planned\"}", "start": time(from), "end": time(to)});
    let answer = post(&served.url("/api/v1/maintenance"), &[], window.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 201, "{}", answer.body);
    let value = |i: i64| if (from..to).contains(&i) { 95.0 } else { 50.0 } + noise(i);
    let send = |range| ["planned", "plain"].map(|host| push(&served, "load", host, value, range));
    let expected = |host: &str, step: &str| -> f64 {
        let body = json!({"horizon": 12, "step": step, "match": format!("{{host={host:?}}}")}).to_string();
        let answer = post(&served.url("/api/v1/forecast/load"), &[], body.as_bytes()).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: Value = serde_json::from_str(&answer.body).unwrap();
        answer["series"][0]["predicted_values"][0].as_f64().unwrap()
    };
    send((0, to));
    for step in ["5m", "1h"] {
        let both = ["planned", "plain"].map(|host| expected(host, step));
        assert!((both[0] - 50.0).abs() < 3.0 && both[1] > 80.0, "{step}: {both:?}");
    }
    // What is kept takes in what came in a window that was planned meanwhile as little.
    let window = json!({"matchers": "{host=\"planned\"}", "start": time(to), "end": time(to + 24)});
    post(&served.url("/api/v1/maintenance"), &[], window.to_string().as_bytes()).unwrap();
    let learned = served.figure("infrawatch_forecasts_learned_total");
    push(&served, "load", "planned", |i| 95.0 + noise(i), (to, to + 24));
    push(&served, "load", "planned", |i| 50.0 + noise(i), (to + 24, to + 26));
    let after = expected("planned", "5m");
    assert!((after - 50.0).abs() < 3.0, "{after}");
    assert_eq!(served.figure("infrawatch_forecasts_learned_total"), learned);
    served.stop();
}
