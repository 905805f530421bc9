//! Opening: from whatever a crash left behind to the directories that are served.
//!
//! ```text
//! MANIFEST                  names the live directories
//! YYYYMMDD-gN/              named: loaded; not named: never finished or replaced, removed
//! tmp-*                     a compaction that did not finish, removed
//! damaged-*                 set aside earlier, left alone
//! ```
//!
//! A store without a usable manifest takes every directory there is, of several for one day the latest rewrite: a
//! directory gets its final name only when it is complete.
//!
//! Not here: the engines, which open when they are first needed.

use super::day::DirectoryName;
use super::directory::{Directory, Shared};
use super::manifest::{self, Listed};
use super::salvage::set_aside;
use crate::StoreError;
use crate::series::PARTITIONS;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// How the name of a directory begins while compaction writes it.
pub(super) const TEMPORARY: &str = "tmp-";

/// The live directories by first day. Damage goes to the log; what could not be used is set aside.
pub(super) fn open_directories(
    shared: &Shared,
    generations: &[u32; PARTITIONS],
) -> Result<Vec<Arc<Directory>>, StoreError> {
    let folder = &shared.folder;
    fs::create_dir_all(folder).map_err(|e| StoreError::io("create", folder, e))?;
    let present = directories_present(folder)?;
    let listed = match manifest::load(folder) {
        Ok(listed) => listed,
        Err(damage @ StoreError::Damaged { .. }) => {
            shared.damage.report(damage);
            None
        }
        Err(error) => return Err(error),
    };
    let is_listed = listed.is_some();
    let wanted = listed.unwrap_or_else(|| latest_of_each_day(&present));
    for name in present.iter().filter(|name| !wanted.iter().any(|listed| listed.name == **name)) {
        let path = folder.join(name.to_string());
        fs::remove_dir_all(&path).map_err(|e| StoreError::io("remove", &path, e))?;
    }
    let mut directories = Vec::with_capacity(wanted.len());
    for listed in &wanted {
        directories.extend(load(shared, *listed, generations)?.map(Arc::new));
    }
    directories.sort_by_key(|directory| directory.name());
    if !is_listed || directories.len() < wanted.len() {
        save_manifest(folder, &directories)?;
    }
    Ok(directories)
}

/// One directory, or `None` when it was set aside.
fn load(shared: &Shared, listed: Listed, generations: &[u32; PARTITIONS]) -> Result<Option<Directory>, StoreError> {
    let path = shared.folder.join(listed.name.to_string());
    if !path.is_dir() {
        shared.damage.report(StoreError::Damaged { path, offset: 0, what: "the directory is gone".into() });
        return Ok(None);
    }
    match Directory::load(shared, listed, generations) {
        Ok(directory) => Ok(Some(directory)),
        Err(damage @ (StoreError::Damaged { .. } | StoreError::Engine { .. })) => {
            shared.damage.report(damage);
            set_aside(&path)?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Names the live directories on disk.
pub(super) fn save_manifest(folder: &Path, directories: &[Arc<Directory>]) -> Result<(), StoreError> {
    let listed: Vec<_> = directories.iter().map(|directory| directory.listed()).collect();
    manifest::save(folder, &listed)
}

/// The names of complete directories; unfinished ones are removed.
fn directories_present(folder: &Path) -> Result<Vec<DirectoryName>, StoreError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(|e| StoreError::io("list", folder, e))? {
        let path = entry.map_err(|e| StoreError::io("list", folder, e))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(TEMPORARY) {
            fs::remove_dir_all(&path).map_err(|e| StoreError::io("remove", &path, e))?;
        } else if let Some(name) = DirectoryName::parse(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

fn latest_of_each_day(names: &[DirectoryName]) -> Vec<Listed> {
    let mut latest = BTreeMap::new();
    for name in names {
        let rewrite: &mut u32 = latest.entry(name.first_day).or_default();
        *rewrite = name.rewrite.max(*rewrite);
    }
    let listed = |(first_day, rewrite)| Listed { name: DirectoryName { first_day, rewrite }, compacted_blocks: 0 };
    latest.into_iter().map(listed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_rewrites_of_a_day_the_latest_is_taken() {
        let name = |first_day, rewrite| DirectoryName { first_day, rewrite };
        let taken = latest_of_each_day(&[name(5, 2), name(5, 10), name(5, 9), name(3, 1)]);
        assert_eq!(taken.iter().map(|listed| listed.name).collect::<Vec<_>>(), [name(3, 1), name(5, 10)]);
    }
}
