//! What does it cost to read a line of StatsD, and how far is that from the floor?
//!
//! The load is what agents send: datagrams of 20 lines of about 25 bytes, counters and timers, without tags and with
//! three. `floor` finds the ends of the lines; `parse` gives observations and adds up what they hold; `plain` takes the
//! short way that is open to lines of known series.
//!
//! Without `--bench` every case runs once, on the same load.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use protocols::statsd::{Lines, Measure, packet};
use std::fmt::Write;
use std::hint::black_box;

const DATAGRAMS: usize = 500;
const LINES: usize = 20;

fn load(tags: &str) -> Vec<Vec<u8>> {
    // A linear congruential generator: values that differ in their digits.
    let mut state = 42u64;
    let mut line = |number: usize, text: &mut String| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (whole, part) = ((state >> 40) % 1000, (state >> 33) % 100);
        let kind = ["c", "ms", "g", "c|@0.5"][number % 4];
        // Writing into a string cannot fail.
        let _ = writeln!(text, "app.requests.s{number:06}:{whole}.{part:02}|{kind}{tags}");
    };
    let datagram = |at: usize| {
        let mut text = String::new();
        (0..LINES).for_each(|number| line((at * LINES + number) % 1000, &mut text));
        text.into_bytes()
    };
    (0..DATAGRAMS).map(datagram).collect()
}

/// Observations, bytes of names and tags, and the sum of values: enough that nothing can be optimised away.
fn parse(datagrams: &[Vec<u8>]) -> (usize, usize, f64) {
    let (mut count, mut bytes, mut sum) = (0, 0, 0.0);
    for datagram in datagrams {
        packet(datagram, |line| {
            let observation = line.expect("the load is well formed");
            count += 1;
            bytes += observation.name.len() + observation.tags.iter().map(|(key, _)| key.len()).sum::<usize>();
            sum += match observation.measure {
                Measure::Count(value) => value / observation.rate,
                Measure::Gauge(value) | Measure::GaugeChange(value) | Measure::Timer(value) => value,
                Measure::Member(member) => member.len() as f64,
                Measure::Event(event) => event.title.len() as f64,
            };
        });
    }
    (count, bytes, sum)
}

/// The same by the short way, which every line of the load is open to.
fn plain(datagrams: &[Vec<u8>]) -> (usize, usize, f64) {
    let (mut count, mut bytes, mut sum) = (0, 0, 0.0);
    for datagram in datagrams {
        let mut lines = Lines::of(datagram);
        while !lines.is_empty() {
            let line = lines.plain().expect("the load is plain");
            lines.take(&line);
            count += 1;
            bytes += line.name.len() + line.tags.len();
            sum += match line.measure {
                Measure::Count(value) => value / line.rate,
                Measure::Gauge(value) | Measure::GaugeChange(value) | Measure::Timer(value) => value,
                Measure::Member(_) | Measure::Event(_) => 0.0,
            };
        }
    }
    (count, bytes, sum)
}

fn floor(datagrams: &[Vec<u8>]) -> usize {
    datagrams.iter().map(|datagram| datagram.iter().filter(|byte| **byte == b'\n').count()).sum()
}

fn statsd(criterion: &mut Criterion) {
    let (untagged, tagged) = (load(""), load("|#env:production,host:web-17,region:eu-1"));
    assert_eq!(parse(&untagged).0, DATAGRAMS * LINES);
    assert_eq!(plain(&untagged), parse(&untagged));
    let mut group = criterion.benchmark_group("parse_statsd");
    let bytes = |datagrams: &[Vec<u8>]| datagrams.iter().map(|datagram| datagram.len() as u64).sum();
    let elements = (DATAGRAMS * LINES) as u64;
    group.throughput(Throughput::ElementsAndBytes { elements, bytes: bytes(&untagged) });
    group.bench_function("floor", |bencher| bencher.iter(|| floor(black_box(&untagged))));
    group.bench_function("parse", |bencher| bencher.iter(|| parse(black_box(&untagged))));
    group.bench_function("plain", |bencher| bencher.iter(|| plain(black_box(&untagged))));
    group.throughput(Throughput::ElementsAndBytes { elements, bytes: bytes(&tagged) });
    group.bench_function("plain_tagged", |bencher| bencher.iter(|| plain(black_box(&tagged))));
    group.bench_function("parse_tagged", |bencher| bencher.iter(|| parse(black_box(&tagged))));
    group.finish();
}

criterion_group!(benches, statsd);
criterion_main!(benches);
