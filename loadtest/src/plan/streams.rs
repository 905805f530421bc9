//! The streams of a plan: requests made for each turn, sent when the turn is due, and timed.
//!
//! Not here: remote write, which `sender` sends; what the server made of it all (see `run`).
//!
//! Invariant: the n-th turn of a stream is due n / rate seconds after the start, whatever came before it; its latency
//! counts from then.

use std::fmt::Write;
use std::io;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::settings::{JsonPush, Statsd};
use crate::fleet::mix;
use crate::http::{Address, Client};
use crate::meter::{Latencies, Percentiles, Stopwatch};

/// Names of the StatsD counters begin so.
pub(crate) const STATSD_NAME: &str = "loadtest.mixed";
/// The name of the series pushed as JSON.
pub(crate) const JSON_NAME: &str = "loadtest_pushed";

/// What one stream saw.
#[derive(Debug, Serialize)]
pub(crate) struct StreamReport {
    /// What was sent.
    pub(crate) kind: String,
    /// Requests or datagrams sent.
    pub(crate) requests: usize,
    /// Observations in them.
    pub(crate) observations: usize,
    /// Requests answered otherwise than 2xx.
    pub(crate) refused: usize,
    pub(crate) first_refusal: Option<String>,
    /// Of requests, from when they were due to the whole answer; of datagrams, to when the kernel had them.
    pub(crate) latency: Percentiles,
}

/// Turns at a fixed rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Turns a second.
    pub(crate) rate: f64,
    /// For how long.
    pub(crate) seconds: f64,
}

impl Pace {
    /// Turns in all, one at least.
    pub(crate) fn turns(self) -> usize {
        ((self.rate * self.seconds).round() as usize).max(1)
    }

    /// When a turn is due.
    pub(crate) fn due(self, turn: usize) -> Duration {
        Duration::from_secs_f64(turn as f64 / self.rate)
    }
}

/// A stream of HTTP requests over several connections.
pub(crate) struct HttpStream<'a> {
    pub(crate) kind: &'a str,
    pub(crate) address: &'a Address,
    pub(crate) pace: Pace,
    pub(crate) connections: usize,
    /// Observations in each request.
    pub(crate) observations: usize,
    /// The request of a turn.
    pub(crate) request: &'a (dyn Fn(usize) -> Vec<u8> + Sync),
}

impl HttpStream<'_> {
    /// Sends every request when it is due, counted from the watch's start.
    ///
    /// # Errors
    /// When a connection cannot be made or breaks.
    pub(crate) fn run(&self, watch: Stopwatch) -> Result<StreamReport> {
        let next = AtomicUsize::new(0);
        let tallies = thread::scope(|scope| -> Result<Vec<Result<Tally>>> {
            let spawn = |number: usize| {
                let name = format!("{}-{number}", self.kind);
                Builder::new().name(name).spawn_scoped(scope, || self.run_connection(&next, watch))
            };
            let threads: Vec<_> =
                (0..self.connections).map(spawn).collect::<io::Result<_>>().context("start a connection")?;
            Ok(threads.into_iter().map(|thread| thread.join().expect("a connection does not panic")).collect())
        })?;
        let mut total = Tally::default();
        for tally in tallies {
            let tally = tally.with_context(|| self.kind.to_owned())?;
            total.latencies.absorb(tally.latencies);
            total.refused += tally.refused;
            total.first_refusal = total.first_refusal.or(tally.first_refusal);
        }
        let requests = self.pace.turns();
        Ok(StreamReport {
            kind: self.kind.to_owned(),
            requests,
            observations: requests * self.observations,
            refused: total.refused,
            first_refusal: total.first_refusal,
            latency: total.latencies.percentiles(),
        })
    }

    fn run_connection(&self, next: &AtomicUsize, watch: Stopwatch) -> Result<Tally> {
        let mut client = Client::new(self.address);
        let mut tally = Tally::default();
        loop {
            let turn = next.fetch_add(1, Ordering::Relaxed);
            if turn >= self.pace.turns() {
                return Ok(tally);
            }
            let request = (self.request)(turn);
            watch.sleep_until(self.pace.due(turn));
            let response = client.exchange(&request)?;
            if !response.is_success() {
                tally.refused += 1;
                let line = String::from_utf8_lossy(request.split(|&byte| byte == b'\r').next().unwrap_or_default());
                tally.first_refusal.get_or_insert_with(|| format!("{line}: {}", response.summary()));
            }
            tally.latencies.record(watch.elapsed().saturating_sub(self.pace.due(turn)));
        }
    }
}

#[derive(Debug, Default)]
struct Tally {
    latencies: Latencies,
    refused: usize,
    first_refusal: Option<String>,
}

/// Sends the counters of a plan by UDP.
///
/// # Errors
/// When the system does not take a datagram.
pub(crate) fn send_statsd(
    plan: &Statsd,
    pace: Pace,
    address: &str,
    seed: u64,
    watch: Stopwatch,
) -> Result<StreamReport> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("open a socket")?;
    socket.connect(address).with_context(|| format!("connect to {address}"))?;
    let mut latencies = Latencies::default();
    for packet in 0..pace.turns() {
        let datagram = datagram(plan, packet, seed);
        watch.sleep_until(pace.due(packet));
        socket.send(datagram.as_bytes()).with_context(|| format!("send to {address}"))?;
        latencies.record(watch.elapsed().saturating_sub(pace.due(packet)));
    }
    Ok(StreamReport {
        kind: "statsd".into(),
        requests: pace.turns(),
        observations: pace.turns() * plan.per_packet,
        refused: 0,
        first_refusal: None,
        latency: latencies.percentiles(),
    })
}

/// The counter of a place in the stream: its series and a whole number.
fn counter(plan: &Statsd, place: usize, seed: u64) -> (usize, u64) {
    (place % plan.series, mix(seed ^ mix(place as u64)) % 1000)
}

fn datagram(plan: &Statsd, packet: usize, seed: u64) -> String {
    (0..plan.per_packet).fold(String::new(), |mut text, line| {
        let (series, value) = counter(plan, packet * plan.per_packet + line, seed);
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{STATSD_NAME}.s{series:05}:{value}|c");
        text
    })
}

/// What all counters of this many datagrams add up to: whole, so exact in a double.
pub(crate) fn statsd_total(plan: &Statsd, packets: usize, seed: u64) -> u64 {
    (0..packets * plan.per_packet).map(|place| counter(plan, place, seed).1).sum()
}

/// The body of a turn's push: one sample of each series, stamped with the time at which the turn is due.
pub(crate) fn push_body(plan: &JsonPush, pace: Pace, turn: usize, start_ms: i64, seed: u64) -> String {
    let time_ms = start_ms + pace.due(turn).as_millis() as i64;
    let items = (0..plan.series).map(|series| {
        let value = (mix(seed ^ mix((series << 32 | turn) as u64)) % 100_000) as f64 / 100.0;
        format!(r#"{{"name":"{JSON_NAME}","labels":{{"series":"{series}"}},"timestamp":{time_ms},"value":{value}}}"#)
    });
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Paths that queries ask in turn, with parameters; what a dashboard and its reader would ask of node_exporter's series.
pub(crate) fn question(address: &Address, turn: usize, start_ms: i64, elapsed_s: f64) -> Vec<u8> {
    let (start, end) = (start_ms / 1000, start_ms / 1000 + elapsed_s as i64);
    let (start, end) = (start.to_string(), end.to_string());
    let range = |query| {
        address.get("/api/v1/query_range", &[("query", query), ("start", &start), ("end", &end), ("step", "5")])
    };
    match turn % 8 {
        0 => range("sum by (instance) (node_load1)"),
        1 => range("rate(node_network_receive_bytes_total{device=\"eth0\",instance=\"node-00000:9100\"}[1m])"),
        2 => address.get("/api/v1/query", &[("query", "count(node_load1)")]),
        3 => address.get("/api/v1/query", &[("query", "topk(5, node_memory_MemFree_bytes)")]),
        4 => address.get("/api/v1/label/instance/values", &[]),
        5 => address.get("/api/v1/series", &[("match[]", "{instance=\"node-00001:9100\"}")]),
        6 => address.get("/api/v1/query", &[("query", &format!("sum({JSON_NAME})"))]),
        _ => address.get("/health", &[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_due_at_the_rate() {
        let pace = Pace { rate: 20.0, seconds: 2.5 };
        assert_eq!((pace.turns(), pace.due(30)), (50, Duration::from_millis(1500)));
        assert_eq!(Pace { rate: 0.1, seconds: 1.0 }.turns(), 1);
    }

    #[test]
    fn the_total_is_that_of_the_lines_sent() {
        let plan = Statsd { series: 7, rate: 1.0, per_packet: 3 };
        let lines: Vec<String> = (0..5)
            .flat_map(|packet| datagram(&plan, packet, 9).lines().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        let value = |line: &String| line.split([':', '|']).nth(1).unwrap().parse::<u64>().unwrap();
        assert_eq!(statsd_total(&plan, 5, 9), lines.iter().map(value).sum::<u64>());
        assert_eq!(lines.iter().filter(|line| line.starts_with("loadtest.mixed.s00000:")).count(), 3);
    }

    #[test]
    fn pushed_samples_of_a_series_have_different_times() {
        let (plan, pace) = (JsonPush { series: 2, rate: 1000.0 }, Pace { rate: 1000.0, seconds: 1.0 });
        let time = |turn| {
            let body: serde_json::Value = serde_json::from_str(&push_body(&plan, pace, turn, 5000, 1)).unwrap();
            body[1]["timestamp"].as_i64().unwrap()
        };
        assert_eq!((time(0), time(1), time(999)), (5000, 5001, 5999));
    }
}
