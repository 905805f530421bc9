//! Lines of StatsD, from whatever they came in by, are gathered in the listener's own table and counted; what a window
//! gathered goes to the shards when it ends.
//!
//! Not here: sockets and threads (see `statsd_listener`), the slots (see `statsd_table`).
//!
//! Invariants: every observation, and every line that gave none, is counted as received once and as one fate once; what
//! was counted as aggregated is never dropped: it waits here while a shard's queue is full.

use super::lane::{Lane, Lanes};
use super::statsd_table::{Refused, Table, TableSettings};
use super::translate::{observed_key, refusal};
use crate::self_metrics::{DropReason, Rejection, SelfMetrics, Source};
use protocols::statsd::{Lines, Measure, Observation, Plain, read};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use storage::series::KeyBuilder;

/// How far ahead of the clock a timestamp may be.
const TIMESTAMP_AHEAD_MS: i64 = 60_000;
/// Lines looked up together.
const RUN_LINES: usize = 24;
/// Metric names remembered of those that found no room; the others are counted with all of them.
const VICTIMS_MAX: usize = 16;
/// How often the log names one.
const WARN_EVERY_MS: i64 = 1000;
/// Slots emptied between two looks at the socket: below 1 ms.
const SLICE_SLOTS: usize = 4096;
/// Batches that may wait for shards before samples with a time of their own find no room.
const WAITING_BATCHES_MAX: usize = 64;
/// How long samples with a time of their own wait for others.
const HOLD_MS: i64 = 50;
/// A stop waits in steps of `STOP_STEP` until the shards have taken everything, but not for ever.
const STOP_STEPS: usize = 4000;
const STOP_STEP: Duration = Duration::from_millis(1);

/// What a listener knows and has gathered.
#[derive(Debug)]
pub(super) struct Gatherer {
    table: Table,
    lane: Lane,
    keys: KeyBuilder,
    metrics: Arc<SelfMetrics>,
    /// When the lane was offered to the shards last.
    offered_ms: i64,
    /// The time of the last turn, and of the last warning.
    turned_ms: i64,
    warned_ms: i64,
    counts: Counts,
}

/// What was counted since it was published last.
#[derive(Debug, Default)]
struct Counts {
    received: u64,
    aggregated: u64,
    rejected: Vec<(Rejection, u64)>,
    dropped: u64,
    extensions: u64,
    tags_joined: u64,
    victims: Vec<(String, u64)>,
}

impl Counts {
    /// Remembers whose new series found no room, a few names at a time.
    #[cold]
    fn name_victim(&mut self, name: &str) {
        if let Some((_, count)) = self.victims.iter_mut().find(|(known, _)| known == name) {
            *count += 1;
        } else if self.victims.len() < VICTIMS_MAX {
            self.victims.push((name.to_owned(), 1));
        }
    }

    #[cold]
    fn reject(&mut self, reason: Rejection) {
        match self.rejected.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.rejected.push((reason, 1)),
        }
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Limit => Self::WindowLimit,
            Refused::NotFinite => Self::Malformed,
        }
    }
}

impl Gatherer {
    pub(super) fn new(lanes: &Lanes, settings: TableSettings, metrics: Arc<SelfMetrics>) -> Self {
        Self {
            table: Table::new(settings),
            lane: lanes.lane(),
            keys: KeyBuilder::default(),
            metrics,
            offered_ms: 0,
            turned_ms: 0,
            warned_ms: i64::MIN,
            counts: Counts::default(),
        }
    }

    /// Says what time it is before lines received then are taken: a window that ended is emptied slice by slice.
    pub(super) fn turn(&mut self, now_ms: i64) {
        self.turned_ms = now_ms;
        self.table.turn(now_ms, &mut self.lane);
        let emptied = self.table.is_emptying();
        self.table.empty_slice(SLICE_SLOTS, &mut self.lane);
        let waited = !(0..HOLD_MS).contains(&(now_ms - self.offered_ms));
        if self.lane.batches_len() > 0 && (waited || emptied) {
            self.offered_ms = now_ms;
            if !self.lane.offer(Source::StatsD) {
                tracing::error!("a shard has ended; what windows held for it is lost");
            }
        }
    }

    /// Whether there is work to do even if nothing arrives.
    pub(super) fn is_busy(&self) -> bool {
        self.table.is_emptying()
    }

    /// Takes the lines of one datagram, or of a piece of a stream that ends with a line.
    ///
    /// Plain lines are looked up together, so that the processor waits for several places of memory at a time: with many
    /// series that is most of what a line costs.
    #[inline]
    pub(super) fn take(&mut self, datagram: &[u8], now_ms: i64) {
        let mut lines = Lines::of(datagram);
        while !lines.is_empty() {
            // Little is kept of a line, because all of it is written and read again.
            let mut run = [const { None }; RUN_LINES];
            let (mut hashes, mut starts) = ([0; RUN_LINES], [0; RUN_LINES]);
            let mut count = 0;
            while count < RUN_LINES
                && let Some(plain) = lines.plain()
            {
                starts[count] = lines.offset();
                lines.take(&plain);
                hashes[count] = self.table.hash_of_plain(&plain);
                run[count] = Some(plain);
                count += 1;
            }
            let mut found = [None; RUN_LINES];
            for ((found, plain), hash) in found.iter_mut().zip(run[..count].iter().flatten()).zip(hashes) {
                *found = self.table.find_plain(plain, hash);
            }
            for ((found, plain), start) in found.iter().zip(run[..count].iter().flatten()).zip(starts) {
                let added = |at| self.table.add(at, &plain.measure, plain.rate, now_ms, &mut self.lane).is_ok();
                if found.is_some_and(added) {
                    self.counts.received += 1;
                    self.counts.aggregated += 1;
                    self.counts.extensions += u64::from(plain.ignored);
                } else {
                    self.take_lines(Lines::starting_at(datagram, start), plain, now_ms);
                }
            }
            if count < RUN_LINES && !lines.is_empty() {
                self.take_line(lines.line(), now_ms);
            }
        }
    }

    /// The long way for what looked like one line; where its name holds the end of a line it is several.
    #[cold]
    fn take_lines(&mut self, mut lines: Lines<'_>, plain: &Plain<'_>, now_ms: i64) {
        let mut after = lines.clone();
        after.take(plain);
        while lines.offset() < after.offset() {
            self.take_line(lines.line(), now_ms);
        }
    }

    /// The long way: a line that is not plain, or the first of its series.
    fn take_line(&mut self, line: &[u8], now_ms: i64) {
        if let Err(error) = read(line, |observation| self.take_observation(&observation, now_ms)) {
            self.counts.received += 1;
            self.counts.reject(refusal(error));
        }
    }

    fn take_observation(&mut self, observation: &Observation<'_>, now_ms: i64) {
        self.counts.received += 1;
        self.counts.extensions += u64::from(observation.ignored);
        let taken = match observation.time_s {
            Some(time_s) => self.store(observation, time_s, now_ms),
            None => self.gather(observation, now_ms),
        };
        if let Err(reason) = taken {
            self.counts.reject(reason);
        }
    }

    fn gather(&mut self, observation: &Observation<'_>, now_ms: i64) -> Result<(), Rejection> {
        let raw = self.table.hashed(self.table.raw_of(observation));
        let at = match self.table.find(&raw) {
            Some(at) => at,
            None => {
                let keep_container = self.table.keeps_containers();
                let key = observed_key(observation, keep_container, &mut self.keys, &mut self.counts.tags_joined)?;
                let created = self.table.create(&raw, key);
                if created == Err(Refused::Limit) {
                    self.counts.name_victim(observation.name);
                }
                created?
            }
        };
        self.table.add(at, &observation.measure, observation.rate, now_ms, &mut self.lane)?;
        self.counts.aggregated += 1;
        Ok(())
    }

    /// What carries a time of its own is a sample, and no part of a window.
    fn store(&mut self, observation: &Observation<'_>, time_s: i64, now_ms: i64) -> Result<(), Rejection> {
        let value = match observation.measure {
            Measure::Count(value) => value / observation.rate,
            Measure::Gauge(value) | Measure::GaugeChange(value) | Measure::Timer(value) => value,
            Measure::Member(_) | Measure::Event(_) => return Err(Rejection::Malformed),
        };
        if !value.is_finite() {
            return Err(Rejection::Malformed);
        }
        let time_ms = time_s.saturating_mul(1000);
        if time_ms > now_ms + TIMESTAMP_AHEAD_MS {
            return Err(Rejection::InFuture);
        }
        let keep_container = self.table.keeps_containers();
        let key = observed_key(observation, keep_container, &mut self.keys, &mut self.counts.tags_joined)?;
        if self.lane.batches_len() >= WAITING_BATCHES_MAX {
            self.counts.dropped += 1;
            return Ok(());
        }
        self.lane.series(key);
        self.lane.sample(time_ms, value);
        Ok(())
    }

    /// Counts so many datagrams, each as one malformed line: they were too large to be read.
    pub(super) fn reject_malformed(&mut self, datagrams: usize) {
        self.counts.received += datagrams as u64;
        (0..datagrams).for_each(|_| self.counts.reject(Rejection::Malformed));
    }

    /// Adds what was counted to the counters that everybody sees.
    pub(super) fn publish(&mut self) {
        let Counts { received, aggregated, dropped, extensions, tags_joined, .. } = self.counts;
        let counters = self.metrics.of(Source::StatsD);
        counters.add_received(received);
        counters.add_aggregated(aggregated);
        counters.add_dropped(DropReason::QueueFull, dropped);
        for (reason, count) in self.counts.rejected.drain(..) {
            counters.add_rejected(reason, count);
        }
        let statsd = &self.metrics.statsd;
        statsd.extensions_ignored.fetch_add(extensions, Ordering::Relaxed);
        statsd.tags_joined.fetch_add(tags_joined, Ordering::Relaxed);
        let victims = std::mem::take(&mut self.counts.victims);
        if !victims.is_empty() {
            self.tell_victims(&victims);
        }
        self.counts = Counts { rejected: std::mem::take(&mut self.counts.rejected), ..Counts::default() };
    }

    /// New series found no room: their names are counted for `/metrics`, and the log has one a second.
    #[cold]
    fn tell_victims(&mut self, victims: &[(String, u64)]) {
        let statsd = &self.metrics.statsd;
        victims.iter().for_each(|(name, count)| statsd.add_refused(name, *count));
        if self.turned_ms.saturating_sub(self.warned_ms) >= WARN_EVERY_MS {
            self.warned_ms = self.turned_ms;
            let series = statsd.window_series.load(Ordering::Relaxed);
            tracing::warn!(name = victims[0].0, series, "no room for a new series; raise statsd.max_series");
        }
    }

    /// Sends all that was gathered, in windows that ended or not.
    pub(super) fn stop(mut self) {
        self.table.empty_all(&mut self.lane);
        self.publish();
        for _ in 0..STOP_STEPS {
            if !self.lane.offer(Source::StatsD) || self.lane.batches_len() == 0 {
                return;
            }
            std::thread::sleep(STOP_STEP);
        }
        tracing::error!(batches = self.lane.batches_len(), "shards did not take what windows held in time");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::{BatchPool, Observed, ShardDoor};
    use crossbeam_channel::bounded;
    use std::collections::BTreeMap;
    use storage::series::labels;

    const NOW_MS: i64 = 12_000;

    fn settings() -> TableSettings {
        TableSettings {
            window_ms: 10_000,
            idle_ms: 30_000,
            series_max: 1000,
            signs_change_gauges: true,
            keep_containers: false,
            metrics: Arc::default(),
        }
    }

    /// Sums by labels, and what was counted: received, aggregated, rejected.
    fn gathered(datagrams: &[&str]) -> (BTreeMap<String, f64>, [u64; 3]) {
        let (queue, received) = bounded(64);
        let metrics = Arc::new(SelfMetrics::default());
        let mut gatherer = Gatherer::new(
            &Lanes::new(vec![ShardDoor::to_queue(queue)], BatchPool::new(4)),
            settings(),
            metrics.clone(),
        );
        gatherer.turn(NOW_MS);
        datagrams.iter().for_each(|datagram| gatherer.take(datagram.as_bytes(), NOW_MS));
        gatherer.stop();
        let mut sums = BTreeMap::new();
        for mut submission in received.try_iter() {
            for (_, key, observed) in submission.batch.observations.drain() {
                let key: Vec<_> = labels(key).map(|(_, value)| value).collect();
                let (Observed::Count(value) | Observed::Gauge { level: value, .. }) = observed else { continue };
                *sums.entry(key.join(" ")).or_default() += value;
            }
        }
        let counters = metrics.of(Source::StatsD);
        let rejected = Rejection::ALL.iter().map(|reason| counters.rejected(*reason)).sum();
        (sums, [counters.received(), counters.aggregated(), rejected])
    }

    #[test]
    fn lines_count_alike_whether_their_series_is_known_or_new() {
        let datagram =
            "a:1|c\na:2|c|@0.5\nb:1|c|#x:y,k:v\nb:1|c|#k:v,x:y\nc:1:2|c\na:1|c|T5\nx\ny:|c\n\na:1|c\r\nd:5|g\nd:+2|g";
        let (once, counts) = gathered(&[datagram]);
        assert_eq!(once, [("a", 6.0), ("b v y", 2.0), ("c", 3.0), ("d", 7.0)].map(|(k, v)| (k.to_owned(), v)).into());
        assert_eq!(counts, [12, 9, 2], "and one sample with a time of its own");
        let (twice, counts) = gathered(&[datagram, datagram]);
        assert_eq!(twice["a"], 12.0);
        assert_eq!(counts, [24, 18, 4]);
    }

    #[test]
    fn a_run_longer_than_is_looked_up_together_is_taken_whole() {
        let lines: Vec<_> = (0..10 * RUN_LINES).map(|number| format!("s{}:1|c", number % 7)).collect();
        let (sums, counts) = gathered(&[&lines.join("\n"), &lines.join("\n")]);
        assert_eq!(sums.values().sum::<f64>(), 20.0 * RUN_LINES as f64);
        assert_eq!(counts, [20 * RUN_LINES as u64, 20 * RUN_LINES as u64, 0]);
    }

    #[test]
    fn a_line_without_a_colon_is_no_part_of_the_next_ones_name() {
        let (sums, counts) = gathered(&["abc\nfoo:1|c\nbar\nfoo:2|c", "foo:4|c"]);
        assert_eq!(sums, [("foo".to_owned(), 7.0)].into());
        assert_eq!(counts, [5, 3, 2]);
    }

    #[test]
    fn what_is_refused_by_value_is_refused_the_short_way_too() {
        let (sums, counts) =
            gathered(&["a:1e308|c\na:1|c\na:9|c|@0.5", &"a:99999999999999|c|@0.00000000000001\n".repeat(3)]);
        assert!(sums["a"].is_finite());
        assert_eq!(counts, [6, 6, 0]);
    }
}
