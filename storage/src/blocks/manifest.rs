//! The file `MANIFEST`: which directories of blocks are live.
//!
//! ```text
//! infrawatch-blocks 1
//! 20261120-g2 1204          name, and how many of its blocks compaction wrote
//! crc32 5d2f00c1            of all bytes before this line
//! ```
//!
//! A directory that stands on disk and not here was never finished or has been replaced, and is removed at opening.
//!
//! Not here: removing anything (see `open`).

use super::day::DirectoryName;
use crate::StoreError;
use crate::disk::replace_file;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::Path;

const FIRST_LINE: &str = "infrawatch-blocks 1";

/// A line of the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) name: DirectoryName,
    /// How many blocks compaction put there; more blocks than that means there is something to compact.
    pub(super) compacted_blocks: u32,
}

/// The listed directories; `None` when there is no manifest.
///
/// # Errors
/// `Damaged` when the file is not one that [`save`] wrote.
pub(super) fn load(folder: &Path) -> Result<Option<Vec<Listed>>, StoreError> {
    let path = folder.join("MANIFEST");
    let text = match fs::read(&path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::io("read", &path, error)),
    };
    let damaged = |what: &str| StoreError::Damaged { path: path.clone(), offset: 0, what: what.into() };
    let (listed, checksum) = text.rsplit_once("crc32 ").ok_or_else(|| damaged("its last line is missing"))?;
    if checksum != checksum_line(listed) {
        return Err(damaged("its checksum does not hold"));
    }
    let lines = listed.strip_prefix(FIRST_LINE).ok_or_else(|| damaged("its version is unknown"))?;
    let lines = lines.lines().filter(|line| !line.is_empty());
    lines.map(parse_line).collect::<Option<Vec<_>>>().map(Some).ok_or_else(|| damaged("a line is no directory"))
}

/// Replaces the manifest.
pub(super) fn save(folder: &Path, directories: &[Listed]) -> Result<(), StoreError> {
    let mut text = format!("{FIRST_LINE}\n");
    for listed in directories {
        writeln!(text, "{} {}", listed.name, listed.compacted_blocks).expect("writing to a string cannot fail");
    }
    let checksum = checksum_line(&text);
    replace_file(&folder.join("MANIFEST"), format!("{text}crc32 {checksum}").as_bytes())
}

fn checksum_line(text: &str) -> String {
    format!("{:08x}\n", crc32fast::hash(text.as_bytes()))
}

fn parse_line(line: &str) -> Option<Listed> {
    let (name, compacted_blocks) = line.split_once(' ')?;
    Some(Listed { name: DirectoryName::parse(name)?, compacted_blocks: compacted_blocks.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(first_day: i64, rewrite: u32, compacted_blocks: u32) -> Listed {
        Listed { name: DirectoryName { first_day, rewrite }, compacted_blocks }
    }

    #[test]
    fn a_manifest_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()).unwrap(), None);
        save(folder.path(), &[]).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(vec![]));
        let directories = [listed(20_777, 2, 1204), listed(20_790, 1, 0)];
        save(folder.path(), &directories).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Some(directories.to_vec()));
        let text = fs::read_to_string(folder.path().join("MANIFEST")).unwrap();
        assert!(text.starts_with("infrawatch-blocks 1\n20261120-g2 1204\n20261203-g1 0\ncrc32 "), "{text}");
    }

    #[test]
    fn a_manifest_that_was_cut_or_changed_is_damage() {
        let folder = tempfile::tempdir().unwrap();
        save(folder.path(), &[listed(20_777, 2, 1204)]).unwrap();
        let path = folder.path().join("MANIFEST");
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(load(folder.path()).is_err(), "cut at {at}");
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, &damaged).unwrap();
            assert!(load(folder.path()).is_err(), "byte {at}");
        }
    }
}
