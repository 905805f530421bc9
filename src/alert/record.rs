//! One alert as it is kept: what is wrong with which series, since when, who knows of it, and whom we told.
//!
//! Not here: what makes alerts (see `signal`), when somebody is told (see `groups`).
//!
//! Invariants: a fingerprint is made of the rule and the series alone, never of the severity, so that the same trouble
//! has one alert through restarts; an alert that ended keeps its history until it is forgotten.

use super::signal::Signal;
use crate::anomaly::{AnomalyId, exact};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use storage::series;

/// Changes that an alert remembers.
const HISTORY_MAX: usize = 32;

/// The alert's name in its labels.
pub(crate) const NAME_LABEL: &str = "alertname";
/// The series' name in its labels.
pub(crate) const METRIC_LABEL: &str = "metric_name";

/// Identity of an alert: 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The least there is.
    pub const MIN: Self = Self(0);

    /// Of what a rule, or the detectors, say of a series with this canonical key.
    pub fn of(rule: &str, key: &[u8]) -> Self {
        let text = [rule.as_bytes(), b"\0", key].concat();
        Self(series::hash(&text))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 16 hexadecimal digits")]
pub struct NoFingerprint;

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let bits = if is_hex { u64::from_str_radix(text, 16).ok() } else { None };
        bits.map(Self).ok_or(NoFingerprint)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// How much attention an alert deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertSeverity {
    /// To be looked up, not to be told.
    Info,
    /// Somebody should look at it.
    Warning,
    /// Somebody has to look at it now.
    Critical,
}

impl AlertSeverity {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Info, Self::Warning, Self::Critical];

    /// Of the label `severity`, as people write it in rules; what is unknown or missing is a warning.
    pub fn of_label(word: &str) -> Self {
        match word.to_ascii_lowercase().as_str() {
            "critical" | "page" | "emergency" | "disaster" | "p1" | "error" => Self::Critical,
            "info" | "information" | "informational" | "none" | "debug" => Self::Info,
            _ => Self::Warning,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// Who raises an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Detectors, or somebody who posted an anomaly.
    #[default]
    Anomaly,
    /// A rule of a file, which says by itself when it is over.
    Rule,
    /// Several slight alerts together.
    Joint,
    /// A monitor of a file, which says by itself when it is over.
    Monitor,
    /// Maintenance that goes on: nobody is told, others may be kept quiet by it.
    Maintenance,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// It goes on and nobody has taken it.
    Active,
    /// It goes on and somebody has.
    Acknowledged,
    /// It is over.
    Resolved,
    /// It goes on while a silence or maintenance says that nobody is to be told.
    Suppressed,
}

impl AlertState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Active, Self::Acknowledged, Self::Resolved, Self::Suppressed];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Suppressed => "suppressed",
        }
    }
}

/// Who did something, when, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who, if they said so.
    pub by: Option<String>,
    /// In their own words.
    pub note: Option<String>,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// One change of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// What happened, in a few words.
    pub what: String,
}

/// One alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Its identity.
    pub fingerprint: Fingerprint,
    /// Who raises it.
    #[serde(default)]
    pub origin: Origin,
    /// When what is behind it began, where that is no anomaly; 0 where it is.
    #[serde(default)]
    pub occurrence_ms: i64,
    /// The rule's name.
    pub name: String,
    /// The series' labels with `alertname` and `metric_name`.
    pub labels: BTreeMap<String, String>,
    /// Texts that do not identify it.
    pub annotations: BTreeMap<String, String>,
    /// The highest severity since it began.
    pub severity: AlertSeverity,
    /// When it began, milliseconds since 1970 UTC.
    pub starts_at_ms: i64,
    /// When it ended, if it did.
    pub ends_at_ms: Option<i64>,
    /// When it was last heard of.
    pub updated_at_ms: i64,
    /// Anomalous samples, or times the rule held, since it began.
    pub count: u64,
    /// The value that was most unusual.
    #[serde(with = "exact")]
    pub value: f64,
    /// How unusual it is, 0 to 1.
    #[serde(with = "exact")]
    pub score: f64,
    /// One plain sentence.
    pub summary: String,
    /// The newest anomaly behind it.
    pub anomaly_id: Option<AnomalyId>,
    /// How many more were told because nobody took it.
    #[serde(default)]
    pub escalated: usize,
    /// How often it is told again while it goes on, in milliseconds, if more often than its route says.
    #[serde(default)]
    pub renotify_ms: Option<i64>,
    /// The incident it is part of.
    #[serde(default)]
    pub incident: Option<AnomalyId>,
    /// Of the anomalies before the newest one, how many samples.
    pub(super) count_before: u64,
    /// Who took it.
    pub acknowledged: Option<Said>,
    /// Who declared it over, if a person did.
    pub resolved: Option<Said>,
    /// What keeps it quiet: `silence:ID`, `maintenance:ID`, `severity:info`.
    pub suppressed_by: Vec<String>,
    /// When that was raised which was last told at each severity, milliseconds since 1970 UTC.
    pub notified: BTreeMap<AlertSeverity, i64>,
    /// What happened to it, the newest last.
    pub history: Vec<Change>,
}

impl Alert {
    /// Of what is said for the first time.
    pub(super) fn new(signal: Signal) -> Self {
        Self {
            fingerprint: signal.fingerprint,
            origin: signal.origin,
            occurrence_ms: signal.occurrence_ms,
            name: signal.name,
            labels: signal.labels,
            annotations: signal.annotations,
            severity: signal.severity,
            starts_at_ms: signal.start_ms,
            ends_at_ms: None,
            updated_at_ms: signal.last_ms,
            count: signal.count,
            value: signal.value,
            score: signal.score,
            summary: signal.summary,
            anomaly_id: signal.anomaly_id,
            escalated: 0,
            renotify_ms: signal.renotify_ms,
            incident: None,
            count_before: 0,
            acknowledged: None,
            resolved: None,
            suppressed_by: Vec::new(),
            notified: BTreeMap::new(),
            history: Vec::new(),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> AlertState {
        match () {
            () if self.ends_at_ms.is_some() => AlertState::Resolved,
            () if !self.suppressed_by.is_empty() => AlertState::Suppressed,
            () if self.acknowledged.is_some() => AlertState::Acknowledged,
            () => AlertState::Active,
        }
    }

    /// Whether it goes on.
    pub fn is_firing(&self) -> bool {
        self.ends_at_ms.is_none()
    }

    /// When it was last told at all.
    pub fn told_ms(&self) -> Option<i64> {
        self.notified.values().copied().max()
    }

    /// Remembers a change; the earliest are forgotten.
    pub(super) fn note(&mut self, at_ms: i64, what: impl Into<String>) {
        if self.history.len() == HISTORY_MAX {
            self.history.remove(1);
        }
        self.history.push(Change { at_ms, what: what.into() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_and_tells_rules_and_series_apart() {
        let print = Fingerprint::of("anomaly", b"key");
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_ne!(print, Fingerprint::of("other", b"key"));
        assert_ne!(print, Fingerprint::of("anomaly", b"yek"));
        for wrong in ["", "1", "00000000000000001", "000000000000000g", "+000000000000001"] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(NoFingerprint), "{wrong}");
        }
    }
}
