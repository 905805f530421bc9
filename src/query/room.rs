//! What all queries share: room in memory for what those in flight hold together, answers that are kept, and what computes
//! series that are not stored.
//!
//! A query takes room before it fills it and gives it back as it goes on; what it still has when its [`Share`] is
//! dropped goes back then. A query does not wait for room with a share in its hands: queries that each hold a part and
//! wait for the rest would wait for each other. It fails, and whoever asked runs it again.
//!
//! Not here: what one query may hold (see `limits`), how many run at once (see `api::prometheus`).
//!
//! Invariant: the room taken is the sum of all shares, however queries end.

use super::computed::Computes;
use super::error::QueryError;
use super::kept::KeptAnswers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// The room, and what happens in it.
#[derive(Debug)]
pub struct Room {
    bytes_max: u64,
    bytes: AtomicU64,
    in_flight: AtomicU64,
    crowded_out: AtomicU64,
    kept: KeptAnswers,
    computes: OnceLock<Arc<dyn Computes>>,
}

impl Room {
    /// A room of so many bytes, and none for answers that are kept.
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Self::with_answers(bytes_max, 0)
    }

    /// The same, and so many more for answers that are kept.
    pub fn with_answers(bytes_max: u64, kept_bytes_max: usize) -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        let kept = KeptAnswers::new(kept_bytes_max);
        let computes = OnceLock::new();
        Arc::new(Self { bytes_max, bytes: zero(), in_flight: zero(), crowded_out: zero(), kept, computes })
    }

    /// Lets all queries choose what is computed beside what is stored; only the first to be given counts.
    pub fn compute_by(&self, computes: Arc<dyn Computes>) {
        self.computes.get_or_init(|| computes);
    }

    /// Answers given before.
    pub fn kept(&self) -> &KeptAnswers {
        &self.kept
    }

    /// The share of a query that begins; it holds nothing yet.
    pub fn share(self: &Arc<Self>) -> Share {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Share { room: Arc::clone(self), bytes: AtomicU64::new(0) }
    }

    /// Bytes that queries hold now.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Queries in flight now.
    pub fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Evaluations so far that found no room.
    pub fn crowded_out(&self) -> u64 {
        self.crowded_out.load(Ordering::Relaxed)
    }
}

/// What one query has taken of the room.
#[derive(Debug)]
pub struct Share {
    room: Arc<Room>,
    bytes: AtomicU64,
}

impl Share {
    /// What computes series, if something does.
    pub fn computes(&self) -> Option<&dyn Computes> {
        self.room.computes.get().map(|computes| &**computes)
    }

    /// Takes room.
    ///
    /// # Errors
    /// When there is not so much left; what was asked for counts as taken until the share is dropped.
    pub fn take(&self, bytes: u64) -> Result<(), QueryError> {
        let own = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let all = self.room.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let max = self.room.bytes_max;
        if all <= max {
            return Ok(());
        }
        self.room.crowded_out.fetch_add(1, Ordering::Relaxed);
        if own > max {
            return Err(QueryError::Execution(format!(
                "the query needs more than the {max} bytes that all queries together may hold; ask for fewer series, a \
                 shorter range or a larger step, or raise query.memory_max"
            )));
        }
        Err(QueryError::Crowded)
    }

    /// Gives room back.
    pub fn give(&self, bytes: u64) {
        let before =
            self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |own| Some(own.saturating_sub(bytes)));
        let given = before.map_or(0, |own| own.min(bytes));
        self.room.bytes.fetch_sub(given, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
        self.room.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_share_the_room_and_give_it_back() {
        let room = Room::new(100);
        let (first, second) = (room.share(), room.share());
        assert!(first.take(60).is_ok() && second.take(40).is_ok());
        assert!(matches!(second.take(1), Err(QueryError::Crowded)));
        first.give(30);
        assert_eq!((room.bytes(), room.in_flight(), room.crowded_out()), (71, 2, 1));
        drop(second);
        assert_eq!((room.bytes(), room.in_flight()), (30, 1));
        first.give(1000);
        assert_eq!(room.bytes(), 0);
    }

    #[test]
    fn a_query_that_is_too_large_by_itself_is_told_so() {
        let room = Room::new(100);
        let error = room.share().take(101).unwrap_err().to_string();
        assert!(error.contains("query.memory_max"), "{error}");
        assert_eq!((room.bytes(), room.in_flight()), (0, 0));
    }
}
