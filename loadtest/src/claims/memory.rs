//! What memory 10 000 series take, models included.
//!
//! Not here: six metrics (see `day`), memory beside peers (see `table`).

use std::time::Duration;

use anyhow::Result;

use super::{Bench, Claim, Outcome};
use crate::meter::unix_ms;
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::peak_rss_bytes;
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

const SERIES: usize = 10_000;
/// An hour at 15 s.
const SAMPLES: usize = 240;
/// Models may still learn what was stored last.
const DRAIN: Duration = Duration::from_secs(3);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let scenario = Scenario { series: SERIES, samples: SAMPLES, ..Scenario::default() };
    let payload = Payload::ending_at(&scenario, unix_ms());
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    send(&Load {
        address: running.server.address(),
        payload: &payload,
        requests: &requests,
        connections: scenario.connections,
        rate: None,
        on_break: OnBreak::Retry,
    })?;
    std::thread::sleep(DRAIN);
    let rss_bytes = peak_rss_bytes(running.server.pid())?;
    Ok(vec![Claim {
        row: "PERF-008",
        claim: format!("peak memory over an hour of {} series at 15 s, sent flat out", grouped(SERIES as i64)),
        target: "stated".to_owned(),
        measured: format!("{} MB", figures(rss_bytes as f64 / 1e6)),
        outcome: Outcome::Stated,
    }])
}
