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
//! one costs an allocation and, amortised, 50 to 200 ns of sorting, a third of what a B-tree of texts takes; nearly
//! all comparisons end at eight bytes that stand beside the slot. A merge holds the thread for at most 5 ms, the
//! one insertion at which the tables of 450 k values double for 30 ms. A value with one series costs about 100 bytes
//! with its text. Confirmed by `benches/index.rs`.
//!
//! Not here: which values a matcher wants (see `pattern`).
//!
//! Invariants: every slot is in `by_text` once and in one of `sorted` and `recent` once; a slot is dead exactly when
//! its postings are empty; texts are not empty.

use super::postings::{Asked, Postings};
use crate::series;
use hashbrown::HashTable;
use std::cmp::Ordering;

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

/// A slot and the eight bytes of its text after what all sorted texts begin with, so that they order as texts do.
#[derive(Debug, Clone, Copy)]
struct Place {
    head: u64,
    slot: u32,
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
    sorted: Vec<Place>,
    /// How many bytes all sorted texts begin with.
    alike: usize,
    recent: Vec<u32>,
    dead: usize,
    /// How often slots were numbered anew.
    rebuilds: u64,
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
            + self.sorted.capacity() * size_of::<Place>()
            + self.recent.capacity() * size_of::<u32>()
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

    /// How often the slots were numbered anew; within one numbering a slot keeps its text.
    pub(super) fn numbering(&self) -> u64 {
        self.rebuilds
    }

    /// The slots in use or dead from this number on, with their texts and postings.
    pub(super) fn slots_from(&self, slot: usize) -> impl Iterator<Item = (usize, &str, &Postings)> {
        let rest = self.slots.get(slot..).unwrap_or_default();
        rest.iter().enumerate().map(move |(i, one)| (slot + i, &*one.text, &one.postings))
    }

    /// The postings of a slot of this numbering.
    pub(super) fn postings_of(&self, slot: usize) -> Option<&Postings> {
        self.slots.get(slot).map(|one| &one.postings).filter(|postings| !postings.is_empty())
    }

    /// Every value that begins with one of `prefixes`, which ascend and of which none begins with another; in no order.
    pub(super) fn with_prefixes(&self, prefixes: &[Vec<u8>]) -> impl Iterator<Item = (&str, &Postings)> {
        let ordered = prefixes.iter().flat_map(|prefix| {
            let from = self.sorted.partition_point(|place| self.text(place.slot).as_bytes() < &prefix[..]);
            let slots = self.sorted[from..].iter().map(|place| place.slot);
            slots.take_while(|&slot| self.text(slot).as_bytes().starts_with(prefix))
        });
        let fits = |slot: &u32| {
            let text = self.text(*slot).as_bytes();
            let after = prefixes.partition_point(|prefix| &prefix[..] <= text);
            after.checked_sub(1).is_some_and(|last| text.starts_with(&prefixes[last]))
        };
        self.live(ordered.chain(self.recent.iter().copied().filter(fits)))
    }

    /// Every value in order; sorts those that came last.
    pub(super) fn in_order(&self) -> impl Iterator<Item = (&str, &Postings)> {
        let mut sorted = self.sorted.iter().map(|place| place.slot).peekable();
        let recent = self.places_in_order(&self.recent, self.alike_in(self.recent.iter().copied()));
        let mut recent = recent.into_iter().map(|place| place.slot).peekable();
        self.live(std::iter::from_fn(move || match (sorted.peek(), recent.peek()) {
            (Some(&a), Some(&b)) if self.text(a) > self.text(b) => recent.next(),
            (Some(_), _) => sorted.next(),
            (None, _) => recent.next(),
        }))
    }

    fn live(&self, slots: impl Iterator<Item = u32>) -> impl Iterator<Item = (&str, &Postings)> {
        slots.filter_map(|slot| {
            let slot = &self.slots[slot as usize];
            (!slot.postings.is_empty()).then_some((&*slot.text, &slot.postings))
        })
    }

    /// Whether any of the series carries the name.
    pub(super) fn any_of(&self, series: &Asked<'_>) -> bool {
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

    /// How many bytes the texts of all these slots begin with.
    fn alike_in(&self, mut slots: impl Iterator<Item = u32>) -> usize {
        let Some(first) = slots.next() else { return 0 };
        let first = self.text(first).as_bytes();
        slots.fold(first.len(), |alike, slot| {
            let pairs = first[..alike].iter().zip(self.text(slot).as_bytes());
            pairs.take_while(|(a, b)| a == b).count()
        })
    }

    /// The place of a slot whose text begins like all others for `alike` bytes.
    fn place(&self, slot: u32, alike: usize) -> Place {
        let rest = &self.text(slot).as_bytes()[alike..];
        let mut head = [0; 8];
        let taken = rest.len().min(8);
        head[..taken].copy_from_slice(&rest[..taken]);
        Place { head: u64::from_be_bytes(head), slot }
    }

    /// Equal heads say nothing: texts may go on, or end where others hold zeros.
    fn order(&self, a: &Place, b: &Place) -> Ordering {
        a.head.cmp(&b.head).then_with(|| self.text(a.slot).cmp(self.text(b.slot)))
    }

    fn places_in_order(&self, slots: &[u32], alike: usize) -> Vec<Place> {
        let mut places: Vec<_> = slots.iter().map(|&slot| self.place(slot, alike)).collect();
        places.sort_unstable_by(|a, b| self.order(a, b));
        places
    }

    /// Merges from the back in place, so that only what lies behind a new value moves, and once.
    fn merge_recent(&mut self) {
        let mut sorted = std::mem::take(&mut self.sorted);
        let recent = std::mem::take(&mut self.recent);
        let one_sorted = sorted.first().map(|place| place.slot);
        let alike = self.alike_in(recent.iter().copied().chain(one_sorted));
        if alike < self.alike || sorted.is_empty() {
            self.alike = alike;
            sorted.iter_mut().for_each(|place| *place = self.place(place.slot, alike));
        }
        let batch = self.places_in_order(&recent, self.alike);
        let mut end = sorted.len();
        sorted.extend_from_slice(&batch);
        for (before, place) in batch.iter().enumerate().rev() {
            let at = self.position_near_end(&sorted[..end], place);
            sorted.copy_within(at..end, at + before + 1);
            sorted[at + before] = *place;
            end = at;
        }
        self.sorted = sorted;
    }

    /// Where a place belongs, searched from the end in doubling steps: the next one is usually close.
    fn position_near_end(&self, sorted: &[Place], place: &Place) -> usize {
        let is_before = |other: &Place| self.order(other, place).is_lt();
        let (mut high, mut step) = (sorted.len(), 1);
        while high > 0 {
            let probe = high.saturating_sub(step);
            if is_before(&sorted[probe]) {
                return probe + 1 + sorted[probe + 1..high].partition_point(is_before);
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
        let in_order =
            order.into_iter().filter_map(|place| old[place.slot as usize].take().map(|slot| (place.head, slot)));
        let living = in_order.filter(|(_, slot)| !slot.postings.is_empty());
        let (heads, slots): (Vec<_>, Vec<_>) = living.unzip();
        let mut by_text = HashTable::with_capacity(slots.len());
        for (slot, Slot { text, .. }) in slots.iter().enumerate() {
            let hash = series::hash(text.as_bytes()) as u32;
            let entry = Entry { hash, slot: slot as u32 };
            by_text.insert_unique(Entry::spread(hash), entry, |entry| Entry::spread(entry.hash));
        }
        self.text_bytes = slots.iter().map(|slot| slot.text.len()).sum();
        self.sorted = heads.into_iter().zip(0..).map(|(head, slot)| Place { head, slot }).collect();
        self.recent = Vec::new();
        self.dead = 0;
        self.rebuilds += 1;
        (self.slots, self.by_text) = (slots, by_text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts<'a>(values: impl Iterator<Item = (&'a str, &'a Postings)>) -> Vec<&'a str> {
        values.map(|(text, _)| text).collect()
    }

    /// Texts in no order that all begin alike, until later ones do not; some begin others or end in zeros.
    fn scattered(count: u32) -> Vec<String> {
        let text = |i: u32| {
            let scattered = i.wrapping_mul(2_654_435_761) % 1_000_003;
            match i % 5 {
                0 if i > count / 2 => format!("{scattered:x}"),
                1 => format!("no\0\0-{scattered:x}"),
                2 => format!("no{}", "\0".repeat(i as usize % 100)),
                3 => format!("no-{scattered:x}"),
                _ => format!("node-{scattered:x}"),
            }
        };
        (0..count).map(text).collect()
    }

    #[test]
    fn values_come_in_order_however_many_merges_there_were() {
        let mut values = Values::default();
        let mut expected = scattered(5000);
        for (id, text) in expected.iter().enumerate() {
            values.insert(text, id as u32);
        }
        assert!(values.sorted.len() > 2500 && !values.recent.is_empty(), "both parts are under test");
        assert_eq!(values.alike, 0);
        expected.sort();
        expected.dedup();
        assert_eq!(texts(values.in_order()), expected);
        assert_eq!(values.len(), expected.len());
        let mut found = texts(values.with_prefixes(&[b"no\0".to_vec(), b"node-1".to_vec(), b"zone".to_vec()]));
        found.sort_unstable();
        let fits = |text: &&String| text.starts_with("no\0") || text.starts_with("node-1");
        assert!(found.iter().eq(expected.iter().filter(fits)));
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
