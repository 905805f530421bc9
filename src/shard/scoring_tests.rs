//! What is promised of scoring, over a real store: nothing twice, nothing lost, nothing forgotten by a restart.

#![allow(clippy::disallowed_methods, reason = "a test's threads end with it and need no names")]

use super::*;
use crate::analysis::fan_out::FanOut;
use crate::analysis::{Effort, Kind, SeriesModel, Settings};
use crate::metric_metadata::MetricType;
use crate::self_metrics::SelfMetrics;
use crate::shard::rests::NoRestPlans;
use crate::shard::series_slots::Slot;
use crate::shard::{ModelBoard, Summary};
use crate::{anomaly::run::AnomalyRun, foundation_layer::LayerDoor};
use std::sync::atomic::AtomicBool;
use std::{collections::BTreeMap, fs, path::Path};
use storage::series::{KeyBuilder, NAME_LABEL};
use storage::{Row, Store, StoreThreads, route};
use tempfile::{TempDir, tempdir};

pub(super) const START_MS: i64 = 1_704_067_200_000;
pub(super) const STEP_MS: i64 = 60_000;
const SERIES: usize = 40;

pub(super) type Points = Vec<(usize, i64, f64)>;

pub(super) fn key(series: usize) -> Vec<u8> {
    let mut keys = KeyBuilder::default();
    keys.push(NAME_LABEL, "load");
    keys.push("host", &format!("h{series}"));
    keys.finish().unwrap().to_vec()
}

pub(super) fn value(series: usize, step: i64) -> f64 {
    let noise = (step as u64 * 64 + series as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29) % 1000;
    let spike = if (series + 3).is_multiple_of(4) && (700..703).contains(&step) { 400.0 } else { 0.0 };
    20.0 + series as f64 + noise as f64 / 250.0 + spike
}

/// Samples of all series at some steps.
pub(super) fn points(steps: std::ops::Range<i64>) -> Points {
    let all = move |step| (0..SERIES).map(move |series| (series, START_MS + step * STEP_MS, value(series, step)));
    steps.flat_map(all).collect()
}

/// What a model shows that has seen a series' first steps and nothing else.
fn expected(series: usize, steps: i64) -> Summary {
    let mut model = SeriesModel::new(None, Settings::default());
    let verdicts = (0..steps).map(|step| model.observe(START_MS + step * STEP_MS, value(series, step)));
    let last = verdicts.last().unwrap();
    Summary::new(&model, &last)
}

pub(super) struct Running {
    store: ShardStore,
    threads: StoreThreads,
    pub(super) scoring: Scoring,
    pub(super) context: Arc<ScoringContext>,
    pub(super) runs: Receiver<AnomalyRun>,
    pub(super) now_ms: i64,
}

impl Running {
    pub(super) fn open(dir: &Path, pending_max: usize) -> Self {
        Self::open_with(dir, pending_max, |_, _| None)
    }

    pub(super) fn open_with<F>(dir: &Path, pending_max: usize, layer: F) -> Self
    where
        F: FnOnce(&Store, &Arc<SelfMetrics>) -> Option<LayerDoor>,
    {
        let opened = storage::open(storage::Settings::new(dir)).unwrap();
        let store = opened.shards.into_iter().next().unwrap();
        fs::create_dir_all(dir.join("models")).unwrap();
        let (metrics, (sender, runs)) = (Arc::default(), bounded(1000));
        let context = Arc::new(ScoringContext {
            newest_at_start_ms: opened.store.newest_ms(),
            threads: FanOut::new(2).unwrap(),
            board: Arc::new(ModelBoard::default()),
            layer: layer(&opened.store, &metrics),
            metrics,
            told: Arc::default(),
            store: opened.store,
            runs: sender,
            dir: dir.join("models"),
            settings: Arc::default(),
            rests: Arc::new(NoRestPlans),
            pending_max,
            closing: AtomicBool::new(false),
        });
        let scoring = Scoring::new(context.clone(), 0, 1, &store);
        Self { store, threads: opened.threads, scoring, context, runs, now_ms: START_MS }
    }

    /// Appends, without a tick.
    pub(super) fn append(&mut self, points: &[(usize, i64, f64)]) {
        for points in points.chunks(1000) {
            let keys: Vec<_> = points.iter().map(|(series, ..)| key(*series)).collect();
            let rows = points.iter().zip(&keys).map(|((_, time_ms, value), key)| Row {
                hash: route(key, 1).0,
                key,
                times: std::slice::from_ref(time_ms),
                values: std::slice::from_ref(value),
            });
            let scoring = &mut self.scoring;
            self.store
                .append_observed(i64::MAX / 2, rows, |series, time_ms, v| scoring.add(series, time_ms, v))
                .unwrap();
            self.store.commit(Box::new(|result| result.unwrap()));
        }
    }

    /// Ticks until nothing waits.
    pub(super) fn settle(&mut self) {
        let waits = |side: &Side| side.is_behind || !side.pending.is_empty();
        loop {
            self.now_ms += TICK_MS;
            self.scoring.tick(self.now_ms, self.store.newest_ms());
            self.scoring.take_all_back();
            if !self.scoring.sides.iter().any(waits) {
                return;
            }
        }
    }

    /// Lets so many seconds pass.
    pub(super) fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now_ms += 1000;
            self.scoring.tick(self.now_ms, self.store.newest_ms());
            self.scoring.take_all_back();
        }
    }

    /// What stands on the board, by series.
    fn board(&self) -> BTreeMap<usize, Summary> {
        let of = |series: usize| {
            let number = storage::series::partition_of(route(&key(series), 1).0);
            let all = self.context.store.series_of(number);
            let found = all.iter().find(|selected| *selected.key == *key(series))?;
            Some((series, self.context.board.of(found.series)?))
        };
        (0..SERIES).filter_map(of).collect()
    }

    fn counters(&self) -> [u64; 3] {
        let scoring = &self.context.metrics.scoring;
        [&scoring.scored, &scoring.skipped, &scoring.files_refused].map(|counter| counter.load(Ordering::Relaxed))
    }

    fn runs(&self) -> Vec<(Vec<u8>, i64, bool)> {
        self.runs.try_iter().map(|run| (run.key.to_vec(), run.start_ms, run.is_open)).collect()
    }

    /// Stops as the server does: the keeper first, then scoring.
    pub(super) fn close(mut self) {
        let tasks = self.store.tasks().clone();
        let closing = std::thread::spawn(move || self.threads.close());
        while let Ok(task) = tasks.recv() {
            task(&mut self.store);
        }
        closing.join().unwrap().unwrap();
        self.scoring.finish();
    }
}

/// A store with the first 800 steps, closed, and its models as they were at step 650.
fn fed() -> TempDir {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.append(&points(0..650));
    running.settle();
    running.close();
    fs::rename(dir.path().join("models"), dir.path().join("early")).unwrap();
    fs::create_dir(dir.path().join("models")).unwrap();
    for file in fs::read_dir(dir.path().join("early")).unwrap().map(Result::unwrap) {
        fs::copy(file.path(), dir.path().join("models").join(file.file_name())).unwrap();
    }
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    assert_eq!(running.board(), all_expected(650));
    assert_eq!(running.counters(), [0, 0, 0], "nothing is learned twice");
    running.append(&points(650..800));
    running.settle();
    assert_eq!(running.board(), all_expected(800));
    assert_eq!(told(&running), spikes(), "an uninterrupted run");
    running.close();
    dir
}

fn all_expected(steps: i64) -> BTreeMap<usize, Summary> {
    (0..SERIES).map(|series| (series, expected(series, steps))).collect()
}

/// The runs that were told and are over, as series and beginning.
fn told(running: &Running) -> Vec<(Vec<u8>, i64)> {
    let mut over: Vec<_> = running.runs().into_iter().filter(|run| !run.2).map(|run| (run.0, run.1)).collect();
    over.sort();
    over
}

fn spikes() -> Vec<(Vec<u8>, i64)> {
    let mut spikes: Vec<_> = (0..SERIES)
        .filter(|series| (series + 3).is_multiple_of(4))
        .map(|series| (key(series), START_MS + 700 * STEP_MS))
        .collect();
    spikes.sort();
    spikes
}

#[test]
fn a_crash_before_the_models_were_written_changes_nothing() {
    let dir = fed();
    fs::remove_dir_all(dir.path().join("models")).unwrap();
    fs::rename(dir.path().join("early"), dir.path().join("models")).unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    assert_eq!(running.board(), all_expected(800));
    assert_eq!(running.counters(), [150 * SERIES as u64, 0, 0]);
    assert_eq!(told(&running), spikes(), "the same runs are told again");
    running.append(&points(800..900));
    running.settle();
    assert_eq!(running.board(), all_expected(900));
    running.close();
}

#[test]
fn models_that_cannot_be_read_are_learned_anew_without_old_anomalies() {
    let dir = fed();
    let files: Vec<_> = fs::read_dir(dir.path().join("models")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() > 9);
    for (at, path) in files.iter().enumerate() {
        let bytes = fs::read(path).unwrap();
        match at % 3 {
            0 => fs::remove_file(path).unwrap(),
            1 => fs::write(path, &bytes[..bytes.len() / 2]).unwrap(),
            _ => fs::write(path, [&bytes[..40], b"x", &bytes[41..]].concat()).unwrap(),
        }
    }
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    assert_eq!(running.board(), all_expected(800));
    let refused = (files.len() - files.len().div_ceil(3)) as u64;
    assert_eq!(running.counters(), [800 * SERIES as u64, 0, refused]);
    assert_eq!(running.runs(), [], "they began more than an hour before the newest sample");
    running.close();
}

#[test]
fn what_comes_while_catching_up_is_scored_after_it_also_when_there_was_no_room() {
    let dir = fed();
    fs::remove_dir_all(dir.path().join("models")).unwrap();
    let mut running = Running::open(dir.path(), 1000);
    running.append(&points(800..850));
    running.settle();
    running.append(&points(850..870));
    running.settle();
    assert_eq!(running.board(), all_expected(870));
    assert_eq!(running.counters(), [870 * SERIES as u64, 0, 0]);
    running.close();
}

#[test]
fn duplicates_late_samples_and_conflicts_are_neither_scored_nor_learned() {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    for step in 0..100 {
        running.append(&points(step..step + 1));
        let again = points(step..step + 1);
        let conflicts: Points = again.iter().map(|(series, time_ms, _)| (*series, *time_ms, 1e6)).collect();
        let behind: Points = again.iter().map(|(series, time_ms, _)| (*series, time_ms - 17, 1e6)).collect();
        [again, conflicts, behind].iter().for_each(|points| running.append(points));
        if step % 7 == 0 {
            running.settle();
        }
    }
    running.settle();
    assert_eq!(running.board(), all_expected(100));
    assert_eq!(running.counters(), [100 * SERIES as u64, 0, 0]);
    running.close();
}

#[test]
fn samples_beyond_the_room_are_skipped_and_counted_and_room_comes_back() {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1000);
    running.settle();
    running.append(&points(0..100));
    running.settle();
    assert_eq!(running.counters(), [1000, 3000, 0]);
    assert!(running.context.metrics.scoring.skipped_at_ms.load(Ordering::Relaxed) >= START_MS);
    running.append(&points(100..120));
    running.settle();
    assert_eq!(running.counters(), [1800, 3000, 0]);
    running.close();
}

/// What falls is no counter, unless that was said.
#[test]
fn a_new_model_knows_what_senders_said_of_its_metric() {
    for (said, expected) in [(MetricType::Counter, Kind::Counter), (MetricType::Unknown, Kind::Gauge)] {
        let dir = tempdir().unwrap();
        let mut running = Running::open(dir.path(), 1_000_000);
        running.context.told.tell(b"load", said, b"", b"");
        running.settle();
        running.append(&points(0..30));
        running.settle();
        assert_eq!(running.board()[&0].kind, expected);
        running.close();
    }
}

/// Steps that a shard goes down because samples wait for so long, and what it does meanwhile.
#[test]
fn scoring_that_lags_gives_up_slow_work_then_detectors_and_takes_them_back_in_time() {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    let scoring = |running: &Running| {
        let counters = &running.context.metrics.scoring;
        (counters.step_max(), counters.saves.load(Ordering::Relaxed))
    };
    // One series, and more samples than models are written down after.
    let second = |at: i64| (0, START_MS + at * 1000, value(0, at));
    let mut model = SeriesModel::new(None, Settings::default());
    let mut last = None;
    let (mut at, mut now_ms) = (0, running.now_ms);
    let mut lag = |running: &mut Running, samples: i64, lag_ms: i64, effort: Effort| {
        running.scoring.begin(now_ms);
        running.append(&(at..at + samples).map(second).collect::<Vec<_>>());
        now_ms += lag_ms;
        running.scoring.tick(now_ms, running.store.newest_ms());
        running.scoring.take_all_back();
        for (_, time_ms, value) in (at..at + samples).map(second) {
            last = Some(model.observe_with(time_ms, value, effort));
        }
        at += samples;
        assert_eq!(running.board()[&0], Summary::new(&model, &last.unwrap()), "after {at} samples");
        now_ms += TICK_MS;
    };
    lag(&mut running, 100, 2500, Effort::All);
    assert_eq!(scoring(&running), (1, 0), "what is slow waits");
    lag(&mut running, 140_000, 2500, Effort::All);
    assert_eq!(scoring(&running), (2, 0), "models are not written down, although it is time to");
    lag(&mut running, 100, 300, Effort::OneOfAFamily);
    for _ in 0..100 {
        lag(&mut running, 1, 0, Effort::OneOfAFamily);
    }
    assert_eq!(scoring(&running), (1, 0), "ten seconds without a lag");
    for _ in 0..100 {
        lag(&mut running, 1, 0, Effort::All);
    }
    assert_eq!(scoring(&running), (0, 0));
    lag(&mut running, 1, 0, Effort::All);
    assert_eq!(scoring(&running), (0, 1));
    assert_eq!(running.counters()[1], 0, "nothing was skipped");
    let moves = [&running.context.metrics.scoring.steps_down, &running.context.metrics.scoring.steps_up];
    assert_eq!(moves.map(|counter| counter.load(Ordering::Relaxed)), [2, 2]);
    running.close();
}

#[test]
fn catching_up_after_a_start_takes_its_time_with_all_detectors() {
    let dir = fed();
    fs::remove_dir_all(dir.path().join("models")).unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.scoring.tick(START_MS, running.store.newest_ms());
    running.scoring.tick(START_MS + 60_000, running.store.newest_ms());
    running.now_ms = START_MS + 120_000;
    running.settle();
    assert_eq!(running.board(), all_expected(800));
    assert_eq!(running.context.metrics.scoring.steps_down.load(Ordering::Relaxed), 0);
    running.close();
}

#[test]
fn a_series_that_left_frees_its_place() {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.append(&points(0..50));
    running.settle();
    let gone: Vec<_> =
        (0..PARTITIONS as u8).flat_map(|p| running.context.store.series_of(p)).map(|s| s.series).collect();
    running.scoring.expire(&gone[1..]);
    running.settle();
    assert_eq!((running.board().len(), running.context.board.models_loaded()), (1, 1));
    running.close();
}

#[test]
fn a_run_whose_series_stops_is_closed_when_time_goes_on() {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.append(&points(0..700));
    let mut last = points(700..702);
    last.retain(|(series, ..)| *series == 1);
    running.append(&last);
    running.settle();
    let open: Vec<_> = running.runs().into_iter().filter(|run| run.0 == key(1)).collect();
    assert!(open.iter().all(|run| run.2) && !open.is_empty(), "{open:?}");
    let mut others = points(702..730);
    others.retain(|(series, ..)| *series == 0);
    running.append(&others);
    for _ in 0..=SLOW_TICKS {
        running.settle();
    }
    assert_eq!(running.runs().iter().filter(|run| run.0 == key(1)).count(), 0, "it was heard just now");
    running.now_ms += 61_000;
    for _ in 0..=SLOW_TICKS {
        running.settle();
    }
    let closed: Vec<_> = running.runs().into_iter().filter(|run| run.0 == key(1)).collect();
    assert_eq!(closed, [(key(1), START_MS + 700 * STEP_MS, false)]);
    running.close();
}

/// How many models are in memory, and how many are in files only.
fn models(running: &Running) -> (usize, usize) {
    let all = running.scoring.sides.iter().flat_map(|side| side.models.as_ref().unwrap().slots.iter());
    all.fold((0, 0), |(here, away), (_, slot)| match slot {
        Slot::Model(_) => (here + 1, away),
        Slot::Away(_) => (here, away + 1),
        Slot::Few(_) | Slot::Vacant => (here, away),
    })
}

/// A store whose first series goes on to step 900 while the others stop at 800, and what its models are then.
fn mostly_idle() -> (TempDir, Running) {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.append(&points(0..800));
    running.settle();
    assert_eq!(models(&running), (SERIES, 0));
    let mut alone = points(800..900);
    alone.retain(|(series, ..)| *series == 0);
    running.append(&alone);
    (0..=SLOW_TICKS).for_each(|_| running.settle());
    let (here, away) = models(&running);
    assert!(away >= SERIES - 8 && here + away == SERIES, "those beside the one that goes on may stay: {here}");
    (dir, running)
}

#[test]
fn models_of_silent_series_are_freed_and_come_back_as_if_they_had_stayed() {
    let (dir, mut running) = mostly_idle();
    assert_eq!(running.board().len(), SERIES, "they are still shown");
    let mut later = points(900..950);
    running.append(&later);
    running.settle();
    assert_eq!(models(&running), (SERIES, 0));
    let expected = |series: usize| {
        let mut model = SeriesModel::new(None, Settings::default());
        let steps = (0..950).filter(|step| series == 0 || !(800..900).contains(step));
        let verdicts = steps.map(|step| model.observe(START_MS + step * STEP_MS, value(series, step)));
        let last = verdicts.last().unwrap();
        Summary::new(&model, &last)
    };
    let all: BTreeMap<_, _> = (0..SERIES).map(|series| (series, expected(series))).collect();
    assert_eq!(running.board(), all);
    running.close();
    // A start finds them idle in the file, and writing it again copies them.
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    later = points(1100..1101);
    later.retain(|(series, ..)| *series == 0);
    running.append(&later);
    (0..=SLOW_TICKS).for_each(|_| running.settle());
    running.close();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    assert!(models(&running).1 >= SERIES - 8, "{:?}", models(&running));
    assert_eq!(running.counters(), [0, 0, 0], "nothing is learned twice");
    let shown = running.board();
    assert!((1..SERIES).all(|series| shown[&series] == all[&series]));
    running.close();
}

#[test]
fn a_model_that_was_set_aside_and_is_lost_is_learned_anew() {
    let (dir, mut running) = mostly_idle();
    for file in fs::read_dir(dir.path().join("models")).unwrap().map(Result::unwrap) {
        let mut bytes = fs::read(file.path()).unwrap();
        bytes.iter_mut().skip(8).for_each(|byte| *byte ^= 0x55);
        fs::write(file.path(), bytes).unwrap();
    }
    let away = models(&running).1;
    running.append(&points(900..901));
    running.settle();
    assert_eq!((models(&running), running.counters()[2]), ((SERIES, 0), away as u64));
    let mut model = SeriesModel::new(None, Settings::default());
    let steps = (0..801).map(|step| if step == 800 { 900 } else { step });
    let verdicts = steps.map(|step| model.observe(START_MS + step * STEP_MS, value(39, step)));
    let last = verdicts.last().unwrap();
    assert_eq!(running.board()[&39], Summary::new(&model, &last));
    running.close();
}
