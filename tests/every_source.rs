//! One server fed at the same time by programs of others: a StatsD client library, `nc`, and a real Prometheus that
//! scrapes a real node exporter and remote-writes. When all is quiet, every observation is accounted for, by source,
//! and what is stored adds up to what was sent.
//!
//! Not here: answers to expressions (see `promql_peer`), the StatsD grammar (see `statsd.rs`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use cadence::prelude::*;
use cadence::{BufferedUdpMetricSink, StatsdClient};
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::thread;
use support::eventually;
use support::http::{get, get_json, post};
use support::peer::{Peer, free_port};
use support::server::Server;
use tempfile::TempDir;

const SECONDS: u64 = 60;
/// Rounds of calls of the client library, and the metrics of each.
const CALLS: i64 = 2000;
const METRICS_OF_CALL: f64 = 5.0;
/// Rounds sent before what they made has arrived; divides all of them.
const CALLS_AHEAD: i64 = 200;
/// Datagrams of `nc`, and the lines of each: the last one of each is malformed.
const DATAGRAMS: usize = 25;
const LINES: usize = 21;
/// Scrapes before Prometheus is told to stop scraping.
const SCRAPES_MIN: u32 = 10;
/// The one job of Prometheus' configuration, without its targets.
const JOB: &str = "scrape_configs:\n  - job_name: all\n    scrape_interval: 1s\n";
/// What observations become.
const FATES: [&str; 6] = ["stored", "aggregated", "rejected", "late", "duplicate", "dropped"];

#[test]
fn what_three_programs_of_others_send_at_once_is_accounted_for_exactly() {
    let short_window = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statsd_short_window.toml");
    let server = Server::start_with(&["--statsd-listen", "127.0.0.1:0", "--config", short_window]);
    let directory = TempDir::new().expect("a temporary directory");
    let scraping = Scraping::start(&directory, &server);
    thread::scope(|scope| {
        thread::Builder::new().spawn_scoped(scope, || send_by_library(&server)).unwrap();
        thread::Builder::new().spawn_scoped(scope, || send_by_nc(server.statsd())).unwrap();
    });
    scraping.stop_when_there_is_enough();
    statsd_adds_up(&server);
    scraping.adds_up(&server);

    for source in ["statsd", "remote_write", "json"] {
        let fates: Vec<f64> = FATES.iter().map(|fate| ours(&server, fate, source)).collect();
        let received = ours(&server, "received", source);
        assert_eq!(fates.iter().sum::<f64>(), received, "{source}: {FATES:?} {fates:?}");
        assert_eq!(received > 0.0, source != "json", "{source}");
    }
    assert_eq!(statsd_kernel_drops(&server), 0.0);
    server.stop();
}

// ---- StatsD ----

/// Counters, gauges, timers and sets, gathered into datagrams as the library does it; no faster than they are taken, so
/// that no machine is too slow.
fn send_by_library(server: &Server) {
    let address = server.statsd();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let sink = BufferedUdpMetricSink::from(address, socket).unwrap();
    let client = StatsdClient::from_sink("library", sink);
    for call in 0..CALLS {
        client.count("jobs", call % 7).unwrap();
        client.count_with_tags("requests", 2).with_tag("route", if call % 2 == 0 { "/a" } else { "/b" }).send();
        client.gauge("level", call as u64).unwrap();
        client.time("latency", call as u64 % 100).unwrap();
        client.set("users", call % 50).unwrap();
        if (call + 1) % CALLS_AHEAD == 0 {
            client.flush().unwrap();
            let so_far = (call + 1) as f64 * METRICS_OF_CALL;
            eventually("the library's metrics so far", SECONDS, || {
                (ours(server, "received", "statsd") >= so_far).then_some(())
            });
        }
    }
}

/// A datagram for each run of `nc`.
fn send_by_nc(address: &str) {
    let (host, port) = address.rsplit_once(':').unwrap();
    for datagram in 0..DATAGRAMS {
        let mut nc = Command::new("nc");
        nc.args(["-u", "-q", "0", host, port]).stdin(Stdio::piped());
        let mut child = nc.spawn().unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound => panic!("nc is missing: apt-get install netcat-openbsd"),
            _ => panic!("nc: {error}"),
        });
        let good = (1..LINES).map(|line| format!("nc.lines:{}|c\n", datagram * line)).collect::<String>();
        child.stdin.take().unwrap().write_all(format!("{good}nc.lines:many|c\n").as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "nc -u");
    }
}

fn statsd_adds_up(server: &Server) {
    let (by_library, by_nc) = (CALLS as f64 * METRICS_OF_CALL, (DATAGRAMS * LINES) as f64);
    eventually("everything sent by StatsD has arrived", SECONDS, || {
        (ours(server, "received", "statsd") == by_library + by_nc).then_some(())
    });
    assert_eq!(ours(server, "rejected", "statsd"), DATAGRAMS as f64, "the malformed lines");
    let jobs: i64 = (0..CALLS).map(|call| call % 7).sum();
    let latency: i64 = (0..CALLS).map(|call| call % 100).sum();
    let lines: usize = (0..DATAGRAMS).map(|datagram| (1..LINES).map(|line| datagram * line).sum::<usize>()).sum();
    for (series, sum) in [
        ("library.jobs", jobs as f64),
        ("library.requests", CALLS as f64 * 2.0),
        ("library.latency_sum", latency as f64),
        ("library.latency_count", CALLS as f64),
        ("nc.lines", lines as f64),
    ] {
        let query = format!("sum(sum_over_time({{__name__=\"{series}\"}}[10m]))");
        eventually(&format!("{series} adds up to {sum}"), SECONDS, || {
            (value(server, &query) == Some(sum)).then_some(())
        });
    }
    let by_route = "count(count by (route) (count_over_time({__name__=\"library.requests\"}[10m])))";
    assert_eq!(value(server, by_route), Some(2.0), "the library's tags are labels");
    assert_eq!(value(server, "last_over_time({__name__=\"library.level\"}[10m])"), Some(CALLS as f64 - 1.0));
    // A second in which the calls lie may end in between, then each part has its own count.
    let users = value(server, "sum(sum_over_time({__name__=\"library.users\"}[10m]))").unwrap();
    assert!(users >= 50.0, "{users}");
}

// ---- Prometheus ----

/// A Prometheus that scrapes a node exporter and itself until it is told to stop.
struct Scraping {
    prometheus: Peer,
    _exporter: Peer,
    config_file: std::path::PathBuf,
    write: String,
}

impl Scraping {
    fn start(directory: &TempDir, server: &Server) -> Self {
        let exporter_port = free_port();
        let exporter = Peer::start(
            "prometheus-node-exporter",
            "prometheus-node-exporter",
            &[format!("--web.listen-address=127.0.0.1:{exporter_port}"), "--log.level=error".to_owned()],
            exporter_port,
            "/metrics",
        );
        let port = free_port();
        let write = format!(
            "remote_write:\n  - url: {}\n    queue_config: {{batch_send_deadline: 1s}}\n",
            server.url("/api/v1/write")
        );
        let targets = format!("['127.0.0.1:{exporter_port}', '127.0.0.1:{port}']");
        let scrape = format!("{JOB}    static_configs:\n      - targets: {targets}\n");
        let config_file = directory.path().join("prometheus.yml");
        std::fs::write(&config_file, format!("{scrape}{write}")).unwrap();
        let arguments = [
            format!("--config.file={}", config_file.display()),
            format!("--storage.tsdb.path={}", directory.path().join("data").display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--web.enable-lifecycle".to_owned(),
            "--log.level=warn".to_owned(),
        ];
        let prometheus = Peer::start("prometheus", "prometheus", &arguments, port, "/-/ready");
        Self { prometheus, _exporter: exporter, config_file, write }
    }

    /// The value of a query that has one, asked of Prometheus.
    fn value(&self, query: &str) -> Option<f64> {
        value_of(&get_json(&self.prometheus.url("/api/v1/query"), &[("query", query)]))
    }

    /// Takes the targets out of the configuration and leaves their job: Prometheus then writes staleness markers, which it
    /// does not when the job goes, and sends those too.
    fn stop_when_there_is_enough(&self) {
        let scraped = "min(count_over_time(up[10m]))";
        eventually("enough scrapes", SECONDS, || self.value(scraped).filter(|count| *count >= f64::from(SCRAPES_MIN)));
        let without_targets = format!("{JOB}    static_configs: []\n{}", self.write);
        std::fs::write(&self.config_file, without_targets).unwrap();
        let answer = post(&self.prometheus.url("/-/reload"), &[], b"").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let any = "count({__name__=~\".+\"})";
        eventually("every scraped series is stale", SECONDS, || self.value(any).is_none().then_some(()));
    }

    /// A counter of Prometheus' own, from its page, since it no longer scrapes itself.
    fn counter(&self, name: &str) -> f64 {
        sum_of_lines(&get(&self.prometheus.url("/metrics"), &[]).unwrap().body, name, "")
    }

    fn adds_up(&self, server: &Server) {
        let sent = || self.counter("prometheus_remote_storage_samples_total");
        let taken_in = || self.counter("prometheus_remote_storage_samples_in_total");
        eventually("Prometheus has sent all that it scraped", SECONDS, || {
            (sent() == taken_in() && ours(server, "received", "remote_write") == sent()).then_some(())
        });
        for name in ["failed", "dropped", "retried"] {
            let count = self.counter(&format!("prometheus_remote_storage_samples_{name}_total"));
            assert_eq!(count, 0.0, "samples {name}, by the sender's count");
        }
        assert_eq!(ours(server, "stored", "remote_write"), sent(), "samples and staleness markers");
        let everything = [("query", "{job=\"all\"}[10m]")];
        let theirs = samples_of(&get_json(&self.prometheus.url("/api/v1/query"), &everything));
        assert!(theirs > 1000, "{theirs}");
        assert_eq!(samples_of(&get_json(&server.url("/api/v1/query"), &everything)), theirs, "samples in answers");
        for query in [
            "sum(sum_over_time(node_memory_MemTotal_bytes[10m]))",
            "sum(sum_over_time(up[10m]))",
            "sum(last_over_time(node_network_receive_packets_total[10m]))",
        ] {
            let theirs = self.value(query);
            assert!(theirs.is_some_and(|value| value > 0.0), "{query}: {theirs:?}");
            assert_eq!(value(server, query), theirs, "{query}");
        }
    }
}

// ---- ours ----

/// A counter of ours for one source.
fn ours(server: &Server, what: &str, source: &str) -> f64 {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    sum_of_lines(&page, &format!("infrawatch_{what}_total"), &format!("source=\"{source}\""))
}

fn statsd_kernel_drops(server: &Server) -> f64 {
    sum_of_lines(&get(&server.url("/metrics"), &[]).unwrap().body, "infrawatch_statsd_kernel_drops_total", "")
}

/// The sum over the lines of a page for a metric that hold `labels`.
fn sum_of_lines(page: &str, name: &str, labels: &str) -> f64 {
    let of_metric = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let lines = page.lines().filter(of_metric).filter(|line| line.contains(labels));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn value(server: &Server, query: &str) -> Option<f64> {
    value_of(&get_json(&server.url("/api/v1/query"), &[("query", query)]))
}

/// Samples of all series of a matrix.
fn samples_of(answer: &Value) -> usize {
    let series = answer["data"]["result"].as_array().unwrap();
    series.iter().map(|series| series["values"].as_array().unwrap().len()).sum()
}

/// The one value of an answer, if it has one.
fn value_of(answer: &Value) -> Option<f64> {
    let results = answer["data"]["result"].as_array().unwrap();
    assert!(results.len() <= 1, "{answer}");
    results.first().map(|result| result["value"][1].as_str().unwrap().parse().unwrap())
}
