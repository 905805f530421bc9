//! Interfaces as they were at the cycle before: by which name each is known, its counters, its keys, its series.
//!
//! Not here: what was read now (see `interfaces`).
//!
//! Invariants: an interface is known by its name where that is its own on the device, so a changed ifIndex is the same
//! series and a changed name another; two interfaces never have the same series; what the store found a series to be is
//! kept only with the key it was found by.

use super::interfaces::{Counts, INFO, Row};
use super::keys::tail;
use protocols::snmp::counter::AgentClock;
use std::collections::HashMap;
use std::sync::Arc;
use storage::series::{KeyBuilder, SeriesRef};

/// Stands for a series that the store was not asked for yet.
const UNKNOWN: u32 = u32::MAX;

/// What an interface was at the cycle before.
#[derive(Debug, Clone)]
pub(super) struct Known {
    identity: String,
    pub(super) discontinuity: Option<u32>,
    pub(super) counters: Counts,
    pub(super) clocks: Arc<[AgentClock]>,
    /// Of its keys, behind the names.
    pub(super) tail: Box<[u8]>,
    /// The key of its information series, and what that was made from.
    pub(super) info: Box<[u8]>,
    info_hash: u64,
    /// What its series are, by their places.
    series: [u32; INFO + 1],
}

/// Interfaces of a device.
#[derive(Debug, Default)]
pub(super) struct KnownInterfaces {
    entries: Vec<Known>,
    /// Those that were not read whole at the cycle before; they are remembered for one cycle.
    waiting: Vec<Known>,
    /// Rises whenever places stand for other interfaces.
    generation: u64,
    /// Whether counters of 32 bits are needed beside those of 64.
    pub(super) asks_narrow: bool,
}

impl Known {
    /// Whether it is known by its own name.
    pub(super) fn is_named(&self, row: &Row) -> bool {
        self.identity == row.name
    }

    /// A counter's value then.
    pub(super) fn value(&self, at: usize) -> Option<u64> {
        self.counters[at].map(|count| count.value)
    }

    /// What the store found the series at a place to be.
    pub(super) fn series(&self, place: usize) -> Option<SeriesRef> {
        self.series.get(place).filter(|series| **series != UNKNOWN).map(|series| SeriesRef(*series))
    }
}

impl KnownInterfaces {
    pub(super) fn at(&self, place: u32) -> Option<&Known> {
        self.entries.get(place as usize)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// What a series was found to be, when the places are still those of a generation.
    pub(super) fn learn(&mut self, generation: u64, line: u32, place: u32, series: SeriesRef) {
        let entry = self.entries.get_mut(line as usize).filter(|_| generation == self.generation);
        if let Some(known) = entry.and_then(|entry| entry.series.get_mut(place as usize)) {
            *known = series.0;
        }
    }

    pub(super) fn remember(&mut self, place: u32, row: &Row, clocks: &Arc<[AgentClock]>) {
        let Some(known) = self.entries.get_mut(place as usize) else { return };
        (known.discontinuity, known.counters, known.clocks) = (row.discontinuity, row.counters, clocks.clone());
    }

    /// Gives every row that is believed the place of its interface.
    pub(super) fn read_anew(&mut self, rows: &mut [Row], believed: &[bool], device: &str) {
        self.generation += 1;
        let before = self.entries.drain(..).chain(self.waiting.drain(..));
        let mut before: HashMap<String, Known> = before.map(|known| (known.identity.clone(), known)).collect();
        let mut builder = KeyBuilder::default();
        let identities = identities(rows);
        for ((row, identity), is_believed) in rows.iter_mut().zip(identities).zip(believed) {
            row.known = is_believed.then_some(self.entries.len() as u32);
            if !is_believed {
                continue;
            }
            let labels = [("device", device), ("interface", identity.as_str())];
            let known = before.remove(&identity);
            let info_hash = row.info_hash();
            let mut known =
                known.unwrap_or_else(|| Known::new(row, &identity, tail(&mut builder, &labels), !info_hash));
            if known.info_hash != info_hash {
                (known.info, known.info_hash) = (row.info(&mut builder, &labels), info_hash);
                known.series[INFO] = UNKNOWN;
            }
            self.entries.push(known);
        }
        // One that was not read whole may be any of those that are missing.
        if believed.contains(&false) {
            self.waiting.extend(before.into_values());
        }
    }
}

impl Known {
    fn new(row: &Row, identity: &str, tail: Box<[u8]>, info_hash: u64) -> Self {
        Self {
            identity: identity.to_owned(),
            discontinuity: row.discontinuity,
            counters: Counts::default(),
            clocks: Arc::default(),
            tail,
            info: Box::default(),
            info_hash,
            series: [UNKNOWN; INFO + 1],
        }
    }
}

/// A name for each row that no other row of the device has: ifName, else ifDescr, else the index.
fn identities(rows: &[Row]) -> Vec<String> {
    let count = |of: fn(&Row) -> &str| {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        rows.iter().for_each(|row| *counts.entry(of(row)).or_default() += 1);
        counts
    };
    let (names, descriptions) = (count(|row| &row.name), count(|row| &row.description));
    let is_own = |counts: &HashMap<&str, usize>, text: &str| !text.is_empty() && counts.get(text) == Some(&1);
    let mut taken: HashMap<String, usize> = HashMap::new();
    rows.iter()
        .map(|row| {
            let chosen = if is_own(&names, &row.name) {
                row.name.clone()
            } else if is_own(&descriptions, &row.description) && !names.contains_key(row.description.as_str()) {
                row.description.clone()
            } else {
                format!("ifIndex-{}", row.index)
            };
            let times = taken.entry(chosen.clone()).or_default();
            *times += 1;
            if *times == 1 { chosen } else { format!("ifIndex-{}", row.index) }
        })
        .collect()
}
