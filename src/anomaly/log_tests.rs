//! Tests of the log: torn, damaged, of another version, written anew, and of the version that was released.

use super::*;
use crate::anomaly::record::tests::run;
use crate::frame_log::{HEADER_BYTES, MARK};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn record(start_ms: i64) -> AnomalyRecord {
    AnomalyRecord::of_run(run("cpu", "a", start_ms, 0.75))
}

fn starts(loaded: &Loaded) -> Vec<i64> {
    let start = |frame: &Frame| match frame {
        Frame::Base(record) | Frame::Changed(record) => Some(record.start_ms),
        Frame::Counts(_) => None,
    };
    loaded.frames.iter().filter_map(start).collect()
}

/// A folder whose log holds three records.
fn three() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let (mut log, loaded) = open(folder.path()).unwrap();
    assert!(loaded.frames.is_empty() && loaded.findings.is_empty());
    (1..=3).for_each(|at| log.append(&changed(&record(at))).unwrap());
    log.sync().unwrap();
    let path = folder.path().join("records.log");
    (folder, path)
}

#[test]
fn what_was_appended_is_read_again() {
    let (folder, _) = three();
    let (_, loaded) = open(folder.path()).unwrap();
    // NaN is not equal to itself, so the text is compared.
    assert_eq!(format!("{:?}", loaded.frames[0]), format!("{:?}", Frame::Changed(Box::new(record(1)))));
    assert_eq!((starts(&loaded), loaded.findings.len()), (vec![1, 2, 3], 0));
}

#[test]
fn a_file_torn_at_any_byte_opens_with_what_was_whole_and_goes_on() {
    let (folder, path) = three();
    let bytes = fs::read(&path).unwrap();
    let frame_bytes = changed(&record(1)).len();
    for cut in (HEADER_BYTES..bytes.len()).step_by(41).chain([bytes.len() - 1]) {
        fs::write(&path, &bytes[..cut]).unwrap();
        let (mut log, loaded) = open(folder.path()).unwrap();
        assert_eq!(starts(&loaded).len(), (cut - HEADER_BYTES) / frame_bytes, "cut at {cut}");
        assert!(loaded.findings.is_empty(), "a torn tail is no damage");
        log.append(&changed(&record(9))).unwrap();
        drop(log);
        assert_eq!(starts(&open(folder.path()).unwrap().1).last(), Some(&9), "cut at {cut}");
    }
}

#[test]
fn damage_anywhere_is_told_and_the_rest_is_read() {
    let (folder, path) = three();
    let bytes = fs::read(&path).unwrap();
    let frame_bytes = changed(&record(1)).len();
    for at in (HEADER_BYTES..HEADER_BYTES + 2 * frame_bytes).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x55;
        fs::write(&path, &damaged).unwrap();
        let (_, loaded) = open(folder.path()).unwrap();
        assert_eq!((starts(&loaded).len(), loaded.findings.len()), (2, 1), "byte {at}: {:?}", loaded.findings);
        assert_eq!(starts(&loaded).last(), Some(&3));
    }
}

#[test]
fn a_file_of_another_version_is_set_aside_whole_and_told() {
    let (folder, path) = three();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 9;
    fs::write(&path, &bytes).unwrap();
    let (_, loaded) = open(folder.path()).unwrap();
    assert_eq!((loaded.frames.len(), loaded.findings.len()), (0, 1));
    assert_eq!(fs::read(folder.path().join("records.set-aside-1")).unwrap(), bytes);
    assert!(open(folder.path()).unwrap().1.findings.is_empty());
}

#[test]
fn noise_of_any_kind_never_panics() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("records.log");
    let unknown = {
        let mut bytes = frame(7, &"what is this");
        bytes.extend(frame(1, &"no record"));
        bytes
    };
    for noise in [&MARK[..], &[0; 100], &[MARK, [1, 0xFF, 0xFF, 0xFF]].concat(), &unknown] {
        fs::write(&path, [&FORMAT.header()[..], noise].concat()).unwrap();
        assert!(open(folder.path()).unwrap().1.frames.is_empty());
    }
    fs::write(&path, [&FORMAT.header()[..], &unknown].concat()).unwrap();
    assert_eq!(open(folder.path()).unwrap().1.findings.len(), 2);
}

#[test]
fn a_file_written_anew_holds_only_what_it_was_given() {
    let (folder, _) = three();
    let (mut log, _) = open(folder.path()).unwrap();
    let mut detected = Detected::default();
    detected.add(&mut record(1), 10);
    log.rewrite([counts(&detected), base(&record(2))].into_iter()).unwrap();
    log.append(&changed(&record(4))).unwrap();
    let (_, loaded) = open(folder.path()).unwrap();
    assert_eq!(starts(&loaded), [2, 4]);
    assert_eq!(loaded.frames[0], Frame::Counts(detected));
    assert!(matches!(loaded.frames[1..], [Frame::Base(_), Frame::Changed(_)]));
    assert!(!folder.path().join("records.new").exists());
}

/// A log of every kind of frame; `INFRAWATCH_WRITE_SAMPLE=1 cargo test -p infrawatch --lib anomaly::log` wrote it, and
/// would write that of a new version under its own name.
#[test]
fn the_committed_sample_of_version_1_loads() {
    let folder = TempDir::new().unwrap();
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/anomalies-v1.log");
    let mut detected = Detected::default();
    (1..=2).for_each(|at| detected.add(&mut record(at), 10));
    if std::env::var_os("INFRAWATCH_WRITE_SAMPLE").is_some() && !sample.exists() {
        let (mut log, _) = open(folder.path()).unwrap();
        log.rewrite([counts(&detected), base(&record(1)), base(&record(2))].into_iter()).unwrap();
        log.append(&changed(&record(3))).unwrap();
        fs::create_dir_all(sample.parent().unwrap()).unwrap();
        fs::copy(folder.path().join("records.log"), &sample).unwrap();
    }
    fs::copy(&sample, folder.path().join("records.log")).unwrap();
    let (_, loaded) = open(folder.path()).unwrap();
    assert_eq!((starts(&loaded), loaded.findings.len()), (vec![1, 2, 3], 0));
    assert_eq!(loaded.frames[0], Frame::Counts(detected));
    let changed = Frame::Changed(Box::new(record(3)));
    assert_eq!(format!("{:?}", loaded.frames[3]), format!("{changed:?}"));
}
