//! The datagrams of counters that are sent, what they add up to, and sending them.
//!
//! Not here: what became of them (see the command itself).
//!
//! Invariants: all datagrams exist before the clock starts, and are the same for the same seed; values are whole and
//! small, so that every sum is exact in a double, whatever the order.

use std::fmt::Write;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg};

use crate::cli::StatsdArgs;
use crate::meter::Stopwatch;

/// Metrics prebuilt at most; a longer run sends them again.
const PREBUILT_METRICS_MAX: usize = 2_000_000;
/// Datagrams given to the kernel at a time.
const BATCH: usize = 64;
/// Beginning of every series' name.
pub(super) const NAME: &str = "loadtest.requests";

/// The datagrams of a run and what they add up to.
#[derive(Debug)]
pub(super) struct Datagrams {
    payloads: Vec<Vec<u8>>,
    /// Series and value of every metric, in the order sent.
    metrics: Vec<(u32, u32)>,
    per_packet: usize,
}

impl Datagrams {
    /// `series` in turn, so that all are live at all times; values and sample rates by the seed.
    pub(super) fn build(args: &StatsdArgs) -> Datagrams {
        let per_packet = args.per_packet;
        let wanted = args.metrics.min(PREBUILT_METRICS_MAX).max(args.series.min(args.metrics));
        let count = wanted.div_ceil(per_packet);
        let mut state = args.seed;
        let mut next = || {
            // Knuth's linear congruential generator: its high digits are good enough for a load.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as u32
        };
        let mut metrics = Vec::with_capacity(count * per_packet);
        let mut payloads = Vec::with_capacity(count);
        for packet in 0..count {
            let mut text = String::new();
            for line in 0..per_packet {
                let series = ((packet * per_packet + line) % args.series) as u32;
                let value = next() % 100 + 1;
                // A metric in ten is sampled at a rate whose inverse is whole.
                let (rate, scale) = if next() % 10 == 0 { ("|@0.25", 4) } else { ("", 1) };
                // Writing into a string cannot fail.
                let _ = writeln!(text, "{}:{value}|c{rate}", series_name(series));
                metrics.push((series, value * scale));
            }
            text.pop();
            payloads.push(text.into_bytes());
        }
        Datagrams { payloads, metrics, per_packet }
    }

    /// Sum of every series over the first `packets` datagrams of the cycle.
    pub(super) fn sums(&self, packets: usize, series: usize) -> Vec<f64> {
        let mut sums = vec![0.0; series];
        let (cycles, rest) = (packets / self.payloads.len(), packets % self.payloads.len());
        for (at, (series, value)) in self.metrics.iter().enumerate() {
            let times = cycles + usize::from(at / self.per_packet < rest);
            sums[*series as usize] += f64::from(*value) * times as f64;
        }
        sums
    }

    /// Sends the first `packets` datagrams of the cycle, at a rate of metrics a second or flat out, each of `senders` a
    /// stretch of its own by a socket and a thread of its own.
    ///
    /// # Errors
    /// When a socket cannot be opened or does not send.
    pub(super) fn send(&self, packets: usize, rate: Option<f64>, senders: usize, address: &str) -> Result<()> {
        let payloads: Vec<_> = self.payloads.iter().map(|payload| [IoSlice::new(payload)]).collect();
        let packets_per_s = rate.map(|rate| rate / self.per_packet as f64 / senders as f64);
        let sockets = (0..senders).map(|_| connected(address)).collect::<Result<Vec<_>>>()?;
        let watch = Stopwatch::start();
        thread::scope(|scope| {
            let stretch = |at: usize| packets * at / senders..packets * (at + 1) / senders;
            let send = |(at, socket)| {
                let (payloads, watch) = (&payloads, &watch);
                scope.spawn(move || send_stretch(&socket, payloads, stretch(at), packets_per_s, watch))
            };
            let threads: Vec<_> = sockets.into_iter().enumerate().map(send).collect();
            let join =
                |thread: ScopedJoinHandle<'_, Result<()>>| thread.join().map_err(|_| anyhow!("a sender panicked"))?;
            threads.into_iter().try_for_each(join)
        })
    }
}

fn connected(address: &str) -> Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0").context("open a socket")?;
    socket.connect(address).with_context(|| format!("connect to {address}"))?;
    Ok(socket)
}

/// Sends what is due, up to `BATCH` datagrams a call.
fn send_stretch(
    socket: &UdpSocket,
    payloads: &[[IoSlice<'_>; 1]],
    stretch: Range<usize>,
    packets_per_s: Option<f64>,
    watch: &Stopwatch,
) -> Result<()> {
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let (first, mut next) = (stretch.start, stretch.start);
    while next < stretch.end {
        let due = packets_per_s.map_or(stretch.end, |rate| first + (watch.elapsed_s() * rate) as usize + 1);
        if due <= next {
            watch.sleep_until(Duration::from_secs_f64((next - first) as f64 / packets_per_s.unwrap_or(f64::INFINITY)));
            continue;
        }
        let at = next % payloads.len();
        let count = BATCH.min(due.min(stretch.end) - next).min(payloads.len() - at);
        let slices = payloads[at..at + count].iter();
        match sendmmsg(socket.as_raw_fd(), &mut headers, slices, [None; BATCH], [], MsgFlags::empty()) {
            Ok(sent) => next += sent.count(),
            // A queue of the sender's own side is full for a moment.
            Err(Errno::EINTR | Errno::ENOBUFS | Errno::EAGAIN) => thread::yield_now(),
            Err(error) => return Err(error).context("send datagrams"),
        }
    }
    Ok(())
}

/// Name of a series.
pub(super) fn series_name(number: u32) -> String {
    format!("{NAME}.s{number:06}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(series: usize, metrics: usize, per_packet: usize) -> StatsdArgs {
        StatsdArgs {
            series,
            metrics,
            per_packet,
            rate: None,
            limit: false,
            senders: 1,
            seed: 1,
            json: false,
            server: None,
            server_args: vec![],
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_datagrams() {
        let (one, two) = (Datagrams::build(&args(7, 100, 20)), Datagrams::build(&args(7, 100, 20)));
        assert_eq!(one.payloads, two.payloads);
        assert_ne!(one.payloads, Datagrams::build(&StatsdArgs { seed: 2, ..args(7, 100, 20) }).payloads);
        assert_eq!((one.payloads.len(), one.metrics.len()), (5, 100));
    }

    #[test]
    fn sums_are_those_of_the_lines_as_often_as_they_are_sent() {
        let datagrams = Datagrams::build(&args(3, 6, 2));
        let mut expected = [0.0; 3];
        for number in [0, 1, 2, 0, 1] {
            for line in std::str::from_utf8(&datagrams.payloads[number]).unwrap().lines() {
                let (name, rest) = line.split_once(':').unwrap();
                let series: usize = name[name.len() - 6..].parse().unwrap();
                let value: f64 = rest.split('|').next().unwrap().parse().unwrap();
                expected[series] += if rest.ends_with("@0.25") { value * 4.0 } else { value };
            }
        }
        assert_eq!(datagrams.sums(5, 3), expected);
    }

    #[test]
    fn every_datagram_is_sent_once_whoever_sends_it() {
        let datagrams = Datagrams::build(&args(1000, 1000, 1));
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        datagrams.send(150, Some(1e6), 4, &receiver.local_addr().unwrap().to_string()).unwrap();
        let mut buffer = [0; 100];
        let mut found: Vec<_> =
            (0..150).map(|_| receiver.recv(&mut buffer).map(|len| buffer[..len].to_vec()).unwrap()).collect();
        found.sort_unstable();
        let mut expected = datagrams.payloads[..150].to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }
}
