//! The journal's folder, or two with the same content: every file operation of the committer, each named in its error.
//!
//! With a mirror every operation is done in both folders, and it has succeeded when it has in one. A folder that fails
//! is left out until the next segment, and what it lacks is made up for at the next start (see `mend`).
//!
//! Not here: what is written and when (see `committer`). In unit tests, and only there, `Faults` makes chosen
//! operations fail, because a full or dying disk cannot be had on demand.
//!
//! Invariants: nothing else in this module tree changes a file, except that replay cuts a torn tail and `mend` makes the
//! folders agree; what stands in a segment of one folder stands at the same place of the same segment in the other, as
//! far as that goes.

use super::segment;
use crate::StoreError;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What is written to see whether a folder works again.
const PROBE_BYTES: usize = 4096;
/// Its name, which is none of a segment.
const PROBE: &str = "probe";

/// The folders that hold the segments.
#[derive(Debug)]
pub(super) struct Folder {
    /// The first is the journal's own, the second, if any, its mirror.
    sides: Vec<Side>,
}

/// One of the folders.
#[derive(Debug)]
struct Side {
    dir: PathBuf,
    failures: AtomicU64,
    failing: Mutex<Option<String>>,
    #[cfg(test)]
    faults: faults::Faults,
}

/// How one of the journal's folders fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideReport {
    /// The folder.
    pub dir: PathBuf,
    /// Operations that failed since the start.
    pub failures: u64,
    /// Why nothing is written there at present.
    pub failing: Option<String>,
}

/// A segment that is open in every folder that works.
#[derive(Debug)]
pub(super) struct SegmentFile {
    files: Vec<Option<File>>,
}

impl SegmentFile {
    /// Whether a folder is left out.
    pub(super) fn lacks_a_side(&self) -> bool {
        self.files.iter().any(Option::is_none)
    }
}

impl Folder {
    /// Takes `dir`, and `mirror` if there is one, as the journal's folders and creates them when they are missing.
    ///
    /// # Errors
    /// When neither can be used, or both are the same.
    pub(super) fn open(dir: &Path, mirror: Option<&Path>) -> Result<Self, StoreError> {
        let sides = [Some(dir), mirror].into_iter().flatten().map(Side::new).collect();
        let folder = Self { sides };
        folder.each(Side::prepare)?;
        if let Some(mirror) = mirror
            && std::fs::canonicalize(dir).is_ok_and(|dir| std::fs::canonicalize(mirror).is_ok_and(|other| other == dir))
        {
            let what = io::Error::new(io::ErrorKind::InvalidInput, "it is the journal's own folder");
            return Err(StoreError::io("mirror the journal to", mirror, what));
        }
        Ok(folder)
    }

    /// The folders, the journal's own first.
    pub(super) fn dirs(&self) -> Vec<&Path> {
        self.sides.iter().map(|side| side.dir.as_path()).collect()
    }

    /// Notes that a folder does not work.
    pub(super) fn note_failure(&self, side: usize, error: &StoreError) {
        self.sides[side].note(error);
    }

    /// How each folder fares.
    pub(super) fn report(&self) -> Vec<SideReport> {
        self.sides.iter().map(Side::report).collect()
    }

    /// Does something in every folder; the first error when it succeeds in none.
    fn each(&self, action: impl Fn(&Side) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let mut outcome = Err(StoreError::Closed);
        for side in &self.sides {
            match action(side) {
                Ok(()) => outcome = Ok(()),
                Err(error) => {
                    side.note(&error);
                    outcome = outcome.map_err(|first| if matches!(first, StoreError::Closed) { error } else { first });
                }
            }
        }
        outcome
    }

    /// Creates an empty segment. One of this number can only be left over from an attempt that never was synced.
    pub(super) fn create(&self, number: u64) -> Result<SegmentFile, StoreError> {
        let mut files = Vec::with_capacity(self.sides.len());
        let mut first = None;
        for side in &self.sides {
            files.push(match side.create(number) {
                Ok(file) => Some(file),
                Err(error) => {
                    side.note(&error);
                    first.get_or_insert(error);
                    None
                }
            });
        }
        match first {
            Some(error) if files.iter().all(Option::is_none) => Err(error),
            _ => Ok(SegmentFile { files }),
        }
    }

    /// Appends `bytes` to a segment, `synced_bytes` of which count, and makes them durable. A folder that fails is left
    /// out of the segment from then on, shortened to what counts.
    pub(super) fn append(
        &self,
        number: u64,
        segment: &mut SegmentFile,
        parts: &[&[u8]],
        synced_bytes: u64,
    ) -> Result<(), StoreError> {
        let mut first = None;
        let mut fail = |side: &Side, file: &mut Option<File>, error: StoreError| {
            side.note(&error);
            if let Some(file) = file.take() {
                // Tidiness only: the next segment's header says where this one ends.
                let _ = side.truncate(number, &file, synced_bytes);
            }
            first.get_or_insert(error);
        };
        // All are written before the first is synced, so that the disks work at the same time.
        for (side, slot) in self.sides.iter().zip(&mut segment.files) {
            let Some(file) = slot else { continue };
            if let Err(error) = parts.iter().try_for_each(|part| side.write(number, file, part)) {
                fail(side, slot, error);
            }
        }
        for (side, slot) in self.sides.iter().zip(&mut segment.files) {
            let Some(file) = slot else { continue };
            match side.sync(number, file) {
                Ok(()) => side.works(),
                Err(error) => fail(side, slot, error),
            }
        }
        match first {
            Some(error) if segment.files.iter().all(Option::is_none) => Err(error),
            _ => Ok(()),
        }
    }

    /// Makes the creation of a segment durable.
    pub(super) fn sync_entries(&self, segment: &mut SegmentFile) -> Result<(), StoreError> {
        let mut first = None;
        for (side, slot) in self.sides.iter().zip(&mut segment.files) {
            if slot.is_some()
                && let Err(error) = side.sync_entries()
            {
                side.note(&error);
                *slot = None;
                first.get_or_insert(error);
            }
        }
        match first {
            Some(error) if segment.files.iter().all(Option::is_none) => Err(error),
            _ => Ok(()),
        }
    }

    /// Removes a segment; one that is gone already is no error.
    pub(super) fn remove(&self, number: u64) -> Result<(), StoreError> {
        self.each(|side| side.remove(number))
    }

    /// Whether a folder that is left out of a segment would take one again.
    pub(super) fn could_mend(&self, segment: &SegmentFile) -> bool {
        let lost = self.sides.iter().zip(&segment.files).filter(|(_, file)| file.is_none());
        lost.into_iter().any(|(side, _)| side.probe().is_ok())
    }

    /// The faults of a folder, for a test to set.
    #[cfg(test)]
    pub(super) fn faults(&self, side: usize) -> faults::Faults {
        self.sides[side].faults.clone()
    }
}

impl Side {
    fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_path_buf(),
            failures: AtomicU64::new(0),
            failing: Mutex::new(None),
            #[cfg(test)]
            faults: faults::Faults::default(),
        }
    }

    fn prepare(&self) -> Result<(), StoreError> {
        let dir = &self.dir;
        std::fs::create_dir_all(dir).map_err(|error| StoreError::io("create", dir, error))?;
        // A folder whose own entry is not durable would be lost with everything in it.
        let above = dir.join("..");
        File::open(&above).and_then(|above| above.sync_all()).map_err(|error| StoreError::io("sync", &above, error))
    }

    fn note(&self, error: &StoreError) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }

    fn works(&self) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.is_some() {
            *failing = None;
        }
    }

    fn report(&self) -> SideReport {
        let failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner).clone();
        SideReport { dir: self.dir.clone(), failures: self.failures.load(Ordering::Relaxed), failing }
    }

    fn create(&self, number: u64) -> Result<File, StoreError> {
        let path = segment::path(&self.dir, number);
        self.allow("create").and_then(|()| File::create(&path)).map_err(|error| StoreError::io("create", &path, error))
    }

    /// Appends `bytes` where the file's last write ended.
    fn write(&self, number: u64, mut file: &File, bytes: &[u8]) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.tear(file, bytes);
        self.allow("write")
            .and_then(|()| file.write_all(bytes))
            .map_err(|error| StoreError::io("write", &segment::path(&self.dir, number), error))
    }

    /// Makes what was written durable. A file that was removed takes writes as before, and nobody would find them.
    fn sync(&self, number: u64, file: &File) -> Result<(), StoreError> {
        let is_there = || match file.metadata()?.nlink() {
            0 => Err(io::Error::new(io::ErrorKind::NotFound, "the file was removed")),
            _ => Ok(()),
        };
        self.allow("sync")
            .and_then(|()| file.sync_data())
            .and_then(|()| is_there())
            .map_err(|error| StoreError::io("sync", &segment::path(&self.dir, number), error))
    }

    /// Shortens a segment to its synced bytes.
    fn truncate(&self, number: u64, file: &File, bytes: u64) -> Result<(), StoreError> {
        self.allow("truncate")
            .and_then(|()| file.set_len(bytes))
            .map_err(|error| StoreError::io("truncate", &segment::path(&self.dir, number), error))
    }

    fn sync_entries(&self) -> Result<(), StoreError> {
        self.allow("sync")
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|error| StoreError::io("sync", &self.dir, error))
    }

    fn remove(&self, number: u64) -> Result<(), StoreError> {
        let path = segment::path(&self.dir, number);
        match self.allow("remove").and_then(|()| std::fs::remove_file(&path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", &path, error)),
            _ => Ok(()),
        }
    }

    /// Whether a file can be written here.
    fn probe(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let path = self.dir.join(PROBE);
        let mut file = self.allow("create").and_then(|()| File::create(&path))?;
        let written =
            file.write_all(&[0; PROBE_BYTES]).and_then(|()| self.allow("sync")).and_then(|()| file.sync_data());
        // What cannot be removed is written over the next time.
        let _ = std::fs::remove_file(&path);
        written
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
