//! `infrawatch config import FILE`: turns settings of others into ours, and says line by line what it could not carry over.
//!
//! | file | becomes |
//! |---|---|
//! | `metrics:` with names and queries | a file of watched expressions |
//! | `scrape_configs:`, `remote_write:` of a Prometheus | settings, and what that Prometheus should send us |
//! | `pipeline:` of stages | settings |
//! | sections that are called like ours | settings |
//!
//! Not here: reading YAML (see `yaml`).
//!
//! Invariant: nothing is left out in silence: every key of the file is either in the result or in a note with its line.

mod metrics;
mod pipeline;
mod prometheus;

use crate::config::KEYS;
use crate::yaml::{self, Node, Value};
use std::fmt::Write;

/// What became of a file.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Imported {
    /// TOML of ours.
    pub(super) toml: String,
    /// What was not carried over, each with its line.
    pub(super) notes: Vec<String>,
}

impl Imported {
    fn note(&mut self, line: usize, what: impl std::fmt::Display) {
        self.notes.push(format!("line {line}: {what}"));
    }

    fn say(&mut self, line: impl std::fmt::Display) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.toml, "{line}");
    }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Converts a file's text; the error says what is wrong with it and where.
pub(super) fn import(text: &str) -> Result<Imported, String> {
    let root = yaml::parse(text)?;
    let Value::Map(fields) = &root.value else { return Err(format!("line {}: expected keys with values", root.line)) };
    let has = |name: &str| fields.iter().any(|(known, _)| known == name);
    let mut out = Imported::default();
    match () {
        () if has("metrics") && list_of_names(&root) => metrics::import(fields, &mut out)?,
        () if has("scrape_configs") || has("remote_write") || has("rule_files") => prometheus::import(fields, &mut out),
        () if has("pipeline") => pipeline::import(fields, &mut out),
        () if fields.iter().any(|(name, _)| KEYS.iter().any(|key| key.section == name)) => own(fields, &mut out),
        () => {
            let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
            return Err(format!(
                "none of the files that are known: it has {} and neither metrics, scrape_configs, pipeline nor a section of ours",
                names.join(", ")
            ));
        }
    }
    Ok(out)
}

/// Whether `metrics` lists what has names: a section of ours is called so too.
fn list_of_names(root: &Node) -> bool {
    matches!(root.get("metrics").map(|node| &node.value), Some(Value::List(_)))
}

/// Sections that are called like ours.
fn own(sections: &[(String, Node)], out: &mut Imported) {
    for (section, node) in sections {
        let Value::Map(fields) = &node.value else {
            out.note(node.line, format!("{section} is none of our sections"));
            continue;
        };
        let known: Vec<_> = fields.iter().filter(|(field, node)| is_key(section, field, node)).collect();
        for (field, node) in fields.iter().filter(|(field, node)| !is_key(section, field, node)) {
            out.note(node.line, format!("there is no key {section}.{field} of this kind"));
        }
        if !known.is_empty() {
            out.say(format!("[{section}]"));
            for (field, node) in known {
                if let Value::Scalar(text) = &node.value {
                    out.say(format!("{field} = {}", spelled(section, field, text)));
                }
            }
        }
    }
}

fn is_key(section: &str, field: &str, node: &Node) -> bool {
    let key = KEYS.iter().find(|key| key.section == section && key.field == field);
    let Value::Scalar(text) = &node.value else { return false };
    key.is_some_and(|key| (key.set)(&mut crate::config::Config::default(), text).is_ok())
}

/// A value as our files write it.
fn spelled(section: &str, field: &str, text: &str) -> String {
    let key = KEYS.iter().find(|key| key.section == section && key.field == field);
    if key.is_some_and(|key| key.numeric) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    /// The settings that TOML of ours stands for.
    fn loads(toml: &str) -> crate::config::Config {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        std::fs::write(&path, toml).unwrap();
        load(&Sources { file: Some(path), ..Sources::default() })
            .unwrap_or_else(|error| panic!("{error}:\n{toml}"))
            .config
    }

    #[test]
    fn sections_like_ours_are_carried_over_and_others_noted() {
        let text = "storage:\n  retention: 60d\n  colour: red\nlog: {level: warn}\nmodels:\n  threads: 3\n  threads_max: 4\nredis: x\n";
        let imported = import(text).unwrap();
        let config = loads(&imported.toml);
        assert_eq!((config.storage.retention.as_secs(), config.models.threads), (60 * 86_400, 3));
        assert_eq!(config.log.level, crate::config::Level::Warn);
        let lines: Vec<&str> = imported.notes.iter().map(|note| note.split(':').next().unwrap()).collect();
        assert_eq!(lines, ["line 3", "line 7", "line 8"], "{:?}", imported.notes);
    }

    #[test]
    fn a_prometheus_gives_settings_and_what_it_should_send() {
        let text = "global:\n  scrape_interval: 15s\nscrape_configs:\n  - job_name: node\n    static_configs:\n      - targets: ['a:9100', 'b:9100']\n\
                    rule_files: [rules.yml]\nstorage:\n  tsdb:\n    retention: {time: 30d}\n";
        let imported = import(text).unwrap();
        assert_eq!(loads(&imported.toml).storage.retention.as_secs(), 30 * 86_400);
        assert!(imported.toml.contains("# remote_write:") && imported.notes.iter().any(|note| note.contains("node")));
        assert_eq!(loads(&imported.toml).rules.files, "rules.yml");
    }

    #[test]
    fn what_is_none_of_these_is_refused_with_what_it_has() {
        assert!(import("a: 1\n").unwrap_err().contains("it has a and"));
        assert!(import("- 1\n").unwrap_err().starts_with("line 1: "));
        assert!(import("a: [1\n").unwrap_err().starts_with("line "));
    }
}
