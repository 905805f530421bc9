//! Windows: what several listeners gathered of a series since the last full ten seconds becomes samples when that span
//! ends.
//!
//! ```text
//!  observed ─▶ slot of (series, type): sum, level, sketch, members ─▶ window ends ─▶ samples in `closed` ─▶ store
//! ```
//!
//! Windows are aligned to the epoch. What was observed belongs to the window in which it was received, and to the next
//! one when that is closed already: it is never lost. A slot that meets something of a later window closes at once, so
//! closing the others may take its time and is done in slices.
//!
//! Not here: appending and journaling (see `worker`), gathering and how many series may be gathered (see `ingest`).
//!
//! Invariants: a slot holds observations of one window only; without observations it gives no sample; samples carry the
//! window's end, and when the server stops, the moment of that if it comes first.
//!
//! Cost: paid once a window, listener and series, not once an observation. Closing a timer costs as much as `TIMER_COST`
//! counters.

use super::distinct::Distinct;
use super::observations::{Observations, Observed};
use super::peers::Closed;
use super::timer::{Quantiles, Timer};
use hashbrown::HashTable;
use storage::series::KeyBuilder;

/// How long after its end a window waits for observations on their way; listeners send theirs twice as fast.
const GRACE_MS: i64 = 250;
/// Cost of one slice, in counters closed: about 1.5 ms with what the store does for them.
const SLICE_COST: usize = 4096;
/// Closing a timer: eight keys, eight samples and a walk over its buckets.
const TIMER_COST: usize = 16;
/// Closing a set that is estimated: a walk over its registers.
const SET_COST: usize = 16;

/// How long windows are and what becomes of timers.
#[derive(Debug, Clone)]
pub struct WindowSettings {
    /// Length of a window in milliseconds, above 0.
    pub window_ms: i64,
    /// A series not observed for this many milliseconds leaves memory.
    pub idle_ms: i64,
    /// What is stored of timers.
    pub quantiles: Quantiles,
}

#[derive(Debug)]
enum State {
    Count(f64),
    /// The level, and when it was set last in this window.
    Gauge(f64, i64),
    Timer(Option<Box<Timer>>),
    Set(Option<Box<Distinct>>),
}

/// One series of one type.
#[derive(Debug)]
struct Slot {
    hash: u64,
    key: Box<[u8]>,
    /// End of the window whose observations it holds; none when it holds none.
    end_ms: Option<i64>,
    /// End of the last window it was observed in.
    last_end_ms: i64,
    state: State,
}

/// The windows of one shard.
#[derive(Debug)]
pub(super) struct Windows {
    settings: WindowSettings,
    table: HashTable<u32>,
    slots: Vec<Slot>,
    /// Every window that ends here or before is closed, or is being closed.
    closed_ms: i64,
    /// The next slot to close, while a window is being closed.
    cursor: Option<usize>,
    keys: KeyBuilder,
    /// Samples of closed windows that wait to be stored.
    pub(super) closed: Closed,
}

impl Windows {
    pub(super) fn new(settings: WindowSettings, closed: Closed) -> Self {
        Self {
            settings,
            table: HashTable::new(),
            slots: Vec::new(),
            closed_ms: 0,
            cursor: None,
            keys: KeyBuilder::default(),
            closed,
        }
    }

    /// Takes a batch's observations; slots of earlier windows may leave samples in `closed`.
    pub(super) fn observe(&mut self, observations: &mut Observations) {
        let window_ms = self.settings.window_ms;
        let received_end_ms = (observations.received_ms().div_euclid(window_ms) + 1) * window_ms;
        let end_ms = received_end_ms.max(self.closed_ms + window_ms);
        for (hash, key, observed) in observations.drain() {
            let found = self.table.find(hash, |at| {
                let slot = &self.slots[*at as usize];
                slot.key[..] == *key && slot.state.takes(&observed)
            });
            let at = match found {
                Some(at) => *at as usize,
                None => create(&mut self.table, &mut self.slots, hash, key, &observed),
            };
            let slot = &mut self.slots[at];
            if slot.end_ms.is_some_and(|slot_ms| slot_ms < end_ms) {
                slot.close(i64::MAX, &self.settings, &mut self.keys, &mut self.closed);
            }
            slot.end_ms.get_or_insert(end_ms);
            slot.state.observe(observed);
        }
    }

    /// Whether windows are being closed and another slice is due at once.
    pub(super) fn is_closing(&self) -> bool {
        self.cursor.is_some()
    }

    /// Closes one slice of what has ended by `now_ms`; its samples are in `closed` then.
    pub(super) fn close_due(&mut self, now_ms: i64) {
        if self.cursor.is_none() {
            let window_ms = self.settings.window_ms;
            let ended_ms = (now_ms - GRACE_MS).div_euclid(window_ms) * window_ms;
            if ended_ms <= self.closed_ms {
                return;
            }
            self.closed_ms = ended_ms;
            self.cursor = Some(0);
        }
        self.close_slice(self.closed_ms, now_ms);
    }

    /// Closes one slice of everything, ended or not, for a server that stops; `is_closing` tells when it was the last.
    pub(super) fn close_all(&mut self, now_ms: i64) {
        self.cursor.get_or_insert(0);
        self.close_slice(i64::MAX, now_ms);
    }

    fn close_slice(&mut self, ended_ms: i64, now_ms: i64) {
        let Some(mut at) = self.cursor else { return };
        let mut cost = 0;
        while at < self.slots.len() && cost < SLICE_COST {
            let slot = &mut self.slots[at];
            cost += 1;
            if slot.end_ms.is_some_and(|end_ms| end_ms <= ended_ms) {
                cost += slot.state.cost();
                slot.close(now_ms, &self.settings, &mut self.keys, &mut self.closed);
            }
            let idle = slot.end_ms.is_none() && slot.last_end_ms.saturating_add(self.settings.idle_ms) <= ended_ms;
            if idle && ended_ms != i64::MAX {
                self.remove(at);
            } else {
                at += 1;
            }
        }
        self.cursor = (at < self.slots.len()).then_some(at);
    }

    /// Takes a slot out; the last one moves into its place.
    fn remove(&mut self, at: usize) {
        let last = self.slots.len() - 1;
        let moved_hash = self.slots[last].hash;
        if let Ok(entry) = self.table.find_entry(self.slots[at].hash, |other| *other as usize == at) {
            entry.remove();
        }
        if let Some(moved) = self.table.find_mut(moved_hash, |other| *other as usize == last) {
            *moved = at as u32;
        }
        self.slots.swap_remove(at);
    }
}

#[cold]
fn create(table: &mut HashTable<u32>, slots: &mut Vec<Slot>, hash: u64, key: &[u8], observed: &Observed) -> usize {
    let at = slots.len();
    slots.push(Slot { hash, key: key.into(), end_ms: None, last_end_ms: 0, state: State::of(observed) });
    table.insert_unique(hash, at as u32, |at| slots[*at as usize].hash);
    at
}

impl State {
    fn of(observed: &Observed) -> Self {
        match observed {
            Observed::Count(_) => Self::Count(0.0),
            // A change sets a gauge that is 0, so one that is not there may as well be 0.
            Observed::Gauge { .. } => Self::Gauge(0.0, i64::MIN),
            Observed::Timer(_) => Self::Timer(None),
            Observed::Members(_) => Self::Set(None),
        }
    }

    fn takes(&self, observed: &Observed) -> bool {
        matches!(
            (self, observed),
            (Self::Count(_), Observed::Count(_))
                | (Self::Gauge(..), Observed::Gauge { .. })
                | (Self::Timer(_), Observed::Timer(_))
                | (Self::Set(_), Observed::Members(_))
        )
    }

    fn observe(&mut self, observed: Observed) {
        match (self, observed) {
            (Self::Count(sum), Observed::Count(value)) => *sum += value,
            (Self::Gauge(level, set_ms), Observed::Gauge { level: new, set_ms: Some(new_ms) }) => {
                // Of two listeners that heard the gauge be set, the one that heard it last is right.
                if new_ms >= *set_ms {
                    (*level, *set_ms) = (new, new_ms);
                }
            }
            (Self::Gauge(level, _), Observed::Gauge { level: change, set_ms: None }) => *level += change,
            (Self::Timer(Some(timer)), Observed::Timer(other)) => timer.merge(&other),
            (Self::Timer(none), Observed::Timer(other)) => *none = Some(other),
            (Self::Set(Some(members)), Observed::Members(other)) => members.merge(&other),
            (Self::Set(none), Observed::Members(other)) => *none = Some(other),
            _ => debug_assert!(false, "a slot is found by its type"),
        }
    }

    fn cost(&self) -> usize {
        match self {
            Self::Count(_) | Self::Gauge(..) => 0,
            Self::Timer(_) => TIMER_COST,
            Self::Set(_) => SET_COST,
        }
    }
}

impl Slot {
    /// Gives the samples of the window it holds and begins anew; a gauge keeps its level.
    fn close(&mut self, now_ms: i64, settings: &WindowSettings, keys: &mut KeyBuilder, closed: &mut Closed) {
        let Some(end_ms) = self.end_ms.take() else { return };
        self.last_end_ms = end_ms;
        // The moment of a stop lies within the window; it must not fall on the end of the one before.
        let time_ms = end_ms.min(now_ms.max(end_ms - settings.window_ms + 1));
        let mut own = |value| {
            closed.push_own(self.hash, &self.key, time_ms, value);
        };
        match &mut self.state {
            State::Count(sum) => own(std::mem::take(sum)),
            State::Gauge(level, set_ms) => {
                own(*level);
                *set_ms = i64::MIN;
            }
            State::Set(members) => {
                if let Some(members) = members.take() {
                    own(members.count());
                }
            }
            State::Timer(timer) => {
                if let Some(timer) = timer.take() {
                    timer.samples(&self.key, time_ms, &settings.quantiles, keys, closed);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::Peers;
    use storage::series::{NAME_LABEL, hash, labels};

    const WINDOW_MS: i64 = 10_000;

    fn windows() -> Windows {
        let quantiles = Quantiles::of(&[0.99, 0.5, 0.9]);
        let settings = WindowSettings { window_ms: WINDOW_MS, idle_ms: 30_000, quantiles };
        Windows::new(settings, Peers::among(1)[0].closed())
    }

    fn set(level: f64, set_ms: i64) -> Observed {
        Observed::Gauge { level, set_ms: Some(set_ms) }
    }

    fn changed(level: f64) -> Observed {
        Observed::Gauge { level, set_ms: None }
    }

    fn timer(values: &[(f64, f64)]) -> Observed {
        let mut timer = Timer::default();
        assert!(values.iter().all(|(value, weight)| timer.observe(*value, *weight)));
        Observed::Timer(Box::new(timer))
    }

    fn members(hashes: &[u64]) -> Observed {
        let mut members = Distinct::default();
        hashes.iter().for_each(|hash| members.add(*hash));
        Observed::Members(Box::new(members))
    }

    fn key(name: &str, tags: &[(&str, &str)]) -> Vec<u8> {
        let mut keys = KeyBuilder::default();
        keys.push(NAME_LABEL, name);
        tags.iter().for_each(|(name, value)| keys.push(name, value));
        keys.finish().unwrap().to_vec()
    }

    fn observe<const N: usize>(windows: &mut Windows, received_ms: i64, all: [(&str, Observed); N]) {
        let mut observations = Observations::default();
        for (name, observed) in all {
            let key = key(name, &[]);
            observations.push(hash(&key), &key, observed, received_ms);
        }
        windows.observe(&mut observations);
    }

    /// Labels, time and value of every sample that closing gave.
    fn closed(windows: &mut Windows) -> Vec<(String, i64, f64)> {
        let text = |key: &[u8]| labels(key).map(|(_, value)| value.to_owned()).collect::<Vec<_>>().join(" ");
        let samples =
            windows.closed.own().rows().map(|(row, _)| (text(row.key), row.times[0], row.values[0])).collect();
        windows.closed.own().clear();
        samples
    }

    fn close(windows: &mut Windows, now_ms: i64) -> Vec<(String, i64, f64)> {
        windows.close_due(now_ms);
        while windows.is_closing() {
            windows.close_due(now_ms);
        }
        closed(windows)
    }

    #[test]
    fn counts_are_summed_and_stored_at_the_windows_end() {
        let mut windows = windows();
        observe(&mut windows, 12_000, [("a", Observed::Count(2.0)), ("a", Observed::Count(3.5))]);
        assert_eq!(close(&mut windows, 20_000 + GRACE_MS - 1), [], "the window waits for what is on its way");
        assert_eq!(close(&mut windows, 20_000 + GRACE_MS), [("a".to_owned(), 20_000, 5.5)]);
        assert_eq!(close(&mut windows, 40_000), [], "no zero is filled in");
    }

    #[test]
    fn an_observation_of_a_later_window_closes_the_slot_at_once() {
        let mut windows = windows();
        observe(&mut windows, 19_999, [("a", Observed::Count(1.0))]);
        observe(&mut windows, 20_000, [("a", Observed::Count(2.0))]);
        assert_eq!(closed(&mut windows), [("a".to_owned(), 20_000, 1.0)]);
        assert_eq!(close(&mut windows, 31_000), [("a".to_owned(), 30_000, 2.0)]);
    }

    #[test]
    fn an_observation_that_comes_after_its_window_was_closed_goes_into_the_next() {
        let mut windows = windows();
        observe(&mut windows, 15_000, [("a", Observed::Count(1.0))]);
        assert_eq!(close(&mut windows, 21_000).len(), 1);
        observe(&mut windows, 19_000, [("a", Observed::Count(4.0))]);
        assert_eq!(close(&mut windows, 31_000), [("a".to_owned(), 30_000, 4.0)]);
    }

    #[test]
    fn gauges_keep_their_level_between_windows_and_changes_add_to_it() {
        let mut windows = windows();
        observe(&mut windows, 11_000, [("g", changed(-4.0)), ("h", set(5.0, 11_000))]);
        observe(&mut windows, 12_000, [("h", changed(2.0))]);
        assert_eq!(close(&mut windows, 21_000), [("g".to_owned(), 20_000, -4.0), ("h".to_owned(), 20_000, 7.0)]);
        observe(&mut windows, 22_000, [("h", changed(1.0))]);
        assert_eq!(close(&mut windows, 31_000), [("h".to_owned(), 30_000, 8.0)]);
    }

    #[test]
    fn a_gauge_that_two_listeners_heard_has_the_level_heard_last() {
        let mut windows = windows();
        observe(&mut windows, 11_000, [("g", set(5.0, 18_000)), ("g", set(9.0, 17_000))]);
        assert_eq!(close(&mut windows, 21_000), [("g".to_owned(), 20_000, 5.0)]);
        observe(&mut windows, 22_000, [("g", set(1.0, 17_500))]);
        assert_eq!(close(&mut windows, 31_000), [("g".to_owned(), 30_000, 1.0)], "in every window anew");
    }

    #[test]
    fn a_timer_becomes_quantiles_count_sum_and_extremes() {
        let mut windows = windows();
        observe(&mut windows, 11_000, [("t", timer(&[(10.0, 1.0)])), ("t", timer(&[(2.0, 3.0)]))]);
        let found = close(&mut windows, 21_000);
        let value = |name: &str| found.iter().find(|(found, ..)| found == name).map(|(_, _, value)| *value);
        assert_eq!(value("t_count"), Some(4.0));
        assert_eq!(value("t_sum"), Some(16.0));
        assert_eq!((value("t_min"), value("t_max")), (Some(2.0), Some(10.0)));
        let median = value("t 0.5").unwrap();
        assert!((1.98..=2.02).contains(&median), "{median}");
        assert!(value("t 0.99").unwrap() > 9.9 && value("t 0.9").is_some());
        assert_eq!(found.len(), 7);
        observe(&mut windows, 22_000, [("t", timer(&[(7.0, 1.0)]))]);
        let found = close(&mut windows, 31_000);
        assert!(found.iter().all(|(name, _, value)| name == "t_count" || *value == 7.0), "begins anew: {found:?}");
    }

    #[test]
    fn a_set_counts_different_members() {
        let mut windows = windows();
        observe(&mut windows, 11_000, [("s", members(&[1, 2])), ("s", members(&[1]))]);
        assert_eq!(close(&mut windows, 21_000), [("s".to_owned(), 20_000, 2.0)]);
        observe(&mut windows, 22_000, [("s", members(&[1]))]);
        assert_eq!(close(&mut windows, 31_000), [("s".to_owned(), 30_000, 1.0)]);
    }

    #[test]
    fn idle_series_leave_and_the_others_are_still_found() {
        let mut windows = windows();
        observe(&mut windows, 11_000, ["a", "b", "c"].map(|name| (name, Observed::Count(1.0))));
        assert_eq!(close(&mut windows, 21_000).len(), 3);
        observe(&mut windows, 45_000, [("c", Observed::Count(1.0))]);
        close(&mut windows, 51_000);
        assert_eq!(windows.slots.len(), 1);
        observe(&mut windows, 52_000, [("c", Observed::Count(2.0)), ("d", Observed::Count(3.0))]);
        assert_eq!(close(&mut windows, 61_000), [("c".to_owned(), 60_000, 2.0), ("d".to_owned(), 60_000, 3.0)]);
    }

    #[test]
    fn a_stop_closes_open_windows_at_its_own_moment_inside_them() {
        for (now_ms, time_ms) in [(15_500, 15_500), (10_000, 10_001), (90_000, 20_000)] {
            let mut windows = windows();
            observe(&mut windows, 11_000, [("a", Observed::Count(1.0))]);
            windows.close_all(now_ms);
            assert!(!windows.is_closing());
            assert_eq!(closed(&mut windows), [("a".to_owned(), time_ms, 1.0)]);
        }
    }

    #[test]
    fn many_series_are_closed_in_slices() {
        let mut windows = windows();
        let mut observations = Observations::default();
        for number in 0..2 * SLICE_COST {
            let key = key(&number.to_string(), &[]);
            observations.push(hash(&key), &key, Observed::Count(1.0), 11_000);
        }
        windows.observe(&mut observations);
        windows.close_due(21_000);
        assert!(windows.is_closing() && closed(&mut windows).len() == SLICE_COST);
        windows.close_due(21_000);
        assert_eq!(closed(&mut windows).len(), SLICE_COST);
    }
}
