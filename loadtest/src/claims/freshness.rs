//! From a sample sent to its anomaly in the API, while other samples come in at a steady rate.
//!
//! ```text
//! warm-up: a history of every canary ─▶ live: background ───────────────▶ server
//!                                             canaries, one spike each ─▶   │
//!                                             poller: GET /api/v1/anomalies ┘  first seen - sent
//! ```
//!
//! Not here: which samples ought to be flagged (docs/detection.md); a canary's spike is beyond doubt.
//!
//! Invariants: latency counts from before a spike's request is written to when an answer with its anomaly was read, the
//! poller's pause included. A spike that is never seen counts as one hour.

use std::collections::BTreeMap;
use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Bench, Claim, Outcome, fetch_json};
use crate::fleet::mix;
use crate::http::{Address, Client};
use crate::meter::{Latencies, Stopwatch, unix_ms};
use crate::metrics_page::sum_of;
use crate::payload::{Payload, WRITE_PATH};
use crate::remote_write_message::Message;
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Outcome as SendOutcome, Requests, send};

/// Series with a spike each, sampled once a second.
const CANARIES: usize = 200;
/// Requests among which the canaries' samples of a second are spread.
const SLOTS: usize = 50;
/// Samples of a canary's history: an hour, at a second.
const HISTORY: usize = 3600;
/// The history is sent in requests of so many seconds.
const HISTORY_SLICE: usize = 10;
/// Requests of history sent before what they brought has been scored; divides all of them.
const SLICES_AHEAD: usize = 15;
const SCORED_TIMEOUT: Duration = Duration::from_secs(30);
/// Between the making of the history and the first live sample.
const LEAD_MS: i64 = 5000;
const SECONDS: f64 = 60.0;
/// Seconds at the start and the end of the run without spikes.
const MARGIN: usize = 2;
/// A spike not seen this long after the run is never seen.
const GRACE: Duration = Duration::from_secs(10);
const NEVER: Duration = Duration::from_secs(3600);
const POLL_PAUSE: Duration = Duration::from_millis(20);
const P99_MS_MAX: f64 = 1000.0;
const NAME: &str = "loadtest_canary";

pub(super) fn at_6k(bench: &Bench) -> Result<Vec<Claim>> {
    measure(bench, 6000, "PERF-003, PERF-004")
}

pub(super) fn at_100k(bench: &Bench) -> Result<Vec<Claim>> {
    measure(bench, 100_000, "PERF-004")
}

/// When something happened to the spike of a canary, since the start.
type Moments = BTreeMap<usize, Duration>;

/// What the canaries are and when they spike.
#[derive(Debug, Clone, Copy)]
struct Canaries {
    start_ms: i64,
    seconds: usize,
}

impl Canaries {
    /// When a canary is sampled for the n-th time since the start; earlier times are negative.
    fn time_ms(self, canary: usize, second: i64) -> i64 {
        self.start_ms + second * 1000 + (canary % SLOTS * 1000 / SLOTS) as i64
    }

    /// The second in which a canary spikes.
    fn spike_at(self, canary: usize) -> usize {
        let span = self.seconds.saturating_sub(2 * MARGIN).max(1);
        (MARGIN + mix(canary as u64 ^ 0x5b1c) as usize % span).min(self.seconds - 1)
    }

    /// A whole number, so that its text and its bits are one, of a canary's own.
    fn spike(canary: usize) -> f64 {
        200.0 + canary as f64
    }

    /// Around 50, in hundredths, the sum of three uniform numbers; or the spike.
    fn value(self, canary: usize, second: i64) -> f64 {
        if second == self.spike_at(canary) as i64 {
            return Canaries::spike(canary);
        }
        let bits = mix(mix(canary as u64) ^ second.cast_unsigned());
        let parts = [bits % 200, (bits >> 20) % 200, (bits >> 40) % 200];
        (4700 + parts.iter().sum::<u64>()) as f64 / 100.0
    }

    fn add(self, message: &mut Message, canary: usize, seconds: std::ops::Range<i64>) {
        let labels = [("__name__", NAME.to_owned()), ("canary", canary.to_string())];
        let samples = seconds.map(|second| (self.time_ms(canary, second), self.value(canary, second)));
        message.add_series(&labels, samples);
    }

    /// Sends every canary's history, in the order of time and no faster than it is scored.
    fn send_history(self, client: &mut Client, address: &Address) -> Result<()> {
        let mut message = Message::default();
        for (number, first) in (-(HISTORY as i64)..0).step_by(HISTORY_SLICE).enumerate() {
            message.clear();
            (0..CANARIES).for_each(|canary| self.add(&mut message, canary, first..first + HISTORY_SLICE as i64));
            client.fetch(&message.http_request(WRITE_PATH)?)?;
            if (number + 1) % SLICES_AHEAD == 0 {
                wait_until_scored(client, address)?;
            }
        }
        Ok(())
    }

    /// Sends live samples when they are due; when each spike was sent.
    fn send_live(self, address: &Address, watch: Stopwatch) -> Result<Moments> {
        let mut client = Client::new(address);
        let mut message = Message::default();
        let mut sent = BTreeMap::new();
        for turn in 0..self.seconds * SLOTS {
            let (second, slot) = (turn / SLOTS, turn % SLOTS);
            message.clear();
            let in_slot = || (slot..CANARIES).step_by(SLOTS);
            in_slot().for_each(|canary| self.add(&mut message, canary, second as i64..second as i64 + 1));
            let request = message.http_request(WRITE_PATH)?;
            watch.sleep_until(Duration::from_millis((turn * 1000 / SLOTS) as u64));
            let now = watch.elapsed();
            client.fetch(&request)?;
            sent.extend(in_slot().filter(|&canary| self.spike_at(canary) == second).map(|canary| (canary, now)));
        }
        Ok(sent)
    }

    /// Polls until every spike was seen or the time is over; when each was first seen.
    fn poll(self, address: &Address, watch: Stopwatch) -> Result<Moments> {
        let mut client = Client::new(address);
        let mut seen = BTreeMap::new();
        let end = Duration::from_secs(self.seconds as u64) + GRACE;
        while seen.len() < CANARIES && watch.elapsed() < end {
            let newest = [("metric_name", NAME), ("limit", "50")];
            let list = fetch_json(&mut client, address, "/api/v1/anomalies", &newest)?;
            let now = watch.elapsed();
            for canary in spikes_in(&list)? {
                seen.entry(canary).or_insert(now);
            }
            thread::sleep(POLL_PAUSE);
        }
        Ok(seen)
    }
}

/// Waits until every stored sample was scored or passed over.
fn wait_until_scored(client: &mut Client, address: &Address) -> Result<()> {
    let watch = Stopwatch::start();
    loop {
        let page = String::from_utf8_lossy(client.fetch(&address.get("/metrics", &[]))?).into_owned();
        let count = |name: &str| sum_of(&page, name).with_context(|| format!("/metrics has no {name}"));
        let judged = count("infrawatch_scored_total")? + count("infrawatch_scoring_skipped_total")?;
        if judged >= count("infrawatch_stored_total")? {
            return Ok(());
        }
        ensure!(watch.elapsed() < SCORED_TIMEOUT, "what was stored is not scored after {SCORED_TIMEOUT:?}");
        thread::sleep(POLL_PAUSE);
    }
}

/// The canaries whose spike is in a list of anomalies.
fn spikes_in(list: &Value) -> Result<Vec<usize>> {
    let items = list["items"].as_array().context("a list of anomalies has no items")?;
    let canary = |item: &Value| -> Option<usize> {
        let canary = item["labels"]["canary"].as_str()?.parse().ok()?;
        (item["value"].as_f64()? == Canaries::spike(canary)).then_some(canary)
    };
    Ok(items.iter().filter_map(canary).collect())
}

fn measure(bench: &Bench, background: usize, row: &'static str) -> Result<Vec<Claim>> {
    let seconds = bench.seconds_or(SECONDS).ceil() as usize;
    let scenario = Scenario {
        series: background,
        samples: seconds,
        step_ms: 1000,
        rate: Some(background as f64),
        ..Scenario::default()
    };
    let payload = Payload::starting_at(&scenario, unix_ms(), 0);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    let address = running.server.address();
    let canaries = Canaries { start_ms: unix_ms() + LEAD_MS, seconds };
    canaries.send_history(&mut Client::new(address), address)?;
    let (connections, rate) = (scenario.connections, scenario.rate);
    let load = Load { address, payload: &payload, requests: &requests, connections, rate, on_break: OnBreak::Retry };
    thread::sleep(Duration::from_millis((canaries.start_ms - unix_ms()).max(0).cast_unsigned()));
    let (written, sent, seen) = run_live(canaries, &load)?;
    let newest = [("metric_name", NAME), ("limit", "1")];
    let total = fetch_json(&mut Client::new(address), address, "/api/v1/anomalies", &newest)?;
    let others = total["total"].as_i64().unwrap_or(0) - seen.len() as i64;
    let rate = payload.total_samples() as f64 / written.elapsed_s;
    let of_writes = format!(
        "{others} other anomalies; writes p99 {} ms, {} samples/s",
        figures(written.latencies.percentiles().p99_ms),
        grouped(rate as i64)
    );
    let found = latencies(&sent, &seen).percentiles();
    Ok(vec![Claim {
        row,
        claim: format!(
            "from a spike sent to its anomaly in the API, at {} samples/s, {} spikes in {seconds} s",
            grouped(background as i64),
            sent.len()
        ),
        target: "p99 < 1 s".to_owned(),
        measured: format!(
            "p50 {} ms, p99 {}, max {}; {} not seen; {of_writes}",
            figures(found.p50_ms),
            figures(found.p99_ms),
            figures(found.max_ms),
            sent.len() - seen.len(),
        ),
        outcome: Outcome::of(found.p99_ms < P99_MS_MAX && written.refused_requests == 0),
    }])
}

/// Background, canaries and poller at the same time: what came of the first, when each spike was sent, when seen.
fn run_live(canaries: Canaries, load: &Load) -> Result<(SendOutcome, Moments, Moments)> {
    let watch = Stopwatch::start();
    thread::scope(|scope| {
        let named = |name: &str| Builder::new().name(name.to_owned());
        let writer = named("background").spawn_scoped(scope, || send(load)).context("start the background")?;
        let send_live = move || canaries.send_live(load.address, watch);
        let sender = named("canaries").spawn_scoped(scope, send_live).context("start the canaries")?;
        let seen = canaries.poll(load.address, watch);
        let written = writer.join().expect("the background does not panic")?;
        Ok((written, sender.join().expect("the canaries do not panic")?, seen?))
    })
}

fn latencies(sent: &Moments, seen: &Moments) -> Latencies {
    let mut latencies = Latencies::default();
    for (canary, sent_at) in sent {
        latencies.record(seen.get(canary).map_or(NEVER, |seen_at| seen_at.saturating_sub(*sent_at)));
    }
    latencies
}

#[cfg(test)]
mod tests {
    use super::*;

    const CANARIES_FOR: Canaries = Canaries { start_ms: 1_700_000_000_000, seconds: 60 };

    #[test]
    fn every_canary_spikes_once_within_the_run() {
        for canary in 0..CANARIES {
            let values: Vec<f64> = (-100..60).map(|second| CANARIES_FOR.value(canary, second)).collect();
            assert_eq!(values.iter().filter(|value| **value == Canaries::spike(canary)).count(), 1);
            assert_eq!(values.iter().filter(|value| (47.0..53.0).contains(*value)).count(), 159);
        }
        let shortest = Canaries { seconds: 1, ..CANARIES_FOR };
        assert_eq!(shortest.spike_at(7), 0);
    }

    #[test]
    fn a_canary_is_sampled_every_second_at_the_time_of_its_slot() {
        assert_eq!(CANARIES_FOR.time_ms(51, 2) - CANARIES_FOR.start_ms, 2020);
        assert_eq!(CANARIES_FOR.time_ms(51, 2) - CANARIES_FOR.time_ms(51, 1), 1000);
    }

    #[test]
    fn a_spike_that_is_never_seen_counts_as_an_hour() {
        let at = |ms| Duration::from_millis(ms);
        let found = latencies(&[(1, at(100)), (2, at(200))].into(), &[(1, at(350))].into()).percentiles();
        assert_eq!((found.p50_ms, found.max_ms), (250.0, 3_600_000.0));
    }

    #[test]
    fn only_the_spike_itself_counts_as_seen() {
        let item = |canary: &str, value: f64| serde_json::json!({"labels": {"canary": canary}, "value": value});
        let list = serde_json::json!({"items": [item("7", 207.0), item("8", 207.0), item("9", 51.5)]});
        assert_eq!(spikes_in(&list).unwrap(), [7]);
        assert!(spikes_in(&serde_json::json!({"error": "no"})).is_err());
    }
}
