//! One anomaly as it is kept: a run of a series, or what somebody outside has told us about one.
//!
//! Not here: how records are found (see `records`) and written down (see `log`).
//!
//! Invariants: an anomaly's id is made of its series and its beginning alone, so that judging the same samples again
//! after a crash writes the same record; the key is a valid series key.

use super::run::{AnomalyRun, Peak};
use crate::analysis::{self, Severity};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use storage::series::{self, KeyBuilder, NAME_LABEL};

/// Identity of an anomaly: a UUID of version 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AnomalyId(u128);

impl AnomalyId {
    /// The least there is.
    pub(super) const MIN: Self = Self(0);
    /// The greatest there is.
    pub(super) const MAX: Self = Self(u128::MAX);

    /// Bits that are spread evenly.
    pub(super) fn bits(self) -> u128 {
        self.0
    }

    /// Of what `source` says of the series with this key from `start_ms` on.
    pub fn of(key: &[u8], start_ms: i64, source: Source) -> Self {
        let mut text = Vec::with_capacity(key.len() + 16);
        text.push(source as u8);
        text.extend_from_slice(&start_ms.to_le_bytes());
        text.extend_from_slice(key);
        let high = series::hash(&text);
        text.extend_from_slice(b"low half");
        let bits = u128::from(high) << 64 | u128::from(series::hash(&text));
        const VERSION: u128 = 0xF << 76;
        const VARIANT: u128 = 0b11 << 62;
        Self(bits & !VERSION & !VARIANT | 8 << 76 | 0b10 << 62)
    }
}

impl fmt::Display for AnomalyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// The text is no UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID such as 01234567-89ab-8def-8123-456789abcdef")]
pub struct NoUuid;

impl FromStr for AnomalyId {
    type Err = NoUuid;

    fn from_str(text: &str) -> Result<Self, NoUuid> {
        let parts: Vec<&str> = text.split('-').collect();
        let lengths_fit = parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]);
        let is_hex = parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !lengths_fit || !is_hex {
            return Err(NoUuid);
        }
        u128::from_str_radix(&parts.concat(), 16).map(Self).map_err(|_| NoUuid)
    }
}

impl Serialize for AnomalyId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AnomalyId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

/// Who says that it is an anomaly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Our own detectors.
    Infrawatch,
    /// Somebody who posted it.
    External,
}

impl Source {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Infrawatch => "infrawatch",
            Self::External => "external",
        }
    }
}

/// How sure we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Neither of the below.
    Low,
    /// Two detectors agree, or the score is above the flag line.
    Medium,
    /// Three detectors agree, and the score is above 0.8.
    High,
}

impl Confidence {
    /// Of a score and the number of detectors that agree: the rule of `analysis::Confidence`.
    pub fn of(score: f64, agreeing: usize) -> Self {
        match analysis::Confidence::of(score, agreeing) {
            analysis::Confidence::Low => Self::Low,
            analysis::Confidence::Medium => Self::Medium,
            analysis::Confidence::High => Self::High,
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What a person said of an anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// Whether it was one.
    pub verdict: FeedbackVerdict,
    /// In their own words.
    pub note: Option<String>,
    /// Who said so.
    pub by: Option<String>,
    /// When, milliseconds since 1970 UTC.
    pub at_ms: i64,
}

/// Whether an anomaly deserved attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackVerdict {
    /// It did not.
    FalseAlarm,
    /// It did.
    TrueAlarm,
}

impl FeedbackVerdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FalseAlarm => "false_alarm",
            Self::TrueAlarm => "true_alarm",
        }
    }
}

/// The name under which all detectors together are counted.
pub const ENSEMBLE: &str = "ensemble";

/// One anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyRecord {
    /// Its identity.
    pub id: AnomalyId,
    /// Canonical key of the series.
    #[serde(rename = "labels", with = "key_as_labels")]
    pub key: Arc<[u8]>,
    /// Time of the first anomalous sample, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// Time of the last one so far.
    pub last_ms: i64,
    /// Whether it goes on.
    pub is_open: bool,
    /// Anomalous samples so far.
    pub samples: u32,
    /// The most unusual of them.
    pub peak: Peak,
    /// Who says so.
    pub source: Source,
    /// How sure they are, when they said so.
    pub confidence: Option<Confidence>,
    /// Whatever else they said.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub context: Map<String, Value>,
    /// What a person said of it.
    pub feedback: Option<Feedback>,
    /// Detectors and severities under which it was counted (see `detected`).
    pub(super) counted: Vec<(Cow<'static, str>, Severity)>,
}

impl AnomalyRecord {
    /// Of a run as a shard tells it.
    pub fn of_run(run: AnomalyRun) -> Self {
        let id = AnomalyId::of(&run.key, run.start_ms, Source::Infrawatch);
        let AnomalyRun { key, start_ms, last_ms, is_open, samples, peak } = run;
        let (source, confidence, context, feedback) = (Source::Infrawatch, None, Map::new(), None);
        let counted = Vec::new();
        Self { id, key, start_ms, last_ms, is_open, samples, peak, source, confidence, context, feedback, counted }
    }

    /// Of what somebody outside says, with how sure they are and whatever else they said.
    pub fn from_outside(run: AnomalyRun, confidence: Option<Confidence>, context: Map<String, Value>) -> Self {
        let id = AnomalyId::of(&run.key, run.start_ms, Source::External);
        Self { id, source: Source::External, confidence, context, ..Self::of_run(run) }
    }

    /// The metric's name.
    pub fn name(&self) -> &str {
        series::label(&self.key, NAME_LABEL).unwrap_or("")
    }

    /// How sure we are: what was said, or by the score and how many detectors agree.
    pub fn confidence(&self) -> Confidence {
        self.confidence.unwrap_or_else(|| Confidence::of(self.peak.score, self.agreeing().count()))
    }

    /// Detectors that find its peak unusual.
    pub fn agreeing(&self) -> impl Iterator<Item = &str> {
        self.peak.votes.iter().filter(|vote| vote.anomalous).map(|vote| &*vote.detector)
    }

    /// Keeps of the record it replaces what a shard does not know.
    pub(super) fn inherit(&mut self, before: &Self) {
        if self.feedback.is_none() {
            self.feedback.clone_from(&before.feedback);
        }
        self.counted.clone_from(&before.counted);
    }
}

/// A key as an object of its labels.
mod key_as_labels {
    use super::*;

    pub(super) fn serialize<S: Serializer>(key: &Arc<[u8]>, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(series::labels(key))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Arc<[u8]>, D::Error> {
        let labels = std::collections::BTreeMap::<String, String>::deserialize(from)?;
        let mut keys = KeyBuilder::default();
        labels.iter().for_each(|(name, value)| keys.push(name, value));
        keys.finish().map(Arc::from).map_err(de::Error::custom)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::run::{AnomalyKind, Side, VoteRecord};
    use super::*;

    /// The key of a series of one host.
    pub(in crate::anomaly) fn key(name: &str, host: &str) -> Arc<[u8]> {
        let mut keys = KeyBuilder::default();
        keys.push(NAME_LABEL, name);
        keys.push("host", host);
        keys.finish().unwrap().into()
    }

    /// A closed run of one sample.
    pub(in crate::anomaly) fn run(name: &str, host: &str, start_ms: i64, score: f64) -> AnomalyRun {
        let vote = |detector: &'static str, score, abstained| VoteRecord {
            detector: Cow::Borrowed(detector),
            score,
            anomalous: score >= 0.6,
            abstained,
            contribution: 0.0,
        };
        let peak = Peak {
            time_ms: start_ms,
            value: 0.1 + 0.2,
            expected: 0.1,
            lower: f64::NAN,
            upper: 0.2,
            score,
            severity: Severity::of(score),
            direction: Side::Above,
            kind: AnomalyKind::Point,
            votes: vec![vote("zscore", 0.7, false), vote("ema", 0.1, false), vote("profile", 0.0, true)],
            summary: format!("{name} is \"odd\""),
        };
        AnomalyRun { key: key(name, host), start_ms, last_ms: start_ms, is_open: false, samples: 1, peak }
    }

    #[test]
    fn an_id_depends_on_series_beginning_and_source_alone() {
        let id = |host, start_ms, score| AnomalyRecord::of_run(run("cpu", host, start_ms, score)).id;
        assert_eq!(id("a", 1, 0.7), id("a", 1, 0.9));
        assert_ne!(id("a", 1, 0.7), id("b", 1, 0.7));
        assert_ne!(id("a", 1, 0.7), id("a", 2, 0.7));
        assert_ne!(AnomalyId::of(b"k", 1, Source::Infrawatch), AnomalyId::of(b"k", 1, Source::External));
    }

    #[test]
    fn an_id_is_a_uuid_that_reads_back() {
        let id = AnomalyId::of(b"k", 1, Source::Infrawatch);
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "8"));
        assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
        assert_eq!(text.parse(), Ok(id));
        for wrong in ["", "x", &text[1..], &text.replace('-', ""), &text.replace('-', "+"), &format!("{text}0")] {
            assert_eq!(wrong.parse::<AnomalyId>(), Err(NoUuid), "{wrong}");
        }
    }

    #[test]
    fn confidence_follows_score_and_agreement() {
        let words = [(0.5, 1), (0.5, 2), (0.7, 1), (0.7, 3), (0.9, 3)].map(|(s, a)| Confidence::of(s, a).as_str());
        assert_eq!(words, ["low", "medium", "medium", "medium", "high"]);
        assert_eq!(AnomalyRecord::of_run(run("cpu", "a", 1, 0.7)).confidence(), Confidence::Medium);
    }
}
