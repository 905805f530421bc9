//! What memory is given back when series have expired: many series of long ago, then samples of today, so that retention
//! removes the former.
//!
//! Not here: memory of series that are there (see `memory`), a day replayed again and again (see `soak`).

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Bench, Claim, Outcome, Running};
use crate::http::Client;
use crate::meter::{Stopwatch, unix_ms};
use crate::metrics_page::sum_of;
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::rss_bytes;
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

const SERIES: usize = 200_000;
const SAMPLES: usize = 4;
/// Series that come later and stay.
const STAYING: usize = 100;
/// A directory of blocks takes 31 days, so that those of long ago share none with today's.
const AGO_MS: i64 = 40 * 86_400_000;
/// Retention is looked at every five seconds.
const PATIENCE_S: f64 = 120.0;
/// The allocator gives pages back some ten seconds after they were freed.
const GIVEN_BACK: Duration = Duration::from_secs(15);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let running = bench.start_with(&["--retention", "1d"])?;
    let (server, address) = (&running.server, running.server.address());
    let mut client = Client::new(address);
    let empty_bytes = rss_bytes(server.pid())?;
    write(&running, SERIES, unix_ms() - AGO_MS)?;
    client.fetch(&address.post_empty("/-/compact"))?;
    std::thread::sleep(GIVEN_BACK);
    let (full_bytes, before) = (rss_bytes(server.pid())?, series(&mut client, &running)?);
    ensure!(before == SERIES as i64, "{before} series are there");
    write(&running, STAYING, unix_ms())?;
    client.fetch(&address.post_empty("/-/compact"))?;
    let watch = Stopwatch::start();
    while series(&mut client, &running)? > STAYING as i64 {
        ensure!(watch.elapsed_s() < PATIENCE_S, "series of long ago are still there after {PATIENCE_S} s");
        std::thread::sleep(Duration::from_millis(200));
    }
    std::thread::sleep(GIVEN_BACK);
    let left_bytes = rss_bytes(server.pid())?;
    let mb = |bytes: u64| figures(bytes as f64 / 1e6);
    let taken = full_bytes.saturating_sub(empty_bytes).max(1);
    let given_back = full_bytes.saturating_sub(left_bytes) as f64 / taken as f64;
    Ok(vec![Claim {
        row: "STO-011",
        claim: format!("memory after {} series have expired", grouped(SERIES as i64)),
        target: "stated".to_owned(),
        measured: format!(
            "{} MB empty, {} MB with them, {} MB without: {} % given back",
            mb(empty_bytes),
            mb(full_bytes),
            mb(left_bytes),
            figures(100.0 * given_back),
        ),
        outcome: Outcome::Stated,
    }])
}

fn write(running: &Running, series: usize, end_ms: i64) -> Result<()> {
    let scenario = Scenario { series, samples: SAMPLES, ..Scenario::default() };
    let payload = Payload::ending_at(&scenario, end_ms);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let outcome = send(&Load {
        address: running.server.address(),
        payload: &payload,
        requests: &requests,
        connections: scenario.connections,
        rate: None,
        on_break: OnBreak::Retry,
    })?;
    let acknowledged = outcome.acknowledged_samples(&payload);
    ensure!(acknowledged == payload.total_samples(), "{acknowledged} samples were taken");
    Ok(())
}

/// How many series the server has.
fn series(client: &mut Client, running: &Running) -> Result<i64> {
    let page = client.fetch(&running.server.address().get("/metrics", &[]))?;
    sum_of(&String::from_utf8_lossy(page), "infrawatch_series").context("no infrawatch_series in /metrics")
}
