//! What can be wrong with settings, and where.
//!
//! Not here: who prints it and with which exit code (see `cli`).

use super::table::Origin;
use std::fmt;
use std::path::PathBuf;

/// One mistake in the settings; its message is one line that names the place and the key.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read settings from {}: {source}", path.display())]
    Unreadable {
        /// The file as it was named to us.
        path: PathBuf,
        /// The system's own answer.
        source: std::io::Error,
    },
    /// The settings file is YAML.
    #[error(
        "{} is yaml and settings are toml: infrawatch config import {} turns it into such, as far as it can",
        path.display(),
        path.display()
    )]
    Yaml {
        /// The file as it was named to us.
        path: PathBuf,
    },
    /// The settings file is not TOML, or holds a table where a value belongs, or the reverse.
    #[error("{place}: {what}")]
    Syntax {
        /// File and line.
        place: Origin,
        /// What is wrong there.
        what: String,
    },
    /// A key or section that does not exist.
    #[error("{place}: unknown {what} {name}{}", near.as_ref().map(|near| format!(", did you mean {near}")).unwrap_or_default())]
    Unknown {
        /// File and line.
        place: Origin,
        /// "key" or "section".
        what: &'static str,
        /// Its full name.
        name: String,
        /// One that exists and is spelled alike.
        near: Option<String>,
    },
    /// A value that its key does not take.
    #[error("{origin}: {key} = {text:?}: {what}")]
    Value {
        /// File and line, variable or flag.
        origin: Origin,
        /// The key's full name.
        key: &'static str,
        /// What was written.
        text: String,
        /// What was expected.
        what: String,
    },
    /// Two values that do not go together.
    #[error("{origin}: {key} {what}")]
    Conflict {
        /// Where the value that should change was set.
        origin: Origin,
        /// Its key.
        key: &'static str,
        /// What it should be, naming the other key.
        what: String,
    },
}

/// Every mistake found, never none; the message is the first and how many follow.
#[derive(Debug)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    /// Whether the command line is to blame, rather than a file or the environment.
    pub fn is_usage(&self) -> bool {
        self.0.iter().all(|error| {
            matches!(
                error,
                ConfigError::Value { origin: Origin::Flag(_), .. }
                    | ConfigError::Conflict { origin: Origin::Flag(_), .. }
            )
        })
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.0.first() else { return Ok(()) };
        write!(out, "{first}")?;
        match self.0.len() - 1 {
            0 => Ok(()),
            more => write!(out, " (and {more} more, listed by infrawatch config check)"),
        }
    }
}

impl std::error::Error for ConfigErrors {}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(origin: Origin) -> ConfigError {
        ConfigError::Value { origin, key: "log.level", text: "loud".into(), what: "expected one of off".into() }
    }

    #[test]
    fn one_line_names_the_place_the_key_and_how_many_follow() {
        let file = Origin::File { path: "a.toml".into(), line: 3 };
        let errors = ConfigErrors(vec![value(file), value(Origin::Default)]);
        assert_eq!(
            errors.to_string(),
            "a.toml:3: log.level = \"loud\": expected one of off (and 1 more, listed by infrawatch config check)"
        );
    }

    #[test]
    fn only_mistakes_in_flags_are_wrong_usage() {
        assert!(ConfigErrors::from(value(Origin::Flag("--log-level"))).is_usage());
        assert!(!ConfigErrors::from(value(Origin::Environment("LOG_LEVEL".into()))).is_usage());
    }
}
