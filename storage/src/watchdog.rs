//! The watchdog: a thread that notices when an engine, the committer or a shard has not come back for long.
//!
//! Whoever may hang counts what it begins and what it ends. The watchdog compares both from tick to tick: an operation
//! that is under way while nothing ends for [`TICKS_MAX`] ticks is stuck. It reads counters and never waits for
//! anything, so it cannot hang with them; what it says is in the store's figures, and so in `/health`.
//!
//! Not here: ending what is stuck: a thread of the engine that hangs (seen in sled 0.34.7) cannot be ended, only the
//! process can. Clocks: ticks are counted.

use crate::StoreError;
use crate::catalog::SharedDisk;
use crate::disk::Disk;
use crate::shared::Shared;
use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

/// Ticks without an end after which an operation is stuck.
const TICKS_MAX: u32 = 10;

/// Operations begun and ended, counted by whoever may hang.
#[derive(Debug, Default)]
pub(crate) struct Beat {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Beat {
    /// Counts one operation.
    pub(crate) fn during<T>(&self, operation: impl FnOnce() -> T) -> T {
        self.begun.fetch_add(1, Ordering::AcqRel);
        let outcome = operation();
        self.ended.fetch_add(1, Ordering::AcqRel);
        outcome
    }

    /// How many have begun and ended.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Acquire), ended)
    }
}

/// The running watchdog.
#[derive(Debug)]
pub(crate) struct WatchdogThread {
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl WatchdogThread {
    /// Ends it.
    pub(crate) fn end(self) {
        drop(self.stop);
        // It holds nothing whose loss a panic would mean.
        let _ = self.thread.join();
    }
}

/// Starts the thread `watchdog`.
///
/// # Errors
/// When the system gives no thread.
pub(crate) fn watch(shared: &Arc<Shared>, catalog: SharedDisk, dir: &Path) -> Result<WatchdogThread, StoreError> {
    let shared = shared.clone();
    let (stop, stopped) = bounded::<()>(0);
    let tick = shared.settings.stuck_after / TICKS_MAX;
    let run = move || {
        let mut watchdog = Watchdog::default();
        while stopped.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
            let stuck = watchdog.look(&observe(&shared, &catalog));
            let mut known = shared.stuck.lock();
            if *known != stuck {
                stuck.iter().for_each(|what| tracing::error!("{what} is stuck"));
                known.iter().filter(|what| !stuck.contains(what)).for_each(|what| tracing::info!("{what} goes on"));
                *known = stuck;
            }
        }
    };
    let thread = thread::Builder::new().name("watchdog".to_owned()).spawn(run);
    let thread = thread.map_err(|e| StoreError::io("start the watchdog of", dir, e))?;
    Ok(WatchdogThread { stop, thread })
}

/// Who may hang, and what it has begun and ended.
type Observed = (String, (u64, u64));

/// Operations of one that is being opened or closed: under way, and none ends.
const BUSY: (u64, u64) = (1, 0);

fn observe(shared: &Shared, catalog: &SharedDisk) -> Vec<Observed> {
    let mut observed = vec![
        ("the journal's committer".to_owned(), shared.journal.groups()),
        ("a shard that the keeper asks".to_owned(), shared.shard_answers.counts()),
    ];
    let operations = catalog.try_lock().map(|disk| disk.as_ref().map(Disk::operations));
    observed.extend(operations.unwrap_or(Some(BUSY)).map(|counts| ("the engine of the catalog".to_owned(), counts)));
    for directory in shared.blocks.health() {
        let counts = if directory.is_busy { Some(BUSY) } else { directory.operations };
        observed.extend(counts.map(|counts| (format!("the engine of blocks/{}", directory.name), counts)));
    }
    for (resolution, directory) in shared.rollups.health() {
        let counts = if directory.is_busy { Some(BUSY) } else { directory.operations };
        observed
            .extend(counts.map(|counts| (format!("the engine of rollups/{resolution}/{}", directory.name), counts)));
    }
    observed
}

/// What it remembers from tick to tick.
#[derive(Debug, Default)]
struct Watchdog {
    /// For each with an operation under way: how many had ended, and for how many ticks it stayed so.
    waiting: HashMap<String, (u64, u32)>,
}

impl Watchdog {
    /// Who has been under way for too long.
    fn look(&mut self, observed: &[Observed]) -> Vec<String> {
        let mut waiting = HashMap::new();
        let mut stuck = Vec::new();
        for (name, (begun, ended)) in observed.iter().filter(|(_, (begun, ended))| begun != ended) {
            let ticks = match self.waiting.get(name) {
                Some((before, ticks)) if before == ended => ticks + 1,
                _ => 0,
            };
            if ticks >= TICKS_MAX {
                stuck.push(name.clone());
            }
            debug_assert!(begun > ended, "what has ended has begun");
            waiting.insert(name.clone(), (*ended, ticks));
        }
        self.waiting = waiting;
        stuck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(watchdog: &mut Watchdog, ticks: u32, counts: (u64, u64)) -> usize {
        (0..ticks).map(|_| watchdog.look(&[("x".to_owned(), counts)]).len()).sum()
    }

    #[test]
    fn only_what_is_under_way_and_does_not_end_is_stuck() {
        let mut watchdog = Watchdog::default();
        assert_eq!(looks(&mut watchdog, 50, (7, 7)), 0, "idle");
        assert_eq!((0..50).map(|n| looks(&mut watchdog, 1, (n + 1, n))).sum::<usize>(), 0, "busy, but ending");
        assert_eq!(looks(&mut watchdog, TICKS_MAX, (100, 99)), 0, "not for long");
        assert_eq!(looks(&mut watchdog, 1, (100, 99)), 1, "stuck");
        assert_eq!(looks(&mut watchdog, 1, (101, 99)), 1, "more comes and nothing ends");
        assert_eq!(looks(&mut watchdog, 1, (101, 100)), 0, "it goes on");
    }

    #[test]
    fn a_beat_counts_what_is_under_way() {
        let beat = Beat::default();
        assert_eq!(beat.during(|| beat.counts()), (1, 0));
        assert_eq!(beat.counts(), (1, 1));
    }
}
