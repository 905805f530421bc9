//! What is usual for a series, and what is not: pure computation, one sample at a time.
//!
//! ```text
//! value ─ kind ─ prepare (unwrap counters, step, gaps) ─ baseline (level or season) ─ detect ─ calibrate ─ ensemble ─ judge ─ explain
//! ```
//!
//! [`SeriesModel`] holds everything remembered about one series and runs these steps in this order.
//!
//! `forecast` looks the other way: what a series will do next, and when it reaches a limit.
//!
//! Not here: input and output, the clock, threads but those that `fan_out` lends; a caller hands in times and values and gets verdicts.
//!
//! Invariants: a verdict depends on the samples up to it and on nothing else; no step's cost or state grows with the
//! number of samples.

pub mod accuracy;
mod array;
mod baseline;
mod calibrate;
mod detect;
pub mod detectors;
pub mod drift;
mod ensemble;
mod explain;
pub mod fan_out;
pub mod forecast;
mod foreseen;
pub mod foresight;
pub mod group;
mod habit;
mod judge;
mod kind;
mod model;
mod news;
mod pattern;
mod pipeline;
pub mod prepare;
pub mod pretrained;
mod profile;
mod quiet_hours;
mod rhythm;
mod robust;
mod season;
pub mod seasonality;
pub mod series_network;
pub mod series_profile;
mod stopped;
mod tails;
mod voting;
mod watch;
mod zone;
mod zoned;

pub use detect::Effort;
pub use ensemble::{DETECTORS, Family, Vote, Votes};
pub use foreseen::ForecastBand;
pub use judge::{Direction, FoundationVote, Settings};
pub use kind::Kind;
pub use model::{ENCODING_VERSION, STATE_BYTES_MAX, SeriesModel};
pub use pipeline::{Anomaly, Detection, DetectionPipeline, PipelineError, Runs, learn};
pub use quiet_hours::{NoHours, QuietHours};
pub use season::{FoundSeason, Season, Stage};
pub use stopped::SILENCE_PATIENCE_MS;
pub use voting::{EnsembleConfig, EnsembleDetector, VotingMode, Weights};
pub use watch::Notice;
pub use zone::{LocalClock, Slot, UnknownZone, Zone};
pub use zoned::ZonedSettings;

use serde::{Deserialize, Serialize};

/// Names of the detectors, in the order of their votes.
pub fn detector_names() -> [&'static str; DETECTORS] {
    detect::NAMES.map(|(name, _)| name)
}

/// Lower and upper edge of the values that would not have been flagged, around the expected one; in the unit of what
/// was judged (a counter's is its increase a second).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Band {
    /// What was expected.
    pub expected: f64,
    /// Least value that would have been normal.
    pub lower: f64,
    /// Greatest value that would have been normal.
    pub upper: f64,
}

/// How grave a score is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Below the flag line of 0.6.
    None,
    /// From 0.6.
    Low,
    /// From 0.7.
    Medium,
    /// From 0.8.
    High,
    /// From 0.9.
    Critical,
}

impl Severity {
    /// The class of a score in 0..=1.
    pub fn of(score: f64) -> Self {
        match score {
            s if s < 0.6 => Self::None,
            s if s < 0.7 => Self::Low,
            s if s < 0.8 => Self::Medium,
            s if s < 0.9 => Self::High,
            _ => Self::Critical,
        }
    }

    /// The word for it, as [`Severity::as_str`].
    pub fn label(self) -> &'static str {
        self.as_str()
    }

    /// The word for it: none, low, medium, high or critical.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What kind of anomaly a sample is part of, as far as can be told at the sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnomalyKind {
    /// A value far from all others.
    Point,
    /// A value that is usual at other times of the day or week.
    Contextual,
    /// Several samples that are unusual together.
    Collective,
    /// A level that has lasted and is taken for the new normal from now on.
    LevelShift,
}

impl AnomalyKind {
    /// The word for it: point, contextual, collective or level_shift.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Contextual => "contextual",
            Self::Collective => "collective",
            Self::LevelShift => "level_shift",
        }
    }
}

/// How sure a verdict is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Confidence {
    /// Neither of the below.
    Low,
    /// Two detectors agree, or the score is above the flag line.
    Medium,
    /// Three detectors agree, and the score is above 0.8.
    High,
}

impl Confidence {
    /// Of a score and the number of detectors that find the sample unusual.
    pub fn of(score: f64, agreeing: usize) -> Self {
        match () {
            () if agreeing >= 3 && score > 0.8 => Self::High,
            () if agreeing >= 2 || score > 0.6 => Self::Medium,
            () => Self::Low,
        }
    }

    /// The word for it: low, medium or high.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}

/// What is said about one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// What was judged: the value, or a counter's increase a second; `None` if nothing could be.
    pub judged: Option<f64>,
    /// 0..=1, higher is more unusual; 0.6 is the flag line; 0 while nothing can be judged.
    pub score: f64,
    /// The judge's word; never true below 0.6.
    pub is_anomaly: bool,
    /// Class of the score.
    pub severity: Severity,
    /// What kind of anomaly it is part of; says nothing where none is.
    pub(crate) kind: AnomalyKind,
    /// Expected value and band; `None` while unknown.
    pub band: Option<Band>,
    /// Which detectors judged and which found the sample unusual.
    pub votes: Votes,
    /// Whether it is a zero where there are hardly any, which raises an anomaly by itself.
    pub is_rare_zero: bool,
    /// The slot of the season the expectation was made for, if one was found.
    pub season: Option<Season>,
    /// Whether its slot is by another clock than UTC's.
    pub is_local: bool,
    /// Of the sample, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// Seconds a counter's increase was taken over; `None` where the value itself was judged.
    pub rate_seconds: Option<f64>,
    /// Whether nothing was learned of its value, because of maintenance.
    pub is_held: bool,
    /// What of the score is that of an unfamiliar pattern.
    pub(crate) pattern: f64,
}

impl Verdict {
    /// Nothing can be said about a sample.
    fn silent(time_ms: i64) -> Self {
        Self {
            judged: None,
            score: 0.0,
            is_anomaly: false,
            severity: Severity::None,
            kind: AnomalyKind::Point,
            band: None,
            votes: Votes::default(),
            is_rare_zero: false,
            season: None,
            is_local: false,
            time_ms,
            rate_seconds: None,
            is_held: false,
            pattern: 0.0,
        }
    }

    /// The band in the unit of the sample as it was sent: for a counter the totals that its rates would have led to.
    pub fn band_of(&self, value: f64) -> Option<Band> {
        let (band, judged) = self.band.zip(self.judged)?;
        let Some(seconds) = self.rate_seconds else { return Some(band) };
        let total = |rate: f64| value + (rate - judged) * seconds;
        Some(Band { expected: total(band.expected), lower: total(band.lower), upper: total(band.upper) })
    }

    /// Whether the forecast of a foundation model counts because the series is young.
    pub fn is_prior(&self) -> bool {
        self.votes.is_prior()
    }

    /// How sure it is.
    pub fn confidence(&self) -> Confidence {
        Confidence::of(self.score, self.votes.agreeing().count())
    }

    /// What kind of anomaly it is part of; `None` for a sample that is not anomalous.
    pub fn kind(&self) -> Option<AnomalyKind> {
        self.is_anomaly.then_some(self.kind)
    }

    /// The side of what was expected on which the value lies; `None` where nothing was expected.
    pub fn direction(&self) -> Option<Direction> {
        let (band, judged) = self.band.zip(self.judged)?;
        Some(if judged < band.expected { Direction::Below } else { Direction::Above })
    }

    /// What each detector contributes to the score, by name; together they are the score. One that abstains contributes
    /// nothing; a zero where there are hardly any is all of it.
    pub fn contributions(&self) -> Vec<(&'static str, f64)> {
        let rest = self.score - self.pattern;
        let shares = self.votes.contributions(if self.is_rare_zero { 0.0 } else { rest });
        let zero = self.is_rare_zero.then_some((watch::DROP_TO_ZERO, rest));
        let pattern = (self.pattern > 0.0).then_some(("pattern", self.pattern));
        detector_names().into_iter().zip(shares).chain(zero).chain(pattern).collect()
    }

    /// The nearest value that would have been normal, in one sentence; `None` where the sample is normal or nothing is known.
    pub fn counterfactual(&self, name: &str) -> Option<String> {
        explain::counterfactual(self, name)
    }

    /// One plain sentence: value, expected range, slot of the season, agreeing detectors, nearest normal value.
    pub fn sentence(&self, name: &str) -> String {
        explain::sentence(self, name)
    }
}

#[cfg(test)]
mod fixture_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_asks_for_agreement_and_score() {
        let cases = [(0.9, 3), (0.9, 2), (0.8, 3), (0.7, 0), (0.6, 1), (0.1, 2)];
        let words = ["high", "medium", "medium", "medium", "low", "medium"];
        assert_eq!(cases.map(|(score, agreeing)| Confidence::of(score, agreeing).as_str()), words);
    }

    #[test]
    fn severity_follows_the_score() {
        let scores = [0.0, 0.599, 0.6, 0.7, 0.8, 0.9, 1.0];
        let words = ["none", "none", "low", "medium", "high", "critical", "critical"];
        assert_eq!(scores.map(|score| Severity::of(score).as_str()), words);
    }
}
