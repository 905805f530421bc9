//! `infrawatch maintenance`: when trouble is expected, once or again and again.
//!
//! Not here: what a window does (the server's).

use super::alert::field_of;
use super::ask::ServerFlag;
use super::client::escaped;
use super::output::Rows;
use super::{CliError, Global};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

const COLUMNS: &[&str] = &["id", "state", "start", "end", "next_start", "matchers", "recurrence", "timezone", "reason"];

#[derive(Debug, Args)]
pub(super) struct MaintenanceCommand {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlag,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List windows, the latest start first
    List {
        /// Only those that are past, active or upcoming [default: all]
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// List every time of every window, once and recurring, the earliest first
    Calendar {
        /// From when on, as RFC 3339 or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME")]
        start: Option<String>,
        /// Until when [default: 30 days later]
        #[arg(long, value_name = "TIME")]
        end: Option<String>,
    },
    /// Plan a window
    Add {
        /// Matchers such as '{host="a"}', or the name of a metric
        #[arg(value_name = "MATCHERS")]
        what: String,
        /// When it starts, as RFC 3339 or seconds since 1970 [default: now]
        #[arg(long, value_name = "TIME")]
        start: Option<String>,
        /// How long it lasts, such as 2h
        #[arg(long, value_name = "DURATION")]
        duration: String,
        /// When it comes again: the five fields of cron, or an RRULE
        #[arg(long, value_name = "TEXT")]
        recurrence: Option<String>,
        /// The zone in which it recurs, such as Europe/Berlin
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        timezone: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Take a window away
    Remove {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl MaintenanceCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = self.server.open(global)?;
        match &self.what {
            What::List { state } => {
                let parameters: Vec<_> = state.clone().map(|state| ("state", state)).into_iter().collect();
                windows(&server.items("/api/v1/maintenance", &parameters)?).write(global)
            }
            What::Calendar { start, end } => {
                const FIELDS: [&str; 7] = ["start", "end", "state", "recurring", "matchers", "reason", "window"];
                let given = [("start", start), ("end", end)];
                let parameters: Vec<_> =
                    given.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
                let mut rows = Rows::new(&FIELDS);
                for item in server.items("/api/v1/maintenance/calendar", &parameters)? {
                    rows.push(FIELDS.map(|field| item[field].clone()).into());
                }
                rows.write(global)
            }
            What::Add { what, start, duration, recurrence, timezone, reason } => {
                let mut body = json!({ "duration": duration, "timezone": timezone, "reason": reason });
                body["start"] = start.clone().into();
                body["recurrence"] = recurrence.clone().into();
                body[field_of(what)] = what.as_str().into();
                windows(&[server.post("/api/v1/maintenance", &body)?]).write(global)
            }
            What::Remove { id } => server.delete(&format!("/api/v1/maintenance/{}", escaped(id))),
        }
    }
}

fn windows(items: &[Value]) -> Rows {
    let mut rows = Rows::new(COLUMNS);
    for item in items {
        rows.push(COLUMNS.iter().map(|field| item[*field].clone()).collect());
    }
    rows
}
