//! Work that may take a while, off the async threads: bounded in number and time, stopped when nobody waits for it.
//!
//! Not here: what is done.
//!
//! Invariant: a permit is held until the blocking thread is done, not until the answer was given up.

use super::Shared;
use super::answer::ApiError;
use crate::query::Cancel;
use std::sync::Arc;
use std::time::Duration;

/// Stops the work when the future that awaits it is dropped: when its time is up, or when the client went away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Runs `work` on a blocking thread once a permit is free; all within the time that a query may take.
pub(super) async fn run<T: Send + 'static>(
    shared: Arc<Shared>,
    work: impl FnOnce(&Shared, &Cancel) -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    let cancel = Cancel::default();
    let guard = CancelOnDrop(cancel.clone());
    let timeout = Duration::from_millis(shared.api.query.timeout_ms);
    let running = async move {
        let permit = Arc::clone(&shared.permits).acquire_owned().await.map_err(|error| ApiError::internal(&error))?;
        let blocking = tokio::task::spawn_blocking(move || {
            let _held_until_done = permit;
            work(&shared, &cancel)
        });
        blocking.await.map_err(|error| ApiError::internal(&error))?
    };
    let result = tokio::time::timeout(timeout, running).await;
    drop(guard);
    let late =
        || ApiError::unavailable("the request took longer than query.timeout; ask for fewer series or less time");
    result.unwrap_or_else(|_| Err(late()))
}

/// Fails once nobody waits for the answer any more.
pub(super) fn check(cancel: &Cancel) -> Result<(), ApiError> {
    if cancel.is_cancelled() { Err(ApiError::unavailable("the request was given up")) } else { Ok(()) }
}
