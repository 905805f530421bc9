//! Random operations, restarts, kills and compactions among them, against a plain map: the store holds exactly what the
//! map holds, bit for bit, and every sample is accounted for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use storage::{Settings, Tally};
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
        }
    }
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
            _ => {}
        }
    }
    model.assert_equals(&running, "the last round");
    running.close();
}

#[test]
fn the_store_holds_what_a_plain_map_holds() {
    (1..=4).for_each(run);
}
