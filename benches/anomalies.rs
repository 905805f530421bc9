//! How soon is a page of anomalies found among a million, by each thing that can be asked for, and while the book writes?
//!
//! `cargo bench --bench anomalies` fills a book with a million and prints percentiles of single questions, first of a book
//! at rest, then of one that takes runs meanwhile; without `--bench` everything runs once with 2 k. With
//! `INFRAWATCH_BENCH_DIR` the book is made in that folder and left there, where `anomalies` is what a server's data directory
//! has: `INFRAWATCH_ANOMALIES_MAX_RECORDS=1000000 infrawatch serve --data-dir DIR` then asks the same over HTTP.

use crossbeam_channel::Sender;
use infrawatch::analysis::Severity;
use infrawatch::anomaly::Filter;
use infrawatch::anomaly::book::{self, Book, Settings};
use infrawatch::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side};
use infrawatch::clock;
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use storage::series::KeyBuilder;

/// The server's allocator, so that bytes are the server's bytes.
#[global_allocator]
static ALLOCATOR: jemallocator::Jemalloc = jemallocator::Jemalloc;

const NAMES: u64 = 200;
const HOSTS: u64 = 500;
const QUESTIONS: usize = 300;

fn measures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// The newest anomaly of a thousand days.
fn run(number: u64, last_ms: i64, count: u64) -> AnomalyRun {
    let mut keys = KeyBuilder::default();
    keys.push("__name__", &format!("service_{}_seconds", number % NAMES));
    keys.push("host", &format!("host-{}", number / NAMES % HOSTS));
    let key = keys.finish().expect("labels differ and one is the metric's name").into();
    let time_ms = last_ms - (count - number) as i64 * 86_400;
    let score = 0.6 + (number * 7919 % 400) as f64 / 1000.0;
    let peak = Peak {
        time_ms,
        value: 5.0,
        expected: 1.0,
        lower: 0.5,
        upper: 1.5,
        score,
        severity: Severity::of(score),
        direction: Side::Above,
        kind: AnomalyKind::Point,
        votes: Vec::new(),
        summary: "five where one is usual".to_owned(),
    };
    AnomalyRun { key, start_ms: time_ms, last_ms: time_ms, is_open: number.is_multiple_of(50), samples: 1, peak }
}

/// What is asked: a page of ten and how many there are in all.
fn ask(book: &Book, filter: &Filter<'_>) -> usize {
    let records = book.records();
    black_box(records.page(filter, 0, 10)).len() + records.count(filter)
}

fn percentiles(what: &str, book: &Book, filter: &Filter<'_>) {
    let rounds = if measures() { QUESTIONS } else { 2 };
    let mut took: Vec<Duration> = (0..rounds)
        .map(|_| {
            let began = clock::monotonic();
            black_box(ask(book, filter));
            began.elapsed()
        })
        .collect();
    took.sort();
    let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{what:<40} p50 {:8.3} ms  p95 {:8.3} ms  max {:8.3} ms", at(0.5), at(0.95), at(1.0));
}

fn all_questions(title: &str, book: &Book, last_ms: i64) {
    let grave = [Severity::Critical];
    let two = [Severity::High, Severity::Medium];
    let all = Filter::default();
    let month = (last_ms - 30 * 86_400_000, last_ms);
    let questions = [
        ("newest", all),
        ("by name", Filter { name: Some("service_7_seconds"), ..all }),
        ("by severity", Filter { severities: Some(&grave), ..all }),
        ("by two severities", Filter { severities: Some(&two), ..all }),
        ("by time", Filter { began_ms: month, ..all }),
        ("open ones", Filter { is_open: Some(true), ..all }),
        ("by name and severity", Filter { name: Some("service_7_seconds"), severities: Some(&grave), ..all }),
        (
            "by name, severity and time",
            Filter { name: Some("service_7_seconds"), severities: Some(&grave), began_ms: month, ..all },
        ),
    ];
    for (what, filter) in questions {
        percentiles(&format!("{title}: {what}"), book, &filter);
    }
}

/// Tells the book so many runs and waits until readers see them.
fn fill(book: &Book, runs: &Sender<AnomalyRun>, count: u64, last_ms: i64) {
    let began = clock::monotonic();
    for number in 0..count {
        runs.send(run(number, last_ms, count)).expect("the book is open");
    }
    while (book.figures().records) < count {
        std::thread::sleep(Duration::from_millis(5));
    }
    println!("{count} anomalies taken in {:.1} s", began.elapsed().as_secs_f64());
}

fn main() {
    let count: u64 = if measures() { 1_000_000 } else { 2_000 };
    let kept = std::env::var_os("INFRAWATCH_BENCH_DIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let folder = tempfile::tempdir().expect("a temporary directory");
    let dir = kept.unwrap_or_else(|| folder.path().to_owned()).join("anomalies");
    let last_ms = 1_764_000_000_000;
    let settings = Settings { folder: dir, records_max: count as usize, retention_ms: 0, names_max: 1000 };
    let opened = book::open(settings, Box::new(move || Some(last_ms)), Box::new(|_| {}));
    let (book, runs, handle) = opened.expect("a book in an empty folder opens");
    fill(&book, &runs, count, last_ms);
    all_questions("at rest", &book, last_ms);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                runs.send(run(number % count, last_ms, count)).expect("the book is open");
                number += 7;
                std::thread::sleep(Duration::from_millis(1));
            }
            println!("{} runs told meanwhile", number / 7);
        });
        all_questions("written to", &book, last_ms);
        stop.store(true, Ordering::Relaxed);
    });
    drop((book, runs));
    handle.join().expect("the book's thread ends");
}
