//! The thread `foundation-0`: reads histories of the most urgent series from the store, has many of them forecast at a
//! time, and gives the bands to the partitions of their series.
//!
//! After each batch it rests for as long as keeps it within its share of a core; offers are taken in meanwhile.
//!
//! Not here: who is offered (see `shard::foresee`), the forecasts themselves (see `analysis::foresight`).
//!
//! Invariant: a band is made of samples that are stored, up to the newest by the time it is made, less those in planned
//! trouble.

use super::room::Room;
use super::waiting::Waiting;
use super::{LayerDoor, Offer, Plans, Urgency};
use crate::analysis::ForecastBand;
use crate::analysis::foresight::{self, CELLS_MAX, Follower, History, STEPS};
use crate::clock;
use crate::foundation_counters::{FoundationCounters, Skip};
use crate::self_metrics::SelfMetrics;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use storage::Store;
use storage::sample::Samples;
use storage::series::PARTITIONS;

/// Forecasts in one pass of the model, at most: more are hardly faster.
const BATCH_MAX: usize = 64;

/// A batch shall take no longer, so that a slow model is stopped in time and leaves the core to others.
const BATCH_SECONDS: f64 = 0.25;

/// How long the thread waits for offers before it looks whether the server stops.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bands that may wait for one partition's shard.
const UNDELIVERED_MAX: usize = 256;

/// Share of the room that only new and suspicious series may take: one in so many.
const RESERVED_ONE_IN: usize = 4;

/// How fast the share in use forgets, in seconds.
const SHARE_MEMORY_S: f64 = 10.0;

/// What may be set about the layer.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerSettings {
    /// Share of one core that forecasts may take, above 0 and up to 1.
    pub cpu_share: f64,
    /// Series that may wait for a forecast.
    pub queue_max: usize,
    /// Samples of a series after which its band is made anew.
    pub refresh: usize,
    /// Series that may have a band.
    pub series_max: usize,
}

/// The running worker.
#[derive(Debug)]
pub struct LayerHandle(JoinHandle<()>);

impl LayerHandle {
    /// Waits for it to end, which it does when the door was closed.
    ///
    /// # Errors
    /// When its thread panicked.
    pub fn join(self) -> thread::Result<()> {
        self.0.join()
    }
}

/// Starts the thread; the door is what shards offer series at.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    settings: LayerSettings,
    store: Store,
    plans: Plans,
    metrics: Arc<SelfMetrics>,
) -> std::io::Result<(LayerHandle, LayerDoor)> {
    let (offers, offered) = bounded(settings.queue_max.max(1));
    let (senders, bands) = (0..PARTITIONS).map(|_| bounded(UNDELIVERED_MAX)).unzip();
    let closing = Arc::new(AtomicBool::new(false));
    let refresh = settings.refresh as f64;
    metrics.foundation.share_max.store((settings.cpu_share * 1e6) as u64, Ordering::Relaxed);
    let room = Arc::new(Room::new(settings.series_max));
    let door =
        LayerDoor { offers, bands, room: room.clone(), metrics: metrics.clone(), closing: closing.clone(), refresh };
    let waiting = Waiting::new(settings.queue_max);
    let worker = Worker {
        store,
        plans,
        metrics,
        senders,
        waiting,
        room,
        samples: Samples::default(),
        forecast_s: 0.0,
        used: 0.0,
        settings,
    };
    let thread = thread::Builder::new().name("foundation-0".to_owned()).spawn(move || run(worker, &offered, &closing));
    Ok((LayerHandle(thread?), door))
}

fn run(mut worker: Worker, offered: &Receiver<Offer>, closing: &AtomicBool) {
    let mut rest_until = clock::monotonic();
    let mut ended = rest_until;
    while !closing.load(Ordering::Relaxed) {
        let now = clock::monotonic();
        let is_resting = now < rest_until;
        if is_resting || worker.waiting.len() == 0 {
            let patience = if is_resting { PATIENCE.min(rest_until - now) } else { PATIENCE };
            match offered.recv_timeout(patience) {
                Ok(offer) => worker.take(offer),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        while let Ok(offer) = offered.try_recv() {
            worker.take(offer);
        }
        let began = clock::monotonic();
        if began < rest_until {
            continue;
        }
        worker.forecast_batch();
        let (now, idle_s) = (clock::monotonic(), (began - ended).as_secs_f64());
        let busy_s = (now - began).as_secs_f64();
        worker.account(busy_s, idle_s);
        ended = now;
        rest_until = rest(now, busy_s, worker.settings.cpu_share);
    }
}

/// Until when to rest after so much work.
fn rest(now: Instant, busy_s: f64, share: f64) -> Instant {
    now + Duration::from_secs_f64(busy_s * (1.0 / share.clamp(1e-3, 1.0) - 1.0))
}

struct Worker {
    store: Store,
    plans: Plans,
    metrics: Arc<SelfMetrics>,
    senders: Vec<Sender<(u32, ForecastBand)>>,
    waiting: Waiting,
    room: Arc<Room>,
    samples: Samples,
    /// What a forecast takes, of late.
    forecast_s: f64,
    /// Share of a core in use, of late.
    used: f64,
    settings: LayerSettings,
}

impl Worker {
    fn counters(&self) -> &FoundationCounters {
        &self.metrics.foundation
    }

    fn take(&mut self, offer: Offer) {
        if !self.waiting.push(offer) {
            self.counters().skip(Skip::QueueFull, 1);
        }
    }

    /// Forecasts the most urgent, as many as fit into a batch.
    fn forecast_batch(&mut self) {
        let fits = if self.forecast_s > 0.0 { (BATCH_SECONDS / self.forecast_s) as usize } else { BATCH_MAX / 8 };
        let mut batch: Vec<(Offer, History)> = Vec::with_capacity(BATCH_MAX);
        let mut bands = self.room.taken();
        while batch.len() < fits.clamp(1, BATCH_MAX) {
            let Some(offer) = self.waiting.pop() else { break };
            match self.history(&offer, bands) {
                Ok(history) => {
                    bands += usize::from(!offer.has_band);
                    batch.push((offer, history));
                }
                Err(why) => self.refuse(&offer, why),
            }
        }
        self.counters().waiting.store(self.waiting.len() as u64, Ordering::Relaxed);
        if !batch.is_empty() {
            // Histories of like length stand together where a model pads them.
            batch.sort_by_key(|(_, history)| history.cells.len());
            let (offers, histories): (Vec<Offer>, Vec<History>) = batch.into_iter().unzip();
            let began = clock::monotonic();
            let told = foresight::bands(&histories);
            self.measure(clock::monotonic().saturating_duration_since(began), histories.len());
            offers.iter().zip(told).for_each(|(offer, band)| self.deliver(offer, band));
        }
        self.counters().bands.store(self.room.taken() as u64, Ordering::Relaxed);
    }

    /// The newest part of what is stored of a series.
    fn history(&mut self, offer: &Offer, bands: usize) -> Result<History, Skip> {
        let places = self.room.places();
        let reserved = if offer.urgency == Urgency::Settled { places / RESERVED_ONE_IN } else { 0 };
        if !offer.has_band && bands >= places.saturating_sub(reserved) {
            return Err(Skip::NoRoom);
        }
        let span_ms = offer.step_ms * (CELLS_MAX + 1) as f64;
        let from_ms = offer.last_ms.saturating_sub(span_ms as i64);
        self.samples.clear();
        let read = self.store.read(offer.series, from_ms, i64::MAX, &mut self.samples);
        read.map_err(|_| Skip::Unreadable)?;
        let newest_ms = self.samples.times.last().copied().unwrap_or(i64::MIN);
        // What was read ends where the offer did; a series that has gone on for a whole band meanwhile is offered again.
        if (newest_ms - offer.last_ms) as f64 > STEPS as f64 * offer.step_ms {
            return Err(Skip::TooLate);
        }
        let mut follower = Follower::new(Some(offer.kind));
        let mut trouble = self.store.key(offer.series).and_then(|key| (self.plans)(&key));
        for (time_ms, value) in self.samples.times.iter().zip(&self.samples.values) {
            if !trouble.as_mut().is_some_and(|is_trouble| is_trouble(*time_ms)) {
                follower.observe(*time_ms, *value);
            }
        }
        follower.history_by(offer.step_ms).ok_or(Skip::TooShort)
    }

    /// A series gets no band. Where it would be the same at once, it is told so by one that says nothing.
    fn refuse(&self, offer: &Offer, why: Skip) {
        self.counters().skip(why, 1);
        if matches!(why, Skip::TooShort | Skip::NoForecast | Skip::Unreadable) {
            self.send(offer, ForecastBand::nothing(offer.last_ms, offer.step_ms));
        }
    }

    /// Whether there was room for it.
    fn send(&self, offer: &Offer, band: ForecastBand) -> bool {
        let message = (offer.series.id(), band.holding(self.room.place()));
        let sender = self.senders.get(usize::from(offer.series.partition()));
        sender.is_some_and(|sender| sender.try_send(message).is_ok())
    }

    fn deliver(&self, offer: &Offer, band: Option<ForecastBand>) {
        let Some(band) = band else { return self.refuse(offer, Skip::NoForecast) };
        if !self.send(offer, band) {
            return self.counters().skip(Skip::Undelivered, 1);
        }
        self.counters().forecasts.fetch_add(1, Ordering::Relaxed);
        let waited_ms = clock::now_ms().saturating_sub(offer.offered_ms).max(0);
        self.counters().latency.add(waited_ms as f64 / 1000.0);
    }

    /// Learns what a forecast takes.
    fn measure(&mut self, took: Duration, count: usize) {
        let each_s = took.as_secs_f64() / count.max(1) as f64;
        self.forecast_s = if self.forecast_s > 0.0 { 0.9 * self.forecast_s + 0.1 * each_s } else { each_s };
        let speed = if self.forecast_s > 0.0 { 1000.0 / self.forecast_s } else { 0.0 };
        self.counters().speed_milli.store(speed as u64, Ordering::Relaxed);
    }

    /// Learns what share of a core is in use.
    fn account(&mut self, busy_s: f64, idle_s: f64) {
        let passed_s = (busy_s + idle_s).max(1e-9);
        let weight = 1.0 - (-passed_s / SHARE_MEMORY_S).exp();
        self.used += weight * (busy_s / passed_s - self.used);
        let counters = self.counters();
        counters.busy_us.fetch_add((busy_s * 1e6) as u64, Ordering::Relaxed);
        counters.share_used.store((self.used * 1e6) as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_for_as_long_as_keeps_it_within_its_share() {
        let now = clock::monotonic();
        let rested = |share: f64| (rest(now, 0.2, share) - now).as_secs_f64();
        assert!((rested(0.1) - 1.8).abs() < 1e-6 && (rested(0.5) - 0.2).abs() < 1e-6 && rested(1.0).abs() < 1e-6);
    }
}
