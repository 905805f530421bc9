//! The command line: what may be typed, what it starts, and the exit code it ends with.
//!
//! One file per subcommand; `settings` turns flags and environment into a `Config`, `output` writes results as
//! table, JSON or CSV, `error` holds the one line a failure says.
//!
//! Not here: the server (see `server`); a subcommand only reads its arguments, calls what does the work and prints.
//!
//! Invariants: results go to standard output or `--output`, everything else to standard error; exit code 0 is done,
//! 1 failed, 2 wrong usage.

mod alert;
mod bench;
mod calibrate;
mod collect;
mod config;
mod demo;
mod detect;
mod evaluate;
mod export;
mod forecast;
mod forecast_words;
mod generate;
mod health;
mod incident;
mod maintenance;
mod models;
mod profile;
mod query;
mod repair;
mod replay;
mod report;
mod selftest;
mod serve;
mod snapshot;
mod snmp;
mod version;

mod ask;
mod client;
mod detect_named;
mod error;
mod import;
mod labels;
mod layers;
mod named;
mod offline;
mod output;
mod picture;
mod settings;

pub use error::CliError;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Ingests infrastructure metrics, stores them and answers queries, in one binary.
#[derive(Debug, Parser)]
#[command(name = "infrawatch", version = version::LINE, max_term_width = 100, subcommand_required = true)]
#[command(arg_required_else_help = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options that every subcommand takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Options of every command")]
struct Global {
    /// Settings file; without it INFRAWATCH_CONFIG is looked at, and nothing else
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Least important message that is still logged: off, error, warn, info, debug or trace [default: info]
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    /// How results are written: table, json or csv; exports csv or parquet
    #[arg(long, global = true, value_enum, default_value_t, hide_possible_values = true)]
    format: FormatWord,
    /// Same as --format json
    #[arg(long, global = true, conflicts_with = "format")]
    json: bool,
    /// Write results to a file instead of standard output
    #[arg(long, global = true, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Say nothing on standard error but errors
    #[arg(long, short, global = true)]
    quiet: bool,
}

/// What may stand behind `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FormatWord {
    /// Columns for people
    #[default]
    Table,
    /// An array of objects
    Json,
    /// Comma-separated values with a header
    Csv,
    /// Of exported samples only
    Parquet,
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server until it is told to stop
    Serve(serve::Serve),
    /// Find five anomalies in a made week of CPU load: see what this program does, without settings or data
    Demo(demo::Demo),
    /// Judge every sample of a file: what is unusual, and why
    Detect(detect::Detect),
    /// Compare what is said of the samples of a file with labels
    Evaluate(evaluate::Evaluate),
    /// Choose the score from which to flag, by labels and a wanted precision
    Calibrate(calibrate::Calibrate),
    /// Describe the series of a file, or of a metric of a server, and say which detectors suit them
    Profile(profile::Profile),
    /// Say what the series of a file will do next, and when they reach a limit
    Forecast(forecast::Forecast),
    /// Report on a running server, or a store: which series run full, and when
    Report(report::ReportCommand),
    /// Take the samples of CSV or JSON files in
    Collect(collect::Collect),
    /// Write CSV files of seeded metrics with known anomalies
    Generate(generate::Generate),
    /// Ask a running server for the value of an expression, now or over a range
    Query(query::Query),
    /// Write the stored samples of some series to a CSV or Parquet file
    Export(export::Export),
    /// List, take, resolve and silence alerts of a running server
    Alert(alert::AlertCommand),
    /// List incidents of a running server: alerts with one cause, and which it is
    Incident(incident::IncidentCommand),
    /// Plan when trouble is expected, and list what is planned
    Maintenance(maintenance::MaintenanceCommand),
    /// List and remove the models of a running server, and check a foundation model
    Models(models::Models),
    /// Ask devices by SNMP, or list those that a server polls
    Snmp(snmp::Snmp),
    /// Check or show settings
    Config(config::ConfigCommand),
    /// Ask a running server how it is; exit code 0 if healthy, else 1
    Health(health::Health),
    /// Measure this program on this machine: speed of its parts, and detection of known anomalies
    Bench(bench::Bench),
    /// Check that a server works on this machine: one of its own, on free ports and with a folder of its own
    #[command(name = "selftest")]
    SelfTest(selftest::SelfTest),
    /// Look at a store that no server has open, and save what is whole of what is damaged
    Repair(repair::Repair),
    /// Copy a store, also while its server runs; the copy is a store by itself
    Snapshot(snapshot::Snapshot),
    /// Show version and licence
    Version(version::Version),
}

/// Runs what the process's own arguments ask for.
pub fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Nowhere is left to report that the message itself could not be written.
            let _ = error.print();
            return ExitCode::from(error.exit_code() as u8);
        }
    };
    match run(&line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(line: &CommandLine) -> Result<(), CliError> {
    if line.global.format == FormatWord::Parquet && !matches!(line.command, Command::Export(_)) {
        return Err(CliError::Usage("--format parquet is of export only".to_owned()));
    }
    match &line.command {
        Command::Serve(serve) => serve.run(&line.global),
        Command::Demo(demo) => demo.run(&line.global),
        Command::Detect(detect) => detect.run(&line.global),
        Command::Evaluate(evaluate) => evaluate.run(&line.global),
        Command::Calibrate(calibrate) => calibrate.run(&line.global),
        Command::Profile(profile) => profile.run(&line.global),
        Command::Forecast(forecast) => forecast.run(&line.global),
        Command::Report(report) => report.run(&line.global),
        Command::Collect(collect) => collect.run(&line.global),
        Command::Generate(generate) => generate.run(&line.global),
        Command::Query(query) => query.run(&line.global),
        Command::Export(export) => export.run(&line.global),
        Command::Alert(alert) => alert.run(&line.global),
        Command::Incident(maintenance) => maintenance.run(&line.global),
        Command::Maintenance(maintenance) => maintenance.run(&line.global),
        Command::Models(models) => models.run(&line.global),
        Command::Snmp(snmp) => snmp.run(&line.global),
        Command::Config(config) => config.run(&line.global),
        Command::Health(health) => health.run(&line.global),
        Command::Bench(bench) => bench.run(&line.global),
        Command::SelfTest(selftest) => selftest.run(&line.global),
        Command::Repair(repair) => repair.run(&line.global),
        Command::Snapshot(snapshot) => snapshot.run(&line.global),
        Command::Version(version) => version.run(&line.global),
    }
}

impl Global {
    fn format(&self) -> Format {
        match self.format {
            _ if self.json => Format::Json,
            FormatWord::Json => Format::Json,
            FormatWord::Csv => Format::Csv,
            // Refused before any command but the one that asks for the word itself.
            FormatWord::Table | FormatWord::Parquet => Format::Table,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KEYS;
    use clap::CommandFactory;

    /// Every long flag of every subcommand, with its dashes.
    /// Every flag of every subcommand, with its dashes, and its help.
    fn flags() -> Vec<(String, String)> {
        fn of(command: &clap::Command, found: &mut Vec<(String, String)>) {
            let help = |arg: &clap::Arg| arg.get_help().map(ToString::to_string).unwrap_or_default();
            let flag = |arg: &clap::Arg| Some((format!("--{}", arg.get_long()?), help(arg)));
            found.extend(command.get_arguments().filter_map(flag));
            command.get_subcommands().for_each(|command| of(command, found));
        }
        let mut found = Vec::new();
        of(&CommandLine::command(), &mut found);
        found
    }

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn every_flag_of_the_table_of_keys_can_be_typed_and_tells_its_default() {
        let flags = flags();
        for key in KEYS.iter().filter(|key| key.flag.is_some()) {
            let flag = flags.iter().find(|(typed, _)| Some(typed.as_str()) == key.flag);
            let (_, help) = flag.unwrap_or_else(|| panic!("{} cannot be typed", key.name));
            let told = if key.default.is_empty() { "none" } else { key.default };
            assert!(help.ends_with(&format!("[default: {told}]")), "{}: {help}", key.name);
        }
    }

    #[test]
    fn json_is_another_word_for_the_json_format() {
        let line = CommandLine::try_parse_from(["infrawatch", "version", "--json"]).unwrap();
        assert_eq!(line.global.format(), Format::Json);
        assert!(CommandLine::try_parse_from(["infrawatch", "version", "--json", "--format", "csv"]).is_err());
    }
}
