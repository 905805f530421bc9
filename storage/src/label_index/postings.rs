//! The series that carry one label, in the form that suits their number, and the set operations on them.
//!
//! Most values of a label with many values have one series, most of the others a few hundred; so a value costs
//! nothing beyond its own 24 bytes until it has a second series, 4 bytes a series up to [`FEW_MAX`], and a roaring
//! bitmap beyond that.
//!
//! Cost sketch: adding to `One` or `Few` moves at most 4 KiB of one array (20 ns at the end, 60 ns in the middle),
//! adding to `Many` is two binary searches and at most 8 KiB moved (40 ns). Confirmed by `benches/index.rs`.
//!
//! Invariants: `Few` ascends strictly and is empty or has at least two elements; `Many` has at least
//! [`MANY_MIN`] and knows how many.

use roaring::RoaringBitmap;
use std::ops::ControlFlow;

/// The most series in an array. Ids of 64 partitions spread a bitmap over 64 containers of about 48 bytes and 2 bytes
/// a series, so a bitmap is the smaller of the two from about 1500 series on; an array of 1024 is still cheap to shift.
const FEW_MAX: usize = 1024;

/// A bitmap with fewer series becomes an array again; far enough below `FEW_MAX` that no series flips it for ever.
const MANY_MIN: u32 = 512;

/// Up to so many series asked for are laid out as an array, in which looking one up costs a fifth.
const ASKED_FEW_MAX: u64 = 4096;

/// The series that a question is about, in the form in which postings are compared with them fastest.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    set: &'a RoaringBitmap,
    few: Option<Vec<u32>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(set: &'a RoaringBitmap) -> Self {
        Self { set, few: (set.len() <= ASKED_FEW_MAX).then(|| set.iter().collect()) }
    }

    fn contains(&self, id: u32) -> bool {
        match &self.few {
            Some(few) => few.binary_search(&id).is_ok(),
            None => self.set.contains(id),
        }
    }

    /// Hands out those of some ascending ids that are asked for, until told to stop.
    fn common(&self, ids: &[u32], mut found: impl FnMut(u32) -> ControlFlow<()>) -> ControlFlow<()> {
        match &self.few {
            // Searching costs about 16 steps of a merge.
            Some(few) if few.len() * 16 < ids.len() => {
                few.iter().filter(|id| ids.binary_search(id).is_ok()).try_for_each(|&id| found(id))
            }
            Some(few) if ids.len() * 16 > few.len() => {
                let mut few = few.iter().peekable();
                ids.iter()
                    .filter(|id| {
                        while few.next_if(|other| other < id).is_some() {}
                        few.peek() == Some(id)
                    })
                    .try_for_each(|&id| found(id))
            }
            _ => ids.iter().filter(|&&id| self.contains(id)).try_for_each(|&id| found(id)),
        }
    }
}

/// A set of series references.
#[derive(Debug)]
pub(super) enum Postings {
    One(u32),
    Few(Vec<u32>),
    /// With how many series there are: the bitmap itself would have to visit its containers to say.
    Many(Box<RoaringBitmap>, u32),
}

impl Default for Postings {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Postings {
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(ids) if ids.is_empty())
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::One(_) => 1,
            Self::Few(ids) => ids.len() as u64,
            Self::Many(_, count) => u64::from(*count),
        }
    }

    /// Bytes outside the enum itself; those of a bitmap are an upper estimate, because asking it costs a walk.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Few(ids) => ids.capacity() * 4,
            Self::Many(_, count) => 64 * 48 + (*count as usize * 2).min(64 * 8192),
        }
    }

    /// Adds a series; false when it was there.
    pub(super) fn insert(&mut self, id: u32) -> bool {
        match self {
            Self::One(one) if *one == id => false,
            Self::One(one) => {
                let pair = [(*one).min(id), (*one).max(id)];
                *self = Self::Few(pair.to_vec());
                true
            }
            Self::Few(ids) if ids.is_empty() => {
                *self = Self::One(id);
                true
            }
            Self::Few(ids) => {
                let added = insert_sorted(ids, id);
                if ids.len() > FEW_MAX {
                    let count = ids.len() as u32;
                    *self = Self::Many(Box::new(bitmap_of(std::mem::take(ids))), count);
                }
                added
            }
            Self::Many(set, count) => {
                let added = set.insert(id);
                *count += u32::from(added);
                added
            }
        }
    }

    /// Takes a series out; false when it was not there.
    pub(super) fn remove(&mut self, id: u32) -> bool {
        match self {
            Self::One(one) if *one != id => false,
            Self::One(_) => {
                *self = Self::default();
                true
            }
            Self::Few(ids) => {
                let Ok(at) = ids.binary_search(&id) else { return false };
                ids.remove(at);
                if let [one] = ids[..] {
                    *self = Self::One(one);
                } else if ids.len() * 4 < ids.capacity() {
                    ids.shrink_to(ids.len() * 2);
                }
                true
            }
            Self::Many(set, count) => {
                let removed = set.remove(id);
                *count -= u32::from(removed);
                if *count < MANY_MIN {
                    *self = Self::Few(set.iter().collect());
                }
                removed
            }
        }
    }

    /// Whether any series is in both.
    pub(super) fn intersects(&self, asked: &Asked<'_>) -> bool {
        match self {
            Self::One(id) => asked.contains(*id),
            Self::Few(ids) => asked.common(ids, |_| ControlFlow::Break(())).is_break(),
            Self::Many(set, _) => !set.is_disjoint(asked.set),
        }
    }
}

fn insert_sorted(ids: &mut Vec<u32>, id: u32) -> bool {
    if ids.last().is_some_and(|&last| last < id) {
        ids.push(id);
        return true;
    }
    match ids.binary_search(&id) {
        Ok(_) => false,
        Err(at) => {
            ids.insert(at, id);
            true
        }
    }
}

fn bitmap_of(ids: Vec<u32>) -> RoaringBitmap {
    RoaringBitmap::from_sorted_iter(ids).expect("ids ascend strictly: sorted, and no series has two values of a name")
}

/// All series of postings that share none.
pub(super) fn union(list: &[&Postings]) -> RoaringBitmap {
    let mut loose = Vec::new();
    let mut result = RoaringBitmap::new();
    for postings in list {
        match postings {
            Postings::One(id) => loose.push(*id),
            Postings::Few(ids) => loose.extend_from_slice(ids),
            Postings::Many(set, _) => result |= &**set,
        }
    }
    join(result, loose)
}

/// The part of `series` that is in any of some postings that share none.
pub(super) fn intersection(series: &RoaringBitmap, list: &[&Postings]) -> RoaringBitmap {
    let asked = Asked::new(series);
    let mut loose = Vec::new();
    let mut result = RoaringBitmap::new();
    for postings in list {
        match postings {
            Postings::One(id) => loose.extend(asked.contains(*id).then_some(*id)),
            Postings::Few(ids) => {
                let _ = asked.common(ids, |id| {
                    loose.push(id);
                    ControlFlow::Continue(())
                });
            }
            Postings::Many(set, _) => result |= &**set & series,
        }
    }
    join(result, loose)
}

fn join(mut set: RoaringBitmap, mut loose: Vec<u32>) -> RoaringBitmap {
    if !loose.is_sorted() {
        loose.sort_unstable();
    }
    if set.is_empty() {
        return bitmap_of(loose);
    }
    set |= bitmap_of(loose);
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn contents(postings: &Postings) -> Vec<u32> {
        union(&[postings]).iter().collect()
    }

    #[test]
    fn every_form_holds_what_was_put_in_and_gives_it_back() {
        let mut postings = Postings::default();
        let mut expected = BTreeSet::new();
        // A stride that is odd visits each of the 4096 ids once, in no order.
        for step in 0..4096u32 {
            let id = (step * 1021) % 4096 * 70_000;
            assert!(postings.insert(id));
            assert!(!postings.insert(id));
            expected.insert(id);
            assert_eq!(postings.len(), expected.len() as u64);
        }
        assert!(matches!(postings, Postings::Many(..)));
        assert!(contents(&postings).iter().eq(&expected));
        for step in 0..4096u32 {
            let id = (step * 333 + 5) % 4096 * 70_000;
            assert_eq!(postings.remove(id), expected.remove(&id));
            assert!(!postings.remove(id));
            assert!(step % 97 != 0 || contents(&postings).iter().eq(&expected));
        }
        assert!(postings.is_empty());
        assert_eq!(postings.heap_bytes(), 0);
    }

    #[test]
    fn a_value_with_one_series_owns_no_heap_memory() {
        let mut postings = Postings::default();
        postings.insert(7);
        assert_eq!((postings.heap_bytes(), std::mem::size_of::<Postings>()), (0, 24));
    }

    #[test]
    fn an_array_that_emptied_gives_its_memory_back() {
        let mut postings = Postings::default();
        (0..1000).for_each(|id| assert!(postings.insert(id)));
        (0..990).for_each(|id| assert!(postings.remove(id)));
        assert!(postings.heap_bytes() < 200, "{}", postings.heap_bytes());
    }

    #[test]
    fn set_operations_agree_over_every_form() {
        let build = |ids: std::ops::Range<u32>| {
            let mut postings = Postings::default();
            ids.for_each(|id| assert!(postings.insert(id)));
            postings
        };
        let (one, few, many) = (build(9..10), build(100..110), build(1000..4000));
        let list = [&many, &one, &few];
        assert_eq!(union(&list).len(), 3011);
        let series: RoaringBitmap = [3, 9, 105, 1500, 9000].into_iter().collect();
        assert_eq!(intersection(&series, &list).iter().collect::<Vec<_>>(), [9, 105, 1500]);
        assert!(list.iter().all(|postings| postings.intersects(&Asked::new(&series))));
        let elsewhere: RoaringBitmap = [8, 111, 4000].into_iter().collect();
        assert!(!list.iter().any(|postings| postings.intersects(&Asked::new(&elsewhere))));
    }

    /// Every way of comparing: search in the ids, merge, search in the few, ask the bitmap.
    #[test]
    fn postings_and_series_asked_for_meet_whatever_their_sizes() {
        for (held, asked) in [(1000, 20), (500, 300), (10, 3000), (600, 6000)] {
            let mut postings = Postings::default();
            (0..held).for_each(|i| assert!(postings.insert(i * 6)));
            let series: RoaringBitmap = (0..asked).map(|i| i * 4 + 1000).collect();
            let expected: Vec<_> = (0..held).map(|i| i * 6).filter(|&id| series.contains(id)).collect();
            assert_eq!(intersection(&series, &[&postings]).iter().collect::<Vec<_>>(), expected, "{held} {asked}");
            assert_eq!(postings.intersects(&Asked::new(&series)), !expected.is_empty(), "{held} {asked}");
        }
    }
}
