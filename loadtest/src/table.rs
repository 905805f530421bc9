//! The command `table`: the three reference loads, and what becomes of acknowledged samples, as a markdown table beside
//! the targets and the peers' figures.
//!
//! Not here: queries (see `queries`); peers are not killed (no samples of theirs are kept apart from ours). The peers' figures are constants, measured on one 2-core machine that server and
//! load generator shared; `--peer` measures them again in the same run, which is the fairer comparison.

use anyhow::{Context, Result};

use crate::claims::restart::{Restart, restart};
use crate::cli::{CrashArgs, MeasureArgs, TableArgs};
use crate::crash::crash_rounds;
use crate::meter::unix_ms;
use crate::payload::Payload;
use crate::process_stats::machine;
use crate::report::{Table, figures, grouped, mib};
use crate::resend::resend;
use crate::scenario::Scenario;
use crate::server_process::ScratchDir;
use crate::target::Target;
use crate::write::{ProcessReport, WriteReport, measure};

/// How a line's figure comes from a report.
type Figure = fn(&ProcessReport) -> Option<f64>;

/// One line: its name, what we want, and what VictoriaMetrics 1.79 and Prometheus 2.42 reached.
struct Line {
    name: &'static str,
    target: &'static str,
    peers: [&'static str; 2],
    figure: Figure,
}

const CPU: Figure = |used| Some(used.cpu_s_per_million_after_drain);
const BYTES: Figure = |used| Some(used.bytes_per_sample);
const COMPACTED_BYTES: Figure = |used| used.compacted.as_ref().map(|compacted| compacted.bytes_per_sample);
const PEAK_RSS: Figure = |used| Some(mib(used.peak_rss_bytes));

/// The loads and the lines each of them gives.
const LOADS: [(&str, &[Line]); 3] = [
    (
        "steady",
        &[
            Line {
                name: "CPU-s per million samples, 10 k series x 600",
                target: "0.50 with scoring, 0.30 without",
                peers: ["0.79", "3.95"],
                figure: CPU,
            },
            Line {
                name: "bytes a sample on disk, 10 s after the last write",
                target: "2.5",
                peers: ["1.46", "3.09"],
                figure: BYTES,
            },
            Line { name: "the same, after /-/compact", target: "1.4", peers: ["-", "-"], figure: COMPACTED_BYTES },
            Line { name: "peak RSS, MiB, 10 k series", target: "180", peers: ["178", "147"], figure: PEAK_RSS },
        ],
    ),
    (
        "wide",
        &[
            Line {
                name: "CPU-s per million samples, 100 k series x 60",
                target: "0.90",
                peers: ["1.34", "5.2"],
                figure: CPU,
            },
            Line { name: "peak RSS, MiB, 100 k series", target: "400", peers: ["230", "428"], figure: PEAK_RSS },
        ],
    ),
    (
        "churn",
        &[
            Line {
                name: "CPU-s per million samples, 500 k new series x 4",
                target: "3.0",
                peers: ["5.6", "9.5"],
                figure: CPU,
            },
            Line {
                name: "peak RSS, MiB, 500 k churned series",
                target: "1000",
                peers: ["340", "1482"],
                figure: PEAK_RSS,
            },
        ],
    ),
];

/// Rounds of kill -9 in the table; the command `crash` makes more.
const KILLS: usize = 5;

/// A line that has no report of a load: name, target, peers, and what our server gave.
type Kept = (&'static str, &'static str, [&'static str; 2], String);

/// Runs the command; says whether nothing was lost.
///
/// # Errors
/// When a server cannot be started or reached.
pub(crate) fn run(args: &TableArgs) -> Result<bool> {
    let targets = Target::all(&args.target)?;
    let heads = ["", "target", "VictoriaMetrics 1.79", "Prometheus 2.42"].map(str::to_owned);
    let measured = targets.iter().map(|target| format!("{}, this run", target.name()));
    let mut table = Table::new(heads.into_iter().chain(measured));
    let mut problems = Vec::new();
    let drain_and_compact = MeasureArgs { drain_s: 10.0, compact: true, verify: false };
    for (name, lines) in LOADS {
        let scenario = shrunk(Scenario::load(name)?, args.shrink);
        let mut reports = Vec::new();
        for target in &targets {
            let payload = Payload::ending_at(&scenario, unix_ms());
            eprintln!("{name}: {}", target.name());
            reports.push(measure(target, &scenario, &payload, &drain_and_compact)?);
        }
        for line in lines {
            table.row(line.name, cells(line, &reports));
        }
        let bad = reports.into_iter().filter(|report| !report.is_good());
        problems.extend(bad.map(|report| format!("{name}: {}: {}", report.target, trouble(&report))));
    }
    if let Some(ours) = targets.iter().position(|target| target.our_program().is_some()) {
        for (name, target, peers, figure) in kept(&targets[ours], args.shrink, &mut problems)? {
            let measured = (0..targets.len()).map(|at| if at == ours { figure.clone() } else { "-".to_owned() });
            table.row(name, [target, peers[0], peers[1]].map(str::to_owned).into_iter().chain(measured));
        }
    }
    let command: Vec<String> = std::env::args().skip(1).collect();
    println!("Machine: {}. Command: `loadtest {}`.\n\n{}", machine(), command.join(" "), table.markdown());
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    Ok(problems.is_empty())
}

/// What is left of acknowledged samples after kills, and of those that are sent again.
fn kept(target: &Target, shrink: usize, problems: &mut Vec<String>) -> Result<Vec<Kept>> {
    let program = target.our_program().context("the server is not ours")?;
    let fewer = |count: usize| (count / shrink.max(1)).max(1);
    eprintln!("kill -9, {KILLS} times");
    let args = CrashArgs {
        rounds: KILLS,
        seed: 1,
        series: fewer(2000),
        samples: 1000,
        per_request: 500,
        connections: 4,
        server: None,
        json: false,
        server_args: Vec::new(),
    };
    let killed = crash_rounds(&args, program, &ScratchDir::new()?)?;
    eprintln!("restart");
    let Restart { ready_s, caught_up_s, lost, acknowledged } = restart(program, shrink)?;
    eprintln!("resend");
    let scenario = Scenario { series: fewer(10_000), samples: 100, ..Scenario::default() };
    let resent = resend(target, &scenario, &Payload::ending_at(&scenario, unix_ms()))?;
    for (is_good, what) in [
        (killed.is_good(), "kill -9: samples are lost or others"),
        (lost == 0, "restart: samples are lost or others"),
        (resent.is_good(), "resend: refused, or stored a second time"),
    ] {
        problems.extend((!is_good).then(|| what.to_owned()));
    }
    let lost_of = |lost: usize, all: usize| format!("{lost} of {}", grouped(all as i64));
    let again = lost_of(resent.stored_second as usize, resent.acknowledged_second);
    let seconds = |seconds: f64| figures(seconds);
    Ok(vec![
        (
            "acknowledged samples lost by kill -9, five times",
            "0",
            ["6.7-9.9 s of data", "0"],
            lost_of(killed.lost + lost, killed.acknowledged + acknowledged),
        ),
        (
            "restart after kill -9, 5 M samples in the journal, s to ready",
            "0.35",
            ["0.03-0.1", "0.19-0.35"],
            seconds(ready_s),
        ),
        ("scores caught up after that, s", "2", ["-", "-"], caught_up_s.map_or("never".to_owned(), seconds)),
        ("acknowledged samples sent again: stored twice", "0", ["all", "400"], again),
    ])
}

fn cells(line: &Line, reports: &[WriteReport]) -> Vec<String> {
    let known = [line.target, line.peers[0], line.peers[1]].map(str::to_owned);
    let measured = reports.iter().map(|report| {
        let figure = report.process.as_ref().and_then(line.figure);
        figure.map_or_else(|| "-".to_owned(), figures)
    });
    known.into_iter().chain(measured).collect()
}

fn trouble(report: &WriteReport) -> String {
    let refusal = report.first_refusal.as_deref().unwrap_or("none");
    format!(
        "{} of {} samples acknowledged, lost {:?}, accounting law {:?}, first refusal: {refusal}",
        report.acknowledged, report.sent, report.lost, report.accounting_law_holds
    )
}

/// The same load with fewer series.
fn shrunk(scenario: Scenario, by: usize) -> Scenario {
    let fewer = |count: usize| (count / by.max(1)).max(1);
    Scenario { series: fewer(scenario.series), live_series: scenario.live_series.map(fewer), ..scenario }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_load_is_a_built_in_scenario_and_has_its_lines() {
        for (name, lines) in LOADS {
            assert!(Scenario::load(name).is_ok(), "{name}");
            assert!(!lines.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_shrunk_load_keeps_its_generations() {
        let scenario = shrunk(Scenario::load("churn").unwrap(), 100);
        assert_eq!((scenario.series, scenario.live_series, scenario.samples), (5000, Some(500), 4));
    }

    #[test]
    fn a_line_without_a_figure_shows_a_dash() {
        let line = &LOADS[0].1[0];
        assert_eq!(cells(line, &[]), ["0.50 with scoring, 0.30 without", "0.79", "3.95"]);
    }
}
