//! The values of one label name: found by hash, kept in order for ranges, each with its postings.
//!
//! ```text
//!  by_text: hash of a value ─▶ slot ─▶ { text, postings }        sorted ▪▪▪▪▪▪▪▪▪▪▪▪▪  recent ▪▪▪   (slots)
//! ```
//!
//! A new value joins the unsorted `recent`; when that is full it is sorted and merged into `sorted`. Readers search
//! `sorted` and look at each of `recent`. A value whose last series leaves stays as a dead slot, which readers skip
//! and which its return revives; when most slots are dead all are rebuilt, in the order of the values.
//!
//! Cost sketch: a known value is one probe of 8 bytes and one of its text (15 ns in cache, 150 ns out of it); a new
//! one costs two allocations and, amortised, 60 ns of sorting when values arrive in order and 400 ns at worst, a
//! third of what a B-tree of texts takes. A merge holds the thread for at most 6 ms. A value with one series costs
//! about 75 bytes and its text. Confirmed by `benches/index.rs`.
//!
//! Not here: which values a matcher wants (see `pattern`).
//!
//! Invariants: every slot is in `by_text` once and in one of `sorted` and `recent` once; a slot is dead exactly when
//! its postings are empty; texts are not empty.

use super::postings::Postings;
use crate::series;
use hashbrown::HashTable;
use roaring::RoaringBitmap;

/// `recent` is merged when it holds a quarter of what is sorted, but never fewer values than the first of these
/// (sorting less often costs less) nor more than the second (a merge must end soon, and readers look at each).
const RECENT: std::ops::RangeInclusive<usize> = 256..=16_384;

/// Dead slots below this number are not worth a rebuild.
const DEAD_MIN: usize = 16;

#[derive(Debug)]
struct Slot {
    text: Box<str>,
    postings: Postings,
}

/// A slot and enough of its hash to grow the table without looking at texts.
#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: u32,
    slot: u32,
}

impl Entry {
    /// The table takes its control bits from the top of the hash and the bucket from the bottom.
    fn spread(hash: u32) -> u64 {
        u64::from(hash) * 0x1_0000_0001
    }
}

#[derive(Debug, Default)]
pub(super) struct Values {
    slots: Vec<Slot>,
    by_text: HashTable<Entry>,
    sorted: Vec<u32>,
    recent: Vec<u32>,
    dead: usize,
    series: u64,
    text_bytes: usize,
    postings_bytes: usize,
}

impl Values {
    /// How many values have a series.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.dead
    }

    /// How many series carry the name.
    pub(super) fn series(&self) -> u64 {
        self.series
    }

    /// Estimated memory in bytes; constant time.
    pub(super) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.by_text.allocation_size()
            + (self.sorted.capacity() + self.recent.capacity()) * 4
            + self.text_bytes
            + self.postings_bytes
    }

    /// Notes that a series has this value.
    pub(super) fn insert(&mut self, text: &str, id: u32) {
        let hash = series::hash(text.as_bytes()) as u32;
        let slot = match self.find(hash, text) {
            Some(slot) => {
                self.dead -= usize::from(self.slots[slot as usize].postings.is_empty());
                slot
            }
            None => self.add(hash, text),
        };
        let postings = &mut self.slots[slot as usize].postings;
        let before = postings.heap_bytes();
        self.series += u64::from(postings.insert(id));
        self.postings_bytes += postings.heap_bytes();
        self.postings_bytes -= before;
        if self.recent.len() > (self.sorted.len() / 4).clamp(*RECENT.start(), *RECENT.end()) {
            self.merge_recent();
        }
    }

    /// Forgets that a series has this value.
    pub(super) fn remove(&mut self, text: &str, id: u32) {
        let Some(slot) = self.find(series::hash(text.as_bytes()) as u32, text) else { return };
        let postings = &mut self.slots[slot as usize].postings;
        let before = postings.heap_bytes();
        if !postings.remove(id) {
            return;
        }
        self.series -= 1;
        self.postings_bytes += postings.heap_bytes();
        self.postings_bytes -= before;
        self.dead += usize::from(postings.is_empty());
        if self.dead >= DEAD_MIN && self.dead > self.len() {
            self.rebuild();
        }
    }

    /// The postings of one value.
    pub(super) fn get(&self, text: &str) -> Option<&Postings> {
        let slot = self.find(series::hash(text.as_bytes()) as u32, text)?;
        let postings = &self.slots[slot as usize].postings;
        (!postings.is_empty()).then_some(postings)
    }

    /// Every value with its postings, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Postings)> {
        self.slots.iter().filter(|slot| !slot.postings.is_empty()).map(|slot| (&*slot.text, &slot.postings))
    }

    /// Every value that begins with `prefix`, in no order.
    pub(super) fn with_prefix(&self, prefix: &[u8]) -> impl Iterator<Item = (&str, &Postings)> {
        let from = self.sorted.partition_point(|&slot| self.text(slot).as_bytes() < prefix);
        let fits = move |slot: &&u32| self.text(**slot).as_bytes().starts_with(prefix);
        let ordered = self.sorted[from..].iter().take_while(fits);
        self.live(ordered.chain(self.recent.iter().filter(fits)))
    }

    /// Every value in order; sorts those that came last.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&str, &Postings)> {
        let mut sorted = self.sorted.iter().copied().peekable();
        let mut recent = self.recent_in_order().into_iter().peekable();
        self.live(std::iter::from_fn(move || match (sorted.peek(), recent.peek()) {
            (Some(&a), Some(&b)) if self.text(a) > self.text(b) => recent.next(),
            (Some(_), _) => sorted.next(),
            (None, _) => recent.next(),
        }))
    }

    fn live<S: std::borrow::Borrow<u32>>(
        &self,
        slots: impl Iterator<Item = S>,
    ) -> impl Iterator<Item = (&str, &Postings)> {
        slots.filter_map(|slot| {
            let slot = &self.slots[*slot.borrow() as usize];
            (!slot.postings.is_empty()).then_some((&*slot.text, &slot.postings))
        })
    }

    /// Whether any of the series carries the name.
    pub(super) fn any_of(&self, series: &RoaringBitmap) -> bool {
        self.iter().any(|(_, postings)| postings.intersects(series))
    }

    fn text(&self, slot: u32) -> &str {
        &self.slots[slot as usize].text
    }

    fn find(&self, hash: u32, text: &str) -> Option<u32> {
        let same = |entry: &Entry| entry.hash == hash && self.text(entry.slot) == text;
        self.by_text.find(Entry::spread(hash), same).map(|entry| entry.slot)
    }

    fn add(&mut self, hash: u32, text: &str) -> u32 {
        let slot = self.slots.len() as u32;
        self.slots.push(Slot { text: text.into(), postings: Postings::default() });
        self.by_text.insert_unique(Entry::spread(hash), Entry { hash, slot }, |entry| Entry::spread(entry.hash));
        self.recent.push(slot);
        self.text_bytes += text.len();
        slot
    }

    /// Sorting compares the eight bytes after what all texts begin with, and whole texts only when those are equal:
    /// a text costs a cache miss, and values of one name tend to begin alike.
    fn recent_in_order(&self) -> Vec<u32> {
        let Some(&first) = self.recent.first() else { return Vec::new() };
        let first = self.text(first).as_bytes();
        let alike = self.recent.iter().fold(first.len(), |alike, &slot| {
            let pairs = first[..alike].iter().zip(self.text(slot).as_bytes());
            pairs.take_while(|(a, b)| a == b).count()
        });
        let next_eight = |slot: u32| {
            let rest = &self.text(slot).as_bytes()[alike..];
            let mut eight = [0; 8];
            let taken = rest.len().min(8);
            eight[..taken].copy_from_slice(&rest[..taken]);
            u64::from_be_bytes(eight)
        };
        let mut keyed: Vec<_> = self.recent.iter().map(|&slot| (next_eight(slot), slot)).collect();
        keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| self.text(a.1).cmp(self.text(b.1))));
        keyed.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Merges from the back in place, so that only what lies behind a new value moves, and once.
    fn merge_recent(&mut self) {
        let batch = self.recent_in_order();
        self.recent.clear();
        let mut sorted = std::mem::take(&mut self.sorted);
        let mut end = sorted.len();
        sorted.resize(end + batch.len(), 0);
        for (before, &slot) in batch.iter().enumerate().rev() {
            let at = self.place_near_end(&sorted[..end], self.text(slot));
            sorted.copy_within(at..end, at + before + 1);
            sorted[at + before] = slot;
            end = at;
        }
        self.sorted = sorted;
    }

    /// Where `text` belongs, searched from the end in doubling steps: the next value is usually close.
    fn place_near_end(&self, sorted: &[u32], text: &str) -> usize {
        let (mut high, mut step) = (sorted.len(), 1);
        while high > 0 {
            let probe = high.saturating_sub(step);
            if self.text(sorted[probe]) < text {
                return probe + 1 + sorted[probe + 1..high].partition_point(|&slot| self.text(slot) < text);
            }
            (high, step) = (probe, step * 2);
        }
        0
    }

    /// Leaves the dead behind; the living move into slots in the order of their texts.
    fn rebuild(&mut self) {
        self.merge_recent();
        let mut old: Vec<_> = std::mem::take(&mut self.slots).into_iter().map(Some).collect();
        let order = std::mem::take(&mut self.sorted);
        let in_order = order.into_iter().filter_map(|slot| old[slot as usize].take());
        let slots: Vec<_> = in_order.filter(|slot| !slot.postings.is_empty()).collect();
        let mut by_text = HashTable::with_capacity(slots.len());
        for (slot, Slot { text, .. }) in slots.iter().enumerate() {
            let hash = series::hash(text.as_bytes()) as u32;
            let entry = Entry { hash, slot: slot as u32 };
            by_text.insert_unique(Entry::spread(hash), entry, |entry| Entry::spread(entry.hash));
        }
        self.text_bytes = slots.iter().map(|slot| slot.text.len()).sum();
        self.sorted = (0..slots.len() as u32).collect();
        self.recent = Vec::new();
        self.dead = 0;
        (self.slots, self.by_text) = (slots, by_text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(values: impl Iterator<Item = (&'a str, &'a Postings)>) -> Vec<&'a str> {
        values.map(|(text, _)| text).collect()
    }

    /// Texts in no order, with common beginnings of several lengths and one text beginning another.
    fn scattered(count: u32) -> Vec<String> {
        let scatter = |i: u32| i.wrapping_mul(2_654_435_761) % 1_000_003;
        (0..count).map(|i| format!("{}-{:x}", if i % 3 == 0 { "node" } else { "no" }, scatter(i))).collect()
    }

    #[test]
    fn values_come_in_order_however_many_merges_there_were() {
        let mut values = Values::default();
        let mut expected = scattered(5000);
        for (id, text) in expected.iter().enumerate() {
            values.insert(text, id as u32);
        }
        assert!(values.sorted.len() > 3000 && !values.recent.is_empty(), "both parts are under test");
        expected.sort();
        expected.dedup();
        assert_eq!(texts(values.in_order()), expected);
        assert_eq!(values.len(), expected.len());
        let mut found = texts(values.with_prefix(b"node-1"));
        found.sort_unstable();
        assert!(found.iter().eq(expected.iter().filter(|text| text.starts_with("node-1"))));
        assert!(found.len() > 50);
    }

    #[test]
    fn a_value_without_series_is_gone_and_can_come_back() {
        let mut values = Values::default();
        values.insert("a", 1);
        values.insert("b", 2);
        values.remove("a", 1);
        assert!(values.get("a").is_none());
        assert_eq!(texts(values.in_order()), ["b"]);
        assert_eq!((values.len(), values.series()), (1, 1));
        values.insert("a", 3);
        assert!(values.get("a").is_some());
        assert_eq!(texts(values.in_order()), ["a", "b"]);
        assert_eq!((values.len(), values.series()), (2, 2));
    }

    #[test]
    fn removing_what_is_not_there_changes_nothing() {
        let mut values = Values::default();
        values.insert("a", 1);
        values.remove("a", 2);
        values.remove("b", 1);
        assert_eq!((values.len(), values.series()), (1, 1));
    }

    #[test]
    fn the_dead_do_not_pile_up() {
        let mut values = Values::default();
        let all = scattered(4000);
        for (id, text) in all.iter().enumerate() {
            values.insert(text, id as u32);
        }
        let full = values.bytes();
        for (id, text) in all.iter().enumerate().skip(10) {
            values.remove(text, id as u32);
        }
        assert!(values.slots.len() <= 10 + DEAD_MIN, "{} slots", values.slots.len());
        assert!(values.bytes() * 50 < full, "{} of {full} bytes", values.bytes());
        let mut kept = all[..10].to_vec();
        kept.sort();
        assert_eq!(texts(values.in_order()), kept);
        assert!(kept.iter().all(|text| values.get(text).is_some()), "found by hash after the rebuild");
    }

    #[test]
    fn memory_is_counted_as_it_comes_and_goes() {
        let mut values = Values::default();
        values.insert("a", 0);
        let one = values.bytes();
        (1..5000).for_each(|id| values.insert("a", id));
        assert!(values.bytes() - one >= 5000 * 2 - 100);
        (1..5000).for_each(|id| values.remove("a", id));
        assert_eq!(values.bytes(), one);
    }
}
