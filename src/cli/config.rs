//! `infrawatch config`: are the settings right, what are they, and where from; and the lines that a user needs.
//!
//! Not here: building the settings (see `config`).

use super::import::import;
use super::output::{Rows, write_text};
use super::settings::{environment, load as settings, sources, warn};
use super::{CliError, Global};
use crate::access::{self, SecretHash, Users};
use crate::config::{self, Config, ConfigErrors, KEYS, Origin};
use crate::monitors::{self, MonitorKeeper};
use crate::query::QueryLimits;
use crate::rules::{RuleFiles, labels_of, load};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

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
    /// Turn settings of others into ours: prometheus.yml, metrics.yaml, pipeline.yaml
    Import {
        /// The YAML file
        file: PathBuf,
    },
    /// Make a user's secret, and the lines that the file of users needs
    User {
        /// Letters, digits, _ and -
        name: String,
        /// What the user may do; several with commas
        #[arg(long = "role", value_delimiter = ',', required = true)]
        roles: Vec<RoleWord>,
        /// Read the secret from standard input instead of making one
        #[arg(long)]
        stdin: bool,
    },
    /// Same as print --defaults
    #[command(hide = true)]
    PrintDefaults,
}

impl ConfigCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        match &self.action {
            Action::Check { file } => check(global, file.clone()),
            Action::Import { file } => carry_over(global, file),
            Action::User { name, roles, stdin } => user(global, name, roles, *stdin),
            Action::Print { defaults: false } => rows(&settings(global, Vec::new())?.config).write(global),
            Action::Print { defaults: true } | Action::PrintDefaults => rows(&Config::default()).write(global),
        }
    }
}

fn carry_over(global: &Global, file: &Path) -> Result<(), CliError> {
    let failed = |what: String| CliError::Failed(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?;
    let imported = import(&text).map_err(failed)?;
    // Whoever reads the result must know what is missing from it, quiet or not.
    imported.notes.iter().for_each(|note| eprintln!("{}, {note}", file.display()));
    write_text(global, &imported.toml)
}

/// A role as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleWord {
    Read,
    Write,
    Admin,
}

impl RoleWord {
    fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

fn user(global: &Global, name: &str, roles: &[RoleWord], from_stdin: bool) -> Result<(), CliError> {
    let secret = if from_stdin { read_secret() } else { access::new_secret() };
    let hashed = secret.and_then(|secret| Ok((SecretHash::of(&secret)?, secret)));
    let (hash, secret) = hashed.map_err(|error| CliError::Failed(format!("no secret: {error}")))?;
    let roles: Vec<String> = roles.iter().map(|role| format!("\"{}\"", role.word())).collect();
    let text = format!("[[user]]\nname = \"{name}\"\nroles = [{}]\nsecret = \"{hash}\"\n", roles.join(", "));
    // The same reader that the server has says what is wrong with the name.
    Users::parse(&text).map_err(|(_, what)| CliError::Usage(what))?;
    if !from_stdin && !global.quiet {
        eprintln!("shown once: the bearer token is {name}.{secret}, the password {secret}");
    }
    write_text(global, &text)
}

fn read_secret() -> io::Result<String> {
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    let secret = line.trim_end_matches(['\r', '\n']).to_owned();
    match secret.len() {
        8.. => Ok(secret),
        _ => Err(io::Error::other("standard input gave fewer than 8 bytes")),
    }
}

fn check(global: &Global, file: Option<PathBuf>) -> Result<(), CliError> {
    let mut sources = sources(global, Vec::new(), environment());
    sources.file = file.or(sources.file);
    let loaded = config::load(&sources).map_err(all_but_last)?;
    warn(global, &loaded);
    rules(&loaded.config)?;
    let set = KEYS.iter().filter(|key| *loaded.config.origin(key) != Origin::Default).count();
    let from = loaded.file.map_or_else(|| "no settings file".to_owned(), |path| path.display().to_string());
    write_text(global, &format!("{from}: ok, {set} of {} keys set\n", KEYS.len()))
}

/// Reads the files of rules and of monitors that the settings name, and says every mistake in them with its line.
fn rules(config: &Config) -> Result<(), CliError> {
    let section = &config.rules;
    labels_of(&section.external_labels).map_err(|what| CliError::Failed(format!("rules.external_labels: {what}")))?;
    let interval_ms = section.interval.as_millis() as i64;
    let mut errors =
        load(&RuleFiles::of(&section.files, None, interval_ms, QueryLimits::default())).err().unwrap_or_default();
    let (files, interval_ms) = (&config.monitors.files, config.monitors.interval.as_millis() as i64);
    let files = MonitorKeeper::files_of(files, interval_ms, QueryLimits::default());
    errors.extend(monitors::load(&files).err().unwrap_or_default());
    let Some((last, others)) = errors.split_last() else { return Ok(()) };
    others.iter().for_each(|error| eprintln!("error: {error}"));
    Err(CliError::Failed(last.to_string()))
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
