//! Salvage: finding whole blocks in the bytes of an engine's file, without the engine.
//!
//! An engine that does not open any more still has most of its values as they were written: a block lies in one piece,
//! tells its own length, and has a checksum. What a torn or bent file still holds is found by looking at every byte.
//!
//! The same serves reads while the engine cannot be opened for want of room on the disk, which it needs to be opened.
//!
//! Cost: about 1 ns a byte, so 0.3 s for a directory of 256 MiB; memory for two windows.
//!
//! Not here: what is done with the blocks (see `crate::repair`).
//!
//! Invariant: only blocks whose checksum holds are handed out, each once, in the order of generations.

use super::block::{Block, leading_block};
use super::day::DirectoryName;
use super::index_file;
use super::key::BlockKey;
use super::manifest;
use super::store::PendingChunk;
use crate::StoreError;
use crate::disk::VALUE_BYTES_MAX;
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How much is looked at at once.
const WINDOW_BYTES: usize = 8 << 20;

/// How the names of directories begin that were set aside.
const SET_ASIDE: &str = "damaged-";

/// A directory of blocks as it lies on disk.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// Whether it was set aside earlier.
    pub(crate) is_set_aside: bool,
    /// How many blocks its index names; none when it has no index of use.
    pub(crate) blocks_named: Option<usize>,
    /// How many of these are whole in the engine's file.
    pub(crate) blocks_whole: usize,
}

impl Found {
    /// Whether anything it should hold cannot be found.
    pub(crate) fn is_damaged(&self) -> bool {
        self.is_set_aside || self.blocks_named != Some(self.blocks_whole)
    }
}

/// Looks at every directory of blocks in a folder, those set aside among them.
pub(crate) fn survey(folder: &Path) -> Result<Vec<Found>, StoreError> {
    let live: Option<Vec<String>> =
        manifest::load(folder).unwrap_or_default().map(|listed| listed.iter().map(|l| l.name.to_string()).collect());
    let mut found = Vec::new();
    for name in names(folder)? {
        let path = folder.join(&name);
        let is_set_aside = name.starts_with(SET_ASIDE);
        // A directory that no manifest names was never finished or has been replaced.
        let is_live = DirectoryName::parse(&name).is_some() && live.as_ref().is_none_or(|live| live.contains(&name));
        if !is_set_aside && !is_live {
            continue;
        }
        let named = index_file::load(&path).unwrap_or_default();
        let whole: HashSet<_> = keys_in(&path)?.into_iter().collect();
        let blocks_whole = match &named {
            Some(named) => named.iter().filter(|key| whole.contains(&identity(key))).count(),
            None => whole.len(),
        };
        found.push(Found { path, is_set_aside, blocks_named: named.map(|named| named.len()), blocks_whole });
    }
    Ok(found)
}

fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", folder, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| StoreError::io("list", folder, e))?;
        if entry.path().is_dir() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// All that tells one block from another but its number, which it does not hold itself.
pub(super) type Identity = (u8, u32, i64, i64, u32, u32);

pub(super) fn identity(key: &BlockKey) -> Identity {
    (key.partition, key.generation, key.start_ms, key.end_ms, key.first_id, key.last_id)
}

fn keys_in(directory: &Path) -> Result<Vec<Identity>, StoreError> {
    let mut keys = Vec::new();
    each_block(directory, &mut |_, _, block| keys.push(identity(&block.key(0))))?;
    Ok(keys)
}

/// Where each whole block begins in a directory's file, and how long it is.
pub(super) fn places_in(directory: &Path) -> Result<HashMap<Identity, (u64, usize)>, StoreError> {
    let mut places = HashMap::new();
    each_block(directory, &mut |at, bytes, block| _ = places.insert(identity(&block.key(0)), (at, bytes.len())))?;
    Ok(places)
}

/// Partition and generation of a block, and its chunks.
pub(crate) type Saved = ((u8, u32), Vec<PendingChunk>);

/// The chunks of every whole block in a directory's file.
pub(crate) fn chunks_in(directory: &Path) -> Result<Vec<Saved>, StoreError> {
    let mut seen = HashSet::new();
    let mut found: Vec<Saved> = Vec::new();
    each_block(directory, &mut |_, bytes, block| {
        // The engine leaves older copies of its pages behind.
        if seen.insert((identity(&block.key(0)), crc32fast::hash(bytes))) {
            let chunks = block.entries().map(|entry| PendingChunk {
                id: entry.id,
                start_ms: entry.start_ms,
                end_ms: entry.end_ms,
                bytes: entry.chunk.into(),
            });
            found.push(((block.partition, block.generation), chunks.collect()));
        }
    })?;
    found.sort_by_key(|((_, generation), _)| *generation);
    Ok(found)
}

fn each_block(directory: &Path, each: &mut dyn FnMut(u64, &[u8], &Block<'_>)) -> Result<(), StoreError> {
    let path = directory.join("db");
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("open", &path, error)),
    };
    let mut window = Vec::with_capacity(WINDOW_BYTES + VALUE_BYTES_MAX);
    let mut window_at = 0;
    loop {
        let read = (&mut file).take(WINDOW_BYTES as u64).read_to_end(&mut window);
        let is_end = read.map_err(|e| StoreError::io("read", &path, e))? == 0;
        // What begins near the end of the window may be cut short there.
        let until = if is_end { window.len() } else { window.len().saturating_sub(VALUE_BYTES_MAX) };
        let mut at = 0;
        while at < until {
            match leading_block(&window[at..]) {
                Some((bytes, block)) => {
                    each(window_at + at as u64, bytes, &block);
                    at += bytes.len();
                }
                None => at += 1,
            }
        }
        if is_end {
            return Ok(());
        }
        window.drain(..at.min(window.len()));
        window_at += at as u64;
    }
}

/// Renames a directory or file to `damaged-NAME`, or `damaged-NAME.2` and so on when that is taken; its new path.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = (2u32..).map(|n| path.with_file_name(format!("damaged-{name}.{n}")));
    let free = std::iter::once(path.with_file_name(format!("damaged-{name}"))).chain(numbered).find(|p| !p.exists());
    let free = free.expect("a folder holds fewer than 2^32 names");
    fs::rename(path, &free).map_err(|e| StoreError::io("set aside", path, e))?;
    Ok(free)
}
