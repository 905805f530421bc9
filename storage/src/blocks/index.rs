//! The keys of a directory's blocks in memory, found by series and time.
//!
//! Not here: the file that keeps them (see `index_file`), locks (see `directory`).
//!
//! Cost of a search: a partition's keys stand by start; a block lies within one UTC day, so only those that start less
//! than a day before the range are looked at, one comparison of four numbers each. A directory of 256 MiB holds about
//! 600 keys a partition; 40 bytes of memory a block.

use super::day::DAY_MS;
use super::key::BlockKey;
use crate::series::PARTITIONS;

#[derive(Debug)]
pub(super) struct Index {
    /// Per partition, ordered by start.
    partitions: Vec<Vec<BlockKey>>,
    blocks: usize,
    next_sequence: u32,
    /// Start of the earliest and end of the latest sample ever indexed.
    span_ms: Option<(i64, i64)>,
}

impl Default for Index {
    fn default() -> Self {
        Self { partitions: vec![Vec::new(); PARTITIONS], blocks: 0, next_sequence: 0, span_ms: None }
    }
}

impl Index {
    pub(super) fn from_keys(keys: &[BlockKey]) -> Self {
        let mut index = Self::default();
        keys.iter().for_each(|key| index.insert(*key));
        index
    }

    pub(super) fn insert(&mut self, key: BlockKey) {
        let keys = &mut self.partitions[key.partition as usize];
        let at = keys.partition_point(|other| other.start_ms <= key.start_ms);
        keys.insert(at, key);
        self.blocks += 1;
        self.next_sequence = self.next_sequence.max(key.sequence + 1);
        let (start, end) = self.span_ms.unwrap_or((key.start_ms, key.end_ms));
        self.span_ms = Some((start.min(key.start_ms), end.max(key.end_ms)));
    }

    pub(super) fn remove(&mut self, key: &BlockKey) {
        let keys = &mut self.partitions[key.partition as usize];
        if let Some(at) = keys.iter().position(|other| other.sequence == key.sequence) {
            keys.remove(at);
            self.blocks -= 1;
        }
    }

    /// How many blocks there are.
    pub(super) fn len(&self) -> usize {
        self.blocks
    }

    /// The number the next block gets.
    pub(super) fn next_sequence(&self) -> u32 {
        self.next_sequence
    }

    /// Earliest and latest sample in milliseconds.
    pub(super) fn span_ms(&self) -> Option<(i64, i64)> {
        self.span_ms
    }

    /// The smallest and the largest number in use.
    pub(super) fn edges(&self) -> Option<(u32, u32)> {
        let sequences = || self.partitions.iter().flatten().map(|key| key.sequence);
        sequences().min().zip(sequences().max())
    }

    /// The highest generation, 0 without blocks.
    pub(super) fn generation_max(&self) -> u32 {
        self.partitions.iter().flatten().map(|key| key.generation).max().unwrap_or(0)
    }

    /// How many blocks stand beside one of the same partition and day that is of a later generation.
    pub(super) fn overtaken(&self) -> usize {
        let days = self
            .partitions
            .iter()
            .flat_map(|keys| keys.chunk_by(|a, b| a.start_ms.div_euclid(DAY_MS) == b.start_ms.div_euclid(DAY_MS)));
        days.map(|day| {
            let latest = day.iter().map(|key| key.generation).max();
            day.iter().filter(|key| Some(key.generation) < latest).count()
        })
        .sum()
    }

    /// Every key, in writing order.
    pub(super) fn keys(&self) -> Vec<BlockKey> {
        let mut keys = self.partitions.concat();
        keys.sort_unstable_by_key(|key| key.sequence);
        keys
    }

    /// A partition's keys, by start.
    pub(super) fn partition(&self, partition: u8) -> &[BlockKey] {
        &self.partitions[partition as usize]
    }

    /// Appends to `out` the keys that may hold chunks of ids in `first_id..=last_id` touching `from_ms..=to_ms`.
    pub(super) fn select(
        &self,
        partition: u8,
        (first_id, last_id): (u32, u32),
        (from_ms, to_ms): (i64, i64),
        out: &mut Vec<BlockKey>,
    ) {
        let keys = self.partition(partition);
        let begin = keys.partition_point(|key| key.start_ms <= from_ms.saturating_sub(DAY_MS));
        let candidates = keys[begin..].iter().take_while(|key| key.start_ms <= to_ms);
        out.extend(candidates.filter(|key| key.meets(first_id, last_id, from_ms, to_ms)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(sequence: u32, partition: u8, start_ms: i64, end_ms: i64, ids: (u32, u32)) -> BlockKey {
        BlockKey { sequence, partition, generation: 1, start_ms, end_ms, first_id: ids.0, last_id: ids.1 }
    }

    fn found(index: &Index, ids: (u32, u32), times: (i64, i64)) -> Vec<u32> {
        let mut out = Vec::new();
        index.select(3, ids, times, &mut out);
        out.iter().map(|key| key.sequence).collect()
    }

    #[test]
    fn a_search_finds_exactly_what_touches_its_ids_and_times() {
        let keys = [
            key(0, 3, 0, DAY_MS - 1, (0, 9)),
            key(1, 3, 500, 900, (10, 19)),
            key(2, 3, DAY_MS, DAY_MS + 5, (0, 9)),
            key(3, 4, 0, 900, (0, 9)),
        ];
        let index = Index::from_keys(&keys);
        assert_eq!(found(&index, (0, 99), (i64::MIN, i64::MAX)), [0, 1, 2]);
        assert_eq!(found(&index, (5, 5), (DAY_MS - 1, DAY_MS - 1)), [0], "the block that began a day before");
        assert_eq!(found(&index, (9, 10), (500, 600)), [0, 1]);
        assert_eq!(found(&index, (5, 5), (DAY_MS + 6, i64::MAX)), [] as [u32; 0]);
        assert_eq!((index.len(), index.next_sequence()), (4, 4));
        assert_eq!(index.span_ms(), Some((0, DAY_MS + 5)));
    }

    #[test]
    fn blocks_are_overtaken_by_later_ones_of_their_partition_and_day() {
        let of =
            |partition, start_ms, generation| BlockKey { generation, ..key(0, partition, start_ms, start_ms, (0, 9)) };
        let keys = [of(3, 0, 1), of(3, 5, 1), of(3, 9, 2), of(3, DAY_MS, 1), of(4, 0, 1), of(4, 1, 1)];
        assert_eq!(Index::from_keys(&keys).overtaken(), 2);
        assert_eq!(Index::default().overtaken(), 0);
    }

    #[test]
    fn a_removed_key_is_found_no_more_and_its_number_is_not_given_again() {
        let keys = [key(0, 3, 0, 10, (0, 9)), key(1, 3, 0, 10, (0, 9))];
        let mut index = Index::from_keys(&keys);
        index.remove(&keys[1]);
        assert_eq!(found(&index, (0, 9), (0, 10)), [0]);
        assert_eq!((index.len(), index.next_sequence()), (1, 2));
        assert_eq!(index.keys(), [keys[0]]);
        assert_eq!(index.edges(), Some((0, 0)));
        assert_eq!(Index::default().edges(), None);
    }
}
