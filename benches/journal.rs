//! How much does a sample cost on its way into the journal, and how long should a group wait for company?
//!
//! `encode` and `decode` give the time for a record of 2000 samples; `append` the same record encoded, submitted,
//! written and synced; `replay` a journal of 500 such records read back. Lines beginning with `journal:` give bytes and
//! CPU time a sample (which a busy machine distorts less than the time on the wall), then CPU and latency a request for
//! group waits of 0, 1 and 2 ms with 1 and 4 submitters that each wait for their answer.
//!
//! Run with `cargo bench --bench journal`; under `cargo test` everything runs once, small.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use storage::journal::{Journal, JournalSettings, JournalThread, SamplesEncoder, decode_samples};
use storage::series::{PARTITIONS, SeriesRef};

const SAMPLES: usize = 2000;

/// Bytes in front of a record's payload.
const RECORD_HEADER_BYTES: usize = 21;

/// Values in the proportions of one scrape of node_exporter 1.5 on a 2-core machine (507 samples), in runs of two
/// because neighbours there are often of one metric: of 1000 samples 445 are zero, 410 other whole numbers of one to
/// five bytes, 40 have two decimals and 105 are doubles without a short decimal form.
fn node_exporter_value(i: u64, scrape: u64) -> f64 {
    let random = |i: u64| (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let grown = random(i) + scrape;
    match random(i / 2) % 1000 {
        0..445 => 0.0,
        445..625 => (grown % 128) as f64,
        625..690 => (grown % 32_000) as f64,
        690..765 => (grown % 8_000_000) as f64,
        765..825 => (grown % 2_000_000_000) as f64,
        825..855 => (grown % 500_000_000_000) as f64,
        855..895 => (grown % 10_000_000) as f64 / 100.0,
        _ => (grown % 1_000_000) as f64 / 7e6,
    }
}

/// One sample of each of 2000 series, spread over the partitions as hashes spread them, ids in the order of arrival.
fn batch(scrape: u64) -> Vec<(SeriesRef, i64, f64)> {
    let time_ms = 1_700_000_000_000 + scrape as i64 * 15_000;
    let mut ids = [1000; PARTITIONS];
    let mut series = |i: u64| {
        let partition = (i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58;
        let id = &mut ids[partition as usize];
        *id += 1;
        SeriesRef::new(partition as u8, *id)
    };
    (0..SAMPLES as u64).map(|i| (series(i), time_ms, node_exporter_value(i, scrape))).collect()
}

fn encode(encoder: &mut SamplesEncoder, batch: &[(SeriesRef, i64, f64)], seq: u64, out: &mut Vec<u8>) {
    for &(series, time_ms, value) in batch {
        encoder.push(series, time_ms, value);
    }
    encoder.finish(seq, out);
}

fn open(dir: &Path, group_wait: Duration) -> (Journal, JournalThread) {
    let settings = JournalSettings { group_wait, ..JournalSettings::new(dir.to_path_buf(), [1; 16]) };
    let (journal, thread, _) = Journal::open(settings, &mut |_, _, _| ()).expect("a folder of our own opens");
    (journal, thread)
}

/// Submits one record and waits until it is durable.
fn commit(journal: &Journal, records: Vec<u8>, seq: u64) {
    let (sender, receiver) = mpsc::sync_channel(1);
    journal.submit(records, seq, Box::new(move |result| sender.send(result).expect("someone waits")));
    receiver.recv().expect("every submission is answered").expect("the disk works");
}

fn codec(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.throughput(Throughput::Elements(SAMPLES as u64));
    let batch = batch(1);
    let mut encoder = SamplesEncoder::default();
    let mut out = Vec::new();
    encode(&mut encoder, &batch, 1, &mut out);
    group.bench_function("encode 2000 samples", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode(&mut encoder, black_box(&batch), 1, &mut out);
        });
    });
    group.bench_function("decode 2000 samples", |bencher| {
        bencher.iter(|| {
            let mut sum = 0.0;
            let payload = black_box(&out[RECORD_HEADER_BYTES..]);
            decode_samples(payload, |series, time, value| sum += value + (time + i64::from(series.0)) as f64)
                .expect("what was encoded decodes");
            sum
        });
    });
    group.finish();

    println!("journal: {:.2} bytes a sample", out.len() as f64 / SAMPLES as f64);
    let encoding = cpu_ns_a_sample(|| {
        out.clear();
        encode(&mut encoder, black_box(&batch), 1, &mut out);
    });
    let decoding = cpu_ns_a_sample(|| {
        let each = |series, time, value| _ = black_box((series, time, value));
        decode_samples(black_box(&out[RECORD_HEADER_BYTES..]), each).expect("what was encoded decodes");
    });
    println!("journal: {encoding:.1} ns CPU a sample to encode, {decoding:.1} to decode");
}

fn disk(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("journal");
    group.sample_size(20).throughput(Throughput::Elements(SAMPLES as u64));
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (journal, thread) = open(dir.path(), Duration::ZERO);
    let mut encoder = SamplesEncoder::default();
    let batch = batch(1);
    let mut seq = 0;
    group.bench_function("append 2000 samples, synced", |bencher| {
        bencher.iter(|| {
            seq += 1;
            let mut records = journal.recycled().unwrap_or_default();
            encode(&mut encoder, &batch, seq, &mut records);
            commit(&journal, records, seq);
        });
    });
    drop(journal);
    thread.join().expect("the disk works");

    let dir = tempfile::tempdir().expect("a temporary folder");
    let (journal, thread) = open(dir.path(), Duration::ZERO);
    let mut records = Vec::new();
    (1..=500).for_each(|seq| encode(&mut encoder, &batch, seq, &mut records));
    commit(&journal, records, 500);
    drop(journal);
    thread.join().expect("the disk works");
    group.throughput(Throughput::Elements(500 * SAMPLES as u64));
    group.bench_function("replay and decode 1 M samples", |bencher| {
        bencher.iter(|| {
            let mut samples = 0;
            let settings = JournalSettings::new(dir.path().to_path_buf(), [1; 16]);
            let each = &mut |_, _, payload: &[u8]| {
                samples += decode_samples(payload, |_, _, value| _ = black_box(value)).expect("it decodes");
            };
            let (journal, thread, _) = Journal::open(settings, each).expect("our own journal opens");
            drop(journal);
            thread.join().expect("the disk works");
            assert_eq!(samples, 500 * SAMPLES);
        });
    });
    group.finish();
}

/// CPU nanoseconds of all threads alive in this process, from the scheduler's own books.
fn cpu_ns() -> u64 {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let books = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
    books.filter_map(|book| book.split(' ').next()?.parse::<u64>().ok()).sum()
}

#[expect(clippy::disallowed_methods, reason = "a bench measures time")]
fn now() -> Instant {
    Instant::now()
}

/// CPU time a sample of `work` on one record; the least of a few rounds, each long against the scheduler's tick.
fn cpu_ns_a_sample(mut work: impl FnMut()) -> f64 {
    let times = if at_full_length() { 5000 } else { 2 };
    let round = |_| {
        let before = cpu_ns();
        (0..times).for_each(|_| work());
        cpu_ns() - before
    };
    (0..8).map(round).min().unwrap_or(0) as f64 / (times * SAMPLES) as f64
}

/// One row of the table: `submitters` threads, each waiting for the answer to one record before it sends the next.
fn requests(submitters: u64, group_wait: Duration, each: u64) {
    let dir = tempfile::tempdir().expect("a temporary folder");
    let (journal, thread) = open(dir.path(), group_wait);
    let (start, cpu) = (now(), cpu_ns());
    let cpu_used = std::thread::scope(|scope| {
        let (finished, all_finished) = mpsc::channel();
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(submitters as usize + 1));
        for submitter in 0..submitters {
            let (journal, finished, barrier) = (journal.clone(), finished.clone(), barrier.clone());
            scope.spawn(move || {
                let mut encoder = SamplesEncoder::default();
                let batch = batch(submitter);
                for i in 0..each {
                    let mut records = journal.recycled().unwrap_or_default();
                    let seq = i * submitters + submitter + 1;
                    encode(&mut encoder, &batch, seq, &mut records);
                    commit(&journal, records, seq);
                }
                finished.send(()).expect("the row is waited for");
                barrier.wait();
            });
        }
        (0..submitters).for_each(|_| all_finished.recv().expect("every submitter finishes"));
        // Threads leave the books when they end, so they are read before anyone may.
        let used = cpu_ns() - cpu;
        barrier.wait();
        used
    });
    let (wall, count) = (start.elapsed(), submitters * each);
    println!(
        "journal: {submitters} submitters, group wait {group_wait:?}: \
         {:.1} us CPU and {:.0} us latency a request, {:.2} M samples/s",
        cpu_used as f64 / 1000.0 / count as f64,
        wall.as_micros() as f64 / each as f64,
        count as f64 * SAMPLES as f64 / wall.as_secs_f64() / 1e6,
    );
    drop(journal);
    thread.join().expect("the disk works");
}

fn at_full_length() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

fn group_waits(_: &mut Criterion) {
    let each = if at_full_length() { 2000 } else { 2 };
    for submitters in [1, 4] {
        for group_wait in [0, 1, 2] {
            requests(submitters, Duration::from_millis(group_wait), each);
        }
    }
}

criterion_group!(benches, codec, disk, group_waits);
criterion_main!(benches);
