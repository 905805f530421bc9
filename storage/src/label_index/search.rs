//! Selecting series without keeping the index locked while a regular expression is tried on value after value.
//!
//! An expression of a stranger on a label with a million values takes long; whoever wants to add a series waits as long
//! as the index is locked for reading. So the values are copied out in slices under the lock and tried without it.
//!
//! Not here: conditions that need no trying (see `select`).
//!
//! Invariants: the result holds series that were in the index when the search began, and all of them that satisfy the
//! matchers and have not left since. A slice holds the lock for about a millisecond.

use super::index::LabelIndex;
use super::matcher::Matcher;
use super::postings::Asked;
use super::select::{Found, Test};
use parking_lot::RwLock;
use roaring::RoaringBitmap;

/// Values tried under the lock: 50 us for a simple expression.
const TRIES_MAX: usize = 256;
/// Values copied out at a time.
const SLICE: usize = 8192;

/// A search under way.
#[derive(Debug)]
pub struct Search<'m> {
    matchers: &'m [Matcher],
    trials: Vec<Trial>,
    /// All series when the first slice was copied.
    began_with: Option<RoaringBitmap>,
}

/// How far one matcher has been tried.
#[derive(Debug, Default)]
struct Trial {
    /// The numbering of slots that the rest is about.
    numbering: u64,
    /// Slots below this one are done.
    done: usize,
    /// Slots whose series are to be kept or dropped.
    wanted: Vec<usize>,
    /// Slots copied out and not yet tried, with their texts.
    copied: Vec<(usize, Box<str>)>,
    keeps: bool,
}

impl<'m> Search<'m> {
    /// The series that satisfy every matcher; nothing once `stop` says so.
    pub fn run(index: &RwLock<LabelIndex>, matchers: &'m [Matcher], stop: &dyn Fn() -> bool) -> Option<RoaringBitmap> {
        let trials = matchers.iter().map(|_| Trial::default()).collect();
        let mut search = Self { matchers, trials, began_with: None };
        loop {
            if let Some(selected) = search.step(&index.read()) {
                return Some(selected);
            }
            if !search.try_copied(stop) {
                return None;
            }
        }
    }

    /// One turn under the lock: the result, or values copied out to be tried.
    fn step(&mut self, index: &LabelIndex) -> Option<RoaringBitmap> {
        let trials = &mut self.trials;
        let mut waits = false;
        let selected = index.select_by(self.matchers, TRIES_MAX, &mut |number, test, within| {
            let found = trials[number].advance(test, within);
            waits |= found.is_none();
            found
        });
        if waits && self.began_with.is_none() {
            self.began_with = Some(index.all().clone());
        }
        let selected = selected?;
        Some(match &self.began_with {
            // A value that came meanwhile was not tried, so neither are its series part of the answer.
            Some(began_with) => selected & began_with,
            None => selected,
        })
    }

    fn try_copied(&mut self, stop: &dyn Fn() -> bool) -> bool {
        for (trial, matcher) in self.trials.iter_mut().zip(self.matchers) {
            for (slot, text) in std::mem::take(&mut trial.copied) {
                if stop() {
                    return false;
                }
                if matcher.matches(&text) == trial.keeps {
                    trial.wanted.push(slot);
                }
            }
        }
        true
    }
}

impl Trial {
    /// The postings that are wanted, once every value has been tried.
    fn advance<'a>(&mut self, test: &Test<'a>, within: Option<&RoaringBitmap>) -> Option<Found<'a>> {
        if self.numbering != test.values.numbering() {
            *self = Self { numbering: test.values.numbering(), ..Self::default() };
        }
        self.keeps = test.keeps;
        let narrow = within.filter(|series| series.len() < test.values.len() as u64);
        let asked = narrow.map(Asked::new);
        let mut candidates = test
            .values
            .slots_from(self.done)
            .filter(|(_, _, postings)| asked.as_ref().is_none_or(|asked| postings.intersects(asked)))
            .filter(|(_, _, postings)| !postings.is_empty());
        let mut slots: Vec<_> = candidates.by_ref().take(TRIES_MAX + 1).map(|(slot, text, _)| (slot, text)).collect();
        if slots.len() <= TRIES_MAX {
            let wanted = slots.iter().filter(|(_, text)| test.wants(text)).map(|(slot, _)| *slot);
            self.wanted.extend(wanted);
            self.done = usize::MAX;
            return Some(Found::from(self.wanted.iter().filter_map(|&slot| test.values.postings_of(slot))));
        }
        slots.extend(candidates.take(SLICE).map(|(slot, text, _)| (slot, text)));
        self.done = slots.last().map_or(self.done, |(slot, _)| slot + 1);
        self.copied = slots.into_iter().map(|(slot, text)| (slot, text.into())).collect();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::{KeyBuilder, SeriesRef};
    use std::cell::Cell;

    const SERIES: u32 = 30_000;

    fn key(id: u32) -> Vec<u8> {
        let mut builder = KeyBuilder::default();
        builder.push("__name__", "up");
        builder.push("host", &format!("h{id:05}"));
        builder.push("zone", &format!("z{}", id % 1000));
        builder.finish().unwrap().to_vec()
    }

    fn index() -> RwLock<LabelIndex> {
        let mut index = LabelIndex::default();
        (0..SERIES).for_each(|id| index.insert(SeriesRef(id), &key(id)));
        RwLock::new(index)
    }

    #[test]
    fn many_values_give_what_trying_at_once_gives() {
        let index = index();
        let regex = |name: &str, text: &str| Matcher::regex(name, text).unwrap();
        let not_regex = |name: &str, text: &str| Matcher::not_regex(name, text).unwrap();
        for matchers in [
            vec![regex("host", ".*7")],
            vec![not_regex("host", ".*7")],
            vec![regex("host", "h1.+5")],
            vec![regex("host", ".*7"), regex("zone", "z.*3.*")],
            vec![not_regex("host", ".*7|h.*8"), regex("zone", ".*1"), Matcher::equal("__name__", "up")],
            vec![regex("host", ".*9"), Matcher::equal("zone", "z9")],
            vec![regex("host", ".*nothing")],
            vec![not_regex("nope", ".*a"), not_regex("zone", ".*a")],
        ] {
            let found = Search::run(&index, &matchers, &|| false).unwrap();
            assert_eq!(found, index.read().select(&matchers), "{matchers:?}");
        }
    }

    #[test]
    fn the_index_is_free_while_values_are_tried_and_what_comes_then_is_left_out() {
        let index = index();
        let turns = Cell::new(0);
        let matchers = [Matcher::not_regex("host", ".*[0-8]").unwrap()];
        let found = Search::run(&index, &matchers, &|| {
            if turns.get() == 0 {
                let mut index = index.try_write().expect("nobody holds the index");
                index.insert(SeriesRef(SERIES + 9), &key(SERIES + 9));
                index.insert(SeriesRef(SERIES + 8), &key(SERIES + 8));
                // Most values leave: the slots are numbered anew.
                (0..SERIES).filter(|id| id % 4 != 1).for_each(|id| index.remove(SeriesRef(id), &key(id)));
            }
            turns.set(turns.get() + 1);
            false
        });
        assert_eq!(found.unwrap(), (0..SERIES).filter(|id| id % 20 == 9).collect::<RoaringBitmap>());
        assert!(turns.get() > TRIES_MAX);
    }

    #[test]
    fn a_search_can_be_stopped() {
        let matchers = [Matcher::regex("host", ".*7").unwrap()];
        assert!(Search::run(&index(), &matchers, &|| true).is_none());
    }
}
