//! Series that are computed when a query asks for them, beside those that are stored.
//!
//! Not here: what they are (see `forecasts::computed`), evaluating them, which is done as if they were stored.

use super::error::QueryError;
use std::fmt::Debug;
use std::sync::Arc;
use storage::label_index::Matcher;
use storage::sample::Samples;

/// One series that was computed.
#[derive(Debug, Clone)]
pub struct ComputedSeries {
    /// Canonical key bytes of its labels.
    pub key: Arc<[u8]>,
    /// Samples, ascending in time.
    pub samples: Samples,
}

/// Something that computes series.
pub trait Computes: Send + Sync + Debug {
    /// Whether these matchers choose what it computes, and so nothing that is stored; says so at once.
    fn claims(&self, matchers: &[Matcher]) -> bool;

    /// The keys of the series that matchers choose, without computing them: what there is to ask for.
    ///
    /// # Errors
    /// When the matchers make no sense, or what it takes cannot be read.
    fn list(&self, matchers: &[Matcher], stop: &dyn Fn() -> bool) -> Result<Vec<Arc<[u8]>>, QueryError>;

    /// The series that matchers choose, with their values at these instants, which ascend, as far as they have any.
    ///
    /// # Errors
    /// When the matchers make no sense, choose too much, or what it takes cannot be read.
    fn compute(
        &self,
        matchers: &[Matcher],
        instants: &[i64],
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<ComputedSeries>, QueryError>;
}
