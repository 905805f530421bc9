//! `infrawatch snmp`: asks one device directly and says in plain words what is wrong, walks it, or lists what is polled.
//!
//! Not here: the protocol (see `protocols::snmp`), polling (see `ingest::snmp`).
//!
//! Invariant: secrets are taken from the command line or the file of devices and never printed.

mod devices;
mod exchange;
mod target;
mod test;
mod walk;

use super::{CliError, Global};
use clap::{Args, Subcommand};

/// SNMP by hand.
#[derive(Debug, Args)]
pub(super) struct Snmp {
    #[command(subcommand)]
    command: SnmpCommand,
}

#[derive(Debug, Subcommand)]
enum SnmpCommand {
    /// Ask a device who it is; if it does not answer, say what is wrong
    Test(test::Test),
    /// Print everything a device answers below an object
    Walk(walk::Walk),
    /// List the devices that a running server polls, and how they are
    Devices(devices::Devices),
}

impl Snmp {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        match &self.command {
            SnmpCommand::Test(test) => test.run(global),
            SnmpCommand::Walk(walk) => walk.run(global),
            SnmpCommand::Devices(devices) => devices.run(global),
        }
    }
}
