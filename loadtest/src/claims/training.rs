//! What learning 1 000 points takes: a file of them judged from nothing, and a live series until its model has them.
//!
//! Not here: how well is learned (docs/detection.md).

use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Bench, Claim, Outcome, fetch_json, not_measured};
use crate::fleet::mix;
use crate::http::Client;
use crate::meter::{Stopwatch, unix_ms};
use crate::payload::WRITE_PATH;
use crate::remote_write_message::Message;
use crate::report::figures;
use crate::server_process::{Program, ScratchDir};

const ROW: &str = "PERF-005";
const POINTS: usize = 1000;
const STEP_MS: i64 = 15_000;
const SECONDS_MAX: f64 = 1.0;
/// The command is run this often; the median counts.
const RUNS: usize = 5;
const NAME: &str = "loadtest_training";
const LEARNED_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let live = of_a_live_series(bench).unwrap_or_else(|error| not_measured(ROW, "a live series", &error));
    Ok(vec![of_a_file(bench)?, live])
}

/// A gauge around 50 with noise.
fn value(point: usize) -> f64 {
    50.0 + (mix(point as u64) % 1000) as f64 / 100.0
}

fn of_a_file(bench: &Bench) -> Result<Claim> {
    let Program::InfraWatch(binary, _) = &bench.program else { bail!("only our server") };
    let scratch = ScratchDir::new()?;
    let file = scratch.path().join("points.csv");
    let mut text = String::from("timestamp,value\n");
    for point in 0..POINTS {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "{},{}", 1_700_000_000 + point as i64 * STEP_MS / 1000, value(point));
    }
    std::fs::write(&file, text).with_context(|| file.display().to_string())?;
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let watch = Stopwatch::start();
        let mut command = Command::new(binary);
        command.args(["--format", "csv", "detect"]).arg(&file).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = command.output().context("run infrawatch detect")?;
        runs.push(watch.elapsed_s());
        ensure!(output.status.success(), "infrawatch detect: {}", String::from_utf8_lossy(&output.stderr));
    }
    runs.sort_by(f64::total_cmp);
    let median = runs[RUNS / 2];
    Ok(Claim {
        row: ROW,
        claim: format!(
            "learning and judging {POINTS} points of a file with all default detectors, process start included"
        ),
        target: format!("< {SECONDS_MAX} s"),
        measured: format!("{} ms (median of {RUNS})", figures(median * 1e3)),
        outcome: Outcome::of(median < SECONDS_MAX),
    })
}

fn of_a_live_series(bench: &Bench) -> Result<Claim> {
    let running = bench.start()?;
    let address = running.server.address();
    let mut client = Client::new(address);
    let start_ms = unix_ms() - POINTS as i64 * STEP_MS;
    let mut message = Message::default();
    let samples = (0..POINTS).map(|point| (start_ms + point as i64 * STEP_MS, value(point)));
    message.add_series(&[("__name__", NAME)], samples);
    let request = message.http_request(WRITE_PATH)?;
    let watch = Stopwatch::start();
    client.fetch(&request)?;
    let mut learned = 0;
    while learned < POINTS as u64 {
        ensure!(watch.elapsed() < LEARNED_TIMEOUT, "after {LEARNED_TIMEOUT:?} the model has {learned} samples");
        std::thread::sleep(Duration::from_millis(10));
        let list =
            fetch_json(&mut client, address, "/api/v1/metrics", &[("match", &format!("{{__name__=\"{NAME}\"}}"))])?;
        learned = list["items"][0]["samples"].as_u64().unwrap_or(0);
    }
    let elapsed_s = watch.elapsed_s();
    Ok(Claim {
        row: ROW,
        claim: format!("from {POINTS} points sent in one request to a model that has learned them"),
        target: format!("< {SECONDS_MAX} s"),
        measured: format!("{} ms", figures(elapsed_s * 1e3)),
        outcome: Outcome::of(elapsed_s < SECONDS_MAX),
    })
}
