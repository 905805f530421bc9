//! A store with its shards' threads, as the server runs it, for tests.

#![allow(dead_code, reason = "every test file compiles this module and uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "a test's threads end with it and need no names")]

use crossbeam_channel::{Sender, bounded, select};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use storage::journal::ReplayReport;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{KeyBuilder, SeriesRef, hash};
use storage::{Opened, Row, Settings, ShardStore, SnapshotReport, Store, StoreError, StoreThreads, Tally, route};

/// Hash, key, time and value of one sample on its way to a shard.
type Routed = (u64, Vec<u8>, i64, f64);

type Work = Box<dyn FnOnce(&mut ShardStore) + Send>;

/// One sample of a named series.
pub(crate) type Point = (usize, i64, f64);

/// A running store.
pub(crate) struct Running {
    pub(crate) store: Store,
    pub(crate) replayed: ReplayReport,
    pub(crate) dir: PathBuf,
    settings: Settings,
    work: Vec<Sender<Work>>,
    /// What keys were found to be, as the server remembers it of senders' bytes.
    known: Arc<Mutex<HashMap<Vec<u8>, SeriesRef>>>,
    shards: Vec<JoinHandle<()>>,
    threads: StoreThreads,
}

/// The canonical key of test series `number`.
pub(crate) fn key(number: usize) -> Vec<u8> {
    let mut builder = KeyBuilder::default();
    builder.clear();
    builder.push("__name__", &format!("metric_{}", number % 7));
    builder.push("series", &format!("{number}"));
    builder.finish().unwrap().to_vec()
}

impl Running {
    /// Opens the store of `settings`.
    pub(crate) fn open(settings: Settings) -> Self {
        Self::of(storage::open(settings.clone()).unwrap(), settings)
    }

    /// Runs an opened store.
    pub(crate) fn of(opened: Opened, settings: Settings) -> Self {
        let mut work = Vec::new();
        let mut shards = Vec::new();
        for mut shard in opened.shards {
            let (sender, receiver) = bounded::<Work>(16);
            work.push(sender);
            shards.push(std::thread::spawn(move || {
                let tasks = shard.tasks().clone();
                loop {
                    select! {
                        recv(receiver) -> work => match work {
                            Ok(work) => work(&mut shard),
                            Err(_) => break,
                        },
                        recv(tasks) -> task => if let Ok(task) = task { task(&mut shard) },
                    }
                }
            }));
        }
        let dir = settings.dir.clone();
        let (store, replayed, threads) = (opened.store, opened.replayed, opened.threads);
        Self { store, replayed, dir, settings, work, known: Arc::default(), shards, threads }
    }

    /// Appends points in order and waits until they are durable. Series met before go by their reference; those that the
    /// store had to look up by their key are new, or have left meanwhile.
    pub(crate) fn append(&self, now_ms: i64, points: &[Point]) -> Tally {
        let mut batches: Vec<Vec<Routed>> = self.work.iter().map(|_| Vec::new()).collect();
        for &(series, time_ms, value) in points {
            let key = key(series);
            let (hash, shard) = route(&key, self.work.len());
            batches[shard].push((hash, key, time_ms, value));
        }
        let (done, outcomes) = bounded(self.work.len());
        for (shard, batch) in batches.into_iter().enumerate() {
            let done = done.clone();
            let known = self.known.clone();
            let work: Work = Box::new(move |store| {
                let before = known.lock().unwrap().clone();
                let rows = batch.iter().map(|(hash, key, time_ms, value)| {
                    let series = before.get(key).copied();
                    let hash = if series.is_some() { 0 } else { *hash };
                    let (times, values) = (std::slice::from_ref(time_ms), std::slice::from_ref(value));
                    (Row { hash, key, times, values }, series)
                });
                let learn = |row: &Row<'_>, series| {
                    assert_eq!(row.hash, hash(row.key));
                    known.lock().unwrap().insert(row.key.to_vec(), series);
                };
                let tally = store.append_known(now_ms, rows, |_, _, _| {}, learn).unwrap();
                store.commit(Box::new(move |result| {
                    result.unwrap();
                    done.send(tally).unwrap();
                }));
            });
            self.work[shard].send(work).unwrap();
        }
        drop(done);
        outcomes.iter().fold(Tally::default(), |mut all, one| {
            all.add(&one);
            all
        })
    }

    /// Everything a test series has in a closed range.
    pub(crate) fn read(&self, series: usize, from_ms: i64, to_ms: i64) -> Vec<(i64, u64)> {
        let matchers = [Matcher::equal("series", &series.to_string())];
        let found = self.store.select(&matchers, from_ms, to_ms).unwrap();
        let mut samples = Samples::default();
        let Some(found) = found.first() else { return Vec::new() };
        self.store.read(found.series, from_ms, to_ms, &mut samples).unwrap();
        samples.times.iter().zip(&samples.values).map(|(time_ms, value)| (*time_ms, value.to_bits())).collect()
    }

    /// The newest sample of a test series.
    pub(crate) fn newest(&self, series: usize) -> Option<(i64, u64)> {
        let found = self.store.series_with("series", &series.to_string());
        let newest = self.store.newest(*found.first()?).unwrap();
        newest.map(|(time_ms, value)| (time_ms, value.to_bits()))
    }

    /// Seals, compacts and cuts.
    pub(crate) fn compact(&self) {
        let (done, answered) = bounded(1);
        self.store.compact(Box::new(move |result| done.send(result).unwrap())).unwrap();
        answered.recv().unwrap().unwrap();
    }

    /// Copies the store while it runs.
    pub(crate) fn snapshot(&self, dir: &Path) -> Result<SnapshotReport, StoreError> {
        let (done, answered) = bounded(1);
        self.store.snapshot(dir, Box::new(move |result| done.send(result).unwrap())).unwrap();
        answered.recv().unwrap()
    }

    /// Ends it as SIGTERM would.
    pub(crate) fn close(self) -> Settings {
        self.threads.close().unwrap();
        drop(self.work);
        self.shards.into_iter().for_each(|shard| shard.join().unwrap());
        self.settings
    }

    /// What kill -9 would leave: a copy of the directory as it is at this moment, while the store still runs.
    pub(crate) fn killed(self, copy: &Path) -> Settings {
        copy_dir(&self.dir, copy);
        let mut settings = self.close();
        settings.dir = copy.to_path_buf();
        settings
    }
}

/// Copies a directory with all that is in it.
pub(crate) fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), &target) {
            // Files come and go while the store runs.
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}

/// A small, fast, seeded source of numbers (SplitMix64), so that a failing run can be repeated.
pub(crate) struct Seeded(pub(crate) u64);

impl Seeded {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
