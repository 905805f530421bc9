//! The command `table`: the three reference loads, as a markdown table beside the targets and the peers' figures.
//!
//! Not here: queries (see `queries`). The peers' figures are constants, measured on one 2-core machine that server and
//! load generator shared; `--peer` measures them again in the same run, which is the fairer comparison.

use anyhow::Result;

use crate::cli::{MeasureArgs, TableArgs};
use crate::meter::unix_ms;
use crate::payload::Payload;
use crate::process_stats::machine;
use crate::report::{Table, figures, mib};
use crate::scenario::Scenario;
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
    let command: Vec<String> = std::env::args().skip(1).collect();
    println!("Machine: {}. Command: `loadtest {}`.\n\n{}", machine(), command.join(" "), table.markdown());
    problems.iter().for_each(|problem| eprintln!("{problem}"));
    Ok(problems.is_empty())
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
