//! Running a query off the async threads: bounded in number and time, cancelled when nobody waits for it any more.
//!
//! Not here: what is run.
//!
//! Invariant: a permit is held until the blocking thread is done, not until the answer was given up, so that queries
//! which have timed out and are about to stop still count.

use super::Shared;
use super::envelope::ApiError;
use crate::query::{Cancel, QueryError};
use std::sync::Arc;
use std::time::Duration;

/// Cancels its query when the future that awaits it is dropped: on a timeout, or because the client went away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on a blocking thread once a permit is free; all within `timeout_ms`, or the configured limit if less.
pub(super) async fn run<T: Send + 'static>(
    shared: &Arc<Shared>,
    timeout_ms: Option<i64>,
    work: impl FnOnce(&Shared, &Cancel) -> Result<T, QueryError> + Send + 'static,
) -> Result<T, ApiError> {
    let most_ms = shared.api.query.timeout_ms;
    let timeout_ms = timeout_ms.map_or(most_ms, |ms| most_ms.min(ms.max(0) as u64));
    let cancel = Cancel::default();
    let guard = CancelOnDrop(cancel.clone());
    let shared = Arc::clone(shared);
    let running = async move {
        let permit = Arc::clone(&shared.permits).acquire_owned().await.expect("the semaphore is never closed");
        let blocking = tokio::task::spawn_blocking(move || {
            let _held_until_done = permit;
            work(&shared, &cancel)
        });
        blocking.await.map_err(|_| ApiError::internal("the query failed unexpectedly"))?.map_err(ApiError::from)
    };
    let result = tokio::time::timeout(Duration::from_millis(timeout_ms), running).await;
    drop(guard);
    result.unwrap_or_else(|_| Err(QueryError::Timeout.into()))
}
