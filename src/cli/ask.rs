//! Asking a running server's REST API: lists page by page, changes one by one, and its own words where it refuses.
//!
//! Not here: how the answer is shown (see the commands).

use super::client::{Answer, Client, server_at, url_of};
use super::settings::load;
use super::{CliError, Global};
use crate::config::{CA_VARIABLE, Http};
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may take to say that it is there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
/// Most items that the server gives at a time.
const PAGE: usize = 1000;

/// Which server is asked, and whom it may be.
#[derive(Debug, Args)]
pub(super) struct ServerFlag {
    /// Server to ask, such as http://127.0.0.1:8080 [default: the configured http.listen]
    #[arg(long, alias = "url", value_name = "URL", global = true)]
    server: Option<String>,
    /// Certificates to trust when it speaks HTTPS, as PEM [default: INFRAWATCH_CA_FILE, else those of the system]
    #[arg(long, value_name = "FILE", global = true)]
    ca_file: Option<PathBuf>,
}

/// A server that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// Its address, without a slash at its end.
    pub(super) url: String,
    /// Whether it was named, and not only configured.
    pub(super) is_named: bool,
    trusted: Option<PathBuf>,
}

impl Place {
    /// A client for it whose every request may take so long.
    pub(super) fn client(&self, timeout: Duration) -> Result<Client, CliError> {
        Client::of(&self.url, timeout, self.trusted.as_deref())
    }
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
        let place = self.place(global)?;
        Ok(Asked { client: place.client(TIMEOUT)?, url: place.url })
    }

    /// The server of the flag, or of the settings, which are read only where they are needed.
    pub(super) fn place(&self, global: &Global) -> Result<Place, CliError> {
        match &self.server {
            Some(server) => Ok(self.named(server)),
            None => self.place_of(&load(global, Vec::new())?.config.http),
        }
    }

    /// The same by settings that were read already.
    pub(super) fn place_of(&self, http: &Http) -> Result<Place, CliError> {
        match &self.server {
            Some(server) => Ok(self.named(server)),
            // Our own certificate is trusted where nothing else is said: it may be signed by itself.
            None => {
                let trusted = self.trusted().or_else(|| http.tls_cert_file.clone());
                Ok(Place { url: server_at(http)?, is_named: false, trusted })
            }
        }
    }

    /// The server to ask; none when it is not named and does not answer, so that the store may be opened without one.
    pub(super) fn that_answers(&self, http: &Http) -> Result<Option<Place>, CliError> {
        let Ok(place) = self.place_of(http) else { return Ok(None) };
        let url = &place.url;
        match place.client(PROBE_TIMEOUT)?.get(&format!("{url}/-/healthy")) {
            Ok(_) => Ok(Some(place)),
            Err(what) if place.is_named => Err(CliError::Failed(format!("no server answers at {url} ({what})"))),
            Err(_) => Ok(None),
        }
    }

    fn named(&self, server: &str) -> Place {
        Place { url: url_of(server), is_named: true, trusted: self.trusted() }
    }

    fn trusted(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os(CA_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
        self.ca_file.clone().or_else(variable)
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
