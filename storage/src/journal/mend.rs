//! Making the journal's two folders agree before they are replayed: each segment becomes what both together hold.
//!
//! A folder lacks what was written while it did not work, and either may have been damaged since. As both were written
//! the same bytes to the same places, a record that one of them does not hold whole is taken from the other.
//!
//! Not here: damage that both have, which is found and reported by `replay`.
//!
//! Invariants: no whole record of either folder is lost; a segment is replaced as a whole, so that a crash leaves the old
//! or the new one. Memory: both copies of one segment and what becomes of them, only where they differ.
//!
//! Segments that stand before a gap in one folder only, and not in the one with the newest, were cut while that folder did
//! not work: they are removed.

use super::record;
use super::segment::{self, HEADER_BYTES, Header};
use crate::StoreError;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

/// How much of two files is compared at once.
const COMPARE_BYTES: usize = 256 << 10;

/// What mending gives.
#[derive(Debug)]
pub(super) struct Mended {
    /// The folder to replay, by its place among those given.
    pub(super) replay_from: usize,
    /// Folders that could not be read or written, and why.
    pub(super) lost: Vec<(usize, StoreError)>,
}

/// Makes the folders agree; with one there is nothing to do.
///
/// # Errors
/// When no folder can be read, none has or takes all that both hold, or a segment belongs to another store.
pub(super) fn mend(dirs: &[&Path], store_id: &[u8; 16]) -> Result<Mended, StoreError> {
    let [first, second] = dirs else { return Ok(Mended { replay_from: 0, lost: Vec::new() }) };
    let (first_numbers, second_numbers) = match (segment::list(first), segment::list(second)) {
        (Ok(first), Ok(second)) => (first, second),
        (Ok(_), Err(error)) => return Ok(Mended { replay_from: 0, lost: vec![(1, error)] }),
        (Err(error), Ok(_)) => return Ok(Mended { replay_from: 1, lost: vec![(0, error)] }),
        (Err(error), Err(_)) => return Err(error),
    };
    let mut sides: [BTreeSet<u64>; 2] = [first_numbers, second_numbers].map(|numbers| numbers.into_iter().collect());
    remove_stale(dirs, &mut sides)?;
    let mut lost: [Option<StoreError>; 2] = [None, None];
    for number in sides[0].union(&sides[1]).copied() {
        let paths = [segment::path(first, number), segment::path(second, number)];
        if sides.iter().all(|numbers| numbers.contains(&number)) && are_equal(&paths[0], &paths[1]).unwrap_or(false) {
            continue;
        }
        let copies = [read(&paths[0]), read(&paths[1])];
        for (copy, path) in copies.iter().zip(&paths) {
            // A segment of another store or a newer program must not be mixed with ours.
            Header::decode(copy, path, store_id)?;
        }
        let (united, _) = unite([&copies[0], &copies[1]], store_id);
        tracing::warn!(number, bytes = united.len(), "the journal's folders differ and are made to agree");
        for side in 0..2 {
            if copies[side] != united
                && lost[side].is_none()
                && let Err(error) = replace(dirs[side], number, &united)
            {
                lost[side] = Some(error);
            }
        }
    }
    match lost {
        [Some(error), Some(_)] => Err(error),
        [Some(error), None] => Ok(Mended { replay_from: 1, lost: vec![(0, error)] }),
        [None, second] => Ok(Mended { replay_from: 0, lost: second.map(|error| (1, error)).into_iter().collect() }),
    }
}

/// How many places hold no whole record in either folder although one of them should: what opening the journal would
/// report as damage. Nothing is changed.
///
/// # Errors
/// When a folder cannot be read, or a segment belongs to another store.
pub(crate) fn lost_in_both(dirs: &[&Path; 2], store_id: &[u8; 16]) -> Result<u64, StoreError> {
    let numbers = |dir: &Path| segment::list(dir).map(|numbers| numbers.into_iter().collect::<BTreeSet<u64>>());
    let mut sides = [numbers(dirs[0])?, numbers(dirs[1])?];
    if let Some((side, below)) = stale(&sides) {
        sides[side].retain(|number| !below.contains(number));
    }
    let all: Vec<u64> = sides[0].union(&sides[1]).copied().collect();
    let mut lost = all.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    for number in all {
        let paths = dirs.map(|dir| segment::path(dir, number));
        let copies = [read(&paths[0]), read(&paths[1])];
        for (copy, path) in copies.iter().zip(&paths) {
            Header::decode(copy, path, store_id)?;
        }
        lost += unite([&copies[0], &copies[1]], store_id).1;
    }
    Ok(lost)
}

/// The folder that has segments which were cut while it did not work, and which they are.
fn stale(sides: &[BTreeSet<u64>; 2]) -> Option<(usize, Vec<u64>)> {
    let all: Vec<u64> = sides[0].union(&sides[1]).copied().collect();
    let newest = all.last()?;
    let gap = all.windows(2).rposition(|pair| pair[0] + 1 < pair[1])?;
    let below = &all[..=gap];
    let is_stale = |side: &usize| {
        let only_here = |number| sides[*side].contains(number) && !sides[1 - side].contains(number);
        below.iter().all(only_here) && !sides[*side].contains(newest)
    };
    [0, 1].into_iter().find(is_stale).map(|side| (side, below.to_vec()))
}

fn remove_stale(dirs: &[&Path], sides: &mut [BTreeSet<u64>; 2]) -> Result<(), StoreError> {
    let Some((side, below)) = stale(sides) else { return Ok(()) };
    for number in below {
        let path = segment::path(dirs[side], number);
        fs::remove_file(&path).map_err(|error| StoreError::io("remove", &path, error))?;
        sides[side].remove(&number);
    }
    Ok(())
}

/// The bytes of a segment; none where it is missing or cannot be read.
fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_default()
}

fn are_equal(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        (&mut a).take(COMPARE_BYTES as u64).read_to_end(&mut left)?;
        (&mut b).take(COMPARE_BYTES as u64).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

/// What two copies of a segment hold together: at each place the record that is whole in one of them. The second value
/// is how many places are damaged in both.
fn unite(copies: [&[u8]; 2], store_id: &[u8; 16]) -> (Vec<u8>, u64) {
    let has_header = |copy: &&[u8]| matches!(Header::decode(copy, Path::new(""), store_id), Ok(Some(_)));
    let longest = if copies[0].len() >= copies[1].len() { copies[0] } else { copies[1] };
    let head = copies.into_iter().find(has_header).unwrap_or(longest);
    let mut united = head[..HEADER_BYTES.min(head.len())].to_vec();
    let (mut at, mut damaged) = (united.len(), 0);
    while at < longest.len() {
        match copies.into_iter().find_map(|copy| whole_record(copy, at)) {
            Some(record) => {
                united.extend_from_slice(record);
                at += record.len();
            }
            None => {
                match (at + 1..longest.len()).find(|at| copies.iter().any(|copy| whole_record(copy, *at).is_some())) {
                    // Damaged in both: it stays, so that replay reports it.
                    Some(next) => {
                        united.extend_from_slice(&longest[at..next]);
                        at = next;
                        damaged += 1;
                    }
                    // A torn tail, as a crash leaves it.
                    None => break,
                }
            }
        }
    }
    (united, damaged)
}

fn whole_record(copy: &[u8], at: usize) -> Option<&[u8]> {
    let rest = copy.get(at..)?;
    let header = record::Header::read(rest)?;
    let record = rest.get(..header.record_bytes())?;
    header.checks(record).then_some(record)
}

/// Puts a segment in place as a whole, durably.
fn replace(dir: &Path, number: u64, bytes: &[u8]) -> Result<(), StoreError> {
    let path = segment::path(dir, number);
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|error| StoreError::io("write", &path, error))
}

#[cfg(test)]
mod tests {
    use super::super::record::Kind;
    use super::*;

    const STORE: [u8; 16] = [1; 16];

    fn segment_with(records: u64) -> Vec<u8> {
        let header = Header { store_id: STORE, number: 1, previous_bytes: 0, seq_before: 0 };
        let mut bytes = header.encode().to_vec();
        for seq in 1..=records {
            let start = record::begin(&mut bytes);
            bytes.extend_from_slice(&[seq as u8; 30]);
            record::finish(&mut bytes, start, Kind::Samples, seq);
        }
        bytes
    }

    /// Whatever happens to one copy or, at other places, to the other: together they hold everything.
    #[test]
    fn what_one_copy_lacks_the_other_gives() {
        let whole = segment_with(5);
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 0x20;
            assert_eq!(unite([&bent, &whole], &STORE), (whole.clone(), 0), "byte {at}");
            assert_eq!(unite([&whole, &bent], &STORE), (whole.clone(), 0), "byte {at}");
            assert_eq!(unite([&whole[..at], &whole], &STORE).0, whole, "cut at {at}");
            let record = record::HEADER_BYTES + 30;
            let mut other = whole.clone();
            other[(at + record) % whole.len()] ^= 1;
            let lies_apart = at >= HEADER_BYTES && at + record < whole.len();
            assert!(!lies_apart || unite([&bent, &other], &STORE).0 == whole, "byte {at} and the record behind it");
        }
        assert_eq!(unite([&whole, &[]], &STORE).0, whole);
        let torn = [&whole[..], &[0xF7, 0x49]].concat();
        assert_eq!(unite([&torn, &whole], &STORE), (whole, 0), "a torn tail is cut");
    }

    #[test]
    fn what_is_damaged_in_both_stays_where_it_is() {
        let whole = segment_with(3);
        let mut bent = whole.clone();
        bent[HEADER_BYTES + 25] ^= 1;
        assert_eq!(unite([&bent, &bent], &STORE), (bent.clone(), 1));
    }

    #[test]
    fn segments_that_were_cut_while_a_folder_was_away_are_removed() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let dirs = [homes[0].path(), homes[1].path()];
        for (side, numbers) in [(0, 7..10), (1, 2..5)] {
            for number in numbers {
                let header = Header { store_id: STORE, number, previous_bytes: 0, seq_before: 0 };
                fs::write(segment::path(dirs[side], number), header.encode()).unwrap();
            }
        }
        let mended = mend(&dirs, &STORE).unwrap();
        assert_eq!((mended.replay_from, mended.lost.len()), (0, 0));
        assert_eq!(dirs.map(|dir| segment::list(dir).unwrap()), [[7, 8, 9], [7, 8, 9]]);
    }
}
