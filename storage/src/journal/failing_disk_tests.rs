//! What the journal promises when the disk does not do as it is told.
//!
//! Not here: what it promises on a disk that works (see `storage/tests/journal.rs`).

use super::folder::Folder;
use super::folder::faults::Faults;
use super::*;
use crate::StoreError;
use crate::series::SeriesRef;
use crossbeam_channel::{Receiver, bounded};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

const ALWAYS: u32 = u32::MAX;

struct Rig {
    dir: TempDir,
    faults: Faults,
    journal: Journal,
    thread: JournalThread,
}

impl Rig {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path(), None).unwrap();
        let faults = folder.faults(0);
        let (journal, thread, _) = Journal::open_folder(folder, settings(dir.path()), &mut |_, _, _| ()).unwrap();
        Self { dir, faults, journal, thread }
    }

    /// Submits a record and waits for its fate.
    fn commit(&self, seq: u64) -> Result<(), CommitError> {
        self.submit(record(seq), seq).recv().unwrap()
    }

    /// Submits nothing and waits to hear whether everything before is durable.
    fn ask(&self) -> Result<(), CommitError> {
        self.submit(Vec::new(), 0).recv().unwrap()
    }

    fn submit(&self, records: Vec<u8>, seq: u64) -> Receiver<Result<(), CommitError>> {
        let (sender, receiver) = bounded(1);
        self.journal.submit(records, seq, Box::new(move |result| sender.send(result).unwrap()));
        receiver
    }

    fn wait_until_it_works(&self) {
        while self.journal.state() != JournalState::Working {
            std::thread::yield_now();
        }
    }

    /// Ends the committer and returns the sequences a restart finds, in order.
    fn restart(self) -> (Vec<u64>, ReplayReport) {
        self.journal.close();
        let _ = self.thread.join();
        replayed(self.dir.path())
    }
}

fn settings(dir: &Path) -> JournalSettings {
    JournalSettings::new(dir.to_path_buf(), [1; 16])
}

fn record(seq: u64) -> Vec<u8> {
    let mut encoder = SamplesEncoder::default();
    let mut out = Vec::new();
    encoder.push(SeriesRef(seq as u32), 1, 0.1);
    encoder.finish(seq, &mut out);
    out
}

fn replayed(dir: &Path) -> (Vec<u64>, ReplayReport) {
    let mut seqs = Vec::new();
    let (journal, thread, report) = Journal::open(settings(dir), &mut |seq, _, _| seqs.push(seq)).unwrap();
    drop(journal);
    thread.join().unwrap();
    (seqs, report)
}

fn is_failing<T>(result: &Result<T, CommitError>) -> bool {
    matches!(result, Err(CommitError::Failing { .. }))
}

#[test]
fn a_failed_write_or_sync_is_answered_at_once_and_loses_nothing() {
    for action in ["write", "sync"] {
        for truncate_fails in [0, 1] {
            let rig = Rig::new();
            rig.commit(1).unwrap();
            rig.faults.fail("truncate", truncate_fails);
            rig.faults.fail(action, 1);
            assert!(is_failing(&rig.commit(2)), "{action}");
            rig.wait_until_it_works();
            rig.commit(3).unwrap();
            let (seqs, report) = rig.restart();
            assert_eq!(seqs, [1, 2, 3], "{action}, truncate fails {truncate_fails} times");
            assert_eq!(report.damage, [], "{action}, truncate fails {truncate_fails} times");
        }
    }
}

#[test]
fn the_state_says_failing_before_anyone_is_told() {
    let rig = Rig::new();
    rig.faults.fail("sync", ALWAYS);
    let (sender, receiver) = bounded(1);
    let journal = rig.journal.clone();
    rig.journal.submit(record(1), 1, Box::new(move |_| sender.send(journal.state()).unwrap()));
    let JournalState::Failing { what } = receiver.recv().unwrap() else { panic!("the journal claims to work") };
    assert!(what.contains("cannot sync") && what.contains("journal-0000000001.iwj"), "{what}");
}

#[test]
fn what_is_submitted_while_failing_stands_behind_what_is_pending() {
    let rig = Rig::new();
    rig.faults.fail("create", 2);
    rig.faults.fail("sync", 1);
    for seq in 1..=20 {
        assert!(is_failing(&rig.commit(seq)), "record {seq}");
    }
    rig.wait_until_it_works();
    rig.journal.rotate();
    rig.ask().unwrap();
    rig.journal.cut(19).unwrap();
    assert_eq!(rig.restart().0, (1..=20).collect::<Vec<_>>());
}

#[test]
fn nothing_is_acknowledged_while_bytes_are_pending() {
    let rig = Rig::new();
    rig.ask().unwrap();
    rig.faults.fail("create", ALWAYS);
    rig.faults.fail("write", 1);
    assert!(is_failing(&rig.commit(1)));
    assert!(is_failing(&rig.ask()));
    rig.faults.fail("create", 0);
    rig.wait_until_it_works();
    rig.ask().unwrap();
    assert_eq!(rig.restart().0, [1]);
}

#[test]
fn a_segment_that_cannot_be_finished_leaves_no_trace() {
    let rig = Rig::new();
    rig.commit(1).unwrap();
    rig.faults.fail("sync", 3);
    assert!(is_failing(&rig.commit(2)));
    rig.wait_until_it_works();
    assert_eq!(segment::list(rig.dir.path()).unwrap(), [1, 2]);
    assert_eq!(rig.journal.bytes(), 2 * (segment::HEADER_BYTES + record(1).len()) as u64);
    assert_eq!(rig.restart().0, [1, 2]);
}

#[test]
fn a_failed_rotation_is_made_up_for() {
    let rig = Rig::new();
    rig.commit(1).unwrap();
    rig.faults.fail("create", 1);
    rig.journal.rotate();
    while rig.journal.state() == JournalState::Working {
        std::thread::yield_now();
    }
    rig.wait_until_it_works();
    rig.commit(2).unwrap();
    assert_eq!(segment::list(rig.dir.path()).unwrap(), [1, 2]);
    assert_eq!(rig.restart().0, [1, 2]);
}

#[test]
fn the_newest_segment_is_kept_even_when_it_failed() {
    let rig = Rig::new();
    rig.commit(1).unwrap();
    rig.faults.fail("create", ALWAYS);
    rig.faults.fail("sync", 1);
    assert!(is_failing(&rig.commit(2)));
    rig.journal.cut(100).unwrap();
    assert_eq!(segment::list(rig.dir.path()).unwrap(), [1]);
}

#[test]
fn a_segment_that_cannot_be_removed_is_cut_later() {
    let rig = Rig::new();
    rig.commit(1).unwrap();
    rig.journal.rotate();
    rig.commit(2).unwrap();
    rig.faults.fail("remove", 1);
    let error = rig.journal.cut(1).unwrap_err();
    assert!(matches!(&error, StoreError::Io { action: "remove", .. }), "{error}");
    rig.journal.cut(1).unwrap();
    assert_eq!(rig.restart().0, [2]);
}

#[test]
fn every_submission_is_answered_exactly_once_whatever_happens() {
    let rig = Rig::new();
    let answers: Vec<Arc<AtomicU32>> = (0..300).map(|_| Arc::default()).collect();
    for (i, count) in answers.iter().enumerate() {
        match i {
            100 => rig.faults.fail("sync", 2),
            200 => {
                let _ = rig.ask();
                rig.wait_until_it_works();
                rig.journal.close();
            }
            _ => (),
        }
        let count = Arc::clone(count);
        let seq = i as u64 + 1;
        rig.journal.submit(record(seq), seq, Box::new(move |_| _ = count.fetch_add(1, Ordering::Relaxed)));
    }
    let (seqs, _) = rig.restart();
    assert!(answers.iter().all(|count| count.load(Ordering::Relaxed) == 1));
    assert_eq!(seqs, (1..=200).collect::<Vec<_>>(), "what was submitted before closing, and no more");
}

#[test]
fn closing_on_a_disk_that_fails_says_so_and_keeps_what_was_acknowledged() {
    let rig = Rig::new();
    rig.commit(1).unwrap();
    rig.faults.fail("sync", ALWAYS);
    assert!(is_failing(&rig.commit(2)));
    rig.journal.close();
    let Rig { dir, thread, journal, .. } = rig;
    assert!(is_failing(&thread.join()));
    assert_eq!(segment::list(dir.path()).unwrap(), [1], "no trace of attempts that failed");
    assert_eq!(journal.state(), JournalState::Failing { what: "the journal is closed".to_owned() });
    assert_eq!(replayed(dir.path()).0, [1]);
}
