//! `infrawatch incident`: alerts that have one cause, as a running server has found them.
//!
//! Not here: how they are found (the server's).

use super::ask::ServerFlag;
use super::output::Rows;
use super::{CliError, Global};
use clap::{Args, Subcommand};
use serde_json::Value;

#[derive(Debug, Args)]
pub(super) struct IncidentCommand {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlag,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List incidents, the newest first
    List {
        /// Only those that are open or closed [default: all]
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Show the alerts of an incident, how likely each is its cause, and why each belongs to it
    Show {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl IncidentCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = self.server.open(global)?;
        match &self.what {
            What::List { state } => {
                let parameters: Vec<_> = state.clone().map(|state| ("state", state)).into_iter().collect();
                let mut rows =
                    Rows::new(&["id", "state", "severity", "start_time", "alert_count", "cause", "sure", "why"]);
                for item in server.items("/api/v1/incidents", &parameters)? {
                    let mut row: Vec<_> = ["id", "state", "severity", "start_time", "alert_count"]
                        .map(|field| item[field].clone())
                        .into();
                    row.extend(["metric_name", "sure", "why"].map(|field| item["cause"][field].clone()));
                    rows.push(row);
                }
                rows.write(global)
            }
            What::Show { id } => {
                let incident = server.get(&format!("/api/v1/incidents/{id}"))?;
                let mut rows = Rows::new(&[
                    "fingerprint",
                    "starts_at",
                    "severity",
                    "state",
                    "cause_score",
                    "cause_why",
                    "part_why",
                    "summary",
                ]);
                let of = |list: &str, print: &Value, field: &str| {
                    let known = incident[list].as_array().into_iter().flatten().find(|one| one["alert"] == *print);
                    known.map_or(Value::Null, |known| known[field].clone())
                };
                for alert in incident["alerts"].as_array().into_iter().flatten() {
                    let print = &alert["fingerprint"];
                    let mut row: Vec<_> =
                        ["fingerprint", "starts_at", "severity", "state"].map(|field| alert[field].clone()).into();
                    row.extend([
                        of("candidates", print, "score"),
                        of("candidates", print, "why"),
                        of("evidence", print, "why"),
                    ]);
                    row.push(alert["summary"].clone());
                    rows.push(row);
                }
                rows.write(global)
            }
        }
    }
}
