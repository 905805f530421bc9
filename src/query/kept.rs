//! Answers of range queries that are kept, to be given again to whoever asks the same, as long as what they were computed
//! from reads the same.
//!
//! Keeping decoded blocks instead would not pay: decoding is 3 ns of the 10 to 17 ns that a sample of a large query takes
//! (`docs/benchmarks.md`), so that a query whose blocks are all kept takes two thirds of the time, and a sample 16 bytes
//! of memory instead of 1.2.
//!
//! Not here: what is still true of them (see `storage::Store::is_unchanged`), how an answer is written.
//!
//! Invariants: an answer that is given is the one that evaluation would give; what is kept is at most `bytes_max`, those
//! asked for longest ago leave first; no answer takes more than an eighth of it.

use super::answer::{Prepared, RangeTimes};
use super::room::Room;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::Store;

/// What an answer takes beside its text and its expression, with its place in two tables.
const ENTRY_BYTES: usize = 256;
/// No answer may take more than this part of what all may.
const SHARE: usize = 8;

/// A range query, by all that its answer depends on beside samples.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// The expression as it was written.
    pub expression: String,
    /// The instants.
    pub times: RangeTimes,
    /// How far back an instant selector looks.
    pub lookback_ms: i64,
}

/// The answers.
#[derive(Debug, Default)]
pub struct KeptAnswers {
    bytes_max: usize,
    kept: Mutex<Kept>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    answers: HashMap<Arc<Asked>, Answer>,
    /// By when they were asked for last.
    by_use: BTreeMap<u64, Arc<Asked>>,
    uses: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Answer {
    text: Bytes,
    used: u64,
    version: u64,
    until_ms: i64,
}

impl Kept {
    fn remove(&mut self, asked: &Asked) {
        if let Some((asked, answer)) = self.answers.remove_entry(asked) {
            self.by_use.remove(&answer.used);
            self.bytes -= size(&asked, answer.text.len());
        }
    }

    /// The next number of a use.
    fn next_use(&mut self) -> u64 {
        self.uses += 1;
        self.uses
    }
}

fn size(asked: &Asked, text_len: usize) -> usize {
    ENTRY_BYTES + asked.expression.len() + text_len
}

impl KeptAnswers {
    /// None yet, and never more than so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, ..Self::default() }
    }

    /// The answer to a query, if it is kept and still holds.
    pub fn get(&self, asked: &Asked, store: &Store) -> Option<Bytes> {
        let found = self.find(asked, |version, until_ms| store.is_unchanged(version, until_ms));
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    fn find(&self, asked: &Asked, holds: impl Fn(u64, i64) -> bool) -> Option<Bytes> {
        let mut kept = self.kept();
        let used = kept.next_use();
        let answer = kept.answers.get_mut(asked)?;
        if !holds(answer.version, answer.until_ms) {
            kept.remove(asked);
            return None;
        }
        let (text, before) = (answer.text.clone(), std::mem::replace(&mut answer.used, used));
        if let Some(asked) = kept.by_use.remove(&before) {
            kept.by_use.insert(used, asked);
        }
        Some(text)
    }

    fn put(&self, asked: Asked, text: Bytes, version: u64, until_ms: i64) {
        if size(&asked, text.len()) > self.bytes_max / SHARE {
            return;
        }
        let mut kept = self.kept();
        kept.remove(&asked);
        let used = kept.next_use();
        kept.bytes += size(&asked, text.len());
        let asked = Arc::new(asked);
        kept.by_use.insert(used, Arc::clone(&asked));
        kept.answers.insert(asked, Answer { text, used, version, until_ms });
        while kept.bytes > self.bytes_max
            && let Some((_, oldest)) = kept.by_use.first_key_value()
        {
            let oldest = Arc::clone(oldest);
            kept.remove(&oldest);
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queries so far that were answered from here.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Range queries so far that were not.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }

    /// Bytes that the answers take now.
    pub fn bytes(&self) -> usize {
        self.kept().bytes
    }
}

/// An answer under way that is kept once it is whole.
#[derive(Debug)]
pub struct Keeping {
    room: Arc<Room>,
    asked: Asked,
    version: u64,
    until_ms: i64,
    pieces: Vec<Bytes>,
    /// None once it is too long.
    left: Option<usize>,
}

impl Keeping {
    /// Of an answer to `asked` that `prepared` will give; `version` is the store's, from before it was prepared.
    pub fn new(room: &Arc<Room>, asked: Asked, prepared: &Prepared, version: u64) -> Self {
        let left = Some(room.kept().bytes_max / SHARE);
        Self { room: Arc::clone(room), asked, version, until_ms: prepared.until_ms(), pieces: Vec::new(), left }
    }

    /// Takes the next piece of its text.
    pub fn add(&mut self, piece: &Bytes) {
        self.left = self.left.and_then(|left| left.checked_sub(piece.len()));
        match self.left {
            Some(_) => self.pieces.push(piece.clone()),
            None => self.pieces = Vec::new(),
        }
    }

    /// Keeps it: it is whole.
    pub fn finish(mut self) {
        if self.left.is_none() {
            return;
        }
        let text = match self.pieces.len() {
            1 => self.pieces.swap_remove(0),
            _ => Bytes::from(self.pieces.concat()),
        };
        self.room.kept().put(self.asked, text, self.version, self.until_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str) -> Asked {
        let times = RangeTimes { start_ms: 0, end_ms: 10, step_ms: 1 };
        Asked { expression: name.to_owned(), times, lookback_ms: 5 }
    }

    fn holds(_: u64, _: i64) -> bool {
        true
    }

    #[test]
    fn an_answer_is_given_to_the_same_question_only_and_only_while_it_holds() {
        let answers = KeptAnswers::new(1 << 16);
        answers.put(asked("up"), Bytes::from_static(b"1"), 7, 10);
        assert_eq!(answers.find(&asked("up"), holds).as_deref(), Some(&b"1"[..]));
        assert_eq!(answers.find(&asked("down"), holds), None);
        assert_eq!(answers.find(&Asked { lookback_ms: 6, ..asked("up") }, holds), None);
        answers.put(asked("up"), Bytes::from_static(b"2"), 8, 10);
        assert_eq!(
            answers.find(&asked("up"), |version, until_ms| (version, until_ms) == (8, 10)).as_deref(),
            Some(&b"2"[..])
        );
        assert_eq!(answers.find(&asked("up"), |_, _| false), None);
        assert_eq!(answers.find(&asked("up"), holds), None, "what no longer holds is gone");
        assert_eq!(answers.bytes(), 0);
    }

    #[test]
    fn those_asked_for_longest_ago_leave_and_long_ones_never_come() {
        let answers = KeptAnswers::new(8 * (ENTRY_BYTES + 1 + 100));
        let text = Bytes::from(vec![b'x'; 100]);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
            answers.put(asked(name), text.clone(), 0, 0);
        }
        assert!(answers.find(&asked("a"), holds).is_some());
        answers.put(asked("i"), text.clone(), 0, 0);
        assert!(answers.find(&asked("a"), holds).is_some() && answers.find(&asked("b"), holds).is_none());
        answers.put(asked("j"), Bytes::from(vec![b'x'; 101]), 0, 0);
        assert!(answers.find(&asked("j"), holds).is_none(), "more than an eighth");
        let kept = answers.kept();
        assert_eq!((kept.answers.len(), kept.by_use.len()), (8, 8));
        assert_eq!(kept.bytes, 8 * (ENTRY_BYTES + 1 + 100));
    }

    #[test]
    fn nothing_is_kept_without_room() {
        let answers = KeptAnswers::new(0);
        answers.put(asked("up"), Bytes::new(), 0, 0);
        assert_eq!(answers.bytes(), 0);
    }
}
