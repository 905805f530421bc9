//! Traps and informs: a thread of its own hears them, checks who sends them, answers informs, and keeps the newest.
//!
//! Not here: the messages (see `protocols::snmp`), version 3 (see `secured_events`), what an event means for anybody.
//!
//! Invariants: an event counts only when it comes from the address of a device that is polled, with that device's
//! community or user, and once, however often it is sent again. The newest are kept, in a bounded number.

use super::devices::DeviceSettings;
use super::own_engine::OwnEngine;
use super::secured_events::{Denied, Secured, SecuredEvents};
use crate::clock;
use crate::self_metrics::{SelfMetrics, TrapCounters};
use protocols::snmp::{Credentials, Notification, NotificationKind, Value, Version, version};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Events that are kept.
const KEPT_MAX: usize = 1000;
/// Variables of an event that are kept, and bytes of a text.
const VARIABLES_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 256;
/// Events that are compared with one that comes: an inform is sent again when its answer was lost.
const COMPARED_MAX: usize = 64;
/// How late a stop may be noticed.
const WAIT: Duration = Duration::from_millis(200);
const DATAGRAM_BYTES: usize = 1 << 16;

/// An event as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrapRecord {
    /// When it came, milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The device that sent it.
    pub device: String,
    /// From where.
    pub address: String,
    /// `1`, `2c` or `3`.
    pub version: &'static str,
    /// `trap` or `inform`.
    pub kind: &'static str,
    /// Which event, as an identifier.
    pub trap: String,
    /// Its name, of the generic ones.
    pub name: Option<&'static str>,
    /// The device's sysUpTime, in hundredths of a second.
    pub uptime_ticks: u32,
    /// Identifiers and values.
    pub variables: Vec<(String, String)>,
}

/// The generic traps (RFC 3418).
const NAMES: [(&str, &str); 6] = [
    ("1.3.6.1.6.3.1.1.5.1", "coldStart"),
    ("1.3.6.1.6.3.1.1.5.2", "warmStart"),
    ("1.3.6.1.6.3.1.1.5.3", "linkDown"),
    ("1.3.6.1.6.3.1.1.5.4", "linkUp"),
    ("1.3.6.1.6.3.1.1.5.5", "authenticationFailure"),
    ("1.3.6.1.6.3.1.1.5.6", "egpNeighborLoss"),
];

/// The newest events, and who may send some.
#[derive(Debug, Clone, Default)]
pub(super) struct TrapLog {
    newest: Arc<Mutex<VecDeque<Arc<TrapRecord>>>>,
    senders: Arc<Mutex<Senders>>,
}

/// Who may send events, by address; `list` rises with every change.
#[derive(Debug, Default)]
struct Senders {
    by_address: HashMap<IpAddr, Vec<DeviceSettings>>,
    list: u64,
}

impl TrapLog {
    /// The newest first.
    pub(super) fn newest(&self) -> Vec<Arc<TrapRecord>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn keep(&self, record: Arc<TrapRecord>) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() >= KEPT_MAX {
            newest.pop_front();
        }
        newest.push_back(record);
    }

    /// These devices are polled now.
    pub(super) fn accept_from<'a>(&self, devices: impl Iterator<Item = &'a DeviceSettings>) {
        let mut by_address: HashMap<IpAddr, Vec<DeviceSettings>> = HashMap::new();
        devices.for_each(|device| by_address.entry(device.address().ip()).or_default().push(device.clone()));
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        *senders = Senders { by_address, list: senders.list + 1 };
    }

    /// The devices at an address, and the number of the list they stand in.
    fn at(&self, ip: IpAddr) -> (Vec<DeviceSettings>, u64) {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        (senders.by_address.get(&ip.to_canonical()).cloned().unwrap_or_default(), senders.list)
    }
}

/// Why an event does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Malformed,
    UnknownSender,
    Credentials,
}

/// What a datagram was.
#[derive(Debug, PartialEq, Eq)]
enum Heard {
    /// An event that counts.
    Event(NotificationKind),
    /// One that came before.
    Again,
    /// A question of version 3 that comes before an inform.
    Asked,
    /// Nothing that counts.
    Refused(Refused),
}

/// Starts the thread; it ends after `stop` is set. `engine_file` keeps our own engine of version 3.
///
/// # Errors
/// When that file cannot be read or written, or the system gives no thread.
pub(super) fn spawn(
    socket: UdpSocket,
    log: TrapLog,
    engine_file: &Path,
    metrics: Arc<SelfMetrics>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    socket.set_read_timeout(Some(WAIT))?;
    let began = clock::monotonic();
    let own = OwnEngine::open(engine_file, 0)?;
    let mut listener = Listener::new(log, own);
    let run = move || {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        while !stop.load(Ordering::Relaxed) {
            // Nothing came, or an answer found nobody.
            let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
            let at = At { wall_ms: clock::now_ms(), since_start_ms: began.elapsed().as_millis() as i64 };
            let (heard, answer) = listener.take(&datagram[..len], from, at);
            if let Some(count) = count_of(&metrics.snmp.traps, &heard) {
                count.fetch_add(1, Ordering::Relaxed);
            }
            if let Some(answer) = answer {
                // The sender asks again when it has no answer.
                let _ = socket.send_to(&answer, from);
            }
        }
    };
    thread::Builder::new().name("snmp-traps".to_owned()).spawn(run)
}

fn count_of<'a>(counters: &'a TrapCounters, heard: &Heard) -> Option<&'a AtomicU64> {
    Some(match heard {
        Heard::Event(NotificationKind::Trap) => &counters.traps,
        Heard::Event(NotificationKind::Inform) => &counters.informs,
        Heard::Again => &counters.again,
        Heard::Asked => return None,
        Heard::Refused(Refused::Malformed) => &counters.malformed,
        Heard::Refused(Refused::UnknownSender) => &counters.unknown_sender,
        Heard::Refused(Refused::Credentials) => &counters.credentials,
    })
}

/// When a datagram came.
#[derive(Debug, Clone, Copy)]
struct At {
    /// Milliseconds since 1970 UTC.
    wall_ms: i64,
    /// By a clock that is never set back.
    since_start_ms: i64,
}

struct Listener {
    log: TrapLog,
    secured: SecuredEvents,
    /// The last events with the numbers their senders gave them.
    compared: VecDeque<(i32, Arc<TrapRecord>)>,
}

impl Listener {
    fn new(log: TrapLog, own: OwnEngine) -> Self {
        let secured = SecuredEvents::new(own, RandomState::new().hash_one("salt"));
        Self { log, secured, compared: VecDeque::new() }
    }

    /// What a datagram was, and what is to be sent for it.
    fn take(&mut self, datagram: &[u8], from: SocketAddr, at: At) -> (Heard, Option<Vec<u8>>) {
        let refused = |why| (Heard::Refused(why), None);
        let (devices, list) = self.log.at(from.ip());
        if devices.is_empty() {
            return refused(Refused::UnknownSender);
        }
        let Ok(version) = version(datagram) else { return refused(Refused::Malformed) };
        if version == Version::V3 {
            return match self.secured.take(datagram, (&devices, list), at.since_start_ms) {
                Ok(Secured::Event(event, device, answer)) => {
                    let record = record(&event, device, from, "3", at.wall_ms);
                    let (kind, number) = (event.kind, event.request_id());
                    (self.keep(kind, number, record), answer)
                }
                Ok(Secured::Asked(report)) => (Heard::Asked, Some(report)),
                Err(Denied { why, report }) => (Heard::Refused(why), report),
            };
        }
        let Ok(event) = Notification::read(datagram) else { return refused(Refused::Malformed) };
        let knows = |device: &&DeviceSettings| match device.credentials() {
            Credentials::Community(_, community) => Some(&community[..]) == event.community(),
            Credentials::User(..) => false,
        };
        let Some(device) = devices.iter().find(knows) else { return refused(Refused::Credentials) };
        let version = if version == Version::V1 { "1" } else { "2c" };
        let record = record(&event, device, from, version, at.wall_ms);
        (self.keep(event.kind, event.request_id(), record), event.answer())
    }

    /// Keeps an event unless it is one of the last ones that was sent again.
    fn keep(&mut self, kind: NotificationKind, number: Option<i32>, record: TrapRecord) -> Heard {
        let record = Arc::new(record);
        if let Some(number) = number {
            if self.compared.iter().any(|(known, other)| *known == number && other.is_same_event(&record)) {
                return Heard::Again;
            }
            if self.compared.len() >= COMPARED_MAX {
                self.compared.pop_front();
            }
            self.compared.push_back((number, record.clone()));
        }
        self.log.keep(record);
        Heard::Event(kind)
    }
}

impl TrapRecord {
    /// Whether it is the same but for when it came and from which port.
    fn is_same_event(&self, other: &Self) -> bool {
        let event = |record: &Self| (record.kind, record.version, record.uptime_ticks);
        event(self) == event(other)
            && self.device == other.device
            && self.trap == other.trap
            && self.variables == other.variables
    }
}

fn record(
    event: &Notification<'_>,
    device: &DeviceSettings,
    from: SocketAddr,
    version: &'static str,
    now_ms: i64,
) -> TrapRecord {
    let trap = event.trap.to_string();
    let variables = event.var_binds.iter().take(VARIABLES_MAX);
    TrapRecord {
        time_ms: now_ms,
        device: device.name().to_owned(),
        address: from.to_string(),
        version,
        kind: if event.kind == NotificationKind::Inform { "inform" } else { "trap" },
        name: NAMES.iter().find(|(oid, _)| *oid == trap).map(|(_, name)| *name),
        trap,
        uptime_ticks: event.uptime,
        variables: variables.map(|bound| (bound.name.to_string(), shown(bound.value))).collect(),
    }
}

/// A value as people read it.
pub fn shown(value: Value<'_>) -> String {
    match value {
        Value::OctetString(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) if !text.chars().any(|c| c.is_control() && !c.is_whitespace()) => {
                text.chars().take(TEXT_CHARS_MAX).collect()
            }
            _ => bytes.iter().take(TEXT_CHARS_MAX / 3).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"),
        },
        Value::Oid(oid) => oid.to_string(),
        Value::IpAddress(address) => IpAddr::from(address).to_string(),
        Value::Null => String::new(),
        Value::NoSuchObject => "(no such object)".to_owned(),
        Value::NoSuchInstance => "(no such instance)".to_owned(),
        Value::EndOfMibView => "(end)".to_owned(),
        Value::Counter64(count) => count.to_string(),
        other => other.number().map(|number| number.to_string()).unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "traps_tests.rs"]
mod tests;
