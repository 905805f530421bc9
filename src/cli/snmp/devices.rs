//! `infrawatch snmp devices`: the devices that a running server polls, and how they are.
//!
//! Not here: polling, and what is shown of a device (the server's).

use super::super::ask::ServerFlag;
use super::super::output::Rows;
use super::super::{CliError, Global};
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct Devices {
    /// Only those that are up, down or new
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    server: ServerFlag,
}

impl Devices {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let mut rows =
            Rows::new(&["device", "address", "version", "state", "last_poll", "round_trip_ms", "interfaces", "error"]);
        let parameters: Vec<(&str, String)> = self.state.iter().map(|state| ("state", state.clone())).collect();
        for item in self.server.open(global)?.items("/api/v1/snmp/devices", &parameters)? {
            let round_trip = item["round_trip_ms"].as_f64().map_or(Value::Null, |ms| format!("{ms:.1}").into());
            let mut row: Vec<Value> =
                ["name", "address", "version", "state", "last_poll"].map(|field| item[field].clone()).into();
            row.extend([round_trip, item["interfaces"].clone(), item["error"].clone()]);
            rows.push(row);
        }
        rows.write(global)
    }
}
