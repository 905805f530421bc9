//! `infrawatch config check` and `config print`: are the settings right, what are they, and where from.
//!
//! Not here: building the settings (see `config`).

use super::output::{Rows, write_text};
use super::settings::{environment, load, sources, warn};
use super::{CliError, Global};
use crate::config::{self, Config, ConfigErrors, KEYS, Origin};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read the settings and list every mistake
    Check {
        /// Settings file; the same as --config
        #[arg(value_name = "FILE", conflicts_with = "config")]
        file: Option<PathBuf>,
    },
    /// Show every setting, its value and where it came from
    Print {
        /// Show the defaults and look at nothing else
        #[arg(long)]
        defaults: bool,
    },
    /// Same as print --defaults
    #[command(hide = true)]
    PrintDefaults,
}

impl ConfigCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        match &self.action {
            Action::Check { file } => check(global, file.clone()),
            Action::Print { defaults: false } => rows(&load(global, Vec::new())?.config).write(global),
            Action::Print { defaults: true } | Action::PrintDefaults => rows(&Config::default()).write(global),
        }
    }
}

fn check(global: &Global, file: Option<PathBuf>) -> Result<(), CliError> {
    let mut sources = sources(global, Vec::new(), environment());
    sources.file = file.or(sources.file);
    let loaded = config::load(&sources).map_err(all_but_last)?;
    warn(global, &loaded);
    let set = KEYS.iter().filter(|key| *loaded.config.origin(key) != Origin::Default).count();
    let from = loaded.file.map_or_else(|| "no settings file".to_owned(), |path| path.display().to_string());
    write_text(global, &format!("{from}: ok, {set} of {} keys set\n", KEYS.len()))
}

/// Says every mistake but the last, which is left to be said as the reason of the failure.
fn all_but_last(mut errors: ConfigErrors) -> ConfigErrors {
    let last = errors.0.split_off(errors.0.len().saturating_sub(1));
    errors.0.iter().for_each(|error| eprintln!("error: {error}"));
    ConfigErrors(last)
}

fn rows(config: &Config) -> Rows {
    let mut rows = Rows::new(&["key", "value", "origin"]);
    for key in KEYS {
        let text = (key.text)(config);
        let number = text.parse::<u64>().ok().filter(|_| key.numeric);
        let value = number.map_or_else(|| Value::from(text), Value::from);
        rows.push(vec![key.name.into(), value, config.origin(key).to_string().into()]);
    }
    rows
}
