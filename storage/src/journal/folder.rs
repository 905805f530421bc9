//! The journal's folder: every file operation of the committer, each named in its error.
//!
//! Not here: what is written and when (see `committer`). In unit tests, and only there, `Faults` makes chosen
//! operations fail, because a full or dying disk cannot be had on demand.
//!
//! Invariant: nothing else in this module tree changes a file, except that replay cuts a torn tail.

use super::segment;
use crate::StoreError;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The folder that holds the segments.
#[derive(Debug)]
pub(super) struct Folder {
    dir: PathBuf,
    #[cfg(test)]
    pub(super) faults: faults::Faults,
}

impl Folder {
    /// Takes `dir` as the journal's folder and creates it when it is missing.
    pub(super) fn open(dir: &Path) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|error| StoreError::io("create", dir, error))?;
        // A folder whose own entry is not durable would be lost with everything in it.
        let above = dir.join("..");
        File::open(&above).and_then(|above| above.sync_all()).map_err(|error| StoreError::io("sync", &above, error))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            #[cfg(test)]
            faults: faults::Faults::default(),
        })
    }

    /// Where the segments are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates an empty segment. One of this number can only be left over from an attempt that never was synced.
    pub(super) fn create(&self, number: u64) -> Result<File, StoreError> {
        let path = segment::path(&self.dir, number);
        self.allow("create").and_then(|()| File::create(&path)).map_err(|error| StoreError::io("create", &path, error))
    }

    /// Appends `bytes` where the file's last write ended.
    pub(super) fn write(&self, number: u64, mut file: &File, bytes: &[u8]) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.tear(file, bytes);
        self.allow("write")
            .and_then(|()| file.write_all(bytes))
            .map_err(|error| StoreError::io("write", &segment::path(&self.dir, number), error))
    }

    /// Makes what was written durable.
    pub(super) fn sync(&self, number: u64, file: &File) -> Result<(), StoreError> {
        self.allow("sync")
            .and_then(|()| file.sync_data())
            .map_err(|error| StoreError::io("sync", &segment::path(&self.dir, number), error))
    }

    /// Shortens a segment to its synced bytes.
    pub(super) fn truncate(&self, number: u64, file: &File, bytes: u64) -> Result<(), StoreError> {
        self.allow("truncate")
            .and_then(|()| file.set_len(bytes))
            .map_err(|error| StoreError::io("truncate", &segment::path(&self.dir, number), error))
    }

    /// Makes creations durable.
    pub(super) fn sync_entries(&self) -> Result<(), StoreError> {
        self.allow("sync")
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|error| StoreError::io("sync", &self.dir, error))
    }

    /// Removes a segment; one that is gone already is no error.
    pub(super) fn remove(&self, number: u64) -> Result<(), StoreError> {
        let path = segment::path(&self.dir, number);
        match self.allow("remove").and_then(|()| std::fs::remove_file(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path, error)),
            _ => Ok(()),
        }
    }

    #[cfg(not(test))]
    #[inline]
    #[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "the twin of this function in tests refuses")]
    fn allow(&self, _action: &'static str) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn allow(&self, action: &'static str) -> io::Result<()> {
        self.faults.check(action)
    }
}

#[cfg(test)]
pub(super) mod faults {
    //! Operations that are told to fail, as a full or dying disk would make them.

    use std::collections::HashMap;
    use std::fs::File;
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    /// How often each operation has yet to fail; shared by the test and the folder.
    #[derive(Debug, Default, Clone)]
    pub(in crate::journal) struct Faults(Arc<Mutex<HashMap<&'static str, u32>>>);

    impl Faults {
        /// Makes the next `times` operations of this name fail.
        pub(in crate::journal) fn fail(&self, action: &'static str, times: u32) {
            self.0.lock().unwrap().insert(action, times);
        }

        pub(super) fn check(&self, action: &'static str) -> io::Result<()> {
            match self.0.lock().unwrap().get_mut(action) {
                Some(times) if *times > 0 => {
                    *times -= 1;
                    Err(io::Error::from(io::ErrorKind::StorageFull))
                }
                _ => Ok(()),
            }
        }

        /// A write that will fail leaves half of itself behind.
        pub(super) fn tear(&self, mut file: &File, bytes: &[u8]) {
            if self.0.lock().unwrap().get("write").is_some_and(|times| *times > 0) {
                file.write_all(&bytes[..bytes.len() / 2]).unwrap();
            }
        }
    }
}
