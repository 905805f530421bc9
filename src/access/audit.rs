//! The audit log: one line for every change that somebody made or tried to make, in a file beside the data.
//!
//! Not here: which requests are changes (see `rules`).
//!
//! Invariant: two files of at most so many bytes each: the older one is replaced when the newer is full.

use parking_lot::Mutex;
use serde::Serialize;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

/// Bytes at which a new file is begun.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// One change, or an attempt.
#[derive(Debug, Serialize)]
pub struct AuditRecord<'a> {
    /// RFC 3339, UTC.
    pub time: String,
    /// The request's id.
    pub request: &'a str,
    /// Who; none where no access is configured, or nothing was proven.
    pub user: Option<&'a str>,
    /// From where.
    pub peer: String,
    /// What.
    pub method: &'a str,
    /// Of what, without its query.
    pub path: &'a str,
    /// What became of it.
    pub status: u16,
}

#[derive(Debug)]
struct Open {
    file: File,
    bytes: u64,
}

/// The open log.
#[derive(Debug)]
pub struct AuditLog {
    path: PathBuf,
    open: Mutex<Open>,
}

impl AuditLog {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(&path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { path, open: Mutex::new(Open { file, bytes }) })
    }

    /// Writes a line. Blocks.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, record: &AuditRecord<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut open = self.open.lock();
        if open.bytes >= FILE_BYTES_MAX {
            fs::rename(&self.path, self.path.with_extension("log.1"))?;
            open.file = OpenOptions::new().create(true).append(true).open(&self.path)?;
            open.bytes = 0;
        }
        open.file.write_all(&line)?;
        open.bytes += line.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_makes_room_for_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = AuditLog::open(path.clone()).unwrap();
        let record = |path| AuditRecord {
            time: "2026-01-01T00:00:00.000Z".to_owned(),
            request: "r",
            user: Some("a"),
            peer: "127.0.0.1".to_owned(),
            method: "POST",
            path,
            status: 200,
        };
        log.write(&record("/one")).unwrap();
        log.open.lock().bytes = FILE_BYTES_MAX;
        log.write(&record("/two")).unwrap();
        let now = fs::read_to_string(&path).unwrap();
        assert!(now.contains("\"path\":\"/two\"") && now.lines().count() == 1, "{now}");
        assert!(fs::read_to_string(folder.path().join("audit.log.1")).unwrap().contains("/one"));
    }
}
