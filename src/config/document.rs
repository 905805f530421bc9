//! The two documents that list every key, written from the table: the commented file and the reference.
//!
//! Not here: the prose around the reference, which lives in `docs/configuration.md` itself.
//!
//! Invariant: both documents equal what is written here; their tests rewrite a document that lags and fail once.

use super::keys::KEYS;
use super::table::Key;
use std::fmt::Write;

/// The text of `config/infrawatch.toml`: every key with its default and its meaning.
pub fn settings_toml() -> String {
    let mut out = String::from(
        "# Settings of infrawatch. Every key is optional; each stands here with its default.\n\
         # A flag beats the environment (http.listen: INFRAWATCH_HTTP_LISTEN), which beats this file.\n\
         # In strings, ${NAME} stands for an environment variable. See docs/configuration.md.\n",
    );
    for_each_section(|first, keys| {
        out.push('\n');
        comment(&mut out, &[first.section_doc]);
        let _ = writeln!(out, "[{}]", first.section);
        for key in keys {
            out.push('\n');
            comment(&mut out, key.doc);
            let _ = writeln!(out, "{} = {}", key.field, toml_value(key));
        }
    });
    out
}

/// The reference of `docs/configuration.md`: a table of keys for every section.
pub fn reference_markdown() -> String {
    let mut out = String::new();
    for_each_section(|first, keys| {
        let _ = writeln!(out, "\n### `[{}]`\n\n{}\n", first.section, first.section_doc.trim());
        out.push_str("| key | default | takes | meaning |\n|---|---|---|---|\n");
        for key in keys {
            let _ = writeln!(out, "| `{}` | `{}` | {} | {} |", key.name, toml_value(key), takes(key), meaning(key));
        }
    });
    out
}

fn for_each_section(mut write: impl FnMut(&Key, &[Key])) {
    for keys in KEYS.chunk_by(|a, b| a.section == b.section) {
        write(&keys[0], keys);
    }
}

fn comment(out: &mut String, lines: &[&str]) {
    for line in lines {
        let _ = writeln!(out, "# {}", line.trim());
    }
}

fn joined(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

fn takes(key: &Key) -> String {
    let noun = (key.noun)();
    match key.range {
        Some((low, high)) => format!("{noun}, {} to {}", spelled(key, low), spelled(key, high)),
        None => noun,
    }
}

fn meaning(key: &Key) -> String {
    let mut text = joined(key.doc);
    let also = [key.flag, key.other_variable].into_iter().flatten();
    let also: Vec<_> = also.map(|name| format!("`{name}`")).collect();
    if !also.is_empty() {
        let _ = write!(text, " Also {}.", also.join(", "));
    }
    text
}

/// The default as TOML: numbers bare, everything else in quotes.
fn toml_value(key: &Key) -> String {
    if key.numeric { spelled(key, key.default) } else { format!("\"{}\"", key.default) }
}

/// A value as people read it best: the digits of a long number in groups of three.
fn spelled(key: &Key, text: &str) -> String {
    if !key.numeric || text.len() < 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut out = String::new();
    for (i, digit) in text.chars().enumerate() {
        if i > 0 && (text.len() - i).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources, load};
    use std::path::{Path, PathBuf};

    fn in_repository(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
    }

    /// Fails if a document is not what the table says, after making it so.
    fn hold(path: &Path, found: &str, right: &str) {
        if found != right {
            std::fs::write(path, right).unwrap();
            panic!("{} lagged behind the table of keys and was rewritten: look at it and run again", path.display());
        }
    }

    #[test]
    fn the_settings_file_is_what_the_table_says() {
        let path = in_repository("config/infrawatch.toml");
        hold(&path, &std::fs::read_to_string(&path).unwrap_or_default(), &settings_toml());
    }

    #[test]
    fn the_settings_file_equals_the_defaults() {
        let sources = Sources { file: Some(in_repository("config/infrawatch.toml")), ..Sources::default() };
        let config = load(&sources).unwrap().config;
        let defaults = Config::default();
        for key in KEYS {
            assert_eq!((key.text)(&config), (key.text)(&defaults), "{}", key.name);
            assert_ne!(config.origin(key), defaults.origin(key), "{} is missing", key.name);
        }
    }

    #[test]
    fn the_reference_lists_every_key() {
        const FROM: &str = "<!-- keys: written from src/config/keys.rs -->\n";
        const TO: &str = "\n<!-- end of keys -->";
        let path = in_repository("docs/configuration.md");
        let found = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = found.split_once(FROM).expect("the document marks where the keys begin");
        let (_, after) = rest.split_once(TO).expect("the document marks where the keys end");
        hold(&path, &found, &format!("{before}{FROM}{}{TO}{after}", reference_markdown()));
        for key in KEYS {
            assert!(found.contains(&format!("| `{}` |", key.name)), "{} is missing", key.name);
        }
    }

    #[test]
    fn numbers_are_grouped_and_text_is_quoted() {
        let of = |name| toml_value(KEYS.iter().find(|key| key.name == name).unwrap());
        assert_eq!(of("storage.max_series"), "5_000_000");
        assert_eq!(of("query.max_points"), "11_000");
        assert_eq!(of("http.max_connections"), "4096");
        assert_eq!(of("storage.journal_dir"), "\"\"");
    }
}
