//! Reads a settings file: which keys it sets, to which text, on which line.
//!
//! Not here: whether a text is a value of its key (see `kinds`), precedence (see `load`).
//!
//! Invariant: every mistake carries its line; one mistake hides no other, except where the text is no TOML at all.

use super::error::ConfigError;
use super::keys::KEYS;
use super::placeholder;
use super::table::{Key, Origin};
use crate::nearest::nearest;
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// A key as the file sets it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Everything a file sets, and everything wrong with it.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) entries: Vec<Entry>,
    pub(super) errors: Vec<ConfigError>,
}

/// Reads the text of the file called `path`; placeholders take their values from `environment`.
pub(super) fn read(path: &Path, text: &str, environment: &BTreeMap<String, String>) -> Contents {
    let mut reader = Reader { path, text, environment, contents: Contents::default() };
    match DeTable::parse(text) {
        Ok(sections) => reader.sections(sections.get_ref()),
        Err(error) => {
            let what = error.message().lines().next().unwrap_or("not toml").to_lowercase();
            reader.syntax(error.span().map_or(0, |span| span.start), what);
        }
    }
    reader.contents
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    environment: &'a BTreeMap<String, String>,
    contents: Contents,
}

impl Reader<'_> {
    fn sections(&mut self, sections: &DeTable<'_>) {
        for (name, value) in sections {
            let at = name.span().start;
            let name: &str = name.get_ref();
            match value.get_ref() {
                DeValue::Table(fields) if is_section(name) => self.fields(name, fields),
                _ if is_section(name) => self.syntax(at, format!("{name} is a section, written [{name}]")),
                DeValue::Table(_) => {
                    let near = nearest(name, KEYS.iter().map(|key| key.section)).map(|near| format!("[{near}]"));
                    self.unknown(at, "section", format!("[{name}]"), near);
                }
                _ => self.unknown(at, "key", name.to_owned(), near_key(name)),
            }
        }
    }

    fn fields(&mut self, section: &str, fields: &DeTable<'_>) {
        for (field, value) in fields {
            let at = field.span().start;
            let name = format!("{section}.{}", field.get_ref());
            let Some(key) = KEYS.iter().find(|key| key.name == name) else {
                self.unknown(at, "key", name.clone(), near_key(&name));
                continue;
            };
            let origin = self.place(at);
            match self.value_text(value.get_ref()) {
                Ok(text) => self.contents.entries.push(Entry { key, text, origin }),
                Err(what) => {
                    self.contents.errors.push(ConfigError::Syntax { place: origin, what: format!("{name}: {what}") })
                }
            }
        }
    }

    /// A value as a flag or variable would spell it.
    fn value_text(&self, value: &DeValue<'_>) -> Result<String, String> {
        match value {
            DeValue::String(text) => placeholder::fill(text, self.environment),
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix())
                .map(|number| number.to_string())
                .map_err(|_| "number out of range".to_owned()),
            DeValue::Float(number) => Ok(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Ok(flag.to_string()),
            other => Err(format!("expected a string, a number, true or false, not {}", other.type_str())),
        }
    }

    fn syntax(&mut self, at: usize, what: String) {
        self.contents.errors.push(ConfigError::Syntax { place: self.place(at), what });
    }

    fn unknown(&mut self, at: usize, what: &'static str, name: String, near: Option<String>) {
        self.contents.errors.push(ConfigError::Unknown { place: self.place(at), what, name, near });
    }

    fn place(&self, at: usize) -> Origin {
        let before = &self.text.as_bytes()[..at.min(self.text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        Origin::File { path: self.path.to_path_buf(), line }
    }
}

fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| key.section == name)
}

/// The key that was probably meant: one spelled alike, or the same field of another section.
fn near_key(name: &str) -> Option<String> {
    let field = name.rsplit('.').next().unwrap_or(name);
    let alike = nearest(name, KEYS.iter().map(|key| key.name));
    let elsewhere = || KEYS.iter().find(|key| key.field == field).map(|key| key.name);
    alike.or_else(elsewhere).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(text: &str) -> Contents {
        read(Path::new("x.toml"), text, &BTreeMap::from([("PORT".to_owned(), "9".to_owned())]))
    }

    fn errors(text: &str) -> Vec<String> {
        contents(text).errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn strings_numbers_and_placeholders_become_text_with_a_line() {
        let found = contents(
            "[http]\nlisten = \"127.0.0.1:${PORT}\"\n\n[storage]\nmax_series = 1_000\ncheckpoint_bytes = 0x200000\n",
        );
        assert!(found.errors.is_empty(), "{:?}", found.errors);
        let mut seen: Vec<_> =
            found.entries.iter().map(|e| (e.key.name, e.text.as_str(), e.origin.to_string())).collect();
        seen.sort();
        assert_eq!(
            seen,
            [
                ("http.listen", "127.0.0.1:9", "x.toml:2".to_owned()),
                ("storage.checkpoint_bytes", "2097152", "x.toml:6".to_owned()),
                ("storage.max_series", "1000", "x.toml:5".to_owned()),
            ]
        );
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_a_near_one() {
        assert_eq!(
            errors("# a\n[http]\nlistn = \"off\"\n"),
            ["x.toml:3: unknown key http.listn, did you mean http.listen"]
        );
        assert_eq!(
            errors("[http]\nretention = \"1d\""),
            ["x.toml:2: unknown key http.retention, did you mean storage.retention"]
        );
        assert_eq!(errors("colour = 1"), ["x.toml:1: unknown key colour"]);
    }

    #[test]
    fn an_unknown_section_is_named_once() {
        assert_eq!(
            errors("[storrage]\na = 1\nb = 2"),
            ["x.toml:1: unknown section [storrage], did you mean [storage]"]
        );
    }

    #[test]
    fn every_mistake_is_found() {
        assert_eq!(errors("[log]\na = 1\nb = 2\n").len(), 2);
    }

    #[test]
    fn values_of_another_shape_are_refused() {
        assert_eq!(errors("http = 5"), ["x.toml:1: http is a section, written [http]"]);
        assert_eq!(
            errors("[log]\nlevel = [1]"),
            ["x.toml:2: log.level: expected a string, a number, true or false, not array"]
        );
        assert_eq!(errors("[log]\nlevel = \"${NOPE}\""), ["x.toml:2: log.level: environment variable NOPE is not set"]);
    }

    #[test]
    fn text_that_is_no_toml_is_refused_with_its_line() {
        let error = errors("[http]\nlisten = \n").remove(0);
        assert!(error.starts_with("x.toml:2: "), "{error}");
        let error = errors("[log]\nlevel = \"info\"\nlevel = \"warn\"\n").remove(0);
        assert!(error.starts_with("x.toml:3: duplicate key"), "{error}");
    }
}
