//! `repair` on damaged real stores: looking changes nothing, what is whole is saved, and the store serves it again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use storage::{RepairReport, Settings, repair};
use support::{Point, Running, Seeded};

const START_MS: i64 = 1_700_000_000_000;
const SERIES: usize = 400;
const STEPS: i64 = 300;

fn settings(dir: &Path) -> Settings {
    Settings { retention_ms: 0, shards: 2, ..Settings::new(dir) }
}

fn value(series: usize, step: i64) -> f64 {
    ((step * 7919 + series as i64 * 31) % 100_000) as f64 / 100.0
}

/// A closed store with all samples in blocks; its one directory of blocks.
fn closed_store(dir: &Path) -> PathBuf {
    let running = Running::open(settings(dir));
    let of = |step| (0..SERIES).map(move |series| (series, START_MS + step * 1000, value(series, step)));
    let points: Vec<Point> = (0..STEPS).flat_map(of).collect();
    running.append(START_MS + STEPS * 1000, &points);
    running.compact();
    running.close();
    let blocks = fs::read_dir(dir.join("blocks")).unwrap().map(|entry| entry.unwrap().path());
    blocks.into_iter().find(|path| path.is_dir()).unwrap()
}

/// How many samples the store serves; every one must be what was written.
fn serve(dir: &Path) -> usize {
    let running = Running::open(settings(dir));
    let mut served = 0;
    for series in 0..SERIES {
        for (time_ms, bits) in running.read(series, 0, i64::MAX) {
            let step = (time_ms - START_MS) / 1000;
            assert_eq!(bits, value(series, step).to_bits(), "series {series} step {step}");
            served += 1;
        }
    }
    running.close();
    served
}

fn look(dir: &Path, dry_run: bool) -> RepairReport {
    repair(dir, &dir.join("journal"), None, dry_run).unwrap()
}

fn bytes_of(dir: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => bytes_of(&path, into),
            false => _ = into.insert(path.clone(), fs::read(&path).unwrap()),
        }
    }
}

#[test]
fn a_whole_store_is_found_whole_and_looking_changes_no_byte() {
    let home = tempfile::tempdir().unwrap();
    closed_store(home.path());
    let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
    bytes_of(home.path(), &mut before);
    let report = look(home.path(), true);
    bytes_of(home.path(), &mut after);
    assert!(before == after, "a dry run changes nothing");
    assert_eq!(report.damaged(), 0, "{:?}", report.findings);
    assert!(report.findings.iter().any(|finding| finding.part.starts_with("blocks/")));
    assert_eq!(look(home.path(), false).damaged(), 0);
    assert_eq!(serve(home.path()), SERIES * STEPS as usize);
}

#[test]
fn whole_blocks_of_a_damaged_directory_are_saved() {
    for kind in ["holes", "cut short", "no index", "seen by the server"] {
        let home = tempfile::tempdir().unwrap();
        let directory = closed_store(home.path());
        let db = directory.join("db");
        let mut bytes = fs::read(&db).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
        match kind {
            "holes" | "seen by the server" => {
                let mut seeded = Seeded(5);
                for hole in 1..8 {
                    let at = end * hole / 8;
                    bytes[at..at + 3000].iter_mut().for_each(|byte| *byte = seeded.next() as u8);
                }
            }
            "cut short" => bytes.truncate(end - end / 8),
            _ => fs::remove_file(directory.join("INDEX")).unwrap(),
        }
        fs::write(&db, &bytes).unwrap();
        if kind == "seen by the server" {
            // It is only noticed once it is read; an engine would wipe what it cannot follow.
            serve(home.path());
            assert!(fs::read(&db).unwrap() == bytes, "the damaged file was changed");
        }
        let dry = look(home.path(), true);
        assert!(dry.damaged() > 0, "{kind}: {:?}", dry.findings);
        assert_eq!(dry.blocks_saved, 0, "{kind}");
        let report = look(home.path(), false);
        assert!(report.blocks_saved > 0, "{kind}: {:?}", report.findings);
        assert_eq!(look(home.path(), false).damaged(), 0, "{kind}: repaired once is repaired");
        let served = serve(home.path());
        let all = SERIES * STEPS as usize;
        println!("{kind}: {served} of {all} samples are served again");
        let at_least = if kind == "cut short" { all / 4 } else { all / 2 };
        assert!(served >= at_least, "{kind}: {served} of {all}");
    }
}

#[test]
fn a_damaged_checkpoint_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    closed_store(home.path());
    let path = home.path().join("checkpoints/p07.iwc");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(look(home.path(), true).damaged(), 1);
    assert!(path.exists());
    assert_eq!(look(home.path(), false).damaged(), 1);
    assert!(!path.exists() && path.with_file_name("damaged-p07.iwc").exists());
    assert_eq!(serve(home.path()), SERIES * STEPS as usize, "all of it is in blocks");
}

#[test]
fn damage_in_a_mirrored_journal_is_told_of_each_folder_and_of_both() {
    let home = tempfile::tempdir().unwrap();
    let own = home.path().join("own");
    let running = Running::open(Settings { journal_mirror_dir: Some(own.join("mirror")), ..settings(&own) });
    (0..40).for_each(|step| _ = running.append(START_MS + step * 1000, &[(0, START_MS + step * 1000, 1.0)]));
    let killed = home.path().join("killed");
    running.killed(&killed);
    let journals = [killed.join("journal"), killed.join("mirror")];
    let looked = |mirror: Option<&Path>| {
        let report = repair(&killed, &journals[0], mirror, true).unwrap();
        let of_journal = report.findings.into_iter().filter(|finding| finding.part.starts_with("journal"));
        of_journal.map(|finding| (finding.part, finding.is_damaged)).collect::<Vec<_>>()
    };
    let expected = |damaged: [bool; 3]| {
        let parts = ["journal", "journal mirror", "journal and mirror"].map(str::to_owned);
        parts.into_iter().zip(damaged).collect::<Vec<_>>()
    };
    let flip = |side: usize, at: usize| {
        let path = journals[side].join("journal-0000000001.iwj");
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 0x10;
        fs::write(&path, bytes).unwrap();
    };
    assert_eq!(looked(Some(&journals[1])), expected([false, false, false]));
    flip(0, 200);
    assert_eq!(looked(Some(&journals[1])), expected([true, false, false]), "the mirror has it");
    assert_eq!(looked(None), [("journal".to_owned(), true)]);
    flip(1, 700);
    assert_eq!(looked(Some(&journals[1])), expected([true, true, false]), "each has what the other lacks");
    flip(1, 200);
    assert_eq!(looked(Some(&journals[1])), expected([true, true, true]));
    fs::remove_dir_all(&journals[1]).unwrap();
    let report = repair(&killed, &journals[0], Some(&journals[1]), true).unwrap();
    assert!(report.findings.iter().any(|finding| finding.part == "journal mirror" && finding.is_damaged));
}

#[test]
fn what_is_no_store_or_in_use_is_refused_by_name() {
    let home = tempfile::tempdir().unwrap();
    let error = repair(home.path(), &home.path().join("journal"), None, true).unwrap_err();
    assert!(error.to_string().contains("STORE"), "{error}");
    let running = Running::open(settings(home.path()));
    let error = repair(home.path(), &home.path().join("journal"), None, true).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
    running.close();
}
