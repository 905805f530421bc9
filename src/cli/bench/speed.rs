//! How fast the parts are: one thread, loops of a third of a second each, on seeded data.
//!
//! Not here: disks and sockets.

use super::super::output::Rows;
use crate::analysis::forecast::ForecastEngine;
use crate::analysis::{Kind, SeriesModel, Settings};
use crate::clock;
use crate::synthetic::demo::Week;
use protocols::remote_write::{self, WriteRequestBuilder};
use protocols::statsd::packet;
use serde_json::Value;
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Duration;
use storage::chunk::{Encoder, decode};

const SPAN: Duration = Duration::from_millis(300);
const MINUTE_MS: i64 = 60_000;
/// Series of a remote-write request, samples of a chunk, lines of a datagram.
const SERIES: usize = 500;
const SAMPLES: usize = 1000;
const LINES: usize = 20;

/// One row a part.
pub(super) fn rows() -> Rows {
    let mut rows = Rows::new(&["part", "unit", "per_second", "ns_each", "bytes_each"]);
    let mut add = |part: &str, unit: &str, each: usize, bytes: usize, work: &mut dyn FnMut()| {
        let ns = ns_of(each, work);
        let bytes_each = if bytes == 0 { Value::Null } else { round(bytes as f64 / each as f64).into() };
        let row = [part.into(), unit.into(), whole(1e9 / ns), round(ns).into(), bytes_each];
        rows.push(row.into());
    };
    let request = request();
    add("parse remote write", "sample", SERIES, request.len(), &mut || {
        let samples = |series: remote_write::TimeSeries<'_>| series.samples().count();
        black_box(remote_write::time_series(&request).flatten().map(samples).sum::<usize>());
    });
    let datagram = datagram();
    add("parse StatsD", "line", LINES, datagram.len(), &mut || {
        let mut sum = 0;
        packet(black_box(&datagram), |line| sum += line.map_or(0, |observation| observation.name.len()));
        black_box(sum);
    });
    let (times, values): (Vec<i64>, Vec<f64>) = (0..SAMPLES as i64).map(|at| (at * MINUTE_MS, cpu(at))).unzip();
    let mut chunk = Vec::new();
    let mut encoder = Encoder::default();
    encoder.encode(&times, &values, &mut chunk);
    add("encode a chunk", "sample", SAMPLES, chunk.len(), &mut || {
        let mut out = Vec::new();
        encoder.encode(&times, &values, &mut out);
        black_box(out);
    });
    add("decode a chunk", "sample", SAMPLES, chunk.len(), &mut || {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        black_box(decode(&chunk, &mut times, &mut values).is_ok());
    });
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let mut at = 0;
    let mut score = || {
        at += 1;
        black_box(model.observe(at * MINUTE_MS, cpu(at)).score);
    };
    (0..20_000).for_each(|_| score());
    add("score", "sample", 1, 0, &mut score);
    let week = Week::new(1);
    let engine = ForecastEngine::default();
    add("forecast a week of 500 samples", "forecast", 1, 0, &mut || {
        black_box(engine.forecast(&week.times_ms, &week.values).is_ok());
    });
    rows
}

/// Nanoseconds each of what `work` does so many of, after a first time that fills caches.
fn ns_of(each: usize, work: &mut dyn FnMut()) -> f64 {
    work();
    let (begun, mut count) = (clock::monotonic(), 0u64);
    // The clock is read once in a while, so that it does not count for much.
    let mut stride = 1;
    loop {
        (0..stride).for_each(|_| work());
        count += stride;
        let passed = begun.elapsed();
        if passed >= SPAN {
            return passed.as_nanos() as f64 / (count * each as u64) as f64;
        }
        stride = (2 * stride).min(1024);
    }
}

/// Three significant digits, without a fraction where there is none.
fn whole(value: f64) -> Value {
    let rounded = round(value);
    if rounded.fract() == 0.0 { Value::from(rounded as u64) } else { rounded.into() }
}

/// Three significant digits.
fn round(value: f64) -> f64 {
    let unit = 10f64.powf(value.abs().max(1e-9).log10().floor() - 2.0);
    let rounded = (value / unit).round() * unit;
    if unit >= 1.0 { rounded.round() } else { (rounded * 1000.0).round() / 1000.0 }
}

/// Percent with two decimals, a daily rhythm and noise.
fn cpu(at: i64) -> f64 {
    let noise = (at as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    let value = 40.0 + 20.0 * (at as f64 / 1440.0 * std::f64::consts::TAU).sin() + noise as f64 / 4e6;
    (value * 100.0).round() / 100.0
}

fn request() -> Vec<u8> {
    let mut builder = WriteRequestBuilder::default();
    for at in 0..SERIES {
        let instance = format!("host-{:03}:9100", at / 10);
        let cpu_number = (at % 10).to_string();
        let labels = [
            ("__name__", "node_cpu_seconds_total"),
            ("cpu", &cpu_number),
            ("instance", &instance),
            ("job", "node"),
            ("mode", "user"),
        ];
        builder.series(&labels, &[(1_700_000_000_000, cpu(at as i64))]);
    }
    builder.as_bytes().to_vec()
}

fn datagram() -> Vec<u8> {
    let mut text = String::new();
    for at in 0..LINES {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "app.requests.s{at:06}:{}|{}", at * 37 % 1000, ["c", "ms", "g"][at % 3]);
    }
    text.into_bytes()
}
