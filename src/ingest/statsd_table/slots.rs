//! A listener's slots: one for every spelling of a series, with what was gathered of it in the open window.
//!
//! Not here: spellings and their hashes (see `spelling`).

use super::spelling::{Class, Hashed, Kept, Raw, Seeds, class};
use crate::ingest::lane::Lane;
use crate::self_metrics::SelfMetrics;
use crate::shard::{Distinct, Observed, Timer};
use hashbrown::HashTable;
use protocols::statsd::{Measure, Observation, Plain};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How long windows are and how much may be gathered.
#[derive(Debug, Clone)]
pub(in crate::ingest) struct TableSettings {
    /// Length of a window in milliseconds, above 0.
    pub(in crate::ingest) window_ms: i64,
    /// A series not observed for this many milliseconds leaves the table.
    pub(in crate::ingest) idle_ms: i64,
    /// Slots in all tables of a process.
    pub(in crate::ingest) series_max: u64,
    /// Whether a sign makes a gauge's value a change of its level: Etsy's rule.
    pub(in crate::ingest) signs_change_gauges: bool,
    /// Whether a container is part of a series.
    pub(in crate::ingest) keep_containers: bool,
    /// Where slots are counted.
    pub(in crate::ingest) metrics: Arc<SelfMetrics>,
}

/// Why an observation was not gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Refused {
    /// There are as many slots as may be.
    Limit,
    /// Value and rate give no finite number.
    NotFinite,
}

#[derive(Debug)]
enum State {
    Count(f64),
    /// The level and when it was set; changes alone are a level that nobody set.
    Gauge {
        level: f64,
        set_ms: Option<i64>,
    },
    Timer(Option<Box<Timer>>),
    Set(Option<Box<Distinct>>),
}

/// One spelling of a series.
#[derive(Debug)]
pub(super) struct Slot {
    state: State,
    spelling: Kept,
    /// The window it was observed in last; windows count from 1.
    window: u32,
    /// Whether it holds anything of that window.
    holds: bool,
}

/// What is needed of a slot once a window, kept apart so that more slots fit a cache.
#[derive(Debug)]
struct Known {
    hash: u64,
    key: Box<[u8]>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The high half of the hash, so that most other slots need not be looked at.
    tag: u32,
    at: u32,
}

/// A listener's slots.
#[derive(Debug)]
pub(in crate::ingest) struct Table {
    pub(super) settings: TableSettings,
    index: HashTable<Entry>,
    pub(super) slots: Vec<Slot>,
    known: Vec<Known>,
    seeds: Seeds,
    /// The window that is open, counted from the first one, and its end.
    window: u32,
    end_ms: i64,
    /// The next slot to empty, while the window before is being emptied.
    cursor: Option<usize>,
}

impl Table {
    pub(in crate::ingest) fn new(settings: TableSettings) -> Self {
        Self {
            settings,
            index: HashTable::new(),
            slots: Vec::new(),
            known: Vec::new(),
            seeds: Seeds::random(),
            window: 0,
            end_ms: i64::MIN,
            cursor: None,
        }
    }

    /// Opens the window that `now_ms` lies in; what the one before holds is emptied by [`Self::empty_slice`], and at once
    /// into the lane when that was not done in time. Time that was set back changes nothing.
    pub(in crate::ingest) fn turn(&mut self, now_ms: i64, lane: &mut Lane) {
        if now_ms < self.end_ms {
            return;
        }
        while self.cursor.is_some() {
            self.empty_slice(usize::MAX, lane);
        }
        let window_ms = self.settings.window_ms;
        let end_ms = now_ms.div_euclid(window_ms).saturating_add(1).saturating_mul(window_ms);
        let passed = if self.window == 0 { 1 } else { (end_ms - self.end_ms) / window_ms };
        self.window = self.window.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
        self.end_ms = end_ms;
        self.cursor = (!self.slots.is_empty()).then_some(0);
    }

    /// Whether a container is part of a series.
    pub(in crate::ingest) fn keeps_containers(&self) -> bool {
        self.settings.keep_containers
    }

    /// The hash of a plain line's spelling.
    #[inline]
    pub(in crate::ingest) fn hash_of_plain(&self, plain: &Plain<'_>) -> u64 {
        self.hashed(self.raw_of_plain(plain)).hash
    }

    /// The slot of a plain line with this hash, if it has one.
    #[inline]
    pub(in crate::ingest) fn find_plain(&self, plain: &Plain<'_>, hash: u64) -> Option<usize> {
        self.find(&Hashed { raw: self.raw_of_plain(plain), hash })
    }

    /// The spelling of a plain line.
    #[inline]
    fn raw_of_plain<'a>(&self, plain: &Plain<'a>) -> Raw<'a> {
        let container = if self.settings.keep_containers { plain.container } else { &[] };
        Raw::new(plain.name, plain.tags, container, class(&plain.measure))
    }

    /// The spelling of an observation.
    pub(in crate::ingest) fn raw_of<'a>(&self, observation: &Observation<'a>) -> Raw<'a> {
        let container = match observation.measure {
            Measure::Event(event) => event.alert,
            _ if self.settings.keep_containers => observation.container,
            _ => "",
        };
        let Observation { name, tags, measure, .. } = observation;
        Raw::new(name.as_bytes(), tags.as_str().as_bytes(), container.as_bytes(), class(measure))
    }

    /// A spelling with its hash.
    #[inline]
    pub(in crate::ingest) fn hashed<'a>(&self, raw: Raw<'a>) -> Hashed<'a> {
        self.seeds.hashed(raw)
    }

    /// The slot of a spelling, if it has one.
    #[inline]
    pub(in crate::ingest) fn find(&self, spelling: &Hashed<'_>) -> Option<usize> {
        let Hashed { raw, hash } = *spelling;
        let tag = (hash >> 32) as u32;
        let entry =
            self.index.find(hash, |entry| entry.tag == tag && raw.is(&self.slots[entry.at as usize].spelling))?;
        Some(entry.at as usize)
    }

    /// Makes a slot for a spelling that has none, of the series with this canonical key.
    ///
    /// # Errors
    /// When there are as many as may be.
    #[cold]
    pub(in crate::ingest) fn create(&mut self, spelling: &Hashed<'_>, key: &[u8]) -> Result<usize, Refused> {
        let Hashed { raw, hash } = *spelling;
        let series = &self.settings.metrics.statsd.window_series;
        if series.fetch_add(1, Ordering::Relaxed) >= self.settings.series_max {
            series.fetch_sub(1, Ordering::Relaxed);
            return Err(Refused::Limit);
        }
        let at = self.slots.len();
        let state = match raw.class() {
            Class::Count | Class::Event => State::Count(0.0),
            Class::Gauge => State::Gauge { level: 0.0, set_ms: None },
            Class::Timer => State::Timer(None),
            Class::Set => State::Set(None),
        };
        self.slots.push(Slot { state, spelling: raw.kept(), window: self.window, holds: false });
        self.known.push(Known { hash, key: key.into() });
        let known = &self.known;
        let entry = Entry { tag: (hash >> 32) as u32, at: at as u32 };
        self.index.insert_unique(hash, entry, |entry| known[entry.at as usize].hash);
        Ok(at)
    }

    /// Adds a value to a slot; what the slot holds of an earlier window goes to the lane first.
    ///
    /// # Errors
    /// When value and rate give no finite number; then nothing was added.
    #[inline]
    pub(in crate::ingest) fn add(
        &mut self,
        at: usize,
        measure: &Measure<'_>,
        rate: f64,
        now_ms: i64,
        lane: &mut Lane,
    ) -> Result<(), Refused> {
        if self.slots[at].window != self.window {
            self.empty(at, lane);
            self.slots[at].window = self.window;
        }
        let slot = &mut self.slots[at];
        match (&mut slot.state, *measure) {
            (State::Count(sum), Measure::Count(value)) => {
                let count = if rate == 1.0 { value } else { value / rate };
                // A value near the largest double and a tiny rate: infinity was not sent.
                if !(*sum + count).is_finite() {
                    return Err(Refused::NotFinite);
                }
                *sum += count;
            }
            (State::Gauge { level, set_ms }, Measure::Gauge(value)) => (*level, *set_ms) = (value, Some(now_ms)),
            (State::Gauge { level, set_ms }, Measure::GaugeChange(value)) if self.settings.signs_change_gauges => {
                if !(*level + value).is_finite() {
                    return Err(Refused::NotFinite);
                }
                *level += value;
                *set_ms = set_ms.map(|_| now_ms);
            }
            (State::Gauge { level, set_ms }, Measure::GaugeChange(value)) => (*level, *set_ms) = (value, Some(now_ms)),
            (State::Timer(timer), Measure::Timer(value)) => {
                let weight = 1.0 / rate;
                if !timer.get_or_insert_default().observe(value, weight) {
                    return Err(Refused::NotFinite);
                }
            }
            (State::Set(members), Measure::Member(member)) => {
                members.get_or_insert_default().add(storage::series::hash(member));
            }
            (State::Count(sum), Measure::Event(_)) => *sum += 1.0,
            _ => debug_assert!(false, "a slot is found by its type"),
        }
        slot.holds = true;
        Ok(())
    }

    /// Whether the window before is still being emptied.
    pub(in crate::ingest) fn is_emptying(&self) -> bool {
        self.cursor.is_some()
    }

    /// Puts what the next `slots_max` slots hold of the window before into the lane; idle ones leave the table.
    pub(in crate::ingest) fn empty_slice(&mut self, slots_max: usize, lane: &mut Lane) {
        let Some(mut at) = self.cursor else { return };
        let idle_windows = self.settings.idle_ms / self.settings.window_ms + 1;
        for _ in 0..slots_max {
            if at >= self.slots.len() {
                break;
            }
            if self.slots[at].window != self.window {
                self.empty(at, lane);
            }
            let slot = &self.slots[at];
            if !slot.holds && i64::from(self.window - slot.window) > idle_windows {
                self.remove(at);
            } else {
                at += 1;
            }
        }
        self.cursor = (at < self.slots.len()).then_some(at);
    }

    /// Puts all that all slots hold into the lane, for a listener that stops. Windows that are not over are closed by the
    /// shards, which stop next.
    pub(in crate::ingest) fn empty_all(&mut self, lane: &mut Lane) {
        (0..self.slots.len()).for_each(|at| self.empty(at, lane));
        self.cursor = None;
    }

    fn empty(&mut self, at: usize, lane: &mut Lane) {
        let slot = &mut self.slots[at];
        if slot.holds {
            slot.holds = false;
            let observed = match &mut slot.state {
                State::Count(sum) => Observed::Count(std::mem::take(sum)),
                State::Gauge { level, set_ms } => {
                    Observed::Gauge { level: std::mem::take(level), set_ms: set_ms.take() }
                }
                State::Timer(timer) => Observed::Timer(timer.take().unwrap_or_default()),
                State::Set(members) => Observed::Members(members.take().unwrap_or_default()),
            };
            let behind_ms = i64::from(self.window - slot.window) * self.settings.window_ms;
            lane.observe(&self.known[at].key, observed, self.end_ms - behind_ms - 1);
        }
    }

    /// Takes a slot out; the last one moves into its place.
    fn remove(&mut self, at: usize) {
        let last = self.slots.len() - 1;
        if let Ok(entry) = self.index.find_entry(self.known[at].hash, |entry| entry.at as usize == at) {
            entry.remove();
        }
        if let Some(moved) = self.index.find_mut(self.known[last].hash, |entry| entry.at as usize == last) {
            moved.at = at as u32;
        }
        self.slots.swap_remove(at);
        self.known.swap_remove(at);
        self.settings.metrics.statsd.window_series.fetch_sub(1, Ordering::Relaxed);
    }
}
