//! The command `crash`: kills the server at random moments while it is written to, and looks for acknowledged samples.
//!
//! Each round starts the server on the same directory, reads the round before back, writes later samples of the same
//! series flat out and kills the server with SIGKILL at a seeded moment. Not here: power loss, which a kill is not.
//!
//! Invariant: a sample counts as acknowledged only when the whole 2xx answer to its request was read.

use std::thread::{self, Builder};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::cli::{CrashArgs, TargetArgs};
use crate::fleet::mix;
use crate::meter::{Latencies, Percentiles, Stopwatch, unix_ms};
use crate::payload::{Payload, WRITE_PATH};
use crate::process_stats::machine;
use crate::report::{Table, figures, grouped, print_json};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};
use crate::server_process::{Program, ScratchDir, Server};
use crate::target::our_server;
use crate::verify::{Verification, read_back};

/// The server lives for at least this long after the first request of a round.
const KILL_AFTER_MS_MIN: u64 = 100;
/// And for less than this.
const KILL_AFTER_MS_MAX: u64 = 1500;
/// Short, so that twenty rounds lie within a day and none in the future.
const STEP_MS: i64 = 1000;

/// What all rounds gave.
#[derive(Debug, Serialize)]
pub(crate) struct CrashReport {
    machine: String,
    seed: u64,
    pub(crate) rounds: usize,
    /// Rounds in which the kill came before everything was sent.
    killed_while_writing: usize,
    /// Samples in requests answered 2xx, over all rounds.
    pub(crate) acknowledged: usize,
    /// Acknowledged samples that were not found at the end.
    pub(crate) lost: usize,
    /// Samples found at the end with another value than was sent.
    wrong: usize,
    /// Samples found at the end that nobody sent.
    unexpected: usize,
    /// Findings of these three kinds right after the restart that followed the writing, over all rounds.
    amiss_after_restart: usize,
    /// From start to ready after a kill.
    restart: Percentiles,
    kills_after_ms: Vec<u64>,
    examples: Vec<String>,
}

impl CrashReport {
    /// Whether nothing was lost or changed.
    pub(crate) fn is_good(&self) -> bool {
        self.lost + self.wrong + self.unexpected + self.amiss_after_restart == 0
    }
}

/// A round that was written.
struct Round {
    payload: Payload,
    acknowledged: Vec<bool>,
}

/// Runs the command; says whether nothing was lost.
///
/// # Errors
/// When the server does not start again, or does not answer queries.
pub(crate) fn run(args: &CrashArgs) -> Result<bool> {
    let target =
        TargetArgs { server: args.server.clone(), server_args: args.server_args.clone(), ..TargetArgs::default() };
    let program = our_server(&target)?;
    let scratch = ScratchDir::new()?;
    let report = crash_rounds(args, &program, &scratch);
    let is_good = report.as_ref().is_ok_and(CrashReport::is_good);
    if !is_good {
        eprintln!("the data directory is kept for inspection: {}", scratch.keep().display());
    }
    let report = report?;
    if args.json {
        print_json(&report)?;
    } else {
        print!("{}", text(&report));
    }
    Ok(is_good)
}

/// Writes and kills, round by round, on one directory.
///
/// # Errors
/// When the server does not start again, or does not answer queries.
pub(crate) fn crash_rounds(args: &CrashArgs, program: &Program, scratch: &ScratchDir) -> Result<CrashReport> {
    let scenario = Scenario {
        series: args.series,
        samples: args.samples,
        per_request: args.per_request,
        connections: args.connections,
        seed: args.seed,
        step_ms: STEP_MS,
        ..Scenario::default()
    };
    let scenario = scenario.checked()?;
    let steps = i64::try_from(args.rounds * args.samples).context("rounds times samples is out of range")?;
    let origin_ms = unix_ms().div_euclid(STEP_MS) * STEP_MS - steps * STEP_MS;
    let mut rounds: Vec<Round> = Vec::new();
    let mut after_restart = Verification::default();
    let mut at_end = Verification::default();
    let mut restarts = Latencies::default();
    let kills_after_ms: Vec<u64> = (0..args.rounds).map(|round| kill_after_ms(args.seed, round)).collect();
    for (number, &kill_after_ms) in kills_after_ms.iter().enumerate() {
        let payload = Payload::starting_at(&scenario, origin_ms, number * args.samples);
        let requests = Requests::build(&payload, WRITE_PATH)?;
        let server = start(program, scratch, number, &mut restarts)?;
        if let Some(last) = rounds.last() {
            after_restart.absorb(read_back(server.address(), &last.payload, &last.acknowledged)?);
        }
        let acknowledged = write_until_killed(server, &scenario, &payload, &requests, kill_after_ms)
            .with_context(|| format!("round {number}"))?;
        rounds.push(Round { payload, acknowledged });
    }
    let server = start(program, scratch, args.rounds, &mut restarts)?;
    for round in &rounds {
        at_end.absorb(read_back(server.address(), &round.payload, &round.acknowledged)?);
    }
    let acknowledged =
        rounds.iter().flat_map(|round| &round.acknowledged).filter(|acknowledged| **acknowledged).count();
    Ok(CrashReport {
        machine: machine(),
        seed: args.seed,
        rounds: args.rounds,
        killed_while_writing: rounds.iter().filter(|round| round.acknowledged.contains(&false)).count(),
        acknowledged,
        lost: at_end.missing,
        wrong: at_end.wrong,
        unexpected: at_end.unexpected,
        amiss_after_restart: after_restart.missing + after_restart.wrong + after_restart.unexpected,
        restart: restarts.percentiles(),
        kills_after_ms,
        examples: [after_restart.examples, at_end.examples].concat(),
    })
}

/// Starts the server on the one directory; notes how long that took unless the directory is new.
fn start(program: &Program, scratch: &ScratchDir, number: usize, restarts: &mut Latencies) -> Result<Server> {
    let server = Server::start(program, &scratch.path().join("data")).with_context(|| format!("start {number}"))?;
    if number > 0 {
        restarts.record(Duration::from_secs_f64(server.ready_s));
    }
    Ok(server)
}

/// When to kill the server in a round: milliseconds after the first request.
fn kill_after_ms(seed: u64, round: usize) -> u64 {
    KILL_AFTER_MS_MIN + mix(seed ^ mix(round as u64)) % (KILL_AFTER_MS_MAX - KILL_AFTER_MS_MIN)
}

/// Writes flat out until the kill; gives for each sample whether it was acknowledged. A server that ends before it is
/// killed is an error.
fn write_until_killed(
    mut server: Server,
    scenario: &Scenario,
    payload: &Payload,
    requests: &Requests,
    kill_after_ms: u64,
) -> Result<Vec<bool>> {
    let address = server.address().clone();
    let load = Load {
        address: &address,
        payload,
        requests,
        connections: scenario.connections,
        rate: None,
        on_break: OnBreak::Stop,
    };
    thread::scope(|scope| {
        let watch = Stopwatch::start();
        let kill = move || {
            watch.sleep_until(Duration::from_millis(kill_after_ms));
            let ended_by_itself = server.has_ended();
            server.kill();
            ensure!(!ended_by_itself, "the server ended by itself:{}", server.log_text());
            Ok(())
        };
        let killer = Builder::new().name("killer".into()).spawn_scoped(scope, kill).context("start the killer")?;
        let outcome = send(&load);
        killer.join().expect("the killer does not panic")?;
        Ok(outcome?.acknowledged_by_sample(payload))
    })
}

fn text(report: &CrashReport) -> String {
    let mut table = Table::new([format!("kill -9 under load, seed {}", report.seed)]);
    table.row("rounds", [report.rounds.to_string()]);
    table.row("  killed while writing", [report.killed_while_writing.to_string()]);
    table.row("acknowledged samples", [grouped(report.acknowledged as i64)]);
    table.row("  lost", [report.lost.to_string()]);
    table.row("  wrong", [report.wrong.to_string()]);
    table.row("samples nobody sent", [report.unexpected.to_string()]);
    table.row("amiss right after a restart", [report.amiss_after_restart.to_string()]);
    table.row("restart to ready p50, ms", [figures(report.restart.p50_ms)]);
    table.row("  max", [figures(report.restart.max_ms)]);
    let examples: String = report.examples.iter().map(|example| format!("  {example}\n")).collect();
    format!("{}\n{}{examples}", report.machine, table.text())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_differ_by_round_and_repeat_by_seed() {
        let moments = |seed| -> Vec<u64> { (0..50).map(|round| kill_after_ms(seed, round)).collect() };
        assert_eq!(moments(1), moments(1));
        assert_ne!(moments(1), moments(2));
        assert!(moments(1).iter().all(|moment| (100..1500).contains(moment)));
        assert!(moments(1).iter().max().unwrap() - moments(1).iter().min().unwrap() > 1000);
    }

    #[test]
    fn rounds_follow_each_other_without_sharing_a_time_stamp() {
        let scenario = Scenario { series: 10, samples: 5, step_ms: STEP_MS, ..Scenario::default() };
        let rounds = [0, 5].map(|first_step| Payload::starting_at(&scenario, 1_000_000, first_step).span_ms());
        assert_eq!(rounds, [(1_000_000, 1_004_000), (1_005_000, 1_009_000)]);
    }
}
