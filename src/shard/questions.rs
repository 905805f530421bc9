//! What the API may ask about the models of series, and the answers: a board that shards write after each tick.
//!
//! Not here: samples (see `storage::Store`), the models themselves (see `analysis`).
//!
//! Invariant: nobody waits for a shard; a summary is that of some tick of late, whole.

use crate::analysis::{DETECTORS, FoundSeason, Kind, SeriesModel, Stage, Verdict, Votes};
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use storage::series::{PARTITIONS, SeriesRef};

/// Scores are kept as shares of this; one more means that there is none.
const SCORE_STEPS: f64 = 65_534.0;
const NO_SCORE: u16 = u16::MAX;

/// Marks periods in minutes.
const MINUTES: u16 = 1 << 15;

/// Seasons a summary has room for: of a day and of a week.
const SEASONS: usize = 2;

/// What is known of one series' model, in 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// What the values are taken for.
    pub kind: Kind,
    /// How far learning has come.
    pub stage: Stage,
    /// Samples learned.
    pub samples: u32,
    score: u16,
    scores: [u16; DETECTORS],
    seasons: [(u16, u8); SEASONS],
}

impl Summary {
    /// Of a model after its newest sample.
    pub fn new(model: &SeriesModel, verdict: &Verdict) -> Self {
        Self::of(model, verdict.score, &verdict.votes)
    }

    /// The same of a verdict's score and votes.
    pub(super) fn of(model: &SeriesModel, score: f64, votes: &Votes) -> Self {
        let mut seasons = [(0, 0); SEASONS];
        for (kept, found) in seasons.iter_mut().zip(model.seasons()) {
            *kept = (span(found.period_s), (found.strength * 255.0).round() as u8);
        }
        Self {
            kind: model.kind(),
            stage: model.stage(),
            samples: model.samples(),
            score: quantise(score),
            scores: votes.scores().map(|score| score.map_or(NO_SCORE, quantise)),
            seasons,
        }
    }

    /// Of a series with so few samples that they are kept as they are.
    pub fn of_few(samples: u32) -> Self {
        Self {
            kind: Kind::Gauge,
            stage: Stage::Warming,
            samples,
            score: 0,
            scores: [NO_SCORE; DETECTORS],
            seasons: [(0, 0); SEASONS],
        }
    }

    /// The newest sample's score, 0..=1.
    pub fn score(&self) -> f64 {
        f64::from(self.score) / SCORE_STEPS
    }

    /// The newest sample's score by each detector, in the order of `analysis::detector_names`; `None` where it abstains.
    pub fn scores(&self) -> [Option<f64>; DETECTORS] {
        self.scores.map(|score| (score != NO_SCORE).then_some(f64::from(score) / SCORE_STEPS))
    }

    /// The seasons that are believed.
    pub fn seasons(&self) -> impl Iterator<Item = FoundSeason> {
        let of = |(span, share): (u16, u8)| FoundSeason { period_s: seconds(span), strength: f64::from(share) / 255.0 };
        self.seasons.into_iter().filter(|(span, _)| *span > 0).map(of)
    }
}

/// A period in 16 bits: seconds up to nine hours, beyond in minutes.
fn span(period_s: u32) -> u16 {
    match u16::try_from(period_s) {
        Ok(seconds) if seconds < MINUTES => seconds,
        _ => MINUTES | u16::try_from(period_s / 60).unwrap_or(u16::MAX).min(MINUTES - 1),
    }
}

fn seconds(span: u16) -> u32 {
    if span & MINUTES == 0 { u32::from(span) } else { u32::from(span & !MINUTES) * 60 }
}

fn quantise(score: f64) -> u16 {
    // Halves are rounded up, as `round` does, which is a call into the system's library.
    (score.clamp(0.0, 1.0) * SCORE_STEPS + 0.5) as u16
}

/// Summaries of all series that have a model or are about to.
#[derive(Debug)]
pub struct ModelBoard {
    partitions: [RwLock<Vec<Option<Summary>>>; PARTITIONS],
    models: AtomicU64,
}

impl Default for ModelBoard {
    fn default() -> Self {
        Self { partitions: std::array::from_fn(|_| RwLock::default()), models: AtomicU64::new(0) }
    }
}

impl ModelBoard {
    /// What is known of a series; `None` if nothing is.
    pub fn of(&self, series: SeriesRef) -> Option<Summary> {
        *self.partitions[series.partition() as usize].read().get(series.id() as usize)?
    }

    /// How many series have a summary.
    pub fn models_loaded(&self) -> u64 {
        self.models.load(Ordering::Relaxed)
    }

    /// How many series there are, and how many of them were seen for a day.
    pub fn known_for_a_day(&self) -> (u64, u64) {
        let learned = |board: &RwLock<Vec<Option<Summary>>>| {
            board.read().iter().flatten().filter(|summary| summary.stage > Stage::Warming).count() as u64
        };
        (self.models_loaded(), self.partitions.iter().map(learned).sum())
    }

    /// Replaces summaries of one partition; `None` takes a series off the board. For the partition's shard alone.
    pub fn write(&self, partition: u8, summaries: impl Iterator<Item = (u32, Option<Summary>)>) {
        let mut board = self.partitions[partition as usize].write();
        for (id, summary) in summaries {
            let at = id as usize;
            if at >= board.len() {
                board.resize(at + 1, None);
            }
            match (board[at].is_some(), summary.is_some()) {
                (false, true) => _ = self.models.fetch_add(1, Ordering::Relaxed),
                (true, false) => _ = self.models.fetch_sub(1, Ordering::Relaxed),
                _ => {}
            }
            board[at] = summary;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Settings;

    #[test]
    fn a_summary_says_what_the_model_and_its_last_verdict_say() {
        assert!(size_of::<Option<Summary>>() <= 32, "{}", size_of::<Option<Summary>>());
        let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
        let day =
            |i: i64| 50.0 + 20.0 * (i as f64 * std::f64::consts::TAU / 288.0).sin() + (i * 7919 % 101) as f64 / 50.0;
        let mut verdict = model.observe(0, day(0));
        for i in 1..288 * 5 {
            verdict = model.observe(i * 300_000, day(i));
        }
        let summary = Summary::new(&model, &verdict);
        assert_eq!((summary.kind, summary.stage, summary.samples), (Kind::Gauge, Stage::Daily, 288 * 5));
        assert!((summary.score() - verdict.score).abs() < 1e-4);
        for (kept, told) in summary.scores().iter().zip(verdict.votes.scores()) {
            assert_eq!(kept.is_some(), told.is_some());
            assert!((kept.unwrap_or(0.0) - told.unwrap_or(0.0)).abs() < 1e-4);
        }
        let (kept, found) = (summary.seasons().next().unwrap(), model.seasons().next().unwrap());
        assert_eq!(kept.period_s, 86_400);
        assert!((kept.strength - found.strength).abs() < 0.01);
    }

    #[test]
    fn short_periods_are_kept_to_the_second_and_long_ones_to_the_minute() {
        let periods = [30, 5400, 86_400, 604_800, 28 * 86_400];
        assert_eq!(periods.map(|period_s| seconds(span(period_s))), [30, 5400, 86_400, 604_800, 32_767 * 60]);
    }

    #[test]
    fn the_board_counts_who_stands_on_it() {
        let board = ModelBoard::default();
        let series = SeriesRef::new(3, 7);
        assert!(board.of(series).is_none());
        board.write(3, [(7, Some(Summary::of_few(2))), (1, Some(Summary::of_few(1)))].into_iter());
        board.write(3, [(7, Some(Summary::of_few(3)))].into_iter());
        assert_eq!((board.of(series).unwrap().samples, board.models_loaded()), (3, 2));
        board.write(3, [(7, None), (9, None)].into_iter());
        assert!(board.of(series).is_none());
        assert_eq!(board.models_loaded(), 1);
    }
}
