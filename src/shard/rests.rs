//! When the models of series rest: what comes in a span of planned trouble is judged, and teaches nothing.
//!
//! Which plans there are is asked once a tick and partition; a series is looked up in them when it is first heard after a
//! change, and is asked about times only if one concerns it. A series' own times count, so that what comes late, or is seen
//! again after a crash, is held as it would have been in time.
//!
//! Not here: plans (the server hands them in), what a model makes of a sample that teaches nothing (see `analysis`).
//!
//! Invariant: where there are no plans, scoring a batch pays for one comparison.

use super::score::{PartitionModels, ScoringContext};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt::Debug;
use storage::series::SeriesRef;

/// The plans that concern one series.
pub trait Rest: Debug + Send {
    /// Whether its model rests at a time, which is not before the one asked about last.
    fn rests(&mut self, time_ms: i64) -> bool;

    /// Whether it does at any time from `from_ms`, which is not before the one asked about last, until before `to_ms`.
    fn rests_between(&mut self, from_ms: i64, to_ms: i64) -> bool;
}

/// What is planned for a series of this canonical key; nothing where nothing is planned at all.
pub fn rest_of(plans: &dyn RestPlans, key: &[u8]) -> Option<Box<dyn Rest>> {
    if plans.version() == 0 { None } else { plans.of(key) }
}

/// All plans.
pub trait RestPlans: Debug + Send + Sync {
    /// Another number after every change; 0 while there are none.
    fn version(&self) -> u64;

    /// Those that concern a series of this canonical key.
    fn of(&self, key: &[u8]) -> Option<Box<dyn Rest>>;
}

/// Nobody plans anything.
#[derive(Debug)]
pub struct NoRestPlans;

impl RestPlans for NoRestPlans {
    fn version(&self) -> u64 {
        0
    }

    fn of(&self, _: &[u8]) -> Option<Box<dyn Rest>> {
        None
    }
}

/// A series that plans concern.
#[derive(Debug)]
pub(super) struct Resting {
    /// None where they no longer do.
    plans: Option<Box<dyn Rest>>,
    /// Whether its newest sample taught nothing.
    pub(super) rests: bool,
}

impl Resting {
    /// Whether the model rests at the time of the next sample.
    pub(super) fn at(&mut self, time_ms: i64) -> bool {
        self.plans.as_mut().is_some_and(|plans| plans.rests(time_ms))
    }
}

/// What a partition knows of plans.
#[derive(Debug, Default)]
pub(super) struct Rests {
    version: u64,
    /// A bit for each series that was looked up.
    looked_up: Vec<u64>,
    concerned: HashMap<u32, Resting>,
}

impl Rests {
    /// Looks everything up anew if plans have changed; who rests is remembered.
    pub(super) fn renew(&mut self, version: u64) {
        if version != self.version {
            self.version = version;
            self.looked_up.clear();
            self.concerned.retain(|_, resting| std::mem::take(&mut resting.plans).is_some() && resting.rests);
        }
    }

    /// Nothing is known of a series any more.
    pub(super) fn forget(&mut self, id: u32) {
        self.concerned.remove(&id);
        if let Some(bits) = self.looked_up.get_mut(id as usize / 64) {
            *bits &= !(1 << (id % 64));
        }
    }

    /// Whether no series can rest, or have rested.
    #[inline]
    pub(super) fn is_quiet(&self) -> bool {
        self.version == 0 && self.concerned.is_empty()
    }

    /// Whether a series is to be looked up; it is taken for looked up from now on.
    fn is_new(&mut self, id: u32) -> bool {
        let (at, bit) = (id as usize / 64, 1 << (id % 64));
        if at >= self.looked_up.len() {
            self.looked_up.resize(at + 1, 0);
        }
        let is_new = self.looked_up[at] & bit == 0;
        self.looked_up[at] |= bit;
        is_new
    }

    /// Whether a series' newest sample taught nothing.
    pub(super) fn is_resting(&self, id: u32) -> bool {
        self.concerned.get(&id).is_some_and(|resting| resting.rests)
    }

    /// Puts back what was taken; one that no plan concerns any more is let go.
    pub(super) fn put(&mut self, id: u32, resting: Option<Resting>) {
        if let Some(resting) = resting.filter(|resting| resting.plans.is_some()) {
            self.concerned.insert(id, resting);
        }
    }
}

impl PartitionModels {
    /// Takes what is known of the plans of a series, to be put back; nothing where none concerns it.
    pub(super) fn take_resting(&mut self, context: &ScoringContext, id: u32) -> Option<Resting> {
        if self.rests.version != 0 && self.rests.is_new(id) {
            let key = context.store.key(SeriesRef::new(self.number, id));
            let plans = key.and_then(|key| context.rests.of(&key));
            match self.rests.concerned.entry(id) {
                Entry::Occupied(mut known) => known.get_mut().plans = plans,
                Entry::Vacant(place) if plans.is_some() => drop(place.insert(Resting { plans, rests: false })),
                Entry::Vacant(_) => {}
            }
        }
        self.rests.concerned.remove(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Always;

    impl Rest for Always {
        fn rests(&mut self, _: i64) -> bool {
            true
        }

        fn rests_between(&mut self, _: i64, _: i64) -> bool {
            true
        }
    }

    #[test]
    fn a_change_of_plans_is_looked_up_anew_and_forgets_nobody_who_rests() {
        let mut rests = Rests::default();
        assert!(rests.is_quiet());
        rests.renew(1);
        assert!(!rests.is_quiet() && rests.is_new(200) && !rests.is_new(200) && rests.is_new(70));
        rests.put(200, Some(Resting { plans: Some(Box::new(Always)), rests: true }));
        rests.put(70, Some(Resting { plans: Some(Box::new(Always)), rests: false }));
        rests.renew(1);
        assert_eq!((rests.concerned.len(), rests.is_new(200)), (2, false));
        rests.renew(0);
        assert!(!rests.is_quiet(), "one has to be told that its rest is over");
        let mut last = rests.concerned.remove(&200).unwrap();
        assert!(last.rests && !last.at(0));
        rests.put(200, Some(last));
        assert!(rests.is_quiet());
        rests.is_new(3);
        rests.forget(3);
        assert!(rests.is_new(3));
    }
}
