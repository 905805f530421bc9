//! `infrawatch alert`: the alerts of a running server, and what people do about them.
//!
//! Not here: what becomes of them (the server's).

use super::ask::{Asked, ServerFlag};
use super::client::escaped;
use super::output::Rows;
use super::{CliError, Global};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

#[derive(Debug, Args)]
pub(super) struct AlertCommand {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    server: ServerFlag,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List alerts, the newest first
    List {
        /// Only those that are active, acknowledged, resolved or suppressed [default: active,acknowledged]
        #[arg(long, value_name = "STATES")]
        state: Option<String>,
        /// Only those of info, warning or critical severity
        #[arg(long, value_name = "SEVERITIES")]
        severity: Option<String>,
        /// Only those whose labels match, such as '{host="a"}'
        #[arg(long = "match", value_name = "MATCHERS")]
        matchers: Option<String>,
    },
    /// Take an alert: nobody is told of it again until it becomes worse
    Acknowledge(Said),
    /// Declare an alert over
    Resolve(Said),
    /// Tell nobody of matching alerts for a while
    Silence {
        /// Matchers such as '{host="a"}', or the name of a metric
        #[arg(value_name = "MATCHERS")]
        what: String,
        /// For how long, such as 2h
        #[arg(long, value_name = "DURATION", default_value = "1h")]
        duration: String,
        /// Why
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        /// Who says so
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
    },
    /// List monitors and how they stand
    Monitors,
    /// List silences
    Silences,
    /// Take a silence away
    Unsilence {
        /// Its id
        #[arg(value_name = "ID")]
        id: String,
    },
}

#[derive(Debug, Args)]
struct Said {
    /// The alert's fingerprint
    #[arg(value_name = "FINGERPRINT")]
    fingerprint: String,
    /// Who says so
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Anything worth remembering
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl AlertCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = self.server.open(global)?;
        match &self.what {
            What::List { state, severity, matchers } => {
                let given = [("state", state), ("severity", severity), ("match", matchers)];
                let parameters: Vec<_> =
                    given.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))).collect();
                alerts(&server.items("/api/v1/alerts", &parameters)?).write(global)
            }
            What::Acknowledge(said) => said.tell(&server, "acknowledge", global),
            What::Resolve(said) => said.tell(&server, "resolve", global),
            What::Silence { what, duration, reason, by } => {
                let mut body = json!({ "duration": duration, "reason": reason });
                body[field_of(what)] = what.as_str().into();
                body["by"] = by.clone().or_else(user).into();
                let made = server.post("/api/v1/silence", &body)?;
                let mut rows = Rows::new(&["id", "until"]);
                rows.push(vec![made["id"].clone(), made["until"].clone()]);
                rows.write(global)
            }
            What::Monitors => {
                const FIELDS: [&str; 7] = ["name", "type", "state", "series", "evaluated_at", "query", "error"];
                let mut rows = Rows::new(&FIELDS);
                for item in server.items("/api/v1/monitors", &[])? {
                    rows.push(FIELDS.map(|field| item[field].clone()).into());
                }
                rows.write(global)
            }
            What::Silences => {
                let mut rows = Rows::new(&["id", "matchers", "state", "until", "by", "reason"]);
                for item in server.items("/api/v1/silences", &[])? {
                    rows.push(
                        ["id", "matchers", "state", "until", "by", "reason"].map(|field| item[field].clone()).into(),
                    );
                }
                rows.write(global)
            }
            What::Unsilence { id } => server.delete(&format!("/api/v1/silences/{}", escaped(id))),
        }
    }
}

impl Said {
    fn tell(&self, server: &Asked, verb: &str, global: &Global) -> Result<(), CliError> {
        let given = [("by", self.by.clone().or_else(user)), ("note", self.note.clone())];
        let body: Map<_, _> = given.into_iter().map(|(name, text)| (name.to_owned(), Value::from(text))).collect();
        let alert = server.post(&format!("/api/v1/alerts/{}/{verb}", self.fingerprint), &Value::Object(body))?;
        alerts(&[alert]).write(global)
    }
}

fn alerts(items: &[Value]) -> Rows {
    let mut rows = Rows::new(&["fingerprint", "severity", "state", "since", "count", "metric", "labels", "summary"]);
    for item in items {
        let mut labels = item["labels"].as_object().cloned().unwrap_or_default();
        labels.remove("alertname");
        let metric = labels.remove("metric_name").unwrap_or(Value::Null);
        let labels: Vec<_> =
            labels.iter().map(|(name, value)| format!("{name}={}", value.as_str().unwrap_or(""))).collect();
        let mut row: Vec<_> =
            ["fingerprint", "severity", "state", "starts_at", "count"].map(|field| item[field].clone()).into();
        row.extend([metric, labels.join(",").into(), item["summary"].clone()]);
        rows.push(row);
    }
    rows
}

/// Whether a text is matchers, or the name of a metric.
pub(super) fn field_of(text: &str) -> &'static str {
    if text.trim_start().starts_with('{') { "matchers" } else { "metric" }
}

/// Who types, as the system names them.
fn user() -> Option<String> {
    std::env::var("USER").ok().filter(|user| !user.is_empty())
}
