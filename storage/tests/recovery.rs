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

/// Opens a damaged copy: it opens, whatever it serves was written, everything outside of the damaged file is served,
/// what is missing is reported, and new samples are taken.
fn open_damaged(dir: &Path, damaged: &Path, may_be_silent: bool, what: &str) {
    let settings = Settings { retention_ms: 0, shards: 3, ..Settings::new(dir) };
    let opened = std::panic::catch_unwind(|| storage::open(settings.clone()));
    let opened = opened.unwrap_or_else(|_| panic!("panicked on {what}"));
    let running = Running::of(opened.unwrap_or_else(|error| panic!("{what}: refused with: {error}")), settings);
    let mut missing = 0;
    for series in 0..SERIES {
        let read = running.read(series, 0, i64::MAX);
        let steps: Vec<i64> = read.iter().map(|(time_ms, _)| (time_ms - START_MS + 400_000) / 1000).collect();
        for (step, (time_ms, bits)) in steps.iter().zip(&read) {
            assert_eq!(*bits, ((step * 7) as f64).to_bits(), "{what}: series {series} at {time_ms}");
        }
        let survive = |range: std::ops::Range<i64>| {
            assert!(
                range.clone().all(|step| steps.binary_search(&step).is_ok()),
                "{what}: series {series} lacks some of {range:?}"
            )
        };
        match damaged.components().next().unwrap().as_os_str().to_str().unwrap() {
            "journal" => survive(0..300),
            "blocks" => survive(300..330),
            _ => survive(0..330),
        }
        missing += 330 - steps.len();
    }
    assert!(
        missing == 0 || may_be_silent || is_reported(&running),
        "{what}: {missing} samples are missing without a word"
    );
    let fresh: Vec<Point> = (0..SERIES).map(|series| (series, START_MS + 1000, 1.5)).collect();
    assert_eq!(running.append(START_MS + 1000, &fresh).stored, SERIES as u64, "{what}");
    running.close();
}

/// Whether the store says that something is damaged; what reading finds is known a moment later.
fn is_reported(running: &Running) -> bool {
    let replayed = &running.replayed;
    let look = || replayed.damaged_places > 0 || replayed.torn_bytes > 0 || !running.store.figures().damage.is_empty();
    (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        look()
    })
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
        let damaged = file.strip_prefix(&killed).unwrap();
        // Without its identity a store is none: it is refused by name, see below.
        if damaged == Path::new("STORE") {
            continue;
        }
        // One checkpoint is like another, of the rest there are few.
        let is_checkpoint = damaged.starts_with("checkpoints");
        if is_checkpoint && number % 8 != 0 {
            continue;
        }
        let flips = if is_checkpoint { 1 } else { 5 };
        let kinds = std::iter::repeat_n("flip", flips).chain(["cut", "empty", "gone"]);
        for (round, kind) in kinds.enumerate() {
            let copy = home.path().join(format!("{number}-{round}"));
            copy_dir(&killed, &copy);
            let path = copy.join(damaged);
            let mut bytes = fs::read(&path).unwrap();
            let at = seeded.below(bytes.len().max(1) as u64) as usize;
            match (kind, bytes.len()) {
                (_, 0) => continue,
                ("flip", _) => bytes[at] ^= 1 << seeded.below(8),
                ("cut", _) => bytes.truncate(at),
                _ => bytes.clear(),
            }
            match kind {
                "gone" => fs::remove_file(&path).unwrap(),
                _ => fs::write(&path, bytes).unwrap(),
            }
            // The newest segment may end anywhere: that is how a crash leaves it, and nothing else knows its length.
            let may_be_silent = damaged.starts_with("journal") && kind != "flip";
            open_damaged(&copy, damaged, may_be_silent, &format!("{kind} of {} at {at}", damaged.display()));
            fs::remove_dir_all(&copy).unwrap();
        }
    }
}

/// Of a store that was stopped, the newest samples are in checkpoints alone.
#[test]
fn no_open_head_is_lost_with_one_checkpoint_file_or_with_the_copy() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { retention_ms: 0, shards: 2, ..Settings::new(home.path().join("whole")) };
    let running = Running::open(settings);
    running.append(START_MS, &points(0..330));
    let whole = running.close().dir;
    let mut seeded = Seeded(12);
    println!("seed 12");
    let checkpoints = files(&whole.join("checkpoints"));
    assert!(checkpoints.iter().any(|path| path.ends_with("copy.iwc")), "{checkpoints:?}");
    for (number, file) in checkpoints.iter().enumerate() {
        let copy = home.path().join(format!("{number}"));
        copy_dir(&whole, &copy);
        let name = file.file_name().unwrap();
        let path = copy.join("checkpoints").join(name);
        if number % 2 == 0 {
            fs::remove_file(&path).unwrap();
        } else {
            let mut bytes = fs::read(&path).unwrap();
            let at = seeded.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << seeded.below(8);
            fs::write(&path, bytes).unwrap();
        }
        let running = Running::open(Settings { retention_ms: 0, ..Settings::new(&copy) });
        for series in 0..SERIES {
            assert_eq!(running.read(series, 0, i64::MAX).len(), 330, "series {series} without {}", name.display());
        }
        let damage = running.store.figures().damage;
        assert!(name == "copy.iwc" || damage.iter().any(|what| what.contains("taken from the copy")), "{damage:?}");
        running.close();
        fs::remove_dir_all(&copy).unwrap();
    }
}

/// An engine that opens a damaged file cuts off what it wrote behind the damage: it is not let near it.
#[test]
fn a_damaged_directory_of_blocks_stays_as_it_is_and_serves_what_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let killed = killed_store(home.path());
    let database = files(&killed.join("blocks")).into_iter().find(|path| path.ends_with("db")).unwrap();
    let mut bytes = fs::read(&database).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    // Every second piece, about as long as a block.
    bytes[..end].chunks_mut(600).step_by(2).for_each(|piece| piece.fill(0x5A));
    fs::write(&database, &bytes).unwrap();
    let mut served = Vec::new();
    for round in 0..3 {
        let running = Running::open(Settings { retention_ms: 0, ..Settings::new(&killed) });
        let old = |series| running.read(series, 0, START_MS - 1).len();
        served.push((0..SERIES).map(old).sum::<usize>());
        assert!(is_reported(&running), "{:?}", running.store.figures().damage);
        let fresh: Vec<Point> = (0..SERIES).map(|series| (series, START_MS + round * 1000, 1.5)).collect();
        assert_eq!(running.append(START_MS + round * 1000, &fresh).stored, SERIES as u64);
        running.compact();
        running.close();
        assert!(fs::read(&database).unwrap() == bytes, "the damaged file was changed");
    }
    assert!(served[0] > SERIES * 30 && served[0] < SERIES * 330, "{served:?}");
    assert!(served.iter().all(|count| *count == served[0]), "{served:?}");
}

#[test]
fn a_store_without_its_identity_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let killed = killed_store(home.path());
    fs::write(killed.join("STORE"), b"IWSTORE1short").unwrap();
    let error = storage::open(Settings::new(&killed)).unwrap_err();
    assert!(error.to_string().contains("STORE"), "{error}");
}

/// The journal of a store is replayed by as many threads as there are shards, whatever their number was before.
#[test]
fn any_number_of_shards_recovers_the_same() {
    let home = tempfile::tempdir().unwrap();
    let killed = killed_store(home.path());
    for shards in [1, 2, 5, 64] {
        let copy = home.path().join(format!("shards-{shards}"));
        copy_dir(&killed, &copy);
        let running = Running::open(Settings { retention_ms: 0, shards, ..Settings::new(&copy) });
        assert_eq!(running.store.figures().series, SERIES as u64);
        for series in 0..SERIES {
            assert_eq!(running.read(series, 0, i64::MAX).len(), 330, "series {series} of {shards} shards");
        }
        running.close();
    }
}

/// A shard that does not answer the keeper stands for whatever hangs.
#[expect(clippy::disallowed_methods, reason = "a test's thread ends with it and needs no name")]
#[test]
fn what_hangs_is_said_and_forgotten_when_it_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { stuck_after: std::time::Duration::from_millis(100), ..Settings::new(home.path()) };
    let mut opened = storage::open(settings).unwrap();
    let (answer, _answered) = crossbeam_channel::bounded(1);
    opened.store.compact(Box::new(move |result| _ = answer.send(result.is_ok()))).unwrap();
    let stuck = |wanted: bool| {
        (0..400).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(25));
            opened.store.figures().stuck.iter().any(|what| what.contains("shard")) == wanted
        })
    };
    assert!(stuck(true), "nobody serves the shard's tasks");
    let mut shard = opened.shards.pop().unwrap();
    let served = std::thread::spawn(move || {
        let tasks = shard.tasks().clone();
        tasks.iter().for_each(|task| task(&mut shard));
    });
    assert!(stuck(false), "they are served again");
    opened.threads.close().unwrap();
    served.join().unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test's thread ends with it and needs no name")]
#[test]
fn a_thread_that_panics_is_named() {
    let home = tempfile::tempdir().unwrap();
    let mut opened = storage::open(Settings { shards: 2, ..Settings::new(home.path()) }).unwrap();
    let mut shards = opened.shards.drain(..);
    let (mut first, second) = (shards.next().unwrap(), shards.next().unwrap());
    assert!(opened.store.figures().panicked.is_empty());
    let panicked = std::thread::spawn(move || {
        let _owned = second;
        panic!("as a broken invariant would");
    });
    assert!(panicked.join().is_err());
    assert_eq!(opened.store.figures().panicked, ["shard-1"]);

    // The committer calls this on its own thread.
    let key = support::key(0);
    let (hash, _) = storage::route(&key, 1);
    let row = storage::Row { hash, key: &key, times: &[START_MS], values: &[1.0] };
    if first.owns(hash) {
        first.append(START_MS, std::iter::once(row)).unwrap();
    }
    first.commit(Box::new(|_| panic!("as a broken invariant would")));
    let failure = (0..400).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(25));
        opened.store.figures().journal_failure
    });
    assert!(failure.as_ref().is_some_and(|what| what.contains("panicked")), "{failure:?}");
    drop(first);
    assert!(opened.threads.close().is_err());
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
