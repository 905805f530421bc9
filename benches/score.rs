//! What does it cost to judge and learn one sample with all detectors, and what does a series' state take?
//!
//! A week of five-minute samples with a day's season is learned first, so that every detector judges. `one_series`
//! stays in the nearest cache; `ten_thousand_series` goes round over so many that each sample finds its state cold.
//!
//! Without `--bench` every case runs once, with a hundredth of the series.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infrawatch::analysis::{Kind, STATE_BYTES_MAX, SeriesModel, Settings};
use std::hint::black_box;

const STEP_MS: i64 = 300_000;
const WEEK: i64 = 2016;

/// A day's wave with noise of a linear congruential generator.
fn value(i: i64) -> f64 {
    let noise = (i as u64).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 40;
    50.0 + 20.0 * (i as f64 * std::f64::consts::TAU / 288.0).sin() + noise as f64 / 1e7
}

fn learned() -> SeriesModel {
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    for i in 0..WEEK {
        model.observe(i * STEP_MS, value(i));
    }
    model
}

fn score(criterion: &mut Criterion) {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let series = if is_bench { 10_000 } else { 100 };
    println!("a series' state takes at most {STATE_BYTES_MAX} bytes");
    let mut group = criterion.benchmark_group("score");
    let mut one = learned();
    let mut at = WEEK;
    group.throughput(Throughput::Elements(1));
    group.bench_function("one_series", |bencher| {
        bencher.iter(|| {
            at += 1;
            black_box(one.observe(at * STEP_MS, value(at)).score)
        });
    });
    let mut many = vec![learned(); series];
    let mut at = WEEK;
    group.throughput(Throughput::Elements(series as u64));
    group.bench_function("ten_thousand_series", |bencher| {
        bencher.iter(|| {
            at += 1;
            many.iter_mut().map(|model| model.observe(at * STEP_MS, value(at)).score).sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, score);
criterion_main!(benches);
