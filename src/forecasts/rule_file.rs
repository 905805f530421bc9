//! The file of predictive rules.
//!
//! ```toml
//! [[rule]]
//! name = "disk_full_soon"
//! match = '{__name__="disk_used_percent"}'
//! threshold = 90
//! within = "24h"
//! ```
//!
//! Not here: looking at series (see `runner`).

use crate::analysis::Severity;
use crate::analysis::forecast::{Direction, Threshold};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use storage::label_index::Matcher;
use toml::Spanned;

/// Rules of one file.
const RULES_MAX: usize = 200;
const HOUR_MS: i64 = 3_600_000;
/// How far ahead, unless the file says so: that of the documents' predictive alerts.
const WITHIN_MS: i64 = 4 * HOUR_MS;
/// How far ahead at most: a year.
const WITHIN_MAX_MS: i64 = 366 * 24 * HOUR_MS;
const EVERY_MS: i64 = 5 * 60_000;
const CLEAR_AFTER_MS: i64 = 30 * 60_000;
const PROBABILITY: f64 = 0.5;

/// What is watched for: that series reach a limit within a time.
#[derive(Debug, Clone)]
pub struct PredictiveRule {
    /// What it is called; the label `forecast_rule` of what it tells.
    pub name: String,
    /// Which series, as it is written.
    pub selector: String,
    /// The same, understood.
    pub matchers: Vec<Matcher>,
    /// The limit.
    pub threshold: Threshold,
    /// How far ahead, in milliseconds.
    pub within_ms: i64,
    /// How often all series are looked at, in milliseconds.
    pub every_ms: i64,
    /// How long it must not hold before it is over, in milliseconds.
    pub clear_after_ms: i64,
    /// The probability, 0 to 1, of reaching the limit from which it is told; it goes on until that is half as much.
    pub probability: f64,
    /// How severe that is.
    pub severity: Severity,
}

impl PartialEq for PredictiveRule {
    /// Whether both are written alike; matchers follow from the selector.
    fn eq(&self, other: &Self) -> bool {
        let of = |rule: &Self| {
            (rule.threshold, rule.within_ms, rule.every_ms, rule.clear_after_ms, rule.probability, rule.severity)
        };
        self.name == other.name && self.selector == other.selector && of(self) == of(other)
    }
}

/// Why a file cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// It cannot be read.
    #[error("cannot read predictive rules from {}: {source}", path.display())]
    Unreadable {
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

/// Understands a selector of PromQL, or says why not.
pub type Understand<'a> = &'a dyn Fn(&str) -> Result<Vec<Matcher>, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    rule: Vec<Spanned<WrittenRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    name: String,
    #[serde(rename = "match")]
    selector: String,
    threshold: f64,
    #[serde(default)]
    direction: Way,
    within: Option<String>,
    every: Option<String>,
    clear_after: Option<String>,
    probability: Option<f64>,
    #[serde(default)]
    severity: HowSevere,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum Way {
    #[default]
    Above,
    Below,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(rename_all = "snake_case")]
enum HowSevere {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

/// Reads a file.
///
/// # Errors
/// When it cannot be read or has a mistake, with its line.
pub fn read(path: &Path, understand: Understand<'_>) -> Result<Vec<PredictiveRule>, RuleError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| RuleError::Unreadable { path: path.to_path_buf(), source })?;
    parse(&text, understand).map_err(|(at, what)| {
        let line = 1 + text.as_bytes()[..at.min(text.len())].iter().filter(|byte| **byte == b'\n').count();
        RuleError::Wrong { path: path.to_path_buf(), line, what }
    })
}

/// The error says where in the text.
fn parse(text: &str, understand: Understand<'_>) -> Result<Vec<PredictiveRule>, (usize, String)> {
    let written: Written = toml::from_str(text).map_err(|error| {
        let what = error.message().lines().next().unwrap_or("not toml").to_owned();
        (error.span().map_or(0, |span| span.start), what)
    })?;
    let mut rules: Vec<PredictiveRule> = Vec::new();
    for one in written.rule {
        let at = one.span().start;
        let one = one.into_inner();
        let name = one.name.clone();
        let rule = rule(one, understand).map_err(|what| (at, format!("rule {name:?}: {what}")))?;
        if rules.iter().any(|known| known.name == rule.name) {
            return Err((at, format!("rule {name:?} stands twice")));
        }
        if rules.len() >= RULES_MAX {
            return Err((at, format!("more than {RULES_MAX} rules")));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn rule(written: WrittenRule, understand: Understand<'_>) -> Result<PredictiveRule, String> {
    if written.name.is_empty() {
        return Err("it has no name".to_owned());
    }
    if !written.threshold.is_finite() {
        return Err("threshold is not a finite number".to_owned());
    }
    let probability = written.probability.unwrap_or(PROBABILITY);
    if !(probability > 0.0 && probability <= 1.0) {
        return Err(format!("probability {probability} is not more than 0 and at most 1"));
    }
    let matchers = understand(&written.selector).map_err(|what| format!("match: {what}"))?;
    let span = |field: &str, text: Option<&str>, usual_ms: i64, (least_ms, most_ms): (i64, i64)| {
        let Some(text) = text else { return Ok(usual_ms) };
        let span_ms =
            span_ms(text).ok_or_else(|| format!("{field}: expected a duration such as 30s, 5m, 24h or 7d"))?;
        let fits = (least_ms..=most_ms).contains(&span_ms);
        if fits { Ok(span_ms) } else { Err(format!("{field} {text} is too short or too long")) }
    };
    Ok(PredictiveRule {
        threshold: Threshold {
            value: written.threshold,
            direction: match written.direction {
                Way::Above => Direction::Above,
                Way::Below => Direction::Below,
            },
        },
        within_ms: span("within", written.within.as_deref(), WITHIN_MS, (60_000, WITHIN_MAX_MS))?,
        every_ms: span("every", written.every.as_deref(), EVERY_MS, (1_000, 7 * 24 * HOUR_MS))?,
        clear_after_ms: span("clear_after", written.clear_after.as_deref(), CLEAR_AFTER_MS, (0, 7 * 24 * HOUR_MS))?,
        probability,
        severity: match written.severity {
            HowSevere::Low => Severity::Low,
            HowSevere::Medium => Severity::Medium,
            HowSevere::High => Severity::High,
            HowSevere::Critical => Severity::Critical,
        },
        matchers,
        name: written.name,
        selector: written.selector,
    })
}

/// A whole number and a unit.
fn span_ms(text: &str) -> Option<i64> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let unit_ms = match &text[digits..] {
        "s" => 1_000,
        "m" => 60_000,
        "h" => HOUR_MS,
        "d" => 24 * HOUR_MS,
        "w" => 7 * 24 * HOUR_MS,
        "" if text == "0" => 0,
        _ => return None,
    };
    text[..digits].parse::<i64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Rules of a text in which every selector chooses one name.
    pub(in super::super) fn rules(text: &str) -> Result<Vec<PredictiveRule>, (usize, String)> {
        let understand = |text: &str| match text {
            "" => Err("no selector".to_owned()),
            name => Ok(vec![Matcher::equal("__name__", name)]),
        };
        parse(text, &understand)
    }

    #[test]
    fn four_hours_are_looked_ahead_unless_the_file_says_otherwise() {
        let text = "[[rule]]\nname = \"a\"\nmatch = \"disk\"\nthreshold = 90\n[[rule]]\nname = \"b\"\nmatch = \"free\"\n\
                    threshold = 0\ndirection = \"below\"\nwithin = \"7d\"\nevery = \"1h\"\nclear_after = \"0\"\n\
                    probability = 0.8\nseverity = \"critical\"\n";
        let rules = rules(text).unwrap();
        assert_eq!((rules[0].within_ms, rules[0].every_ms, rules[0].clear_after_ms), (4 * HOUR_MS, 300_000, 1_800_000));
        assert_eq!((rules[0].probability, rules[0].threshold.direction), (0.5, Direction::Above));
        assert_eq!((rules[1].within_ms, rules[1].clear_after_ms), (168 * HOUR_MS, 0));
        assert_eq!((rules[1].threshold.value, rules[1].threshold.direction), (0.0, Direction::Below));
        assert_eq!((rules[1].probability, rules[1].severity), (0.8, Severity::Critical));
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let of = |fields: &str| {
            let text = format!("[[rule]]\nname = \"a\"\nmatch = \"disk\"\n{fields}");
            rules(&text).unwrap_err().1
        };
        for (fields, said) in [
            ("", "missing field `threshold`"),
            ("threshold = nan", "threshold is not a finite number"),
            ("threshold = 1\nprobability = 0", "probability 0 is not more than 0"),
            ("threshold = 1\nwithin = \"soon\"", "within: expected a duration"),
            ("threshold = 1\nwithin = \"400d\"", "within 400d is too short or too long"),
            ("threshold = 1\nevery = \"0\"", "every 0 is too short"),
            ("threshold = 1\ncolour = 1", "unknown field"),
        ] {
            assert!(of(fields).contains(said), "{fields}: {}", of(fields));
        }
        assert!(
            rules("[[rule]]\nname = \"a\"\nmatch = \"\"\nthreshold = 1").unwrap_err().1.contains("match: no selector")
        );
        let twice = "[[rule]]\nname = \"a\"\nmatch = \"disk\"\nthreshold = 1\n".repeat(2);
        assert_eq!(rules(&twice).unwrap_err(), (49, "rule \"a\" stands twice".to_owned()));
    }
}
