//! What is promised of forecasts of live series, over a real store and the layer's thread: they come to the series that
//! are young, judge them, are made anew, and never more of them than may be.

use super::tests::{Points, Running, START_MS, STEP_MS, key, points};
use crate::foundation_layer::{LayerHandle, LayerSettings, Plans, Trouble, spawn};
use crate::self_metrics::{FoundationCounters, Skip};
use crate::shard::series_slots::Slot;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::Ordering;
use tempfile::tempdir;

/// As `tests` has it.
const SERIES: u64 = 40;

fn open(dir: &Path, series_max: usize) -> (Running, LayerHandle) {
    open_planned(dir, series_max, Box::new(|_| None))
}

/// The same where trouble is planned.
fn open_planned(dir: &Path, series_max: usize, plans: Plans) -> (Running, LayerHandle) {
    let mut handle = None;
    let settings = LayerSettings { cpu_share: 1.0, queue_max: 1000, refresh: 16, series_max };
    let running = Running::open_with(dir, 1_000_000, |store, metrics| {
        let (layer, door) = spawn(settings, store.clone(), plans, metrics.clone()).unwrap();
        handle = Some(layer);
        Some(door)
    });
    (running, handle.unwrap())
}

/// Lets time pass until it is so.
fn wait_for(running: &mut Running, is_so: impl Fn(&Running) -> bool) {
    while !is_so(running) {
        running.wait(1);
        std::thread::yield_now();
    }
}

fn wait_until(running: &mut Running, is_so: impl Fn(&FoundationCounters) -> bool) {
    wait_for(running, |running| is_so(&running.context.metrics.foundation));
}

/// Feeds samples that are enough for a forecast, and waits until every series has been told one.
fn feed_until_all_are_told(running: &mut Running, steps: Range<i64>) {
    running.append(&points(steps));
    running.settle();
    wait_for(running, |running| with_bands(running) == SERIES);
}

fn forecasts(at_least: u64) -> impl Fn(&FoundationCounters) -> bool {
    move |counters| counters.forecasts.load(Ordering::Relaxed) >= at_least
}

/// How many series have a forecast.
fn with_bands(running: &Running) -> u64 {
    bands(running).len() as u64
}

/// From when the forecasts of series are.
fn bands(running: &Running) -> BTreeMap<(u8, u32), i64> {
    let models = running.scoring.sides.iter().filter_map(|side| side.models.as_ref());
    let of = |(number, (id, slot)): (u8, (u32, &Slot))| match slot {
        Slot::Model(model) => Some(((number, id), model.foreseen()?.after_ms())),
        _ => None,
    };
    models.flat_map(|models| models.slots.iter().map(|slot| (models.number, slot)).filter_map(of)).collect()
}

/// So many steps with a spike of one series in the third one.
fn with_spike(from: i64) -> Points {
    let mut points = points(from..from + 5);
    let spike = START_MS + (from + 2) * STEP_MS;
    points
        .iter_mut()
        .filter(|(series, time_ms, _)| (*series, *time_ms) == (5, spike))
        .for_each(|point| point.2 += 60.0);
    points
}

#[test]
fn young_series_get_forecasts_that_judge_them_and_are_made_anew() {
    let dir = tempdir().unwrap();
    let (mut running, handle) = open(dir.path(), 1000);
    running.settle();
    running.append(&points(0..60));
    running.settle();
    running.wait(3);
    assert!(!forecasts(1)(&running.context.metrics.foundation), "60 samples are too few");
    feed_until_all_are_told(&mut running, 60..100);
    // What own detectors told before.
    let before = running.runs.try_iter().count();
    running.append(&with_spike(100));
    running.settle();
    running.wait(1);
    let spike_ms = START_MS + 102 * STEP_MS;
    let told: Vec<_> = running.runs.try_iter().filter(|run| run.start_ms == spike_ms).collect();
    assert!(!told.is_empty(), "a spike of a young series is told, beside {before} runs before");
    for run in &told {
        assert!(run.peak.summary.contains("the foundation model's forecast counts"), "{run:?}");
        let vote = run.peak.votes.iter().find(|vote| vote.detector == "foundation").unwrap();
        assert!(vote.anomalous && !vote.abstained && vote.contribution > 0.0, "{run:?}");
    }
    running.append(&points(105..130));
    running.settle();
    wait_for(&mut running, |running| bands(running).values().any(|after_ms| *after_ms >= START_MS + 104 * STEP_MS));
    let (ages, _) = running.context.metrics.foundation.age.counts();
    assert!(ages.iter().sum::<u64>() > 0, "ages of those that were replaced: {ages:?}");
    running.close();
    handle.join().unwrap();
}

#[test]
fn no_more_series_have_a_forecast_than_may_and_the_others_are_counted() {
    let dir = tempdir().unwrap();
    let (mut running, handle) = open(dir.path(), 8);
    running.settle();
    running.append(&points(0..100));
    running.settle();
    wait_until(&mut running, |counters| counters.skipped(Skip::NoRoom) >= SERIES - 8 && forecasts(8)(counters));
    assert_eq!(running.context.metrics.foundation.forecasts.load(Ordering::Relaxed), 8);
    assert!(running.context.metrics.foundation.bands.load(Ordering::Relaxed) <= 8);
    running.close();
    handle.join().unwrap();
}

#[test]
fn forecasts_go_on_after_a_restart_as_far_as_there_is_room() {
    let dir = tempdir().unwrap();
    let (mut running, handle) = open(dir.path(), 1000);
    running.settle();
    feed_until_all_are_told(&mut running, 0..100);
    let before = bands(&running);
    running.close();
    handle.join().unwrap();

    // Its samples are read without a second's look at who wants a forecast: those it has are those it had.
    let (mut running, handle) = open(dir.path(), 1000);
    running.settle();
    assert_eq!(bands(&running), before);
    assert_eq!(running.context.layer.as_ref().unwrap().places_taken() as u64, SERIES);
    running.close();
    handle.join().unwrap();

    let (mut running, handle) = open(dir.path(), 8);
    running.settle();
    assert_eq!((bands(&running).len(), running.context.layer.as_ref().unwrap().places_taken()), (8, 8));
    running.close();
    handle.join().unwrap();

    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    assert!(bands(&running).is_empty(), "without a layer nothing renews them");
    running.close();
}

#[test]
fn no_forecast_is_made_of_samples_in_planned_trouble() {
    let dir = tempdir().unwrap();
    let is_well = key(7);
    let plans: Plans = Box::new(move |key| {
        let trouble: Trouble = Box::new(|_| true);
        (*key != is_well).then_some(trouble)
    });
    let (mut running, handle) = open_planned(dir.path(), 1000, plans);
    running.settle();
    // Who gets none is told so by one that says nothing.
    feed_until_all_are_told(&mut running, 0..100);
    let models = running.scoring.sides.iter().filter_map(|side| side.models.as_ref());
    let slots = models.flat_map(|models| models.slots.iter());
    let says =
        |slot: &Slot| matches!(slot, Slot::Model(model) if model.foreseen().is_some_and(|band| band.steps() > 0));
    assert_eq!(slots.filter(|(_, slot)| says(slot)).count(), 1);
    assert!(running.context.metrics.foundation.skipped(Skip::TooShort) >= SERIES - 1);
    running.close();
    handle.join().unwrap();
}
