//! What is told beside verdicts, over a real store: series that stop, come late, stand still.

use super::tests::{Points, Running, START_MS, STEP_MS, key, points};
use crate::anomaly::run::AnomalyRun;
use tempfile::{TempDir, tempdir};

/// A day and an hour.
const HISTORY: i64 = 1500;
/// Longer than a suspicion takes to be told.
const PATIENCE_S: i64 = 100;

/// Of one series, at some steps.
fn of(series: usize, steps: std::ops::Range<i64>) -> Points {
    points(steps).into_iter().filter(|(of, ..)| *of == series).collect()
}

/// Of all others.
fn others(series: usize, steps: std::ops::Range<i64>) -> Points {
    points(steps).into_iter().filter(|(of, ..)| *of != series).collect()
}

/// A server's shard with a day of samples, nothing of which is told any more.
fn fed() -> (TempDir, Running) {
    let dir = tempdir().unwrap();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.append(&points(0..HISTORY));
    running.settle();
    running.wait(PATIENCE_S);
    drop(told(&running));
    (dir, running)
}

fn told(running: &Running) -> Vec<AnomalyRun> {
    let is_beside = |run: &AnomalyRun| matches!(run.peak.kind.as_str(), "silence" | "flat" | "drift");
    running.runs.try_iter().filter(is_beside).collect()
}

#[test]
fn a_series_that_stops_while_others_go_on_is_told_once_and_again_when_it_is_back() {
    let (_dir, mut running) = fed();
    running.append(&others(8, HISTORY..HISTORY + 30));
    running.settle();
    assert!(told(&running).is_empty(), "a suspicion must hold for a while by the clock");
    running.wait(PATIENCE_S);
    let said = told(&running);
    let [run] = &said[..] else { panic!("{said:#?}") };
    assert_eq!((&*run.key, run.is_open, run.peak.kind.as_str()), (&*key(8), true, "silence"));
    assert_eq!((run.start_ms, run.peak.score), (START_MS + HISTORY * STEP_MS, 1.0));
    running.append(&others(8, HISTORY + 30..HISTORY + 40));
    running.wait(PATIENCE_S);
    assert!(told(&running).is_empty(), "it is told once");
    running.append(&points(HISTORY + 40..HISTORY + 41));
    running.settle();
    let back = told(&running);
    assert_eq!((back.len(), back[0].start_ms, back[0].is_open), (1, run.start_ms, false));
    assert!(back[0].peak.summary.ends_with("is back"), "{}", back[0].peak.summary);
    running.close();
}

#[test]
fn what_comes_late_but_goes_on_where_it_stopped_is_told_to_be_late() {
    let (_dir, mut running) = fed();
    running.append(&others(8, HISTORY..HISTORY + 30));
    running.wait(PATIENCE_S);
    assert_eq!(told(&running).len(), 1);
    running.append(&of(8, HISTORY..HISTORY + 30));
    running.settle();
    let late = told(&running);
    assert!(late.len() == 1 && !late[0].is_open && late[0].peak.summary.contains("was late"), "{late:#?}");
    running.close();
}

#[test]
fn a_short_pause_a_young_series_and_a_silence_of_all_are_none() {
    let (_dir, mut running) = fed();
    running.append(&others(8, HISTORY..HISTORY + 5));
    running.wait(PATIENCE_S);
    running.append(&of(8, HISTORY..HISTORY + 5));
    running.wait(PATIENCE_S);
    assert!(told(&running).is_empty(), "five steps are no silence, and nobody goes on");
    running.close();
    let dir = tempdir().unwrap();
    let mut young = Running::open(dir.path(), 1_000_000);
    young.settle();
    young.append(&points(0..300));
    young.append(&others(8, 300..400));
    young.wait(PATIENCE_S);
    assert!(told(&young).is_empty(), "what was seen for hours comes and goes");
    young.close();
}

#[test]
fn a_value_that_stands_still_is_told_and_that_it_moves_again() {
    let (_dir, mut running) = fed();
    let still: Points = of(8, HISTORY..HISTORY + 60).into_iter().map(|(series, at, _)| (series, at, 30.5)).collect();
    running.append(&still);
    running.settle();
    let said = told(&running);
    let [run] = &said[..] else { panic!("{said:#?}") };
    assert_eq!((run.is_open, run.peak.kind.as_str(), run.peak.value), (true, "flat", 30.5));
    running.append(&of(8, HISTORY + 60..HISTORY + 61));
    running.settle();
    let moved = told(&running);
    assert_eq!((moved.len(), moved[0].start_ms, moved[0].is_open), (1, run.start_ms, false));
    running.close();
}

#[test]
fn all_series_that_stop_at_once_are_one_notice_that_a_restart_tells_again() {
    let (dir, mut running) = fed();
    running.wait(700);
    let said = told(&running);
    let [run] = &said[..] else { panic!("{said:#?}") };
    assert_eq!((run.start_ms, run.is_open), (START_MS + (HISTORY - 1) * STEP_MS, true));
    assert!(run.peak.summary.starts_with("none of 40 series has sent anything"), "{}", run.peak.summary);
    running.wait(700);
    assert!(told(&running).is_empty(), "it is told once");
    running.close();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    running.wait(700);
    let again = told(&running);
    assert!(again.len() == 1 && again[0].key == run.key && again[0].start_ms == run.start_ms, "{again:#?}");
    running.append(&points(HISTORY..HISTORY + 1));
    running.settle();
    running.wait(20);
    let over = told(&running);
    assert!(over.len() == 1 && !over[0].is_open && over[0].start_ms == run.start_ms, "{over:#?}");
    running.close();
}

#[test]
fn a_flat_line_that_goes_on_is_told_again_after_a_restart_and_ends_once() {
    let (dir, mut running) = fed();
    let still: Points = of(8, HISTORY..HISTORY + 60).into_iter().map(|(series, at, _)| (series, at, 30.5)).collect();
    running.append(&still);
    running.settle();
    let before = told(&running);
    assert_eq!(before.len(), 1, "{before:#?}");
    running.close();
    let mut running = Running::open(dir.path(), 1_000_000);
    running.settle();
    let again = told(&running);
    let told_of = |run: &AnomalyRun| (run.key.clone(), run.start_ms, run.is_open, run.peak.summary.clone());
    let (again, first): (Vec<_>, _) = (again.iter().map(told_of).collect(), told_of(&before[0]));
    assert_eq!(again, [first], "the same run, so that the book does not close it");
    running.append(&of(8, HISTORY + 60..HISTORY + 61));
    running.settle();
    let moved = told(&running);
    assert_eq!((moved.len(), moved[0].start_ms, moved[0].is_open), (1, before[0].start_ms, false));
    running.close();
}
