//! How a command fails: the one line it says and the exit code it ends with.

use crate::config::ConfigErrors;
use std::path::PathBuf;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The settings do not hold.
    #[error("{0}")]
    Settings(#[from] ConfigErrors),
    /// The arguments do not go together.
    #[error("{0}")]
    Usage(String),
    /// The results cannot be written.
    #[error("cannot write to {}: {source}", path.display())]
    Output {
        /// The file, or "standard output".
        path: PathBuf,
        /// The system's own answer.
        source: std::io::Error,
    },
    /// The work itself failed.
    #[error("{0}")]
    Failed(String),
}

impl CliError {
    /// 2 for wrong usage, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Settings(errors) if errors.is_usage() => 2,
            Self::Settings(_) | Self::Output { .. } | Self::Failed(_) => 1,
        }
    }
}
