//! StatsD over TCP: connections give pieces that end with a line to one thread, which gathers them.
//!
//! ```text
//! connection ─ read ─ whole lines ═ bounded queue ═▶ thread statsd-tcp: table ═ queue, once a window ═▶ shard
//! ```
//!
//! Not here: the grammar (see `protocols::statsd`), gathering (see `statsd_gatherer`).
//!
//! Invariants: a connection whose pieces find no room is not read any further, so that its sender waits; lines of one
//! connection keep their order; a line that is longer than `PIECE_BYTES` is counted as malformed once and ends its
//! connection.

use super::lane::Lanes;
use super::statsd_gatherer::Gatherer;
use super::statsd_listener::{StatsdHandle, StatsdSettings, WAIT, spawn_gatherer};
use crate::clock;
use crate::self_metrics::{Rejection, SelfMetrics, SocketCounters, Source};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// The longest run of whole lines handed over at a time, and so the longest line: what the table's lengths can hold.
const PIECE_BYTES: usize = (1 << 16) - 1;
/// Pieces that may wait for the thread: 16 MiB.
const WAITING_PIECES: usize = 256;
/// How long a connection waits before it offers a piece again.
const RETRY: Duration = Duration::from_millis(1);
/// Pieces taken between two looks at the clock.
const PIECES_A_TURN: usize = 64;

/// Accepts connections until told to stop, at most `connections_max` at a time; further ones wait to be accepted.
pub async fn run(
    listener: TcpListener,
    connections_max: usize,
    pieces: PieceSender,
    mut stopped: watch::Receiver<bool>,
) {
    let room = Arc::new(Semaphore::new(connections_max));
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stopped| *stopped) => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let (pieces, mut stopped) = (pieces.clone(), stopped.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = pieces.read_all(stream) => {}
                        _ = stopped.wait_for(|stopped| *stopped) => {}
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a StatsD connection");
                tokio::time::sleep(WAIT).await;
            }
        }
    }
}

/// The way from connections to the thread.
#[derive(Debug, Clone)]
pub struct PieceSender {
    queue: Sender<Vec<u8>>,
    metrics: Arc<SelfMetrics>,
}

impl PieceSender {
    /// Pieces that wait for the thread, and how many may.
    pub fn waiting(&self) -> (usize, usize) {
        (self.queue.len(), WAITING_PIECES)
    }

    async fn read_all(&self, mut stream: TcpStream) {
        let mut held = Vec::new();
        loop {
            held.reserve(4096);
            let room = PIECE_BYTES - held.len();
            match (&mut stream).take(room as u64).read_buf(&mut held).await {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if let Some(end) = memchr::memrchr(b'\n', &held) {
                let rest = held.split_off(end + 1);
                if !self.give(std::mem::replace(&mut held, rest)).await {
                    return;
                }
            }
            if held.len() == PIECE_BYTES {
                let counters = self.metrics.of(Source::StatsD);
                counters.add_received(1);
                counters.add_rejected(Rejection::Malformed, 1);
                return;
            }
        }
        // The last line of a connection may come without its end.
        if !held.is_empty() {
            self.give(held).await;
        }
    }

    /// Waits until there is room; says whether anybody still takes pieces.
    async fn give(&self, mut piece: Vec<u8>) -> bool {
        loop {
            match self.queue.try_send(piece) {
                Ok(()) => return true,
                Err(TrySendError::Full(refused)) => piece = refused,
                Err(TrySendError::Disconnected(_)) => return false,
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Starts the thread; it ends after `stop` is set, when it has taken what connections gave it.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn(
    lanes: &Lanes,
    settings: &StatsdSettings,
    metrics: &Arc<SelfMetrics>,
    stop: Arc<AtomicBool>,
) -> io::Result<(PieceSender, StatsdHandle)> {
    let (queue, pieces) = bounded(WAITING_PIECES);
    let name = "statsd-tcp".to_owned();
    let counters = metrics.statsd.socket(&name);
    let handle =
        spawn_gatherer(name, lanes, settings, metrics, move |gatherer| gather(gatherer, &pieces, &counters, &stop))?;
    Ok((PieceSender { queue, metrics: metrics.clone() }, handle))
}

fn gather(mut gatherer: Gatherer, pieces: &Receiver<Vec<u8>>, counters: &SocketCounters, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let patience = if gatherer.is_busy() { Duration::ZERO } else { WAIT };
        let first = pieces.recv_timeout(patience).ok();
        take(&mut gatherer, first.into_iter().chain(pieces.try_iter().take(PIECES_A_TURN)), counters);
    }
    take(&mut gatherer, pieces.try_iter().take(WAITING_PIECES), counters);
    gatherer.stop();
}

fn take(gatherer: &mut Gatherer, pieces: impl Iterator<Item = Vec<u8>>, counters: &SocketCounters) {
    let now_ms = clock::now_ms();
    gatherer.turn(now_ms);
    for piece in pieces {
        gatherer.take(&piece, now_ms);
        counters.datagrams.fetch_add(1, Ordering::Relaxed);
    }
    gatherer.publish();
}
