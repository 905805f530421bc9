//! What does one forecast cost from nothing, with the choice of the method and the back-tests, and what from what is kept,
//! a new sample taken in first (`live`)?
//!
//! The bounds are 150 ms for 1000 samples on one core, and 10 ms from what is kept. What a request to the server takes is measured
//! against them at the end, on a store, with all but HTTP: `cargo bench --bench forecast -- claims` prints nothing else. `day` is 1000 hours with a daily season, trend and noise, a week
//! ahead; `week` has a weekly season as well; `flat` has nothing to find; `large` is three weeks of minutes, a day ahead.
//!
//! Without `--bench` every case runs once, on the same series.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infrawatch::analysis::forecast::{Direction, ForecastEngine, Threshold};
use infrawatch::clock::monotonic;
use infrawatch::forecasts::ForecastDesk;
use std::hint::black_box;
use std::time::Duration;
use storage::sample::Samples;
use storage::series::{KeyBuilder, hash};
use storage::{Row, Settings, ShardStore};

const HOUR_MS: i64 = 3_600_000;

/// A trend of half a unit a day, a day, a week, and noise from a linear congruential generator.
fn series(samples: usize, step_ms: i64, day: f64, week: f64) -> (Vec<i64>, Vec<f64>) {
    let mut state = 42u64;
    let sample = |i: usize| {
        let time_ms = i as i64 * step_ms;
        let days = time_ms as f64 / (24 * HOUR_MS) as f64;
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let noise = (state >> 40) as f64 / (1 << 24) as f64 - 0.5;
        let weekend = if (days as usize) % 7 > 4 { -week } else { 0.0 };
        (1_700_000_000_000 + time_ms, 50.0 + 0.5 * days + day * (days * std::f64::consts::TAU).sin() + weekend + noise)
    };
    (0..samples).map(sample).unzip()
}

fn forecast(c: &mut Criterion) {
    let mut group = c.benchmark_group("forecast");
    let cases = [
        ("day", series(1000, HOUR_MS, 5.0, 0.0), 168),
        ("week", series(1000, HOUR_MS, 5.0, 4.0), 168),
        ("flat", series(1000, HOUR_MS, 0.0, 0.0), 168),
        ("large", series(21 * 1440, 60_000, 5.0, 0.0), 1440),
    ];
    for (name, (times_ms, values), horizon) in cases {
        let threshold = Some(Threshold { value: 95.0, direction: Direction::Above });
        let engine = ForecastEngine { horizon, level: 80.0, threshold, method: None, most: None };
        group.throughput(Throughput::Elements(values.len() as u64)).sample_size(10);
        group.bench_function(name, |b| {
            b.iter(|| engine.forecast(black_box(&times_ms), black_box(&values)).expect("there are samples"));
        });
        let mut kept = engine.learn(&times_ms, &values).expect("there are samples");
        let mut next = values.iter().cycle();
        group.throughput(Throughput::Elements(1)).bench_function(format!("{name} live"), |b| {
            b.iter(|| {
                kept.observe(kept.last_ms() + kept.step_ms(), *next.next().expect("it has no end"));
                kept.forecast(black_box(horizon), threshold).expect("the settings are in range")
            });
        });
    }
    group.finish();
}

/// Appends samples of the one series there is.
fn append(shard: &mut ShardStore, key: &[u8], times: &[i64], values: &[f64]) {
    let now_ms = times.last().copied().expect("there are samples");
    let row = Row { hash: hash(key), key, times, values };
    shard.append(now_ms, std::iter::once(row)).expect("the store takes them");
}

/// The middle and the greatest of some spans.
fn middle_and_most(mut spans: Vec<Duration>) -> (f64, f64) {
    spans.sort_unstable();
    let ms = |span: Duration| 1e3 * span.as_secs_f64();
    (ms(spans[spans.len() / 2]), ms(spans[spans.len() - 1]))
}

/// What one request takes from nothing and from what is kept, a new sample taken in first, beside what is claimed.
fn claims(_: &mut Criterion) {
    let is_measured = std::env::args().any(|argument| argument == "--bench");
    let rounds = if is_measured { 40 } else { 1 };
    for (name, week) in [("day", 0.0), ("week", 4.0)] {
        let (times_ms, values) = series(1000 + rounds, HOUR_MS, 5.0, week);
        let home = tempfile::tempdir().expect("a temporary directory");
        let mut opened = storage::open(Settings { shards: 1, ..Settings::new(home.path()) }).expect("an empty store");
        let mut key = KeyBuilder::default();
        key.push("__name__", "load");
        let key = key.finish().expect("labels that stand once").to_vec();
        append(&mut opened.shards[0], &key, &times_ms[..1000], &values[..1000]);
        let found = opened.store.select(&[], i64::MIN, i64::MAX).expect("the store can be read");
        let [one] = &found[..] else { panic!("{} series, not one", found.len()) };
        let threshold = Some(Threshold { value: 95.0, direction: Direction::Above });
        let engine = ForecastEngine { threshold, ..ForecastEngine::default() };
        let mut samples = Samples::default();
        let mut ask = |desk: &ForecastDesk| {
            let began = monotonic();
            black_box(desk.of(one, engine, None, &mut samples)).expect("there are samples");
            began.elapsed()
        };
        let cold: Vec<Duration> =
            (0..rounds).map(|_| ask(&ForecastDesk::new(opened.store.clone(), 64 << 20))).collect();
        let desk = ForecastDesk::new(opened.store.clone(), 64 << 20);
        ask(&desk);
        let next = |i: usize| {
            append(&mut opened.shards[0], &key, &times_ms[i..=i], &values[i..=i]);
            ask(&desk)
        };
        let live: Vec<Duration> = (1000..1000 + rounds).map(next).collect();
        assert_eq!(
            (desk.figures().learned, desk.figures().updated),
            (1, rounds as u64),
            "all but the first from what is kept"
        );
        for (what, spans, bound) in [("from nothing", cold, 150.0), ("from what is kept", live, 10.0)] {
            let (middle, most) = middle_and_most(spans);
            if is_measured {
                let holds = if middle <= bound { "holds" } else { "MISSED" };
                println!(
                    "claim: {name}, 1000 points, one request {what}: median {middle:.1} ms, most {most:.1} ms; at most {bound} ms {holds}"
                );
            }
        }
    }
}

criterion_group!(benches, forecast, claims);
criterion_main!(benches);
