//! A store that no server has open, for commands that can do without one.
//!
//! Not here: whether a server answers (see `ask`).

use super::{CliError, Global};
use crate::config::{Config, Level};
use crate::logging;
use crate::server::Local;

/// Opens the store of the settings, and says so. What is logged meanwhile begins at warnings unless a level is asked for.
///
/// # Errors
/// When there is no store, which is not made, or it cannot be opened.
pub(super) fn open_store(global: &Global, config: &Config) -> Result<Local, CliError> {
    let store = &config.storage.data_dir;
    if !store.join("STORE").exists() {
        return Err(CliError::Failed(format!("no server answers, and there is no store in {}", store.display())));
    }
    let mut log = config.log.clone();
    if global.log_level.is_none() {
        log.level = Level::Warn;
    }
    logging::init(&log);
    if !global.quiet {
        eprintln!("no server answers: opening {}", store.display());
    }
    Local::open(config).map_err(|error| CliError::Failed(format!("{error:#}")))
}
