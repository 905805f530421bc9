//! Promises of the block store: what was synced survives, compaction and retention change nothing else.

#![expect(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod blocks_support;

use blocks_support::{
    Model, NOV_20, chunk_of, compact, count, names, opaque, open, open_with, pending, samples, two_directories,
    without_first_day, write,
};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::blocks::{BlockSettings, BlockStore, DAY_MS};
use storage::series::PARTITIONS;

#[test]
fn what_was_synced_is_there_after_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut model = Model::new();
    let hour = |hours: i64| NOV_20 + hours * 3_600_000;
    for generation in 1..4u32 {
        let mut chunks: Vec<_> = (0..500).rev().map(|id| chunk_of(id, hour(generation.into()), 60, 0.5)).collect();
        chunks.push(chunk_of(7, NOV_20 - DAY_MS, 10, 1.5));
        write(&store, &mut model, 9, generation, chunks);
        assert_eq!(samples(&store, 9, 500), model, "readable before the sync");
        store.sync().unwrap();
    }
    drop(store);
    let store = open(folder.path());
    assert_eq!(samples(&store, 9, 500), model);
    assert_eq!(samples(&store, 8, 500), Model::new(), "another partition");
    assert_eq!(store.oldest_ms(), Some(NOV_20 - DAY_MS));
    assert_eq!(store.ids_with_data(9).unwrap().len(), 500);
    assert_eq!(count(&store, 9, 7, hour(1), hour(1)), 1);
    assert_eq!(count(&store, 9, 7, hour(1) - 1, hour(1) - 1), 0);
    assert_eq!(count(&store, 9, 7, i64::MIN, hour(2)), 5, "three of the day before, one an hour");
}

#[test]
fn blocks_of_a_checkpoint_that_never_completed_are_gone_after_opening() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for partition in [3, 4] {
        store.write(partition, 5, &mut vec![opaque(1, NOV_20, 100)]).unwrap();
        store.write(partition, 6, &mut vec![opaque(1, NOV_20 + 1000, 100)]).unwrap();
    }
    store.sync().unwrap();
    drop(store);
    let mut generations = [0; PARTITIONS];
    (generations[3], generations[4]) = (5, 6);
    let (store, damage) = BlockStore::open(folder.path(), BlockSettings::default(), &generations).unwrap();
    assert!(damage.is_empty());
    assert_eq!((count(&store, 3, 1, 0, i64::MAX), count(&store, 4, 1, 0, i64::MAX)), (1, 2));
    drop(store);
    assert_eq!(count(&open(folder.path()), 3, 1, 0, i64::MAX), 1, "for good, whatever is completed later");
}

#[test]
fn what_was_not_synced_may_be_lost_but_never_hurts() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(0, 1, &mut vec![opaque(1, NOV_20, 100)]).unwrap();
    drop(store);
    let store = open(folder.path());
    assert_eq!(names(folder.path()), ["MANIFEST"], "a directory that was never named is removed");
    store.write(0, 1, &mut vec![opaque(1, NOV_20, 100)]).unwrap();
    store.sync().unwrap();
    store.write(0, 2, &mut vec![opaque(1, NOV_20 + 5000, 100)]).unwrap();
    drop(store);
    let store = open(folder.path());
    store.write(0, 2, &mut vec![opaque(1, NOV_20 + 5000, 100)]).unwrap();
    assert_eq!(count(&store, 0, 1, 0, i64::MAX), 2);
}

/// What a killed process leaves behind is what its files held: a copy of an open store.
#[test]
fn what_was_synced_is_there_after_a_kill() {
    let (folder, image) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(folder.path());
    let mut model = Model::new();
    for generation in 1..6u32 {
        let start_ms = NOV_20 + i64::from(generation) * 600_000;
        write(&store, &mut model, 0, generation, (0..300).map(|id| chunk_of(id, start_ms, 40, 0.25)).collect());
        store.sync().unwrap();
        let target = image.path().join(generation.to_string());
        copy_folder(folder.path(), &target);
        assert_eq!(samples(&open(&target), 0, 300), model);
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

#[test]
fn compaction_keeps_every_sample_bit_for_bit_and_takes_less_space() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let (mut model, mut other) = (Model::new(), Model::new());
    let special = [0.0, -0.0, f64::NAN, f64::from_bits(0x7ff0_0000_0000_0002), f64::INFINITY, f64::MIN_POSITIVE, 0.1];
    for generation in 1..40u32 {
        // Every second round overlaps the one before, so times repeat with other values.
        let start_ms = NOV_20 + i64::from(generation) * 1_200_000 - i64::from(generation % 2) * 600_000;
        let chunks = || (0..300).map(|id| chunk_of(id, start_ms, 80, f64::from(id + generation))).collect();
        write(&store, &mut other, 63, generation, chunks());
        write(&store, &mut model, 0, generation, chunks());
        let times: Vec<i64> = (0..7).map(|i| start_ms + i).collect();
        write(&store, &mut model, 0, generation, vec![pending(300, &times, &special)]);
        store.sync().unwrap();
    }
    let chunks_before = count(&store, 0, 5, 0, i64::MAX);
    let report = compact(&store);
    assert_eq!(samples(&store, 0, 301), model);
    assert_eq!((report.directories, report.stopped), (1, false));
    assert_eq!(report.samples, (model.len() + other.len()) as u64);
    assert!(report.duplicates > 0 && report.bytes_after < report.bytes_before, "{report:?}");
    assert!(count(&store, 0, 5, 0, i64::MAX) < chunks_before / 5);
    assert_eq!(names(folder.path()), ["20261120-g2", "MANIFEST"]);
    assert_eq!(compact(&store).directories, 0, "nothing is left to do");
    drop(store);
    let mut generations = [0; PARTITIONS];
    (generations[0], generations[63]) = (39, 39);
    let (store, damage) = BlockStore::open(folder.path(), BlockSettings::default(), &generations).unwrap();
    assert!(damage.is_empty(), "{damage:?}");
    assert_eq!(samples(&store, 0, 301), model);
    assert_eq!(samples(&store, 63, 301), other);
    assert_eq!(compact(&store).directories, 0, "nor after reopening");
}

#[test]
fn values_that_do_not_compress_are_cut_into_chunks_that_fit() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut model = Model::new();
    let mut random = random_numbers(7);
    for part in 0..20i64 {
        let times: Vec<i64> = (0..200).map(|i| NOV_20 + (part * 200 + i) * 20_000).collect();
        let values: Vec<f64> = times.iter().map(|_| f64::from_bits(random(u64::MAX))).collect();
        write(&store, &mut model, 0, 1, vec![pending(0, &times, &values)]);
    }
    assert_eq!(compact(&store).samples, 4000);
    assert_eq!(samples(&store, 0, 1), model);
}

#[test]
fn a_reader_finishes_on_the_directory_that_compaction_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = two_directories(folder.path());
    let store = open(folder.path());
    let (mut seen, mut compacted) = (0, false);
    let ids: Vec<u32> = (0..400).collect();
    let each = &mut |_, _: &[u8]| {
        seen += 1;
        if !std::mem::replace(&mut compacted, true) {
            assert_eq!(compact(&store).directories, 2);
        }
    };
    store.chunks_of_many(0, &ids, i64::MIN, i64::MAX, each).unwrap();
    assert_eq!(seen, 800);
    assert_eq!(names(folder.path()), ["20261120-g2", "20261121-g2", "MANIFEST"], "the old ones went with the reader");
    assert_eq!(samples(&store, 0, 400), model);
    assert!(store.take_damage().is_empty());
}

#[test]
fn a_stopped_compaction_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = two_directories(folder.path());
    let store = open(folder.path());
    let report = store.compact(&AtomicBool::new(true)).unwrap();
    assert!(report.stopped && report.directories == 0);
    assert_eq!(names(folder.path()), ["20261120-g1", "20261121-g1", "MANIFEST"]);
    assert_eq!(samples(&store, 0, 400), model);
}

#[test]
fn retention_removes_whole_directories_and_only_those() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = two_directories(folder.path());
    let store = open(folder.path());
    assert!(store.remove_before(NOV_20 + DAY_MS - 1).unwrap().is_empty(), "its day is not over");
    assert_eq!(store.remove_before(NOV_20 + DAY_MS).unwrap(), ["20261120-g1"]);
    assert_eq!(names(folder.path()), ["20261121-g1", "MANIFEST"]);
    assert_eq!(samples(&store, 0, 400), without_first_day(&model));
    store.write(0, 2, &mut vec![opaque(1, NOV_20 - DAY_MS, 50), opaque(1, NOV_20 + 40 * DAY_MS, 50)]).unwrap();
    assert_eq!(store.remove_before(NOV_20).unwrap(), ["20261119-g1"], "just written, and too old already");
    drop(store);
    assert_eq!(open(folder.path()).span_ms(), Some((NOV_20 + DAY_MS, NOV_20 + 40 * DAY_MS + 999)));
}

#[test]
fn days_go_to_the_directory_that_reaches_them() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for day in [0, 30, 31, 10, -1, 61, 62] {
        store.write(0, 1, &mut vec![opaque(1, NOV_20 + day * DAY_MS, 50)]).unwrap();
    }
    store.sync().unwrap();
    let expected = ["20261119-g1", "20261120-g1", "20261221-g1", "20270121-g1", "MANIFEST"];
    assert_eq!(names(folder.path()), expected, "31 days each, and older days in one of their own");
    assert_eq!(store.health().iter().map(|directory| directory.blocks).collect::<Vec<_>>(), [1, 3, 2, 1]);
}

#[test]
fn engines_beyond_the_limits_are_closed_and_open_again_when_needed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = BlockSettings { directory_bytes_close: 1, open_max: 2, ..BlockSettings::default() };
    let open_engines = |store: &BlockStore| store.health().iter().filter(|d| d.operations.is_some()).count();
    let store = open_with(folder.path(), settings);
    for day in 0..5 {
        store.write(0, 1, &mut vec![opaque(1, NOV_20 + day * DAY_MS, 50)]).unwrap();
    }
    store.sync().unwrap();
    assert_eq!((store.health().len(), open_engines(&store)), (5, 2));
    assert_eq!(count(&store, 0, 1, 0, i64::MAX), 5);
    assert_eq!(open_engines(&store), 2);
    drop(store);
    let store = open_with(folder.path(), BlockSettings { cache_bytes: 1, ..settings });
    assert_eq!(open_engines(&store), 0, "opening a store opens no engine");
    assert_eq!(count(&store, 0, 1, 0, i64::MAX), 5);
    assert_eq!(open_engines(&store), 0, "no page fits into one byte");
}

#[test]
fn chunks_that_no_block_may_hold_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let too_large = opaque(1, NOV_20, 7000);
    let two_days = opaque(1, NOV_20 + DAY_MS - 1, 10);
    let far_away = opaque(1, i64::MAX / 2 / DAY_MS * DAY_MS, 10);
    for (chunk, why) in [(too_large, "more than 6144"), (two_days, "within one day"), (far_away, "four digits")] {
        let mut chunks = vec![opaque(0, NOV_20, 10), chunk];
        let refused = store.write(0, 1, &mut chunks).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
        assert_eq!((count(&store, 0, 0, 0, i64::MAX), chunks.len()), (0, 2));
    }
}

/// Numbers below a bound, the same for the same seed.
fn random_numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// Random writes, syncs, restarts, compactions and removals against the naive map.
#[test]
fn the_store_agrees_with_a_plain_map_through_restarts() {
    for seed in 1..=3u64 {
        println!("seed {seed}");
        let mut random = random_numbers(seed);
        let folder = tempfile::tempdir().unwrap();
        let settings = BlockSettings {
            directory_bytes_close: 1 << 20,
            cache_bytes: 1 << 20,
            open_max: 2,
            ..BlockSettings::default()
        };
        let mut store = open_with(folder.path(), settings);
        let mut model = Model::new();
        for generation in 1..50 {
            match random(12) {
                0 => {
                    drop(store);
                    store = open_with(folder.path(), settings);
                }
                1 => assert!(!compact(&store).stopped),
                2 => {
                    let cutoff_ms = NOV_20 + random(7) as i64 * DAY_MS;
                    store.remove_before(cutoff_ms).unwrap();
                    let oldest_ms = store.oldest_ms().unwrap_or(i64::MAX);
                    // A directory goes whole: what is left of the map begins where the store begins.
                    assert!(model.keys().all(|(_, time)| *time >= oldest_ms || *time < cutoff_ms));
                    model.retain(|(_, time), _| *time >= oldest_ms);
                }
                _ => {
                    // At most one chunk a series and write, so that their order within a write does not matter.
                    let mut ids: Vec<_> = (0..1 + random(100)).map(|_| random(60) as u32).collect();
                    ids.sort_unstable();
                    ids.dedup();
                    let mut start_ms = || NOV_20 + random(6) as i64 * DAY_MS + random(1000) as i64 * 15_000;
                    let starts: Vec<_> = ids.iter().map(|_| start_ms()).collect();
                    let mut chunk = |id, start_ms| chunk_of(id, start_ms, 1 + random(200) as i64, random(50) as f64);
                    let chunks = ids.iter().zip(starts).map(|(id, start_ms)| chunk(*id, start_ms)).collect();
                    write(&store, &mut model, 5, generation, chunks);
                    store.sync().unwrap();
                }
            }
            assert_eq!(samples(&store, 5, 60), model, "seed {seed}, step {generation}");
        }
    }
}

#[test]
fn readers_on_other_threads_never_lose_a_sample_while_the_store_is_written_and_compacted() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut model = Model::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut most = 0;
            while !stop.load(Ordering::Acquire) {
                let found = samples(&store, 0, 50).len();
                assert!(found >= most, "{found} samples after {most}");
                most = found;
            }
        });
        for generation in 1..30u32 {
            let start_ms = NOV_20 + i64::from(generation) * 600_000;
            let chunks = (0..50).map(|id| chunk_of(id, start_ms, 40, 2.0)).collect();
            write(&store, &mut model, 0, generation, chunks);
            store.sync().unwrap();
            if generation % 7 == 0 {
                compact(&store);
            }
        }
        stop.store(true, Ordering::Release);
        reader.join().unwrap();
    });
    assert_eq!(samples(&store, 0, 50), model);
}
