//! A run of anomalous samples of one series: how verdicts become one, and what is said of it as it stands.
//!
//! Not here: keeping runs (see `book`), judging samples (see `analysis`).
//!
//! Invariants: a run begins with an anomalous sample and ends with one; its identity is its series and its beginning,
//! so that the same samples judged again give the same run; no two runs of a series overlap.

use super::exact;
use crate::analysis::{Band, Family, Severity, Verdict, Vote};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;

/// Anomalous samples from which a run is more than single points.
const LASTING_SAMPLES: u32 = 5;

/// A run as it stands. Sent when it opens, when its peak grows, and when it closes; the newest replaces what was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct AnomalyRun {
    /// Canonical key of the series.
    pub key: Arc<[u8]>,
    /// Time of the first anomalous sample, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// Time of the last anomalous sample so far.
    pub last_ms: i64,
    /// Whether it goes on.
    pub is_open: bool,
    /// Anomalous samples so far.
    pub samples: u32,
    /// Its most unusual sample so far.
    pub peak: Peak,
}

/// The most unusual sample of a run; values and band in the unit of the samples as they are stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peak {
    /// Milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The sample's value.
    #[serde(with = "exact")]
    pub value: f64,
    /// What was expected; NaN if nothing was.
    #[serde(with = "exact")]
    pub expected: f64,
    /// Least value that would have been normal; NaN if unknown.
    #[serde(with = "exact")]
    pub lower: f64,
    /// Greatest value that would have been normal; NaN if unknown.
    #[serde(with = "exact")]
    pub upper: f64,
    /// 0 to 1; 0.6 is the flag line.
    #[serde(with = "exact")]
    pub score: f64,
    /// Class of the score.
    pub severity: Severity,
    /// On which side of what was expected.
    pub direction: Side,
    /// What sort of anomaly it is, as far as can be told yet.
    pub kind: AnomalyKind,
    /// Every detector's vote on it.
    pub votes: Vec<VoteRecord>,
    /// One plain sentence.
    pub summary: String,
}

/// What one detector said of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VoteRecord {
    /// Its name.
    pub detector: Cow<'static, str>,
    /// 0 to 1, as the score of the sample if this detector judged alone; 0 if it abstained.
    #[serde(with = "exact")]
    pub score: f64,
    /// Whether it found the sample unusual.
    pub anomalous: bool,
    /// Whether it could not judge.
    pub abstained: bool,
    /// What it contributes to the score; all together are the score.
    #[serde(default, with = "exact")]
    pub contribution: f64,
}

/// On which side of what was expected a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Above it.
    Above,
    /// Below it.
    Below,
}

impl Side {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::Below => "below",
        }
    }
}

/// What sort of anomaly a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnomalyKind {
    /// Single samples far from all others.
    Point,
    /// Values unusual only for their slot of the season.
    Contextual,
    /// A stretch of samples that are unusual together.
    Collective,
    /// A stretch that began with a jump to another level.
    LevelShift,
    /// A slow departure.
    Drift,
    /// Samples stopped coming.
    Silence,
    /// A value that stopped moving.
    Flat,
    /// A rule with fixed limits.
    Static,
}

impl AnomalyKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Point => "point",
            Self::Contextual => "contextual",
            Self::Collective => "collective",
            Self::LevelShift => "level_shift",
            Self::Drift => "drift",
            Self::Silence => "silence",
            Self::Flat => "flat",
            Self::Static => "static",
        }
    }
}

impl Peak {
    /// Of an anomalous sample of the series called `name`.
    pub fn of(verdict: &Verdict, value: f64, name: &str) -> Self {
        let band = verdict.band_of(value);
        let edge = |edge: fn(&Band) -> f64| band.as_ref().map_or(f64::NAN, edge);
        let expected = edge(|band| band.expected);
        Self {
            time_ms: verdict.time_ms,
            value,
            expected,
            lower: edge(|band| band.lower),
            upper: edge(|band| band.upper),
            score: verdict.score,
            severity: verdict.severity,
            direction: if value < expected { Side::Below } else { Side::Above },
            kind: kind_of(verdict),
            votes: votes_of(verdict),
            summary: verdict.sentence(name),
        }
    }
}

/// Every detector's vote on a sample, as it is shown.
pub fn votes_of(verdict: &Verdict) -> Vec<VoteRecord> {
    let shares = verdict.contributions();
    let record = |(vote, score): (Vote, Option<f64>)| VoteRecord {
        detector: Cow::Borrowed(vote.detector),
        score: score.unwrap_or(0.0),
        anomalous: verdict.votes.finds(vote.detector),
        abstained: score.is_none(),
        contribution: shares.iter().find(|(name, _)| *name == vote.detector).map_or(0.0, |(_, share)| *share),
    };
    let zero = verdict.is_rare_zero.then_some(VoteRecord {
        detector: Cow::Borrowed("drop_to_zero"),
        score: verdict.score,
        anomalous: true,
        abstained: false,
        contribution: verdict.score,
    });
    verdict.votes.all().zip(verdict.votes.scores()).map(record).chain(zero).collect()
}

/// What a single sample tells: unusual for its slot only, or whatever the slot.
fn kind_of(verdict: &Verdict) -> AnomalyKind {
    let mut agreeing = verdict.votes.agreeing().peekable();
    let is_slot_only = agreeing.peek().is_some() && agreeing.all(|vote| vote.family == Family::Seasonal);
    if is_slot_only { AnomalyKind::Contextual } else { AnomalyKind::Point }
}

/// Makes runs of the verdicts on one series, in the order of its samples.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunTracker {
    /// Boxed, because hardly any series has a run at a time.
    open: Option<Box<OpenRun>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OpenRun {
    start_ms: i64,
    last_ms: i64,
    samples: u32,
    is_adopted: bool,
    has_jumped: bool,
    peak: Peak,
}

impl RunTracker {
    /// Takes the verdict on the next sample, and whether the model holds that a run goes on after it. Gives the run as it
    /// stands when it opened, when its peak grew, or when it closed.
    pub fn observe(
        &mut self,
        key: &Arc<[u8]>,
        name: &str,
        value: f64,
        verdict: &Verdict,
        goes_on: bool,
    ) -> Option<AnomalyRun> {
        let told = if verdict.is_anomaly { self.anomalous(key, name, value, verdict) } else { None };
        if goes_on {
            return told;
        }
        let open = self.open.as_mut()?;
        // The model adopted the level of a run that it ends with an anomalous sample.
        open.is_adopted = verdict.is_anomaly;
        self.close(key)
    }

    /// Whether a run goes on.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// The run as it stands, if one goes on.
    pub fn current(&self, key: &Arc<[u8]>) -> Option<AnomalyRun> {
        self.open.as_ref().map(|open| open.told(key, true))
    }

    /// Ends the run, because its series ended or is learned anew.
    pub fn close(&mut self, key: &Arc<[u8]>) -> Option<AnomalyRun> {
        self.open.take().map(|open| open.told(key, false))
    }

    fn anomalous(&mut self, key: &Arc<[u8]>, name: &str, value: f64, verdict: &Verdict) -> Option<AnomalyRun> {
        let jumps = verdict.votes.agreeing().any(|vote| vote.family == Family::Change);
        let Some(open) = &mut self.open else {
            let peak = Peak::of(verdict, value, name);
            let (start_ms, last_ms) = (verdict.time_ms, verdict.time_ms);
            let open = OpenRun { start_ms, last_ms, samples: 1, is_adopted: false, has_jumped: jumps, peak };
            let told = open.told(key, true);
            self.open = Some(Box::new(open));
            return Some(told);
        };
        open.last_ms = verdict.time_ms;
        open.samples = open.samples.saturating_add(1);
        open.has_jumped |= jumps;
        if verdict.score <= open.peak.score {
            return None;
        }
        open.peak = Peak::of(verdict, value, name);
        Some(open.told(key, true))
    }
}

impl OpenRun {
    fn told(&self, key: &Arc<[u8]>, is_open: bool) -> AnomalyRun {
        let mut peak = self.peak.clone();
        if self.is_adopted {
            peak.kind = AnomalyKind::LevelShift;
        } else if self.samples >= LASTING_SAMPLES && peak.kind == AnomalyKind::Point {
            peak.kind = if self.has_jumped { AnomalyKind::LevelShift } else { AnomalyKind::Collective };
        }
        let Self { start_ms, last_ms, samples, .. } = *self;
        AnomalyRun { key: key.clone(), start_ms, last_ms, is_open, samples, peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{SeriesModel, Settings};

    const STEP_MS: i64 = 10_000;

    /// Noise that repeats only after a long while, without a random source.
    fn noise(i: i64) -> f64 {
        let mixed = (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 11) as f64 / (1u64 << 53) as f64
    }

    /// What a tracker says of a noisy level with `odd` at some places after 2000 samples.
    fn told(odd: impl Fn(i64) -> Option<f64>, count: i64) -> (RunTracker, Vec<AnomalyRun>) {
        let key: Arc<[u8]> = Arc::from(*b"key");
        let mut model = SeriesModel::new(None, Settings::default());
        let mut tracker = RunTracker::default();
        let told = (0..count)
            .filter_map(|i| {
                let value = odd(i).unwrap_or(50.0 + noise(i));
                let verdict = model.observe(i * STEP_MS, value);
                tracker.observe(&key, "cpu", value, &verdict, model.is_run_open())
            })
            .collect();
        (tracker, told)
    }

    #[test]
    fn a_spike_is_one_run_that_opens_and_closes() {
        let (tracker, told) = told(|i| (i == 2000).then_some(500.0), 2100);
        let states: Vec<_> = told.iter().map(|run| (run.start_ms, run.is_open, run.samples)).collect();
        assert_eq!(states, [(2000 * STEP_MS, true, 1), (2000 * STEP_MS, false, 1)]);
        assert!(!tracker.is_open());
        let peak = &told[1].peak;
        assert_eq!((peak.value, peak.direction, peak.kind), (500.0, Side::Above, AnomalyKind::Point));
        assert!(peak.score >= 0.6 && (49.0..52.0).contains(&peak.expected) && peak.upper < 500.0);
        assert!(peak.votes.iter().any(|vote| vote.anomalous && vote.score > 0.0), "{:?}", peak.votes);
        assert!(peak.summary.starts_with("cpu is 500"), "{}", peak.summary);
    }

    #[test]
    fn a_stretch_is_one_run_and_its_peak_is_the_most_unusual_sample() {
        let value = |i: i64| (2000..2003).contains(&i).then_some(if i == 2001 { -900.0 } else { -90.0 });
        let (_, told) = told(value, 2100);
        let last = told.last().unwrap();
        assert!(told.iter().all(|run| run.start_ms == 2000 * STEP_MS));
        assert!(!last.is_open && last.samples >= 3 && last.last_ms >= 2002 * STEP_MS, "{last:?}");
        assert_eq!((last.peak.time_ms, last.peak.direction), (2001 * STEP_MS, Side::Below));
    }

    #[test]
    fn a_level_that_is_adopted_ends_its_run() {
        let (tracker, told) = told(|i| (i >= 2000).then_some(500.0 + noise(i)), 2600);
        let last = told.last().unwrap();
        assert_eq!((last.is_open, last.peak.kind, tracker.is_open()), (false, AnomalyKind::LevelShift, false));
        assert!(last.last_ms < 2599 * STEP_MS && last.last_ms > 2000 * STEP_MS);
    }

    #[test]
    fn a_run_that_goes_on_can_be_told_and_ended() {
        let (mut tracker, _) = told(|i| (i >= 2000).then_some(500.0), 2002);
        let key: Arc<[u8]> = Arc::from(*b"key");
        assert!(tracker.current(&key).is_some_and(|run| run.is_open && run.samples == 2));
        assert!(tracker.close(&key).is_some_and(|run| !run.is_open));
        assert_eq!((tracker.current(&key), tracker.close(&key)), (None, None));
    }

    #[test]
    fn a_tracker_survives_being_written_down() {
        let (tracker, _) = told(|i| (i >= 2000).then_some(500.0), 2002);
        let text = serde_json::to_string(&tracker).unwrap();
        assert_eq!(serde_json::from_str::<RunTracker>(&text).unwrap(), tracker);
    }
}
