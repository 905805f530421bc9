//! Changes that people and programs tell of, InfraWatch itself among them: deployments, new settings, scaling; kept as a file of lines.
//!
//! ```text
//! events/events.jsonl    one JSON object a line; of two lines with one id the later counts
//! ```
//!
//! Not here: what an anomaly makes of them.
//!
//! Invariants: an event's id follows from what it says, so telling it again does not double it; what [`ChangeEvents::add`]
//! returned is on disk; at most so many are kept, the earliest leave; a line that cannot be read is counted and passed over.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Lines a file may have more than there are events, before it is written anew.
const OUTDATED_MAX: usize = 1000;

/// What was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// Software was rolled out.
    Deploy,
    /// Settings were changed.
    Config,
    /// Capacity was added or removed.
    Scale,
    /// InfraWatch's own models were calibrated anew, or no longer fit.
    Model,
    /// Anything else.
    Other,
}

impl ChangeKind {
    /// Every kind by its word.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("deploy", Self::Deploy),
        ("config", Self::Config),
        ("scale", Self::Scale),
        ("model", Self::Model),
        ("other", Self::Other),
    ];
}

/// One change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// 16 hexadecimal digits.
    pub id: String,
    /// When, in milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// What was changed.
    pub kind: ChangeKind,
    /// A line for people.
    pub title: String,
    /// Where it was changed.
    pub labels: BTreeMap<String, String>,
}

impl ChangeEvent {
    /// With the id that follows from the rest.
    pub fn new(time_ms: i64, kind: ChangeKind, title: String, labels: BTreeMap<String, String>) -> Self {
        let said = serde_json::to_vec(&(time_ms, kind, &title, &labels)).unwrap_or_default();
        Self { id: format!("{:016x}", xxh3_64(&said)), time_ms, kind, title, labels }
    }
}

/// All events in order of time, and the file they are in.
#[derive(Debug)]
struct Kept {
    events: Vec<Arc<ChangeEvent>>,
    file: File,
    lines: usize,
}

/// The events of a folder; a cheap handle for all who ask or tell.
#[derive(Debug, Clone)]
pub struct ChangeEvents(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    events_max: usize,
    unreadable: usize,
    kept: Mutex<Kept>,
}

impl ChangeEvents {
    /// Opens the file of a folder, which is made if it is missing.
    ///
    /// # Errors
    /// When the file cannot be read or opened.
    pub fn open(folder: &Path, events_max: usize) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let path = folder.join("events.jsonl");
        let (mut events, mut lines, mut unreadable) = (BTreeMap::new(), 0, 0);
        let mut ends_in_a_line = true;
        if path.exists() {
            let mut reader = BufReader::new(File::open(&path)?);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                lines += 1;
                ends_in_a_line = line.last() == Some(&b'\n');
                match serde_json::from_slice::<ChangeEvent>(&line) {
                    Ok(event) => drop(events.insert(event.id.clone(), event)),
                    Err(_) => unreadable += 1,
                }
                line.clear();
            }
        }
        let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
        if !ends_in_a_line {
            // What a killed process left half-written must not swallow the next line.
            file.write_all(b"\n")?;
        }
        let mut events: Vec<_> = events.into_values().map(Arc::new).collect();
        events.sort_by_key(|event| event.time_ms);
        let surplus = events.len().saturating_sub(events_max);
        events.drain(..surplus);
        let kept = Mutex::new(Kept { events, file, lines });
        Ok(Self(Arc::new(Inner { path, events_max, unreadable, kept })))
    }

    /// Keeps an event; durable when it returns. Blocks.
    ///
    /// # Errors
    /// When it cannot be written; it is not kept then.
    pub fn add(&self, event: ChangeEvent) -> io::Result<Arc<ChangeEvent>> {
        let mut kept = self.0.kept.lock();
        if let Some(known) = kept.events.iter().find(|known| known.id == event.id) {
            return Ok(known.clone());
        }
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        kept.file.write_all(&line)?;
        kept.file.sync_data()?;
        kept.lines += 1;
        let event = Arc::new(event);
        let at = kept.events.partition_point(|known| known.time_ms <= event.time_ms);
        kept.events.insert(at, event.clone());
        if kept.events.len() > self.0.events_max {
            kept.events.remove(0);
        }
        if kept.lines > kept.events.len() + OUTDATED_MAX {
            self.rewrite(&mut kept)?;
        }
        Ok(event)
    }

    fn rewrite(&self, kept: &mut Kept) -> io::Result<()> {
        let new = self.0.path.with_extension("new");
        let mut out = io::BufWriter::new(File::create(&new)?);
        for event in &kept.events {
            serde_json::to_writer(&mut out, &**event)?;
            out.write_all(b"\n")?;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&new, &self.0.path)?;
        kept.file = OpenOptions::new().append(true).open(&self.0.path)?;
        kept.lines = kept.events.len();
        Ok(())
    }

    /// The events, the earliest first.
    pub fn all(&self) -> Vec<Arc<ChangeEvent>> {
        self.0.kept.lock().events.clone()
    }

    /// Lines that could not be read when the file was opened.
    pub fn unreadable(&self) -> usize {
        self.0.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ms: i64, title: &str) -> ChangeEvent {
        ChangeEvent::new(time_ms, ChangeKind::Deploy, title.to_owned(), BTreeMap::from([("a".into(), "b".into())]))
    }

    fn titles(events: &ChangeEvents) -> Vec<String> {
        events.all().iter().map(|event| event.title.clone()).collect()
    }

    #[test]
    fn events_stand_in_order_of_time_and_are_there_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let events = ChangeEvents::open(folder.path(), 10).unwrap();
        for (time_ms, title) in [(3, "c"), (1, "a"), (2, "b")] {
            events.add(event(time_ms, title)).unwrap();
        }
        assert_eq!(titles(&events), ["a", "b", "c"]);
        let again = ChangeEvents::open(folder.path(), 10).unwrap();
        assert_eq!(again.all(), events.all());
    }

    #[test]
    fn telling_it_again_does_not_double_it() {
        let folder = tempfile::tempdir().unwrap();
        let events = ChangeEvents::open(folder.path(), 10).unwrap();
        assert_eq!(events.add(event(1, "a")).unwrap(), events.add(event(1, "a")).unwrap());
        assert_eq!(titles(&events), ["a"]);
        assert_ne!(event(1, "a").id, event(1, "b").id);
    }

    #[test]
    fn a_torn_line_is_passed_over_and_the_next_one_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        ChangeEvents::open(folder.path(), 10).unwrap().add(event(1, "a")).unwrap();
        let path = folder.path().join("events.jsonl");
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{whole}{}", &whole[..20])).unwrap();
        let events = ChangeEvents::open(folder.path(), 10).unwrap();
        assert_eq!((titles(&events), events.unreadable()), (vec!["a".to_owned()], 1));
        events.add(event(2, "b")).unwrap();
        assert_eq!(titles(&ChangeEvents::open(folder.path(), 10).unwrap()), ["a", "b"]);
    }

    #[test]
    fn the_earliest_leave_and_the_file_does_not_grow_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let events = ChangeEvents::open(folder.path(), 2).unwrap();
        let mut kept = events.0.kept.lock();
        kept.lines = OUTDATED_MAX + 2;
        drop(kept);
        (0..4).for_each(|at| drop(events.add(event(at, &at.to_string())).unwrap()));
        assert_eq!(titles(&events), ["2", "3"]);
        assert!(fs::read_to_string(folder.path().join("events.jsonl")).unwrap().lines().count() <= 4);
        assert_eq!(titles(&ChangeEvents::open(folder.path(), 2).unwrap()), ["2", "3"]);
    }
}
