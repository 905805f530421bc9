//! Reports by a clock of the tests: when they are made, what becomes of them over restarts, and who is told.

use super::*;
use crate::alert::{ReportText, Untold};
use crate::forecasts::{ForecastDesk, RuleBoard};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use storage::series::{KeyBuilder, hash};
use storage::{Opened, Row, Settings, Store};
use tempfile::TempDir;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Thursday, 2026-01-01 00:00 UTC.
const THURSDAY_MS: i64 = 1_767_225_600_000;
/// The Monday after it at seven.
const MONDAY_MS: i64 = THURSDAY_MS + 4 * DAY_MS + 7 * HOUR_MS;

/// A store in which a disk fills by 12 % a day, another one stays as it is, and a third has one sample only.
struct Stored {
    opened: Opened,
    folder: TempDir,
}

impl Stored {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut opened = storage::open(Settings::new(folder.path())).unwrap();
        for (host, count, value) in [("fast", 72, 0.5), ("slow", 72, 0.0), ("new", 1, 0.0)] {
            let mut key = KeyBuilder::default();
            key.push("__name__", "disk_used_percent");
            key.push("host", host);
            let key = key.finish().unwrap().to_vec();
            for hour in 0..count {
                let at_ms = THURSDAY_MS - (72 - hour) * HOUR_MS;
                let value = 40.0 + value * hour as f64 + (hour * 7 % 5) as f64 / 10.0;
                let row = Row { hash: hash(&key), key: &key, times: &[at_ms], values: &[value] };
                let stored = opened.shards.iter_mut().find(|shard| shard.owns(hash(&key))).unwrap();
                assert_eq!(stored.append(THURSDAY_MS, std::iter::once(row)).unwrap().stored, 1);
            }
        }
        Self { opened, folder }
    }

    fn store(&self) -> Store {
        self.opened.store.clone()
    }

    /// A reporter as after a start, and what readers see.
    fn reporter(&self) -> (Reporter, Arc<ReportBoard>) {
        let desk = Arc::new(ForecastDesk::new(self.store(), 1 << 20));
        let board = Arc::new(ReportBoard::new(self.folder.path().join("reports/capacity")));
        let reporter = Reporter::open(self.store(), desk, Arc::<RuleBoard>::default(), board.clone());
        (reporter.unwrap(), board)
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("reports/capacity")).map_or(0, Iterator::count)
    }
}

fn plan(schedule: &str) -> Plan {
    let receivers = vec!["ops".to_owned(), "boss".to_owned()];
    let (schedule, timezone) = (schedule.to_owned(), "UTC".to_owned());
    Plan { schedule, timezone, receivers, top: 10, series_max: 100, keep: 3, cpu_share: 1.0 }
}

fn weekly() -> Plan {
    plan("0 7 * * 1")
}

/// Receivers that answer as they are told to.
#[derive(Default)]
struct Receivers {
    told: Vec<(String, String)>,
    /// Those that cannot be reached, and whether that may pass.
    out: Vec<(&'static str, bool)>,
}

impl Receivers {
    /// Has the reporter work at a time until it has nothing more to do.
    fn work(&mut self, reporter: &mut Reporter, plan: &Plan, now_ms: i64) {
        let mut idle = 0;
        let mut tell = |receiver: &str, report: &ReportText| {
            let body: Value = serde_json::from_str(&report.body).unwrap();
            assert_eq!((body["id"].as_str(), body["title"].as_str()), (Some(&*report.id), Some(&*report.title)));
            if let Some((_, may_pass)) = self.out.iter().find(|(name, _)| *name == receiver) {
                return Err(Untold { what: "out".to_owned(), may_pass: *may_pass });
            }
            self.told.push((receiver.to_owned(), report.id.clone()));
            Ok(())
        };
        while idle < 4 {
            let rest = reporter.turn(plan, now_ms, &mut tell);
            idle = if rest == Duration::from_secs(1) { idle + 1 } else { 0 };
        }
    }
}

fn ids(board: &ReportBoard) -> Vec<String> {
    board.kept().iter().map(|one| one.id.clone()).collect()
}

#[test]
fn a_report_is_made_at_its_moment_of_the_week_and_says_what_is_full_first() {
    let stored = Stored::new();
    let (mut reporter, board) = stored.reporter();
    let mut receivers = Receivers::default();
    for at_ms in [THURSDAY_MS, MONDAY_MS - 1] {
        receivers.work(&mut reporter, &weekly(), at_ms);
        assert_eq!((ids(&board).len(), stored.files()), (0, 0));
    }
    assert_eq!(board.figures().next_ms, Some(MONDAY_MS));
    for at_ms in [MONDAY_MS, MONDAY_MS + 1, MONDAY_MS + 6 * DAY_MS] {
        receivers.work(&mut reporter, &weekly(), at_ms);
        assert_eq!((ids(&board), stored.files()), (vec!["20260105T070000Z".to_owned()], 1));
    }
    let told = [("ops", "20260105T070000Z"), ("boss", "20260105T070000Z")];
    assert_eq!(receivers.told, told.map(|(name, id)| (name.to_owned(), id.to_owned())));
    let document: Value = serde_json::from_str(&board.document("latest").unwrap().unwrap()).unwrap();
    assert_eq!((&document["kind"], &document["due"]), (&"capacity_report".into(), &"2026-01-05T07:00:00.000Z".into()));
    let counts = ["total", "too_short", "beyond_limit"].map(|name| document[name].as_u64());
    assert_eq!(counts, [Some(2), Some(1), Some(0)]);
    let first = &document["items"][0];
    assert_eq!((&first["labels"]["host"], &first["limit"]), (&"fast".into(), &95.0.into()));
    // From 76 % at 12 % a day: within two days.
    assert!((1.0..2.0).contains(&first["days_to_exhaustion"].as_f64().unwrap()), "{first}");
    let title = document["title"].as_str().unwrap();
    assert!(title.contains("of 2 series with a limit may reach it; first disk_used_percent{host=\"fast\"}"), "{title}");
    receivers.work(&mut reporter, &weekly(), MONDAY_MS + 7 * DAY_MS);
    assert_eq!(ids(&board), ["20260112T070000Z", "20260105T070000Z"]);
    let figures = board.figures();
    assert_eq!((figures.made, figures.told, figures.untold, figures.failed), (2, 4, 0, 0));
    assert_eq!((figures.due_ms, figures.next_ms), (Some(MONDAY_MS + 7 * DAY_MS), Some(MONDAY_MS + 14 * DAY_MS)));
    assert_eq!(board.document("../capacity_state").unwrap(), None);
}

#[test]
fn what_was_due_while_nobody_was_there_is_made_once() {
    let stored = Stored::new();
    let mut receivers = Receivers::default();
    let starts = [THURSDAY_MS, MONDAY_MS + 15 * DAY_MS, MONDAY_MS + 15 * DAY_MS + 5, MONDAY_MS + 20 * DAY_MS];
    for (start, reports) in starts.into_iter().zip([0, 1, 1, 1]) {
        let (mut reporter, board) = stored.reporter();
        receivers.work(&mut reporter, &weekly(), start);
        assert_eq!((ids(&board).len(), stored.files()), (reports, reports), "{start}");
        assert!(ids(&board).iter().all(|id| id == "20260119T070000Z"));
    }
    assert_eq!(receivers.told.len(), 2);
    // A damaged one is not made again either, and nobody is shown it.
    let file = stored.folder.path().join("reports/capacity/20260119T070000Z.json");
    std::fs::write(file, "{\"kind\":").unwrap();
    let (mut reporter, board) = stored.reporter();
    receivers.work(&mut reporter, &weekly(), MONDAY_MS + 20 * DAY_MS);
    assert_eq!((ids(&board).len(), board.figures().made, receivers.told.len()), (0, 0, 2));
    receivers.work(&mut reporter, &weekly(), MONDAY_MS + 21 * DAY_MS);
    assert_eq!(ids(&board), ["20260126T070000Z"]);
}

#[test]
fn a_schedule_holds_from_when_it_was_set_in_its_own_zone() {
    let stored = Stored::new();
    let (mut reporter, board) = stored.reporter();
    let mut receivers = Receivers::default();
    let off = plan("");
    receivers.work(&mut reporter, &off, THURSDAY_MS);
    receivers.work(&mut reporter, &off, MONDAY_MS + 30 * DAY_MS);
    assert_eq!((ids(&board).len(), board.figures().next_ms), (0, None));
    // A rule of another notation, in summer, two hours east of Greenwich.
    let july_ms = THURSDAY_MS + 181 * DAY_MS;
    let berlin = Plan { timezone: "Europe/Berlin".to_owned(), ..plan("FREQ=WEEKLY;BYDAY=MO;BYHOUR=7;BYMINUTE=0") };
    receivers.work(&mut reporter, &berlin, july_ms);
    assert_eq!(ids(&board).len(), 0);
    receivers.work(&mut reporter, &berlin, july_ms + 7 * DAY_MS);
    assert_eq!(ids(&board), ["20260706T050000Z"]);
    // What makes no sense, as no server would start with, makes nothing.
    receivers.work(&mut reporter, &plan("whenever"), july_ms + 30 * DAY_MS);
    assert_eq!((ids(&board).len(), board.figures().next_ms), (1, None));
}

#[test]
fn who_cannot_be_told_is_told_later_and_one_who_refuses_is_not() {
    let stored = Stored::new();
    let (mut reporter, board) = stored.reporter();
    let mut receivers = Receivers { out: vec![("ops", true), ("boss", false)], ..Receivers::default() };
    receivers.work(&mut reporter, &weekly(), THURSDAY_MS);
    receivers.work(&mut reporter, &weekly(), MONDAY_MS);
    assert_eq!((receivers.told.len(), board.figures().untold, board.figures().waiting), (0, 1, 1));
    receivers.work(&mut reporter, &weekly(), MONDAY_MS + 60_000);
    drop(reporter);
    // It is known after a restart who has not been told yet.
    let (mut reporter, board) = stored.reporter();
    receivers.out.clear();
    receivers.work(&mut reporter, &weekly(), MONDAY_MS + HOUR_MS);
    assert_eq!(receivers.told, [("ops".to_owned(), "20260105T070000Z".to_owned())]);
    assert_eq!((board.figures().made, board.figures().waiting), (0, 0));
    // For a day it is tried, no longer.
    receivers.out = vec![("ops", true), ("boss", true)];
    for hour in 0..50 {
        receivers.work(&mut reporter, &weekly(), MONDAY_MS + 7 * DAY_MS + hour * HOUR_MS);
    }
    assert_eq!((board.figures().untold, board.figures().waiting, receivers.told.len()), (2, 0, 1));
}

#[test]
fn as_many_reports_are_kept_as_there_shall_be_and_one_that_cannot_be_written_is_tried_again() {
    let stored = Stored::new();
    let (mut reporter, board) = stored.reporter();
    let mut receivers = Receivers::default();
    receivers.work(&mut reporter, &weekly(), THURSDAY_MS);
    for week in 0..4 {
        receivers.work(&mut reporter, &Plan { top: 1, ..weekly() }, MONDAY_MS + week * 7 * DAY_MS);
    }
    assert_eq!((ids(&board).len(), stored.files(), board.document("20260105T070000Z").unwrap()), (3, 3, None));
    let document: Value = serde_json::from_str(&board.document("20260112T070000Z").unwrap().unwrap()).unwrap();
    assert_eq!((document["items"].as_array().unwrap().len(), document["total"].as_u64()), (1, Some(2)));
    let folder = stored.folder.path().join("reports");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "in the way").unwrap();
    let due_ms = MONDAY_MS + 28 * DAY_MS;
    receivers.work(&mut reporter, &Plan { series_max: 1, ..weekly() }, due_ms);
    assert_eq!((board.figures().made, board.figures().failed), (4, 1));
    std::fs::remove_file(&folder).unwrap();
    receivers.work(&mut reporter, &weekly(), due_ms + 10_000);
    assert_eq!((board.figures().made, stored.files()), (5, 1));
    let Summary { total, too_short, beyond_limit, .. } = board.kept()[0].clone();
    assert_eq!((total + too_short, beyond_limit), (1, 2));
}
