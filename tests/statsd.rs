//! StatsD as agents send it: datagrams in, samples out of the query API when the window ends or the server stops.
//!
//! Not here: the grammar line by line (see `protocols/tests/statsd.rs`), load and exact sums (see `loadtest`).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use support::eventually;
use support::http::{get, get_json};
use support::server::Server;

/// Windows of this server end every second; 60 s are then long enough on any machine.
const SHORT_WINDOW: [&str; 2] = ["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statsd_short_window.toml")];
const SECONDS: u64 = 60;

fn start(arguments: &[&str]) -> Server {
    Server::start_with(&[&["--statsd-listen", "127.0.0.1:0"], arguments].concat())
}

fn send(server: &Server, datagrams: &[&str]) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in datagrams {
        socket.send_to(datagram.as_bytes(), server.statsd()).unwrap();
    }
}

/// Sum of a counter of ours over its lines that hold `labels`.
fn counter(server: &Server, name: &str, labels: &str) -> f64 {
    let page = get(&server.url("/metrics"), &[]).unwrap().body;
    let lines = page.lines().filter(|line| line.starts_with(name) && line.contains(labels));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

fn fates(server: &Server) -> f64 {
    let names = ["stored", "aggregated", "rejected", "late", "duplicate", "dropped"];
    names.iter().map(|name| counter(server, &format!("infrawatch_{name}_total"), "source=\"statsd\"")).sum()
}

/// Waits until this many observations have been received and each has met its fate.
fn settled(server: &Server, received: f64) {
    eventually(&format!("{received} observations are accounted for"), SECONDS, || {
        let all = counter(server, "infrawatch_received_total", "source=\"statsd\"");
        (all == received && fates(server) == received).then_some(())
    });
}

/// The one value of a query, if it has one.
fn value(server: &Server, query: &str) -> Option<f64> {
    let answer = get_json(&server.url("/api/v1/query"), &[("query", query)]);
    let results = answer["data"]["result"].as_array().unwrap();
    assert!(results.len() <= 1, "{query}: {answer}");
    results.first().map(|result| result["value"][1].as_str().unwrap().parse().unwrap())
}

/// Waits for the window to end.
#[track_caller]
fn stored(server: &Server, query: &str) -> f64 {
    eventually(query, SECONDS, || value(server, query))
}

#[test]
fn every_type_is_stored_when_its_window_ends() {
    let server = start(&SHORT_WINDOW);
    send(
        &server,
        &[
            "a.b:1|c|@0.1\na.b:2|c|#env:prod,up\n",
            "level:5|g\nlevel:+3|g\nlevel:-1|g",
            "latency:10:20:30|ms\r\nlatency:40|h",
            "users:ann|s\nusers:bob|s\nusers:ann|s",
            "_sc|db.up|2|#zone:a",
            "_e{6,4}:deploy|done|t:success|#zone:a\n_e{6,4}:deploy|done|t:success|#zone:a",
        ],
    );
    settled(&server, 15.0);
    assert_eq!(stored(&server, "sum_over_time({__name__=\"a.b\",env=\"\"}[5m])"), 10.0);
    assert_eq!(stored(&server, "sum_over_time({__name__=\"a.b\",env=\"prod\",up=\"true\"}[5m])"), 2.0);
    assert_eq!(stored(&server, "level"), 7.0);
    assert_eq!(stored(&server, "latency_count"), 4.0);
    assert_eq!(stored(&server, "latency_sum"), 100.0);
    assert_eq!((stored(&server, "latency_min"), stored(&server, "latency_max")), (10.0, 40.0));
    let median = stored(&server, "latency{quantile=\"0.5\"}");
    assert!((19.8..=20.2).contains(&median), "{median}");
    assert!(stored(&server, "latency{quantile=\"0.99\"}") >= 39.6);
    assert_eq!(stored(&server, "users"), 2.0);
    assert_eq!(stored(&server, "{__name__=\"db.up\",zone=\"a\"}"), 2.0);
    assert_eq!(stored(&server, "sum_over_time(statsd_events{alert_type=\"success\",zone=\"a\"}[5m])"), 2.0);
    assert_eq!(counter(&server, "infrawatch_aggregated_total", "source=\"statsd\""), 15.0);
    assert!(counter(&server, "infrawatch_window_samples_total", "") >= 13.0);
    server.stop();
}

#[test]
fn malformed_lines_are_counted_alone_and_nothing_is_invented() {
    let server = start(&SHORT_WINDOW);
    send(&server, &["good:1|c\nx:|c\nx:abc|c\nx:1|c|@0\nx:nan|g\nx:0x10|c\nx\ny:1|q\n_e{1,9}:a|b\ngood:2|c|new:ext\n"]);
    settled(&server, 10.0);
    let rejected =
        |reason: &str| counter(&server, "infrawatch_rejected_total", &format!("source=\"statsd\",reason=\"{reason}\""));
    let reasons = ["bad_value", "bad_rate", "malformed", "unknown_type", "bad_event", "bad_name", "bad_tags"];
    assert_eq!(reasons.map(rejected), [4.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
    assert_eq!(counter(&server, "infrawatch_statsd_extensions_ignored_total", ""), 1.0);
    assert_eq!(stored(&server, "sum_over_time(good[5m])"), 3.0);
    let names = get_json(&server.url("/api/v1/label/__name__/values"), &[]);
    assert_eq!(names["data"], serde_json::json!(["good"]));
    server.stop();
}

#[test]
fn a_stop_stores_the_windows_that_are_open() {
    let server = start(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statsd_long_window.toml")]);
    send(&server, &["kept:1|c\nkept:41|c\nlevel:3|g"]);
    settled(&server, 3.0);
    assert_eq!(value(&server, "kept"), None, "the window is open");
    let server = server.stop().restart();
    assert_eq!(value(&server, "sum_over_time(kept[5m])"), Some(42.0));
    assert_eq!(value(&server, "level"), Some(3.0));
    server.stop();
}

#[test]
fn a_line_with_a_timestamp_is_stored_at_that_time_and_far_ones_are_not() {
    let server = start(&SHORT_WINDOW);
    let now_s = stored(&server, "vector(time())") as i64;
    send(&server, &[&format!("at:5|c|T{}\nat:6|g|T{}\nat:7|c|T{}", now_s - 20, now_s - 10, now_s + 3600)]);
    settled(&server, 3.0);
    assert_eq!(stored(&server, "count_over_time(at[5m])"), 2.0);
    let answer = get_json(&server.url("/api/v1/query"), &[("query", "at"), ("time", &(now_s - 20).to_string())]);
    assert_eq!(answer["data"]["result"][0]["value"][1], "5", "{answer}");
    let ahead = counter(&server, "infrawatch_rejected_total", "source=\"statsd\",reason=\"in_future\"");
    assert_eq!(ahead, 1.0);
    server.stop();
}

#[test]
fn series_beyond_the_limit_are_refused_and_counted() {
    let server = start(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statsd_two_series.toml")]);
    send(&server, &["a:1|c\nb:1|c\nc:1|c\na:1|c"]);
    settled(&server, 4.0);
    let refused = counter(&server, "infrawatch_rejected_total", "source=\"statsd\",reason=\"window_limit\"");
    assert_eq!(refused, 1.0);
    assert_eq!(counter(&server, "infrawatch_statsd_refused_total", "metric_name=\"c\""), 1.0);
    assert_eq!(stored(&server, "sum_over_time(a[5m])"), 2.0);
    server.stop();
}

#[test]
fn lines_come_by_tcp_and_by_a_unix_socket_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("statsd.socket");
    let variables = [
        ("INFRAWATCH_STATSD_TCP_LISTEN", "127.0.0.1:0"),
        ("INFRAWATCH_STATSD_UNIX_SOCKET", path.to_str().unwrap()),
        ("INFRAWATCH_STATSD_WINDOW", "1s"),
        ("INFRAWATCH_STATSD_CONTAINERS", "label"),
    ];
    let server = Server::start_with_both(&["--statsd-listen", "off"], &variables);
    let mut stream = TcpStream::connect(server.statsd_tcp()).unwrap();
    // Cut anywhere: only whole lines are read, and the last needs no end.
    for piece in ["tcp:1|c\ntc", "p:2|c\r\nlevel:5|g\nlevel:", "-2|g\nx:|c\ntcp:4|c"] {
        stream.write_all(piece.as_bytes()).unwrap();
        stream.flush().unwrap();
    }
    drop(stream);
    let datagrams = UnixDatagram::unbound().unwrap();
    datagrams.send_to(b"unix:5|g|c:f00\nunix:-2|g|c:f00", &path).unwrap();
    settled(&server, 8.0);
    assert_eq!(stored(&server, "sum_over_time(tcp[5m])"), 7.0);
    assert_eq!(stored(&server, "level"), 3.0, "a sign changes a gauge by Etsy's rule");
    assert_eq!(stored(&server, "unix{container_id=\"f00\"}"), -2.0, "and is a sign by DogStatsD's");
    assert_eq!(counter(&server, "infrawatch_statsd_datagrams_total", "socket=\"statsd-unix\""), 1.0);
    server.stop();
    assert!(!path.exists(), "the socket's file goes with the server");
}

#[test]
fn several_sockets_hear_one_address_and_their_sums_meet() {
    let variables = [
        ("INFRAWATCH_STATSD_SOCKETS", "4"),
        ("INFRAWATCH_STATSD_WINDOW", "1s"),
        ("INFRAWATCH_STATSD_QUANTILES", "0.5,0.999"),
    ];
    let server = Server::start_with_both(&["--statsd-listen", "127.0.0.1:0"], &variables);
    // Every sender has a port of its own, by which the kernel deals them out.
    for value in 1..=100 {
        send(&server, &[&format!("meet:1|c\nmeet.time:{value}|ms\nmeet.who:{}|s", value % 10)]);
    }
    settled(&server, 300.0);
    assert_eq!(stored(&server, "sum_over_time(meet[5m])"), 100.0);
    assert_eq!(stored(&server, "sum(sum_over_time({__name__=\"meet.time_count\"}[5m]))"), 100.0);
    assert_eq!(stored(&server, "max_over_time({__name__=\"meet.time_max\"}[5m])"), 100.0);
    assert_eq!(stored(&server, "count({__name__=\"meet.time\"})"), 2.0, "the quantiles that were asked for");
    let heard =
        |socket: usize| counter(&server, "infrawatch_statsd_datagrams_total", &format!("socket=\"statsd-{socket}\""));
    assert!((0..4).filter(|socket| heard(*socket) > 0.0).count() > 1);
    server.stop();
}

/// Five client libraries of others, as Debian packages them; each sends what its script in `statsd_clients` says.
#[test]
fn client_libraries_of_others_are_understood_to_the_last_line() {
    let long_window = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/statsd_long_window.toml");
    let arguments = ["--statsd-listen", "127.0.0.1:0", "--config", long_window];
    let server = Server::start_with_both(&arguments, &[("INFRAWATCH_STATSD_TCP_LISTEN", "127.0.0.1:0")]);
    let (udp, tcp) = (port(server.statsd()), port(server.statsd_tcp()));
    for (program, script, packages) in [
        ("/usr/bin/python3", "etsy.py", "python3-statsd"),
        ("/usr/bin/python3", "dogstatsd.py", "python3-aiodogstatsd"),
        ("node", "lynx.js", "nodejs node-lynx"),
        ("ruby", "client.rb", "ruby-statsd"),
        ("perl", "client.pl", "libnet-statsd-perl"),
    ] {
        let script = format!("{}/tests/statsd_clients/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = Command::new(program);
        // Where Debian puts the libraries of node; its version warns of an old call in this one.
        command.env("NODE_PATH", "/usr/share/nodejs").env("NODE_NO_WARNINGS", "1");
        let ran = command.args([&script, &udp, &tcp]).output();
        let output = ran.unwrap_or_else(|error| panic!("install Debian's {packages}: {program}: {error}"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script} (install Debian's {packages}): {}\n{said}", output.status);
    }
    settled(&server, 355.0);
    assert_eq!(counter(&server, "infrawatch_aggregated_total", "source=\"statsd\""), 355.0, "nothing is refused");
    let server = server.stop().restart();
    for (series, expected) in [
        ("py.hits", 80.0),
        ("py.sampled", 6.0),
        ("py.level", 45.0),
        ("py.wait_sum", 100.0),
        ("py.who", 3.0),
        ("py.piped", 50.0),
        ("py.streamed", 10.0),
        ("dog.hits\",env=\"prod\",host=\"a b", 99.0),
        ("dog.level\",env=\"prod", 4.5),
        ("dog.wait_count\",env=\"prod", 4.0),
        ("dog.size_sum\",env=\"prod", 16.0),
        ("js.hits", 52.0),
        ("js.level", 9.0),
        ("js.wait_max", 25.0),
        ("js.who", 1.0),
        ("js.many", 1.0),
        ("js.more", 5.0),
        ("rb.hits", 35.0),
        ("rb.level", 3.0),
        ("rb.wait_min", 15.0),
        ("rb.who", 1.0),
        ("rb.batched", 20.0),
        ("pl.hits", 25.0),
        ("pl.level", 6.0),
        ("pl.wait_count", 1.0),
    ] {
        let query = format!("last_over_time({{__name__=\"{series}\"}}[5m])");
        assert_eq!(value(&server, &query), Some(expected), "{series}");
    }
    server.stop();
}

/// The port of an address.
fn port(address: impl ToString) -> String {
    let address = address.to_string();
    address.rsplit(':').next().unwrap().to_owned()
}
