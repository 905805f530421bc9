//! Damage found while the store runs, kept until somebody asks, and how a directory fares.
//!
//! Not here: deciding what to do about it: a block is left out, a directory set aside (see `directory`, `store`).
//!
//! Invariant: at most [`REPORTS_MAX`] reports wait, so that a rotten disk cannot fill the memory with its complaints.

use crate::StoreError;
use std::sync::Mutex;

/// Reports kept; later ones are dropped until these are taken, since the first tell the story.
const REPORTS_MAX: usize = 100;

/// How one directory fares.
#[derive(Debug, Clone)]
pub struct DirectoryHealth {
    /// Its name.
    pub name: String,
    /// How many blocks it serves.
    pub blocks: usize,
    /// Operations started and finished by its engine, when that is open; see `Disk::operations`.
    pub operations: Option<(u64, u64)>,
    /// Whether its engine is being opened or closed at this moment.
    pub is_busy: bool,
    /// Whether it is out of service.
    pub has_failed: bool,
    /// Whether it is damaged and served without its engine, as far as it is whole.
    pub is_frozen: bool,
}

/// The reports of one store.
#[derive(Debug, Default)]
pub(super) struct DamageLog {
    reports: Mutex<Vec<StoreError>>,
}

impl DamageLog {
    pub(super) fn report(&self, damage: StoreError) {
        let mut reports = self.reports.lock().expect("nothing panics while it holds this lock");
        if reports.len() < REPORTS_MAX {
            reports.push(damage);
        }
    }

    pub(super) fn take(&self) -> Vec<StoreError> {
        std::mem::take(&mut *self.reports.lock().expect("nothing panics while it holds this lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_handed_over_once_and_never_pile_up() {
        let log = DamageLog::default();
        for _ in 0..REPORTS_MAX + 5 {
            log.report(StoreError::Closed);
        }
        assert_eq!(log.take().len(), REPORTS_MAX);
        assert!(log.take().is_empty());
    }
}
