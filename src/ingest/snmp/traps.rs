//! Traps and informs: a thread of its own hears them, checks who sends them, answers informs, and keeps the newest.
//!
//! Not here: the messages (see `protocols::snmp`), what an event means for anybody.
//!
//! Invariants: an event counts only when it comes from the address of a device that is polled, with that device's
//! community or user; of a version 3 event the digest has to be right and the cipher to fit, and its time to be that of the
//! engine or later. The newest are kept, in a bounded number.

use super::devices::DeviceSettings;
use crate::clock;
use crate::self_metrics::{SelfMetrics, TrapCounters};
use protocols::snmp::usm::{Engine, LocalizedUser};
use protocols::snmp::{
    Credentials, Notification, NotificationKind, Payload, ScopedPdu, V3Message, Value, Version, version,
};
use serde::Serialize;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Events that are kept.
const KEPT_MAX: usize = 1000;
/// Variables of an event that are kept, and bytes of a text.
const VARIABLES_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 256;
/// Engines of senders of version 3 that are remembered; a device has one, or two when it was replaced.
const ENGINES_MAX: usize = 10_000;
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
    senders: Arc<Mutex<HashMap<IpAddr, Vec<DeviceSettings>>>>,
}

impl TrapLog {
    /// The newest first.
    pub(super) fn newest(&self) -> Vec<Arc<TrapRecord>> {
        self.newest.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    fn keep(&self, record: TrapRecord) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if newest.len() >= KEPT_MAX {
            newest.pop_front();
        }
        newest.push_back(Arc::new(record));
    }

    /// These devices are polled now.
    pub(super) fn accept_from<'a>(&self, devices: impl Iterator<Item = &'a DeviceSettings>) {
        let mut senders: HashMap<IpAddr, Vec<DeviceSettings>> = HashMap::new();
        devices.for_each(|device| senders.entry(device.address().ip()).or_default().push(device.clone()));
        *self.senders.lock().unwrap_or_else(PoisonError::into_inner) = senders;
    }

    fn at(&self, ip: IpAddr) -> Vec<DeviceSettings> {
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.get(&ip.to_canonical()).cloned().unwrap_or_default()
    }
}

/// Why an event does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    Malformed,
    UnknownSender,
    Credentials,
}

/// Starts the thread; it ends after `stop` is set.
///
/// # Errors
/// When the system gives no thread.
pub(super) fn spawn(
    socket: UdpSocket,
    log: TrapLog,
    metrics: Arc<SelfMetrics>,
    stop: Arc<AtomicBool>,
) -> io::Result<JoinHandle<()>> {
    socket.set_read_timeout(Some(WAIT))?;
    let mut listener = Listener { log, engines: HashMap::new(), scratch: Vec::new() };
    let run = move || {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        while !stop.load(Ordering::Relaxed) {
            // Nothing came, or the answer to an inform found nobody.
            let Ok((len, from)) = socket.recv_from(&mut datagram) else { continue };
            let counters: &TrapCounters = &metrics.snmp.traps;
            match listener.take(&datagram[..len], from, clock::now_ms()) {
                Ok(heard) => {
                    let count = if heard.is_inform { &counters.informs } else { &counters.traps };
                    count.fetch_add(1, Ordering::Relaxed);
                    if let Some(answer) = heard.answer {
                        // The sender sends the inform again when it has no answer.
                        let _ = socket.send_to(&answer, from);
                    }
                }
                Err(refused) => {
                    let count = match refused {
                        Refused::Malformed => &counters.malformed,
                        Refused::UnknownSender => &counters.unknown_sender,
                        Refused::Credentials => &counters.credentials,
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    thread::Builder::new().name("snmp-traps".to_owned()).spawn(run)
}

/// An event that counts.
#[derive(Debug)]
struct Heard {
    is_inform: bool,
    answer: Option<Vec<u8>>,
}

struct Listener {
    log: TrapLog,
    /// Keys and clock of a sender's engine for each user.
    engines: HashMap<(Vec<u8>, Vec<u8>), (LocalizedUser, Engine)>,
    scratch: Vec<u8>,
}

impl Listener {
    fn take(&mut self, datagram: &[u8], from: SocketAddr, now_ms: i64) -> Result<Heard, Refused> {
        let devices = self.log.at(from.ip());
        if devices.is_empty() {
            return Err(Refused::UnknownSender);
        }
        if version(datagram).map_err(|_| Refused::Malformed)? == Version::V3 {
            return self.take_v3(datagram, &devices, from, now_ms);
        }
        let event = Notification::read(datagram).map_err(|_| Refused::Malformed)?;
        let knows = |device: &&DeviceSettings| match device.credentials() {
            Credentials::Community(_, community) => Some(&community[..]) == event.community(),
            Credentials::User(..) => false,
        };
        let device = devices.iter().find(knows).ok_or(Refused::Credentials)?;
        let version = if event.version() == Some(Version::V1) { "1" } else { "2c" };
        self.log.keep(record(&event, device, from, version, now_ms));
        Ok(Heard { is_inform: event.kind == NotificationKind::Inform, answer: event.answer() })
    }

    /// Of a trap the sender's engine is the one that counts; an inform would need an engine of ours and is refused.
    fn take_v3(
        &mut self,
        datagram: &[u8],
        devices: &[DeviceSettings],
        from: SocketAddr,
        now_ms: i64,
    ) -> Result<Heard, Refused> {
        let message = V3Message::read(datagram).map_err(|_| Refused::Malformed)?;
        let user = devices.iter().find_map(|device| match device.credentials() {
            Credentials::User(user, _) if user.name() == message.user => Some((device, user)),
            _ => None,
        });
        let (device, user) = user.ok_or(Refused::Credentials)?;
        let key = (message.engine_id.to_vec(), message.user.to_vec());
        if !self.engines.contains_key(&key) && self.engines.len() >= ENGINES_MAX {
            return Err(Refused::Credentials);
        }
        let localize = || {
            let engine = Engine::discovered(message.engine_id, message.boots, message.time, now_ms);
            (user.localize(message.engine_id), engine)
        };
        // Kept only once a message was right: anybody can name engines.
        let (keys, mut engine) = self.engines.get(&key).cloned().unwrap_or_else(localize);
        keys.open(datagram, &message, &mut self.scratch).map_err(|_| Refused::Credentials)?;
        engine.authenticated(message.boots, message.time, now_ms).map_err(|_| Refused::Credentials)?;
        let scoped = match message.payload {
            Payload::Plain(scoped) => scoped,
            Payload::Encrypted(_) => ScopedPdu::read(&self.scratch).map_err(|_| Refused::Malformed)?,
        };
        let event = Notification::of(&scoped.pdu).map_err(|_| Refused::Malformed)?;
        if event.kind == NotificationKind::Inform {
            return Err(Refused::Malformed);
        }
        let record = record(&event, device, from, "3", now_ms);
        self.log.keep(record);
        self.engines.insert(key, (keys, engine));
        Ok(Heard { is_inform: false, answer: None })
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
