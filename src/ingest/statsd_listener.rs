//! StatsD over UDP: the thread `statsd-0` reads datagrams, parses them and sends their observations to the shards.
//!
//! ```text
//! socket ─ recvmmsg, many datagrams a call ─ parse (protocols) ─ translate ─ lane ═ queue ═▶ shard: windows
//! ```
//!
//! Not here: the grammar (see `protocols::statsd`), windows (see `shard`).
//!
//! Invariants: observations sent together were received within one window; none waits longer than `HOLD_MS` here; when
//! the thread stops it reads what the kernel holds already and sends all of it.
//!
//! Cost: a call of recvmmsg costs more than a datagram, so after a call that emptied the socket the thread gathers for
//! `GATHER` before the next; datagrams wait in the kernel's buffer meanwhile.

use super::lane::{Lane, Lanes, SendError};
use super::translate::{TranslatedLines, statsd_line};
use crate::clock;
use crate::self_metrics::{Drop, SelfMetrics, Source};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use storage::series::KeyBuilder;

/// Datagrams read by one call.
const DATAGRAMS: usize = 64;
/// The largest payload of a UDP datagram, rounded up.
const DATAGRAM_BYTES: usize = 1 << 16;
/// How long datagrams gather in the kernel's buffer once it was found empty.
const GATHER: Duration = Duration::from_millis(1);
/// How long an observation waits for others; well below the grace of a window.
const HOLD_MS: i64 = 50;
/// How long a call waits for a datagram, and so how late a stop may be noticed and held observations sent.
const WAIT: Duration = Duration::from_millis(50);
/// Calls made after the stop for what the kernel holds already, should senders not pause.
const LAST_CALLS: usize = 1024;
/// How often the kernel is asked for its drops.
const DROPS_EVERY_MS: i64 = 500;

/// A bound socket that nobody reads yet.
#[derive(Debug)]
pub struct StatsdSocket {
    socket: UdpSocket,
    inode: Option<u64>,
}

impl StatsdSocket {
    /// Binds the address and asks the kernel for room.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub fn bind(address: SocketAddr, rcvbuf_bytes: usize) -> io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(WAIT))?;
        // Only a privileged process may go beyond net.core.rmem_max; any other gets what that allows.
        if setsockopt(&socket, sockopt::RcvBufForce, &rcvbuf_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &rcvbuf_bytes)?;
        }
        let inode = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_raw_fd())).ok();
        let inode = inode.and_then(|link| inode_of(link.to_str()?));
        Ok(Self { socket, inode })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }
}

/// A running listener.
#[derive(Debug)]
pub struct StatsdHandle(JoinHandle<()>);

impl StatsdHandle {
    /// Waits for the thread to end, which it does soon after its stop was set.
    ///
    /// # Errors
    /// When it panicked.
    pub fn join(self) -> io::Result<()> {
        self.0.join().map_err(|_| io::Error::other("the StatsD listener panicked"))
    }
}

/// Starts the thread; it ends after `stop` is set.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    socket: StatsdSocket,
    lanes: &Lanes,
    window_ms: i64,
    metrics: Arc<SelfMetrics>,
    stop: Arc<AtomicBool>,
) -> io::Result<StatsdHandle> {
    let lane = lanes.lane();
    let listener = Listener { lane, metrics, window_ms, keys: KeyBuilder::default(), held_since_ms: None };
    let run = move || listener.run(&socket, &stop);
    thread::Builder::new().name("statsd-0".to_owned()).spawn(run).map(StatsdHandle)
}

/// Room for what one call reads.
struct Datagrams {
    headers: MultiHeaders<()>,
    buffers: Vec<u8>,
    lens: [usize; DATAGRAMS],
}

impl Datagrams {
    fn new() -> Self {
        let headers = MultiHeaders::preallocate(DATAGRAMS, None);
        Self { headers, buffers: vec![0; DATAGRAMS * DATAGRAM_BYTES], lens: [0; DATAGRAMS] }
    }

    /// Reads datagrams, waiting for the first if `flags` let it; none when there is none in time.
    fn receive(&mut self, socket: &UdpSocket, flags: MsgFlags) -> io::Result<usize> {
        let mut buffers = self.buffers.chunks_exact_mut(DATAGRAM_BYTES);
        let mut slices: [[IoSliceMut<'_>; 1]; DATAGRAMS] =
            std::array::from_fn(|_| [IoSliceMut::new(buffers.next().expect("as many buffers as datagrams"))]);
        match recvmmsg(socket.as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(messages) => {
                let mut count = 0;
                for message in messages {
                    self.lens[count] = message.bytes;
                    count += 1;
                }
                Ok(count)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn iter(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        self.buffers.chunks_exact(DATAGRAM_BYTES).zip(&self.lens[..count]).map(|(buffer, len)| &buffer[..*len])
    }
}

struct Listener {
    lane: Lane,
    metrics: Arc<SelfMetrics>,
    window_ms: i64,
    keys: KeyBuilder,
    /// When the oldest observation in the lane was received.
    held_since_ms: Option<i64>,
}

impl Listener {
    fn run(mut self, socket: &StatsdSocket, stop: &AtomicBool) {
        let mut datagrams = Datagrams::new();
        let mut drops_read_ms = 0;
        while !stop.load(Ordering::Relaxed) {
            let received = datagrams.receive(&socket.socket, MsgFlags::MSG_WAITFORONE);
            let now_ms = clock::now_ms();
            let count = received.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot read the StatsD socket");
                thread::sleep(WAIT);
                0
            });
            self.take(&datagrams, count, now_ms);
            if now_ms < drops_read_ms || now_ms - drops_read_ms >= DROPS_EVERY_MS {
                self.publish_drops(socket.inode);
                drops_read_ms = now_ms;
            }
            if (1..DATAGRAMS).contains(&count) {
                thread::sleep(GATHER);
            }
        }
        for _ in 0..LAST_CALLS {
            match datagrams.receive(&socket.socket, MsgFlags::MSG_DONTWAIT) {
                Ok(count) if count > 0 => self.take(&datagrams, count, clock::now_ms()),
                _ => break,
            }
        }
        self.send();
        self.publish_drops(socket.inode);
    }

    /// Takes what one call read, at the time it was read; sends what has waited long enough.
    fn take(&mut self, datagrams: &Datagrams, count: usize, now_ms: i64) {
        let due = |since_ms: i64| {
            let same_window = since_ms.div_euclid(self.window_ms) == now_ms.div_euclid(self.window_ms);
            !same_window || !(0..HOLD_MS).contains(&(now_ms - since_ms))
        };
        if self.held_since_ms.is_some_and(due) {
            self.send();
        }
        if count == 0 {
            return;
        }
        let mut lines = TranslatedLines::default();
        for datagram in datagrams.iter(count) {
            protocols::statsd::packet(datagram, |line| {
                statsd_line(line, now_ms, &mut self.keys, &mut self.lane, &mut lines);
            });
        }
        self.count(count, &lines);
        if self.lane.batches_len() > 0 {
            self.held_since_ms.get_or_insert(now_ms);
        }
        if self.lane.has_full_batch() {
            self.send();
        }
    }

    fn count(&self, datagrams: usize, lines: &TranslatedLines) {
        let counters = self.metrics.of(Source::StatsD);
        counters.add_received(lines.translated.received);
        for (reason, count) in &lines.translated.rejected {
            counters.add_rejected(*reason, *count);
        }
        let statsd = &self.metrics.statsd;
        statsd.datagrams.fetch_add(datagrams as u64, Ordering::Relaxed);
        statsd.extensions_ignored.fetch_add(lines.extensions, Ordering::Relaxed);
        statsd.tags_joined.fetch_add(lines.tags_joined, Ordering::Relaxed);
    }

    fn send(&mut self) {
        let counters = self.metrics.of(Source::StatsD);
        // Nobody waits for an answer: UDP has none.
        self.lane.flush(
            Source::StatsD,
            || Box::new(|_| {}),
            |error, observations| {
                let reason = match error {
                    SendError::Full => Drop::QueueFull,
                    SendError::Closed => Drop::Shutdown,
                };
                counters.add_dropped(reason, observations);
            },
        );
        self.held_since_ms = None;
    }

    fn publish_drops(&self, inode: Option<u64>) {
        let Some(inode) = inode else { return };
        let drops = ["/proc/net/udp", "/proc/net/udp6"].iter().find_map(|path| {
            let table = std::fs::read_to_string(path).ok()?;
            drops_of(&table, inode)
        });
        if let Some(drops) = drops {
            self.metrics.statsd.kernel_drops.store(drops, Ordering::Relaxed);
        }
    }
}

/// The inode in `socket:[123]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The drops of the socket with this inode in a table such as `/proc/net/udp` (proc(5)): the last of 13 columns; the
/// inode is the tenth.
fn drops_of(table: &str, inode: u64) -> Option<u64> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let found: u64 = columns.nth(9)?.parse().ok()?;
        if found == inode { columns.last()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_sockets_own_line() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n\
             100: 0100007F:1FBD 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2 0000 5\n\
             101: 0100007F:1FBE 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 88 2 0000 6\n";
        assert_eq!((drops_of(table, 77), drops_of(table, 88), drops_of(table, 99)), (Some(5), Some(6), None));
        assert_eq!(inode_of("socket:[88]"), Some(88));
    }

    #[test]
    fn one_call_reads_many_datagrams_each_with_its_length() {
        let receiver = StatsdSocket::bind("127.0.0.1:0".parse().unwrap(), 1 << 20).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.address().unwrap();
        for payload in [&b"a:1|c"[..], b"", b"bb:22|c"] {
            sender.send_to(payload, address).unwrap();
        }
        let mut datagrams = Datagrams::new();
        let count = datagrams.receive(&receiver.socket, MsgFlags::MSG_WAITFORONE).unwrap();
        let read: Vec<_> = datagrams.iter(count).collect();
        assert_eq!(read, [&b"a:1|c"[..], b"", b"bb:22|c"]);
        assert_eq!(datagrams.receive(&receiver.socket, MsgFlags::MSG_DONTWAIT).unwrap(), 0);
        assert!(receiver.inode.is_some());
    }
}
