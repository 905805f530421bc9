//! `infrawatch snmp devices`: the devices that a running server polls, and how they are.
//!
//! Not here: polling, and what is shown of a device (the server's).

use super::super::client::{Client, server_at, url_of};
use super::super::output::Rows;
use super::super::settings::load;
use super::super::{CliError, Global};
use clap::Args;
use serde_json::Value;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Most devices that the server gives at a time.
const PAGE: usize = 1000;

#[derive(Debug, Args)]
pub(super) struct Devices {
    /// Only those that are up, down or new
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Server to ask, such as http://127.0.0.1:8080 [default: the configured http.listen]
    #[arg(long, alias = "url", value_name = "URL")]
    server: Option<String>,
}

impl Devices {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = match &self.server {
            Some(server) => url_of(server),
            None => server_at(load(global, Vec::new())?.config.http.listen)?,
        };
        let mut rows =
            Rows::new(&["device", "address", "version", "state", "last_poll", "round_trip_ms", "interfaces", "error"]);
        let mut skip = 0;
        loop {
            let page = self.page(&server, skip)?;
            let items = page["items"].as_array().cloned().unwrap_or_default();
            skip += items.len();
            for item in &items {
                let round_trip = item["round_trip_ms"].as_f64().map_or(Value::Null, |ms| format!("{ms:.1}").into());
                let mut row: Vec<Value> =
                    ["name", "address", "version", "state", "last_poll"].map(|field| item[field].clone()).into();
                row.extend([round_trip, item["interfaces"].clone(), item["error"].clone()]);
                rows.push(row);
            }
            if items.is_empty() || skip as u64 >= page["total"].as_u64().unwrap_or(0) {
                return rows.write(global);
            }
        }
    }

    fn page(&self, server: &str, skip: usize) -> Result<Value, CliError> {
        let url = format!("{server}/api/v1/snmp/devices");
        let mut parameters = vec![("limit", PAGE.to_string()), ("skip", skip.to_string())];
        parameters.extend(self.state.clone().map(|state| ("state", state)));
        let answer = Client::new(TIMEOUT).get_with(&url, &parameters);
        let answer = answer.map_err(|what| CliError::Failed(format!("no answer from {server}: {what}")))?;
        let body: Value = serde_json::from_str(&answer.body)
            .map_err(|_| CliError::Failed(format!("{url} answered {} and no JSON", answer.status)))?;
        match body["error"].as_str() {
            Some(error) => Err(CliError::Failed(error.to_owned())),
            None => Ok(body),
        }
    }
}
