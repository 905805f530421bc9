//! Tests of the book: what it keeps, lets go, counts and says.

use super::*;
use crate::analysis::Severity;
use crate::anomaly::record::FeedbackVerdict;
use crate::anomaly::record::tests::{key, run};
use crate::anomaly::records::Filter;
use std::path::Path;
use tempfile::TempDir;

fn settings(folder: &Path) -> Settings {
    Settings { folder: folder.to_owned(), records_max: 100, retention_ms: 0, names_max: 10 }
}

/// A keeper without its thread, so that tests decide when it works.
fn keeper(settings: Settings, newest_ms: Option<i64>) -> (Keeper, Book) {
    let (log, loaded) = log::open(&settings.folder).unwrap();
    let (keeper, shown) = Keeper::new(settings, Box::new(move || newest_ms), Box::new(|_| ()), log, loaded);
    (keeper, Book { shown, wishes: bounded(1).0 })
}

/// What becomes of wishes that come at once.
fn all(keeper: &mut Keeper, wishes: Vec<Wish>) -> Vec<Result<Arc<AnomalyRecord>, BookError>> {
    let (told, answers) = bounded(wishes.len());
    let answer = |told: Sender<_>| -> Answer { Box::new(move |result| told.send(result).unwrap()) };
    keeper.fulfil(wishes.into_iter().map(|wish| (wish, answer(told.clone()))));
    answers.try_iter().collect()
}

fn one(keeper: &mut Keeper, wish: Wish) -> Result<Arc<AnomalyRecord>, BookError> {
    all(keeper, vec![wish]).remove(0)
}

fn open_run(start_ms: i64, score: f64) -> AnomalyRun {
    AnomalyRun { is_open: true, ..run("cpu", "a", start_ms, score) }
}

fn states(book: &Book) -> Vec<(i64, bool, &'static str)> {
    let records = book.records();
    let state = |r: &Arc<AnomalyRecord>| (r.start_ms, r.is_open, r.peak.severity.as_str());
    records.select(&Filter::default(), |_| true).map(state).collect()
}

fn counted(book: &Book) -> Vec<(String, String, Severity, u64)> {
    let detected = book.detected();
    detected.iter().map(|(n, c)| (n.to_owned(), c.detector.to_string(), c.severity, c.count)).collect()
}

#[test]
fn a_run_told_again_is_one_record_and_a_restart_keeps_it() {
    let folder = TempDir::new().unwrap();
    let (mut keeper_1, book) = keeper(settings(folder.path()), None);
    keeper_1.take(open_run(5, 0.65));
    keeper_1.take(open_run(5, 0.85));
    keeper_1.take(run("cpu", "a", 5, 0.85));
    keeper_1.take(run("mem", "a", 7, 0.95));
    let (before, counts) = (states(&book), counted(&book));
    assert_eq!(before, [(7, false, "critical"), (5, false, "high")]);
    assert_eq!(counts.len(), 6, "{counts:?}");
    drop(keeper_1);
    let (mut again, book) = keeper(settings(folder.path()), None);
    assert_eq!((states(&book), counted(&book)), (before.clone(), counts.clone()));
    again.take(run("cpu", "a", 5, 0.85));
    assert_eq!(counted(&book), counts, "caught up after a crash, and counted once");
    again.log.rewrite(again_frames(&again)).unwrap();
    let (_, book) = keeper(settings(folder.path()), None);
    assert_eq!((states(&book), counted(&book)), (before, counts));
}

fn again_frames(keeper: &Keeper) -> impl Iterator<Item = Vec<u8>> + use<> {
    let frames: Vec<_> = keeper.shown.records.read().all().map(|record| log::base(record)).collect();
    [log::counts(&keeper.shown.detected.read())].into_iter().chain(frames)
}

#[test]
fn a_run_open_at_a_crash_is_told_again_or_closed() {
    let folder = TempDir::new().unwrap();
    keeper(settings(folder.path()), None).0.take(open_run(1, 0.7));
    keeper(settings(folder.path()), None).0.take(open_run(2, 0.7));
    let (mut keeper, book) = keeper(settings(folder.path()), None);
    keeper.take(open_run(2, 0.7));
    keeper.tidy();
    assert!(states(&book).iter().all(|state| state.1), "within the grace both go on");
    keeper.started = keeper.started.checked_sub(GRACE).unwrap();
    keeper.tidy();
    assert_eq!(states(&book), [(2, true, "medium"), (1, false, "medium")]);
}

#[test]
fn records_leave_by_age_and_by_number_but_counts_stay() {
    let folder = TempDir::new().unwrap();
    let settings = Settings { records_max: 3, retention_ms: 100, ..settings(folder.path()) };
    let (mut keeper, book) = keeper(settings, Some(250));
    [100, 160, 170, 180].into_iter().for_each(|at| keeper.take(run("cpu", "a", at, 0.7)));
    assert_eq!((states(&book).len(), book.figures().evicted), (3, 1));
    keeper.take(run("cpu", "b", 149, 0.7));
    keeper.tidy();
    assert_eq!(book.figures().evicted, 2);
    assert_eq!(counted(&book).last().unwrap().3, 5);
    keeper.newest = Box::new(|| Some(275));
    keeper.tidy();
    assert_eq!((states(&book).len(), book.figures().expired), (1, 2));
}

#[test]
fn feedback_stays_when_the_run_is_told_again_and_can_be_taken_back() {
    let folder = TempDir::new().unwrap();
    let (mut keeper, book) = keeper(settings(folder.path()), None);
    keeper.take(open_run(5, 0.65));
    let id = AnomalyId::of(&key("cpu", "a"), 5, Source::Infrawatch);
    let verdict = FeedbackVerdict::FalseAlarm;
    let feedback = Feedback { verdict, note: Some("known".into()), by: None, at_ms: 9 };
    one(&mut keeper, Wish::Feedback(id, Some(feedback.clone()))).unwrap();
    keeper.take(run("cpu", "a", 5, 0.75));
    assert_eq!(book.records().get(id).unwrap().feedback, Some(feedback));
    one(&mut keeper, Wish::Feedback(id, None)).unwrap();
    assert_eq!(book.records().get(id).unwrap().feedback, None);
    let unknown = AnomalyId::of(b"none", 5, Source::Infrawatch);
    assert_eq!(one(&mut keeper, Wish::Feedback(unknown, None)).unwrap_err(), BookError::Unknown);
}

#[test]
fn wishes_at_once_see_each_other_and_are_answered_one_by_one() {
    let folder = TempDir::new().unwrap();
    let (mut keeper_1, book) = keeper(settings(folder.path()), None);
    let record = |host: &str| AnomalyRecord::of_run(run("cpu", host, 5, 0.7));
    let verdict = FeedbackVerdict::FalseAlarm;
    let feedback = Feedback { verdict, note: None, by: None, at_ms: 9 };
    let wishes = vec![
        Wish::Post(record("a").into()),
        Wish::Feedback(record("none").id, None),
        Wish::Post(record("b").into()),
        Wish::Feedback(record("a").id, Some(feedback.clone())),
        Wish::Post(record("a").into()),
    ];
    let answers = all(&mut keeper_1, wishes);
    assert_eq!(answers.iter().filter(|answer| **answer == Err(BookError::Unknown)).count(), 1);
    assert_eq!(answers.iter().flatten().count(), 4);
    assert_eq!(book.records().get(record("a").id).unwrap().feedback, Some(feedback), "posted again, it is kept");
    drop(keeper_1);
    assert_eq!(keeper(settings(folder.path()), None).1.records().len(), 2);
}

#[test]
fn readers_keep_what_they_took_while_the_book_goes_on() {
    let folder = TempDir::new().unwrap();
    let (mut keeper, book) = keeper(settings(folder.path()), None);
    keeper.take(run("cpu", "a", 1, 0.7));
    let held = book.records();
    keeper.take(run("cpu", "a", 2, 0.7));
    assert_eq!((held.len(), book.records().len()), (1, 2));
}

#[test]
fn the_thread_takes_runs_and_wishes_and_ends_when_nobody_is_left() {
    let folder = TempDir::new().unwrap();
    let (book, runs, handle) = open(settings(folder.path()), Box::new(|| None), Box::new(|_| ())).unwrap();
    runs.send(run("cpu", "a", 5, 0.7)).unwrap();
    let (answer, answered) = bounded(1);
    let outside = AnomalyRecord { source: Source::External, ..AnomalyRecord::of_run(run("mem", "b", 6, 0.9)) };
    let posted = book.post(outside.clone(), Box::new(move |result| answer.send(result).unwrap()));
    assert_eq!((posted, answered.recv().unwrap().unwrap().id), (Ok(()), outside.id));
    let shown = book.shown.clone();
    drop((book, runs));
    handle.join().unwrap();
    assert_eq!(shown.records.read().len(), 2);
    assert_eq!(keeper(settings(folder.path()), None).1.records().len(), 2);
}

#[test]
fn a_log_that_cannot_be_written_refuses_wishes_keeps_runs_and_heals() {
    let folder = TempDir::new().unwrap();
    let (mut keeper, book) = keeper(settings(folder.path()), None);
    keeper.log.break_for_test();
    keeper.take(run("cpu", "a", 5, 0.7));
    assert!(book.figures().failing.is_some_and(|what| what.contains("records.log")));
    let posted = one(&mut keeper, Wish::Post(Box::new(AnomalyRecord::of_run(run("mem", "b", 6, 0.9)))));
    assert!(matches!(posted, Err(BookError::NotStored(_))));
    assert_eq!(states(&book).len(), 1);
    keeper.tidy();
    assert_eq!(book.figures().failing, None);
    drop(keeper);
    assert_eq!(self::keeper(settings(folder.path()), None).1.records().len(), 1);
}

/// CAL-014.
#[test]
fn what_people_called_a_false_alarm_three_times_is_not_told_again() {
    let folder = TempDir::new().unwrap();
    let (mut keeper, book) = keeper(settings(folder.path()), None);
    let mark = |keeper: &mut Keeper, at_ms: i64, verdict: FeedbackVerdict| {
        let id = AnomalyId::of(&key("cpu", "a"), at_ms, Source::Infrawatch);
        let feedback = Feedback { verdict, note: None, by: None, at_ms };
        one(keeper, Wish::Feedback(id, Some(feedback))).unwrap();
    };
    for at_ms in 1..=3 {
        keeper.take(run("cpu", "a", at_ms, 0.8));
        mark(&mut keeper, at_ms, FeedbackVerdict::FalseAlarm);
    }
    keeper.take(run("cpu", "a", 4, 0.8));
    assert_eq!((book.records().len(), book.figures().tolerated), (3, 1));
    assert!(book.records().tolerance(&key("cpu", "a")).above.is_some_and(|above| above > 0.2));
    let mut greater = run("cpu", "a", 5, 0.8);
    greater.peak.value = 9.0;
    keeper.take(greater);
    keeper.take(run("cpu", "b", 4, 0.8));
    assert_eq!(book.records().len(), 5, "what is greater, and other series, are told");
    drop(keeper);
    let (mut keeper, book) = self::keeper(settings(folder.path()), None);
    keeper.take(run("cpu", "a", 6, 0.8));
    assert_eq!((book.records().len(), book.figures().tolerated), (5, 1), "a restart forgets nothing");
    mark(&mut keeper, 1, FeedbackVerdict::TrueAlarm);
    keeper.take(run("cpu", "a", 7, 0.8));
    assert_eq!(book.records().len(), 6, "a true alarm takes it back");
}
