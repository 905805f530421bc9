//! What slots hold and when they give it away, by the rows that reach a shard's queue.

use super::{Refused, Table, TableSettings};
use crate::ingest::Lanes;
use crate::ingest::lane::Lane;
use crate::self_metrics::Source;
use crate::shard::{BatchPool, Observed, ShardDoor, Submission};
use crossbeam_channel::{Receiver, bounded};
use protocols::statsd::{Lines, packet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

struct Bench {
    table: Table,
    lane: Lane,
    queue: Receiver<Submission>,
}

impl Bench {
    fn new(series_max: u64, signs_change_gauges: bool) -> Self {
        let (queue, received) = bounded(64);
        let settings = TableSettings {
            window_ms: 10_000,
            idle_ms: 30_000,
            series_max,
            signs_change_gauges,
            keep_containers: false,
            metrics: Arc::default(),
        };
        let lane = Lanes::new(vec![ShardDoor::to_queue(queue)], BatchPool::new(4)).lane();
        Self { table: Table::new(settings), lane, queue: received }
    }

    /// Takes lines received at a time, the long way; whether each found or got a slot and was added.
    fn take(&mut self, now_ms: i64, lines: &str) -> Vec<Result<(), Refused>> {
        let Self { table, lane, .. } = self;
        table.turn(now_ms, lane);
        let mut all = Vec::new();
        packet(lines.as_bytes(), |read| {
            let observation = read.unwrap();
            let raw = table.hashed(table.raw_of(&observation));
            let at = table.find(&raw).map_or_else(|| table.create(&raw, observation.name.as_bytes()), Ok);
            let added = at.and_then(|at| table.add(at, &observation.measure, observation.rate, now_ms, lane));
            all.push(added);
        });
        all
    }

    /// Key, window and value of what goes to the shards at a time.
    fn sent(&mut self, now_ms: i64) -> Vec<(String, i64, f64)> {
        self.table.turn(now_ms, &mut self.lane);
        while self.table.is_emptying() {
            self.table.empty_slice(1, &mut self.lane);
        }
        assert!(self.lane.offer(Source::StatsD));
        let mut all = Vec::new();
        for mut submission in self.queue.try_iter() {
            let received_ms = submission.batch.observations.received_ms();
            for (_, key, observed) in submission.batch.observations.drain() {
                let value = match observed {
                    Observed::Count(value) | Observed::Gauge { level: value, .. } => value,
                    other => panic!("{other:?}"),
                };
                all.push((String::from_utf8(key.to_vec()).unwrap(), received_ms, value));
            }
        }
        all
    }
}

fn row(name: &str, window_ms: i64, value: f64) -> (String, i64, f64) {
    (name.to_owned(), window_ms, value)
}

#[test]
fn a_window_is_sent_once_with_what_was_added_in_it() {
    let mut bench = Bench::new(10, true);
    bench.take(12_000, "a:1|c\nb:2|c|@0.5\na:3|c");
    bench.take(19_999, "a:1|c");
    assert_eq!(bench.sent(19_999), [], "the window is open");
    assert_eq!(bench.sent(20_000), [row("a", 19_999, 5.0), row("b", 19_999, 4.0)]);
    assert_eq!(bench.sent(30_000), []);
}

#[test]
fn a_value_of_the_next_window_sends_what_the_slot_held_before() {
    let mut bench = Bench::new(10, true);
    bench.take(12_000, "a:1|c\nb:7|g");
    bench.take(21_000, "b:8|g");
    let Bench { table, lane, .. } = &mut bench;
    assert_eq!((table.is_emptying(), lane.batches_len()), (true, 1));
    assert_eq!(bench.sent(22_000), [row("b", 19_999, 7.0), row("a", 19_999, 1.0)]);
    assert_eq!(bench.sent(40_000), [row("b", 29_999, 8.0)]);
}

#[test]
fn a_window_that_was_slept_through_keeps_its_time_and_one_that_is_slow_to_empty_too() {
    let mut bench = Bench::new(10, true);
    bench.take(12_000, "a:1|c\nb:1|c");
    bench.take(52_000, "b:5|c");
    assert_eq!(bench.sent(69_000), [row("b", 19_999, 1.0), row("a", 19_999, 1.0), row("b", 59_999, 5.0)]);
    bench.take(60_000, "a:9|c");
    assert_eq!(bench.sent(60_000), [], "time set back stays in the open window");
    assert_eq!(bench.sent(70_000), [row("a", 69_999, 9.0)]);
}

#[test]
fn signs_follow_the_dialect() {
    for (signs_change_gauges, expected) in [(true, 7.0), (false, -1.0)] {
        let mut bench = Bench::new(10, signs_change_gauges);
        bench.take(12_000, "g:5|g\ng:+3|g\ng:-1|g");
        assert_eq!(bench.sent(20_000), [row("g", 19_999, expected)]);
    }
    let mut bench = Bench::new(10, true);
    bench.take(12_000, "g:5|g");
    bench.sent(20_000);
    bench.take(21_000, "g:-2|g");
    assert_eq!(bench.sent(30_000), [row("g", 29_999, -2.0)], "a change, for the shard to add to the level it keeps");
}

#[test]
fn new_series_beyond_the_limit_are_refused_and_known_ones_are_not() {
    let mut bench = Bench::new(1, true);
    assert_eq!(bench.take(12_000, "a:1|c\nb:1|c\na:1|c"), [Ok(()), Err(Refused::Limit), Ok(())]);
}

#[test]
fn infinity_is_never_made() {
    let mut bench = Bench::new(10, true);
    let refused = Err(Refused::NotFinite);
    let found = bench.take(12_000, "a:1e308|c|@0.001\nb:1e308|ms|@0.001\na:1e308|c\na:1e308|c\nc:1e308|g\nc:+1e308|g");
    assert_eq!(found, [refused, refused, Ok(()), refused, Ok(()), refused]);
}

#[test]
fn idle_series_leave_and_the_others_are_still_found() {
    let mut bench = Bench::new(3, true);
    bench.take(12_000, "a:1|c\nb:1|c\nc:1|c");
    bench.take(45_000, "c:1|c");
    bench.sent(51_000);
    bench.sent(61_000);
    assert_eq!(bench.table.slots.len(), 1);
    assert_eq!(bench.table.settings.metrics.statsd.window_series.load(Ordering::Relaxed), 1);
    assert_eq!(bench.take(62_000, "c:2|c\nd:3|c\ne:4|c"), [Ok(()); 3]);
    assert_eq!(bench.sent(70_000), [row("c", 69_999, 2.0), row("d", 69_999, 3.0), row("e", 69_999, 4.0)]);
}

#[test]
fn spellings_that_differ_in_any_part_have_slots_of_their_own() {
    let mut bench = Bench::new(100, true);
    let lines = ["ab:1|c", "a:1|c|#b", "ab:1|g", "ab:1|ms", "ab:1|h", "ab:1|s", "ab:1|c|#x:y", "ab:1|c|#x:y,z"];
    bench.take(12_000, &lines.join("\n"));
    assert_eq!(bench.table.slots.len(), lines.len() - 1, "ms and h are one type");
    for line in lines.iter().filter(|line| !line.ends_with('s') || line.ends_with("ms")) {
        let plain = Lines::of(line.as_bytes()).plain().unwrap();
        let hash = bench.table.hash_of_plain(&plain);
        assert!(bench.table.find_plain(&plain, hash).is_some(), "{line} is found the short way");
    }
}
