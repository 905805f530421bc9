//! The thread `snmp-0`: starts every device's cycles in their time, sends requests, matches answers, notices silence.
//!
//! Not here: what is asked and what answers mean (see `device`), samples on their way (see `outgoing`), who wishes for
//! what (see `control`, `watch`).
//!
//! Invariants: at most `in_flight_max` devices that answered last time are in the middle of a cycle, so many again of those
//! that did not, each with at most `requests_per_device_max` requests on their way; a device that left one unanswered
//! gives its place to others, so a dead device holds up nobody; a device keeps its phase within the interval, whatever happens to its cycles; a silent
//! device is asked less and less often, at least every ten minutes.
//!
//! Times are milliseconds of a clock that is never set back, which begins at the wall clock's of the start.
//!
//! Cost sketch: a device of 48 interfaces takes some 15 exchanges of two system calls (8 us each, loopback included), 820
//! values (0.1 us each) and 1450 samples (0.2 us each, of which most in the store): 0.6 ms a cycle; `loadtest snmp`
//! measures it. Several datagrams a system call would gain nothing: answers come one by one over the interval.

use super::control::Command;
use super::device::{Device, Outcome, Progress};
use super::devices::DeviceSettings;
use super::outgoing::Outgoing;
use super::places::Places;
use super::questions::Questions;
use super::slot::{Pending, Place, Slot};
use super::state::{Origin, words};
use super::traps::TrapLog;
use crate::clock;
use crate::ingest::lane::Lanes;
use crate::self_metrics::SelfMetrics;
use crossbeam_channel::Receiver;
use protocols::snmp::id_of;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the thread waits for a datagram, and so how late a due cycle or a silence may be noticed.
pub(super) const WAIT: Duration = Duration::from_millis(10);
/// The same where there is no device.
const IDLE_WAIT: Duration = Duration::from_millis(200);
/// The largest payload of a UDP datagram, rounded up.
const DATAGRAM_BYTES: usize = 1 << 16;
/// The longest pause between two cycles of a device that does not answer.
const BACK_OFF_MS: i64 = 600_000;
/// Share of the timeout by which tries of different devices are spread.
const JITTER_SHARE: i64 = 4;

/// How devices are asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    pub(super) interval_ms: i64,
    pub(super) timeout_ms: i64,
    pub(super) retries: u32,
    pub(super) in_flight_max: usize,
    pub(super) requests_per_device_max: usize,
}

pub(super) struct Poller {
    rhythm: Rhythm,
    questions: Questions,
    socket: UdpSocket,
    has_ipv6: bool,
    metrics: Arc<SelfMetrics>,
    commands: Receiver<Command>,
    traps: TrapLog,
    outgoing: Outgoing,
    /// Places of devices that have gone are taken again.
    slots: Vec<Option<Slot>>,
    by_name: HashMap<String, usize>,
    by_address: HashMap<SocketAddr, Vec<usize>>,
    /// When, which device, and the number that its timer must still have.
    timers: BinaryHeap<Reverse<(i64, usize, u64)>>,
    timer: u64,
    healthy: Places,
    probes: Places,
    random: RandomState,
    drawn: u64,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    began: Instant,
    began_ms: i64,
}

impl Poller {
    pub(super) fn new(
        rhythm: Rhythm,
        questions: Questions,
        (socket, has_ipv6): (UdpSocket, bool),
        lanes: &Lanes,
        metrics: Arc<SelfMetrics>,
        commands: Receiver<Command>,
        traps: TrapLog,
    ) -> Self {
        Self {
            rhythm,
            questions,
            socket,
            has_ipv6,
            metrics,
            commands,
            traps,
            outgoing: Outgoing::new(lanes),
            slots: Vec::new(),
            by_name: HashMap::new(),
            by_address: HashMap::new(),
            timers: BinaryHeap::new(),
            timer: 0,
            healthy: Places::new(rhythm.in_flight_max),
            probes: Places::new(rhythm.in_flight_max),
            random: RandomState::new(),
            drawn: 0,
            buffer: Vec::new(),
            scratch: Vec::new(),
            began: clock::monotonic(),
            began_ms: clock::now_ms(),
        }
    }

    pub(super) fn now_ms(&self) -> i64 {
        self.began_ms + self.began.elapsed().as_millis() as i64
    }

    pub(super) fn run(mut self, stop: &AtomicBool) {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        while !stop.load(Ordering::Relaxed) {
            if self.by_name.is_empty() {
                if let Ok(command) = self.commands.recv_timeout(IDLE_WAIT) {
                    self.obey(command);
                }
                continue;
            }
            match self.socket.recv_from(&mut datagram) {
                Ok((len, from)) => self.take(&datagram[..len], from),
                // A port unreachable comes back as an error of the socket; the device's timeout notices it.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
                Err(error) => tracing::debug!(%error, "the SNMP socket"),
            }
            self.run_timers();
            self.outgoing.learn(&mut self.slots);
            while let Ok(command) = self.commands.try_recv() {
                self.obey(command);
            }
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.random.hash_one(self.drawn)
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::List(answer) => {
                // Who asked may have gone.
                let since_ms = clock::now_ms() - self.now_ms();
                let _ = answer.send(self.slots.iter().flatten().map(|slot| slot.state(since_ms)).collect());
            }
            Command::Replace(devices) => self.replace(devices),
            Command::Add(settings, answer) => {
                let is_free = !self.by_name.contains_key(settings.name());
                if is_free {
                    self.add(*settings, Origin::Api);
                    self.devices_changed();
                }
                let _ = answer.send(is_free);
            }
            Command::Remove(name) => {
                if let Some(at) = self.by_name.get(&name).copied() {
                    self.remove(at);
                    self.devices_changed();
                }
            }
        }
    }

    /// Devices of the file that are as they were keep everything; others leave or begin.
    pub(super) fn replace(&mut self, devices: Vec<DeviceSettings>) {
        let wanted: HashMap<&str, &DeviceSettings> = devices.iter().map(|device| (device.name(), device)).collect();
        let leaves = |slot: &Slot| {
            let settings = &slot.device.settings;
            let same = wanted.get(settings.name()).is_some_and(|other| other.written == settings.written);
            slot.origin == Origin::File && !same
        };
        let leaving: Vec<usize> =
            (0..self.slots.len()).filter(|at| self.slots[*at].as_ref().is_some_and(leaves)).collect();
        leaving.into_iter().for_each(|at| self.remove(at));
        for settings in devices {
            if !self.by_name.contains_key(settings.name()) {
                self.add(settings, Origin::File);
            }
        }
        self.devices_changed();
    }

    /// Devices that were added over HTTP before the last start.
    pub(super) fn restore(&mut self, devices: Vec<DeviceSettings>) {
        for settings in devices {
            if self.by_name.contains_key(settings.name()) {
                tracing::warn!(device = settings.name(), "added over HTTP and in the file of devices: the file counts");
            } else {
                self.add(settings, Origin::Api);
            }
        }
        self.devices_changed();
    }

    fn devices_changed(&self) {
        let polled = self.by_name.len();
        self.metrics.snmp.devices.store(polled as u64, Ordering::Relaxed);
        self.traps.accept_from(self.slots.iter().flatten().map(|slot| &slot.device.settings));
        tracing::info!(devices = polled, "polling by SNMP");
    }

    fn add(&mut self, settings: DeviceSettings, origin: Origin) {
        let (now_ms, name) = (self.now_ms(), settings.name().to_owned());
        let address = self.address_of(settings.address());
        // The phase follows from the name, so that a restart keeps it and devices are spread over the interval.
        let interval = self.rhythm.interval_ms;
        let phase = (storage::series::hash(name.as_bytes()) % interval as u64) as i64;
        let due_ms = now_ms + (phase - now_ms).rem_euclid(interval);
        let random = self.draw();
        let device = Device::new(settings, random, self.rhythm.requests_per_device_max, &self.questions);
        let slot = Slot::new(device, address, origin, due_ms, random);
        let free = self.slots.iter().position(Option::is_none);
        let at = free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.slots[at] = Some(slot);
        self.by_name.insert(name, at);
        self.by_address.entry(address).or_default().push(at);
        self.set_timer(at, due_ms);
    }

    fn remove(&mut self, at: usize) {
        let Some(slot) = self.slots[at].take() else { return };
        self.by_name.remove(slot.device.settings.name());
        if let Some(there) = self.by_address.get_mut(&slot.address) {
            there.retain(|known| *known != at);
            if there.is_empty() {
                self.by_address.remove(&slot.address);
            }
        }
        self.healthy.forget(at);
        self.probes.forget(at);
        self.leave_place(slot.place);
    }

    /// The address as our socket sees it.
    fn address_of(&self, address: SocketAddr) -> SocketAddr {
        match address.ip() {
            IpAddr::V4(ip) if self.has_ipv6 => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
            _ => address,
        }
    }

    /// Looks at a device at an instant, and not at any other that was set before.
    fn set_timer(&mut self, at: usize, due_ms: i64) {
        self.timer += 1;
        if let Some(slot) = &mut self.slots[at] {
            (slot.timer, slot.timer_ms) = (self.timer, due_ms);
            self.timers.push(Reverse((due_ms, at, self.timer)));
        }
    }

    fn run_timers(&mut self) {
        let now_ms = self.now_ms();
        while let Some(Reverse((due_ms, at, timer))) = self.timers.peek().copied() {
            if due_ms > now_ms {
                break;
            }
            self.timers.pop();
            let Some(slot) = self.slots[at].as_mut().filter(|slot| slot.timer == timer) else { continue };
            if slot.pending.is_empty() {
                let place = if slot.silent_cycles == 0 { Place::Healthy } else { Place::Probe };
                let places = if place == Place::Healthy { &mut self.healthy } else { &mut self.probes };
                if places.take_or_wait(at) {
                    self.begin(at, place);
                }
                continue;
            }
            match slot.take_overdue(now_ms) {
                Some(pending) => {
                    self.metrics.snmp.timeouts.fetch_add(1, Ordering::Relaxed);
                    slot.timeouts += 1;
                    let progress = slot.device.timed_out(pending.job, self.rhythm.retries);
                    // Who is silent holds up nobody.
                    let place = std::mem::replace(&mut slot.place, Place::None);
                    self.go_on(at, progress);
                    self.leave_place(place);
                    self.look_again(at);
                }
                // It was set for a request that has been answered since.
                None => self.look_again(at),
            }
        }
    }

    /// Sets a device's timer to when its next request is overdue, if there is one.
    fn look_again(&mut self, at: usize) {
        let next_ms = self.slots[at].as_ref().and_then(Slot::overdue_ms);
        next_ms.into_iter().for_each(|next_ms| self.set_timer(at, next_ms));
    }

    /// Gives a place back, and with it the next cycle a start.
    fn leave_place(&mut self, place: Place) {
        let next = match place {
            Place::None => None,
            Place::Healthy => self.healthy.give_back(),
            Place::Probe => self.probes.give_back(),
        };
        if let Some(next) = next {
            self.begin(next, place);
        }
    }

    fn begin(&mut self, at: usize, place: Place) {
        let now_ms = self.now_ms();
        let Some(slot) = &mut self.slots[at] else { return };
        (slot.place, slot.began_ms) = (place, now_ms);
        let late_ms = u64::try_from(now_ms - slot.due_ms).unwrap_or(0);
        self.metrics.snmp.late_ms_max.fetch_max(late_ms, Ordering::Relaxed);
        slot.device.start(slot.silent_cycles > 0, &self.questions);
        slot.timer_ms = i64::MAX;
        self.send_all(at);
    }

    /// Sends what the device is to be asked for now.
    fn send_all(&mut self, at: usize) {
        while let Some(job) = self.slots[at].as_ref().and_then(|slot| slot.device.next()) {
            self.send(at, job);
        }
    }

    fn send(&mut self, at: usize, job: usize) {
        let random = self.draw();
        let id = (random as i32 & i32::MAX).max(1);
        let buffer = std::mem::take(&mut self.buffer);
        let now_ms = self.now_ms();
        let Some(slot) = &mut self.slots[at] else { return };
        let datagram = slot.device.request(job, id, now_ms, &self.questions, buffer);
        let jitter = (random >> 33) as i64 % (self.rhythm.timeout_ms / JITTER_SHARE).max(1);
        let overdue_ms = now_ms + self.rhythm.timeout_ms + jitter;
        slot.pending.push(Pending { id, job, sent: clock::monotonic(), overdue_ms });
        slot.requests += 1;
        self.metrics.snmp.requests.fetch_add(1, Ordering::Relaxed);
        if let Err(error) = self.socket.send_to(&datagram, slot.address) {
            tracing::debug!(%error, device = slot.device.settings.name(), "cannot send");
        }
        self.buffer = datagram;
        // A timer that is set for earlier finds this request when it is due.
        if overdue_ms < slot.timer_ms {
            self.set_timer(at, overdue_ms);
        }
    }

    fn take(&mut self, datagram: &[u8], from: SocketAddr) {
        let from = SocketAddr::new(from.ip(), from.port());
        let now_ms = self.now_ms();
        let id = id_of(datagram);
        let mut there = 0;
        while let Some(at) = self.by_address.get(&from).and_then(|devices| devices.get(there)).copied() {
            there += 1;
            let Some(slot) = &mut self.slots[at] else { continue };
            let Some(place) = slot.pending.iter().position(|pending| Some(pending.id) == id) else { continue };
            let Pending { id, job, sent, .. } = slot.pending[place];
            match slot.device.answer((job, id), datagram, now_ms, &self.questions, &mut self.scratch) {
                Progress::Ignored => {}
                progress => {
                    slot.pending.swap_remove(place);
                    let round_trip = sent.elapsed();
                    slot.round_trip = Some(round_trip);
                    slot.round_trip_max = slot.round_trip_max.max(round_trip);
                    return self.go_on(at, progress);
                }
            }
        }
        self.metrics.snmp.unexpected.fetch_add(1, Ordering::Relaxed);
    }

    fn go_on(&mut self, at: usize, progress: Progress) {
        match progress {
            Progress::Ignored => {}
            Progress::Go => self.send_all(at),
            Progress::Done(outcome) => {
                let Some(slot) = self.slots[at].as_mut() else { return };
                // Answers to what is still on its way mean nothing any more.
                slot.pending.clear();
                let place = std::mem::replace(&mut slot.place, Place::None);
                self.end(at, outcome);
                self.leave_place(place);
            }
        }
    }

    /// Stores what a cycle gave and sets the next.
    fn end(&mut self, at: usize, outcome: Outcome) {
        let (now_ms, wall_ms) = (self.now_ms(), clock::now_ms());
        let counters = &self.metrics.snmp;
        let Some(slot) = &mut self.slots[at] else { return };
        let name = slot.device.settings.name();
        let is_polled = outcome == Outcome::Polled;
        if is_polled {
            counters.polled.fetch_add(1, Ordering::Relaxed);
            if slot.outcome.is_some_and(|before| before != Outcome::Polled) {
                tracing::info!(device = name, "the device answers again");
            }
            (slot.silent_cycles, slot.polls, slot.last_success_ms) = (0, slot.polls + 1, Some(wall_ms));
        } else {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            if slot.outcome.is_none_or(|before| before == Outcome::Polled) {
                let why = words(outcome).unwrap_or_default();
                tracing::warn!(device = name, why, "the device could not be polled");
            }
            // One that answered something is there: answers were lost, and to ask it less would lose more.
            let is_there = outcome == Outcome::Silent && slot.device.has_answered;
            slot.silent_cycles = if is_there { 0 } else { slot.silent_cycles.saturating_add(1) };
            slot.failures += 1;
        }
        (slot.outcome, slot.last_poll_ms, slot.took_ms) = (Some(outcome), Some(wall_ms), now_ms - slot.began_ms);
        let interval = self.rhythm.interval_ms;
        // A device that was silent once may have lost a datagram; then it is asked half as often with every cycle.
        let skipped = (1i64 << slot.silent_cycles.saturating_sub(1).min(10)) - 1;
        let skipped = skipped.min(BACK_OFF_MS / interval);
        let not_before = now_ms.max(slot.due_ms + skipped * interval);
        // Whole intervals keep the phase, also when cycles were missed.
        slot.due_ms += ((not_before - slot.due_ms) / interval + 1) * interval;
        let due_ms = slot.due_ms;
        self.outgoing.store(at, slot, is_polled, wall_ms, &self.questions, &self.metrics);
        self.set_timer(at, due_ms);
    }
}
