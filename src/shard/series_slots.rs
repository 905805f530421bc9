//! What is remembered of every series of a partition, by series id: nothing, its first samples, its model, or where that
//! lies while the series is silent.
//!
//! Most series of a fleet that comes and goes never have ten samples, and a model could say nothing about them; so the
//! first nine are kept as they are, in at most 192 bytes with the series' place on the board, and taught to the model
//! when there are more.
//!
//! Not here: who scores when (see `scoring`), bytes on disk (see `models_file`).
//!
//! Invariant: a series' state is a function of its finite samples in order; one that is not later than the last leaves
//! no trace, so observing a sample twice is harmless.

use super::set_aside::Place;
use crate::analysis::{Effort, Notice, SeriesModel, Settings, Verdict};
use std::sync::Arc;

/// Samples that are kept as they are.
pub(super) const FEW_SAMPLES: usize = 9;

/// One series.
#[derive(Debug, Default)]
pub(super) enum Slot {
    /// No sample was seen.
    #[default]
    Vacant,
    /// Too few samples for a model.
    Few(Few),
    /// Its model.
    Model(Box<SeriesModel>),
    /// Where its model lies, as long as it is silent.
    Away(Place),
}

/// The first samples of a series, twelve bytes each: milliseconds since the first, and the halves of the value's bits.
#[derive(Debug)]
pub(super) struct Few {
    first_ms: i64,
    cells: Vec<[u32; 3]>,
}

impl Few {
    fn of(time_ms: i64, value: f64) -> Self {
        Self { first_ms: time_ms, cells: vec![cell(0, value)] }
    }

    /// Adds a later sample; false if there is no room, or if it lies too far from the first one (49 days).
    fn push(&mut self, time_ms: i64, value: f64) -> bool {
        let Ok(passed_ms) = u32::try_from(time_ms.saturating_sub(self.first_ms)) else { return false };
        if self.cells.len() == FEW_SAMPLES {
            return false;
        }
        if self.cells.len() == self.cells.capacity() {
            let room = if self.cells.len() < 4 { 4 } else { FEW_SAMPLES };
            self.cells.reserve_exact(room - self.cells.len());
        }
        self.cells.push(cell(passed_ms, value));
        true
    }

    /// The samples in order.
    pub(super) fn samples(&self) -> impl ExactSizeIterator<Item = (i64, f64)> {
        self.cells.iter().map(|[passed_ms, high, low]| {
            let bits = u64::from(*high) << 32 | u64::from(*low);
            (self.first_ms.saturating_add(i64::from(*passed_ms)), f64::from_bits(bits))
        })
    }
}

fn cell(passed_ms: u32, value: f64) -> [u32; 3] {
    [passed_ms, (value.to_bits() >> 32) as u32, value.to_bits() as u32]
}

impl Slot {
    /// Time of the last sample that left a trace; `i64::MIN` if none did.
    pub(super) fn last_ms(&self) -> i64 {
        match self {
            Self::Vacant => i64::MIN,
            Self::Few(few) => few.samples().last().map_or(i64::MIN, |(time_ms, _)| time_ms),
            Self::Model(model) => model.last_ms().unwrap_or(i64::MIN),
            Self::Away(place) => place.last_ms(),
        }
    }

    /// Judged by these settings from now on; `None` where its days and weeks were learned by another time zone.
    pub(super) fn under(self, settings: &Arc<Settings>) -> Option<Self> {
        match self {
            Self::Model(model) => model.under(settings).map(|model| Self::Model(Box::new(model))),
            other => Some(other),
        }
    }

    /// Whether its model holds that a run of anomalous samples goes on.
    pub(super) fn is_run_open(&self) -> bool {
        matches!(self, Self::Model(model) if model.is_run_open())
    }

    /// What the newest sample told beside its verdict, once.
    #[inline]
    pub(super) fn take_notice(&mut self) -> Option<Notice> {
        match self {
            Self::Model(model) => model.take_notice(),
            _ => None,
        }
    }

    /// Takes the next sample; the verdict on it, once there is a model. One that was set aside must be brought back first.
    pub(super) fn observe(&mut self, time_ms: i64, value: f64, settings: &Arc<Settings>) -> Option<Verdict> {
        self.observe_with(time_ms, value, Effort::All, || SeriesModel::new(None, settings.clone()))
    }

    /// Judges the next sample by what is known, and learns nothing of it; too few samples for a model say nothing.
    pub(super) fn observe_held(&mut self, time_ms: i64, value: f64, effort: Effort) -> Option<Verdict> {
        match self {
            Self::Model(model) => Some(model.observe_held(time_ms, value, effort)),
            _ => None,
        }
    }

    /// The same with as much effort as there is time for, and a model that is `new_model` at first.
    #[inline]
    pub(super) fn observe_with(
        &mut self,
        time_ms: i64,
        value: f64,
        effort: Effort,
        new_model: impl FnOnce() -> SeriesModel,
    ) -> Option<Verdict> {
        match self {
            Self::Model(model) => return Some(model.observe_with(time_ms, value, effort)),
            Self::Away(_) => debug_assert!(false, "a model that was set aside is brought back before it is asked"),
            _ if !value.is_finite() => return None,
            Self::Vacant => *self = Self::Few(Few::of(time_ms, value)),
            Self::Few(few) => {
                let is_later = few.samples().last().is_none_or(|(last_ms, _)| time_ms > last_ms);
                if !is_later || few.push(time_ms, value) {
                    return None;
                }
                // A model of so few samples flags nothing, so what it says of them is not asked for.
                let mut model = Box::new(new_model());
                few.samples().for_each(|(time_ms, value)| _ = model.observe(time_ms, value));
                let verdict = model.observe(time_ms, value);
                *self = Self::Model(model);
                return Some(verdict);
            }
        }
        None
    }
}

/// The series of one partition, by id.
#[derive(Debug, Default)]
pub(super) struct SeriesSlots(Vec<Slot>);

impl SeriesSlots {
    /// What is remembered of a series.
    pub(super) fn get(&self, id: u32) -> &Slot {
        self.0.get(id as usize).unwrap_or(&Slot::Vacant)
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Slot> {
        self.0.get_mut(id as usize)
    }

    /// One more than the greatest id of which something was remembered.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Reads a word of every cache line that scoring a sample of the time will need, so that the misses of several series
    /// overlap when they are touched one after the other; the words are of no meaning.
    #[inline]
    pub(super) fn touch(&self, id: u32, time_ms: i64) -> u64 {
        match self.get(id) {
            Slot::Model(model) => model.touch(time_ms),
            _ => 0,
        }
    }

    /// Takes a series' state out; its slot is vacant until it is put back.
    pub(super) fn take(&mut self, id: u32) -> Slot {
        self.0.get_mut(id as usize).map(std::mem::take).unwrap_or_default()
    }

    /// Puts a series' state in.
    pub(super) fn put(&mut self, id: u32, slot: Slot) {
        let at = id as usize;
        if at >= self.0.len() {
            self.0.resize_with(at + 1, Slot::default);
        }
        self.0[at] = slot;
    }

    /// The series of which something is remembered.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let known = self.0.iter().enumerate().filter(|(_, slot)| !matches!(slot, Slot::Vacant));
        known.map(|(id, slot)| (id as u32, slot))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Summary;

    /// Size classes of the allocator in use, below 200 bytes.
    fn allocated(bytes: usize) -> usize {
        [16, 32, 48, 64, 80, 96, 112, 128, 160, 192].into_iter().find(|class| *class >= bytes).unwrap()
    }

    fn samples(count: i64) -> impl Iterator<Item = (i64, f64)> {
        (0..count).map(|i| (1_700_000_000_000 + i * 15_000, (i * 7919 % 31) as f64 + 0.1))
    }

    #[test]
    fn a_series_of_nine_samples_takes_at_most_192_bytes() {
        let mut slot = Slot::default();
        for (time_ms, value) in samples(FEW_SAMPLES as i64) {
            assert!(slot.observe(time_ms, value, &Arc::default()).is_none());
            let Slot::Few(few) = &slot else { panic!("a model came too early") };
            let bytes = size_of::<Slot>() + allocated(few.cells.capacity() * 12) + size_of::<Option<Summary>>();
            assert!(bytes <= 192, "{bytes}");
        }
    }

    #[test]
    fn a_model_that_came_late_is_the_same_as_one_that_was_there_from_the_beginning() {
        let (mut slot, mut whole) = (Slot::default(), SeriesModel::new(None, Settings::default()));
        for (at, (time_ms, value)) in samples(3000).enumerate() {
            for nonsense in [f64::NAN, f64::INFINITY] {
                slot.observe(time_ms - 1, nonsense, &Arc::default());
            }
            let verdict = slot.observe(time_ms, value, &Arc::default());
            let expected = whole.observe(time_ms, value);
            assert_eq!(verdict, (at >= FEW_SAMPLES).then_some(expected));
            slot.observe(time_ms, 1e9, &Arc::default());
            slot.observe(time_ms - 40_000, 1e9, &Arc::default());
            assert_eq!(slot.last_ms(), time_ms);
        }
    }

    #[test]
    fn samples_far_apart_get_their_model_early_and_lose_nothing() {
        let mut slot = Slot::default();
        let step_ms = 40 * 86_400_000;
        for i in 0..4 {
            slot.observe(i * step_ms, i as f64, &Arc::default());
        }
        let Slot::Model(model) = &slot else { panic!("49 days fit, 80 do not") };
        assert_eq!((model.samples(), slot.last_ms()), (4, 3 * step_ms));
    }

    #[test]
    fn slots_are_taken_out_and_put_back_by_id() {
        let mut slots = SeriesSlots::default();
        assert!(matches!(slots.take(7), Slot::Vacant));
        let mut slot = Slot::default();
        slot.observe(5, 1.0, &Arc::default());
        slots.put(7, slot);
        assert_eq!((slots.get(7).last_ms(), slots.get(900).last_ms()), (5, i64::MIN));
        assert_eq!(slots.iter().map(|(id, _)| id).collect::<Vec<_>>(), [7]);
        slots.take(7);
        assert_eq!(slots.iter().count(), 0);
    }
}
