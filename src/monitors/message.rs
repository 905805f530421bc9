//! What people are told by a monitor: a text with `{{value}}`, labels, and parts for alerts and recoveries only.
//!
//! ```text
//! {{#is_alert}} {{service.name}} is at {{value}}, expected {{expected_bounds}} @pagerduty-oncall {{/is_alert}}
//! {{#is_recovery}} {{service.name}} is well again @slack-ops {{/is_recovery}}
//! ```
//!
//! Not here: Prometheus' templates (see `go_template`), what the words stand for (see `judge`).
//!
//! Invariant: of a text that was read every word in braces was understood; a label that is absent is empty.

use super::judge::Standing;
use std::collections::BTreeMap;

/// Conditions, and the standing in which each holds.
const CONDITIONS: [(&str, &[Standing]); 5] = [
    ("is_alert", &[Standing::Alert]),
    ("is_warning", &[Standing::Warning]),
    ("is_no_data", &[Standing::NoData]),
    ("is_recovery", &[Standing::Fine]),
    ("is_problem", &[Standing::Alert, Standing::Warning, Standing::NoData]),
];
/// Words that are no labels.
const WORDS: [&str; 6] = ["value", "expected_bounds", "threshold", "warn_threshold", "fraction", "monitor"];

/// A text that was read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Message(Vec<Part>);

/// What stands in the text, and when: all of the conditions have to be so.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    conditions: Vec<(usize, bool)>,
    what: What,
}

#[derive(Debug, Clone, PartialEq)]
enum What {
    Text(String),
    Word(&'static str),
    Label(String),
}

/// What the words of a text stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    /// By the names in [`WORDS`]; one that is absent is empty.
    pub(super) of: BTreeMap<&'static str, String>,
    /// Labels of the series.
    pub(super) labels: BTreeMap<String, String>,
}

impl Message {
    /// Reads a text.
    ///
    /// # Errors
    /// Names the word that makes no sense, or the part that does not end.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut open, mut rest) = (Vec::new(), Vec::new(), text);
        while let Some((before, after)) = rest.split_once("{{") {
            let (word, after) = after.split_once("}}").ok_or("{{ without }}")?;
            push(&mut parts, &open, What::Text(before.to_owned()));
            rest = after;
            let word = word.trim();
            match word.chars().next() {
                Some(sign @ ('#' | '^')) => open.push((condition(word[1..].trim())?, sign == '#')),
                Some('/') => {
                    let at = condition(word[1..].trim())?;
                    match open.pop() {
                        Some((last, _)) if last == at => {}
                        _ => return Err(format!("{{{{{word}}}}} ends what did not begin last")),
                    }
                }
                _ => push(&mut parts, &open, value(word)?),
            }
        }
        push(&mut parts, &open, What::Text(rest.to_owned()));
        match open.last() {
            Some((at, _)) => Err(format!("{{{{#{}}}}} does not end", CONDITIONS[*at].0)),
            None => Ok(Self(parts)),
        }
    }

    /// The text at this standing, without space around it.
    pub(super) fn render(&self, standing: Standing, words: &Words) -> String {
        let is_so = |(at, wanted): &(usize, bool)| CONDITIONS[*at].1.contains(&standing) == *wanted;
        let mut text = String::new();
        for part in self.0.iter().filter(|part| part.conditions.iter().all(is_so)) {
            match &part.what {
                What::Text(piece) => text.push_str(piece),
                What::Word(word) => text.push_str(words.of.get(word).map_or("", String::as_str)),
                What::Label(label) => text.push_str(words.labels.get(label).map_or("", String::as_str)),
            }
        }
        text.trim().to_owned()
    }
}

fn push(parts: &mut Vec<Part>, open: &[(usize, bool)], what: What) {
    if what != What::Text(String::new()) {
        parts.push(Part { conditions: open.to_vec(), what });
    }
}

fn condition(word: &str) -> Result<usize, String> {
    let known = CONDITIONS.iter().position(|(name, _)| *name == word);
    known.ok_or_else(|| {
        let names: Vec<_> = CONDITIONS.iter().map(|(name, _)| *name).collect();
        format!("{word:?} is none of the conditions {}", names.join(", "))
    })
}

/// `value`, or `host.name` for the label `host`.
fn value(word: &str) -> Result<What, String> {
    if let Some(known) = WORDS.iter().find(|known| **known == word) {
        return Ok(What::Word(known));
    }
    let label = word.strip_suffix(".name").filter(|label| !label.is_empty() && !label.contains(char::is_whitespace));
    label
        .map(|label| What::Label(label.to_owned()))
        .ok_or_else(|| format!("{word:?} is none of {}, and no label such as host.name", WORDS.join(", ")))
}

/// Who is named in a text: `@slack-ops` is `slack-ops`.
pub(super) fn handles(text: &str) -> Vec<String> {
    let named = text.split_whitespace().filter_map(|word| word.strip_prefix('@'));
    let is_end = |sign: char| !sign.is_alphanumeric() && sign != '-' && sign != '_';
    let mut found: Vec<String> =
        named.map(|word| word.split(is_end).next().unwrap_or("").to_owned()).filter(|word| !word.is_empty()).collect();
    found.sort();
    found.dedup();
    found
}

/// A number as people read it: at most four decimals.
pub(super) fn plain(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_parts_for_alerts_and_for_recoveries() {
        let text = "{{#is_alert}}{{service.name}} at {{value}}, not {{expected_bounds}} @slack-ops{{/is_alert}}\n\
                    {{#is_recovery}}{{service.name}} is well{{/is_recovery}} {{^is_recovery}}see runbook{{/is_recovery}}";
        let message = Message::parse(text).unwrap();
        let words = Words {
            of: [("value", "812".to_owned()), ("expected_bounds", "100 to 140".to_owned())].into(),
            labels: [("service".to_owned(), "api".to_owned())].into(),
        };
        let alert = message.render(Standing::Alert, &words);
        assert_eq!(alert, "api at 812, not 100 to 140 @slack-ops\n see runbook");
        assert_eq!(message.render(Standing::Fine, &words), "api is well");
        assert_eq!(message.render(Standing::Warning, &words), "see runbook");
    }

    #[test]
    fn words_that_make_no_sense_are_named() {
        for (text, named) in [
            ("{{nope}}", "nope"),
            ("{{#is_odd}}x{{/is_odd}}", "is_odd"),
            ("{{#is_alert}}x", "does not end"),
            ("{{#is_alert}}{{#is_warning}}{{/is_alert}}{{/is_warning}}", "did not begin last"),
            ("{{value", "without"),
        ] {
            assert!(Message::parse(text).unwrap_err().contains(named), "{text}");
        }
    }

    #[test]
    fn who_is_named_is_found_and_addresses_of_mail_are_not() {
        assert_eq!(
            handles("to @slack-ops, @pagerduty-web. and a@b.example @slack-ops"),
            ["pagerduty-web", "slack-ops"]
        );
        assert_eq!((plain(1.0), plain(0.25), plain(100.0)), ("1".into(), "0.25".into(), "100".into()));
    }
}
