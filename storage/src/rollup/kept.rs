//! The rollups of a store on disk: blocks of their own for each resolution, kept longer than samples.
//!
//! A day that is rolled up anew leaves older rollups of it behind. They are overtaken: what is read is the newest of each
//! bucket, and compaction keeps only that.
//!
//! Not here: making rollups (see `make`), the blocks themselves (see `crate::blocks`).
//!
//! Invariant: a block of rollups carries the generation of the newest block of samples of its partition and day that
//! it was made from, so that rollups which samples have overtaken are known by comparing the two.

use super::bucket::{Resolution, Rollup};
use super::codec::{self, Encoder};
use super::make::add;
use crate::StoreError;
use crate::blocks::{BlockSettings, BlockStore, CompactReport, DAY_MS, DirectoryHealth};
use crate::series::PARTITIONS;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Engines open at a time, for each resolution: the one that is written, and one that is read.
const OPEN_MAX: usize = 2;
/// Memory for blocks of rollups, for each resolution.
const CACHE_BYTES: u64 = 2 << 20;

/// The rollups of a store.
#[derive(Debug)]
pub(crate) struct Rollups {
    kept: [BlockStore; Resolution::ALL.len()],
}

/// Where the rollups of one resolution lie in a data directory.
pub(crate) fn folder(dir: &Path, resolution: Resolution) -> PathBuf {
    dir.join("rollups").join(resolution.name())
}

impl Rollups {
    /// Opens what is there, or creates the folders; the second value is the damage found.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<StoreError>), StoreError> {
        let settings = BlockSettings { cache_bytes: CACHE_BYTES, open_max: OPEN_MAX, ..BlockSettings::default() };
        // They belong to no checkpoint: what is there was whole when it was named.
        let all = [u32::MAX; PARTITIONS];
        let (minutes, mut damage) = BlockStore::open(&folder(dir, Resolution::Minutes5), settings, &all)?;
        let (hours, found) = BlockStore::open(&folder(dir, Resolution::Hour), settings, &all)?;
        damage.extend(found);
        Ok((Self { kept: [minutes, hours] }, damage))
    }

    /// The blocks of one resolution.
    pub(crate) fn of(&self, resolution: Resolution) -> &BlockStore {
        &self.kept[resolution as usize]
    }

    /// For each day of a partition that has rollups, the generation of the samples they were made from.
    pub(super) fn made(&self, partition: u8, resolution: Resolution) -> BTreeMap<i64, u32> {
        self.of(resolution).generations_of(partition)
    }

    /// Writes directories anew in which many blocks, or any when `all`, have been overtaken.
    ///
    /// # Errors
    /// When a directory cannot be read or written; the old one stays then.
    pub(crate) fn compact(&self, all: bool, stop: &AtomicBool) -> Result<CompactReport, StoreError> {
        let mut report = CompactReport::default();
        for resolution in Resolution::ALL {
            let (mut encoder, mut bytes, mut buckets) = (Encoder::default(), Vec::new(), Vec::new());
            let done = self.of(resolution).compact_overtaken(all, stop, &mut |id, day, chunks, out| {
                let day_ms = day * DAY_MS;
                let mut newest: BTreeMap<i64, Rollup> = BTreeMap::new();
                for chunk in chunks {
                    buckets.clear();
                    codec::decode(chunk, resolution, day_ms, &mut buckets).map_err(|error| error.to_string())?;
                    newest.extend(buckets.iter().map(|bucket| (bucket.start_ms, *bucket)));
                }
                let newest: Vec<Rollup> = newest.into_values().collect();
                add(&mut encoder, (resolution, day_ms), id, &newest, &mut bytes, out);
                Ok(())
            })?;
            report.directories += done.directories;
            report.bytes_before += done.bytes_before;
            report.bytes_after += done.bytes_after;
            report.stopped |= done.stopped;
        }
        Ok(report)
    }

    /// The highest generation of any samples that rollups were made from.
    pub(crate) fn generation_max(&self) -> u32 {
        self.kept.iter().map(BlockStore::generation_max).max().unwrap_or(0)
    }

    /// Bytes on disk.
    pub(crate) fn bytes_on_disk(&self) -> Result<u64, StoreError> {
        self.kept.iter().map(BlockStore::bytes_on_disk).sum()
    }

    /// Damage found since the last call.
    pub(crate) fn take_damage(&self) -> Vec<StoreError> {
        self.kept.iter().flat_map(BlockStore::take_damage).collect()
    }

    /// How each directory fares, with the folder it is in.
    pub(crate) fn health(&self) -> Vec<(&'static str, DirectoryHealth)> {
        let of = |resolution: Resolution| {
            self.of(resolution).health().into_iter().map(move |health| (resolution.name(), health))
        };
        Resolution::ALL.into_iter().flat_map(of).collect()
    }
}
