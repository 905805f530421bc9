//! What does it cost to judge and learn one sample with all detectors, and what does a series' state take?
//!
//! A week of five-minute samples with a day's season is learned first, so that every detector judges. `one_series`
//! stays in the nearest cache; the others go round over so many series that each sample finds its state cold. `young` are
//! ten thousand series in their first two hours, ten samples at a time, as a server under load sees them. Bytes are told
//! of a series that is new, that has seen two hours, a day's season and a week without one.
//!
//! Then what each detector by its name and the ensemble of files cost on ten thousand samples.
//!
//! Times are those that this thread had a processor, so that other work on the machine counts only as far as it takes
//! caches away.
//!
//! Without `--bench` every case runs once, with a hundredth of the series.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use infrawatch::DetectionPipeline;
use infrawatch::analysis::detectors::{self, Entry, Options, Samples};
use infrawatch::analysis::{Kind, STATE_BYTES_MAX, SeriesModel, Settings};
use std::hint::black_box;
use std::time::Duration;

const STEP_MS: i64 = 300_000;
const WEEK: i64 = 2016;
const YOUNG_STEP_MS: i64 = 15_000;
const YOUNG_SAMPLES: i64 = 480;

/// A day's wave with noise of a linear congruential generator.
fn value(i: i64) -> f64 {
    let noise = (i as u64).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 40;
    50.0 + 20.0 * (i as f64 * std::f64::consts::TAU / 288.0).sin() + noise as f64 / 1e7
}

/// A model that has learned so many samples.
fn learned(samples: i64, value: impl Fn(i64) -> f64) -> SeriesModel {
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    for i in 0..samples {
        model.observe(i * STEP_MS, value(i));
    }
    model
}

fn print_bytes() {
    let noise = |i: i64| value(i) - 20.0 * (i as f64 * std::f64::consts::TAU / 288.0).sin();
    let cases = [
        ("new", learned(1, value)),
        ("after an hour", learned(12, value)),
        ("after three hours", learned(36, value)),
        ("with a day's season", learned(WEEK, value)),
        ("after six weeks without a season", learned(6 * WEEK, noise)),
    ];
    for (name, model) in cases {
        println!("bytes of a series {name}: {}", model.bytes());
    }
    println!("bytes of a series at most: {STATE_BYTES_MAX}");
}

/// Processor time of this thread.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split(' ').next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("Linux tells what a thread used"))
}

/// Has `work` done so often; the processor time it took.
fn timed(times: u64, mut work: impl FnMut()) -> Duration {
    let begun = processor_time();
    (0..times).for_each(|_| work());
    // The kernel counts in ticks, so a short while may be told as none, which criterion does not take.
    (processor_time() - begun).max(Duration::from_nanos(1))
}

fn score(criterion: &mut Criterion) {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    print_bytes();
    let mut group = criterion.benchmark_group("score");
    group.sample_size(10);
    for (name, series) in
        [("one_series", 1usize), ("ten_thousand_series", 10_000), ("hundred_thousand_series", 100_000)]
    {
        let series = if is_bench { series } else { series.div_ceil(100) };
        let mut models = vec![learned(WEEK, value); series];
        let mut at = WEEK;
        group.throughput(Throughput::Elements(series as u64));
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| {
                timed(times, || {
                    at += 1;
                    let (time_ms, value) = (at * STEP_MS, value(at));
                    black_box(models.iter_mut().map(|model| model.observe(time_ms, value).score).sum::<f64>());
                })
            });
        });
    }
    let series = if is_bench { 10_000 } else { 100 };
    let values: Vec<f64> = (0..YOUNG_SAMPLES).map(value).collect();
    group.throughput(Throughput::Elements((series * YOUNG_SAMPLES) as u64));
    group.bench_function("young", |bencher| {
        bencher.iter_custom(|times| {
            timed(times, || {
                let mut models: Vec<_> = (0..series).map(|_| SeriesModel::new(None, Settings::default())).collect();
                for begin in (0..YOUNG_SAMPLES).step_by(10) {
                    for model in &mut models {
                        for at in begin..begin + 10 {
                            black_box(model.observe(at * YOUNG_STEP_MS, values[at as usize]).score);
                        }
                    }
                }
            })
        });
    });
    group.finish();
}

/// Each detector by its name, and the whole ensemble of files, on ten thousand samples of one series; those that compare
/// series on a thousand samples of each of ten.
fn by_name(criterion: &mut Criterion) {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let samples = if is_bench { 10_000 } else { 100 };
    let (times, values): (Vec<i64>, Vec<f64>) = (0..samples).map(|i| (i * STEP_MS, value(i))).unzip();
    let mut group = criterion.benchmark_group("ten_thousand_samples");
    group.sample_size(10);
    group.throughput(Throughput::Elements(samples as u64));
    let options = Options::default();
    for entry in detectors::ALL {
        group.bench_function(entry.name, |bencher| {
            bencher.iter_custom(|rounds| timed(rounds, || judge(entry, &options, &times, &values)));
        });
    }
    group.bench_function("ensemble", |bencher| {
        let judge = || {
            let result = DetectionPipeline::default().run(&times, &values, "bench");
            black_box(result.map_or(0, |result| result.anomalies.len()));
        };
        bencher.iter_custom(|rounds| timed(rounds, judge));
    });
    group.finish();
}

fn judge(entry: &Entry, options: &Options, times: &[i64], values: &[f64]) {
    let whole = Samples::new(times, values);
    if let Some(mut group) = entry.of_group(options) {
        let length = times.len() / 10;
        let parts: Vec<Samples<'_>> =
            values.chunks(length).map(|values| Samples::new(&times[..length], values)).collect();
        black_box(detectors::judge_group(group.as_mut(), &parts));
    } else if let Ok(mut detector) = entry.of_whole_series(options) {
        black_box(detectors::judge(detector.as_mut(), whole));
    }
}

criterion_group!(benches, score, by_name);
criterion_main!(benches);
