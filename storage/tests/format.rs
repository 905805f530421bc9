//! Stores of every format that was ever released still open, with every sample bit for bit.
//!
//! `samples/v1.store` is a data directory packed by `pack` below, `v2.store` one with a copy of the catalog, `v3.store` one
//! with rollups and a copy of the checkpoints. To make one for a new version, name it in `SAMPLES` and run
//! `INFRAWATCH_WRITE_SAMPLE=1 cargo test -p storage --test format` and commit the file under its new name; a file that
//! is there is never written again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use storage::{Resolution, Rollup, Settings};
use support::{Point, Running};

const SAMPLES: [&str; 3] = ["v1.store", "v2.store", "v3.store"];
/// A series of two days long over, from the third format on, which has rollups of them.
const OLD_SERIES: usize = 100;
const OLD_START_MS: i64 = (START_MS / 86_400_000 - 3) * 86_400_000;
const START_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 20;
const STEPS: i64 = 400;

/// What the sample holds: counters, gauges with two decimals, constants, full doubles, and every odd double.
fn value(series: usize, step: i64) -> f64 {
    match (series % 5, step % 97) {
        (4, 0) => f64::NAN,
        (4, 1) => f64::from_bits(storage::sample::STALE_NAN_BITS),
        (4, 2) => -0.0,
        (4, 3) => f64::NEG_INFINITY,
        (0, _) => (step * 1000 + series as i64) as f64,
        (1, _) => ((step * 7919) % 10_000) as f64 / 100.0,
        (2, _) => 42.0,
        _ => ((step + 1) as f64).sqrt() * 1e-3,
    }
}

fn points(steps: std::ops::Range<i64>) -> Vec<Point> {
    let of = |step| (0..SERIES).map(move |series| (series, START_MS + step * 15_000, value(series, step)));
    steps.flat_map(of).collect()
}

fn settings(dir: &Path) -> Settings {
    Settings { retention_ms: 0, shards: 2, ..Settings::new(dir) }
}

/// A store with samples in blocks, in heads of a checkpoint, and in the journal.
fn make(home: &Path) -> PathBuf {
    let running = Running::open(settings(&home.join("live")));
    let old: Vec<Point> = (0..288).map(|step| (OLD_SERIES, OLD_START_MS + step * 600_000, step as f64)).collect();
    running.append(START_MS, &old);
    running.append(START_MS + STEPS * 15_000, &points(0..300));
    running.compact();
    running.append(START_MS + STEPS * 15_000, &points(300..350));
    let running = Running::open(running.close());
    running.append(START_MS + STEPS * 15_000, &points(350..STEPS));
    let copy = home.join("sample");
    running.killed(&copy);
    copy
}

/// All files of a directory in one: for each its path, a zero byte, its length (u64, little endian) and its bytes, with
/// runs of zeros as a zero byte and their length (u32), since the engine's files are mostly that.
fn pack(dir: &Path, root: &Path, out: &mut Vec<u8>) {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            pack(&path, root, out);
            continue;
        }
        out.extend(path.strip_prefix(root).unwrap().to_str().unwrap().bytes());
        out.push(0);
        let bytes = fs::read(&path).unwrap();
        out.extend((bytes.len() as u64).to_le_bytes());
        let mut rest = bytes.as_slice();
        while let Some(&first) = rest.first() {
            out.push(first);
            let run = rest.iter().take_while(|byte| **byte == first).count();
            if first == 0 {
                out.extend((run as u32).to_le_bytes());
            }
            rest = &rest[if first == 0 { run } else { 1 }..];
        }
    }
}

fn unpack(mut packed: &[u8], root: &Path) {
    fn take<'a>(packed: &mut &'a [u8], len: usize) -> &'a [u8] {
        let (taken, rest) = packed.split_at(len);
        *packed = rest;
        taken
    }
    while !packed.is_empty() {
        let name_len = packed.iter().position(|byte| *byte == 0).unwrap();
        let path = root.join(std::str::from_utf8(take(&mut packed, name_len)).unwrap());
        take(&mut packed, 1);
        let len = u64::from_le_bytes(take(&mut packed, 8).try_into().unwrap()) as usize;
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            match take(&mut packed, 1)[0] {
                0 => {
                    let run = u32::from_le_bytes(take(&mut packed, 4).try_into().unwrap());
                    bytes.resize(bytes.len() + run as usize, 0);
                }
                byte => bytes.push(byte),
            }
        }
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_store_of_every_format_opens_with_every_sample() {
    for name in SAMPLES {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
        let home = tempfile::tempdir().unwrap();
        if !sample.exists() && std::env::var_os("INFRAWATCH_WRITE_SAMPLE").is_some() {
            let made = make(home.path());
            let mut packed = Vec::new();
            pack(&made, &made, &mut packed);
            fs::write(&sample, packed).unwrap();
        }
        let unpacked = home.path().join("unpacked");
        unpack(&fs::read(&sample).unwrap(), &unpacked);
        let running = Running::open(settings(&unpacked));
        assert_eq!(running.store.figures().damage, Vec::<String>::new(), "{name}");
        for series in 0..SERIES {
            let expected: Vec<(i64, u64)> =
                (0..STEPS).map(|step| (START_MS + step * 15_000, value(series, step).to_bits())).collect();
            assert_eq!(running.read(series, 0, i64::MAX), expected, "series {series} of {name}");
        }
        if name == "v3.store" {
            assert_rollups(&running, &unpacked);
        }
        running.close();
    }
}

fn assert_rollups(running: &Running, dir: &Path) {
    assert!(
        fs::read_dir(dir.join("rollups/1h")).unwrap().count() > 1,
        "they are in the sample, not made of its samples"
    );
    let series = running.store.series_with("series", &OLD_SERIES.to_string())[0];
    let mut found = Vec::new();
    running.store.rollups(series, Resolution::Hour, 0, i64::MAX / 2, &mut found).unwrap();
    let expected = |hour: i64| {
        let (first, last) = (6 * hour, 6 * hour + 5);
        let start_ms = OLD_START_MS + hour * 3_600_000;
        let [first, last] = [first, last].map(|step| step as f64);
        Rollup { start_ms, count: 6, sum: 3.0 * (first + last), min: first, max: last, first, last, drops: 0.0 }
    };
    assert_eq!(found, (0..48).map(expected).collect::<Vec<_>>());
}
