//! Watches whether what is told is right: what people said of anomalies as gauges, an event when scores are no longer
//! distributed as they were, and every `calibration.every` a sum of it all, with models on request trained again.
//!
//! The live ensemble calibrates itself with every sample and needs none of this.
//!
//! Not here: what people's word changes for a series (see `anomaly::tolerance`), training (see `pull`).
//!
//! Invariant: when it was done last outlives the process.

use super::Running;
use super::reload::InForce;
use super::routes::source;
use crate::anomaly::Records;
use crate::anomaly::accuracy::Accuracy;
use crate::anomaly::book::Book;
use crate::change_events::{ChangeEvent, ChangeEvents, ChangeKind};
use crate::clock;
use crate::config::Config;
use crate::pull::{ModelShelf, Source, retrain};
use crate::self_metrics::SelfMetrics;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::watch;

/// How often what people said is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Stability of the scores beyond which they have drifted, and below which they are as before again.
const DRIFTED: f64 = 0.2;
const STEADY: f64 = 0.1;
/// Where the time of the last calibration is kept.
const FILE: &str = "calibrated";

/// What people said, as readers see it.
pub(super) type AccuracyBoard = Arc<RwLock<Arc<Accuracy>>>;

/// What is watched.
pub(super) struct Calibrating {
    book: Book,
    board: AccuracyBoard,
    events: ChangeEvents,
    metrics: Arc<SelfMetrics>,
    shelf: Arc<ModelShelf>,
    source: Source,
    names_max: usize,
    file: PathBuf,
    in_force: InForce,
    has_drifted: bool,
    /// The records that were looked at last.
    seen: Arc<Records>,
}

/// Of a server that runs.
pub(super) fn begin(config: &Config, running: &Running, in_force: InForce) -> Calibrating {
    Calibrating {
        book: running.book.clone(),
        board: running.accuracy.clone(),
        events: running.events.clone(),
        metrics: running.metrics.clone(),
        shelf: running.shelf.clone(),
        source: source(config, running),
        names_max: config.metrics.names_max,
        file: config.storage.data_dir.join(FILE),
        in_force,
        has_drifted: false,
        seen: Arc::default(),
    }
}

impl Calibrating {
    /// Looks until the server stops.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let looked = tokio::task::spawn_blocking(move || {
                self.look(clock::now_ms());
                self
            });
            let Ok(back) = looked.await else { return };
            self = back;
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stopping| *stopping) => return,
            }
        }
    }

    fn look(&mut self, now_ms: i64) {
        let records = self.book.records();
        if !Arc::ptr_eq(&records, &self.seen) {
            self.seen = records.clone();
            *self.board.write() = Arc::new(Accuracy::of(&records, i64::MIN, self.names_max));
        }
        let index = self.metrics.scoring.drift.index();
        if !self.has_drifted && index > DRIFTED {
            let title =
                format!("drift: scores of the last hour are no longer distributed as before (stability {index:.2})");
            self.tell(now_ms, title);
        }
        self.has_drifted = index > if self.has_drifted { STEADY } else { DRIFTED };
        let every_ms = self.in_force.borrow().calibration.every.as_millis() as i64;
        match self.last_ms() {
            Some(last_ms) if now_ms.saturating_sub(last_ms) < every_ms => {}
            Some(last_ms) => self.calibrate(last_ms, now_ms),
            None => self.keep(now_ms),
        }
    }

    /// When it was done last; the first look of a new server counts.
    fn last_ms(&self) -> Option<i64> {
        std::fs::read_to_string(&self.file).ok()?.trim().parse().ok()
    }

    fn keep(&self, now_ms: i64) {
        let folder = self.file.parent().map_or(Ok(()), std::fs::create_dir_all);
        if let Err(error) = folder.and_then(|()| std::fs::write(&self.file, now_ms.to_string())) {
            tracing::error!(%error, "the time of the last calibration cannot be kept");
        }
    }

    fn calibrate(&self, last_ms: i64, now_ms: i64) {
        self.keep(now_ms);
        let said = Accuracy::of(&self.book.records(), last_ms, 0).all;
        let done = retrain(&self.shelf, &self.source, now_ms);
        let right =
            said.precision().map_or_else(String::new, |share| format!(", {:.0} % of them right", 100.0 * share));
        let title = format!(
            "calibration: {} anomalies judged by people{right}; {} models on request trained again, {} not; stability of \
             scores {:.2}",
            said.all(),
            done.trained,
            done.failed.len(),
            self.metrics.scoring.drift.index(),
        );
        self.metrics.scoring.calibrations.fetch_add(1, Ordering::Relaxed);
        self.tell(now_ms, title);
    }

    fn tell(&self, now_ms: i64, title: String) {
        let told = self.events.add(ChangeEvent::new(now_ms, ChangeKind::Model, title, BTreeMap::new()));
        if let Err(error) = told {
            tracing::error!(%error, "an event about the models cannot be kept");
        }
    }
}
