//! `infrawatch health`: asks a server how it is; made for the health checks of containers and service managers.
//!
//! Not here: what healthy means (see `api`): any answer 200 to `/health` is.

use super::ask::{Place, ServerFlag};
use super::output::write_text;
use super::{CliError, Global};
use clap::Args;
use std::time::Duration;

/// Longer than a busy server takes, shorter than the patience of whoever runs health checks.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(super) struct Health {
    #[command(flatten)]
    server: ServerFlag,
}

impl Health {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let place = self.server.place(global)?;
        let url = format!("{}/health", place.url);
        let said =
            ask(&place, &url).map_err(|what| CliError::Failed(format!("no healthy answer from {url}: {what}")))?;
        if global.quiet { Ok(()) } else { write_text(global, &format!("{}\n", said.trim_end())) }
    }
}

/// The body of the answer, or why there is no good one.
fn ask(place: &Place, url: &str) -> Result<String, String> {
    let answer = place.client(TIMEOUT).map_err(|error| error.to_string())?.get(url)?;
    if answer.status == 200 {
        Ok(answer.body)
    } else {
        Err(format!("status {} {}", answer.status, answer.body.trim_end()))
    }
}
