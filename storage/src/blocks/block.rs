//! A block: the chunks of many neighbouring series of one partition within one UTC day, as one engine value.
//!
//! Columns first (ids, lengths, starts, spans), then the chunks back to back, so that a reader finds one series' chunk
//! without looking into the others. One CRC-32 covers everything. `storage/FORMAT.md` draws the bytes.
//!
//! Not here: what a chunk's bytes mean (see `chunk`), where blocks go (see `directory`).
//!
//! Cost of a read: the checksum over at most 7 KiB (below 1 us), then four columns of varints walked in step.
//!
//! Invariants: ids ascend, and a series' chunks stand in the order they were pushed; an encoded block is at most
//! [`VALUE_BYTES_MAX`] long; reading arbitrary bytes ends in entries or a [`BlockError`], never in a panic.

use super::key::BlockKey;
use crate::disk::VALUE_BYTES_MAX;
use crate::series::PARTITIONS;

/// The largest chunk that always finds room in a block.
pub const CHUNK_BYTES_MAX: usize = 6 * 1024;

const VERSION: u8 = 1;
const CHECKSUM_AT: usize = 1;
const BODY_AT: usize = 5;
/// Version, checksum, partition, generation, start.
const HEADER_BYTES: usize = BODY_AT + 1 + 4 + 8;
/// A count of chunks: fewer than 2^14 fit.
const COUNT_BYTES_MAX: usize = 2;
/// A start relative to the one before, within one day: below 2^27 ms either way.
const START_BYTES_MAX: usize = 4;

/// Why bytes are no block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Shorter than its own header or columns.
    #[error("the block is cut short")]
    Short,
    /// Written by a version this one does not know.
    #[error("unknown block version {0}")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("the checksum does not hold")]
    Checksum,
    /// The columns contradict each other.
    #[error("the columns do not fit together")]
    Columns,
}

#[derive(Debug, Clone, Copy)]
struct Column {
    id: u32,
    start_ms: i64,
    span_ms: i64,
    chunk_bytes: usize,
}

/// Gathers chunks until a block is full; keeps its memory between blocks.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    entries: Vec<Column>,
    chunks: Vec<u8>,
    columns_bytes_max: usize,
}

impl BlockBuilder {
    /// Adds a chunk; `false`, and nothing taken, when it finds no room.
    ///
    /// # Panics
    /// When ids do not ascend: packing sorts them.
    pub(super) fn push(&mut self, id: u32, start_ms: i64, end_ms: i64, chunk: &[u8]) -> bool {
        let (previous_id, previous_span) = self.entries.last().map_or((0, 0), |entry| (entry.id, entry.span_ms));
        assert!(previous_id <= id, "the ids of a block ascend");
        let span_ms = end_ms.wrapping_sub(start_ms);
        let columns = varint_bytes(u64::from(id - previous_id))
            + varint_bytes(chunk.len() as u64)
            + START_BYTES_MAX
            + varint_bytes(zigzag(span_ms.wrapping_sub(previous_span)));
        let fixed = HEADER_BYTES + COUNT_BYTES_MAX + self.columns_bytes_max + self.chunks.len();
        if fixed + columns + chunk.len() > VALUE_BYTES_MAX {
            return false;
        }
        self.entries.push(Column { id, start_ms, span_ms, chunk_bytes: chunk.len() });
        self.chunks.extend_from_slice(chunk);
        self.columns_bytes_max += columns;
        true
    }

    /// Writes the block to `out` after clearing it, starts anew, and says what the block spans; `None` when it is
    /// empty.
    pub(super) fn finish(
        &mut self,
        partition: u8,
        generation: u32,
        sequence: u32,
        out: &mut Vec<u8>,
    ) -> Option<BlockKey> {
        out.clear();
        let (first, last) = (*self.entries.first()?, *self.entries.last()?);
        let start_ms = self.entries.iter().map(|entry| entry.start_ms).min()?;
        let end_ms = self.entries.iter().map(|entry| entry.start_ms.wrapping_add(entry.span_ms)).max()?;
        out.extend_from_slice(&[VERSION, 0, 0, 0, 0, partition]);
        out.extend_from_slice(&generation.to_le_bytes());
        out.extend_from_slice(&start_ms.to_le_bytes());
        push_varint(out, self.entries.len() as u64);
        let mut previous = 0;
        for entry in &self.entries {
            push_varint(out, u64::from(entry.id - previous));
            previous = entry.id;
        }
        self.entries.iter().for_each(|entry| push_varint(out, entry.chunk_bytes as u64));
        push_differences(out, start_ms, self.entries.iter().map(|entry| entry.start_ms));
        push_differences(out, 0, self.entries.iter().map(|entry| entry.span_ms));
        out.extend_from_slice(&self.chunks);
        let checksum = checksum(out);
        out[CHECKSUM_AT..BODY_AT].copy_from_slice(&checksum.to_le_bytes());
        self.entries.clear();
        self.chunks.clear();
        self.columns_bytes_max = 0;
        Some(BlockKey { sequence, partition, generation, start_ms, end_ms, first_id: first.id, last_id: last.id })
    }
}

/// A chunk within a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The series' id in the block's partition.
    pub id: u32,
    /// The chunk's first sample, in milliseconds.
    pub start_ms: i64,
    /// The chunk's last sample, in milliseconds.
    pub end_ms: i64,
    /// The chunk.
    pub chunk: &'a [u8],
}

/// A block whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    /// The partition of all its series.
    pub partition: u8,
    /// The checkpoint that wrote it.
    pub generation: u32,
    entries: Entries<'a>,
}

impl<'a> Block<'a> {
    /// Checks the bytes of a block and finds its columns.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BlockError> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(BlockError::Short)?;
        if header[0] != VERSION {
            return Err(BlockError::Version(header[0]));
        }
        if checksum(bytes).to_le_bytes() != header[CHECKSUM_AT..BODY_AT] {
            return Err(BlockError::Checksum);
        }
        let partition = header[BODY_AT];
        let generation = u32::from_le_bytes(header[BODY_AT + 1..BODY_AT + 5].try_into().expect("four bytes"));
        let base_ms = i64::from_le_bytes(header[BODY_AT + 5..].try_into().expect("eight bytes"));
        let mut rest = &bytes[HEADER_BYTES..];
        let count = take_varint(&mut rest).ok_or(BlockError::Short)? as usize;
        if count == 0 || partition as usize >= PARTITIONS {
            return Err(BlockError::Columns);
        }
        let ids = take_column(&mut rest, count).ok_or(BlockError::Short)?;
        let lengths = take_column(&mut rest, count).ok_or(BlockError::Short)?;
        let starts = take_column(&mut rest, count).ok_or(BlockError::Short)?;
        let spans = take_column(&mut rest, count).ok_or(BlockError::Short)?;
        let entries =
            Entries { left: count, id: 0, start_ms: base_ms, span_ms: 0, ids, lengths, starts, spans, chunks: rest };
        let block = Self { partition, generation, entries };
        // Entries that stop early or leave bytes over show columns that contradict each other.
        let (mut walked, mut chunk_bytes) = (0, 0);
        for entry in block.entries() {
            walked += 1;
            chunk_bytes += entry.chunk.len();
        }
        if walked == count && chunk_bytes == rest.len() { Ok(block) } else { Err(BlockError::Columns) }
    }

    /// The chunks, ids ascending.
    pub fn entries(&self) -> Entries<'a> {
        self.entries
    }

    /// What the index knows of a block, from the block itself.
    pub(super) fn key(&self, sequence: u32) -> BlockKey {
        let mut key = BlockKey {
            sequence,
            partition: self.partition,
            generation: self.generation,
            start_ms: i64::MAX,
            end_ms: i64::MIN,
            first_id: u32::MAX,
            last_id: 0,
        };
        for entry in self.entries() {
            key.start_ms = key.start_ms.min(entry.start_ms);
            key.end_ms = key.end_ms.max(entry.end_ms);
            key.first_id = key.first_id.min(entry.id);
            key.last_id = entry.id;
        }
        key
    }
}

/// Iterator over the chunks of a block.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'a> {
    left: usize,
    id: u32,
    start_ms: i64,
    span_ms: i64,
    ids: &'a [u8],
    lengths: &'a [u8],
    starts: &'a [u8],
    spans: &'a [u8],
    chunks: &'a [u8],
}

impl<'a> Iterator for Entries<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.id = self.id.checked_add(u32::try_from(take_varint(&mut self.ids)?).ok()?)?;
        let (chunk, rest) = self.chunks.split_at_checked(take_varint(&mut self.lengths)? as usize)?;
        self.chunks = rest;
        self.start_ms = self.start_ms.checked_add(unzigzag(take_varint(&mut self.starts)?))?;
        self.span_ms = self.span_ms.checked_add(unzigzag(take_varint(&mut self.spans)?))?;
        let end_ms = self.start_ms.checked_add(self.span_ms)?;
        Some(Entry { id: self.id, start_ms: self.start_ms, end_ms, chunk })
    }
}

/// The block that `bytes` begin with, whatever follows it: its columns say how long it is.
pub(super) fn leading_block(bytes: &[u8]) -> Option<(&[u8], Block<'_>)> {
    let bytes = &bytes[..bytes.len().min(VALUE_BYTES_MAX)];
    if bytes.first() != Some(&VERSION) || usize::from(*bytes.get(BODY_AT)?) >= PARTITIONS {
        return None;
    }
    let mut rest = bytes.get(HEADER_BYTES..)?;
    let count = usize::try_from(take_varint(&mut rest)?).ok().filter(|count| (1..=bytes.len()).contains(count))?;
    take_column(&mut rest, count)?;
    let mut lengths = take_column(&mut rest, count)?;
    take_column(&mut rest, count)?;
    take_column(&mut rest, count)?;
    let mut end = bytes.len() - rest.len();
    while !lengths.is_empty() {
        end = end.checked_add(usize::try_from(take_varint(&mut lengths)?).ok()?)?;
    }
    let block = bytes.get(..end)?;
    Block::parse(block).ok().map(|parsed| (block, parsed))
}

/// CRC-32 of a block without the place where it is written.
fn checksum(block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block[..CHECKSUM_AT]);
    hasher.update(&block[BODY_AT..]);
    hasher.finalize()
}

/// Appends each number as its difference from the one before, the first from `previous`.
fn push_differences(out: &mut Vec<u8>, mut previous: i64, numbers: impl Iterator<Item = i64>) {
    for number in numbers {
        push_varint(out, zigzag(number.wrapping_sub(previous)));
        previous = number;
    }
}

/// Small numbers of either sign as small numbers.
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn varint_bytes(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Some(value);
        }
    }
    None
}

/// Splits off the bytes of `count` varints.
fn take_column<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let end = bytes.iter().enumerate().filter(|(_, byte)| **byte < 0x80).nth(count - 1)?.0 + 1;
    let (column, rest) = bytes.split_at(end);
    *bytes = rest;
    Some(column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_block() -> (Vec<u8>, BlockKey) {
        let mut builder = BlockBuilder::default();
        assert!(builder.push(3, 1_000, 2_000, b"abc"));
        assert!(builder.push(3, 2_001, 2_001, b""));
        assert!(builder.push(500_000, 900, 86_000_900, &[9; 300]));
        let mut bytes = Vec::new();
        let key = builder.finish(7, 42, 5, &mut bytes).unwrap();
        assert!(builder.finish(7, 42, 6, &mut Vec::new()).is_none(), "the builder starts anew");
        (bytes, key)
    }

    #[test]
    fn chunks_come_back_with_their_ids_and_times() {
        let (bytes, key) = sample_block();
        let block = Block::parse(&bytes).unwrap();
        let entries: Vec<_> = block.entries().collect();
        assert_eq!(entries[0], Entry { id: 3, start_ms: 1_000, end_ms: 2_000, chunk: b"abc" });
        assert_eq!(entries[1], Entry { id: 3, start_ms: 2_001, end_ms: 2_001, chunk: b"" });
        assert_eq!(entries[2], Entry { id: 500_000, start_ms: 900, end_ms: 86_000_900, chunk: &[9; 300] });
        assert_eq!(entries.len(), 3);
        assert_eq!((block.partition, block.generation), (7, 42));
        assert_eq!((key.start_ms, key.end_ms, key.first_id, key.last_id), (900, 86_000_900, 3, 500_000));
        assert_eq!(block.key(5), key, "a block alone tells what its key tells");
    }

    /// The bytes that `storage/FORMAT.md` draws.
    #[test]
    fn bytes_are_those_of_the_format() {
        let mut builder = BlockBuilder::default();
        assert!(builder.push(2, 10, 20, b"XY"));
        assert!(builder.push(4, 11, 21, b"Z"));
        let mut bytes = Vec::new();
        builder.finish(1, 3, 0, &mut bytes).unwrap();
        assert_eq!(bytes[0], 1);
        assert_eq!(bytes[5..18], [1, 3, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[18..], [2, 2, 2, 2, 1, 0, 2, 20, 0, b'X', b'Y', b'Z']);
        let mut covered = vec![1];
        covered.extend_from_slice(&bytes[5..]);
        assert_eq!(bytes[1..5], crc32fast::hash(&covered).to_le_bytes());
    }

    #[test]
    fn a_flip_of_any_bit_is_noticed() {
        let (bytes, _) = sample_block();
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::parse(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_cut_is_noticed_at_every_length() {
        let (bytes, _) = sample_block();
        for length in 0..bytes.len() {
            assert!(Block::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn columns_that_contradict_each_other_are_no_block() {
        let (bytes, _) = sample_block();
        for (at, value) in [(HEADER_BYTES, 2), (HEADER_BYTES, 0), (HEADER_BYTES + 5, 200), (BODY_AT, 64)] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let sum = checksum(&damaged).to_le_bytes();
            damaged[CHECKSUM_AT..BODY_AT].copy_from_slice(&sum);
            assert!(Block::parse(&damaged).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_full_block_is_an_engine_value_and_takes_no_more() {
        for chunk_bytes in [1, 20, 200, 3_000, CHUNK_BYTES_MAX] {
            let mut builder = BlockBuilder::default();
            let chunk = vec![5; chunk_bytes];
            let mut pushed = 0u32;
            while builder.push(
                pushed * 1_000_000 % (1 << 26),
                i64::from(pushed),
                i64::from(pushed) + 86_399_999,
                &chunk,
            ) {
                pushed += 1;
                if pushed * 1_000_000 >= 1 << 26 {
                    break;
                }
            }
            assert!(pushed > 0, "a chunk of {chunk_bytes} bytes finds no room");
            let mut bytes = Vec::new();
            builder.finish(0, u32::MAX, 0, &mut bytes).unwrap();
            assert!(bytes.len() <= VALUE_BYTES_MAX);
            assert_eq!(Block::parse(&bytes).unwrap().entries().count(), pushed as usize);
        }
        let mut builder = BlockBuilder::default();
        assert!(!builder.push(1, 0, 0, &vec![0; VALUE_BYTES_MAX]));
        assert!(builder.finish(0, 0, 0, &mut Vec::new()).is_none());
    }
}
