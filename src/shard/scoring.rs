//! A shard's side of scoring: it gathers stored samples, lends the models of touched partitions at each tick, and takes
//! them back, while appending goes on.
//!
//! ```text
//!  stored sample ─▶ pending (a column a partition) ─tick─▶ models and column, by move ─▶ analysis-N: score ─▶ back
//! ```
//!
//! A partition that starts catches up with the store first; what comes live meanwhile waits, and if there is no room
//! for it, the store is asked once more.
//!
//! Not here: what is done with lent models (see `score`).
//!
//! Invariants: nothing here waits but `finish`; models and column of a partition are lent together and to one thread at
//! a time; samples that wait are bounded, and what finds no room is counted as skipped.
//!
//! Cost: one push of 24 bytes a sample, one sort key a sample at the tick, one hand-over a partition and tick.

use super::ladder::{Behind, Ladder};
use super::score::{Errand, Moment, PartitionModels, Pending, ScoringContext};
use super::stillness::Stillness;
use crate::foundation_layer::LayerDoor;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::ShardStore;
use storage::series::{PARTITIONS, SeriesRef};

/// How often models are lent.
const TICK_MS: i64 = 100;
/// Ticks between two looks at partitions without samples.
const SLOW_TICKS: u32 = 10;
/// Longer columns are freed after use.
const SPARE_SAMPLES: usize = 16 << 10;

/// What is lent, and comes back.
#[derive(Debug)]
struct Lent {
    side: usize,
    models: PartitionModels,
    pending: Vec<Pending>,
    errand: Errand,
    is_done: bool,
}

/// One partition as its shard sees it.
#[derive(Debug)]
struct Side {
    number: u8,
    /// None while lent.
    models: Option<PartitionModels>,
    pending: Vec<Pending>,
    spare: Vec<Pending>,
    expired: Vec<u32>,
    is_behind: bool,
    /// While behind: the store has samples that were not kept here.
    must_reread: bool,
    /// When the oldest sample that waits, here or lent, was stored.
    since_ms: Option<i64>,
    lent_since_ms: Option<i64>,
}

/// The scoring of one shard.
#[derive(Debug)]
pub(super) struct Scoring {
    context: Arc<ScoringContext>,
    shard: usize,
    sides: Vec<Side>,
    local: [u8; PARTITIONS],
    /// Samples that may still be added, and the most that may wait.
    room: usize,
    room_max: usize,
    ladder: Ladder,
    stillness: Stillness,
    back: Sender<Lent>,
    returned: Receiver<Lent>,
    lent: usize,
    skipped: u64,
    now_ms: i64,
    event_ms: i64,
    ticked_ms: i64,
    ticks: u32,
}

impl Scoring {
    /// Of shard number `shard` of `shards`, all of whose partitions are behind until they have seen the store.
    pub(super) fn new(context: Arc<ScoringContext>, shard: usize, shards: usize, store: &ShardStore) -> Self {
        let mut local = [u8::MAX; PARTITIONS];
        let sides: Vec<Side> = store.owned().map(Side::new).collect();
        for (at, side) in sides.iter().enumerate() {
            local[side.number as usize] = at as u8;
        }
        let (back, returned) = bounded(sides.len().max(1));
        let room = context.pending_max / shards;
        Self {
            context,
            shard,
            sides,
            local,
            room,
            room_max: room,
            ladder: Ladder::default(),
            stillness: Stillness::default(),
            back,
            returned,
            lent: 0,
            skipped: 0,
            now_ms: 0,
            event_ms: i64::MIN,
            ticked_ms: 0,
            ticks: 0,
        }
    }

    /// The clock for the samples that follow.
    pub(super) fn begin(&mut self, now_ms: i64) {
        self.now_ms = now_ms;
    }

    /// Takes a sample that was stored as the newest of its series.
    #[inline]
    pub(super) fn add(&mut self, series: SeriesRef, time_ms: i64, value: f64) {
        let side = &mut self.sides[self.local[series.partition() as usize] as usize];
        if self.room == 0 || side.must_reread {
            match side.refuse() {
                Some(freed) => self.room += freed,
                None => self.skipped += 1,
            }
            return;
        }
        if side.pending.is_empty() {
            side.since_ms = Some(self.now_ms);
        }
        self.room -= 1;
        side.pending.push(Pending { time_ms, value, id: series.id() });
    }

    /// Series have left the catalog.
    pub(super) fn expire(&mut self, series: &[SeriesRef]) {
        for series in series {
            self.sides[self.local[series.partition() as usize] as usize].expired.push(series.id());
        }
    }

    /// Takes back what was returned, and lends what is due.
    pub(super) fn tick(&mut self, now_ms: i64, event_ms: i64) {
        while let Ok(lent) = self.returned.try_recv() {
            self.take_back(lent);
        }
        if (now_ms - self.ticked_ms).abs() < TICK_MS {
            return;
        }
        (self.now_ms, self.ticked_ms, self.event_ms) = (now_ms, now_ms, event_ms);
        self.ticks = self.ticks.wrapping_add(1);
        let is_slow = self.ticks.is_multiple_of(SLOW_TICKS);
        for at in 0..self.sides.len() {
            let side = &self.sides[at];
            let is_restless =
                is_slow && side.models.as_ref().is_some_and(|models| models.is_restless(now_ms, event_ms));
            if side.is_behind {
                self.lend(at, Errand::CatchUp);
            } else if !side.pending.is_empty() || !side.expired.is_empty() || is_restless {
                self.lend(at, Errand::Score);
            }
        }
        self.account(now_ms);
    }

    fn account(&mut self, now_ms: i64) {
        let counters = &self.context.metrics.scoring;
        let skipped = std::mem::take(&mut self.skipped);
        if skipped > 0 {
            counters.skipped.fetch_add(skipped, Ordering::Relaxed);
            counters.skipped_at_ms.store(now_ms, Ordering::Relaxed);
        }
        let oldest = self.sides.iter().filter_map(|side| side.lent_since_ms.or(side.since_ms)).min();
        let lag_ms = oldest.map_or(0, |oldest_ms| (now_ms - oldest_ms).max(0));
        counters.lag_ms[self.shard].store(lag_ms as u64, Ordering::Relaxed);
        if self.shard == 0 {
            counters.drift.look(now_ms, &counters.scores);
            // What is caught up with is no news of anybody.
            if self.ticks.is_multiple_of(SLOW_TICKS) && !self.sides.iter().any(|side| side.is_behind) {
                self.stillness.look(&self.context, now_ms);
            }
        }
        self.look_at_ladder(now_ms);
    }

    /// Moves on the ladder by what is live: catching up after a start takes its time, and takes all detectors.
    fn look_at_ladder(&mut self, now_ms: i64) {
        if self.sides.iter().any(|side| side.is_behind) {
            return;
        }
        let oldest = self.sides.iter().filter_map(|side| side.lent_since_ms.or(side.since_ms)).min();
        let lag_ms = oldest.map_or(0, |oldest_ms| (now_ms - oldest_ms).max(0));
        let before = self.ladder.step();
        if self.ladder.look(now_ms, &Behind { lag_ms, room: (self.room, self.room_max) }) {
            let step = self.ladder.step();
            let counters = &self.context.metrics.scoring;
            counters.steps[self.shard].store(step as u64, Ordering::Relaxed);
            let moves = if step > before { &counters.steps_down } else { &counters.steps_up };
            moves.fetch_add(1, Ordering::Relaxed);
            match step > before {
                true => tracing::warn!(
                    shard = self.shard,
                    lag_ms,
                    ?step,
                    "scoring is behind and gives up a share of its work"
                ),
                false => tracing::info!(shard = self.shard, ?step, "scoring has caught up and takes a share back"),
            }
        }
    }

    /// Lends a partition's models unless they are lent already.
    fn lend(&mut self, at: usize, errand: Errand) {
        let side = &mut self.sides[at];
        let Some(mut models) = side.models.take() else { return };
        let mut pending = std::mem::replace(&mut side.pending, std::mem::take(&mut side.spare));
        if errand == Errand::CatchUp {
            // The store shows these too.
            self.room += pending.len();
            pending.clear();
            side.must_reread = false;
            side.since_ms.get_or_insert(self.now_ms);
        }
        side.lent_since_ms = side.since_ms.take();
        let expired = std::mem::take(&mut side.expired);
        let (context, moment) =
            (self.context.clone(), Moment { now_ms: self.now_ms, event_ms: self.event_ms, step: self.ladder.step() });
        self.lent += 1;
        self.context.threads.lend(&self.back, move || {
            let is_done = models.work(&context, errand, &pending, &expired, moment);
            Lent { side: at, models, pending, errand, is_done }
        });
    }

    fn take_back(&mut self, lent: Lent) {
        let Lent { side, models, mut pending, errand, is_done } = lent;
        let side = &mut self.sides[side];
        self.lent -= 1;
        self.room += pending.len();
        if pending.capacity() <= SPARE_SAMPLES {
            pending.clear();
            side.spare = pending;
        }
        side.models = Some(models);
        side.lent_since_ms = None;
        if errand == Errand::CatchUp && is_done && !side.must_reread {
            side.is_behind = false;
        }
    }

    /// Scores what waits and writes all models down, when nothing will be stored any more.
    pub(super) fn finish(mut self) {
        self.context.closing.store(true, Ordering::Relaxed);
        self.context.layer.iter().for_each(LayerDoor::close);
        self.take_all_back();
        for at in 0..self.sides.len() {
            if self.sides[at].is_behind {
                // What waits must not be learned before what the store has; the next start sees both.
                self.sides[at].pending.clear();
            }
            self.lend(at, Errand::Save);
        }
        self.take_all_back();
    }

    fn take_all_back(&mut self) {
        while self.lent > 0 {
            let Ok(lent) = self.returned.recv() else { return };
            self.take_back(lent);
        }
    }
}

impl Side {
    fn new(number: u8) -> Self {
        Self {
            number,
            models: Some(PartitionModels::new(number)),
            pending: Vec::new(),
            spare: Vec::new(),
            expired: Vec::new(),
            is_behind: true,
            must_reread: false,
            since_ms: None,
            lent_since_ms: None,
        }
    }

    /// There is no room for a sample. While behind, the store keeps it for us and what else waits, whose room becomes
    /// free; else none, and it is skipped.
    #[cold]
    fn refuse(&mut self) -> Option<usize> {
        if !self.is_behind {
            return None;
        }
        self.must_reread = true;
        let freed = self.pending.len();
        self.pending.clear();
        Some(freed)
    }
}

#[cfg(test)]
#[cfg(feature = "foundation")]
#[path = "foresee_tests.rs"]
mod foresee_tests;
#[cfg(test)]
#[path = "silence_tests.rs"]
mod silence_tests;
#[cfg(test)]
#[path = "scoring_tests.rs"]
mod tests;
