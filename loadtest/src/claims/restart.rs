//! How long a server takes to be ready again after kill -9 with five million samples in its journal, how long its scores
//! take to catch up, and whether every sample is there.
//!
//! Not here: kills at random moments (see `crash`), opening a store without a server (`benches/reopen.rs`).
//!
//! Invariant: the server is killed right after the last answer, before the journal is folded into a checkpoint.

use anyhow::{Context, Result};

use super::{Bench, Claim, Outcome};
use crate::http::Client;
use crate::meter::{Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};
use crate::server_process::{Program, ScratchDir, Server};
use crate::verify::read_back;
use crate::write::scoring;

const SERIES: usize = 10_000;
const SAMPLES: usize = 500;
const READY_S_MAX: f64 = 0.35;
const CAUGHT_UP_S_MAX: f64 = 2.0;
/// Scores that have not caught up by then never do.
const PATIENCE_S: f64 = 120.0;

/// What a restart gave.
#[derive(Debug)]
pub(crate) struct Restart {
    /// From the start of the process until it was ready.
    pub(crate) ready_s: f64,
    /// From then until nothing waited to be scored; none if something still did, or nothing is scored at all.
    pub(crate) caught_up_s: Option<f64>,
    /// Samples acknowledged before the kill.
    pub(crate) acknowledged: usize,
    /// Of these, samples that are gone or others.
    pub(crate) lost: usize,
}

/// Writes to our server, kills it and starts it again; with so many times fewer series.
///
/// # Errors
/// When the server does not start, or does not answer.
pub(crate) fn restart(program: &Program, shrink: usize) -> Result<Restart> {
    let series = (SERIES / shrink.max(1)).max(1);
    let scenario = Scenario { series, samples: SAMPLES, ..Scenario::default() };
    let payload = Payload::ending_at(&scenario, unix_ms());
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let scratch = ScratchDir::new()?;
    let dir = scratch.path().join("data");
    let mut server = Server::start(program, &dir)?;
    let outcome = send(&Load {
        address: server.address(),
        payload: &payload,
        requests: &requests,
        connections: scenario.connections,
        rate: None,
        on_break: OnBreak::Retry,
    })?;
    server.kill();
    drop(server);
    let server = Server::start(program, &dir).context("after the kill")?;
    let watch = Stopwatch::start();
    let mut client = Client::new(server.address());
    let caught_up_s = scoring(server.address(), &mut client, &watch, PATIENCE_S)?.and_then(|report| report.settled_s);
    let found = read_back(server.address(), &payload, &outcome.acknowledged_by_sample(&payload))?;
    Ok(Restart {
        ready_s: server.ready_s,
        caught_up_s,
        acknowledged: outcome.acknowledged_samples(&payload),
        lost: found.missing + found.wrong,
    })
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let Restart { ready_s, caught_up_s, acknowledged, lost } = restart(&bench.program, 1)?;
    let claim = |claim: &str, target: &str, measured: String, is_reached| Claim {
        row: "restart",
        claim: format!("after kill -9 with {} samples in the journal: {claim}", grouped(acknowledged as i64)),
        target: target.to_owned(),
        measured,
        outcome: Outcome::of(is_reached),
    };
    let seconds = |seconds: f64| format!("{} s", figures(seconds));
    let is_caught_up = caught_up_s.is_some_and(|seconds| seconds <= CAUGHT_UP_S_MAX);
    Ok(vec![
        claim("acknowledged samples lost", "0", lost.to_string(), lost == 0),
        claim("until the server is ready", "0.35 s", seconds(ready_s), ready_s <= READY_S_MAX),
        claim("scores caught up after that", "2 s", caught_up_s.map_or("never".to_owned(), seconds), is_caught_up),
    ])
}
