//! Promise: what the journal acknowledged is there after a restart, whatever happened to its files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use proptest::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use storage::StoreError;
use storage::journal::{
    CommitError, Journal, JournalSettings, JournalThread, Kind, ReplayReport, SamplesEncoder, SeriesEncoder,
    decode_samples, decode_series,
};
use storage::series::SeriesRef;
use tempfile::TempDir;

/// Sequence, kind and payload as replay hands them over.
type Record = (u64, Kind, Vec<u8>);

const RECORD_HEADER_BYTES: usize = 21;
const SEGMENT_HEADER_BYTES: usize = 56;

fn settings(dir: &Path) -> JournalSettings {
    JournalSettings::new(dir.to_path_buf(), *b"the store's id !")
}

fn open_with(settings: JournalSettings) -> (Journal, JournalThread, ReplayReport, Vec<Record>) {
    let mut records = Vec::new();
    let each = &mut |seq, kind, payload: &[u8]| records.push((seq, kind, payload.to_vec()));
    let (journal, thread, report) = Journal::open(settings, each).unwrap();
    (journal, thread, report, records)
}

fn open(dir: &Path) -> (Journal, JournalThread, ReplayReport, Vec<Record>) {
    open_with(settings(dir))
}

fn replay(dir: &Path) -> (ReplayReport, Vec<Record>) {
    let (journal, thread, report, records) = open(dir);
    drop(journal);
    thread.join().unwrap();
    (report, records)
}

/// A framed record of `samples` samples, whose contents follow from its sequence.
fn samples_record(seq: u64, samples: u32) -> Vec<u8> {
    let mut encoder = SamplesEncoder::default();
    for i in 0..samples {
        encoder.push(SeriesRef::new((i % 64) as u8, i), 1_700_000_000_000 + seq as i64, f64::from(i) * 0.37);
    }
    let mut out = Vec::new();
    encoder.finish(seq, &mut out);
    out
}

fn series_record(seq: u64) -> Vec<u8> {
    let mut encoder = SeriesEncoder::default();
    encoder.push(SeriesRef(seq as u32), format!("key {seq}").as_bytes());
    let mut out = Vec::new();
    encoder.finish(seq, &mut out);
    out
}

/// A few records of both kinds and of different lengths.
fn some_records() -> Vec<Vec<u8>> {
    (1..=6).map(|seq| if seq % 3 == 0 { series_record(seq) } else { samples_record(seq, seq as u32 * 2) }).collect()
}

/// What replay should hand over for a framed record.
fn as_replayed(framed: &[u8]) -> Record {
    let seq = u64::from_le_bytes(framed[9..17].try_into().unwrap());
    let kind = if framed[4] & 0x0f == 1 { Kind::Samples } else { Kind::NewSeries };
    (seq, kind, framed[RECORD_HEADER_BYTES..].to_vec())
}

fn commit(journal: &Journal, records: &[u8], last_seq: u64) -> Result<(), CommitError> {
    let (sender, receiver) = mpsc::channel();
    journal.submit(records.to_vec(), last_seq, Box::new(move |result| sender.send(result).unwrap()));
    receiver.recv().unwrap()
}

/// Commits each record on its own and ends the journal.
fn write_journal(dir: &Path, records: &[Vec<u8>]) {
    let (journal, thread, _, _) = open(dir);
    for record in records {
        commit(&journal, record, as_replayed(record).0).unwrap();
    }
    drop(journal);
    thread.join().unwrap();
}

fn segment(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("journal-{number:010}.iwj"))
}

fn segments(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// A fresh folder with one segment of these bytes.
fn folder_with(bytes: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(segment(dir.path(), 1), bytes).unwrap();
    dir
}

/// The bytes of a journal with `records` in one segment.
fn journal_bytes(records: &[Vec<u8>]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), records);
    let bytes = fs::read(segment(dir.path(), 1)).unwrap();
    assert_eq!(bytes[SEGMENT_HEADER_BYTES..], records.concat());
    bytes
}

/// Where each record of a one-segment journal begins and ends.
fn spans(records: &[Vec<u8>]) -> Vec<(usize, usize)> {
    let mut at = SEGMENT_HEADER_BYTES;
    let span = |record: &Vec<u8>| {
        at += record.len();
        (at - record.len(), at)
    };
    records.iter().map(span).collect()
}

#[test]
fn a_restart_finds_exactly_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let records = some_records();
    write_journal(dir.path(), &records);
    for restart in 1..=3 {
        let (report, found) = replay(dir.path());
        assert_eq!(found, records.iter().map(|record| as_replayed(record)).collect::<Vec<_>>());
        let bytes = records.concat().len() as u64;
        let expected = ReplayReport { segments: restart, records: 6, bytes, highest_seq: 6, ..ReplayReport::default() };
        assert_eq!(report, expected);
    }
}

#[test]
fn payloads_decode_to_what_was_pushed() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &[samples_record(1, 100), series_record(2)]);
    let (_, found) = replay(dir.path());
    let mut samples = Vec::new();
    decode_samples(&found[0].2, |series, time_ms, value| samples.push((series, time_ms, value))).unwrap();
    let pushed = |i: u32| (SeriesRef::new((i % 64) as u8, i), 1_700_000_000_001, f64::from(i) * 0.37);
    assert_eq!(samples, (0..100).map(pushed).collect::<Vec<_>>());
    let mut keys = Vec::new();
    decode_series(&found[1].2, |series, key| keys.push((series, key.to_vec()))).unwrap();
    assert_eq!(keys, [(SeriesRef(2), b"key 2".to_vec())]);
}

#[test]
fn a_journal_cut_short_anywhere_loses_only_the_records_it_no_longer_holds() {
    let records = some_records();
    let whole = journal_bytes(&records);
    for len in 0..whole.len() {
        let dir = folder_with(&whole[..len]);
        let kept = spans(&records).iter().filter(|(_, end)| *end <= len).count();
        let expected: Vec<Record> = records[..kept].iter().map(|record| as_replayed(record)).collect();
        let (report, found) = replay(dir.path());
        assert_eq!(found, expected, "cut to {len} bytes");
        let whole_until = match kept {
            0 if len < SEGMENT_HEADER_BYTES => 0,
            0 => SEGMENT_HEADER_BYTES,
            _ => spans(&records)[kept - 1].1,
        };
        assert_eq!(
            (report.torn_bytes, &report.damage[..]),
            ((len - whole_until) as u64, &[][..]),
            "cut to {len} bytes"
        );
        assert_eq!(fs::metadata(segment(dir.path(), 1)).unwrap().len(), whole_until as u64, "cut to {len} bytes");
        let (report, found) = replay(dir.path());
        assert_eq!(found, expected, "second start after a cut to {len} bytes");
        assert_eq!((report.torn_bytes, report.damaged_places), (0, 0), "second start after a cut to {len} bytes");
    }
}

#[test]
fn a_flipped_bit_costs_only_the_record_it_hits() {
    let records = some_records();
    let whole = journal_bytes(&records);
    for at in 0..whole.len() {
        let mut bent = whole.clone();
        bent[at] ^= 1 << (at % 8);
        let dir = folder_with(&bent);
        let hit = spans(&records).iter().position(|(start, end)| (*start..*end).contains(&at));
        let survivors = records.iter().enumerate().filter(|(i, _)| Some(*i) != hit);
        let expected: Vec<Record> = survivors.map(|(_, record)| as_replayed(record)).collect();
        let (report, found) = replay(dir.path());
        assert_eq!(found, expected, "byte {at}");
        let (start, end) = hit.map_or((0, SEGMENT_HEADER_BYTES), |hit| spans(&records)[hit]);
        if hit == Some(records.len() - 1) {
            assert_eq!(report.torn_bytes, (end - start) as u64, "byte {at}");
        } else {
            let [damage] = &report.damage[..] else { panic!("byte {at}: {report:?}") };
            assert_eq!((damage.offset, damage.bytes), (start as u64, (end - start) as u64), "byte {at}");
            assert_eq!(damage.path, segment(dir.path(), 1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn rubbish_written_over_any_place_is_survived(
        at: prop::sample::Index,
        rubbish in prop::collection::vec(any::<u8>(), 1..300),
    ) {
        let records = some_records();
        let mut bytes = [journal_bytes(&records), vec![0; 100]].concat();
        let start = at.index(bytes.len());
        let end = bytes.len().min(start + rubbish.len());
        bytes[start..end].copy_from_slice(&rubbish[..end - start]);
        let dir = folder_with(&bytes);
        let (_, found) = replay(dir.path());
        for (record, span) in records.iter().zip(spans(&records)) {
            if span.1 <= start || end <= span.0 {
                prop_assert!(found.contains(&as_replayed(record)), "record at {:?} is gone", span);
            }
        }
        prop_assert!(found.iter().all(|found| records.iter().any(|record| as_replayed(record) == *found)));
    }
}

#[test]
fn the_missing_end_of_an_older_segment_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &some_records());
    write_journal(dir.path(), &[series_record(7)]);
    let older = fs::read(segment(dir.path(), 1)).unwrap();
    let (last_start, last_end) = spans(&some_records())[5];
    for len in [last_start, last_start + 1, last_end - 1] {
        fs::write(segment(dir.path(), 1), &older[..len]).unwrap();
        let (report, found) = replay(dir.path());
        assert_eq!(found.iter().map(|record| record.0).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 7]);
        let [damage] = &report.damage[..] else { panic!("{report:?}") };
        assert_eq!((damage.offset, damage.bytes), (last_start as u64, (last_end - last_start) as u64));
        assert_eq!(report.damaged_bytes, damage.bytes);
    }
    fs::remove_file(segment(dir.path(), 2)).unwrap();
    let (report, _) = replay(dir.path());
    assert!(report.damage.iter().any(|damage| damage.path == segment(dir.path(), 2)), "{report:?}");
}

#[test]
fn another_stores_journal_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &some_records());
    let foreign = JournalSettings { store_id: [9; 16], ..settings(dir.path()) };
    let mut replayed = 0;
    let error = Journal::open(foreign, &mut |_, _, _| replayed += 1).unwrap_err();
    assert!(error.to_string().contains("journal-0000000001.iwj"), "{error}");
    assert!(error.to_string().contains("another store"), "{error}");
    assert_eq!(replayed, 0);
}

#[test]
fn a_record_of_a_newer_program_is_not_skipped() {
    let mut record = series_record(2);
    record[4] = 0x21;
    let crc = crc32fast::hash(&[&record[..17], &record[RECORD_HEADER_BYTES..]].concat());
    record[17..RECORD_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let dir = folder_with(&[journal_bytes(&[series_record(1)]), record].concat());
    let error = Journal::open(settings(dir.path()), &mut |_, _, _| ()).unwrap_err();
    assert!(matches!(&error, StoreError::Damaged { what, .. } if what.contains("kind 0x21")), "{error}");
}

#[test]
fn other_files_in_the_folder_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("notes.txt"), "mine").unwrap();
    write_journal(dir.path(), &some_records());
    assert_eq!(replay(dir.path()).1.len(), 6);
    assert_eq!(fs::read_to_string(dir.path().join("notes.txt")).unwrap(), "mine");
}

#[test]
fn segments_are_closed_at_their_size_and_replayed_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread, _, _) = open_with(JournalSettings { segment_bytes: 2000, ..settings(dir.path()) });
    for seq in 1..=50 {
        commit(&journal, &samples_record(seq, 20), seq).unwrap();
    }
    journal.close();
    thread.join().unwrap();
    let on_disk: u64 = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert_eq!(journal.bytes(), on_disk);
    assert!(segments(dir.path()) >= 4);
    assert!(fs::metadata(segment(dir.path(), 1)).unwrap().len() < 2000 + samples_record(1, 20).len() as u64);
    let (report, found) = replay(dir.path());
    assert_eq!(found.iter().map(|record| record.0).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(report.damaged_places, 0);
}

#[test]
fn a_cut_removes_segments_only_when_all_their_records_may_go() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread, _, _) = open(dir.path());
    for seqs in [[2, 1], [5, 3], [4, 6]] {
        for seq in seqs {
            commit(&journal, &series_record(seq), seq).unwrap();
        }
        journal.rotate();
    }
    commit(&journal, &[], 0).unwrap();
    assert_eq!(segments(dir.path()), 4, "three closed segments and the open one");
    for (through_seq, left) in [(1, 4), (2, 3), (4, 3), (5, 2), (5, 2), (6, 1), (100, 1)] {
        journal.cut(through_seq).unwrap();
        assert_eq!(segments(dir.path()), left, "cut through {through_seq}");
    }
    commit(&journal, &series_record(7), 7).unwrap();
    drop(journal);
    thread.join().unwrap();
    let (report, found) = replay(dir.path());
    assert_eq!(found, [as_replayed(&series_record(7))]);
    assert_eq!(report.damaged_places, 0);
}

#[test]
fn a_cut_knows_the_segments_of_earlier_runs() {
    let dir = tempfile::tempdir().unwrap();
    write_journal(dir.path(), &some_records());
    let (journal, thread, _, _) = open(dir.path());
    journal.cut(5).unwrap();
    assert_eq!(segments(dir.path()), 2);
    journal.cut(6).unwrap();
    assert_eq!(segments(dir.path()), 1);
    drop(journal);
    thread.join().unwrap();
    assert_eq!(replay(dir.path()).0.highest_seq, 6, "sequences must go on rising although every record was cut");
}

#[test]
fn rotating_an_empty_segment_does_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread, _, _) = open(dir.path());
    (0..3).for_each(|_| journal.rotate());
    commit(&journal, &[], 0).unwrap();
    assert_eq!(segments(dir.path()), 1);
    drop(journal);
    thread.join().unwrap();
}

/// The callback copies the segment: what is not in the copy was not written when it was called.
#[test]
fn an_acknowledgement_comes_after_everything_submitted_before_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { group_bytes: 500, queue_groups: 4, ..settings(dir.path()) };
    let (journal, thread, _, _) = open_with(settings);
    let (sender, receiver) = mpsc::channel();
    for seq in 1..=40u64 {
        journal.submit(samples_record(seq, 10), seq, Box::new(|result| result.unwrap()));
        let (sender, path) = (sender.clone(), segment(dir.path(), 1));
        journal.submit(Vec::new(), 0, Box::new(move |_| sender.send((seq, fs::read(path).unwrap())).unwrap()));
    }
    drop(sender);
    let mut asked = 0;
    for (seq, bytes) in receiver {
        let copy = folder_with(&bytes);
        let found = replay(copy.path()).1;
        assert!(found.len() as u64 >= seq, "{} records when {seq} were acknowledged", found.len());
        asked += 1;
    }
    assert_eq!(asked, 40);
    drop(journal);
    thread.join().unwrap();
}

#[test]
fn records_of_one_caller_keep_their_order_among_those_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let settings = JournalSettings { group_wait: Duration::from_millis(1), ..settings(dir.path()) };
    let (journal, thread, _, _) = open_with(settings);
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let journal = journal.clone();
            scope.spawn(move || (1..=200).for_each(|i| submit_unwatched(&journal, caller * 1000 + i)));
        }
    });
    drop(journal);
    thread.join().unwrap();
    let found = replay(dir.path()).1;
    assert_eq!(found.len(), 800);
    for caller in 0..4 {
        let seqs: Vec<u64> = found.iter().map(|record| record.0).filter(|seq| seq / 1000 == caller).collect();
        assert!(seqs.is_sorted() && seqs.len() == 200, "caller {caller}: {seqs:?}");
    }
}

fn submit_unwatched(journal: &Journal, seq: u64) {
    journal.submit(series_record(seq), seq, Box::new(|result| result.unwrap()));
}

#[test]
fn a_closed_journal_commits_what_it_took_and_refuses_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread, _, _) = open(dir.path());
    submit_unwatched(&journal, 1);
    journal.close();
    thread.join().unwrap();
    assert_eq!(commit(&journal, &series_record(2), 2), Err(CommitError::Closed));
    assert_eq!(replay(dir.path()).1, [as_replayed(&series_record(1))]);
}

#[test]
fn used_buffers_come_back_empty() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, thread, _, _) = open(dir.path());
    assert_eq!(journal.recycled(), None);
    commit(&journal, &samples_record(1, 100), 1).unwrap();
    let buffer = journal.recycled().unwrap();
    assert!(buffer.is_empty() && buffer.capacity() >= samples_record(1, 100).len());
    drop(journal);
    thread.join().unwrap();
}
