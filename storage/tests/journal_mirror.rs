//! Promise: a journal with a mirror has everything in either folder, goes on with one, and takes what either holds.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::{Path, PathBuf};
use storage::journal::{Journal, JournalSettings, JournalState, SeriesEncoder};
use storage::series::SeriesRef;

fn settings(dir: &Path) -> JournalSettings {
    JournalSettings::new(dir.to_path_buf(), *b"the store's id !")
}

fn series_record(seq: u64) -> Vec<u8> {
    let mut encoder = SeriesEncoder::default();
    encoder.push(SeriesRef(seq as u32), format!("key {seq}").as_bytes());
    let mut out = Vec::new();
    encoder.finish(seq, &mut out);
    out
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:010}.iwj"))
}

/// The sequences that one folder alone replays.
fn replay(dir: &Path) -> Vec<u64> {
    let mut seqs = Vec::new();
    let (journal, thread, _) = Journal::open(settings(dir), &mut |seq, _, _| seqs.push(seq)).unwrap();
    drop(journal);
    thread.join().unwrap();
    seqs
}

fn mirrored(dir: &Path, mirror: &Path) -> JournalSettings {
    JournalSettings { mirror_dir: Some(mirror.to_path_buf()), ..settings(dir) }
}

/// Writes records one by one into a journal with a mirror; `between` runs before each, with its number and the journal.
fn write_mirrored(dir: &Path, mirror: &Path, seqs: std::ops::RangeInclusive<u64>, between: impl Fn(u64, &Journal)) {
    let (journal, thread, _) = Journal::open(mirrored(dir, mirror), &mut |_, _, _| ()).unwrap();
    for seq in seqs {
        between(seq, &journal);
        let (sender, receiver) = crossbeam_channel::bounded(1);
        journal.submit(series_record(seq), seq, Box::new(move |result| sender.send(result).unwrap()));
        receiver.recv().unwrap().unwrap();
    }
    journal.close();
    thread.join().unwrap();
}

/// The sequences that a journal with a mirror replays, and the damage it reports.
fn replay_mirrored(dir: &Path, mirror: &Path) -> (Vec<u64>, u64) {
    let mut seqs = Vec::new();
    let (journal, thread, report) = Journal::open(mirrored(dir, mirror), &mut |seq, _, _| seqs.push(seq)).unwrap();
    journal.close();
    thread.join().unwrap();
    (seqs, report.damaged_places)
}

#[test]
fn either_folder_of_a_mirrored_journal_has_everything() {
    let home = tempfile::tempdir().unwrap();
    let (dir, mirror) = (home.path().join("own"), home.path().join("mirror"));
    write_mirrored(&dir, &mirror, 1..=20, |seq, journal| {
        if seq == 10 {
            journal.rotate()
        }
    });
    for lost in [&dir, &mirror] {
        let saved = home.path().join("saved");
        fs::rename(lost, &saved).unwrap();
        assert_eq!(replay_mirrored(&dir, &mirror), ((1..=20).collect(), 0), "without {}", lost.display());
        fs::remove_dir_all(&saved).unwrap();
    }
    assert_eq!(replay(&mirror).len(), 20, "what was lost was made up for");
}

#[test]
fn damage_in_one_folder_is_made_up_for_by_the_other() {
    let home = tempfile::tempdir().unwrap();
    let (dir, mirror) = (home.path().join("own"), home.path().join("mirror"));
    write_mirrored(&dir, &mirror, 1..=20, |_, _| ());
    let whole = fs::read(segment(&dir, 1)).unwrap();
    assert!(whole == fs::read(segment(&mirror, 1)).unwrap());
    for at in (0..whole.len() - 100).step_by(7) {
        // One folder is bent here, the other cut somewhere behind: together they still hold all.
        let mut bent = whole.clone();
        bent[at] ^= 0x40;
        let cut = whole.len() - (whole.len() - at) / 3;
        fs::write(segment(&dir, 1), &bent).unwrap();
        fs::write(segment(&mirror, 1), &whole[..cut.max(at + 1)]).unwrap();
        let (seqs, damaged) = replay_mirrored(&dir, &mirror);
        assert!(seqs == (1..=20).collect::<Vec<_>>() && damaged == 0, "byte {at}: {seqs:?}, {damaged} damaged");
    }
}

/// Root can write anywhere, so a folder that takes no files is one whose name is taken by a file.
#[test]
fn writing_goes_on_while_one_folder_fails_and_in_both_when_it_is_back() {
    let home = tempfile::tempdir().unwrap();
    let (dir, mirror) = (home.path().join("own"), home.path().join("mirror"));
    for (failing, working) in [(&mirror, &dir), (&dir, &mirror)] {
        let seen = std::cell::Cell::new(0);
        write_mirrored(&dir, &mirror, 1..=30, |seq, journal| match seq {
            10 => {
                fs::remove_dir_all(failing).unwrap();
                fs::write(failing, b"in the way").unwrap();
            }
            20 => {
                let sides = journal.sides();
                let down = sides.iter().find(|side| side.dir == **failing).unwrap();
                assert!(down.failing.is_some() && down.failures > 0, "{sides:?}");
                assert!(sides.iter().any(|side| side.failing.is_none()), "{sides:?}");
                assert_eq!(journal.state(), JournalState::Working);
                fs::remove_file(failing).unwrap();
                // The committer looks every two seconds.
                while journal.sides().iter().any(|side| side.failing.is_some()) {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                seen.set(seq);
            }
            _ => {}
        });
        assert_eq!(seen.get(), 20);
        assert!(replay(failing).into_iter().eq(20..=30), "what came since it is back");
        assert_eq!(replay_mirrored(&dir, &mirror), ((1..=30).collect(), 0));
        assert_eq!(replay(working).len(), 30);
        fs::remove_dir_all(&dir).unwrap();
        fs::remove_dir_all(&mirror).unwrap();
    }
}

#[test]
fn a_mirror_that_is_the_journal_itself_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let error = Journal::open(mirrored(home.path(), home.path()), &mut |_, _, _| ()).unwrap_err();
    assert!(error.to_string().contains("the journal's own folder"), "{error}");
}
