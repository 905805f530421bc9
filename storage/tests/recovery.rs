//! Damage to any file of a store: it opens, says what is damaged, and serves everything else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use storage::{Settings, StoreError};
use support::{Point, Running, Seeded, copy_dir};

const START_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 60;

/// A store with samples in blocks, in checkpoints and, after its copy was taken mid-run, in the journal.
fn killed_store(home: &Path) -> PathBuf {
    let settings = Settings { retention_ms: 0, shards: 2, ..Settings::new(home.join("live")) };
    let running = Running::open(settings);
    running.append(START_MS, &points(0..300));
    running.compact();
    running.append(START_MS, &points(300..330));
    let copy = home.join("killed");
    running.killed(&copy);
    copy
}

fn points(steps: std::ops::Range<i64>) -> Vec<Point> {
    steps.flat_map(|step| (0..SERIES).map(move |s| (s, START_MS - 400_000 + step * 1000, (step * 7) as f64))).collect()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().unwrap() != "LOCK" {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Opens a damaged copy and checks that whatever it serves was written, and that it takes new samples.
fn open_damaged(dir: &Path, what: &str) {
    let settings = Settings { retention_ms: 0, ..Settings::new(dir) };
    let opened = std::panic::catch_unwind(|| storage::open(settings.clone()).map(drop));
    match opened.unwrap_or_else(|_| panic!("panicked on {what}")) {
        Ok(()) => {}
        Err(error @ (StoreError::Damaged { .. } | StoreError::Engine { .. } | StoreError::Io { .. })) => {
            println!("{what}: refused with: {error}");
            return;
        }
        Err(error) => panic!("{what}: {error}"),
    }
    let running = Running::open(settings);
    for series in 0..SERIES {
        for (time_ms, bits) in running.read(series, 0, i64::MAX) {
            let step = (time_ms - START_MS + 400_000) / 1000;
            assert_eq!(bits, ((step * 7) as f64).to_bits(), "{what}: series {series} at {time_ms}");
        }
    }
    let fresh: Vec<Point> = (0..SERIES).map(|series| (series, START_MS + 1000, 1.5)).collect();
    assert_eq!(running.append(START_MS + 1000, &fresh).stored, SERIES as u64, "{what}");
    running.close();
}

#[test]
fn a_killed_store_has_everything() {
    let home = tempfile::tempdir().unwrap();
    let copy = killed_store(home.path());
    let running = Running::open(Settings { retention_ms: 0, ..Settings::new(&copy) });
    assert_eq!(running.store.figures().damage, Vec::<String>::new());
    for series in 0..SERIES {
        assert_eq!(running.read(series, 0, i64::MAX).len(), 330, "series {series}");
    }
    running.close();
}

#[test]
fn flipped_and_missing_bytes_anywhere_are_survived() {
    let home = tempfile::tempdir().unwrap();
    let killed = killed_store(home.path());
    let mut seeded = Seeded(11);
    println!("seed 11");
    for (number, file) in files(&killed).into_iter().enumerate() {
        for damage in ["flip", "cut", "empty"] {
            let copy = home.path().join(format!("{number}-{damage}"));
            copy_dir(&killed, &copy);
            let damaged = copy.join(file.strip_prefix(&killed).unwrap());
            let mut bytes = fs::read(&damaged).unwrap();
            match (damage, bytes.len()) {
                (_, 0) => continue,
                ("flip", len) => bytes[seeded.below(len as u64) as usize] ^= 0x40,
                ("cut", len) => bytes.truncate(seeded.below(len as u64) as usize),
                _ => bytes.clear(),
            }
            fs::write(&damaged, bytes).unwrap();
            open_damaged(&copy, &format!("{damage} of {}", damaged.display()));
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}

#[test]
fn a_directory_in_use_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(Settings::new(home.path()));
    let error = storage::open(Settings::new(home.path())).unwrap_err();
    assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&home.path().display().to_string()), "{error}");
    running.close();
}

#[test]
fn a_journal_of_another_store_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let killed = killed_store(home.path());
    let other = Running::open(Settings::new(home.path().join("other"))).close();
    fs::remove_dir_all(other.dir.join("journal")).unwrap();
    copy_dir(&killed.join("journal"), &other.dir.join("journal"));
    let error = storage::open(other).unwrap_err();
    assert!(error.to_string().contains("journal-"), "{error}");
}
