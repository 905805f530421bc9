//! What settings come to: limits in the unit that is worked with, places inside other places, and numbers of threads that
//! follow the machine's cores unless they are set.
//!
//! Not here: the settings (see `keys`).

use super::keys::{Models, Shards, StatsD, Storage};
use std::path::PathBuf;

impl Storage {
    /// How long samples are kept in milliseconds, or nothing if all are.
    pub fn retention_ms(&self) -> Option<i64> {
        (!self.retention.is_zero()).then_some(self.retention.as_millis() as i64)
    }

    /// The journal's directory: its own, or the one inside the data directory.
    pub fn journal_path(&self) -> PathBuf {
        self.journal_dir.clone().unwrap_or_else(|| self.data_dir.join("journal"))
    }
}

impl Models {
    /// How many threads score on a machine of `cores`: the number set, or one a core.
    pub fn threads(&self, cores: usize) -> usize {
        if self.threads == 0 { cores.max(1) } else { self.threads }
    }
}

impl StatsD {
    /// How many sockets share the UDP address on a machine of `cores`.
    pub fn sockets_on(&self, cores: usize) -> usize {
        if self.sockets == 0 { (cores / 4).clamp(1, 8) } else { self.sockets }
    }
}

impl Shards {
    /// How many shards to start on a machine of `cores`: the number set, or one a core, at most one a partition.
    pub fn threads(&self, cores: usize) -> usize {
        let count = if self.count == 0 { cores } else { self.count };
        count.clamp(1, storage::series::PARTITIONS)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;
    use std::path::PathBuf;
    use std::time::Duration;

    #[test]
    fn zero_retention_keeps_all() {
        let mut storage = Config::default().storage;
        assert_eq!(storage.retention_ms(), Some(30 * 86_400_000));
        storage.retention = Duration::ZERO;
        assert_eq!(storage.retention_ms(), None);
    }

    #[test]
    fn the_journal_lives_in_the_data_directory_unless_it_has_its_own() {
        let mut storage = Config::default().storage;
        assert_eq!(storage.journal_path(), PathBuf::from("./infrawatch-data/journal"));
        storage.journal_dir = Some(PathBuf::from("/fast"));
        assert_eq!(storage.journal_path(), PathBuf::from("/fast"));
    }

    #[test]
    fn sockets_follow_the_cores_unless_they_are_set() {
        let mut statsd = Config::default().statsd;
        assert_eq!([1, 2, 8, 128].map(|cores| statsd.sockets_on(cores)), [1, 1, 2, 8]);
        statsd.sockets = 3;
        assert_eq!(statsd.sockets_on(1), 3);
    }

    #[test]
    fn shards_follow_the_cores_up_to_the_partitions() {
        let mut shards = Config::default().shards;
        assert_eq!((shards.threads(8), shards.threads(0), shards.threads(200)), (8, 1, 64));
        shards.count = 3;
        assert_eq!(shards.threads(8), 3);
    }
}
