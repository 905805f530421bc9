//! Promises of the block store about damage: it is named and left out, and everything else is served.

mod blocks_support;
mod support;

use blocks_support::{
    ALL, NOV_20, chunk_of, compact, count, names, opaque, open, samples, two_directories, without_first_day,
};
use std::fs;
use storage::blocks::{BlockSettings, BlockStore, DAY_MS};
use storage::disk::Disk;
use storage::series::SeriesRef;

#[test]
fn a_first_write_that_failed_leaves_a_store_that_opens_without_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    store.write(0, 1, &mut vec![opaque(1, NOV_20, 50)]).unwrap();
    let index = folder.path().join("20261120-g1/INDEX");
    fs::create_dir(&index).unwrap();
    assert!(store.sync().is_err());
    fs::remove_dir(&index).unwrap();
    store.sync().unwrap();
    drop(store);
    assert_eq!(count(&open(folder.path()), 0, 1, 0, i64::MAX), 0);
}

#[test]
fn a_chunk_that_cannot_be_decoded_is_carried_over_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut chunks = vec![chunk_of(0, NOV_20, 50, 1.0), opaque(1, NOV_20, 33), chunk_of(2, NOV_20, 50, 1.0)];
    store.write(0, 1, &mut chunks).unwrap();
    assert_eq!(compact(&store).directories, 1);
    assert_eq!(store.take_damage().len(), 1);
    let mut carried = Vec::new();
    store.chunks(SeriesRef::new(0, 1), 0, i64::MAX, &mut |bytes| carried.push(bytes.to_vec())).unwrap();
    assert_eq!(carried, [vec![0xEE; 33]]);
    assert_eq!((count(&store, 0, 0, 0, i64::MAX), count(&store, 0, 2, 0, i64::MAX)), (1, 1));
}

#[test]
fn an_interrupted_compaction_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = two_directories(folder.path());
    // Before the rename, and between the rename and the manifest.
    for name in ["tmp-20261120-g2", "20261121-g2"] {
        let disk = Disk::open(&folder.path().join(name), 0).unwrap();
        disk.put(b"half", b"done").unwrap();
        disk.close().unwrap();
    }
    fs::write(folder.path().join("MANIFEST.new"), b"infrawatch-bl").unwrap();
    let store = open(folder.path());
    assert_eq!(names(folder.path())[..2], ["20261120-g1", "20261121-g1"]);
    assert!(!names(folder.path()).iter().any(|name| name.ends_with("-g2")));
    assert_eq!(samples(&store, 0, 400), model);
    assert_eq!(compact(&store).directories, 2);
    assert_eq!(samples(&store, 0, 400), model);
}

/// An engine leaves older copies of its pages behind, and what is read without it may be one of them.
#[test]
fn a_block_that_the_engine_has_lost_is_found_where_it_lay() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    let disk = Disk::open(&first, 0).unwrap();
    let mut bytes = disk.get(&1u32.to_be_bytes()).unwrap().unwrap().to_vec();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    disk.put(&1u32.to_be_bytes(), &bytes).unwrap();
    disk.put(&2u32.to_be_bytes(), b"").unwrap();
    disk.close().unwrap();

    let store = open(folder.path());
    assert_eq!(samples(&store, 0, 400), model);
    // The first write lets the engine open its file, and it has less than it should.
    assert!(store.write(0, 2, &mut vec![opaque(401, NOV_20, 50)]).is_err());
    let damage: Vec<_> = store.take_damage().iter().map(ToString::to_string).collect();
    assert!(damage.len() == 1 && damage[0].contains("the engine has lost 1 of"), "{damage:?}");
    store.write(0, 2, &mut vec![opaque(401, NOV_20, 50)]).unwrap();
    store.sync().unwrap();
    compact(&store);
    assert!(store.take_damage().len() <= 1, "only the chunk that is none");
    assert_eq!(samples(&store, 0, 400), model);
}

#[test]
fn a_directory_whose_engine_is_garbage_is_set_aside_and_the_others_are_served() {
    for case in ["garbage", "empty"] {
        let folder = tempfile::tempdir().unwrap();
        let (model, first) = two_directories(folder.path());
        let db = first.join("db");
        let damaged = if case == "garbage" { vec![0xA5; 2_000_000] } else { Vec::new() };
        fs::write(&db, damaged).unwrap();

        let store = open(folder.path());
        assert_eq!(samples(&store, 0, 400), without_first_day(&model), "{case}");
        assert_eq!(store.take_damage().len(), 1, "{case}");
        assert!(store.health()[0].has_failed);
        store.sync().unwrap();
        assert_eq!(names(folder.path()), ["20261121-g1", "MANIFEST", "damaged-20261120-g1"], "{case}");
        store.write(0, 2, &mut vec![opaque(1, NOV_20, 50)]).unwrap();
        store.sync().unwrap();
        drop(store);
        assert_eq!(count(&open(folder.path()), 0, 1, NOV_20, NOV_20 + 100), 1, "its days can be written again");
    }
}

#[test]
fn a_directory_that_is_damaged_in_part_serves_the_rest_and_no_byte_of_it_changes() {
    let home = tempfile::tempdir().unwrap();
    let whole = home.path().join("whole");
    fs::create_dir(&whole).unwrap();
    let (model, first) = two_directories(&whole);
    let others = without_first_day(&model);
    let end = fs::read(first.join("db")).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let mut in_part = 0;
    for round in 0..8 {
        let folder = home.path().join(format!("{round}"));
        support::copy_dir(&whole, &folder);
        let db = folder.join(first.file_name().unwrap()).join("db");
        let mut bytes = fs::read(&db).unwrap();
        match round {
            0..4 => bytes.truncate(end * (round + 1) / 5),
            _ => bytes[end * (round - 4) / 4..end * (round - 3) / 4].fill(0xA5),
        }
        fs::write(&db, &bytes).unwrap();

        let store = open(&folder);
        let found = samples(&store, 0, 400);
        assert!(found.iter().all(|(key, value)| model[key] == *value), "round {round}");
        assert!(others.keys().all(|key| found.contains_key(key)), "round {round}");
        let damage: Vec<_> = store.take_damage().iter().map(ToString::to_string).collect();
        assert_eq!(damage.is_empty(), found.len() == model.len(), "round {round}: {damage:?}");
        // Whatever the engine would make of it: days of the directory can be written, and what was served still is.
        let written = (0..2).find(|_| store.write(0, 2, &mut vec![opaque(401, NOV_20, 50)]).is_ok());
        assert!(written.is_some(), "round {round}: it goes elsewhere");
        store.sync().unwrap();
        compact(&store);
        assert_eq!(samples(&store, 0, 400), found, "round {round}");
        if store.health().iter().any(|directory| directory.is_frozen) {
            in_part += usize::from(found.len() < model.len() && found.len() > others.len());
            drop(store);
            assert!(fs::read(&db).unwrap() == bytes, "round {round}: the damaged file was changed");
            assert_eq!(samples(&open(&folder), 0, 400), found, "round {round}: after a restart");
        }
    }
    assert!(in_part > 0, "no round has lost a part");
}

#[test]
fn a_damaged_engine_without_an_index_is_set_aside_at_opening() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    fs::remove_file(first.join("INDEX")).unwrap();
    fs::write(first.join("db"), vec![0xA5; 2_000_000]).unwrap();
    let (store, damage) = BlockStore::open(folder.path(), BlockSettings::default(), &ALL).unwrap();
    assert_eq!(damage.len(), 1, "{damage:?}");
    assert_eq!(names(folder.path()), ["20261121-g1", "MANIFEST", "damaged-20261120-g1"]);
    assert_eq!(samples(&store, 0, 400), without_first_day(&model));
}

#[test]
fn a_lost_or_torn_index_is_made_anew_from_the_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    let index = first.join("INDEX");
    let whole = fs::read(&index).unwrap();
    fs::remove_file(&index).unwrap();
    assert_eq!(samples(&open(folder.path()), 0, 400), model);
    assert_eq!(fs::read(&index).unwrap().len(), whole.len());
    fs::write(&index, &whole[..whole.len() - 5]).unwrap();
    assert_eq!(samples(&open(folder.path()), 0, 400), model);
}

#[test]
fn a_lost_or_damaged_manifest_is_made_anew_from_the_directories() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _) = two_directories(folder.path());
    let manifest = folder.path().join("MANIFEST");
    fs::write(&manifest, b"nonsense").unwrap();
    let (store, damage) = BlockStore::open(folder.path(), BlockSettings::default(), &ALL).unwrap();
    assert_eq!(damage.len(), 1);
    assert_eq!(samples(&store, 0, 400), model);
    drop(store);
    fs::remove_file(&manifest).unwrap();
    assert_eq!(samples(&open(folder.path()), 0, 400), model);
}

#[test]
fn a_directory_that_is_gone_is_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    fs::remove_dir_all(&first).unwrap();
    let (store, damage) = BlockStore::open(folder.path(), BlockSettings::default(), &ALL).unwrap();
    assert_eq!(damage.len(), 1);
    assert_eq!(samples(&store, 0, 400), without_first_day(&model));
    drop(store);
    drop(open(folder.path()));
}

#[test]
fn an_unfinished_engine_snapshot_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    fs::write(first.join("snap.0000000000000001.generating"), b"").unwrap();
    assert_eq!(samples(&open(folder.path()), 0, 400), model);
}

#[test]
fn after_a_failed_sync_the_store_goes_on_without_what_was_written_since() {
    let folder = tempfile::tempdir().unwrap();
    let (model, first) = two_directories(folder.path());
    let store = open(folder.path());
    let chunks = |store: &BlockStore| count(store, 0, 1, NOV_20, NOV_20 + DAY_MS - 1);
    store.write(0, 2, &mut vec![opaque(1, NOV_20, 50)]).unwrap();
    assert_eq!(chunks(&store), 2);
    let index = fs::read(first.join("INDEX")).unwrap();
    fs::remove_file(first.join("INDEX")).unwrap();
    assert!(store.sync().is_err());
    assert_eq!(chunks(&store), 1);
    store.write(0, 2, &mut vec![opaque(1, NOV_20, 50)]).unwrap();
    store.sync().unwrap();
    assert_eq!(chunks(&store), 2);
    assert_eq!(fs::read(first.join("INDEX")).unwrap().len(), index.len() + 33, "one block more");
    drop(store);
    assert_eq!(chunks(&open(folder.path())), 2);
    assert_eq!(samples(&open(folder.path()), 0, 1), model.into_iter().filter(|((id, _), _)| *id == 0).collect());
}
