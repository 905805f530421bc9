//! Random operations, restarts, kills, compactions and snapshots among them, against a plain map: the store holds exactly
//! what the map holds, bit for bit, and every sample is accounted for. With a retention, it holds all that is younger.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use storage::{Resolution, Settings, Tally};
use support::{Point, Running, Seeded};

const SERIES: u64 = 40;
const START_MS: i64 = 1_700_000_000_000;
const OUT_OF_ORDER_MS: i64 = 3_600_000;
const STEP_MS_MAX: u64 = 4_000;
/// More than the clock moves in a batch: the shards see each other's newest sample at a time of their own, so that just
/// at the edge of the window either answer is right.
const MARGIN_MS: i64 = 400 * STEP_MS_MAX as i64;

/// The rules of the store in their plainest form.
#[derive(Default)]
struct Model {
    series: BTreeMap<usize, BTreeMap<i64, u64>>,
    newest_ms: i64,
}

impl Model {
    fn append(&mut self, points: &[Point]) -> Tally {
        let late_before_ms = self.newest_ms - OUT_OF_ORDER_MS;
        let mut tally = Tally::default();
        for &(series, time_ms, value) in points {
            let samples = self.series.entry(series).or_default();
            let newest_ms = samples.last_key_value().map_or(i64::MIN, |(time_ms, _)| *time_ms);
            match samples.get(&time_ms) {
                Some(bits) if *bits == value.to_bits() => tally.duplicate += 1,
                Some(_) => tally.conflict += 1,
                None if time_ms < newest_ms && time_ms < late_before_ms => tally.late += 1,
                None => {
                    samples.insert(time_ms, value.to_bits());
                    tally.stored += 1;
                    self.newest_ms = self.newest_ms.max(time_ms);
                }
            }
        }
        tally
    }

    fn assert_equals(&self, running: &Running, what: &str) {
        for (series, samples) in &self.series {
            let expected: Vec<(i64, u64)> = samples.iter().map(|(time_ms, bits)| (*time_ms, *bits)).collect();
            assert_eq!(running.read(*series, 0, i64::MAX), expected, "series {series} after {what}");
            assert_eq!(running.newest(*series), expected.last().copied(), "newest of {series} after {what}");
            let middle_ms = START_MS + (self.newest_ms - START_MS) / 2;
            let part: Vec<_> = expected.iter().copied().filter(|(time_ms, _)| *time_ms >= middle_ms).collect();
            assert_eq!(running.read(*series, middle_ms, self.newest_ms), part, "range of {series} after {what}");
            let numbers = expected.iter().filter(|(_, bits)| !f64::from_bits(*bits).is_nan()).count() as u64;
            assert_eq!(rolled_up(running, *series), numbers, "numbers in the hours of {series} after {what}");
        }
    }
}

/// How many numbers all hours of a series have.
fn rolled_up(running: &Running, series: usize) -> u64 {
    let found = running.store.series_with("series", &series.to_string());
    let mut buckets = Vec::new();
    running.store.rollups(found[0], Resolution::Hour, 0, i64::MAX / 2, &mut buckets).unwrap();
    assert!(buckets.is_sorted_by(|a, b| a.start_ms < b.start_ms), "series {series}");
    buckets.iter().map(|bucket| bucket.count).sum()
}

fn value(seeded: &mut Seeded) -> f64 {
    match seeded.below(12) {
        0 => f64::NAN,
        1 => f64::from_bits(storage::sample::STALE_NAN_BITS),
        2 => f64::NEG_INFINITY,
        3 => -0.0,
        4 => f64::from_bits(seeded.next()),
        5..=8 => seeded.below(100_000) as f64 / 100.0,
        _ => seeded.below(1_000_000) as f64,
    }
}

/// A batch around a clock that moves on, with samples out of order, twice, in conflict and too late.
fn batch(seeded: &mut Seeded, clock_ms: &mut i64, model: &Model) -> Vec<Point> {
    let len = 1 + seeded.below(400);
    (0..len)
        .map(|_| {
            *clock_ms += seeded.below(STEP_MS_MAX) as i64;
            let series = seeded.below(SERIES) as usize;
            let value = value(seeded);
            let known = model.series.get(&series).filter(|samples| !samples.is_empty());
            match (seeded.below(20), known) {
                (0, Some(samples)) => {
                    let at = seeded.below(samples.len() as u64) as usize;
                    let (time_ms, bits) = samples.iter().nth(at).unwrap();
                    (series, *time_ms, f64::from_bits(*bits))
                }
                (1, Some(samples)) => (series, *samples.last_key_value().unwrap().0, value),
                (2, _) => (series, *clock_ms - seeded.below((OUT_OF_ORDER_MS - MARGIN_MS) as u64) as i64, value),
                (3, _) => {
                    let age_ms = OUT_OF_ORDER_MS + MARGIN_MS + seeded.below(40 * OUT_OF_ORDER_MS as u64) as i64;
                    (series, *clock_ms - age_ms, value)
                }
                _ => (series, *clock_ms, value),
            }
        })
        .collect()
}

fn run(seed: u64) {
    println!("seed {seed}");
    let mut seeded = Seeded(seed);
    let home = tempfile::tempdir().unwrap();
    let mut settings = Settings { shards: 2, retention_ms: 0, ..Settings::new(home.path().join("0")) };
    let mut running = Running::open(settings.clone());
    let mut model = Model::default();
    let mut clock_ms = START_MS;
    // The first sample sets the store's clock for both shards.
    assert_eq!(running.append(clock_ms, &[(0, clock_ms, 0.0)]), model.append(&[(0, clock_ms, 0.0)]));
    for round in 0..60 {
        let points = batch(&mut seeded, &mut clock_ms, &model);
        let expected = model.append(&points);
        assert_eq!(running.append(clock_ms, &points), expected, "round {round}");
        match seeded.below(12) {
            0 => {
                settings = Settings { shards: 1 + seeded.below(5) as usize, ..running.close() };
                running = Running::open(settings.clone());
                model.assert_equals(&running, "a restart");
            }
            1 => {
                settings = running.killed(&home.path().join(format!("{}", round + 1)));
                running = Running::open(settings.clone());
                model.assert_equals(&running, "a kill");
            }
            2 => {
                running.compact();
                model.assert_equals(&running, "a compaction");
            }
            3 => {
                let copy = home.path().join(format!("{}", round + 1));
                running.snapshot(&copy).unwrap();
                running.close();
                settings.dir = copy;
                running = Running::open(settings.clone());
                model.assert_equals(&running, "a snapshot");
            }
            _ => {}
        }
    }
    model.assert_equals(&running, "the last round");
    running.close();
}

/// Steps of hours, so that directories of old days go; series fall silent for long, leave, and come back.
fn run_with_retention(seed: u64) {
    println!("seed {seed}");
    const HOUR_MS: i64 = 3_600_000;
    const RETENTION_MS: i64 = 72 * HOUR_MS;
    let mut seeded = Seeded(seed);
    let home = tempfile::tempdir().unwrap();
    let mut settings = Settings { shards: 2, retention_ms: RETENTION_MS, ..Settings::new(home.path().join("0")) };
    let mut running = Running::open(settings.clone());
    let mut model = Model::default();
    let (mut clock_ms, mut removed) = (START_MS, 0);
    for round in 0..70 {
        let present = seeded.below(4);
        let mut points: Vec<Point> = Vec::new();
        for _ in 0..seeded.below(300) {
            clock_ms += seeded.below(HOUR_MS as u64 / 5) as i64;
            points.push(((4 * seeded.below(SERIES / 4) + present) as usize, clock_ms, value(&mut seeded)));
        }
        assert_eq!(running.append(clock_ms, &points).stored, points.len() as u64, "round {round}");
        model.append(&points);
        match seeded.below(10) {
            0 => running = Running::open(running.close()),
            1 => {
                settings = running.killed(&home.path().join(format!("{}", round + 1)));
                running = Running::open(settings.clone());
            }
            2 | 3 => running.compact(),
            _ => {}
        }
        let kept_since_ms = model.newest_ms - RETENTION_MS;
        for (series, samples) in &model.series {
            let read = running.read(*series, 0, i64::MAX);
            let is_written = |(time_ms, bits): &(i64, u64)| samples.get(time_ms) == Some(bits);
            assert!(read.iter().all(is_written), "series {series} in round {round} has what was never written");
            let kept: Vec<_> = samples.range(kept_since_ms..).map(|(time_ms, bits)| (*time_ms, *bits)).collect();
            let found: Vec<_> = read.into_iter().filter(|(time_ms, _)| *time_ms >= kept_since_ms).collect();
            assert_eq!(found, kept, "series {series} in round {round}");
        }
        removed = running.store.figures().keeper.directories_removed.max(removed);
    }
    running.compact();
    // The keeper looks every five seconds.
    for _ in 0..400 {
        removed = running.store.figures().keeper.directories_removed.max(removed);
        if removed > 0 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(removed > 0, "nothing was removed in {} days", (clock_ms - START_MS) / 86_400_000);
    running.close();
}

#[test]
fn all_that_is_younger_than_the_retention_is_there() {
    (11..=12).for_each(run_with_retention);
}

/// What was stored stays, what seems to be ahead is refused and counted, and once the clock is right all goes on.
#[test]
fn a_clock_that_is_set_back_costs_nothing_that_was_stored() {
    let home = tempfile::tempdir().unwrap();
    let running = Running::open(Settings { retention_ms: 0, ..Settings::new(home.path()) });
    let hour_ms = 3_600_000;
    assert_eq!(running.append(START_MS, &[(1, START_MS, 1.0)]).stored, 1);
    let back_ms = START_MS - 24 * hour_ms;
    let tally = running.append(back_ms, &[(1, START_MS + 1000, 2.0), (1, back_ms, 3.0), (2, back_ms, 4.0)]);
    let expected = Tally { stored: 1, in_future: 1, late: 1, ..Tally::default() };
    assert_eq!(tally, expected, "ahead of the clock; behind its own series; a series that is new");
    let running = Running::open(running.close());
    assert_eq!(running.append(back_ms, &[(1, START_MS, 1.0)]).in_future, 1);
    assert_eq!(running.read(1, 0, i64::MAX), [(START_MS, 1f64.to_bits())]);
    assert_eq!(running.append(START_MS + 2000, &[(1, START_MS + 1000, 2.0), (1, START_MS, 1.0)]).stored, 1);
    assert_eq!(running.read(1, 0, i64::MAX).len(), 2);
    running.close();
}

#[test]
fn the_store_holds_what_a_plain_map_holds() {
    (1..=4).for_each(run);
}
