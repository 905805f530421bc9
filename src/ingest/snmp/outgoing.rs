//! Samples of a cycle on their way to the store: their keys, and what the store found those to be before.
//!
//! A device's series are the same at every cycle, so their keys are looked up once: what a shard found them to be comes
//! back over a queue and goes with the samples from then on. The keys of one cycle lie in one buffer that all its batches
//! read in place and that is used again.
//!
//! Not here: which series there are (see `device`), when a cycle ends (see `poller`).
//!
//! Invariant: what was found is kept with the interface it was found for, or not at all: the device may have been removed,
//! and its interfaces may be others.

use super::keys::{Emitted, Keys, Met, Series};
use super::questions::Questions;
use super::slot::Slot;
use crate::ingest::lane::{Lanes, SendError};
use crate::self_metrics::{DropReason, SelfMetrics, Source};
use crate::shard::{BytesPool, Learnt, Reply};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use storage::series::SeriesRef;

/// Buffers of keys that are kept: one a cycle, until its batches are durable.
const BUFFERS_MAX: usize = 8;
/// Answers of shards that may wait; those behind are forgotten and come again with the next cycle.
const LEARNED_MAX: usize = 1024;

/// A sample whose key ends there.
struct Sample {
    key_end: usize,
    met: Option<Met>,
    value: f64,
}

/// A series that the store is asked for: where its key begins, and whose it is.
#[derive(Debug, Clone, Copy)]
struct Sought {
    key_start: u32,
    line: u32,
    place: u32,
}

/// What a shard found.
#[derive(Debug)]
struct Learned {
    slot: usize,
    /// Of the slot, which may have another device by now.
    stamp: u64,
    generation: u64,
    series: Vec<(Sought, SeriesRef)>,
}

/// Room to put samples together, and what is learned of them.
pub(super) struct Outgoing {
    lanes: Lanes,
    pool: BytesPool,
    keys: Keys,
    samples: Vec<Sample>,
    learned: (Sender<Learned>, Receiver<Learned>),
}

impl Outgoing {
    /// To these shards.
    pub(super) fn new(lanes: &Lanes) -> Self {
        Self {
            lanes: lanes.clone(),
            pool: BytesPool::new(BUFFERS_MAX),
            keys: Keys::default(),
            samples: Vec::new(),
            learned: bounded(LEARNED_MAX),
        }
    }

    /// Stores what a cycle gave.
    pub(super) fn store(
        &mut self,
        at: usize,
        slot: &mut Slot,
        is_up: bool,
        wall_ms: i64,
        questions: &Questions,
        metrics: &Arc<SelfMetrics>,
    ) {
        let keys = self.gather(slot, is_up, questions, metrics);
        slot.samples = self.samples.len() as u64;
        let keys = self.pool.share(keys);
        let (mut lane, mut sought, mut key_start) = (self.lanes.lane(), Vec::new(), 0);
        lane.lend(keys.clone());
        for Sample { key_end, met, value } in &self.samples {
            let key = &keys[key_start..*key_end];
            match (met, met.and_then(|met| met.known)) {
                (_, Some(series)) => lane.known_series(series, key),
                (met, None) => {
                    let key_start = key_start as u32;
                    sought.extend(met.map(|met| Sought { key_start, line: met.line, place: met.place }));
                    lane.series(key);
                }
            }
            lane.sample(wall_ms, *value);
            key_start = *key_end;
        }
        let counters = metrics.of(Source::Snmp);
        counters.add_received(slot.samples);
        let (stamp, generation, sought) = (slot.stamp, slot.device.known.generation(), Arc::new(sought));
        let hearer = || -> Reply {
            if sought.is_empty() {
                return Box::new(|_| {});
            }
            let (sought, learned) = (sought.clone(), self.learned.0.clone());
            Box::new(move |stored| {
                let Ok(stored) = stored else { return };
                let series = found(&sought, &stored.learnt);
                // The poller has ended, or has much to learn: it will ask again.
                let _ = learned.try_send(Learned { slot: at, stamp, generation, series });
            })
        };
        lane.send(Source::Snmp, hearer, |error, samples| {
            let reason = match error {
                SendError::Full => DropReason::QueueFull,
                SendError::Closed => DropReason::Shutdown,
            };
            counters.add_dropped(reason, samples);
        });
    }

    /// Puts the samples of a cycle together; their keys one behind the other.
    fn gather(&mut self, slot: &mut Slot, is_up: bool, questions: &Questions, metrics: &SelfMetrics) -> Vec<u8> {
        let name = slot.device.settings.name().to_owned();
        let mut keys = self.pool.take();
        keys.clear();
        self.samples.clear();
        let mut emit = |emitted: Emitted<'_>| {
            let key_start = keys.len();
            if !self.keys.add(&name, emitted.series, &mut keys) {
                keys.truncate(key_start);
                return;
            }
            let met = match emitted.series {
                Series::Line(met, _) | Series::Info(met, _) => Some(met),
                Series::Labelled(..) => None,
            };
            self.samples.push(Sample { key_end: keys.len(), met, value: emitted.value });
        };
        let mut plain = |name, value| emit(Emitted { series: Series::Labelled(name, "", &[]), value });
        plain("snmp_up", f64::from(u8::from(is_up)));
        plain("snmp_poll_seconds", slot.took_ms as f64 / 1000.0);
        let unrated = slot.device.emit(questions, &mut emit);
        let withheld = [
            (&metrics.snmp.rates_reset, unrated.reset),
            (&metrics.snmp.rates_ambiguous, unrated.ambiguous),
            (&metrics.snmp.rates_implausible, unrated.implausible),
            (&metrics.snmp.interfaces_moved, unrated.moved),
            (&metrics.snmp.walk_faults, slot.device.new_faults()),
        ];
        for (counter, count) in withheld {
            counter.fetch_add(count, Ordering::Relaxed);
        }
        keys
    }

    /// Tells devices what shards found their series to be.
    pub(super) fn learn(&self, slots: &mut [Option<Slot>]) {
        while let Ok(Learned { slot, stamp, generation, series }) = self.learned.1.try_recv() {
            let slot = slots.get_mut(slot).and_then(Option::as_mut).filter(|slot| slot.stamp == stamp);
            let Some(slot) = slot else { continue };
            for (Sought { line, place, .. }, found) in series {
                slot.device.known.learn(generation, line, place, found);
            }
        }
    }
}

/// Which of the series sought were found.
fn found(sought: &[Sought], learnt: &[Learnt]) -> Vec<(Sought, SeriesRef)> {
    let of = |learnt: &Learnt| {
        let at = sought.binary_search_by_key(&learnt.key.start, |sought| sought.key_start).ok()?;
        Some((sought[at], learnt.series))
    };
    learnt.iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_told_by_where_its_key_began() {
        let sought = [4, 10, 20].map(|key_start| Sought { key_start, line: key_start, place: 1 });
        let learnt = |start: u32, series| Learnt { key: start..start + 1, hash: 0, series: SeriesRef(series) };
        // The second was not one of an interface.
        let found = found(&sought, &[learnt(20, 9), learnt(5, 8), learnt(4, 7)]);
        let lines: Vec<_> = found.iter().map(|(sought, series)| (sought.line, series.0)).collect();
        assert_eq!(lines, [(20, 9), (4, 7)]);
    }
}
