//! Files that list things as TOML: how they are read, and what is said of a mistake: the file, the line, what is wrong there.
//!
//! Not here: what the things are (see `access`, `watch`, `ingest::snmp`); settings, of which every mistake is told and not only
//! the first (see `config`).
//!
//! Invariant: what is said never quotes the text, which may hold secrets.

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// A place in a text, in bytes, and what is wrong there.
pub(crate) type Mistake = (usize, String);

/// Why a file cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read {what} from {}: {source}", path.display())]
    Unreadable {
        /// What it lists.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's own answer.
        source: std::io::Error,
    },
    /// It makes no sense.
    #[error("{}:{line}: {what}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

/// Reads a file that lists `what`, as `parse` understands its text.
///
/// # Errors
/// When it cannot be read or has a mistake, with its line.
pub(crate) fn read<T>(
    what: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, Mistake>,
) -> Result<T, FileError> {
    let path = path.to_path_buf();
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text).map_err(|(at, what)| FileError::Wrong { path, line: line_of(&text, at), what }),
        Err(source) => Err(FileError::Unreadable { what, path, source }),
    }
}

/// The text as TOML of a shape.
///
/// # Errors
/// Where it is not, and why in one line.
pub(crate) fn shape<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    toml::from_str(text).map_err(|error| {
        let what = without_value(error.message().lines().next().unwrap_or("not toml"));
        (error.span().map_or(0, |span| span.start), what)
    })
}

/// What a value of the wrong type is called without the value: a password may stand where it does not belong.
fn without_value(message: &str) -> String {
    let begins = ["invalid type: ", "invalid value: "].iter().any(|start| message.starts_with(start));
    let quoted = message.find(['"', '`']).zip(message.rfind(", expected"));
    match quoted.filter(|(from, to)| begins && from < to) {
        Some((from, to)) => format!("{}{}", message[..from].trim_end(), &message[to..]),
        None => message.to_owned(),
    }
}

/// The line of a place in a text, counted from 1; that of the end for a place beyond it.
pub(crate) fn line_of(text: &str, at: usize) -> usize {
    1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        size: u8,
    }

    #[test]
    fn a_mistake_has_its_file_and_line_and_quotes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            let found: Result<Written, FileError> = read("sizes", &path, shape);
            found.map(|written| written.size).map_err(|error| error.to_string())
        };
        assert_eq!(said("size = 5\n"), Ok(5));
        let wrong = said("\nsize = \"secret\"\n").unwrap_err();
        assert!(wrong.ends_with("a.toml:2: invalid type: string, expected u8"), "{wrong}");
        assert!(said("size = 5.5").unwrap_err().ends_with(": invalid type: floating point, expected u8"));
        assert!(said("size = 5\ncolour = 1\n").unwrap_err().contains("a.toml:2: unknown field"));
        std::fs::remove_file(&path).unwrap();
        let missing: Result<Written, FileError> = read("sizes", &path, shape);
        assert!(missing.unwrap_err().to_string().starts_with("cannot read sizes from "));
        assert_eq!([0, 3, 99].map(|at| line_of("a\n\nb", at)), [1, 3, 3]);
    }
}
