//! Running a query off the async threads: bounded in number and time, cancelled when nobody waits for it any more.
//!
//! Not here: what is run, how its text reaches the connection (see `out`).
//!
//! Invariant: a permit is held until the blocking thread is done, not until the answer was given up, so that queries
//! which have timed out and are about to stop still count.

use super::Shared;
use super::envelope::{ApiError, Reply};
use super::out::{self, Out};
use crate::query::{Cancel, QueryError};
use axum::response::Response;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Cancels its query when it is dropped: on a timeout, or because the client went away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on a blocking thread once a permit is free, and begins to answer; all within `timeout_ms`, or the
/// configured limit if less.
pub(super) async fn run(
    shared: &Arc<Shared>,
    timeout_ms: Option<i64>,
    work: impl FnOnce(&Shared, &Cancel) -> Result<Reply, QueryError> + Send + 'static,
) -> Result<Response, ApiError> {
    let most_ms = shared.api.query.timeout_ms;
    let timeout_ms = timeout_ms.map_or(most_ms, |ms| most_ms.min(ms.max(0) as u64));
    if timeout_ms == 0 {
        return Err(QueryError::Timeout.into());
    }
    let cancel = Cancel::default();
    let guard = CancelOnDrop(cancel.clone());
    let shared = Arc::clone(shared);
    let running = async move {
        let permit = Arc::clone(&shared.permits).acquire_owned().await.expect("the semaphore is never closed");
        let (begin, begun) = oneshot::channel();
        let blocking = tokio::task::spawn_blocking(move || {
            let _held_until_done = permit;
            let mut out = Out::to(begin);
            work(&shared, &cancel)?(&mut out);
            out.finish();
            Ok::<_, QueryError>(())
        });
        match begun.await {
            Ok(begun) => Ok(begun),
            // Nothing was begun, so the thread has failed and says why.
            Err(_) => match blocking.await {
                Ok(Err(error)) => Err(ApiError::from(error)),
                _ => Err(ApiError::internal("the query failed unexpectedly")),
            },
        }
    };
    match tokio::time::timeout(Duration::from_millis(timeout_ms), running).await {
        Ok(begun) => Ok(out::response(begun?, guard)),
        Err(_) => Err(QueryError::Timeout.into()),
    }
}
