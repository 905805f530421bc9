//! What does one forecast cost from nothing, with the choice of the method and the back-tests, and what from what is kept,
//! a new sample taken in first (`live`)?
//!
//! The bounds are 150 ms for 1000 samples on one core, and 10 ms from what is kept. `day` is 1000 hours with a daily season, trend and noise, a week
//! ahead; `week` has a weekly season as well; `flat` has nothing to find; `large` is three weeks of minutes, a day ahead.
//!
//! Without `--bench` every case runs once, on the same series.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infrawatch::analysis::forecast::{Direction, ForecastEngine, Threshold};
use std::hint::black_box;

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

criterion_group!(benches, forecast);
criterion_main!(benches);
