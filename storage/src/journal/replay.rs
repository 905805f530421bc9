//! Replay reads every record that is whole, in the order of submission, and says what was not.
//!
//! Segments are read through a window of bounded size. Bytes that form no whole record are skipped up to the next
//! marker whose record checks. At the end of the newest segment they are a torn tail, as a crash leaves it, and are
//! cut off; anywhere else they are damage, and are reported. Neither is fatal. What is fatal is what would lose data
//! silently: a store id that is not ours, a format or a kind of record that a newer program wrote, and a file that
//! the system refuses to read.
//!
//! Cost: one read and one checksum of every byte; `benches/journal.rs` measures it.
//!
//! Not here: what payloads mean, which records a checkpoint already contains (both are the caller's).
//!
//! Invariant: when replay returns, the newest segment ends with its last whole record and is synced, so that a record
//! seen by the caller is durable even if the process that wrote it died before its sync.

use super::record;
use super::record::Kind;
use super::segment::{self, Header, Segment};
use super::window::Window;
use crate::StoreError;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Damaged places listed one by one in a report; all are counted.
const DAMAGE_LISTED_MAX: usize = 100;

/// What replay found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ReplayReport {
    /// Segments read.
    pub segments: usize,
    /// Whole records handed over.
    pub records: u64,
    /// Their bytes, headers included.
    pub bytes: u64,
    /// The highest sequence the journal ever held; the next one must be higher.
    pub highest_seq: u64,
    /// Bytes cut off the newest segment: the end of a write that a crash interrupted, never acknowledged.
    pub torn_bytes: u64,
    /// Damaged places in order of reading, at most 100 of them.
    pub damage: Vec<Damage>,
    /// How many damaged places there are.
    pub damaged_places: u64,
    /// Bytes in damaged places.
    pub damaged_bytes: u64,
}

/// A place in the journal that holds no whole record although it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub path: PathBuf,
    /// Where the place begins.
    pub offset: u64,
    /// How long it is; 0 for a missing segment whose length is not known.
    pub bytes: u64,
}

impl ReplayReport {
    fn add_damage(&mut self, path: &Path, offset: u64, bytes: u64) {
        self.damaged_places += 1;
        self.damaged_bytes += bytes;
        if self.damage.len() < DAMAGE_LISTED_MAX {
            self.damage.push(Damage { path: path.to_path_buf(), offset, bytes });
        }
    }
}

/// A segment as it lies in the folder.
struct Found {
    number: u64,
    path: PathBuf,
    bytes: u64,
    /// `None` when it is damaged or torn.
    header: Option<Header>,
}

/// Calls `each` with sequence, kind and payload of every whole record in `dir`.
///
/// # Errors
/// [`StoreError::Io`] when a file cannot be read or cut, [`StoreError::Damaged`] when a segment belongs to another
/// store or was written by a newer program.
pub(super) fn replay(
    dir: &Path,
    store_id: &[u8; 16],
    each: &mut dyn FnMut(u64, Kind, &[u8]),
) -> Result<(Vec<Segment>, ReplayReport), StoreError> {
    let found = survey(dir, store_id)?;
    let mut report = ReplayReport { segments: found.len(), ..ReplayReport::default() };
    let mut segments = Vec::with_capacity(found.len());
    for (i, segment) in found.iter().enumerate() {
        segments.push(match found.get(i + 1) {
            Some(next) => replay_closed(dir, segment, next, &mut report, each)?,
            None => replay_newest(segment, &mut report, each)?,
        });
    }
    Ok((segments, report))
}

/// What a replay of `dir` would find; nothing is handed over and nothing changed.
///
/// # Errors
/// As a replay.
pub(crate) fn inspect(dir: &Path, store_id: &[u8; 16]) -> Result<ReplayReport, StoreError> {
    let found = survey(dir, store_id)?;
    let mut report = ReplayReport { segments: found.len(), ..ReplayReport::default() };
    for (i, segment) in found.iter().enumerate() {
        match found.get(i + 1) {
            Some(next) => _ = replay_closed(dir, segment, next, &mut report, &mut |_, _, _| ())?,
            None => {
                let (whole_until, _) = replay_records(segment, segment.bytes, &mut report, &mut |_, _, _| ())?;
                report.torn_bytes = segment.bytes - whole_until;
            }
        }
    }
    Ok(report)
}

/// Every segment with its header, so that what must not be replayed is refused before anything is.
fn survey(dir: &Path, store_id: &[u8; 16]) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    for number in segment::list(dir)? {
        let path = segment::path(dir, number);
        let (mut window, bytes) = open(&path)?;
        let first = window.peek(segment::HEADER_BYTES).map_err(|error| StoreError::io("read", &path, error))?;
        let header = Header::decode(first, &path, store_id)?.filter(|header| header.number == number);
        found.push(Found { number, path, bytes, header });
    }
    Ok(found)
}

fn open(path: &Path) -> Result<(Window, u64), StoreError> {
    let file = File::open(path).map_err(|error| StoreError::io("open", path, error))?;
    let bytes = file.metadata().map_err(|error| StoreError::io("measure", path, error))?.len();
    Ok((Window::new(file, bytes), bytes))
}

/// Replays a segment whose end the next one knows: what lies beyond was never synced and stands again in the next.
fn replay_closed(
    dir: &Path,
    segment: &Found,
    next: &Found,
    report: &mut ReplayReport,
    each: &mut dyn FnMut(u64, Kind, &[u8]),
) -> Result<Segment, StoreError> {
    let follows = next.number == segment.number + 1;
    let previous_bytes = next.header.map(|header| header.previous_bytes);
    let end = previous_bytes.filter(|_| follows).unwrap_or(segment.bytes);
    let (whole_until, highest_seq) = replay_records(segment, end, report, each)?;
    if whole_until < end {
        report.add_damage(&segment.path, whole_until, end - whole_until);
    }
    if !follows {
        report.add_damage(&segment::path(dir, next.number - 1), 0, previous_bytes.unwrap_or(0));
    }
    Ok(Segment { number: segment.number, bytes: segment.bytes, highest_seq })
}

/// Replays the newest segment, cuts its torn tail and makes the rest durable.
fn replay_newest(
    segment: &Found,
    report: &mut ReplayReport,
    each: &mut dyn FnMut(u64, Kind, &[u8]),
) -> Result<Segment, StoreError> {
    let (whole_until, highest_seq) = replay_records(segment, segment.bytes, report, each)?;
    report.torn_bytes = segment.bytes - whole_until;
    let path = &segment.path;
    let file = OpenOptions::new().write(true).open(path).map_err(|error| StoreError::io("open", path, error))?;
    if report.torn_bytes > 0 {
        file.set_len(whole_until).map_err(|error| StoreError::io("truncate", path, error))?;
    }
    file.sync_data().map_err(|error| StoreError::io("sync", path, error))?;
    Ok(Segment { number: segment.number, bytes: whole_until, highest_seq })
}

/// Replays the whole records before `end`; returns where the last of them ends, and the highest sequence.
fn replay_records(
    segment: &Found,
    end: u64,
    report: &mut ReplayReport,
    each: &mut dyn FnMut(u64, Kind, &[u8]),
) -> Result<(u64, u64), StoreError> {
    let unreadable = |error| StoreError::io("read", &segment.path, error);
    let (mut window, bytes) = open(&segment.path)?;
    window.end_at(end.min(bytes));
    let mut highest_seq = 0;
    if let Some(header) = segment.header {
        let seen = window.peek(segment::HEADER_BYTES).map_err(unreadable)?.len();
        window.consume(seen);
        report.highest_seq = report.highest_seq.max(header.seq_before);
    }
    let mut whole_until = window.offset();
    while let Some(header) = window.find_record().map_err(unreadable)? {
        let offset = window.offset();
        if offset > whole_until {
            report.add_damage(&segment.path, whole_until, offset - whole_until);
        }
        let kind = header.kind().map_err(|byte| StoreError::Damaged {
            path: segment.path.clone(),
            offset,
            what: format!("record kind {byte:#04x} is not known to this program"),
        })?;
        let record = window.peek(header.record_bytes()).map_err(unreadable)?;
        each(header.seq, kind, &record[record::HEADER_BYTES..]);
        report.records += 1;
        report.bytes += header.record_bytes() as u64;
        highest_seq = highest_seq.max(header.seq);
        window.consume(header.record_bytes());
        whole_until = window.offset();
    }
    report.highest_seq = report.highest_seq.max(highest_seq);
    Ok((whole_until, highest_seq))
}
