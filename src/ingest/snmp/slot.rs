//! A device's place in the poller: where it stands in time, and what was counted of it.
//!
//! Not here: when anything happens (see `poller`).

use super::device::{Device, Outcome};
use super::state::{DeviceState, Origin, Standing, words};
use protocols::snmp::{Credentials, Version};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Which places a cycle takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    None,
    /// Of devices that answered last time.
    Healthy,
    /// Of devices that did not.
    Probe,
}

/// A request on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pending {
    pub(super) id: i32,
    /// Of the device, what it asks for.
    pub(super) job: usize,
    pub(super) sent: Instant,
    /// When it will have gone unanswered.
    pub(super) overdue_ms: i64,
}

/// A device and where it stands in time.
pub(super) struct Slot {
    pub(super) device: Device,
    pub(super) address: SocketAddr,
    pub(super) origin: Origin,
    /// Another for every slot.
    pub(super) stamp: u64,
    /// The requests on their way.
    pub(super) pending: Vec<Pending>,
    pub(super) place: Place,
    pub(super) began_ms: i64,
    pub(super) due_ms: i64,
    pub(super) silent_cycles: u32,
    /// Of the timer that counts; older ones have no meaning any more.
    pub(super) timer: u64,
    /// When that one is due.
    pub(super) timer_ms: i64,
    pub(super) outcome: Option<Outcome>,
    pub(super) last_poll_ms: Option<i64>,
    pub(super) last_success_ms: Option<i64>,
    pub(super) took_ms: i64,
    pub(super) round_trip: Option<Duration>,
    pub(super) round_trip_max: Duration,
    pub(super) requests: u64,
    pub(super) timeouts: u64,
    pub(super) polls: u64,
    pub(super) failures: u64,
    pub(super) samples: u64,
}

impl Slot {
    /// A device that was not asked yet.
    pub(super) fn new(device: Device, address: SocketAddr, origin: Origin, due_ms: i64, stamp: u64) -> Self {
        Self {
            device,
            address,
            origin,
            stamp,
            pending: Vec::new(),
            place: Place::None,
            began_ms: 0,
            due_ms,
            silent_cycles: 0,
            timer: 0,
            timer_ms: i64::MAX,
            outcome: None,
            last_poll_ms: None,
            last_success_ms: None,
            took_ms: 0,
            round_trip: None,
            round_trip_max: Duration::ZERO,
            requests: 0,
            timeouts: 0,
            polls: 0,
            failures: 0,
            samples: 0,
        }
    }

    /// When the next of its requests will have gone unanswered.
    pub(super) fn overdue_ms(&self) -> Option<i64> {
        self.pending.iter().map(|pending| pending.overdue_ms).min()
    }

    /// Takes a request that has gone unanswered.
    pub(super) fn take_overdue(&mut self, now_ms: i64) -> Option<Pending> {
        let at = self.pending.iter().position(|pending| pending.overdue_ms <= now_ms)?;
        Some(self.pending.swap_remove(at))
    }

    /// What is known of it; `since_ms` is how far the wall clock is ahead of the poller's, because it was set.
    pub(super) fn state(&self, since_ms: i64) -> DeviceState {
        let (device, settings) = (&self.device, &self.device.settings);
        let ms = |span: Duration| span.as_secs_f64() * 1000.0;
        DeviceState {
            name: settings.name().to_owned(),
            address: settings.address().to_string(),
            version: match settings.credentials() {
                Credentials::Community(Version::V1, _) => "1",
                Credentials::Community(..) => "2c",
                Credentials::User(..) => "3",
            },
            origin: self.origin,
            standing: match self.outcome {
                None => Standing::New,
                Some(Outcome::Polled) => Standing::Up,
                Some(_) => Standing::Down,
            },
            last_poll_ms: self.last_poll_ms,
            last_success_ms: self.last_success_ms,
            next_poll_ms: self.due_ms + since_ms,
            poll_took_ms: self.last_poll_ms.map(|_| self.took_ms),
            round_trip_ms: self.round_trip.map(ms),
            round_trip_ms_max: self.round_trip.map(|_| ms(self.round_trip_max)),
            requests: self.requests,
            timeouts: self.timeouts,
            polls: self.polls,
            failures: self.failures,
            samples: self.samples,
            interfaces: device.interfaces,
            walk_faults: device.faults.total(),
            error: self.outcome.and_then(words),
            system_name: device.system_name.clone(),
            description: device.description.clone(),
            object_id: device.object_id.clone(),
        }
    }
}
