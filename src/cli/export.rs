//! `infrawatch export`: the stored samples of some series as a CSV or Parquet file, from a running server.
//!
//! Not here: reading the store and writing the rows (the server's).
//!
//! Invariant: a file is whole or it is not there: it is written beside its name and renamed.

use super::ask::ServerFlag;
use super::{CliError, Format, FormatWord, Global};
use clap::Args;
use std::fs::{self, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

/// A day of a large store is some GB of text.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

#[derive(Debug, Args)]
pub(super) struct Export {
    /// Series, such as '{__name__=~"node_.*",job="a"}'; several are united
    #[arg(long = "match", value_name = "MATCHERS", required = true)]
    matchers: Vec<String>,
    /// First time: RFC 3339, seconds or milliseconds since 1970 [default: the oldest sample]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Last time [default: the newest sample]
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    #[command(flatten)]
    server: ServerFlag,
}

impl Export {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let format = match global.format {
            FormatWord::Parquet if global.output.is_none() && io::stdout().is_terminal() => {
                return Err(CliError::Usage("a Parquet file is nothing to look at: say --output FILE".to_owned()));
            }
            FormatWord::Parquet => "parquet",
            _ if global.format() == Format::Json => {
                return Err(CliError::Usage("samples are exported as csv or parquet".to_owned()));
            }
            _ => "csv",
        };
        let place = self.server.place(global)?;
        let (server, client) = (&place.url, place.client(TIMEOUT)?);
        let mut parameters: Vec<(&str, String)> = self.matchers.iter().map(|text| ("match", text.clone())).collect();
        parameters.push(("format", format.to_owned()));
        parameters.extend(self.from.iter().map(|time| ("start", time.clone())));
        parameters.extend(self.to.iter().map(|time| ("end", time.clone())));
        let url = format!("{server}/api/v1/export");
        let fetch = |out: &mut dyn Write| {
            let fetched = client.download(&url, &parameters, out);
            fetched.map_err(|what| CliError::Failed(format!("no export from {server}: {what}")))
        };
        let Some(path) = &global.output else { return fetch(&mut io::stdout().lock()) };
        let bytes = to_file(path, fetch)?;
        if !global.quiet {
            eprintln!("{bytes} bytes in {}", path.display());
        }
        Ok(())
    }
}

fn to_file(path: &Path, fetch: impl Fn(&mut dyn Write) -> Result<(), CliError>) -> Result<u64, CliError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |error: io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()));
    let mut file = BufWriter::new(File::create(partial).map_err(failed)?);
    let outcome = fetch(&mut file).and_then(|()| file.flush().map_err(failed));
    if let Err(error) = outcome {
        // What there is of it is of no use; the first error is the one to tell.
        let _ = fs::remove_file(partial);
        return Err(error);
    }
    let bytes = file.get_ref().metadata().map_err(failed)?.len();
    fs::rename(partial, path).map_err(failed)?;
    Ok(bytes)
}
