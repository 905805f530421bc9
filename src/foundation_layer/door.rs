//! Where shards offer series, and where they find the bands that were made.
//!
//! Not here: who is served first (see `waiting`), the work (see `worker`).

use super::room::Room;
use crate::analysis::{ForecastBand, Kind};
use crate::foundation_counters::{FoundationCounters, Skip};
use crate::self_metrics::SelfMetrics;
use crossbeam_channel::{Receiver, Sender, TrySendError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use storage::series::SeriesRef;

/// How much a series needs a band; the more urgent comes later in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Urgency {
    /// Its own models judge it.
    Settled,
    /// It was unusual just now.
    Suspicious,
    /// It is too young for models of its own.
    New,
}

/// A series that wants a band.
#[derive(Debug, Clone, Copy)]
pub struct Offer {
    /// Which.
    pub series: SeriesRef,
    /// How much.
    pub urgency: Urgency,
    /// What its values are taken for.
    pub kind: Kind,
    /// Its step in milliseconds.
    pub step_ms: f64,
    /// Time of its newest sample.
    pub last_ms: i64,
    /// Whether it has a band, so that a new one takes no further room.
    pub has_band: bool,
    /// When it was offered, by the wall clock.
    pub offered_ms: i64,
}

/// The shards' side of the layer.
#[derive(Debug)]
pub struct LayerDoor {
    pub(super) offers: Sender<Offer>,
    /// Of each partition: the series' id and its band.
    pub(super) bands: Vec<Receiver<(u32, ForecastBand)>>,
    pub(super) room: Arc<Room>,
    pub(super) metrics: Arc<SelfMetrics>,
    /// Set when the server stops.
    pub(super) closing: Arc<AtomicBool>,
    /// Samples after which a band is to be made anew.
    pub(super) refresh: f64,
}

impl LayerDoor {
    /// Offers a series; where there is no room it is counted and offered again when its turn comes.
    pub fn offer(&self, offer: Offer) {
        if let Err(TrySendError::Full(_)) = self.offers.try_send(offer) {
            self.counters().skip(Skip::QueueFull, 1);
        }
    }

    /// The next band of a partition, if one has come.
    pub fn next_band(&self, partition: u8) -> Option<(u32, ForecastBand)> {
        self.bands.get(usize::from(partition))?.try_recv().ok()
    }

    /// A place for a band that was made before the start, if there is room.
    pub fn place(&self) -> Option<Arc<()>> {
        self.room.place_if_any()
    }

    /// How many bands there are.
    #[cfg(test)]
    pub(crate) fn places_taken(&self) -> usize {
        self.room.taken()
    }

    /// Samples after which a band is to be made anew.
    pub fn refresh(&self) -> f64 {
        self.refresh
    }

    /// What the layer counts.
    pub fn counters(&self) -> &FoundationCounters {
        &self.metrics.foundation
    }

    /// The worker ends after what it has at hand.
    pub fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }
}
