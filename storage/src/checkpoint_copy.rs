//! The copy of the checkpoints: all files of one checkpoint once more, one behind the other in `copy.iwc`, so that no
//! open head is lost with a file that does not hold.
//!
//! ```text
//! "IWCPCOPY" | part*      part = partition u8 | length u32 LE | CRC-32 u32 LE of these five bytes | the partition's file
//! ```
//!
//! One file, because each that is synced costs as much as the checkpoint of a partition.
//!
//! Not here: the bytes of a partition's file, with the checksum that covers them (see `checkpoint`).
//!
//! Invariant: it is replaced after the files it copies and before the journal is cut, so whatever it holds, the journal
//! has what came later.

use crate::StoreError;
use crate::checkpoint::{self, Checkpoint};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"IWCPCOPY";
const HEADER_BYTES: usize = 1 + 4 + 4;

/// Where the copy lies among the checkpoints in `dir`.
pub(crate) fn path(dir: &Path) -> PathBuf {
    dir.join("copy.iwc")
}

/// A copy that is being written beside the current one.
#[derive(Debug)]
pub(crate) struct CopyWriter {
    dir: PathBuf,
    new: PathBuf,
    file: BufWriter<File>,
}

impl CopyWriter {
    /// Begins a new copy.
    pub(crate) fn begin(dir: &Path) -> Result<Self, StoreError> {
        let new = dir.join("copy.new");
        let file = File::create(&new).map_err(|e| StoreError::io("create", &new, e))?;
        let mut copy = Self { dir: dir.to_path_buf(), new, file: BufWriter::new(file) };
        copy.write(&[MAGIC])?;
        Ok(copy)
    }

    /// Adds the file of a partition.
    pub(crate) fn add(&mut self, partition: u8, bytes: &[u8]) -> Result<(), StoreError> {
        let mut header = [partition; 5];
        header[1..].copy_from_slice(&(bytes.len() as u32).to_le_bytes());
        let crc = crc32fast::hash(&header).to_le_bytes();
        self.write(&[&header, &crc, bytes])
    }

    fn write(&mut self, parts: &[&[u8]]) -> Result<(), StoreError> {
        let written = parts.iter().try_for_each(|part| self.file.write_all(part));
        written.map_err(|e| StoreError::io("write", &self.new, e))
    }

    /// Makes it durable under its new name.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|e| StoreError::io("sync", &self.new, e))
    }

    /// Makes it the current one; the caller syncs the directory.
    pub(crate) fn replace(self) -> Result<(), StoreError> {
        fs::rename(&self.new, path(&self.dir)).map_err(|e| StoreError::io("rename", &self.new, e))
    }
}

/// The checkpoint of a partition from the copy; none when there is no copy, or nothing whole of the partition in it.
///
/// # Errors
/// When the system refuses to read.
pub(crate) fn read(dir: &Path, partition: u8, store_id: &[u8; 16]) -> Result<Option<Checkpoint>, StoreError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let found = parts(&bytes).find(|(number, _)| *number == partition);
    Ok(found.and_then(|(_, part)| checkpoint::decode(part, partition, store_id).ok()))
}

/// How many of the partitions in the copy hold, and how many do not; none without a copy.
///
/// # Errors
/// As [`read`].
pub(crate) fn survey(dir: &Path, store_id: &[u8; 16]) -> Result<Option<(usize, usize)>, StoreError> {
    let path = path(dir);
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let (mut held, mut seen, mut parts_bytes) = (0, 0, MAGIC.len());
    for (partition, part) in parts(&bytes) {
        seen += 1;
        parts_bytes += HEADER_BYTES + part.len();
        held += usize::from(checkpoint::decode(part, partition, store_id).is_ok());
    }
    // What stands behind the last part that can be told is at least one more.
    Ok(Some((held, seen - held + usize::from(parts_bytes != bytes.len()))))
}

fn parts(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes.strip_prefix(MAGIC).unwrap_or_default();
    std::iter::from_fn(move || {
        let (header, behind) = rest.split_first_chunk::<HEADER_BYTES>()?;
        let [partition, a, b, c, d, crc @ ..] = *header;
        if crc32fast::hash(&header[..5]).to_le_bytes() != crc {
            return None;
        }
        let (part, behind) = behind.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        rest = behind;
        Some((partition, part))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_read_back_and_damage_costs_what_it_is_in() {
        let dir = tempfile::tempdir().unwrap();
        let mut copy = CopyWriter::begin(dir.path()).unwrap();
        let files: Vec<(u8, Vec<u8>)> = (0..5u8).map(|n| (n * 3, vec![n; 10 + usize::from(n)])).collect();
        files.iter().for_each(|(partition, bytes)| copy.add(*partition, bytes).unwrap());
        copy.sync().unwrap();
        copy.replace().unwrap();
        let whole = fs::read(path(dir.path())).unwrap();
        let read = |bytes: &[u8]| parts(bytes).map(|(n, part)| (n, part.to_vec())).collect::<Vec<_>>();
        assert_eq!(read(&whole), files);
        for at in 0..whole.len() {
            assert!(read(&whole[..at]).iter().all(|part| files.contains(part)), "cut at {at}");
            let mut bent = whole.clone();
            bent[at] ^= 4;
            let same = read(&bent).iter().zip(&files).filter(|(a, b)| a == b).count();
            assert!(same <= files.len() && (same > 0 || at < 8 + HEADER_BYTES + 10), "byte {at}");
        }
    }
}
