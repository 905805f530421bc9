//! `infrawatch health`: asks a server how it is; made for the health checks of containers and service managers.
//!
//! Not here: what healthy means (see `api`): any answer 200 to `/health` is.

use super::client::{Client, server_at, url_of};
use super::output::write_text;
use super::settings::load;
use super::{CliError, Global};
use clap::Args;
use std::time::Duration;

/// Longer than a busy server takes, shorter than the patience of whoever runs health checks.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Health {
    /// Server to ask, such as http://127.0.0.1:8080 [default: the configured http.listen]
    #[arg(long, alias = "url", value_name = "URL")]
    server: Option<String>,
}

impl Health {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let server = match &self.server {
            Some(server) => url_of(server),
            None => server_at(load(global, Vec::new())?.config.http.listen)?,
        };
        let url = format!("{server}/health");
        let said = ask(&url).map_err(|what| CliError::Failed(format!("no healthy answer from {url}: {what}")))?;
        if global.quiet { Ok(()) } else { write_text(global, &format!("{}\n", said.trim_end())) }
    }
}

/// The body of the answer, or why there is no good one.
fn ask(url: &str) -> Result<String, String> {
    let answer = Client::new(TIMEOUT).get(url)?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(format!("status {} {}", answer.status, answer.body.trim_end()))
    }
}
