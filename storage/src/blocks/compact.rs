//! Compaction: a directory's chunks, series by series and day by day, become few long chunks in a directory anew.
//!
//! ```text
//! blocks of a partition and day, by first id ── window ── one series ── decode, sort, first written wins ── encode ── pack
//! ```
//!
//! The new directory is written under a temporary name, synced, renamed, then named in the manifest instead of the
//! old one; readers of the old one finish undisturbed. A crash at any point leaves one of the two whole.
//!
//! Rollups are compacted too, by what their own module makes of a series' chunks: of several for one day, those of a day
//! that was rolled up anew, one stays.
//!
//! Not here: when to compact (the caller's). Nothing is thrown away: a chunk that cannot be decoded is carried over
//! as it is and reported.
//!
//! Cost: 0.07 s a million samples (`benches/blocks.rs`), most of it decoding and encoding.
//!
//! Invariants: runs on the thread that writes, and never between a write and the completion of its checkpoint, for
//! the merged blocks carry the latest generation of their partition and day. Memory: a window of about 8 MiB of chunks, or one
//! series' day where that is more.

use super::block::CHUNK_BYTES_MAX;
use super::day::day_of;
use super::directory::Directory;
use super::key::BlockKey;
use super::open::TEMPORARY;
use super::packer::Packer;
use super::store::{BlockStore, PendingChunk};
use crate::StoreError;
use crate::chunk;
use crate::series::PARTITIONS;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Samples in a compacted chunk: what a head gives up at the start of each chunk is then below 0.1 bytes a sample.
const CHUNK_SAMPLES_MAX: usize = 1024;

/// Chunks gathered before the series that are complete among them are written.
const WINDOW_BYTES: usize = 8 << 20;

/// A directory of which one block in so many has been overtaken is worth being written anew.
const OVERTAKEN_SHARE: usize = 4;

/// Writes what the chunks of one series and day become.
type Write<'a> = dyn FnMut(&[Piece], &mut Packer<'_>, &mut CompactReport, &Directory) -> Result<(), StoreError> + 'a;

/// Appends the chunks that take the place of these of one series and day, given in the order they were written, or says
/// what is wrong with them.
pub(crate) type Unite<'a> = dyn FnMut(u32, i64, &[&[u8]], &mut Vec<PendingChunk>) -> Result<(), String> + 'a;

/// What a compaction did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct CompactReport {
    /// Directories written anew.
    pub directories: usize,
    /// Samples in them.
    pub samples: u64,
    /// Samples left out because another had the same time.
    pub duplicates: u64,
    /// Bytes on disk of these directories before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Whether it was stopped before all was done.
    pub stopped: bool,
}

impl BlockStore {
    /// Rewrites every directory that has blocks no compaction has seen. Stops soon after `stop` is set, leaving the
    /// directory at hand as it was.
    pub fn compact(&self, stop: &AtomicBool) -> Result<CompactReport, StoreError> {
        self.sync()?;
        let mut report = CompactReport::default();
        let next = || self.directories().iter().find(|directory| directory.is_to_compact()).cloned();
        while let Some(directory) = next() {
            self.compact_one(&directory, stop, &mut report, &mut Merger::default().writing())?;
            if report.stopped {
                break;
            }
        }
        Ok(report)
    }

    /// Rewrites the first directory that takes no further day, has blocks no compaction has seen, and none of the
    /// checkpoint with this number.
    ///
    /// # Errors
    /// As [`Self::compact`].
    pub(crate) fn compact_closed(&self, generation: u32, stop: &AtomicBool) -> Result<CompactReport, StoreError> {
        let mut report = CompactReport::default();
        let directories = self.directories();
        let Some((_, closed)) = directories.split_last() else { return Ok(report) };
        let is_quiet = |directory: &&Arc<Directory>| directory.index().generation_max() < generation;
        if let Some(directory) = closed.iter().filter(is_quiet).find(|directory| directory.is_to_compact()) {
            self.sync()?;
            self.compact_one(directory, stop, &mut report, &mut Merger::default().writing())?;
        }
        Ok(report)
    }

    /// Rewrites every directory in which later blocks of the same partition and day have overtaken others: a share of
    /// them that is worth it, or any when `all`. `unite` is asked only of series that have several chunks of a day.
    ///
    /// # Errors
    /// As [`Self::compact`].
    pub(crate) fn compact_overtaken(
        &self,
        all: bool,
        stop: &AtomicBool,
        unite: &mut Unite<'_>,
    ) -> Result<CompactReport, StoreError> {
        let mut report = CompactReport::default();
        let is_worth = |directory: &&Arc<Directory>| {
            let (overtaken, blocks) = (directory.index().overtaken(), directory.index().len());
            overtaken > 0 && (all || overtaken * OVERTAKEN_SHARE >= blocks) && directory.is_to_compact()
        };
        let mut united = Vec::new();
        let mut write = |series: &[Piece], packer: &mut Packer<'_>, _: &mut CompactReport, old: &Directory| {
            write_united(series, packer, unite, &mut united, &mut |what| old.report(what))
        };
        while let Some(directory) = self.directories().iter().find(is_worth).cloned() {
            self.sync()?;
            self.compact_one(&directory, stop, &mut report, &mut write)?;
            if report.stopped {
                break;
            }
        }
        Ok(report)
    }

    fn compact_one(
        &self,
        directory: &Arc<Directory>,
        stop: &AtomicBool,
        report: &mut CompactReport,
        write: &mut Write<'_>,
    ) -> Result<(), StoreError> {
        let Some(compacted) = self.compact_directory(directory, stop, report, write)? else {
            report.stopped = true;
            return Ok(());
        };
        report.directories += 1;
        report.bytes_before += directory.size_bytes()?;
        report.bytes_after += compacted.size_bytes()?;
        let replacement = Arc::new(compacted);
        let replace = |d: &Arc<Directory>| Arc::clone(if Arc::ptr_eq(d, directory) { &replacement } else { d });
        let live = self.directories().iter().map(replace).collect();
        self.replace_directories(live, std::slice::from_ref(directory))
    }

    /// The directory that takes the place of `old`, or `None` when stopped.
    fn compact_directory(
        &self,
        old: &Directory,
        stop: &AtomicBool,
        report: &mut CompactReport,
        write: &mut Write<'_>,
    ) -> Result<Option<Directory>, StoreError> {
        let name = self.unused_name(old.name().first_day, old.name().rewrite + 1);
        let file_name = format!("{TEMPORARY}{name}");
        let path = self.shared.folder.join(&file_name);
        if path.exists() {
            fs::remove_dir_all(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        }
        let new = Directory::create(&self.shared, &file_name, name)?;
        let outcome = self.compact_partitions(old, &new, stop, report, write);
        if !matches!(outcome, Ok(true)) {
            // Its folder goes with it.
            new.retire();
            return outcome.map(|_| None);
        }
        new.publish().map(Some)
    }

    /// Whether all partitions were done.
    fn compact_partitions(
        &self,
        old: &Directory,
        new: &Directory,
        stop: &AtomicBool,
        report: &mut CompactReport,
        write: &mut Write<'_>,
    ) -> Result<bool, StoreError> {
        for partition in 0..PARTITIONS as u8 {
            let mut keys = old.index().partition(partition).to_vec();
            keys.sort_by_key(|key| (day_of(key.start_ms), key.first_id));
            for day in keys.chunk_by(|a, b| day_of(a.start_ms) == day_of(b.start_ms)) {
                let generation = day.iter().map(|key| key.generation).max().expect("a group has a key");
                let mut packer = Packer::new(new, partition, generation);
                let mut window = Window::default();
                for (at, key) in day.iter().enumerate() {
                    window.load(old, key)?;
                    let next_first_id = day.get(at + 1).map(|next| next.first_id);
                    if window.bytes < WINDOW_BYTES && next_first_id.is_some() {
                        continue;
                    }
                    if stop.load(Ordering::Relaxed) {
                        return Ok(false);
                    }
                    for series in window.take_below(next_first_id).chunk_by(|a, b| a.id == b.id) {
                        write(series, &mut packer, report, old)?;
                    }
                    self.bound_memory(old, new)?;
                }
                packer.flush()?;
            }
        }
        Ok(!old.has_failed())
    }

    /// Both engines keep what they touched until they are closed.
    fn bound_memory(&self, old: &Directory, new: &Directory) -> Result<(), StoreError> {
        for directory in [old, new] {
            if directory.engine().resident_bytes() > self.cache_bytes() {
                directory.sync()?;
                directory.engine().release()?;
            }
        }
        Ok(())
    }
}

/// A chunk taken out of its block.
#[derive(Debug)]
struct Piece {
    id: u32,
    /// Generation, then number of its block: the order in which chunks were written.
    written: (u32, u32),
    start_ms: i64,
    end_ms: i64,
    bytes: Vec<u8>,
}

/// Chunks of one partition and day, read in the order of their blocks' first ids.
#[derive(Debug, Default)]
struct Window {
    pieces: Vec<Piece>,
    bytes: usize,
}

impl Window {
    fn load(&mut self, directory: &Directory, key: &BlockKey) -> Result<(), StoreError> {
        directory.with_block(key, &mut |block| {
            for entry in block.entries() {
                self.bytes += entry.chunk.len();
                self.pieces.push(Piece {
                    id: entry.id,
                    written: (key.generation, key.sequence),
                    start_ms: entry.start_ms,
                    end_ms: entry.end_ms,
                    bytes: entry.chunk.to_vec(),
                });
            }
        })
    }

    /// The chunks of the series of which no later block has any, by series and in writing order.
    fn take_below(&mut self, id: Option<u32>) -> Vec<Piece> {
        self.pieces.sort_by_key(|piece| (piece.id, piece.written, piece.start_ms));
        let end = id.map_or(self.pieces.len(), |id| self.pieces.partition_point(|piece| piece.id < id));
        let taken: Vec<_> = self.pieces.drain(..end).collect();
        self.bytes -= taken.iter().map(|piece| piece.bytes.len()).sum::<usize>();
        taken
    }
}

/// Merges the chunks of one series and day; keeps its memory between series.
#[derive(Debug, Default)]
struct Merger {
    times: Vec<i64>,
    values: Vec<f64>,
    order: Vec<u32>,
    sorted_times: Vec<i64>,
    sorted_values: Vec<f64>,
    bytes: Vec<u8>,
}

impl Merger {
    /// This, as what compacting samples takes.
    fn writing(
        &mut self,
    ) -> impl FnMut(&[Piece], &mut Packer<'_>, &mut CompactReport, &Directory) -> Result<(), StoreError> {
        |series, packer, report, old| self.write(series, packer, report, &mut |what| old.report(what))
    }

    fn write(
        &mut self,
        pieces: &[Piece],
        packer: &mut Packer<'_>,
        report: &mut CompactReport,
        undecodable: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        self.times.clear();
        self.values.clear();
        for piece in pieces {
            if let Err(error) = chunk::decode(&piece.bytes, &mut self.times, &mut self.values) {
                undecodable(&format!("chunk of series {} at {} ms: {error}", piece.id, piece.start_ms));
                packer.push(piece.id, piece.start_ms, piece.end_ms, &piece.bytes)?;
            }
        }
        self.sort_first_written_wins();
        report.samples += self.sorted_times.len() as u64;
        report.duplicates += (self.times.len() - self.sorted_times.len()) as u64;
        let Some(id) = pieces.first().map(|piece| piece.id) else { return Ok(()) };
        let columns = self.sorted_times.chunks(CHUNK_SAMPLES_MAX).zip(self.sorted_values.chunks(CHUNK_SAMPLES_MAX));
        for (times, values) in columns {
            write_fitting(id, times, values, &mut self.bytes, packer)?;
        }
        Ok(())
    }

    fn sort_first_written_wins(&mut self) {
        self.sorted_times.clear();
        self.sorted_values.clear();
        if self.times.windows(2).all(|pair| pair[0] < pair[1]) {
            self.sorted_times.extend_from_slice(&self.times);
            self.sorted_values.extend_from_slice(&self.values);
            return;
        }
        self.order.clear();
        self.order.extend(0..self.times.len() as u32);
        // The sort is stable and the columns stand in writing order, so of equal times the first written comes first.
        self.order.sort_by_key(|at| self.times[*at as usize]);
        for at in self.order.iter().map(|at| *at as usize) {
            if self.sorted_times.last() != Some(&self.times[at]) {
                self.sorted_times.push(self.times[at]);
                self.sorted_values.push(self.values[at]);
            }
        }
    }
}

/// Writes what `unite` makes of a series' chunks of a day, or, if that fails, the chunks as they are.
fn write_united(
    pieces: &[Piece],
    packer: &mut Packer<'_>,
    unite: &mut Unite<'_>,
    united: &mut Vec<PendingChunk>,
    wrong: &mut dyn FnMut(&str),
) -> Result<(), StoreError> {
    let Some(first) = pieces.first() else { return Ok(()) };
    // Chunks of one generation were written together, and none of them is another's successor.
    if pieces.iter().any(|piece| piece.written.0 != first.written.0) {
        let chunks: Vec<&[u8]> = pieces.iter().map(|piece| piece.bytes.as_slice()).collect();
        united.clear();
        match unite(first.id, day_of(first.start_ms), &chunks, united) {
            Ok(()) => {
                return united
                    .iter()
                    .try_for_each(|chunk| packer.push(chunk.id, chunk.start_ms, chunk.end_ms, &chunk.bytes));
            }
            Err(what) => wrong(&format!("rollups of series {} at {} ms: {what}", first.id, first.start_ms)),
        }
    }
    pieces.iter().try_for_each(|piece| packer.push(piece.id, piece.start_ms, piece.end_ms, &piece.bytes))
}

/// Writes samples as one chunk, or as halves where they do not compress enough for one.
fn write_fitting(
    id: u32,
    times: &[i64],
    values: &[f64],
    bytes: &mut Vec<u8>,
    packer: &mut Packer<'_>,
) -> Result<(), StoreError> {
    let (Some(&start_ms), Some(&end_ms)) = (times.first(), times.last()) else { return Ok(()) };
    bytes.clear();
    chunk::encode(times, values, bytes);
    if bytes.len() <= CHUNK_BYTES_MAX {
        return packer.push(id, start_ms, end_ms, bytes);
    }
    let middle = times.len() / 2;
    write_fitting(id, &times[..middle], &values[..middle], bytes, packer)?;
    write_fitting(id, &times[middle..], &values[middle..], bytes, packer)
}
