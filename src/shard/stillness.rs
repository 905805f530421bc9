//! That all series have stopped: one notice for all of them, since none goes on beside which another could be silent.
//!
//! Not here: single series that stop while others go on (see `silence`).
//!
//! Invariants: it is told once, begins with the store's newest sample, so that a restart tells the same again, and ends with
//! the next one; nothing is told before a series was seen for a day.
//!
//! Cost: a few loads a second, in one shard.

use super::score::ScoringContext;
use crate::anomaly::notice;
use crate::anomaly::run::AnomalyRun;
use std::sync::atomic::Ordering;

/// Steps without a sample, the least time, and how often the longest pause of late.
const STEPS: i64 = 10;
const STILL_MS_MIN: i64 = 120_000;
const PAUSES: f64 = 2.0;
/// What must have been heard, and for how long, before a usual step is known; until then it takes this long.
const HEARD_MIN: u32 = 20;
const HEARD_MS_MIN: i64 = 3_600_000;
const UNKNOWN_MS: i64 = 600_000;
/// Samples that were older than this when they came are history that is read in: nobody waits for more of it.
const HISTORY_MS: i64 = 86_400_000;
/// How fast the longest pause is forgotten, a step, and how fast the mean of steps follows.
const PAUSE_FADE: f64 = 0.999;
const PACE: f64 = 1.0 / 64.0;

/// Whether anything comes, by the clock.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    scored: u64,
    /// When something came first and last; 0 before the first look.
    began_ms: i64,
    heard_ms: i64,
    steps: u32,
    mean_ms: f64,
    longest_ms: f64,
    told: Option<AnomalyRun>,
    /// The end of what was told, until there is room for it.
    ended: Option<AnomalyRun>,
}

impl Stillness {
    /// Looks at what was scored since, about once a second.
    pub(super) fn look(&mut self, context: &ScoringContext, now_ms: i64) {
        let counters = &context.metrics.scoring;
        let scored = counters.scored.load(Ordering::Relaxed) + counters.skipped.load(Ordering::Relaxed);
        if self.heard_ms == 0 || scored != self.scored {
            self.hear(now_ms);
            self.scored = scored;
        } else if self.told.is_none() && now_ms - self.heard_ms >= self.patience_ms() {
            self.tell(context, now_ms);
        }
        if let Some(run) = self.ended.take() {
            self.ended =
                context.runs.try_send(run).err().filter(|error| error.is_full()).map(|error| error.into_inner());
        }
    }

    /// Something has come.
    fn hear(&mut self, now_ms: i64) {
        let passed_ms = (now_ms - self.heard_ms).max(0) as f64;
        if let Some(run) = self.told.take() {
            self.ended = Some(notice::end_of_stillness(run, now_ms));
        } else if self.heard_ms > 0 {
            self.steps = self.steps.saturating_add(1);
            self.mean_ms += PACE.max(1.0 / f64::from(self.steps)) * (passed_ms - self.mean_ms);
            self.longest_ms = (self.longest_ms * PAUSE_FADE).max(passed_ms);
        }
        if self.began_ms == 0 {
            self.began_ms = now_ms;
        }
        self.heard_ms = now_ms;
    }

    /// Whether it is known how often something comes.
    fn is_known(&self) -> bool {
        self.steps >= HEARD_MIN && self.heard_ms - self.began_ms >= HEARD_MS_MIN
    }

    fn patience_ms(&self) -> i64 {
        if !self.is_known() {
            return UNKNOWN_MS.max((PAUSES * self.longest_ms) as i64);
        }
        (STEPS * self.mean_ms as i64).max((PAUSES * self.longest_ms) as i64).max(STILL_MS_MIN)
    }

    fn tell(&mut self, context: &ScoringContext, now_ms: i64) {
        let (known, learned) = context.board.known_for_a_day();
        let is_live = |newest_ms: &i64| learned > 0 && self.heard_ms.saturating_sub(*newest_ms) < HISTORY_MS;
        let Some(newest_ms) = context.store.newest_ms().filter(is_live) else { return };
        let step_ms = self.is_known().then_some(self.mean_ms as i64);
        let run = notice::stillness(known, newest_ms, (now_ms - self.heard_ms, step_ms), now_ms);
        if context.runs.try_send(run.clone()).is_ok() {
            self.told = Some(run);
        }
    }
}
