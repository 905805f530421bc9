//! Rollups: what is read of a day that is over is what its samples amount to, whatever happened in between, and it stays
//! when the samples are gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use storage::{Resolution, Rollup, Settings, increase};
use support::{Point, Running, Seeded};

const DAY_MS: i64 = 86_400_000;
const START_MS: i64 = 19_700 * DAY_MS;
const SERIES: usize = 12;
const FOREVER: i64 = i64::MAX / 4;

fn settings(dir: &std::path::Path) -> Settings {
    Settings { retention_ms: 0, shards: 2, ..Settings::new(dir) }
}

/// Gauges, counters that are reset now and then, constants, and staleness markers and NaN among all of them.
fn value(series: usize, step: i64, seeded: &mut Seeded) -> f64 {
    match (series % 4, seeded.below(60)) {
        (_, 0) => f64::NAN,
        (_, 1) => f64::from_bits(storage::sample::STALE_NAN_BITS),
        (0, _) => seeded.below(2_000) as f64 / 100.0 - 10.0,
        (1, _) => ((step % 700) * 13 + series as i64) as f64,
        (2, _) => 42.0,
        _ => f64::from_bits(0x3ff0_0000_0000_0000 | seeded.next() >> 12),
    }
}

/// Samples of all series for a day, one a minute, less for the later series.
fn day(number: i64, seeded: &mut Seeded) -> Vec<Point> {
    let mut points = Vec::new();
    for step in 0..1440 {
        for series in (0..SERIES).filter(|series| step % (1 + *series as i64) == 0) {
            let time_ms = START_MS + number * DAY_MS + step * 60_000 + series as i64;
            points.push((series, time_ms, value(series, number * 1440 + step, seeded)));
        }
    }
    points
}

/// What the definition says, in its plainest form.
fn naive(samples: &[(i64, f64)], resolution: Resolution) -> Vec<Rollup> {
    let mut days: BTreeMap<i64, BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
    for (time_ms, value) in samples.iter().filter(|(_, value)| !value.is_nan()) {
        let buckets = days.entry(time_ms.div_euclid(DAY_MS)).or_default();
        buckets.entry(time_ms.div_euclid(resolution.ms())).or_default().push(*value);
    }
    let mut found = Vec::new();
    for buckets in days.values() {
        let all: Vec<f64> = buckets.values().flatten().copied().collect();
        let falls = all.windows(2).filter(|pair| pair[1] < pair[0]).count();
        let is_counter = all.iter().all(|value| *value >= 0.0) && falls * 16 < all.len();
        found.extend(buckets.iter().map(|(number, values)| Rollup {
            start_ms: number * resolution.ms(),
            count: values.len() as u64,
            sum: values.iter().sum(),
            min: values.iter().copied().fold(f64::INFINITY, f64::min),
            max: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            first: values[0],
            last: values[values.len() - 1],
            drops: match is_counter {
                true => values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]).sum(),
                false => f64::NAN,
            },
        }));
    }
    found
}

fn read(running: &Running, series: usize, resolution: Resolution, from_ms: i64, to_ms: i64) -> Vec<Rollup> {
    let found = running.store.series_with("series", &series.to_string());
    let mut out = Vec::new();
    if let Some(series) = found.first() {
        running.store.rollups(*series, resolution, from_ms, to_ms, &mut out).unwrap();
    }
    out
}

/// All but the sums to the last bit; sums, which the store compensates, to nearly that.
fn assert_same(found: &[Rollup], expected: &[Rollup], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (a, b) in found.iter().zip(expected) {
        let bits = |r: &Rollup| [r.min, r.max, r.first, r.last].map(f64::to_bits);
        assert_eq!((a.start_ms, a.count, bits(a)), (b.start_ms, b.count, bits(b)), "{what}");
        let near = |a: f64, b: f64| a.is_nan() && b.is_nan() || (a - b).abs() <= 1e-12 * b.abs().max(1.0);
        assert!(near(a.sum, b.sum) && near(a.drops, b.drops), "{what}: {a:?} is not {b:?}");
    }
}

/// Compares all series over all time, and over a range that cuts days and buckets.
fn assert_as_samples(running: &Running, written: &BTreeMap<usize, BTreeMap<i64, f64>>, what: &str) {
    for (series, samples) in written {
        let samples: Vec<(i64, f64)> = samples.iter().map(|(time_ms, value)| (*time_ms, *value)).collect();
        for resolution in Resolution::ALL {
            let expected = naive(&samples, resolution);
            let what = format!("{what}, series {series}, {}", resolution.name());
            assert_same(&read(running, *series, resolution, -FOREVER, FOREVER), &expected, &what);
            let (from_ms, to_ms) = (START_MS + DAY_MS / 3 + 1, START_MS + 2 * DAY_MS + 7_200_000);
            let part: Vec<Rollup> =
                expected.iter().copied().filter(|bucket| (from_ms..=to_ms).contains(&bucket.start_ms)).collect();
            assert_same(&read(running, *series, resolution, from_ms, to_ms), &part, &format!("{what}, a part"));
        }
    }
}

fn append(running: &Running, points: &[Point], written: &mut BTreeMap<usize, BTreeMap<i64, f64>>) {
    let newest_ms = points.iter().map(|(_, time_ms, _)| *time_ms).max().unwrap();
    assert_eq!(running.append(newest_ms, points).stored, points.len() as u64);
    for &(series, time_ms, value) in points {
        written.entry(series).or_default().insert(time_ms, value);
    }
}

#[test]
fn days_that_are_over_read_as_their_samples_do() {
    let home = tempfile::tempdir().unwrap();
    let mut seeded = Seeded(5);
    let mut written = BTreeMap::new();
    let running = Running::open(settings(&home.path().join("0")));
    (0..3).for_each(|number| append(&running, &day(number, &mut seeded), &mut written));
    assert_as_samples(&running, &written, "before anything is rolled up");
    running.compact();
    let rolled = running.store.figures().keeper;
    assert!(rolled.rolled_days > 0 && rolled.rolled_samples > 3000, "{rolled:?}");
    assert_as_samples(&running, &written, "after a compaction");
    running.compact();
    assert_eq!(running.store.figures().keeper.rolled_days, rolled.rolled_days, "nothing is rolled up twice");

    // A series that is new may bring days long past; they are rolled up anew.
    let old: Vec<Point> = (0..1440).map(|step| (SERIES, START_MS + step * 60_000, step as f64)).collect();
    append(&running, &old, &mut written);
    assert_as_samples(&running, &written, "with samples of a day that was rolled up");
    let running = Running::open(running.killed(&home.path().join("1")));
    assert_as_samples(&running, &written, "after a kill");
    running.compact();
    assert!(running.store.figures().keeper.rolled_days > 0);
    assert_as_samples(&running, &written, "rolled up anew");
    let running = Running::open(running.close());
    assert_eq!(running.store.figures().damage, Vec::<String>::new());
    assert_as_samples(&running, &written, "after a restart");
    running.close();
}

/// A day that gets samples again and again is rolled up anew each time; only what came of it last takes room.
#[test]
fn rollups_that_others_have_overtaken_are_compacted_away() {
    let home = tempfile::tempdir().unwrap();
    let mut seeded = Seeded(7);
    let mut written = BTreeMap::new();
    let running = Running::open(settings(&home.path().join("0")));
    (0..3).for_each(|number| append(&running, &day(number, &mut seeded), &mut written));
    running.compact();
    let rolled_once = running.store.figures().keeper.rolled_days;
    for round in 0..10 {
        // Series that are new, so that they may bring days long past.
        let old = |series| (0..1440).map(move |step| (series, START_MS + step * 60_000, (step * round) as f64));
        let first = SERIES + 20 * round as usize;
        append(&running, &(first..first + 20).flat_map(old).collect::<Vec<Point>>(), &mut written);
        running.compact();
    }
    assert!(running.store.figures().keeper.rolled_days > 3 * rolled_once, "days were rolled up anew");
    assert_as_samples(&running, &written, "rolled up anew and compacted");
    let running = Running::open(running.close());
    assert_eq!(running.store.figures().damage, Vec::<String>::new());
    assert_as_samples(&running, &written, "after a restart");
    let named = blocks_named(&running.close().dir);
    // What a store has that was given the same samples at once.
    let at_once = Running::open(settings(&home.path().join("1")));
    let mut points: Vec<Point> = Vec::new();
    for (series, samples) in &written {
        points.extend(samples.iter().map(|(time_ms, value)| (*series, *time_ms, *value)));
    }
    points.sort_by_key(|(_, time_ms, _)| *time_ms);
    append(&at_once, &points, &mut BTreeMap::new());
    at_once.compact();
    let at_once = blocks_named(&at_once.close().dir);
    assert!(named * 10 <= at_once * 11, "{named} blocks, {at_once} when all came at once");
}

/// About how many blocks the indexes of all directories of rollups name: 33 bytes each, and little around them.
fn blocks_named(dir: &std::path::Path) -> u64 {
    let folders = Resolution::ALL.into_iter().map(|resolution| dir.join("rollups").join(resolution.name()));
    let directories = folders.flat_map(|folder| fs::read_dir(folder).unwrap()).map(|entry| entry.unwrap().path());
    let indexes = directories.map(|directory| directory.join("INDEX")).filter(|index| index.exists());
    indexes.map(|index| fs::metadata(index).unwrap().len() / 33).sum()
}

/// Nobody asks for it: the keeper rolls up by itself, a day of a partition at each tick.
#[test]
fn the_keeper_rolls_up_by_itself() {
    let home = tempfile::tempdir().unwrap();
    let (mut seeded, mut written) = (Seeded(6), BTreeMap::new());
    let running = Running::open(Settings { checkpoint_bytes: 1, ..settings(home.path()) });
    (0..2).for_each(|number| append(&running, &day(number, &mut seeded), &mut written));
    let partitions: std::collections::BTreeSet<u8> =
        (0..SERIES).map(|s| running.store.series_with("series", &s.to_string())[0].partition()).collect();
    let rolled = (0..1200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        running.store.figures().keeper.rolled_days >= partitions.len() as u64
    });
    assert!(rolled, "{:?}", running.store.figures());
    assert_as_samples(&running, &written, "rolled up by the keeper");
    running.close();
}

#[test]
fn rollups_outlive_their_samples_and_have_a_retention_of_their_own() {
    let home = tempfile::tempdir().unwrap();
    let (mut seeded, mut written) = (Seeded(7), BTreeMap::new());
    let retentions = (5 * DAY_MS, 30 * DAY_MS, 60 * DAY_MS);
    let settings = Settings {
        retention_ms: retentions.0,
        rollup_5m_retention_ms: retentions.1,
        rollup_1h_retention_ms: retentions.2,
        ..settings(home.path())
    };
    let running = Running::open(settings);
    // A directory takes days up to a month after its first, so each of these days begins one.
    for number in [0, 32, 64] {
        append(&running, &day(number, &mut seeded), &mut written);
        append(&running, &day(number + 1, &mut seeded), &mut written);
        running.compact();
    }
    let removed = (0..1200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        let keeper = running.store.figures().keeper;
        // The first two months of samples, the first of 5 minutes.
        keeper.directories_removed >= 2 && keeper.rollup_directories_removed >= 2
    });
    assert!(removed, "{:?}", running.store.figures());
    let (series, samples) = written.first_key_value().unwrap();
    let samples: Vec<(i64, f64)> = samples.iter().map(|(time_ms, value)| (*time_ms, *value)).collect();
    let since = |month: i64, resolution| {
        let expected = naive(&samples, resolution);
        expected.into_iter().filter(|b| b.start_ms >= START_MS + month * 32 * DAY_MS).collect::<Vec<_>>()
    };
    assert!(running.read(*series, 0, START_MS + 63 * DAY_MS).is_empty(), "the samples are gone");
    for (month, resolution) in [(2, Resolution::Minutes5), (1, Resolution::Hour)] {
        let found = read(&running, *series, resolution, -FOREVER, FOREVER);
        assert_same(&found, &since(month, resolution), resolution.name());
    }
    running.close();
}

/// Of a counter that is asked for hour by hour, the increase is what its samples rose by.
#[test]
fn the_increase_over_hours_is_that_of_the_samples() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(settings(home.path()));
    let at = |step: i64| (step % 3000) as f64 * 3.0;
    let points: Vec<Point> = (0..4 * 2880).map(|step| (1, START_MS + step * 15_000, at(step))).collect();
    assert_eq!(running.append(START_MS + 2 * DAY_MS, &points).stored, points.len() as u64);
    running.compact();
    let rose: f64 = (1..points.len() as i64).map(|step| if at(step) < at(step - 1) { at(step) } else { 3.0 }).sum();
    for resolution in Resolution::ALL {
        assert_eq!(increase(&read(&running, 1, resolution, 0, FOREVER)), rose, "{}", resolution.name());
    }
    running.close();
}

#[test]
fn damage_to_rollups_is_said_and_costs_no_sample() {
    let home = tempfile::tempdir().unwrap();
    let (mut seeded, mut written) = (Seeded(8), BTreeMap::new());
    let running = Running::open(settings(&home.path().join("whole")));
    (0..2).for_each(|number| append(&running, &day(number, &mut seeded), &mut written));
    running.compact();
    let dir = running.close().dir;
    let folder = dir.join("rollups/1h");
    let database = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path()).find(|path| path.is_dir()).unwrap();
    for round in 0..6 {
        let copy = home.path().join(format!("{round}"));
        support::copy_dir(&dir, &copy);
        let file = copy.join("rollups/1h").join(database.file_name().unwrap()).join("db");
        let mut bytes = fs::read(&file).unwrap();
        match round {
            0 => bytes.clear(),
            1 => bytes.truncate(bytes.len() / 2),
            // Only zeros are between what was written.
            _ => bytes.iter_mut().filter(|byte| **byte != 0).skip(2000 * round).take(3).for_each(|byte| *byte ^= 0x55),
        }
        fs::write(&file, bytes).unwrap();
        let running = Running::open(settings(&copy));
        for (series, samples) in &written {
            let expected: Vec<(i64, u64)> = samples.iter().map(|(t, v)| (*t, v.to_bits())).collect();
            assert_eq!(running.read(*series, 0, FOREVER), expected);
            let samples: Vec<(i64, f64)> = samples.iter().map(|(time_ms, value)| (*time_ms, *value)).collect();
            let expected = naive(&samples, Resolution::Hour);
            for bucket in read(&running, *series, Resolution::Hour, -FOREVER, FOREVER) {
                let same = expected.iter().find(|e| e.start_ms == bucket.start_ms).unwrap();
                assert_same(&[bucket], std::slice::from_ref(same), "a bucket that is served");
            }
        }
        let said = (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(50));
            !running.store.figures().damage.is_empty()
        });
        let whole = written.keys().all(|series| {
            let samples: Vec<(i64, f64)> = written[series].iter().map(|(t, v)| (*t, *v)).collect();
            read(&running, *series, Resolution::Hour, -FOREVER, FOREVER).len()
                == naive(&samples, Resolution::Hour).len()
        });
        assert!(said || whole, "round {round}: rollups are missing without a word");
        running.close();
    }
}
