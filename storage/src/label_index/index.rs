//! The index: label names, the values of each, and the set of all series.
//!
//! Cost sketch: inserting a key of 8 labels is 8 probes of a small table of names, 8 look-ups of values and 8
//! additions to postings. With 100 k series that takes 1.2 us, with 500 k, when hardly any of it is in cache, 1.8 us,
//! and 160 bytes a series. Confirmed by `benches/index.rs`.
//!
//! Not here: how matchers become a set (see `select`), how values are kept (see `values`).
//!
//! Invariant: a series has one key as long as it is in the index.

use super::postings::Asked;
use super::values::Values;
use crate::series::{self, SeriesRef};
use hashbrown::HashTable;
use roaring::RoaringBitmap;

#[derive(Debug)]
struct Name {
    text: Box<str>,
    values: Values,
}

impl Name {
    fn hash(&self) -> u64 {
        series::hash(self.text.as_bytes())
    }
}

/// Which series carry which labels. One writer at a time; the owner's lock keeps readers and the writer apart.
#[derive(Debug, Default)]
pub struct LabelIndex {
    names: HashTable<Name>,
    all: RoaringBitmap,
}

/// How much of the index one label name takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameUse {
    /// The label's name.
    pub name: String,
    /// How many values it has.
    pub values: usize,
    /// How many series carry it.
    pub series: u64,
    /// Estimated memory in bytes.
    pub bytes: usize,
}

impl LabelIndex {
    /// Adds a series with all labels of its canonical key; a series that is there already keeps its key.
    pub fn insert(&mut self, series: SeriesRef, key: &[u8]) {
        if !self.all.insert(series.0) {
            return;
        }
        for (name, value) in series::labels(key) {
            let hash = series::hash(name.as_bytes());
            let entry = self.names.entry(hash, |known| *known.text == *name, Name::hash);
            let new = || Name { text: name.into(), values: Values::default() };
            entry.or_insert_with(new).into_mut().values.insert(value, series.0);
        }
    }

    /// Takes a series out again; `key` is the one it came with. Values and names that nobody carries any more are
    /// gone at once for readers.
    pub fn remove(&mut self, series: SeriesRef, key: &[u8]) {
        if !self.all.remove(series.0) {
            return;
        }
        for (name, value) in series::labels(key) {
            let hash = series::hash(name.as_bytes());
            let Ok(mut entry) = self.names.find_entry(hash, |known| *known.text == *name) else { continue };
            entry.get_mut().values.remove(value, series.0);
            if entry.get().values.len() == 0 {
                entry.remove();
            }
        }
        if self.names.is_empty() {
            self.names = HashTable::new();
        }
    }

    /// Every label name, ascending by bytes.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let mut names: Vec<_> = self.names.iter().map(|name| &*name.text).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// Every value of a label, ascending by bytes; none when no series carries it.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values_of_name(name).into_iter().flat_map(|values| values.in_order().map(|(text, _)| text))
    }

    /// The label names that any of these series carries, ascending.
    ///
    /// Costs up to the number of postings of every name; for fewer than about a thousand series reading the names from
    /// their keys is cheaper.
    pub fn names_of(&self, series: &RoaringBitmap) -> Vec<String> {
        let asked = Asked::new(series);
        let carried = |name: &&Name| {
            let everywhere = name.values.series() == self.all.len() && !series.is_disjoint(&self.all);
            everywhere || name.values.any_of(&asked)
        };
        let mut names: Vec<_> = self.names.iter().filter(carried).map(|name| name.text.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// The values that a label has among these series, ascending.
    ///
    /// Costs up to 8 ns for each series that carries the name (see [`Self::carriers`]); reading one label from a key
    /// costs about 100 ns for each series asked for, so with a twentieth as many the keys are the cheaper way.
    pub fn values_of(&self, name: &str, series: &RoaringBitmap) -> Vec<String> {
        let Some(values) = self.values_of_name(name) else { return Vec::new() };
        let asked = Asked::new(series);
        let held = values.in_order().filter(|(_, postings)| postings.intersects(&asked));
        held.map(|(text, _)| text.to_owned()).collect()
    }

    /// How many series carry a label of this name.
    pub fn carriers(&self, name: &str) -> u64 {
        self.values_of_name(name).map_or(0, Values::series)
    }

    /// How many series there are.
    pub fn series_count(&self) -> u64 {
        self.all.len()
    }

    /// Estimated memory in bytes; costs a few ns for each name.
    pub fn bytes(&self) -> usize {
        let names: usize = self.names.iter().map(|name| name.text.len() + name.values.bytes()).sum();
        names + self.names.allocation_size() + self.all.serialized_size()
    }

    /// The `count` label names with the most values, most first: who to blame when a limit is reached.
    pub fn largest_names(&self, count: usize) -> Vec<NameUse> {
        let mut uses: Vec<_> = self
            .names
            .iter()
            .map(|Name { text, values }| NameUse {
                name: text.to_string(),
                values: values.len(),
                series: values.series(),
                bytes: values.bytes(),
            })
            .collect();
        uses.sort_unstable_by(|a, b| b.values.cmp(&a.values).then_with(|| a.name.cmp(&b.name)));
        uses.truncate(count);
        uses
    }

    pub(super) fn all(&self) -> &RoaringBitmap {
        &self.all
    }

    pub(super) fn values_of_name(&self, name: &str) -> Option<&Values> {
        let found = self.names.find(series::hash(name.as_bytes()), |known| *known.text == *name);
        found.map(|name| &name.values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::series::KeyBuilder;

    fn key(labels: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = KeyBuilder::default();
        builder.push("__name__", "up");
        labels.iter().for_each(|(name, value)| builder.push(name, value));
        builder.finish().unwrap().to_vec()
    }

    fn index(keys: &[Vec<u8>]) -> LabelIndex {
        let mut index = LabelIndex::default();
        keys.iter().enumerate().for_each(|(id, key)| index.insert(SeriesRef(id as u32), key));
        index
    }

    #[test]
    fn names_and_values_are_sorted_and_each_once() {
        let index = index(&[key(&[("job", "b"), ("zone", "x")]), key(&[("job", "a")]), key(&[("job", "b")])]);
        assert_eq!(index.names().collect::<Vec<_>>(), ["__name__", "job", "zone"]);
        assert_eq!(index.values("job").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(index.values("nothing").count(), 0);
        assert_eq!((index.series_count(), index.carriers("zone"), index.carriers("nothing")), (3, 1, 0));
    }

    #[test]
    fn names_and_values_of_some_series_are_theirs_only() {
        let index = index(&[key(&[("job", "b"), ("zone", "x")]), key(&[("job", "a")]), key(&[("job", "c")])]);
        let some: RoaringBitmap = [1, 2].into_iter().collect();
        assert_eq!(index.names_of(&some), ["__name__", "job"]);
        assert_eq!(index.values_of("job", &some), ["a", "c"]);
        assert!(index.values_of("zone", &some).is_empty());
        assert!(index.names_of(&RoaringBitmap::new()).is_empty());
        assert!(index.names_of(&[77].into_iter().collect()).is_empty(), "a series that is not in the index");
    }

    #[test]
    fn a_series_that_leaves_takes_its_names_and_values_along() {
        let keys = [key(&[("job", "b"), ("zone", "x")]), key(&[("job", "a")])];
        let mut index = index(&keys);
        index.remove(SeriesRef(0), &keys[0]);
        index.remove(SeriesRef(0), &keys[0]);
        assert_eq!(index.names().collect::<Vec<_>>(), ["__name__", "job"]);
        assert_eq!(index.values("job").collect::<Vec<_>>(), ["a"]);
        index.remove(SeriesRef(1), &keys[1]);
        assert_eq!((index.names().count(), index.series_count()), (0, 0));
        assert_eq!(index.bytes(), LabelIndex::default().bytes());
    }

    #[test]
    fn a_series_inserted_twice_counts_once() {
        let twice = key(&[("job", "a")]);
        let mut index = index(std::slice::from_ref(&twice));
        index.insert(SeriesRef(0), &twice);
        assert_eq!((index.series_count(), index.carriers("job")), (1, 1));
    }

    #[test]
    fn the_largest_names_come_first() {
        let keys: Vec<_> = (0..20).map(|i| key(&[("id", &i.to_string()), ("job", "a")])).collect();
        let largest = index(&keys).largest_names(2);
        assert_eq!((largest[0].name.as_str(), largest[0].values, largest[0].series), ("id", 20, 20));
        assert_eq!((largest[1].name.as_str(), largest.len()), ("__name__", 2));
    }
}
