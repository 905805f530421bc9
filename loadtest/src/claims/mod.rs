//! The command `claims`: measures what is promised of the whole program, and prints claim, target, figure and outcome.
//!
//! Each file measures some claims on a server of its own; their names select them on the command line. Not here: cost
//! of ingest (`write`, `table`, `statsd`), queries (`query`), crashes (`crash`), days on end (`soak`).
//!
//! Invariant: a claim that could not be measured is a miss that says why, never a line that is left out.

mod api;
mod beside;
mod day;
mod expiry;
mod fleet;
mod freshness;
mod memory;
mod million;
pub(crate) mod restart;
mod training;
mod week;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::Value;

use crate::cli::TargetArgs;
use crate::http::{Address, Client};
use crate::process_stats::machine;
use crate::report::{Table, print_json};
use crate::server_process::{Program, ScratchDir, Server};
use crate::target::our_server;

/// What the command `claims` takes.
#[derive(Debug, Args)]
pub(crate) struct ClaimsArgs {
    /// Only these: fleet, freshness, freshness-100k, training, api, beside, day, week, million, memory,
    /// expiry, restart
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Run those that last a fixed time (fleet, freshness, api, beside) for this long instead of a minute to five
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Print JSON
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a markdown table
    #[arg(long)]
    markdown: bool,
    /// Binary of our server [default: infrawatch beside this program]
    #[arg(long, value_name = "FILE")]
    server: Option<PathBuf>,
    /// Further arguments for our server
    #[arg(last = true, value_name = "SERVER_ARGS")]
    server_args: Vec<OsString>,
}

/// How a claim came out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Ok,
    Miss,
    /// There is nothing to reach, only a figure to state.
    Stated,
}

impl Outcome {
    fn of(reached: bool) -> Outcome {
        if reached { Outcome::Ok } else { Outcome::Miss }
    }

    fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Miss => "MISS",
            Outcome::Stated => "-",
        }
    }
}

/// A claim and what was measured.
#[derive(Debug, Serialize)]
struct Claim {
    /// Which requirement it is.
    row: &'static str,
    claim: String,
    target: String,
    measured: String,
    outcome: Outcome,
}

/// What every measurement is given.
#[derive(Debug)]
struct Bench {
    program: Program,
    seconds: Option<f64>,
}

/// A server of a measurement; dropped in this order.
#[derive(Debug)]
struct Running {
    server: Server,
    _scratch: ScratchDir,
}

impl Bench {
    /// Our server on an empty directory.
    fn start(&self) -> Result<Running> {
        self.start_with(&[])
    }

    /// The same with further arguments.
    fn start_with(&self, arguments: &[&str]) -> Result<Running> {
        let scratch = ScratchDir::new()?;
        let server = Server::start(&self.program.with(arguments), &scratch.path().join("data"))?;
        Ok(Running { server, _scratch: scratch })
    }

    /// The time asked for, else the usual one.
    fn seconds_or(&self, usual: f64) -> f64 {
        self.seconds.unwrap_or(usual)
    }
}

/// A name on the command line, the row it is about, and what measures it.
struct Measurement {
    name: &'static str,
    row: &'static str,
    measure: fn(&Bench) -> Result<Vec<Claim>>,
}

const MEASUREMENTS: [Measurement; 12] = [
    Measurement { name: "fleet", row: "PROD-001", measure: fleet::measure },
    Measurement { name: "freshness", row: "PERF-003, PERF-004", measure: freshness::at_6k },
    Measurement { name: "freshness-100k", row: "PERF-004", measure: freshness::at_100k },
    Measurement { name: "training", row: "PERF-005", measure: training::measure },
    Measurement { name: "api", row: "PERF-006", measure: api::measure },
    Measurement { name: "beside", row: "PERF-006", measure: beside::measure },
    Measurement { name: "day", row: "PERF-007, PERF-008, PERF-009", measure: day::measure },
    Measurement { name: "week", row: "STO-007", measure: week::measure },
    Measurement { name: "million", row: "STO-002", measure: million::measure },
    Measurement { name: "memory", row: "PERF-008", measure: memory::measure },
    Measurement { name: "expiry", row: "STO-011", measure: expiry::measure },
    Measurement { name: "restart", row: "restart", measure: restart::measure },
];

/// Runs the command; says whether no claim was missed.
///
/// # Errors
/// When a name is none, or there is no server to measure.
pub(crate) fn run(args: &ClaimsArgs) -> Result<bool> {
    let known = MEASUREMENTS.map(|measurement| measurement.name);
    if let Some(unknown) = args.names.iter().find(|name| !known.contains(&name.as_str())) {
        bail!("there is no claim {unknown}: {}", known.join(", "));
    }
    if args.seconds.is_some_and(|seconds| !(1.0..=86_400.0).contains(&seconds)) {
        bail!("--for has to be between 1 and 86400 seconds");
    }
    let target =
        TargetArgs { server: args.server.clone(), server_args: args.server_args.clone(), ..TargetArgs::default() };
    let bench = Bench { program: our_server(&target)?, seconds: args.seconds };
    let wanted = |name: &str| args.names.is_empty() || args.names.iter().any(|chosen| chosen == name);
    let mut claims = Vec::new();
    for measurement in MEASUREMENTS.iter().filter(|measurement| wanted(measurement.name)) {
        eprintln!("measuring {} ...", measurement.name);
        claims.extend(
            (measurement.measure)(&bench)
                .unwrap_or_else(|error| vec![not_measured(measurement.row, measurement.name, &error)]),
        );
    }
    print(args, &claims)?;
    Ok(claims.iter().all(|claim| claim.outcome != Outcome::Miss))
}

fn not_measured(row: &'static str, what: &str, error: &anyhow::Error) -> Claim {
    Claim {
        row,
        claim: what.to_owned(),
        target: "-".to_owned(),
        measured: format!("could not be measured: {error:#}"),
        outcome: Outcome::Miss,
    }
}

fn print(args: &ClaimsArgs, claims: &[Claim]) -> Result<()> {
    if args.json {
        return print_json(&claims);
    }
    if args.markdown {
        let mut table = Table::new(["row", "claim", "target", "measured", "outcome"].map(str::to_owned));
        for Claim { row, claim, target, measured, outcome } in claims {
            table.row(row, [claim.clone(), target.clone(), measured.clone(), outcome.word().to_owned()]);
        }
        print!("{}", table.markdown());
        return Ok(());
    }
    println!("{}", machine());
    for Claim { row, claim, target, measured, outcome } in claims {
        println!("{:<5}{row}: {claim}\n     target {target}; measured {measured}", outcome.word());
    }
    Ok(())
}

/// The answer to a request as JSON.
fn fetch_json(client: &mut Client, address: &Address, path: &str, parameters: &[(&str, &str)]) -> Result<Value> {
    let body = client.fetch(&address.get(path, parameters))?;
    serde_json::from_slice(body).with_context(|| format!("{path}: the answer is no JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_measured_is_a_miss_that_says_why() {
        let claim = not_measured("PROD-001", "fleet", &anyhow::anyhow!("no such path").context("listing"));
        assert_eq!(claim.outcome, Outcome::Miss);
        assert!(claim.measured.contains("listing: no such path"), "{claim:?}");
    }

    #[test]
    fn a_name_that_is_no_claim_lists_those_that_are() {
        let args = ClaimsArgs {
            names: vec!["speed".into()],
            seconds: None,
            json: false,
            markdown: false,
            server: None,
            server_args: vec![],
        };
        assert!(run(&args).unwrap_err().to_string().contains("freshness-100k"));
    }
}
