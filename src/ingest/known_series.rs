//! Which series a remote write sender's label bytes were found to be before.
//!
//! ```text
//!            ┌ key ┬ key ┬ key ┬ ... the bytes of every series met, in the order of first arrival
//!  request ──┤ compared with the one that came next the last time; only where that fails: hash, look up, compare
//!            └ entry: where its key lies, its series, which entry came next
//! ```
//!
//! A sender repeats the labels of its series with every scrape, byte for byte and in the same order. Where the next
//! series is the one that followed the last time, which one comparison of bytes tells, its labels are not taken apart,
//! no hash is computed, and its shard reads no key. The bytes compared lie in order in memory, so that the processor
//! fetches them ahead.
//!
//! Not here: who knows what a key is (shards; see `shard::Learnt`), senders whose labels are not canonical.
//!
//! Invariants: a series is named only for bytes equal to those it was learnt with. It can have left the catalog since,
//! which its shard notices; it can never be another one, for an id is never given twice. Bytes kept stay within the limit.
//!
//! Cost: about 230 bytes of key and 36 of table a series; in the usual order some 12 ns a series to know it again.

use crate::self_metrics::SelfMetrics;
use crate::shard::Learnt;
use hashbrown::HashTable;
use parking_lot::{RwLock, RwLockReadGuard};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use storage::series::{self, SeriesRef};

/// What a label of a series begins with; no more of them follow a key that is whole.
const LABEL_TAG: u8 = 0x0a;
/// Keys are kept in pieces of this size, so that nothing large is ever copied to make room.
const SLAB_BYTES: usize = 1 << 20;
/// Series learnt between two looks at whether somebody else wants the table.
const LEARN_AT_ONCE: usize = 256;
/// Nothing is expected, and nothing was met.
const NONE: u32 = u32::MAX;

/// The table; shared by all requests.
#[derive(Debug)]
pub(super) struct KnownSeries {
    table: RwLock<Table>,
    bytes_max: usize,
    metrics: Arc<SelfMetrics>,
}

#[derive(Debug, Default)]
struct Table {
    slabs: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    index: HashTable<Place>,
    key_bytes: usize,
    /// Series met, and of them known, since the table was full or last judged.
    met: AtomicU64,
    known: AtomicU64,
}

#[derive(Debug)]
struct Entry {
    slab: u16,
    key_len: u16,
    key_start: u32,
    series: SeriesRef,
    /// The entry that came next the last time.
    next: AtomicU32,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    fingerprint: u32,
    entry: u32,
}

/// The low half of a key's hash, spread over the bits that the table takes its tags and places from.
#[inline]
fn table_hash(fingerprint: u32) -> u64 {
    u64::from(fingerprint).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl KnownSeries {
    /// A table that keeps at most so many bytes of keys.
    pub(super) fn new(bytes_max: usize, metrics: Arc<SelfMetrics>) -> Self {
        // Slabs are numbered by 16 bits.
        let bytes_max = bytes_max.min(SLAB_BYTES * usize::from(u16::MAX));
        Self { table: RwLock::default(), bytes_max, metrics }
    }

    /// Begins to read a request, or a slice of one; keeps learners waiting until it is dropped.
    pub(super) fn recogniser(&self) -> Recogniser<'_> {
        let (table, metrics) = (self.table.read(), &*self.metrics);
        Recogniser { table, metrics, expected: 0, matched: NONE, last: NONE, met: 0, known: 0 }
    }

    /// Remembers series that shards found by keys in these bytes.
    pub(super) fn learn(&self, bytes: &[u8], mut learnt: Vec<Learnt>) {
        if learnt.is_empty() {
            return;
        }
        // In the order of the request, which is that of the next one.
        learnt.sort_unstable_by_key(|learnt| learnt.key.start);
        let counters = &self.metrics.known_series;
        for some in learnt.chunks(LEARN_AT_ONCE) {
            let mut table = self.table.write();
            for Learnt { key, hash, series } in some {
                let key = bytes.get(key.start as usize..key.end as usize);
                if !key.is_some_and(|key| table.learn(key, *hash, *series, self.bytes_max)) {
                    counters.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            counters.remembered.store(table.entries.len() as u64, Ordering::Relaxed);
            counters.key_bytes.store(table.key_bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Table {
    #[inline]
    fn key(&self, entry: &Entry) -> &[u8] {
        let start = entry.key_start as usize;
        &self.slabs[usize::from(entry.slab)][start..start + usize::from(entry.key_len)]
    }

    fn find(&self, fingerprint: u32, key: &[u8]) -> Option<u32> {
        let is_it =
            |place: &Place| place.fingerprint == fingerprint && self.key(&self.entries[place.entry as usize]) == key;
        self.index.find(table_hash(fingerprint), is_it).map(|place| place.entry)
    }

    /// Remembers a series; whether there was room.
    fn learn(&mut self, key: &[u8], hash: u64, series: SeriesRef, bytes_max: usize) -> bool {
        let fingerprint = hash as u32;
        if let Some(known) = self.find(fingerprint, key) {
            self.entries[known as usize].series = series;
            return true;
        }
        let Ok(key_len) = u16::try_from(key.len()) else { return false };
        let has_room = |table: &Self| table.key_bytes + key.len() <= bytes_max;
        if !(has_room(self) || self.make_room() && has_room(self)) {
            return false;
        }
        if self.slabs.last().is_none_or(|slab| slab.len() + key.len() > SLAB_BYTES) {
            if self.slabs.len() > usize::from(u16::MAX) {
                return false;
            }
            self.slabs.push(Vec::with_capacity(SLAB_BYTES));
        }
        let at = self.entries.len() as u32;
        let slab = self.slabs.len() - 1;
        let bytes = &mut self.slabs[slab];
        let key_start = bytes.len() as u32;
        bytes.extend_from_slice(key);
        self.key_bytes += key.len();
        let next = AtomicU32::new(at + 1);
        self.entries.push(Entry { slab: slab as u16, key_len, key_start, series, next });
        self.index.insert_unique(table_hash(fingerprint), Place { fingerprint, entry: at }, |place| {
            table_hash(place.fingerprint)
        });
        true
    }

    /// Forgets everything when most of it is not sent any more. Where more series are alive than fit, those that are known
    /// stay: to forget one for another would gain nothing.
    fn make_room(&mut self) -> bool {
        let entries = self.entries.len() as u64;
        // So many series met that each that is known should have come several times.
        if self.met.load(Ordering::Relaxed) < 4 * entries {
            return false;
        }
        let is_dead = self.known.load(Ordering::Relaxed) < entries / 2;
        if is_dead {
            *self = Self::default();
        }
        self.met.store(0, Ordering::Relaxed);
        self.known.store(0, Ordering::Relaxed);
        is_dead
    }
}

/// Reads a request's series in order and knows those again that were met before.
#[derive(Debug)]
pub(super) struct Recogniser<'a> {
    table: RwLockReadGuard<'a, Table>,
    metrics: &'a SelfMetrics,
    /// The entry that should come now.
    expected: u32,
    /// The entry that the series at hand was found to be by its bytes alone.
    matched: u32,
    /// The entry that came before.
    last: u32,
    met: u64,
    known: u64,
}

impl Recogniser<'_> {
    /// How many bytes of a series are its labels, when it is the one that is expected; else 0.
    #[inline]
    pub(super) fn known_bytes(&mut self, series: &[u8]) -> usize {
        self.matched = NONE;
        let Some(entry) = self.table.entries.get(self.expected as usize) else { return 0 };
        let key = self.table.key(entry);
        let is_it = series.get(key.len()).is_some_and(|after| *after != LABEL_TAG) && series.starts_with(key);
        if !is_it {
            return 0;
        }
        self.matched = self.expected;
        key.len()
    }

    /// The series of the canonical key that was read after [`Self::known_bytes`] was asked, if it is known.
    #[inline]
    pub(super) fn series(&mut self, key: &[u8]) -> Option<SeriesRef> {
        self.met += 1;
        if self.matched == NONE {
            if self.table.entries.is_empty() {
                return None;
            }
            self.matched = self.table.find(series::hash(key) as u32, key)?;
            if let Some(last) = self.table.entries.get(self.last as usize) {
                last.next.store(self.matched, Ordering::Relaxed);
            }
        }
        self.known += 1;
        self.last = self.matched;
        let entry = &self.table.entries[self.matched as usize];
        self.expected = entry.next.load(Ordering::Relaxed);
        Some(entry.series)
    }
}

impl Drop for Recogniser<'_> {
    fn drop(&mut self) {
        self.table.met.fetch_add(self.met, Ordering::Relaxed);
        self.table.known.fetch_add(self.known, Ordering::Relaxed);
        self.metrics.known_series.known.fetch_add(self.known, Ordering::Relaxed);
        self.metrics.known_series.looked_up.fetch_add(self.met - self.known, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::series::KeyBuilder;

    fn key(number: usize) -> Vec<u8> {
        let mut builder = KeyBuilder::default();
        builder.push("__name__", "up");
        builder.push("series", &number.to_string());
        builder.finish().unwrap().to_vec()
    }

    /// Reads a request with these series; says of each how many bytes were known at once, and which series it is.
    fn read(known: &KnownSeries, series: &[usize]) -> Vec<(usize, Option<u32>)> {
        let mut met = known.recogniser();
        let one = |number: &usize| {
            let key = key(*number);
            let known_bytes = met.known_bytes(&[&key[..], b"\x12\x02\x10\x05"].concat());
            (known_bytes, met.series(&key).map(|series| series.0))
        };
        series.iter().map(one).collect()
    }

    fn learn(known: &KnownSeries, series: &[(usize, u32)]) {
        let (mut bytes, mut learnt) = (Vec::new(), Vec::new());
        for (number, reference) in series {
            let (start, key) = (bytes.len() as u32, key(*number));
            bytes.extend_from_slice(&key);
            learnt.push(Learnt {
                key: start..bytes.len() as u32,
                hash: series::hash(&key),
                series: SeriesRef(*reference),
            });
        }
        // Shards answer one after the other.
        learnt.reverse();
        known.learn(&bytes, learnt);
    }

    fn table(bytes_max: usize) -> KnownSeries {
        KnownSeries::new(bytes_max, Arc::default())
    }

    #[test]
    fn series_are_known_in_the_order_of_the_last_request_and_found_in_any_other() {
        let known = table(1 << 20);
        assert_eq!(read(&known, &[1, 2]), [(0, None), (0, None)]);
        learn(&known, &[(1, 11), (2, 12), (3, 13)]);
        let whole = key(1).len();
        assert_eq!(read(&known, &[1, 2, 3]), [(whole, Some(11)), (whole, Some(12)), (whole, Some(13))]);
        assert_eq!(read(&known, &[2, 1, 3]), [(0, Some(12)), (0, Some(11)), (0, Some(13))], "another order is found");
        assert_eq!(
            read(&known, &[2, 1, 3]),
            [(0, Some(12)), (whole, Some(11)), (whole, Some(13))],
            "and known next time"
        );
        assert_eq!(read(&known, &[4, 1]), [(0, None), (whole, Some(11))], "what is new in between disturbs nothing");
        let counters = &known.metrics.known_series;
        assert_eq!([&counters.known, &counters.looked_up].map(|count| count.load(Ordering::Relaxed)), [10, 3]);
    }

    #[test]
    fn only_whole_keys_are_known() {
        let known = table(1 << 20);
        learn(&known, &[(1, 11)]);
        let mut met = known.recogniser();
        let longer = [&key(1)[..], b"\x0a\x08\x0a\x03zzz\x12\x01x"].concat();
        assert_eq!(met.known_bytes(&longer), 0, "another label follows");
        assert_eq!(met.series(&longer), None);
        assert_eq!(met.known_bytes(&key(1)), 0, "nothing follows");
        assert_eq!(met.known_bytes(&key(1)[1..]), 0);
        assert_eq!(met.known_bytes(b""), 0);
    }

    #[test]
    fn a_series_that_came_back_goes_by_its_new_reference() {
        let known = table(1 << 20);
        learn(&known, &[(1, 11)]);
        learn(&known, &[(1, 99)]);
        assert_eq!(read(&known, &[1]), [(key(1).len(), Some(99))]);
        assert_eq!(known.metrics.known_series.remembered.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn at_the_limit_series_that_are_sent_stay_and_those_that_are_not_are_forgotten() {
        let known = table(2 * key(1).len() + 1);
        learn(&known, &[(1, 11), (2, 12), (3, 13)]);
        let refused = || known.metrics.known_series.refused.load(Ordering::Relaxed);
        assert_eq!(refused(), 1);
        for _ in 0..20 {
            read(&known, &[1, 2, 3]);
            learn(&known, &[(3, 13)]);
        }
        assert_eq!(refused(), 21, "two of three are alive");
        // First what the living ones were met stands in the way of it, then nothing.
        for _ in 0..2 {
            (0..8).for_each(|_| drop(read(&known, &[3])));
            learn(&known, &[(3, 13)]);
        }
        assert_eq!(read(&known, &[3, 1]), [(key(3).len(), Some(13)), (0, None)]);
        let none = table(0);
        learn(&none, &[(1, 11)]);
        assert_eq!(read(&none, &[1]), [(0, None)]);
    }
}
