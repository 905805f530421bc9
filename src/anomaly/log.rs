//! The file that keeps anomalies, `anomalies/records.log`.
//!
//! Kinds of frames: 1 a record as it was when the file was written anew, 2 a record as it became since, 3 the counts at
//! the time the file was written anew. The newest frame of an id counts. `storage/FORMAT.md` draws the file.
//!
//! Not here: frames and damage (see `frame_log`), what becomes of records (see `book`).

use super::detected::Detected;
use super::record::AnomalyRecord;
use crate::frame_log::{Format, Found, FrameLog, FrameLogError, frame, read};
use std::path::Path;

/// What the file begins with.
pub(super) const FORMAT: Format = Format { magic: *b"IWANOMLY", version: 1 };

/// One frame of a file.
#[derive(Debug, PartialEq)]
pub(super) enum Frame {
    /// A record that was counted before.
    Base(Box<AnomalyRecord>),
    /// A record as it became.
    Changed(Box<AnomalyRecord>),
    /// The counts before the changes.
    Counts(Detected),
}

/// What was in a file.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) frames: Vec<Frame>,
    /// What was damaged, in words.
    pub(super) findings: Vec<String>,
}

/// Opens the log of a folder, which is made if it is missing.
pub(super) fn open(folder: &Path) -> Result<(FrameLog, Loaded), FrameLogError> {
    let (log, mut found) = FrameLog::open(folder, "records", FORMAT)?;
    let mut frames = Vec::with_capacity(found.frames.len());
    for (kind, payload) in std::mem::take(&mut found.frames) {
        match content(kind, &payload) {
            Ok(frame) => frames.push(frame),
            Err(what) => found.find(format!("the anomalies' log has a frame that is {what}")),
        }
    }
    let Found { findings, .. } = found;
    Ok((log, Loaded { frames, findings }))
}

/// A record as it became, as bytes of a frame.
pub(super) fn changed(record: &AnomalyRecord) -> Vec<u8> {
    frame(2, record)
}

/// A record that was counted, as bytes of a frame.
pub(super) fn base(record: &AnomalyRecord) -> Vec<u8> {
    frame(1, record)
}

/// The counts, as bytes of a frame.
pub(super) fn counts(detected: &Detected) -> Vec<u8> {
    frame(3, detected)
}

fn content(kind: u8, payload: &[u8]) -> Result<Frame, String> {
    match kind {
        1 => read(payload).map(Frame::Base),
        2 => read(payload).map(Frame::Changed),
        3 => read(payload).map(Frame::Counts),
        other => Err(format!("of the unknown kind {other}")),
    }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
