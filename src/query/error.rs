//! What can go wrong with a query, sorted by whose fault it is; the API maps each kind to one status code.
//!
//! Not here: status codes (see `api::prometheus`), the store's own failures in detail.

use storage::StoreError;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The request cannot be understood: a syntax error, a wrong type, a bad time.
    #[error("{0}")]
    BadData(String),
    /// The expression is well formed and cannot be executed on these data, or only beyond a limit.
    #[error("{0}")]
    Execution(String),
    /// Other queries hold the memory that this one needs.
    #[error("the queries in flight hold all the memory that query.memory_max allows them; ask again in a moment")]
    Crowded,
    /// The query took longer than `query.timeout`.
    #[error("query timed out, see query.timeout")]
    Timeout,
    /// Whoever asked no longer waits for the answer.
    #[error("query was canceled")]
    Canceled,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl QueryError {
    /// A failure that the expression and the data at hand cause together.
    pub(crate) fn execution(what: impl Into<String>) -> Self {
        Self::Execution(what.into())
    }

    /// A failure that the request alone causes.
    pub(crate) fn bad_data(what: impl Into<String>) -> Self {
        Self::BadData(what.into())
    }
}
