//! Repair: looks at every part of a store that no process has open, says what is damaged, and saves what is whole.
//!
//! - A directory of blocks that was set aside, or lacks blocks that its index names, is set aside; every block in its
//!   file whose checksum holds is written into the store again, and the directory is renamed `repaired-...`, so that
//!   nothing is saved twice. What is saved and was there already is the same sample twice, which reading unites.
//! - A checkpoint that does not hold is renamed `damaged-pNN.iwc`; the copy takes its place, or its heads are lost.
//! - The catalog's engine and copy are made to agree. Damage in the journal and in its mirror is told, and whether the other
//!   has what one lacks; opening takes it from there, and steps over what neither has.
//!
//! Not here: chunks that cannot be decoded though their block's checksum holds (there are none by damage).
//!
//! Invariants: looking changes no byte; nothing is ever removed, only renamed; what was not damaged is not touched.

use crate::StoreError;
use crate::blocks::salvage::{self, Found};
use crate::blocks::{BlockSettings, BlockStore, DAY_MS, set_aside};
use crate::catalog::Catalog;
use crate::catalog_blocks::decode_block;
use crate::catalog_copy;
use crate::checkpoint;
use crate::checkpoint_copy;
use crate::disk::sync_folder;
use crate::journal;
use crate::open::{existing_store_id, lock};
use crate::rollup::Resolution;
use crate::series::PARTITIONS;
use std::fs;
use std::path::Path;

/// What looking at a store found, and what was done.
#[derive(Debug, Default)]
pub struct RepairReport {
    /// One for each part that was looked at, damaged or not.
    pub findings: Vec<Finding>,
    /// Blocks written into the store again.
    pub blocks_saved: u64,
    /// Chunks in them.
    pub chunks_saved: u64,
}

/// What one part of a store is found to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The part, as a path in the data directory.
    pub part: String,
    /// Whether anything is wrong with it.
    pub is_damaged: bool,
    /// What was found.
    pub found: String,
    /// What is to be done about it, or was; empty for nothing.
    pub remedy: String,
}

impl RepairReport {
    /// How many parts are damaged.
    pub fn damaged(&self) -> usize {
        self.findings.iter().filter(|finding| finding.is_damaged).count()
    }

    fn note(&mut self, part: String, damage: Option<String>, remedy: &str) {
        let is_damaged = damage.is_some();
        let remedy = if is_damaged { remedy.to_owned() } else { String::new() };
        let found = damage.unwrap_or_else(|| "whole".to_owned());
        self.findings.push(Finding { part, is_damaged, found, remedy });
    }
}

/// Looks at the store in `dir`, whose journal lies in `journal_dir` and, when there is one, in `mirror_dir`; changes
/// something only when `dry_run` is false.
///
/// # Errors
/// When there is no store, another process has it open, or the system refuses to read or write.
pub fn repair(
    dir: &Path,
    journal_dir: &Path,
    mirror_dir: Option<&Path>,
    dry_run: bool,
) -> Result<RepairReport, StoreError> {
    let store_id = existing_store_id(dir)?;
    let _lock = lock(dir)?;
    let mut report = RepairReport::default();
    let generations = repair_checkpoints(&dir.join("checkpoints"), &store_id, dry_run, &mut report)?;
    repair_catalog(&dir.join("catalog"), dry_run, &mut report)?;
    match mirror_dir {
        None => look_at_journal(journal_dir, &store_id, &mut report)?,
        Some(mirror_dir) => look_at_both(&[journal_dir, mirror_dir], &store_id, &mut report)?,
    }
    repair_blocks(dir, "blocks", &generations, dry_run, &mut report)?;
    for resolution in Resolution::ALL {
        let part = format!("rollups/{}", resolution.name());
        // Rollups belong to no checkpoint.
        repair_blocks(dir, &part, &[u32::MAX; PARTITIONS], dry_run, &mut report)?;
    }
    Ok(report)
}

/// The generation of each partition's checkpoint; the highest there is for one without.
fn repair_checkpoints(
    folder: &Path,
    store_id: &[u8; 16],
    dry_run: bool,
    report: &mut RepairReport,
) -> Result<[u32; PARTITIONS], StoreError> {
    let mut generations = [u32::MAX; PARTITIONS];
    for (partition, generation) in generations.iter_mut().enumerate() {
        let path = checkpoint::path(folder, partition as u8);
        let damage = match checkpoint::read(folder, partition as u8, store_id) {
            Ok(Some(checkpoint)) => {
                *generation = checkpoint.generation;
                None
            }
            Ok(None) => Some("it is gone".to_owned()),
            Err(StoreError::Damaged { offset, what, .. }) => Some(format!("at byte {offset}: {what}")),
            Err(error) => return Err(error),
        };
        let copied = match &damage {
            None => None,
            Some(_) => checkpoint_copy::read(folder, partition as u8, store_id)?,
        };
        if !path.exists() && copied.is_none() {
            continue;
        }
        if damage.is_some() && path.exists() && !dry_run {
            set_aside(&path)?;
            sync_folder(folder)?;
        }
        let remedy = match &copied {
            Some(copied) => {
                *generation = copied.generation;
                "set aside; the copy takes its place when the store opens"
            }
            None => "set aside; its open heads are lost",
        };
        report.note(format!("checkpoints/p{partition:02}.iwc"), damage, remedy);
    }
    if let Some((held, lost)) = checkpoint_copy::survey(folder, store_id)? {
        let damage = (lost > 0).then(|| format!("{held} partitions hold, {lost} do not"));
        report.note("checkpoints/copy.iwc".to_owned(), damage, "written anew with the next checkpoint");
    }
    Ok(generations)
}

fn repair_catalog(path: &Path, dry_run: bool, report: &mut RepairReport) -> Result<(), StoreError> {
    let copy = catalog_copy::load(path)?;
    let held = copy.blocks.iter().filter(|(_, block)| decode_block(block, |_, _| ()).is_ok()).count();
    let damage = (copy.damaged_bytes > 0 || held < copy.blocks.len())
        .then(|| format!("{held} blocks hold, {} bytes do not", copy.damaged_bytes));
    report.note("catalog.keys".to_owned(), damage, "written anew from the engine");
    if dry_run {
        return Ok(());
    }
    let mut catalog = Catalog::at(path, 0);
    let damage = catalog.load(&mut |_, block| decode_block(block, |_, _| ()))?;
    catalog.sync()?;
    let said = damage.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    report.note("catalog".to_owned(), (!said.is_empty()).then_some(said), "engine and copy agree again");
    Ok(())
}

fn look_at_journal(dir: &Path, store_id: &[u8; 16], report: &mut RepairReport) -> Result<(), StoreError> {
    if !dir.exists() {
        return Ok(());
    }
    let seen = journal::inspect(dir, store_id)?;
    report.note("journal".to_owned(), told(&seen), "stepped over when the store opens");
    Ok(())
}

/// Looks at a journal and its mirror, each by itself and both together.
fn look_at_both(dirs: &[&Path; 2], store_id: &[u8; 16], report: &mut RepairReport) -> Result<(), StoreError> {
    let mut is_read = true;
    for (dir, part) in dirs.iter().zip(["journal", "journal mirror"]) {
        match journal::inspect(dir, store_id) {
            Ok(seen) => report.note(part.to_owned(), told(&seen), "made to agree with the other when the store opens"),
            Err(error @ StoreError::Io { .. }) => {
                is_read = false;
                report.note(part.to_owned(), Some(error.to_string()), "the other is read when the store opens");
            }
            Err(error) => return Err(error),
        }
    }
    if is_read {
        let lost = journal::lost_in_both(dirs, store_id)?;
        let what = (lost > 0).then(|| format!("{lost} places are whole in neither"));
        report.note("journal and mirror".to_owned(), what, "stepped over when the store opens");
    }
    Ok(())
}

/// The damage in a journal, if there is any.
fn told(seen: &journal::ReplayReport) -> Option<String> {
    let places = seen.damage.iter().map(|d| format!("{} bytes at {} of {}", d.bytes, d.offset, d.path.display()));
    let said = places.collect::<Vec<_>>().join("; ");
    (seen.damaged_places > 0).then(|| format!("{} damaged places: {said}", seen.damaged_places))
}

fn repair_blocks(
    dir: &Path,
    part: &str,
    generations: &[u32; PARTITIONS],
    dry_run: bool,
    report: &mut RepairReport,
) -> Result<(), StoreError> {
    let folder = &dir.join(part);
    let found = salvage::survey(folder)?;
    for directory in &found {
        let name = directory.path.file_name().unwrap_or_default().to_string_lossy();
        let named = directory.blocks_named.map_or("an unknown number".to_owned(), |named| named.to_string());
        let damage = directory.is_damaged().then(|| format!("{} of {named} blocks are whole", directory.blocks_whole));
        report.note(format!("{part}/{name}"), damage, "set aside; its whole blocks are saved");
    }
    let damaged: Vec<&Found> = found.iter().filter(|directory| directory.is_damaged()).collect();
    if dry_run || damaged.is_empty() {
        return Ok(());
    }
    let mut set_aside_at = Vec::new();
    for directory in damaged {
        set_aside_at.push(match directory.is_set_aside {
            true => directory.path.clone(),
            false => set_aside(&directory.path)?,
        });
    }
    // Opening finds that the live ones are gone and writes a manifest without them.
    let (blocks, _) = BlockStore::open(folder, BlockSettings::default(), generations)?;
    for path in set_aside_at {
        save_blocks(&path, &blocks, generations, report)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().replacen("damaged-", "repaired-", 1);
        let repaired = path.with_file_name(name);
        fs::rename(&path, &repaired).map_err(|e| StoreError::io("rename", &path, e))?;
        sync_folder(folder)?;
    }
    Ok(())
}

/// Writes every whole block of a directory into the store again; one of a checkpoint that never completed is left out,
/// because the journal has its samples.
fn save_blocks(
    directory: &Path,
    blocks: &BlockStore,
    generations: &[u32; PARTITIONS],
    report: &mut RepairReport,
) -> Result<(), StoreError> {
    for ((partition, generation), mut chunks) in salvage::chunks_in(directory)? {
        if generation > generations[partition as usize] {
            continue;
        }
        // The checksum was computed over what this program wrote; a chunk of two days would be a mistake of its own.
        chunks.retain(|chunk| chunk.start_ms.div_euclid(DAY_MS) == chunk.end_ms.div_euclid(DAY_MS));
        report.blocks_saved += 1;
        report.chunks_saved += chunks.len() as u64;
        blocks.write(partition, generation, &mut chunks)?;
    }
    blocks.sync()
}
