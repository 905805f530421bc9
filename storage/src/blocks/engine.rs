//! The engine of one directory: opened when a block is asked for, closed when told to.
//!
//! Not here: when to close (see `cache`), what an engine that does not open means (see `directory`).
//!
//! The engine keeps every leaf it has touched until it is closed, so touched leaves are counted here: that is the
//! memory it holds.
//!
//! Invariant: handles are made under the slot's lock, so an engine that is not shared there is used by nobody.

use super::key::LEAF_BLOCKS;
use crate::StoreError;
use crate::disk::{Disk, VALUE_BYTES_MAX};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// How long to wait for those who use the engine: a read takes well below a millisecond.
const USERS_POLL: Duration = Duration::from_millis(1);

#[derive(Debug, Default)]
pub(super) struct Engine {
    slot: Mutex<Slot>,
    is_open: AtomicBool,
    resident_bytes: AtomicU64,
    last_used: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    disk: Option<Disk>,
    /// A bit for each leaf touched since opening.
    touched: Vec<u64>,
}

impl Engine {
    fn slot(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().expect("nothing panics while it holds the slot: panics of the engine are caught")
    }

    /// The engine, opened by `open` if it is not, with the leaf of `sequence` counted as held in memory.
    pub(super) fn disk(
        &self,
        sequence: u32,
        open: impl FnOnce() -> Result<Disk, StoreError>,
    ) -> Result<Disk, StoreError> {
        let mut slot = self.slot();
        if slot.disk.is_none() {
            slot.disk = Some(open()?);
            slot.touched.clear();
            self.is_open.store(true, Ordering::Release);
        }
        let leaf = sequence / LEAF_BLOCKS;
        let (word, bit) = (leaf as usize / 64, 1u64 << (leaf % 64));
        if slot.touched.len() <= word {
            slot.touched.resize(word + 1, 0);
        }
        if slot.touched[word] & bit == 0 {
            slot.touched[word] |= bit;
            self.resident_bytes.fetch_add(u64::from(LEAF_BLOCKS) * VALUE_BYTES_MAX as u64, Ordering::AcqRel);
        }
        Ok(slot.disk.clone().expect("opened above"))
    }

    /// Flushes and closes the engine unless somebody uses it.
    pub(super) fn release(&self) -> Result<(), StoreError> {
        let mut slot = self.slot();
        match slot.disk.take_if(|disk| !disk.is_shared()) {
            Some(disk) => {
                self.note_closed();
                disk.close()
            }
            None => Ok(()),
        }
    }

    /// Lets go of the engine, whatever state it is in and whoever still uses it.
    pub(super) fn abandon(&self) {
        self.slot().disk = None;
        self.note_closed();
    }

    /// Closes the engine, as soon as nobody uses it, and runs `work` before anybody can open it again.
    pub(super) fn while_closed<T>(&self, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
        loop {
            let mut slot = self.slot();
            if let Some(disk) = slot.disk.take_if(|disk| !disk.is_shared()) {
                self.note_closed();
                disk.close()?;
            }
            if slot.disk.is_none() {
                return work();
            }
            drop(slot);
            std::thread::sleep(USERS_POLL);
        }
    }

    fn note_closed(&self) {
        self.is_open.store(false, Ordering::Release);
        self.resident_bytes.store(0, Ordering::Release);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// About how many bytes the open engine holds in memory.
    pub(super) fn resident_bytes(&self) -> u64 {
        self.resident_bytes.load(Ordering::Acquire)
    }

    /// When it was last used, by a counter that only rises.
    pub(super) fn last_used(&self) -> u64 {
        self.last_used.load(Ordering::Acquire)
    }

    pub(super) fn note_use(&self, tick: u64) {
        self.last_used.store(tick, Ordering::Release);
    }

    /// Operations started and finished, `None` when closed; an outer `None` while it is being opened or closed.
    pub(super) fn operations(&self) -> Option<Option<(u64, u64)>> {
        let slot = self.slot.try_lock().ok()?;
        Some(slot.disk.as_ref().map(Disk::operations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_in_use_is_not_closed_and_one_closed_opens_again() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let open = || Disk::open(folder.path(), 0);
        let user = engine.disk(0, open).unwrap();
        engine.release().unwrap();
        assert!(engine.is_open() && engine.operations().unwrap().is_some());
        drop(user);
        engine.release().unwrap();
        assert!(!engine.is_open() && engine.operations().unwrap().is_none());
        engine.disk(0, open).unwrap().put(b"a", b"1").unwrap();
        engine.abandon();
        assert!(!engine.is_open());
    }

    #[test]
    fn each_leaf_counts_once_until_the_engine_is_closed() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let leaf_bytes = u64::from(LEAF_BLOCKS) * VALUE_BYTES_MAX as u64;
        for sequence in [0, 1, LEAF_BLOCKS - 1, LEAF_BLOCKS, 70 * LEAF_BLOCKS] {
            engine.disk(sequence, || Disk::open(folder.path(), 0)).unwrap();
        }
        assert_eq!(engine.resident_bytes(), 3 * leaf_bytes);
        engine.release().unwrap();
        assert_eq!(engine.resident_bytes(), 0);
        engine.disk(0, || Disk::open(folder.path(), 0)).unwrap();
        assert_eq!(engine.resident_bytes(), leaf_bytes, "what was touched before does not count");
    }
}
