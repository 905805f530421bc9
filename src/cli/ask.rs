//! Asking a running server's REST API: lists page by page, changes one by one, and its own words where it refuses.
//!
//! Not here: how the answer is shown (see the commands).

use super::client::{Answer, Client, server_at, url_of};
use super::settings::load;
use super::{CliError, Global};
use clap::Args;
use serde_json::Value;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// Most items that the server gives at a time.
const PAGE: usize = 1000;

/// Which server is asked.
#[derive(Debug, Args)]
pub(super) struct ServerFlag {
    /// Server to ask, such as http://127.0.0.1:8080 [default: the configured http.listen]
    #[arg(long, alias = "url", value_name = "URL", global = true)]
    server: Option<String>,
}

/// A server that is asked.
#[derive(Debug)]
pub(super) struct Asked {
    url: String,
    client: Client,
}

impl ServerFlag {
    /// The server of the flag, or of the settings.
    pub(super) fn open(&self, global: &Global) -> Result<Asked, CliError> {
        let url = match &self.server {
            Some(server) => url_of(server),
            None => server_at(load(global, Vec::new())?.config.http.listen)?,
        };
        Ok(Asked { url, client: Client::new(TIMEOUT) })
    }
}

impl Asked {
    /// All items of a list.
    pub(super) fn items(&self, path: &str, parameters: &[(&str, String)]) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        loop {
            let mut all = parameters.to_vec();
            all.extend([("limit", PAGE.to_string()), ("skip", items.len().to_string())]);
            let page = self.read(self.client.get_with(&format!("{}{path}", self.url), &all))?;
            let before = items.len();
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            if items.len() == before || items.len() as u64 >= page["total"].as_u64().unwrap_or(0) {
                return Ok(items);
            }
        }
    }

    /// POST of JSON.
    pub(super) fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        self.read(self.client.post_json(&format!("{}{path}", self.url), &body.to_string()))
    }

    /// GET of one thing.
    pub(super) fn get(&self, path: &str) -> Result<Value, CliError> {
        self.read(self.client.get_with(&format!("{}{path}", self.url), &[]))
    }

    /// DELETE.
    pub(super) fn delete(&self, path: &str) -> Result<(), CliError> {
        self.read(self.client.delete(&format!("{}{path}", self.url))).map(drop)
    }

    fn read(&self, answer: Result<Answer, String>) -> Result<Value, CliError> {
        let answer = answer.map_err(|what| CliError::Failed(format!("no answer from {}: {what}", self.url)))?;
        let body: Value = match answer.body.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .map_err(|_| CliError::Failed(format!("{} answered {} and no JSON", self.url, answer.status)))?,
        };
        match (body["error"].as_str(), answer.status) {
            (Some(error), _) => Err(CliError::Failed(error.to_owned())),
            (None, 200..300) => Ok(body),
            (None, status) => Err(CliError::Failed(format!("{} answered {status}", self.url))),
        }
    }
}
