//! What one query may cost, and how it is told to stop.
//!
//! Not here: a clock. Whoever starts a query decides when it has run too long and says so through [`Cancel`].
//!
//! Invariant: everything that loops over series or steps asks [`Budget::check`] between slices, so that a cancelled
//! query ends within one slice.

use super::computed::Computes;
use super::error::QueryError;
use super::notes::Notebook;
use super::room::Share;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use storage::label_index::Matcher;

/// Which edge of a range or of the lookback window belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantics {
    /// Prometheus 2.x: both edges belong to the window.
    #[default]
    Closed,
    /// Prometheus 3.x: a sample exactly at the left edge does not belong to the window.
    LeftOpen,
}

/// The settings of a query engine.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryLimits {
    /// Most points of one series in the answer of a range query.
    pub max_points: usize,
    /// Most samples a query may read from the store.
    pub max_samples_read: u64,
    /// Most values a query may hold in memory at once; eight bytes each.
    pub max_samples: u64,
    /// Most series one selector may choose.
    pub max_series: usize,
    /// Longest expression, in bytes.
    pub max_expression_bytes: usize,
    /// How far back an instant selector looks for a sample, in milliseconds.
    pub lookback_ms: i64,
    /// The step of a subquery that names none, in milliseconds.
    pub subquery_step_ms: i64,
    /// Window edges as Prometheus 2.x or 3.x has them.
    pub semantics: Semantics,
    /// How many queries run at the same time; others wait.
    pub max_concurrent: usize,
    /// Longest time from request to answer, in milliseconds, waiting included.
    pub timeout_ms: u64,
    /// Most bytes that all queries together may hold in memory.
    pub memory_max_bytes: u64,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_points: 11_000,
            max_samples_read: 500_000_000,
            max_samples: 50_000_000,
            max_series: 500_000,
            max_expression_bytes: 65_536,
            lookback_ms: 300_000,
            subquery_step_ms: 60_000,
            semantics: Semantics::Closed,
            max_concurrent: 20,
            timeout_ms: 120_000,
            memory_max_bytes: 1 << 30,
        }
    }
}

/// A flag that asks a running query to stop; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks the query to stop; it does so before its next slice of work.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the query was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// What one running query has used of its limits; shared by the threads that work on it.
#[derive(Debug)]
pub(crate) struct Budget<'a> {
    pub(crate) limits: &'a QueryLimits,
    cancel: &'a Cancel,
    /// What the query takes of the room that all share; none where it is alone.
    share: Option<&'a Share>,
    read: AtomicU64,
    held: AtomicU64,
    /// What the answer will have to say besides its values.
    pub(crate) notes: Notebook,
}

/// A value in memory.
const VALUE_BYTES: u64 = size_of::<f64>() as u64;

impl<'a> Budget<'a> {
    /// The budget of a query that shares its memory with no other.
    #[cfg(test)]
    pub(crate) fn new(limits: &'a QueryLimits, cancel: &'a Cancel) -> Self {
        Self::with(limits, cancel, None)
    }

    /// The budget of a query beside others.
    pub(crate) fn sharing(limits: &'a QueryLimits, cancel: &'a Cancel, share: &'a Share) -> Self {
        Self::with(limits, cancel, Some(share))
    }

    /// What computes the series that matchers choose, if they are not stored.
    pub(crate) fn computes(&self, matchers: &[Matcher]) -> Option<&'a dyn Computes> {
        self.share.and_then(Share::computes).filter(|computes| computes.claims(matchers))
    }

    fn with(limits: &'a QueryLimits, cancel: &'a Cancel, share: Option<&'a Share>) -> Self {
        let (read, held) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { limits, cancel, share, read, held, notes: Notebook::default() }
    }

    /// Fails once the query was cancelled.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() { Err(QueryError::Canceled) } else { Ok(()) }
    }

    /// Accounts for samples read from the store.
    pub(crate) fn read(&self, samples: usize) -> Result<(), QueryError> {
        let max = self.limits.max_samples_read;
        if self.read.fetch_add(samples as u64, Ordering::Relaxed) + samples as u64 > max {
            return Err(QueryError::Execution(format!(
                "the query reads more than {max} samples; ask for fewer series or a shorter range"
            )));
        }
        Ok(())
    }

    /// Accounts for values that now occupy memory.
    pub(crate) fn hold(&self, values: usize) -> Result<(), QueryError> {
        let max = self.limits.max_samples;
        if self.held.fetch_add(values as u64, Ordering::Relaxed) + values as u64 > max {
            return Err(QueryError::Execution(format!(
                "the query holds more than {max} values in memory; ask for fewer series, a shorter range or a larger \
                 step, or raise query.max_samples"
            )));
        }
        self.take_bytes(values as u64 * VALUE_BYTES)
    }

    /// Accounts for memory that holds no values of the query's result: buffers, labels, lists of series.
    pub(crate) fn take_bytes(&self, bytes: u64) -> Result<(), QueryError> {
        self.share.map_or(Ok(()), |share| share.take(bytes))
    }

    /// Accounts for such memory that was freed.
    pub(crate) fn give_bytes(&self, bytes: u64) {
        if let Some(share) = self.share {
            share.give(bytes);
        }
    }

    /// Accounts for values that were freed.
    pub(crate) fn release(&self, values: usize) {
        self.held.fetch_sub(values as u64, Ordering::Relaxed);
        self.give_bytes(values as u64 * VALUE_BYTES);
    }

    /// How many values are accounted for.
    pub(crate) fn held(&self) -> u64 {
        self.held.load(Ordering::Relaxed)
    }

    /// Sets the account back to `values` once intermediate results were freed.
    pub(crate) fn settle(&self, values: u64) {
        let before = self.held.swap(values, Ordering::Relaxed);
        self.give_bytes(before.saturating_sub(values) * VALUE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancelled_query_is_told_so() {
        let (limits, cancel) = (QueryLimits::default(), Cancel::default());
        let budget = Budget::new(&limits, &cancel);
        assert!(budget.check().is_ok());
        cancel.clone().cancel();
        assert!(matches!(budget.check(), Err(QueryError::Canceled)));
    }

    #[test]
    fn reading_and_holding_have_limits_of_their_own() {
        let limits = QueryLimits { max_samples_read: 10, max_samples: 5, ..QueryLimits::default() };
        let cancel = Cancel::default();
        let budget = Budget::new(&limits, &cancel);
        assert!(budget.read(10).is_ok());
        assert!(budget.read(1).unwrap_err().to_string().contains("reads more than 10 samples"));
        assert!(budget.hold(5).is_ok());
        budget.settle(2);
        assert_eq!(budget.held(), 2);
        assert!(budget.hold(3).is_ok());
        assert!(budget.hold(1).unwrap_err().to_string().contains("query.max_samples"));
    }
}
