//! `infrawatch snapshot DIR`: a copy of a store that is a store by itself, made by the running server, or without one.
//!
//! Not here: the copying (see `storage`).

use super::ask::ServerFlag;
use super::offline::open_store;
use super::output::Rows;
use super::settings::{flag, load};
use super::{CliError, Global};
use crate::config::Config;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Copying takes about 2 s a GiB on a fast disk.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug, Args)]
pub(super) struct Snapshot {
    /// Directory to make, on the machine of the server
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    server: ServerFlag,
    /// Directory of the store, when no server runs on it [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

impl Snapshot {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let flags = flag("storage.data_dir", "--data-dir", self.data_dir.as_ref());
        let config = load(global, flags.into_iter().collect())?.config;
        let dir = std::path::absolute(&self.dir)
            .map_err(|error| CliError::Failed(format!("{}: {error}", self.dir.display())))?;
        let (status, body) = match self.server.that_answers(&config.http)? {
            Some(place) => {
                let url = format!("{}{}", place.url, path(&dir));
                let answer = place.client(TIMEOUT)?.post_json(&url, "").map_err(CliError::Failed)?;
                (answer.status, answer.body)
            }
            None => offline(global, &config, &dir)?,
        };
        let answer: Value = match status {
            200 => serde_json::from_str(&body).map_err(|error| CliError::Failed(error.to_string()))?,
            _ => return Err(CliError::Failed(body.trim_end().to_owned())),
        };
        let mut rows = Rows::new(&["dir", "files", "bytes"]);
        rows.push(vec![answer["dir"].clone(), answer["files"].clone(), answer["bytes"].clone()]);
        rows.write(global)
    }
}

/// Opens the store, which no server may have open, and lets it copy itself.
fn offline(global: &Global, config: &Config, dir: &Path) -> Result<(u16, String), CliError> {
    let failed = |error| CliError::Failed(format!("{error:#}"));
    let local = open_store(global, config)?;
    let answer = local.post(&path(dir), String::new()).map_err(failed)?;
    local.close().map_err(failed)?;
    Ok(answer)
}

/// The request's path, with the directory percent-encoded.
fn path(dir: &Path) -> String {
    let mut path = "/-/snapshot?dir=".to_owned();
    for byte in dir.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' => path.push(char::from(*byte)),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_path_is_one_parameter() {
        assert_eq!(path(Path::new("/a b&c=1/ü.x")), "/-/snapshot?dir=/a%20b%26c%3D1/%C3%BC.x");
    }
}
