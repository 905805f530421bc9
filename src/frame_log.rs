//! A file of small records: frames appended one after the other, written anew when most of them are outdated.
//!
//! ```text
//! NAME.log     magic, 8 bytes | version u32 | crc32 of these u32 | frame ...
//! frame        A7 0F 52 D1 | kind u8 | length u32 | crc32 of the frame without this field u32 | JSON ...
//! ```
//!
//! Not here: what the kinds mean and what becomes of records (see `anomaly::log` and `alert::log`).
//!
//! Invariants: what stands before a damaged place and what stands whole behind it is read; a torn tail is cut before
//! anything is appended; a file is replaced by renaming a synced one over it; nothing that a file holds can panic.

use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes of a file before its first frame.
pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const MARK: [u8; 4] = [0xA7, 0x0F, 0x52, 0xD1];
const FRAME_HEADER_BYTES: usize = 13;
/// No record is as long; a longer length is damage.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// A file is not written anew below this many bytes.
const REWRITE_BYTES_MIN: u64 = 1 << 20;
/// Findings that are told one by one.
const FINDINGS_MAX: usize = 100;

/// What a file begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// What tells the file from others.
    pub(crate) magic: [u8; 8],
    /// What is written, and the only version that is read; another one is set aside and reported.
    pub(crate) version: u32,
}

impl Format {
    /// The bytes before the first frame.
    pub(crate) fn header(self) -> Vec<u8> {
        let mut out = [&self.magic[..], &self.version.to_le_bytes()].concat();
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }
}

/// Why records cannot be kept.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct FrameLogError {
    /// What was tried.
    action: &'static str,
    /// The file concerned.
    path: PathBuf,
    /// The system's own answer.
    source: io::Error,
}

impl FrameLogError {
    /// The system gives no thread to write `what` with.
    pub(crate) fn no_thread(what: &str, source: io::Error) -> Self {
        Self { action: "start a thread for", path: PathBuf::from(what), source }
    }
}

/// What was in a file.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Kind and payload of every whole frame.
    pub(crate) frames: Vec<(u8, Vec<u8>)>,
    /// What was damaged, in words.
    pub(crate) findings: Vec<String>,
}

impl Found {
    /// Notes something that is wrong with what was read.
    pub(crate) fn find(&mut self, what: String) {
        tracing::error!("{what}");
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(what);
        }
    }
}

/// What a frame's payload means.
///
/// # Errors
/// In words, when it is not what its kind asks for.
pub(crate) fn read<'a, T: serde::Deserialize<'a>>(payload: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(payload).map_err(|error| format!("not what its kind asks for: {error}"))
}

/// The open file.
#[derive(Debug)]
pub(crate) struct FrameLog {
    path: PathBuf,
    format: Format,
    file: File,
    bytes: u64,
    /// Bytes when it was last written anew.
    base_bytes: u64,
    /// Something was not written whole, so that only writing anew helps.
    is_broken: bool,
}

impl FrameLog {
    /// Opens the log of this name in a folder, which is made if it is missing.
    ///
    /// # Errors
    /// When the system refuses the folder or the file.
    pub(crate) fn open(folder: &Path, name: &str, format: Format) -> Result<(Self, Found), FrameLogError> {
        fs::create_dir_all(folder).map_err(failed("make", folder))?;
        let path = folder.join(name).with_extension("log");
        let mut found = Found::default();
        let mut bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if !bytes.is_empty() && bytes.get(..HEADER_BYTES) != Some(&format.header()[..]) {
            let aside = set_aside(&path)?;
            found.findings.push(format!("{} is none of version {}; kept as {aside}", path.display(), format.version));
            bytes.clear();
        }
        let whole = if bytes.is_empty() { 0 } else { read_frames(&bytes, &path, &mut found) };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed("open", &path))?;
        file.set_len(whole as u64).map_err(failed("cut", &path))?;
        let mut log = Self { path, format, file, bytes: whole as u64, base_bytes: 0, is_broken: false };
        if whole == 0 {
            log.append(&format.header())?;
            log.sync()?;
            sync_folder(folder)?;
        }
        Ok((log, found))
    }

    /// Appends what `frame` made; durable after [`Self::sync`].
    pub(crate) fn append(&mut self, frame: &[u8]) -> Result<(), FrameLogError> {
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
    pub(crate) fn sync(&mut self) -> Result<(), FrameLogError> {
        self.file.sync_data().map_err(|error| {
            // What a failed sync has kept nobody knows.
            self.is_broken = true;
            failed("sync", &self.path)(error)
        })
    }

    /// Whether the file should be written anew: because most of it is outdated, or because it cannot be appended to.
    pub(crate) fn wants_rewrite(&self) -> bool {
        self.is_broken || self.bytes > REWRITE_BYTES_MIN.max(2 * self.base_bytes)
    }

    /// As after a write that failed.
    #[cfg(test)]
    pub(crate) fn break_for_test(&mut self) {
        self.is_broken = true;
    }

    /// Replaces the file by one with these frames alone.
    pub(crate) fn rewrite(&mut self, frames: impl Iterator<Item = Vec<u8>>) -> Result<(), FrameLogError> {
        let new = self.path.with_extension("new");
        let written = write_whole(&new, self.format, frames);
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
fn write_whole(path: &Path, format: Format, frames: impl Iterator<Item = Vec<u8>>) -> Result<u64, FrameLogError> {
    let mut out = io::BufWriter::new(File::create(path).map_err(failed("create", path))?);
    let mut bytes = HEADER_BYTES as u64;
    out.write_all(&format.header()).map_err(failed("write", path))?;
    for frame in frames {
        bytes += frame.len() as u64;
        out.write_all(&frame).map_err(failed("write", path))?;
    }
    let file = out.into_inner().map_err(|error| failed("write", path)(error.into_error()))?;
    file.sync_all().map_err(failed("sync", path))?;
    Ok(bytes)
}

/// Some content as bytes of a frame of this kind.
pub(crate) fn frame(kind: u8, content: &impl Serialize) -> Vec<u8> {
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

/// Reads every whole frame and says what lies between them; the length up to the end of the last whole one.
fn read_frames(bytes: &[u8], path: &Path, found: &mut Found) -> usize {
    let (mut at, mut whole) = (HEADER_BYTES, HEADER_BYTES);
    while at < bytes.len() {
        let Some((kind, payload)) = frame_at(bytes, at) else {
            at += 1 + next_mark(&bytes[at + 1..]);
            continue;
        };
        if at > whole {
            found.find(format!("{} is damaged from byte {whole} to {at}", path.display()));
        }
        found.frames.push((kind, payload.to_vec()));
        at += FRAME_HEADER_BYTES + payload.len();
        whole = at;
    }
    if whole < bytes.len() {
        tracing::warn!(path = %path.display(), torn_bytes = bytes.len() - whole, "the end of a log of records was cut");
    }
    whole
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

/// Keeps a file that cannot be read under another name, which is given.
fn set_aside(path: &Path) -> Result<String, FrameLogError> {
    let names = (1..=1000).map(|n| path.with_extension(format!("set-aside-{n}")));
    let free = names.into_iter().find(|name| !name.exists());
    let free = free.ok_or_else(|| failed("set aside", path)(io::Error::other("too many were set aside before")))?;
    fs::rename(path, &free).map_err(failed("set aside", path))?;
    Ok(free.display().to_string())
}

fn sync_folder(folder: &Path) -> Result<(), FrameLogError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync", folder))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FrameLogError {
    let path = path.to_owned();
    move |source| FrameLogError { action, path, source }
}
