//! Our own counters, by which the accounting law can be checked at any quiet moment.
//!
//! received = stored + aggregated + rejected + late + duplicate + dropped, for every source.
//!
//! Not here: how they are shown (see `api::metrics_page`), figures of the store (see `storage::StoreFigures`).
//!
//! Invariant: counters only rise while the process lives; an observation is counted as received exactly once and as
//! exactly one of the others exactly once.

pub use crate::foundation_counters::{FoundationCounters, Skip};
pub use crate::scoring_counters::{Distribution, ScoringCounters, TIMED_MAX};
pub use crate::service_counters::{HttpCounters, ReloadCounters, StreamCounters};
pub use crate::snmp_counters::{SnmpCounters, TrapCounters};

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Where observations come from; a label value of every counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Prometheus remote write.
    RemoteWrite,
    /// JSON pushed over HTTP.
    Json,
    /// StatsD over UDP.
    StatsD,
    /// Polled by SNMP.
    Snmp,
    /// Written by rules.
    Rules,
}

impl Source {
    /// All sources, in the order of their counters.
    pub const ALL: [Self; 5] = [Self::RemoteWrite, Self::Json, Self::StatsD, Self::Snmp, Self::Rules];

    /// The value of the `source` label.
    pub fn name(self) -> &'static str {
        match self {
            Self::RemoteWrite => "remote_write",
            Self::Json => "json",
            Self::StatsD => "statsd",
            Self::Snmp => "snmp",
            Self::Rules => "rules",
        }
    }
}

/// Why an observation was not taken although it was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// Another value is stored at that time.
    Conflict,
    /// Further ahead of the clock than `storage.future`.
    InFuture,
    /// Before 1970 or older than `storage.retention`.
    TooOld,
    /// Labels that make no series.
    BadSeries,
    /// A label name stands twice.
    DuplicateLabel,
    /// No `__name__`.
    NoName,
    /// The store holds `storage.max_series` series.
    SeriesLimit,
    /// What is stored at that time cannot be read.
    Unreadable,
    /// Native histograms are not supported.
    NativeHistogram,
    /// Exemplars are not kept.
    Exemplar,
    /// Not in the form that its source expects.
    Malformed,
    /// A type of metric that is not known.
    UnknownType,
    /// An event that is none.
    BadEvent,
    /// A sample rate that is none.
    BadRate,
    /// A value that is none.
    BadValue,
    /// A name that is none.
    BadName,
    /// Tags that are none.
    BadTags,
    /// A timestamp that is none.
    BadTimestamp,
    /// As many series have windows as `statsd.max_series` allows.
    WindowLimit,
}

impl Rejection {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 19] = [
        Self::Conflict,
        Self::InFuture,
        Self::TooOld,
        Self::BadSeries,
        Self::DuplicateLabel,
        Self::NoName,
        Self::SeriesLimit,
        Self::Unreadable,
        Self::NativeHistogram,
        Self::Exemplar,
        Self::Malformed,
        Self::UnknownType,
        Self::BadEvent,
        Self::BadRate,
        Self::BadValue,
        Self::BadName,
        Self::BadTags,
        Self::BadTimestamp,
        Self::WindowLimit,
    ];

    /// The value of the `reason` label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::InFuture => "in_future",
            Self::TooOld => "too_old",
            Self::BadSeries => "bad_series",
            Self::DuplicateLabel => "duplicate_label",
            Self::NoName => "no_name",
            Self::SeriesLimit => "series_limit",
            Self::Unreadable => "unreadable",
            Self::NativeHistogram => "native_histogram",
            Self::Exemplar => "exemplar",
            Self::Malformed => "malformed",
            Self::UnknownType => "unknown_type",
            Self::BadEvent => "bad_event",
            Self::BadRate => "bad_rate",
            Self::BadValue => "bad_value",
            Self::BadName => "bad_name",
            Self::BadTags => "bad_tags",
            Self::BadTimestamp => "bad_timestamp",
            Self::WindowLimit => "window_limit",
        }
    }

    /// The same for people, for answers to senders.
    pub fn explained(self) -> &'static str {
        match self {
            Self::Conflict => "another value is stored at that time",
            Self::InFuture => "further ahead of the clock than storage.future",
            Self::TooOld => "before 1970 or older than storage.retention",
            Self::BadSeries => "labels are not valid UTF-8, empty, or longer than 4096 bytes together",
            Self::DuplicateLabel => "a label name stands twice",
            Self::NoName => "no __name__ label",
            Self::SeriesLimit => "the store holds as many series as storage.max_series allows",
            Self::Unreadable => "what is stored at that time cannot be read",
            Self::NativeHistogram => "native histograms are not supported",
            Self::Exemplar => "exemplars are not kept, so do not send them",
            Self::Malformed => "not in the form that is expected",
            Self::UnknownType => "the type is not known",
            Self::BadEvent => "not an event",
            Self::BadRate => "a sample rate is above 0 and at most 1",
            Self::BadValue => "not a finite decimal number, or an empty member",
            Self::BadName => "a name is 1 to 255 bytes of UTF-8 without control characters",
            Self::BadTags => "tags are UTF-8 without control characters",
            Self::BadTimestamp => "a timestamp is a whole number of seconds",
            Self::WindowLimit => "as many series have windows as statsd.max_series allows",
        }
    }
}

/// Why a valid observation found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// A shard's queue was full.
    QueueFull,
    /// The journal cannot be written at present.
    NotWriting,
    /// The server is shutting down.
    Shutdown,
}

impl DropReason {
    /// All reasons, in the order of their counters.
    pub const ALL: [Self; 3] = [Self::QueueFull, Self::NotWriting, Self::Shutdown];

    /// The value of the `reason` label.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::NotWriting => "not_writing",
            Self::Shutdown => "shutdown",
        }
    }
}

/// The counters of one source.
#[derive(Debug, Default)]
pub struct SourceCounters {
    received: AtomicU64,
    stored: AtomicU64,
    aggregated: AtomicU64,
    late: AtomicU64,
    duplicate: AtomicU64,
    rejected: [AtomicU64; Rejection::ALL.len()],
    dropped: [AtomicU64; DropReason::ALL.len()],
}

impl SourceCounters {
    /// Counts observations as received.
    pub fn add_received(&self, count: u64) {
        self.received.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as rejected.
    pub fn add_rejected(&self, reason: Rejection, count: u64) {
        self.rejected[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as dropped.
    pub fn add_dropped(&self, reason: DropReason, count: u64) {
        self.dropped[reason as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as stored.
    pub fn add_stored(&self, count: u64) {
        self.stored.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as gone into a window.
    pub fn add_aggregated(&self, count: u64) {
        self.aggregated.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as late.
    pub fn add_late(&self, count: u64) {
        self.late.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts observations as duplicates.
    pub fn add_duplicate(&self, count: u64) {
        self.duplicate.fetch_add(count, Ordering::Relaxed);
    }

    /// Received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Stored so far.
    pub fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }

    /// Aggregated into a window so far.
    pub fn aggregated(&self) -> u64 {
        self.aggregated.load(Ordering::Relaxed)
    }

    /// Late so far.
    pub fn late(&self) -> u64 {
        self.late.load(Ordering::Relaxed)
    }

    /// Duplicates so far.
    pub fn duplicate(&self) -> u64 {
        self.duplicate.load(Ordering::Relaxed)
    }

    /// Rejected so far for one reason.
    pub fn rejected(&self, reason: Rejection) -> u64 {
        self.rejected[reason as usize].load(Ordering::Relaxed)
    }

    /// Dropped so far for one reason.
    pub fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize].load(Ordering::Relaxed)
    }
}

/// What StatsD counts beside its observations.
#[derive(Debug, Default)]
pub struct StatsdCounters {
    sockets: Mutex<Vec<Arc<SocketCounters>>>,
    refused: Mutex<BTreeMap<String, u64>>,
    /// Extensions of lines stepped over.
    pub extensions_ignored: AtomicU64,
    /// Spellings of series with a tag key that stood twice, whose values were joined.
    pub tags_joined: AtomicU64,
    /// Spellings of series that listeners gather at present.
    pub window_series: AtomicU64,
    /// Samples stored when windows closed.
    pub window_samples: AtomicU64,
    /// Samples of closed windows that the store did not take.
    pub window_samples_refused: AtomicU64,
}

/// Metric names kept of those whose new series found no room.
const REFUSED_NAMES_MAX: usize = 64;
/// What the others are counted under.
const OTHER_NAMES: &str = "other";

/// What one socket of StatsD counts.
#[derive(Debug, Default)]
pub struct SocketCounters {
    name: String,
    /// Datagrams, or pieces of streams, received.
    pub datagrams: AtomicU64,
    /// Datagrams the kernel had no room for, since the socket was opened.
    pub kernel_drops: AtomicU64,
}

impl SocketCounters {
    /// The value of the `socket` label.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl StatsdCounters {
    /// Counters of a new socket.
    pub fn socket(&self, name: &str) -> Arc<SocketCounters> {
        let counters = Arc::new(SocketCounters { name: name.to_owned(), ..SocketCounters::default() });
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(counters.clone());
        counters
    }

    /// Counts observations of a metric whose new series found no room; of the names that come after the first
    /// `REFUSED_NAMES_MAX` all together.
    pub fn add_refused(&self, name: &str, count: u64) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let is_kept = refused.len() < REFUSED_NAMES_MAX || refused.contains_key(name);
        *refused.entry(if is_kept { name } else { OTHER_NAMES }.to_owned()).or_default() += count;
    }

    /// Metrics whose new series found no room, with how many observations of each.
    pub fn refused(&self) -> BTreeMap<String, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All sockets there are.
    pub fn sockets(&self) -> Vec<Arc<SocketCounters>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is counted of the series of remote write senders that are known again by their bytes.
#[derive(Debug, Default)]
pub struct KnownSeriesCounters {
    /// Series of requests that were known.
    pub known: AtomicU64,
    /// Series of requests that had to be looked up by their labels.
    pub looked_up: AtomicU64,
    /// Series remembered at present.
    pub remembered: AtomicU64,
    /// Bytes of their labels.
    pub key_bytes: AtomicU64,
    /// Series that found no room to be remembered.
    pub refused: AtomicU64,
}

/// All counters of the process.
#[derive(Debug, Default)]
pub struct SelfMetrics {
    sources: [SourceCounters; Source::ALL.len()],
    /// Requests refused whole before a sample was seen: unreadable, too large, of an unknown kind.
    pub bad_requests: AtomicU64,
    /// Of the series of remote write senders that are known again.
    pub known_series: KnownSeriesCounters,
    /// Times at which counters were made, stepped over.
    pub created_ignored: AtomicU64,
    /// Of the StatsD listener and of windows.
    pub statsd: StatsdCounters,
    /// Of the scoring of samples.
    pub scoring: ScoringCounters,
    /// Of the foundation layer.
    pub foundation: FoundationCounters,
    /// Of the SNMP poller.
    pub snmp: SnmpCounters,
    /// Of answers over HTTP.
    pub http: HttpCounters,
    /// Of live streams.
    pub streams: StreamCounters,
    /// Of reading the settings again.
    pub reloads: ReloadCounters,
}

impl SelfMetrics {
    /// The counters of a source.
    pub fn of(&self, source: Source) -> &SourceCounters {
        &self.sources[source as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_names_are_kept_up_to_a_limit_and_the_others_counted_together() {
        let counters = StatsdCounters::default();
        (0..2 * REFUSED_NAMES_MAX).for_each(|number| counters.add_refused(&format!("n{number}"), 1));
        counters.add_refused("n0", 5);
        let refused = counters.refused();
        assert_eq!((refused["n0"], refused[OTHER_NAMES]), (6, REFUSED_NAMES_MAX as u64));
        assert_eq!(refused.len(), REFUSED_NAMES_MAX + 1);
    }

    #[test]
    fn every_reason_has_a_counter_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Rejection::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Rejection::ALL.len());
        assert!(Rejection::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        assert!(DropReason::ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
    }
}
