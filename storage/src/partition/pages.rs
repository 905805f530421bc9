//! Something for every id of a partition, in pages that are given back when nothing in them is in use any more.
//!
//! Ids are never given twice, so in one column those of series that have left would take memory for as long as the store
//! lives: 136 bytes each with the readers' side. Pages also grow without copying what they hold.
//!
//! Not here: what is kept (see `owner`, `view`).
//!
//! Invariant: what was never written, or was given back, reads as vacant.
//!
//! Cost: one more load for an access, from a column of 8 bytes a page that stays in the nearer caches.

use std::ops::{Index, IndexMut};

/// Ids of a page: few, so that a series that stays keeps few of others in memory.
const PAGE_IDS: usize = 64;

type Page<T> = Box<[T; PAGE_IDS]>;

/// A value for each id below a length.
#[derive(Debug)]
pub(crate) struct Pages<T> {
    pages: Vec<Option<Page<T>>>,
    len: usize,
    vacant: T,
}

impl<T: Clone> Pages<T> {
    /// For no id yet; `vacant` is what ids have that are not in use.
    pub(crate) fn new(vacant: T) -> Self {
        Self { pages: Vec::new(), len: 0, vacant }
    }

    /// How many ids there are, used or not.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// What an id has; none when there is no such id.
    #[inline]
    pub(crate) fn get(&self, id: usize) -> Option<&T> {
        (id < self.len).then(|| &self[id])
    }

    /// Makes room for ids below `len`, vacant and without memory of their own as yet.
    pub(crate) fn grow_to(&mut self, len: usize) {
        self.len = self.len.max(len);
        self.pages.resize_with(self.len.div_ceil(PAGE_IDS), || None);
    }

    /// Every id that has memory, with what it has; not all of them are in use.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        let pages = self.pages.iter().enumerate();
        let kept = pages.filter_map(|(at, page)| Some((at * PAGE_IDS, page.as_deref()?)));
        let ids = kept.flat_map(|(first, page)| page.iter().enumerate().map(move |(at, one)| (first + at, one)));
        ids.take_while(|(id, _)| *id < self.len)
    }

    /// Gives the memory of pages back in which everything is vacant.
    pub(crate) fn give_back(&mut self, is_vacant: impl Fn(&T) -> bool) {
        for page in &mut self.pages {
            if page.as_deref().is_some_and(|page| page.iter().all(&is_vacant)) {
                *page = None;
            }
        }
    }

    /// For how many ids there is memory.
    #[cfg(test)]
    pub(crate) fn kept_len(&self) -> usize {
        self.pages.iter().flatten().count() * PAGE_IDS
    }

    #[cold]
    fn start(&mut self, page: usize) {
        let vacant = &self.vacant;
        self.pages[page] = Some(Box::new(std::array::from_fn(|_| vacant.clone())));
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    #[inline]
    fn index(&self, id: usize) -> &T {
        self.pages[id / PAGE_IDS].as_deref().map_or(&self.vacant, |page| &page[id % PAGE_IDS])
    }
}

impl<T: Clone> IndexMut<usize> for Pages<T> {
    #[inline]
    fn index_mut(&mut self, id: usize) -> &mut T {
        if self.pages[id / PAGE_IDS].is_none() {
            self.start(id / PAGE_IDS);
        }
        let page = self.pages[id / PAGE_IDS].as_deref_mut().expect("a page was started if there was none");
        &mut page[id % PAGE_IDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head::Sealer;
    use crate::partition::{Partition, PartitionView};
    use crate::series::{KeyBuilder, hash};
    use std::sync::Arc;

    #[test]
    fn pages_without_anything_in_use_take_no_memory_and_read_as_vacant() {
        let mut pages = Pages::new(0);
        pages.grow_to(3 * PAGE_IDS + 1);
        assert_eq!((pages.len(), pages.kept_len()), (193, 0));
        for id in [0, PAGE_IDS, PAGE_IDS + 1, 3 * PAGE_IDS] {
            pages[id] = id + 1;
        }
        assert_eq!((pages.get(PAGE_IDS), pages.get(PAGE_IDS + 2), pages.get(193)), (Some(&65), Some(&0), None));
        assert_eq!(pages.kept_len(), 3 * PAGE_IDS);
        let used: Vec<_> = pages.iter().filter(|(_, value)| **value > 0).collect();
        assert_eq!(used, [(0, &1), (64, &65), (65, &66), (192, &193)]);
        assert_eq!(pages.iter().last(), Some((192, &193)), "not beyond the last id");
        pages[PAGE_IDS] = 0;
        pages[0] = 0;
        pages.give_back(|value| *value == 0);
        assert_eq!(pages.kept_len(), 2 * PAGE_IDS);
        assert_eq!((pages[0], pages[PAGE_IDS + 1], pages.len()), (0, 66, 193));
        pages[1] = 7;
        assert_eq!((pages[0], pages[1]), (0, 7), "it can be used again");
    }

    #[test]
    fn series_that_left_give_their_memory_back_and_their_ids_stay_used() {
        let view = Arc::new(PartitionView::default());
        let mut partition = Partition::new(0, view.clone());
        let mut sealer = Sealer::default();
        for number in 0..10 * PAGE_IDS {
            let mut keys = KeyBuilder::default();
            keys.push("__name__", "up");
            keys.push("pod", &number.to_string());
            let key = keys.finish().unwrap();
            let id = partition.create(hash(key), key).unwrap();
            let stays = number == 3 * PAGE_IDS;
            partition.push(id, if stays { 2000 } else { 1000 }, 1.0, &mut sealer);
        }
        assert_eq!(partition.expire(1500).len(), 10 * PAGE_IDS - 1);
        assert_eq!((partition.slots.kept_len(), view.read().kept_len()), (PAGE_IDS, PAGE_IDS));
        assert_eq!((partition.live_len(), partition.ids_len()), (1, 10 * PAGE_IDS as u32));
        assert_eq!(partition.seal_range(0..u32::MAX, &mut sealer), 10 * PAGE_IDS as u32);
        assert!(!partition.is_live(0) && partition.is_live(3 * PAGE_IDS as u32));
        assert_eq!(partition.slots.kept_len(), PAGE_IDS, "looking takes no memory");
    }
}
