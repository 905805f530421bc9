//! A snapshot that is taken under load opens by itself, with every sample that was acknowledged before it was asked for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use storage::{Resolution, Settings};
use support::{Point, Running};

const START_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 300;
const STEP_MS: i64 = 60_000;

fn settings(dir: &Path) -> Settings {
    Settings { retention_ms: 0, shards: 2, checkpoint_bytes: 100_000, ..Settings::new(dir) }
}

fn points(step: i64) -> Vec<Point> {
    (0..SERIES).map(|series| (series, START_MS + step * STEP_MS, (step * 3 + series as i64) as f64)).collect()
}

/// How many steps a store has of every series, all of them whole from the first on.
fn steps(running: &Running) -> i64 {
    let of = |series: usize| {
        let read = running.read(series, 0, i64::MAX);
        for (step, (time_ms, bits)) in read.iter().enumerate() {
            assert_eq!(*time_ms, START_MS + step as i64 * STEP_MS, "series {series}");
            assert_eq!(*bits, (step as f64 * 3.0 + series as f64).to_bits(), "series {series} step {step}");
        }
        read.len() as i64
    };
    (0..SERIES).map(of).min().unwrap()
}

#[test]
fn a_snapshot_under_load_has_all_that_was_acknowledged_before() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(settings(&home.path().join("live")));
    fs::create_dir(home.path().join("live/models")).unwrap();
    fs::write(home.path().join("live/models/00.models"), b"what others keep").unwrap();
    // More than a day, so that rollups are in it too.
    (0..1600).for_each(|step| _ = running.append(START_MS + step * STEP_MS, &points(step)));
    running.compact();
    let (acknowledged, stop) = (AtomicI64::new(1600), AtomicBool::new(false));
    let taken: Vec<i64> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let step = acknowledged.load(Ordering::Relaxed);
                assert_eq!(running.append(START_MS + step * STEP_MS, &points(step)).stored, SERIES as u64);
                acknowledged.store(step + 1, Ordering::Release);
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Readers use the engines that a snapshot wants closed.
                assert!(running.read(7, 0, i64::MAX).len() >= 1600);
            }
        });
        let taken = (0..3).map(|number| {
            let before = acknowledged.load(Ordering::Acquire);
            let report = running.snapshot(&home.path().join(format!("copy-{number}"))).unwrap();
            assert!(report.files > 64 && report.bytes > 100_000, "{report:?}");
            before
        });
        let taken = taken.collect();
        stop.store(true, Ordering::Relaxed);
        taken
    });
    for (number, before) in taken.into_iter().enumerate() {
        let dir = home.path().join(format!("copy-{number}"));
        assert_eq!(fs::read(dir.join("models/00.models")).unwrap(), b"what others keep");
        let copy = Running::open(settings(&dir));
        assert_eq!(copy.store.figures().damage, Vec::<String>::new());
        assert!(steps(&copy) >= before, "snapshot {number}: {} of {before} steps", steps(&copy));
        let series = copy.store.series_with("series", "3")[0];
        let mut buckets = Vec::new();
        copy.store.rollups(series, Resolution::Hour, START_MS, START_MS + 20 * 3_600_000, &mut buckets).unwrap();
        assert!(buckets.len() >= 20 && buckets[1].count == 60, "{}", buckets.len());
        // It is a store: it takes samples, and is there after a restart.
        let step = steps(&copy);
        // The step that was on its way may be in it for some series.
        let tally = copy.append(START_MS + step * STEP_MS, &points(step));
        assert_eq!(tally.stored + tally.duplicate, SERIES as u64);
        let copy = Running::open(copy.close());
        assert!(steps(&copy) > before);
        copy.close();
    }
    assert_eq!(steps(&running), acknowledged.into_inner());
    running.close();
}

#[test]
fn a_snapshot_goes_where_nothing_is_and_not_into_the_store() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(settings(&home.path().join("live")));
    running.append(START_MS, &points(0));
    let taken = home.path().join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine"), b"").unwrap();
    for dir in [&taken, &home.path().join("live/inside")] {
        let error = running.snapshot(dir).unwrap_err();
        assert!(error.to_string().contains(&dir.display().to_string()), "{error}");
    }
    // One that was not finished is begun anew, and an empty directory is no obstacle.
    let dir = home.path().join("copy");
    fs::create_dir_all(home.path().join("copy.partial/blocks")).unwrap();
    fs::create_dir(&dir).unwrap();
    running.snapshot(&dir).unwrap();
    assert!(!home.path().join("copy.partial").exists() && !dir.join("journal").exists());
    assert_eq!(steps(&Running::open(settings(&dir))), 1);
    running.close();
}
