//! Sockets that datagrams of StatsD come in by: binding, room in the kernel, reading many at a time, and what the kernel
//! dropped.
//!
//! Several sockets may share one UDP address (SO_REUSEPORT): the kernel deals senders among them, each sender always to
//! the same one, so that its order is kept. UDP_GRO is not asked for: it joins datagrams only where a network card's
//! driver or a segmenting sender does, and makes a drop count for an unknown number of them.
//!
//! Not here: threads (see `statsd_listener`), what stands in a datagram (see `protocols::statsd`).
//!
//! Invariant: a datagram is read whole or not at all; none is larger than `DATAGRAM_BYTES`.
//!
//! Cost: datagrams of up to `SMALL_BYTES` are read into buffers that lie close together and stay in the cache; what a
//! larger one has beyond that is joined to it by a copy.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, MultiHeaders, SockFlag, SockType, SockaddrIn, SockaddrIn6, bind, getsockopt, recvmmsg,
    setsockopt, socket, sockopt,
};
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Datagrams read by one call.
pub(super) const DATAGRAMS: usize = 64;
/// The largest payload of a UDP datagram, rounded up.
const DATAGRAM_BYTES: usize = 1 << 16;
/// What nearly all datagrams stay below: agents keep to one Ethernet frame. An odd number of cache lines, so that the
/// beginnings of buffers do not compete for the same places of a cache.
const SMALL_BYTES: usize = 33 * 64;

/// A bound socket that nobody reads yet.
#[derive(Debug)]
pub struct StatsdSocket {
    socket: Bound,
    inode: Option<u64>,
    granted_bytes: usize,
}

#[derive(Debug)]
enum Bound {
    Udp(UdpSocket),
    /// The file goes with the socket.
    Unix(UnixDatagram, PathBuf),
}

impl StatsdSocket {
    /// Binds one UDP address `sockets` times and asks the kernel for room.
    ///
    /// # Errors
    /// When the address is in use or not ours.
    pub fn bind(address: SocketAddr, sockets: usize, rcvbuf_bytes: usize) -> io::Result<Vec<Self>> {
        let first = UdpSocket::bind(address)?;
        if sockets <= 1 {
            return Ok(vec![Self::new(Bound::Udp(first), rcvbuf_bytes)?]);
        }
        // Sockets that may be shared would bind beside another server's; one that may not be has shown that nobody listens.
        let address = first.local_addr()?;
        drop(first);
        (0..sockets).map(|_| Self::new(Bound::Udp(shared(address)?), rcvbuf_bytes)).collect()
    }

    /// Binds a Unix datagram socket at a path; a socket that a dead server left there is replaced.
    ///
    /// # Errors
    /// When something else is there, or somebody listens at it.
    pub fn bind_unix(path: &Path, rcvbuf_bytes: usize) -> io::Result<Self> {
        let is_socket = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
        if is_socket {
            let probe = UnixDatagram::unbound()?;
            if probe.connect(path).is_ok() {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            std::fs::remove_file(path)?;
        }
        Self::new(Bound::Unix(UnixDatagram::bind(path)?, path.to_owned()), rcvbuf_bytes)
    }

    fn new(bound: Bound, rcvbuf_bytes: usize) -> io::Result<Self> {
        let mut socket = Self { socket: bound, inode: None, granted_bytes: 0 };
        // Only a privileged process may go beyond net.core.rmem_max; any other gets what that allows.
        if setsockopt(&socket, sockopt::RcvBufForce, &rcvbuf_bytes).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &rcvbuf_bytes)?;
        }
        // The kernel doubles what is asked for, for its own books (socket(7)).
        socket.granted_bytes = getsockopt(&socket, sockopt::RcvBuf)? / 2;
        let inode = std::fs::read_link(format!("/proc/self/fd/{}", socket.as_fd().as_raw_fd())).ok();
        socket.inode = inode.and_then(|link| inode_of(link.to_str()?));
        Ok(socket)
    }

    /// How long a call waits for the first datagram.
    pub(super) fn wait_at_most(&self, patience: Duration) -> io::Result<()> {
        match &self.socket {
            Bound::Udp(socket) => socket.set_read_timeout(Some(patience)),
            Bound::Unix(socket, _) => socket.set_read_timeout(Some(patience)),
        }
    }

    /// Where it listens; none for a Unix socket.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub fn address(&self) -> io::Result<Option<SocketAddr>> {
        match &self.socket {
            Bound::Udp(socket) => socket.local_addr().map(Some),
            Bound::Unix(..) => Ok(None),
        }
    }

    /// The room that the kernel gave.
    pub fn granted_bytes(&self) -> usize {
        self.granted_bytes
    }

    /// Datagrams dropped since the socket was opened, modulo 2^32; a Unix socket lets its senders wait instead.
    pub(super) fn drops(&self) -> Option<u32> {
        let inode = self.inode?;
        ["/proc/net/udp", "/proc/net/udp6"].iter().find_map(|path| {
            let table = std::fs::read_to_string(path).ok()?;
            drops_of(&table, inode)
        })
    }

    pub(super) fn is_unix(&self) -> bool {
        matches!(self.socket, Bound::Unix(..))
    }
}

impl AsFd for StatsdSocket {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        match &self.socket {
            Bound::Udp(socket) => socket.as_fd(),
            Bound::Unix(socket, _) => socket.as_fd(),
        }
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            // Best effort: the next start replaces a socket nobody listens at.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl fmt::Display for StatsdSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Bound::Udp(socket) => socket.local_addr().map_err(|_| fmt::Error)?.fmt(f),
            Bound::Unix(_, path) => path.display().fmt(f),
        }
    }
}

/// A UDP socket that shares its address with others of ours.
fn shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd: OwnedFd = socket(family, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, sockopt::ReusePort, &true)?;
    match address {
        SocketAddr::V4(address) => bind(fd.as_raw_fd(), &SockaddrIn::from(address))?,
        SocketAddr::V6(address) => bind(fd.as_raw_fd(), &SockaddrIn6::from(address))?,
    }
    Ok(UdpSocket::from(fd))
}

/// Room for what one call reads.
pub(super) struct Datagrams {
    headers: MultiHeaders<()>,
    small: Vec<u8>,
    /// The rest of large ones; the kernel gives memory for it only where something is written.
    large: Vec<u8>,
    lens: [usize; DATAGRAMS],
    /// Datagrams of the last call that were larger than a buffer; only a Unix socket can bring such.
    truncated: usize,
    joined: Vec<u8>,
}

impl Datagrams {
    pub(super) fn new() -> Self {
        Self {
            headers: MultiHeaders::preallocate(DATAGRAMS, None),
            small: vec![0; DATAGRAMS * SMALL_BYTES],
            large: vec![0; DATAGRAMS * (DATAGRAM_BYTES - SMALL_BYTES)],
            lens: [0; DATAGRAMS],
            truncated: 0,
            joined: Vec::new(),
        }
    }

    /// Reads datagrams, waiting for the first if asked to; none when there is none in time.
    pub(super) fn receive(&mut self, socket: &StatsdSocket, wait: bool) -> io::Result<usize> {
        let flags = if wait { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
        let mut small = self.small.chunks_exact_mut(SMALL_BYTES);
        let mut large = self.large.chunks_exact_mut(DATAGRAM_BYTES - SMALL_BYTES);
        let mut slices: [[IoSliceMut<'_>; 2]; DATAGRAMS] = std::array::from_fn(|_| {
            [&mut small, &mut large].map(|all| IoSliceMut::new(all.next().expect("as many buffers as datagrams")))
        });
        match recvmmsg(socket.as_fd().as_raw_fd(), &mut self.headers, slices.iter_mut(), flags, None) {
            Ok(messages) => {
                let mut count = 0;
                self.truncated = 0;
                for message in messages {
                    let is_whole = !message.flags.contains(MsgFlags::MSG_TRUNC);
                    self.lens[count] = if is_whole { message.bytes } else { 0 };
                    self.truncated += usize::from(!is_whole);
                    count += 1;
                }
                Ok(count)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    /// How many datagrams of the last call were too large; they are given empty.
    pub(super) fn truncated(&self) -> usize {
        self.truncated
    }

    /// Gives the datagrams that were read last.
    pub(super) fn each(&mut self, count: usize, mut each: impl FnMut(&[u8])) {
        let small = self.small.chunks_exact(SMALL_BYTES);
        let large = self.large.chunks_exact(DATAGRAM_BYTES - SMALL_BYTES);
        for ((small, large), len) in small.zip(large).zip(&self.lens[..count]) {
            match small.get(..*len) {
                Some(whole) => each(whole),
                None => {
                    self.joined.clear();
                    self.joined.extend_from_slice(small);
                    self.joined.extend_from_slice(&large[..(len - SMALL_BYTES).min(large.len())]);
                    each(&self.joined);
                }
            }
        }
    }
}

/// The inode in `socket:[123]`.
fn inode_of(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

/// The drops of the socket with this inode in a table such as `/proc/net/udp` (proc(5)): the last of 13 columns; the
/// inode is the tenth.
fn drops_of(table: &str, inode: u64) -> Option<u32> {
    table.lines().skip(1).find_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let found: u64 = columns.nth(9)?.parse().ok()?;
        if found == inode { columns.last()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(sockets: usize) -> Vec<StatsdSocket> {
        StatsdSocket::bind("127.0.0.1:0".parse().unwrap(), sockets, 1 << 20).unwrap()
    }

    fn read(datagrams: &mut Datagrams, socket: &StatsdSocket) -> Vec<Vec<u8>> {
        let count = datagrams.receive(socket, true).unwrap();
        let mut all = Vec::new();
        datagrams.each(count, |datagram| all.push(datagram.to_vec()));
        all
    }

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
        let receiver = &udp(1)[0];
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let large: Vec<u8> = (0..60_000u32).map(|at| at as u8).collect();
        let sent = [&b"a:1|c"[..], b"", &large, b"bb:22|c"];
        for payload in sent {
            sender.send_to(payload, receiver.address().unwrap().unwrap()).unwrap();
        }
        let mut datagrams = Datagrams::new();
        assert_eq!(read(&mut datagrams, receiver), sent);
        assert_eq!(datagrams.receive(receiver, false).unwrap(), 0);
        assert_eq!(receiver.drops(), Some(0));
        assert!(receiver.granted_bytes() >= 1 << 16);
    }

    #[test]
    fn sockets_that_share_an_address_share_its_datagrams_and_nobody_else_does() {
        let receivers = udp(4);
        let address = receivers[0].address().unwrap().unwrap();
        assert!(receivers.iter().all(|receiver| receiver.address().unwrap() == Some(address)));
        assert_eq!(StatsdSocket::bind(address, 4, 1 << 20).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        for _ in 0..64 {
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"a:1|c", address).unwrap();
        }
        let mut datagrams = Datagrams::new();
        let counts: Vec<_> = receivers.iter().map(|one| datagrams.receive(one, false).unwrap()).collect();
        assert_eq!(counts.iter().sum::<usize>(), 64);
        assert!(counts.iter().filter(|count| **count > 0).count() > 1, "{counts:?}");
    }

    #[test]
    fn a_unix_socket_replaces_one_that_nobody_reads_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("statsd.socket");
        drop(UnixDatagram::bind(&path).unwrap());
        let receiver = StatsdSocket::bind_unix(&path, 1 << 20).unwrap();
        assert_eq!(StatsdSocket::bind_unix(&path, 1 << 20).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        UnixDatagram::unbound().unwrap().send_to(b"a:1|c", &path).unwrap();
        assert_eq!(read(&mut Datagrams::new(), &receiver), [b"a:1|c"]);
        let (sender, mut datagrams) = (UnixDatagram::unbound().unwrap(), Datagrams::new());
        sender.send_to(&[b'x'; DATAGRAM_BYTES + 1], &path).unwrap();
        assert_eq!(read(&mut datagrams, &receiver), [b""], "nothing is read by half");
        assert_eq!(datagrams.truncated(), 1);
        drop(receiver);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert!(StatsdSocket::bind_unix(&path, 1 << 20).is_err());
    }
}
