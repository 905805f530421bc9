//! All rule files: those the settings name, and the one that is kept over HTTP.
//!
//! Not here: what stands in them (see `file`).

use super::file::{Group, parse};
use crate::query::QueryLimits;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Where rules are read from, and what holds where a file says nothing else.
#[derive(Debug, Clone)]
pub struct RuleFiles {
    /// Paths, of which the last part may have `*` for any letters.
    pub patterns: Vec<String>,
    /// The file that is kept over HTTP, which need not be there.
    pub kept: Option<PathBuf>,
    /// How often a group is evaluated that does not say so, in milliseconds.
    pub interval_ms: i64,
    /// What an expression may cost.
    pub limits: QueryLimits,
}

/// A mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The file cannot be read.
    #[error("cannot read rules from {}: {what}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's own answer.
        what: String,
    },
    /// It makes no sense.
    #[error("{file}:{line}: {what}")]
    Wrong {
        /// The file.
        file: String,
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
}

/// Labels as the settings have them: `a=b,c=d`.
///
/// # Errors
/// Names what is no label.
pub fn labels_of(text: &str) -> Result<BTreeMap<String, String>, String> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    let read = |pair: &str| match pair.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => Ok((name.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("{pair:?} is no label such as region=eu")),
    };
    pairs.map(read).collect()
}

impl RuleFiles {
    /// Those of a list of patterns with commas.
    pub fn of(list: &str, kept: Option<PathBuf>, interval_ms: i64, limits: QueryLimits) -> Self {
        let patterns = list.split(',').map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned);
        Self { patterns: patterns.collect(), kept, interval_ms, limits }
    }

    /// The files there are, in order.
    ///
    /// # Errors
    /// A pattern whose directory cannot be listed.
    pub fn paths(&self) -> Result<Vec<PathBuf>, RuleError> {
        let mut paths = Vec::new();
        for pattern in &self.patterns {
            match pattern.rsplit('/').next().filter(|last| last.contains('*')) {
                None => paths.push(PathBuf::from(pattern)),
                Some(last) => paths.extend(matching(pattern, last)?),
            }
        }
        paths.extend(self.kept.clone().filter(|kept| kept.exists()));
        paths.dedup();
        Ok(paths)
    }

    /// Reads a text as if it stood in a file.
    ///
    /// # Errors
    /// Every mistake with its line.
    pub fn read_text(&self, text: &str, file: &str) -> Result<Vec<Group>, Vec<RuleError>> {
        let wrong = |(line, what)| RuleError::Wrong { file: file.to_owned(), line, what };
        parse(text, file, self.interval_ms, &self.limits).map_err(|all| all.into_iter().map(wrong).collect())
    }
}

fn matching(pattern: &str, last: &str) -> Result<Vec<PathBuf>, RuleError> {
    let folder = pattern[..pattern.len() - last.len()].trim_end_matches('/');
    let folder = Path::new(if folder.is_empty() { if pattern.starts_with('/') { "/" } else { "." } } else { folder });
    let unreadable = |error: std::io::Error| RuleError::Unreadable { path: folder.into(), what: error.to_string() };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        if fits(&entry.file_name().to_string_lossy(), last) {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a name has the parts of a pattern between its stars, in order.
fn fits(name: &str, pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let (first, rest) = parts.split_first().unwrap_or((&"", &[]));
    let (last, middle) = rest.split_last().unwrap_or((&"", &[]));
    let Some(name) = name.strip_prefix(first).and_then(|name| name.strip_suffix(last)) else { return false };
    let mut rest = name;
    middle.iter().all(|part| {
        let found = rest.find(part);
        rest = found.map_or(rest, |at| &rest[at + part.len()..]);
        found.is_some()
    })
}

/// Reads all files.
///
/// # Errors
/// Every mistake of every file.
pub fn load(files: &RuleFiles) -> Result<Vec<Group>, Vec<RuleError>> {
    let paths = files.paths().map_err(|error| vec![error])?;
    let (mut groups, mut errors) = (Vec::new(), Vec::new());
    for path in paths {
        match text_of(&path)
            .map_err(|error| vec![error])
            .and_then(|text| files.read_text(&text, &path.to_string_lossy()))
        {
            Ok(more) => groups.extend(more),
            Err(more) => errors.extend(more),
        }
    }
    if errors.is_empty() { Ok(groups) } else { Err(errors) }
}

/// The text of a file of rules, or of another kind that is kept like them.
///
/// # Errors
/// When it cannot be read, or is too large.
pub fn text_of(path: &Path) -> Result<String, RuleError> {
    let unreadable = |what: String| RuleError::Unreadable { path: path.into(), what };
    let bytes = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(unreadable(format!("larger than {FILE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_pairs() {
        let expected = [("a", "b"), ("c", "d")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(labels_of("a=b, c = d,").unwrap(), expected.into());
        assert!(labels_of("a").is_err());
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        for (name, pattern, expected) in [
            ("a.yml", "*.yml", true),
            ("a.yaml", "*.yml", false),
            ("rules-a.yml", "rules-*.yml", true),
            ("a-b-c", "a*b*c", true),
            ("a-c", "a*b*c", false),
            ("ab", "ab*b", false),
        ] {
            assert_eq!(fits(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn all_files_are_read_and_all_mistakes_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.yml", "groups:\n- name: a\n");
        write("b.yml", "groups:\n- name: a\n");
        let files = RuleFiles {
            patterns: vec![format!("{}/*.yml", folder.path().display())],
            kept: Some(folder.path().join("kept.yaml")),
            interval_ms: 1000,
            limits: QueryLimits::default(),
        };
        assert_eq!(load(&files).unwrap().len(), 2);
        write("a.yml", "groups:\n- nam: a\n");
        write("b.yml", "groups: 1\nx: 2\n");
        let errors = load(&files).unwrap_err();
        assert!(errors.len() >= 3 && errors[0].to_string().contains("a.yml:2: "), "{errors:?}");
        let missing = RuleFiles { patterns: vec!["/nowhere/x.yml".to_owned()], ..files };
        assert!(load(&missing).unwrap_err()[0].to_string().contains("/nowhere/x.yml"));
    }
}
