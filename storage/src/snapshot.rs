//! A snapshot: a copy of a store, made while it runs, that is a store by itself. Opening the copy is restoring it.
//!
//! ```text
//! keeper:  checkpoint ─ STORE, checkpoints, keys ─ each directory of blocks, its engine closed meanwhile ─ what others
//!          keep in the data directory ─ all synced ─ renamed from DIR.partial to DIR
//! ```
//!
//! The checkpoint is what makes it consistent: it holds every sample that was acknowledged before the snapshot was asked
//! for, so the copy needs no journal. The keeper alone writes blocks, keys and checkpoints, and it is busy copying.
//! Reading goes on; what is read through an engine waits while the file of its directory is copied.
//!
//! Not here: the checkpoint (see `keeper`).
//!
//! Invariant: a directory of the name that was asked for is whole, or it is not there.

use crate::StoreError;
use crate::blocks::BlockStore;
use crate::catalog::Catalog;
use crate::catalog_blocks::decode_block;
use crate::catalog_copy;
use crate::disk::sync_folder;
use crate::rollup::{Resolution, Rollups};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What of a data directory is copied by rules of its own, or not at all.
const OWN: [&str; 8] = ["LOCK", "STORE", "journal", "checkpoints", "catalog", "catalog.keys", "blocks", "rollups"];

/// What a snapshot took.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Files copied.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl SnapshotReport {
    /// Copies a file and makes it durable; one that is gone meanwhile is passed over.
    pub(crate) fn copy(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        match fs::copy(from, to).and_then(|bytes| File::open(to)?.sync_all().map(|()| bytes)) {
            Ok(bytes) => {
                self.files += 1;
                self.bytes += bytes;
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
            Err(error) => Err(StoreError::io("copy to", to, error)),
        }
    }

    /// Copies a directory with all that is in it.
    pub(crate) fn copy_folder(&mut self, from: &Path, to: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(to).map_err(|e| StoreError::io("create", to, e))?;
        for path in entries(from)? {
            let target = to.join(path.file_name().unwrap_or_default());
            match path.is_dir() {
                true => self.copy_folder(&path, &target)?,
                false => self.copy(&path, &target)?,
            }
        }
        sync_folder(to)
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    entries.map_err(|e| StoreError::io("list", folder, e))
}

/// Where a snapshot is to go, while it is being made.
#[derive(Debug)]
pub(crate) struct Target {
    dir: PathBuf,
    partial: PathBuf,
}

impl Target {
    /// For a snapshot at `dir` of the store in `store_dir`.
    ///
    /// # Errors
    /// When something is there already, or it lies in the store.
    pub(crate) fn at(dir: &Path, store_dir: &Path) -> Result<Self, StoreError> {
        let refuse = |what: &str| {
            Err(StoreError::io("make a snapshot at", dir, io::Error::new(io::ErrorKind::AlreadyExists, what)))
        };
        let (Some(name), Some(parent)) = (dir.file_name(), dir.parent()) else { return refuse("it has no name") };
        if dir.exists() && (!dir.is_dir() || !entries(dir)?.is_empty()) {
            return refuse("something is there already");
        }
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        fs::create_dir_all(parent).map_err(|e| StoreError::io("create", parent, e))?;
        let real = |path: &Path| fs::canonicalize(path).map_err(|e| StoreError::io("find", path, e));
        if real(parent)?.starts_with(real(store_dir)?) {
            return refuse("it lies in the store itself");
        }
        let mut partial = name.to_os_string();
        partial.push(".partial");
        let partial = dir.with_file_name(partial);
        // Of a snapshot that was not finished.
        match fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("remove", &partial, error));
            }
            _ => {}
        }
        fs::create_dir(&partial).map_err(|e| StoreError::io("create", &partial, e))?;
        Ok(Self { dir: dir.to_path_buf(), partial })
    }

    /// Copies a store of which a checkpoint was completed and nothing was written since.
    pub(crate) fn fill(
        &self,
        store_dir: &Path,
        blocks: &BlockStore,
        rollups: &Rollups,
    ) -> Result<SnapshotReport, StoreError> {
        let (from, to) = (store_dir, &self.partial);
        let mut report = SnapshotReport::default();
        report.copy(&from.join("STORE"), &to.join("STORE"))?;
        report.copy_folder(&from.join("checkpoints"), &to.join("checkpoints"))?;
        let catalog = to.join("catalog");
        report.copy(&catalog_copy::path(&from.join("catalog")), &catalog_copy::path(&catalog))?;
        // The engine of the copy is filled from the copied keys.
        let mut catalog = Catalog::at(&catalog, 0);
        catalog.load(&mut |_, block| decode_block(block, |_, _| ()))?;
        catalog.sync()?;
        blocks.copy_to(&to.join("blocks"), &mut report)?;
        for resolution in Resolution::ALL {
            let folder = to.join("rollups").join(resolution.name());
            rollups.of(resolution).copy_to(&folder, &mut report)?;
        }
        sync_folder(&to.join("rollups"))?;
        self.copy_others(from, &mut report)?;
        sync_folder(to)?;
        Ok(report)
    }

    /// What others keep beside the store: their files are replaced whole or appended to, so each is one they can read.
    fn copy_others(&self, from: &Path, report: &mut SnapshotReport) -> Result<(), StoreError> {
        for path in entries(from)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if OWN.contains(&name.as_str()) || name.starts_with("damaged-") || name.ends_with(".new") {
                continue;
            }
            let target = self.partial.join(&name);
            match path.is_dir() {
                true => report.copy_folder(&path, &target)?,
                false => report.copy(&path, &target)?,
            }
        }
        Ok(())
    }

    /// Gives the copy, which is whole, its name.
    pub(crate) fn finish(self) -> Result<(), StoreError> {
        if self.dir.exists() {
            // It is empty, or somebody was quicker, which this refuses.
            fs::remove_dir(&self.dir).map_err(|e| StoreError::io("replace", &self.dir, e))?;
        }
        fs::rename(&self.partial, &self.dir).map_err(|e| StoreError::io("rename", &self.partial, e))?;
        sync_folder(self.dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    /// Removes what was copied, after a failure.
    pub(crate) fn abandon(self) {
        if let Err(error) = fs::remove_dir_all(&self.partial) {
            tracing::warn!(path = %self.partial.display(), %error, "cannot remove an unfinished snapshot");
        }
    }
}
