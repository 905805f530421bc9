//! A real Prometheus scrapes a real node exporter every second and remote-writes to us for a minute; then both are
//! asked the same questions over the same fixed minute and must give the same answers, also after a restart of ours.
//!
//! The minute ends a few seconds in the past, so that what is compared no longer changes on either side.

use crate::support::eventually;
use crate::support::http::get_json;
use crate::support::peer::{Peer, free_port};
use crate::support::server::Server;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use tempfile::TempDir;

/// The length of the fixed minute.
const WINDOW_S: i64 = 60;
/// How far in the past the minute ends: longer than a scrape takes, so that no sample of it is still to come.
const SETTLED_S: i64 = 5;

/// Selects every series.
const ALL: &str = "{__name__=~\".+\"}";

/// A label set as text, and the samples of its series: time in milliseconds and value as the API writes it.
type Table = BTreeMap<String, Vec<(i64, String)>>;

/// Both sides of the comparison and the time at which it ends.
struct Comparison<'a> {
    prometheus: &'a Peer,
    server: &'a Server,
    end_s: i64,
}

#[test]
fn prometheus_and_we_give_the_same_answers() {
    let server = Server::start();
    let exporter_port = free_port();
    let _exporter = Peer::start(
        "prometheus-node-exporter",
        "prometheus-node-exporter",
        &[format!("--web.listen-address=127.0.0.1:{exporter_port}"), "--log.level=error".to_owned()],
        exporter_port,
        "/metrics",
    );
    let directory = TempDir::new().expect("a temporary directory");
    let prometheus = start_prometheus(&directory, exporter_port, &server.url("/api/v1/write"));
    let end_s = the_end_of_a_scraped_minute(&prometheus);

    let comparison = Comparison { prometheus: &prometheus, server: &server, end_s };
    comparison.everything_has_arrived();
    comparison.same_series_and_labels();
    comparison.same_samples();
    comparison.same_answers_to_expressions();
    nothing_was_refused(&prometheus);

    let server = server.stop().restart();
    let comparison = Comparison { prometheus: &prometheus, server: &server, end_s };
    comparison.same_series_and_labels();
    comparison.same_samples();
}

fn start_prometheus(directory: &TempDir, exporter_port: u16, write_url: &str) -> Peer {
    let port = free_port();
    let config = format!(
        "global:
  scrape_interval: 1s
scrape_configs:
  - job_name: node
    static_configs: [{{targets: ['127.0.0.1:{exporter_port}']}}]
  - job_name: prometheus
    static_configs: [{{targets: ['127.0.0.1:{port}']}}]
remote_write:
  - url: {write_url}
    queue_config: {{batch_send_deadline: 1s}}
"
    );
    let config_file = directory.path().join("prometheus.yml");
    std::fs::write(&config_file, config).expect("the temporary directory is writable");
    let arguments = [
        format!("--config.file={}", config_file.display()),
        format!("--storage.tsdb.path={}", directory.path().join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
        "--log.level=warn".to_owned(),
    ];
    Peer::start("prometheus", "prometheus", &arguments, port, "/-/ready")
}

/// Waits until a whole minute of scrapes has settled and gives its end, by the clock of Prometheus.
fn the_end_of_a_scraped_minute(prometheus: &Peer) -> i64 {
    let scrapes_min = WINDOW_S + SETTLED_S + 5;
    let scraped = format!("min(count_over_time(up[5m])) >= {scrapes_min}");
    eventually("a minute of scrapes", 180, || {
        let answer = get_json(&prometheus.url("/api/v1/query"), &[("query", &scraped)]);
        let enough = answer["data"]["result"].as_array().is_some_and(|series| !series.is_empty());
        enough.then(|| instant_s(&get_json(&prometheus.url("/api/v1/query"), &[("query", "time()")])) - SETTLED_S)
    })
}

/// The whole seconds of an answer to `time()`.
fn instant_s(answer: &Value) -> i64 {
    answer["data"]["result"][0].as_f64().expect("a scalar has a time") as i64
}

fn nothing_was_refused(prometheus: &Peer) {
    for metric in ["failed", "dropped"] {
        let sum = format!("sum(prometheus_remote_storage_samples_{metric}_total)");
        let answer = get_json(&prometheus.url("/api/v1/query"), &[("query", &sum)]);
        assert_eq!(answer["data"]["result"][0]["value"][1], "0", "samples {metric} by the sender's count");
    }
}

impl Comparison<'_> {
    /// The data of both sides' answers: Prometheus' first.
    fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> (Value, Value) {
        let ask = |url: String| {
            let mut answer = get_json(&url, parameters);
            assert_eq!(answer["status"], "success", "{url} {parameters:?}");
            answer["data"].take()
        };
        (ask(self.prometheus.url(path)), ask(self.server.url(path)))
    }

    fn at_end(&self, expression: &str) -> (Value, Value) {
        self.ask("/api/v1/query", &[("query", expression), ("time", &self.end_s.to_string())])
    }

    /// The last samples of the minute may still be under way: waits until both sides have equally many.
    fn everything_has_arrived(&self) {
        let count = |data: &Value| table(data).values().map(Vec::len).sum::<usize>();
        eventually("every sample of the minute has arrived", 30, || {
            let (theirs, ours) = self.at_end(&format!("{ALL}[{WINDOW_S}s]"));
            (count(&theirs) == count(&ours)).then_some(())
        });
    }

    fn same_series_and_labels(&self) {
        let (start, end) = ((self.end_s - WINDOW_S).to_string(), self.end_s.to_string());
        let window = [("start", start.as_str()), ("end", end.as_str())];
        for matcher in [ALL, "{job=\"node\"}", "node_cpu_seconds_total{mode!~\"idle|iowait\"}"] {
            let parameters = [&[("match[]", matcher)], &window[..]].concat();
            let (theirs, ours) = self.ask("/api/v1/series", &parameters);
            let (theirs, ours) = (label_sets(&theirs), label_sets(&ours));
            assert!(!theirs.is_empty(), "{matcher} selects something");
            assert_eq!(difference(&theirs, &ours), Vec::<String>::new(), "series of {matcher}");
            let (theirs, ours) = self.ask("/api/v1/labels", &parameters);
            assert_eq!(theirs, ours, "label names of {matcher}");
        }
        // Not `handler`: our own questions to Prometheus make it grow new ones after the minute, and it lists those too.
        for label in ["__name__", "job", "instance", "mode", "cpu", "device", "mountpoint", "quantile", "no_such_label"]
        {
            let (theirs, ours) = self.ask(&format!("/api/v1/label/{label}/values"), &window);
            assert_eq!(theirs, ours, "values of {label}");
        }
    }

    fn same_samples(&self) {
        for (selector, range_s) in [(ALL, WINDOW_S), ("{job=\"node\"}", 30), ("up", 1)] {
            let (theirs, ours) = self.at_end(&format!("{selector}[{range_s}s]"));
            let (theirs, ours) = (table(&theirs), table(&ours));
            assert!(theirs.values().map(Vec::len).sum::<usize>() > 0, "{selector} selects something");
            // The same text is the same bits: Prometheus writes as many digits as tell a float from its neighbours.
            assert_same(selector, &theirs, &ours, |theirs, ours| theirs == ours);
        }
    }

    fn same_answers_to_expressions(&self) {
        let (start, end) = ((self.end_s - 30).to_string(), self.end_s.to_string());
        let compare = |expression: &str, same: fn(&str, &str) -> bool| {
            let range = [("query", expression), ("start", &start), ("end", &end), ("step", "5")];
            let (theirs, ours) = self.ask("/api/v1/query_range", &range);
            assert_same(expression, &table(&theirs), &table(&ours), same);
            let (theirs, ours) = self.at_end(expression);
            assert_same(expression, &table(&theirs), &table(&ours), same);
        };
        for expression in [
            "node_load1",
            "rate(node_cpu_seconds_total[20s])",
            "increase(prometheus_http_requests_total[25s])",
            "count_over_time(up[10s])",
            "count_over_time(node_cpu_seconds_total[7s] offset 11s)",
            "node_memory_MemFree_bytes offset 10s",
            "node_memory_MemFree_bytes / 1024",
            "100 - 2 * node_load1",
            "count by (job) ({__name__=~\".+\"})",
            "max by (mode) (node_cpu_seconds_total)",
            "min without (mode, cpu) (node_cpu_seconds_total{mode!=\"idle\"})",
            "sum by (job) (up)",
        ] {
            compare(expression, |theirs, ours| theirs == ours);
        }
        for expression in [
            "sum by (mode) (rate(node_cpu_seconds_total[20s]))",
            "sum without (cpu) (node_cpu_seconds_total)",
            "sum(increase(prometheus_http_requests_total[25s]))",
            "avg by (job) (scrape_duration_seconds)",
            "avg(rate(node_cpu_seconds_total[15s])) * 100",
        ] {
            compare(expression, same_but_for_the_order_of_addition);
        }
    }
}

/// Prometheus adds series in the order in which it first saw them, which no other store can know.
fn same_but_for_the_order_of_addition(theirs: &str, ours: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().expect("a value is a number");
    let (theirs, ours) = (number(theirs), number(ours));
    theirs.to_bits() == ours.to_bits() || (theirs - ours).abs() <= 1e-12 * theirs.abs()
}

fn label_sets(data: &Value) -> BTreeSet<String> {
    data.as_array().expect("a list of series").iter().map(Value::to_string).collect()
}

/// What only one side has, at most a few of it.
fn difference(theirs: &BTreeSet<String>, ours: &BTreeSet<String>) -> Vec<String> {
    let missing = theirs.difference(ours).map(|labels| format!("missing {labels}"));
    let invented = ours.difference(theirs).map(|labels| format!("invented {labels}"));
    missing.take(5).chain(invented.take(5)).collect()
}

/// The series of a vector or a matrix; label sets are written with their names sorted, as `serde_json` keeps them.
fn table(data: &Value) -> Table {
    let series = data["result"].as_array().expect("a list of series");
    let row = |series: &Value| {
        let samples = series["values"].as_array().cloned().unwrap_or_else(|| vec![series["value"].clone()]);
        (series["metric"].to_string(), samples.iter().map(sample).collect())
    };
    let table: Table = series.iter().map(row).collect();
    assert_eq!(table.len(), series.len(), "every series comes once");
    table
}

fn sample(pair: &Value) -> (i64, String) {
    let time_s = pair[0].as_f64().expect("a time is a number");
    let value = pair[1].as_str().expect("a value is a string");
    ((time_s * 1000.0).round() as i64, value.to_owned())
}

fn assert_same(question: &str, theirs: &Table, ours: &Table, same: fn(&str, &str) -> bool) {
    let keys = |table: &Table| table.keys().cloned().collect();
    assert_eq!(difference(&keys(theirs), &keys(ours)), Vec::<String>::new(), "series of {question}");
    for (labels, theirs) in theirs {
        let ours = &ours[labels];
        let differ =
            |(theirs, ours): &(&(i64, String), &(i64, String))| theirs.0 != ours.0 || !same(&theirs.1, &ours.1);
        let first = theirs.iter().zip(ours).find(differ);
        assert_eq!(first, None, "{question}: first sample that differs in {labels}, theirs and ours");
        assert_eq!(theirs.len(), ours.len(), "{question}: samples of {labels}");
    }
}
