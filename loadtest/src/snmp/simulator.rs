//! Many simulated agents on loopback, each with a socket and a thread that sleeps until it is asked.
//!
//! Not here: what they answer (see `agent`), who asks.
//!
//! Invariant: no thread outlives the value that stands for all of them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result};
use protocols::snmp::Version;

use super::agent::{AUTH_PASSWORD, Agent, COMMUNITY, PRIVACY_PASSWORD, Reply, USER, Users};
use super::device::{Device, Layout};
use super::fault::{Fault, Pace};
use crate::meter::Stopwatch;

/// How long a thread sleeps at most before it looks whether it should end.
const WAIT: Duration = Duration::from_millis(200);
/// Little is on an agent's stack beside a datagram.
const STACK_BYTES: usize = 256 << 10;
const DATAGRAM_BYTES: usize = 16 << 10;

/// One device of a run: its version and what is wrong with it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub(super) version: Version,
    pub(super) fault: Fault,
}

impl Part {
    /// A version 1 agent has no 64-bit counters, and a device whose 32-bit ones wrap would hide them behind others.
    fn has_wide(self) -> bool {
        self.version != Version::V1 && self.fault != Fault::Wrap
    }
}

/// A device as the truth knows it: the same as the simulated one, at its beginning.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) part: Part,
    pub(super) device: Device,
    address: SocketAddr,
}

/// The running agents.
#[derive(Debug)]
pub(super) struct Simulator {
    pub(super) known: Vec<Known>,
    pub(super) answered: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Simulator {
    /// Starts an agent for each part.
    ///
    /// # Errors
    /// When the system gives no socket or thread.
    pub(super) fn start(parts: &[Part], lines: u32, pace: Pace, seed: u64) -> Result<Simulator> {
        let users = Users::new()?;
        let indexes: Vec<u32> = (1..=lines).collect();
        let layouts = [false, true].map(|has_wide| Arc::new(Layout::new(&indexes, has_wide)));
        let watch = Arc::new(Stopwatch::start());
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut simulator = Simulator { known: Vec::new(), answered, stop, threads: Vec::new() };
        for (number, part) in parts.iter().enumerate() {
            let make = || {
                let layout = layouts[usize::from(part.has_wide())].clone();
                Device::new(number, layout, part.has_wide(), lines, seed)
            };
            let users = (part.version == Version::V3).then_some(&users);
            let agent = Agent::new(make(), part.version, part.fault, pace, users, seed ^ number as u64);
            let socket = UdpSocket::bind("127.0.0.1:0").context("a socket for an agent")?;
            let stranger = UdpSocket::bind("127.0.0.1:0").context("a socket for a stranger")?;
            let address = socket.local_addr()?;
            simulator.known.push(Known { part: *part, device: make(), address });
            let stranger = (part.fault == Fault::Spoof).then_some(stranger);
            let (watch, stop) = (watch.clone(), simulator.stop.clone());
            let run = Served { agent, socket, stranger, watch, answered: simulator.answered.clone() };
            let thread = Builder::new().name(format!("agent-{number}")).stack_size(STACK_BYTES);
            simulator.threads.push(thread.spawn(move || run.run(&stop)).context("a thread for an agent")?);
        }
        Ok(simulator)
    }

    /// Where the agents are asked.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.known.iter().map(|known| known.address).collect()
    }

    /// The file that lists the agents for the server.
    pub(super) fn devices_file(&self) -> String {
        self.known.iter().map(Known::entry).collect()
    }
}

impl Known {
    fn entry(&self) -> String {
        let credentials = match self.part.version {
            Version::V1 => format!("version = \"1\"\ncommunity = \"{COMMUNITY}\""),
            Version::V2c => format!("community = \"{COMMUNITY}\""),
            Version::V3 => format!(
                "user = \"{USER}\"\nauth = \"sha256\"\nauth_password = \"{AUTH_PASSWORD}\"\n\
                 privacy = \"aes128\"\nprivacy_password = \"{PRIVACY_PASSWORD}\""
            ),
        };
        format!("[[device]]\nname = \"{}\"\naddress = \"{}\"\n{credentials}\n", self.device.name, self.address)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // An agent that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

/// What an agent's thread owns.
struct Served {
    agent: Agent,
    socket: UdpSocket,
    stranger: Option<UdpSocket>,
    watch: Arc<Stopwatch>,
    answered: Arc<AtomicU64>,
}

impl Served {
    fn run(mut self, stop: &AtomicBool) {
        let mut datagram = vec![0; DATAGRAM_BYTES];
        let mut later: Vec<(u64, SocketAddr, Vec<u8>)> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let now_ms = self.now_ms();
            later.retain(|(due_ms, to, bytes)| {
                let is_due = *due_ms <= now_ms;
                if is_due {
                    self.send(&self.socket, bytes, *to);
                }
                !is_due
            });
            let next_ms = later.iter().map(|(due_ms, ..)| due_ms - now_ms).min();
            let wait = next_ms.map_or(WAIT, |ms| Duration::from_millis(ms.max(1)).min(WAIT));
            if self.socket.set_read_timeout(Some(wait)).is_err() {
                return;
            }
            // Nothing came, or the poller has gone away.
            let Ok((len, from)) = self.socket.recv_from(&mut datagram) else { continue };
            let now_ms = self.now_ms();
            for Reply { after_ms, by_stranger, bytes } in self.agent.answer(&datagram[..len], now_ms) {
                match (&self.stranger, after_ms) {
                    (Some(stranger), _) if by_stranger => self.send(stranger, &bytes, from),
                    (_, 0) => self.send(&self.socket, &bytes, from),
                    (_, after_ms) => later.push((now_ms + after_ms, from, bytes)),
                }
            }
        }
    }

    fn send(&self, socket: &UdpSocket, bytes: &[u8], to: SocketAddr) {
        // A poller that has gone away is no reason to end.
        if socket.send_to(bytes, to).is_ok() {
            self.answered.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn now_ms(&self) -> u64 {
        self.watch.elapsed().as_millis() as u64
    }
}
