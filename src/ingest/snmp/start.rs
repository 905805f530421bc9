//! Starts polling: reads profiles and devices, opens the sockets, and starts the threads.
//!
//! Not here: what the threads do (see `poller`, `watch`, `traps`).
//!
//! Invariant: a mistake in a file stops the start; once started, it changes nothing.

use super::control::SnmpControl;
use super::devices::Users;
use super::kept::Kept;
use super::mib::Mibs;
use super::poller::{Poller, Rhythm, WAIT};
use super::profile::Profiles;
use super::questions::Questions;
use super::traps::{self, TrapLog};
use super::watch;
use crate::config::Config;
use crate::ingest::lane::Lanes;
use crate::self_metrics::SelfMetrics;
use crossbeam_channel::bounded;
use nix::sys::socket::{setsockopt, sockopt};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// Commands that may wait for the poller.
const COMMANDS_MAX: usize = 64;
/// Room for answers that come while a device's samples are stored: 3000 datagrams of 1400 bytes.
const RCVBUF_BYTES: usize = 4 << 20;

/// How devices are polled.
#[derive(Debug, Clone)]
pub struct SnmpSettings {
    /// The file of devices, if there is one.
    pub devices_file: Option<PathBuf>,
    /// Profiles beside our own.
    pub profiles_file: Option<PathBuf>,
    /// MIB modules that profiles may name objects of.
    pub mib_dir: Option<PathBuf>,
    /// Where devices that are added over HTTP are kept.
    pub kept_file: PathBuf,
    /// Where traps and informs are heard.
    pub trap_listen: Option<SocketAddr>,
    /// Time between two cycles of a device.
    pub interval_ms: i64,
    /// How long an answer may take.
    pub timeout_ms: i64,
    /// How often a request is sent again.
    pub retries: u32,
    /// Devices that may be in the middle of a cycle at the same time.
    pub in_flight_max: usize,
    /// Requests of one device that may be on their way at the same time.
    pub requests_per_device_max: usize,
    /// What `${NAME}` in a file stands for.
    pub environment: BTreeMap<String, String>,
}

impl SnmpSettings {
    /// The settings that the configuration holds; `environment` is what `${NAME}` in a file stands for.
    pub fn of(config: &Config, environment: BTreeMap<String, String>) -> Self {
        let snmp = &config.snmp;
        Self {
            devices_file: snmp.devices_file.clone(),
            profiles_file: snmp.profiles_file.clone(),
            mib_dir: snmp.mib_dir.clone(),
            kept_file: config.storage.data_dir.join("snmp").join("devices.toml"),
            trap_listen: snmp.trap_listen.addr(),
            interval_ms: snmp.interval.as_millis() as i64,
            timeout_ms: snmp.timeout.as_millis() as i64,
            retries: snmp.retries as u32,
            in_flight_max: snmp.in_flight_max,
            requests_per_device_max: snmp.requests_per_device_max,
            environment,
        }
    }
}

/// The running threads.
#[derive(Debug)]
pub struct SnmpHandle {
    threads: Vec<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    control: SnmpControl,
    trap_address: Option<SocketAddr>,
}

impl SnmpHandle {
    /// A way to ask and change what is polled.
    pub fn control(&self) -> &SnmpControl {
        &self.control
    }

    /// Where traps are heard.
    pub fn trap_address(&self) -> Option<SocketAddr> {
        self.trap_address
    }

    /// Stops the threads and waits for their end.
    ///
    /// # Errors
    /// When one panicked.
    pub fn stop(self) -> io::Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        // All are waited for, also behind one that panicked.
        let joined: Vec<_> = self.threads.into_iter().map(JoinHandle::join).collect();
        match joined.iter().any(Result::is_err) {
            true => Err(io::Error::other("a thread of the SNMP poller panicked")),
            false => Ok(()),
        }
    }
}

/// Reads all files and starts the threads.
///
/// # Errors
/// When a file cannot be read or has a mistake, or the system gives no socket or thread.
pub fn spawn(settings: SnmpSettings, lanes: &Lanes, metrics: Arc<SelfMetrics>) -> io::Result<SnmpHandle> {
    let profiles = profiles(settings.profiles_file.as_deref(), settings.mib_dir.as_deref())?;
    let traps = TrapLog::default();
    let (commands, receiver) = bounded(COMMANDS_MAX);
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let mut users = Users::default();
    let engine_file = settings.kept_file.with_file_name("engine.toml");
    let (kept, kept_devices) = Kept::open(&settings.kept_file, &settings.environment, &mut users)?;
    let SnmpSettings { interval_ms, timeout_ms, retries, in_flight_max, requests_per_device_max, environment, .. } =
        settings;
    let rhythm = Rhythm { interval_ms, timeout_ms, retries, in_flight_max, requests_per_device_max };
    let questions = Questions::new(profiles);
    let mut poller = Poller::new(rhythm, questions, bind()?, lanes, metrics.clone(), receiver, traps.clone());
    let trap_socket = settings.trap_listen.map(bind_traps).transpose()?;
    let trap_address = trap_socket.as_ref().map(UdpSocket::local_addr).transpose()?;
    if let Some(path) = settings.devices_file {
        let (devices, thread) = watch::spawn(path, environment.clone(), commands.clone(), stop.clone())?;
        poller.replace(devices);
        threads.push(thread);
    }
    poller.restore(kept_devices);
    if let Some(socket) = trap_socket {
        threads.push(traps::spawn(socket, traps.clone(), &engine_file, metrics, stop.clone())?);
    }
    let control = SnmpControl::new(commands, kept, users, environment, traps);
    let stopped = stop.clone();
    threads.push(thread::Builder::new().name("snmp-0".to_owned()).spawn(move || poller.run(&stopped))?);
    Ok(SnmpHandle { threads, stop, control, trap_address })
}

fn profiles(file: Option<&Path>, mib_dir: Option<&Path>) -> io::Result<Profiles> {
    let mut profiles = Profiles::built_in();
    let Some(path) = file else { return Ok(profiles) };
    let mibs = mib_dir.map_or_else(|| Ok(Mibs::default()), Mibs::read_folder).map_err(io::Error::other)?;
    let named =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{} (snmp.profiles_file): {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| named(&error))?;
    profiles.add(&text, &mibs).map_err(|error| named(&error))?;
    Ok(profiles)
}

/// One socket for both families; where the system has no IPv6, for IPv4 alone.
fn bind() -> io::Result<(UdpSocket, bool)> {
    let (socket, has_ipv6) = match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) {
        Ok(socket) => (socket, true),
        Err(_) => (UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?, false),
    };
    // Only a privileged process may go beyond net.core.rmem_max; any other gets what that allows.
    if setsockopt(&socket, sockopt::RcvBufForce, &RCVBUF_BYTES).is_err() {
        setsockopt(&socket, sockopt::RcvBuf, &RCVBUF_BYTES)?;
    }
    socket.set_read_timeout(Some(WAIT))?;
    Ok((socket, has_ipv6))
}

fn bind_traps(address: SocketAddr) -> io::Result<UdpSocket> {
    let named = |error| io::Error::other(format!("cannot listen at {address} (snmp.trap_listen): {error}"));
    UdpSocket::bind(address).map_err(named)
}
