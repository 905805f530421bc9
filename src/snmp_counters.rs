//! What polling by SNMP and hearing traps counts; part of `self_metrics`.
//!
//! Not here: how it is shown (see `api::metrics_page`), what becomes of samples (see `self_metrics`).
//!
//! Invariant: counters only rise while the process lives, but for the number of devices.

use std::sync::atomic::AtomicU64;

/// What SNMP polling counts beside its samples.
#[derive(Debug, Default)]
pub struct SnmpCounters {
    /// Devices polled at present.
    pub devices: AtomicU64,
    /// Cycles that were answered whole.
    pub polled: AtomicU64,
    /// Cycles that were not.
    pub failed: AtomicU64,
    /// Requests sent.
    pub requests: AtomicU64,
    /// Requests that were not answered in time.
    pub timeouts: AtomicU64,
    /// Datagrams that answer no request.
    pub unexpected: AtomicU64,
    /// Rates not stored because a counter or its device started anew.
    pub rates_reset: AtomicU64,
    /// Rates not stored because the counter may have wrapped more than once.
    pub rates_ambiguous: AtomicU64,
    /// Rates not stored because the line cannot carry them.
    pub rates_implausible: AtomicU64,
    /// Interfaces of which nothing was stored because they changed hands while they were read.
    pub interfaces_moved: AtomicU64,
    /// Walks that a device's fault ended: a name that did not increase, no progress, too many rows.
    pub walk_faults: AtomicU64,
    /// The latest that a cycle began after it was due, in milliseconds.
    pub late_ms_max: AtomicU64,
    /// Events that devices send by themselves.
    pub traps: TrapCounters,
}

/// What hearing traps counts.
#[derive(Debug, Default)]
pub struct TrapCounters {
    /// Traps of devices that are polled.
    pub traps: AtomicU64,
    /// Informs likewise, each answered.
    pub informs: AtomicU64,
    /// Traps and informs that had come before: sent again because the answer was lost, or played again by others.
    pub again: AtomicU64,
    /// Datagrams that are no event, or one of a kind that is not taken.
    pub malformed: AtomicU64,
    /// Events from addresses of which no device is polled.
    pub unknown_sender: AtomicU64,
    /// Events without the device's community or user.
    pub credentials: AtomicU64,
}
