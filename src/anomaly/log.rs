//! The file that keeps anomalies: frames appended one after the other, written anew when most of them are outdated.
//!
//! ```text
//! anomalies/records.log    "IWANOMLY" | version u32 | crc32 of these u32 | frame ...
//! frame                    A7 0F 52 D1 | kind u8 | length u32 | crc32 of the frame without this field u32 | JSON ...
//! ```
//!
//! Kinds: 1 a record as it was when the file was written anew, 2 a record as it became since, 3 the counts at the time
//! the file was written anew. The newest frame of an id counts. `storage/FORMAT.md` draws the same.
//!
//! Not here: what becomes of records (see `book`).
//!
//! Invariants: what stands before a damaged place and what stands whole behind it is read; a torn tail is cut before
//! anything is appended; a file is replaced by renaming a synced one over it; nothing that a file holds can panic.

use super::detected::Detected;
use super::record::AnomalyRecord;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"IWANOMLY";
/// What is written, and the only version that is read; another one is set aside and reported.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 16;
const MARK: [u8; 4] = [0xA7, 0x0F, 0x52, 0xD1];
const FRAME_HEADER_BYTES: usize = 13;
/// No record is as long; a longer length is damage.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// A file is not written anew below this many bytes.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
/// Findings that are told one by one.
const FINDINGS_MAX: usize = 100;

/// Why anomalies cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct LogError {
    /// What was tried.
    action: &'static str,
    /// The file concerned.
    path: PathBuf,
    /// The system's own answer.
    source: io::Error,
}

impl LogError {
    /// The system gives no thread to write with.
    pub(super) fn no_thread(source: io::Error) -> Self {
        Self { action: "start a thread for", path: PathBuf::from("anomalies"), source }
    }
}

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

/// The open file.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// Bytes when it was last written anew.
    base_bytes: u64,
    /// Something was not written whole, so that only writing anew helps.
    is_broken: bool,
}

impl Log {
    /// Opens the log of a folder, which is made if it is missing.
    pub(super) fn open(folder: &Path) -> Result<(Self, Loaded), LogError> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let path = folder.join("records.log");
        let mut loaded = Loaded::default();
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if !bytes.is_empty() && bytes.get(..HEADER_BYTES) != Some(&header()[..]) {
            let aside = set_aside(&path)?;
            loaded.findings.push(format!("{} is none of version {VERSION}; kept as {aside}", path.display()));
            bytes.clear();
        }
        let whole = if bytes.is_empty() { 0 } else { read_frames(&bytes, &path, &mut loaded) };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed("open", &path))?;
        file.set_len(whole as u64).map_err(failed("cut", &path))?;
        let mut log = Self { path, file, bytes: whole as u64, base_bytes: 0, is_broken: false };
        if whole == 0 {
            log.append(&header())?;
            log.sync()?;
            sync_folder(folder)?;
        }
        Ok((log, loaded))
    }

    /// Appends what `frame` made; durable after [`Self::sync`].
    pub(super) fn append(&mut self, frame: &[u8]) -> Result<(), LogError> {
        if self.is_broken {
            return Err(failed("append to", &self.path)(io::Error::other("an earlier write failed")));
        }
        if let Err(error) = self.file.write_all(frame) {
            self.is_broken = true;
            return Err(failed("append to", &self.path)(error));
        }
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Makes durable what was appended.
    pub(super) fn sync(&mut self) -> Result<(), LogError> {
        self.file.sync_data().map_err(|error| {
            // What a failed sync has kept nobody knows.
            self.is_broken = true;
            failed("sync", &self.path)(error)
        })
    }

    /// Whether the file should be written anew: because most of it is outdated, or because it cannot be appended to.
    pub(super) fn wants_rewrite(&self) -> bool {
        self.is_broken || self.bytes > REWRITE_BYTES_MIN.max(2 * self.base_bytes)
    }

    /// As after a write that failed.
    #[cfg(test)]
    pub(super) fn break_for_test(&mut self) {
        self.is_broken = true;
    }

    /// Replaces the file by one with these frames alone.
    pub(super) fn rewrite(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> Result<(), LogError> {
        let new = self.path.with_extension("new");
        let written = write_whole(&new, frames);
        if written.is_err() {
            // Half a file is of no use and takes room that may be what is missing.
            let _ = fs::remove_file(&new);
        }
        let bytes = written?;
        // From here on what is open is no longer what is called by the name, until it is opened again.
        self.is_broken = true;
        fs::rename(&new, &self.path).map_err(failed("rename", &new))?;
        if let Some(folder) = self.path.parent() {
            sync_folder(folder)?;
        }
        self.file = OpenOptions::new().append(true).open(&self.path).map_err(failed("open", &self.path))?;
        (self.bytes, self.base_bytes, self.is_broken) = (bytes, bytes, false);
        Ok(())
    }
}

/// Writes a synced file of its own with these frames; its length.
fn write_whole(path: &Path, frames: impl Iterator<Item = Vec<u8>>) -> Result<u64, LogError> {
    let mut out = io::BufWriter::new(File::create(path).map_err(failed("create", path))?);
    let mut bytes = HEADER_BYTES as u64;
    out.write_all(&header()).map_err(failed("write", path))?;
    for frame in frames {
        bytes += frame.len() as u64;
        out.write_all(&frame).map_err(failed("write", path))?;
    }
    let file = out.into_inner().map_err(|error| failed("write", path)(error.into_error()))?;
    file.sync_all().map_err(failed("sync", path))?;
    Ok(bytes)
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

fn frame(kind: u8, content: &impl Serialize) -> Vec<u8> {
    let payload = serde_json::to_vec(content).expect("maps of records have keys of text, and nothing else can fail");
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
    out.extend_from_slice(&MARK);
    out.push(kind);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    let checksum = checksum(&out, &payload);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.extend_from_slice(&payload);
    out
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(payload);
    hasher.finalize()
}

fn header() -> Vec<u8> {
    let mut out = [&MAGIC[..], &VERSION.to_le_bytes()].concat();
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out
}

/// Reads every whole frame and says what lies between them; the length up to the end of the last whole one.
fn read_frames(bytes: &[u8], path: &Path, loaded: &mut Loaded) -> usize {
    let (mut at, mut whole) = (HEADER_BYTES, HEADER_BYTES);
    while at < bytes.len() {
        let Some((kind, payload)) = frame_at(bytes, at) else {
            at += 1 + next_mark(&bytes[at + 1..]);
            continue;
        };
        if at > whole {
            let damage = format!("{} is damaged from byte {whole} to {at}", path.display());
            find(loaded, damage);
        }
        match content(kind, payload) {
            Ok(frame) => loaded.frames.push(frame),
            Err(what) => find(loaded, format!("{} has a frame at byte {at} that is {what}", path.display())),
        }
        at += FRAME_HEADER_BYTES + payload.len();
        whole = at;
    }
    if whole < bytes.len() {
        tracing::warn!(path = %path.display(), torn_bytes = bytes.len() - whole, "the end of the anomalies' log was cut");
    }
    whole
}

fn find(loaded: &mut Loaded, what: String) {
    tracing::error!("{what}");
    if loaded.findings.len() < FINDINGS_MAX {
        loaded.findings.push(what);
    }
}

fn next_mark(bytes: &[u8]) -> usize {
    bytes.windows(MARK.len()).position(|window| window == MARK).unwrap_or(bytes.len())
}

/// Kind and payload of the frame that begins here, if a whole one does.
fn frame_at(bytes: &[u8], at: usize) -> Option<(u8, &[u8])> {
    let head = bytes.get(at..at + FRAME_HEADER_BYTES)?;
    let number = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
    let (length, told) = (number(5)? as usize, number(9)?);
    if head[..4] != MARK || length > PAYLOAD_BYTES_MAX {
        return None;
    }
    let payload = bytes.get(at + FRAME_HEADER_BYTES..)?.get(..length)?;
    (checksum(&head[..9], payload) == told).then_some((head[4], payload))
}

fn content(kind: u8, payload: &[u8]) -> Result<Frame, String> {
    fn read<'a, T: serde::Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
        serde_json::from_slice(payload).map_err(|error| format!("not what its kind asks for: {error}"))
    }
    match kind {
        1 => read(payload).map(Frame::Base),
        2 => read(payload).map(Frame::Changed),
        3 => read(payload).map(Frame::Counts),
        other => Err(format!("of the unknown kind {other}")),
    }
}

/// Keeps a file that cannot be read under another name, which is given.
fn set_aside(path: &Path) -> Result<String, LogError> {
    let names = (1..=1000).map(|n| path.with_extension(format!("set-aside-{n}")));
    let free = names.into_iter().find(|name| !name.exists());
    let free = free.ok_or_else(|| failed("set aside", path)(io::Error::other("too many were set aside before")))?;
    fs::rename(path, &free).map_err(failed("set aside", path))?;
    Ok(free.display().to_string())
}

fn sync_folder(folder: &Path) -> Result<(), LogError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LogError {
    let path = path.to_owned();
    move |source| LogError { action, path, source }
}

#[cfg(test)]
#[path = "log_tests.rs"]
mod tests;
