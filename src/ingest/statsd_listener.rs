//! StatsD comes in: a thread for every socket of datagrams reads, parses and gathers; once a window the shards get sums.
//!
//! ```text
//! socket ─ recvmmsg, many datagrams a call ─ lines (protocols) ─ table: sums of the window ═ queue, once a window ═▶ shard
//! ```
//!
//! Not here: the grammar (see `protocols::statsd`), gathering (see `statsd_gatherer`), windows (see `shard`).
//!
//! Invariants: what was received within a window is sent at its end; when a thread stops it reads what the kernel holds
//! already and sends all of it.
//!
//! Cost: a call of recvmmsg costs more than a datagram, so after a call that emptied the socket the thread gathers for
//! `GATHER` before the next; datagrams wait in the kernel's buffer meanwhile. Gathering in the listener instead of the
//! shard takes a line from 0.21 us to the figure in `docs/benchmarks.md`: no key is built, hashed and copied for it, and
//! no queue is crossed.

use super::lane::Lanes;
use super::statsd_gatherer::Gatherer;
use super::statsd_socket::{DATAGRAMS, Datagrams, StatsdSocket};
use super::statsd_table::TableSettings;
use crate::clock;
use crate::self_metrics::{SelfMetrics, SocketCounters};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long datagrams gather in the kernel's buffer once it was found empty.
const GATHER: Duration = Duration::from_millis(1);
/// How long a call waits for a datagram, and so how late a stop or the end of a window may be noticed; well below the
/// grace of a shard's windows.
pub(super) const WAIT: Duration = Duration::from_millis(50);
/// Calls made after the stop for what the kernel holds already, should senders not pause.
const LAST_CALLS: usize = 1024;
/// How often the kernel is asked for its drops.
const DROPS_EVERY_MS: i64 = 500;

/// What all listeners of StatsD share.
#[derive(Debug, Clone)]
pub struct StatsdSettings {
    /// Length of a window in milliseconds, above 0.
    pub window_ms: i64,
    /// A series not observed for this many milliseconds leaves memory.
    pub idle_ms: i64,
    /// Spellings of series that may be gathered at a time.
    pub series_max: u64,
    /// Whether a sign makes a gauge's value a change of its level: Etsy's rule.
    pub signs_change_gauges: bool,
    /// Whether a container becomes a label.
    pub keep_containers: bool,
}

impl StatsdSettings {
    /// The same for a table.
    fn table(&self, metrics: &Arc<SelfMetrics>) -> TableSettings {
        TableSettings {
            window_ms: self.window_ms,
            idle_ms: self.idle_ms,
            series_max: self.series_max,
            signs_change_gauges: self.signs_change_gauges,
            keep_containers: self.keep_containers,
            metrics: metrics.clone(),
        }
    }
}

/// A running listener.
#[derive(Debug)]
pub struct StatsdHandle(JoinHandle<()>);

impl StatsdHandle {
    /// Waits for the thread to end, which it does soon after its stop was set.
    ///
    /// # Errors
    /// When it panicked.
    pub fn join(self) -> io::Result<()> {
        self.0.join().map_err(|_| io::Error::other("a StatsD listener panicked"))
    }
}

/// Starts the thread with this name for one socket; it ends after `stop` is set.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    name: String,
    socket: StatsdSocket,
    lanes: &Lanes,
    settings: &StatsdSettings,
    metrics: &Arc<SelfMetrics>,
    stop: Arc<AtomicBool>,
) -> io::Result<StatsdHandle> {
    socket.wait_at_most(WAIT)?;
    let counters = metrics.statsd.socket(&name);
    spawn_gatherer(name, lanes, settings, metrics, move |gatherer| {
        Listener { socket, gatherer, counters, drops: 0, drops_read_ms: 0 }.run(&stop);
    })
}

/// Starts a thread with this name that owns a gatherer.
pub(super) fn spawn_gatherer(
    name: String,
    lanes: &Lanes,
    settings: &StatsdSettings,
    metrics: &Arc<SelfMetrics>,
    run: impl FnOnce(Gatherer) + Send + 'static,
) -> io::Result<StatsdHandle> {
    let gatherer = Gatherer::new(lanes, settings.table(metrics), metrics.clone());
    thread::Builder::new().name(name).spawn(move || run(gatherer)).map(StatsdHandle)
}

struct Listener {
    socket: StatsdSocket,
    gatherer: Gatherer,
    counters: Arc<SocketCounters>,
    /// What the kernel said last, and when it was asked.
    drops: u32,
    drops_read_ms: i64,
}

impl Listener {
    fn run(mut self, stop: &AtomicBool) {
        let mut datagrams = Datagrams::new();
        while !stop.load(Ordering::Relaxed) {
            let received = datagrams.receive(&self.socket, !self.gatherer.is_busy());
            let count = received.unwrap_or_else(|error| {
                tracing::warn!(%error, socket = %self.socket, "cannot read a StatsD socket");
                thread::sleep(WAIT);
                0
            });
            let now_ms = clock::now_ms();
            self.take(&mut datagrams, count, now_ms);
            if !(0..DROPS_EVERY_MS).contains(&(now_ms - self.drops_read_ms)) {
                self.publish_drops();
                self.drops_read_ms = now_ms;
            }
            if (1..DATAGRAMS).contains(&count) && !self.gatherer.is_busy() {
                thread::sleep(GATHER);
            }
        }
        for _ in 0..LAST_CALLS {
            match datagrams.receive(&self.socket, false) {
                Ok(count) if count > 0 => self.take(&mut datagrams, count, clock::now_ms()),
                _ => break,
            }
        }
        self.publish_drops();
        self.gatherer.stop();
    }

    /// Takes what one call read, at the time it was read.
    fn take(&mut self, datagrams: &mut Datagrams, count: usize, now_ms: i64) {
        self.gatherer.turn(now_ms);
        if count > 0 {
            datagrams.each(count, |datagram| self.gatherer.take(datagram, now_ms));
            self.gatherer.reject_malformed(datagrams.truncated());
            self.gatherer.publish();
            self.counters.datagrams.fetch_add(count as u64, Ordering::Relaxed);
        }
    }

    fn publish_drops(&mut self) {
        if self.socket.is_unix() {
            return;
        }
        if let Some(drops) = self.socket.drops() {
            // The kernel counts in 32 bits.
            self.counters.kernel_drops.fetch_add(u64::from(drops.wrapping_sub(self.drops)), Ordering::Relaxed);
            self.drops = drops;
        }
    }
}
