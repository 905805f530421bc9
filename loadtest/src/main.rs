//! Seeded, prebuilt load over real sockets, and the figures it gives.
//!
//! ```text
//! scenario -> payload (fleet: labels, values) -> sender ==http==> server -> verify (reads back)
//!                                                                   |
//!                               server_process, process_stats, metrics_page -> report
//! ```
//!
//! Start reading at `scenario`, then `payload`, then `sender`; `write` puts them together, and `queries`, `crash`,
//! `resend`, `soak` and `table` do the same with other ends. `plan` runs several kinds of requests at once, `claims` holds
//! the server to what is promised of it, `snmp` simulates devices to be polled. Nothing of the server is linked in: what is checked here is what
//! goes over the wire. Exit codes: 0 all good, 1 failed or samples lost, 2 wrong usage.

mod claims;
mod cli;
mod crash;
mod fleet;
mod flood;
mod http;
mod meter;
mod metrics_page;
mod payload;
mod plan;
mod process_stats;
mod queries;
mod readers;
mod remote_write_message;
mod report;
mod resend;
mod scenario;
mod sender;
mod server_process;
mod snmp;
mod soak;
mod statsd;
mod storm;
mod table;
mod target;
mod verify;
mod write;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Write(args) => write::run(&args),
        Command::Resend(args) => resend::run(&args),
        Command::Query(args) => queries::run(&args),
        Command::Crash(args) => crash::run(&args),
        Command::Table(args) => table::run(&args),
        Command::Statsd(args) => statsd::run(&args),
        Command::Flood(args) => flood::run(&args),
        Command::Scenario(args) => plan::run(&args),
        Command::Claims(args) => claims::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Readers(args) => readers::run(&args),
        Command::Snmp(args) => snmp::run(&args),
        Command::Storm(args) => storm::run(&args),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("loadtest: {error:#}");
            ExitCode::FAILURE
        }
    }
}
