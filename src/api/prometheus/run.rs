//! Running a query beside the async threads: bounded in number and time, cancelled when nobody waits for it any more.
//!
//! A query that can only be over few series is understood and its series are looked up where the request came in, with the
//! thread's other tasks handed to another thread meanwhile. If it turns out small it is answered there: waking a thread for
//! it, and being woken by it, would take longer than the work (two wake-ups of 20 to 50 us against some 50 us). Any other
//! goes to a reading thread, and one that may be over many series is looked up there too: looking up a hundred thousand
//! takes tens of milliseconds, in which twenty such requests would leave no core to those who write.
//!
//! Not here: what is run, how its text reaches the connection (see `out`).
//!
//! Invariant: a permit is held until the reading thread has evaluated, not until the answer was given up, so that queries
//! which have timed out and are about to stop still count, and while it takes its time a second one, of which there are few,
//! so that many heavy queries leave a core to those who write; a place among the writers until the answer is written. A
//! query's share of the memory is held until then too. Narrow queries never wait for wide ones.

use super::envelope::{ApiError, Reply};
use super::out::{self, Begun, Out};
use super::{NARROW_SERIES, Shared};
use crate::query::{Cancel, QueryError, Share};
use axum::response::Response;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

/// Cancels its query when it is dropped: on a timeout, or because the client went away.
struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// Whether somebody still waits, and what may be held.
pub(super) type Bounds<'a> = (&'a Cancel, &'a Share);

/// The rest of a request that may take its time.
pub(super) type Rest = Box<dyn FnOnce(&Shared, Bounds<'_>) -> Result<Reply, QueryError> + Send>;

/// What is left of a request once it was looked at.
pub(super) enum Step {
    /// To write a short answer.
    Short(Reply),
    /// To find and write one that may be long or take long.
    Long(Rest),
}

/// How long a connection may take nothing of an answer.
const STALL: Duration = Duration::from_secs(30);

/// How long a query waits between two attempts to find room, once it is first in turn.
const ROOM_PAUSE: Duration = Duration::from_millis(20);

/// Runs `work`, which is over no more than `reach` series, once a permit is free, and begins to answer; all within
/// `timeout_ms`, or the configured limit if less. One that finds no room in memory waits for its turn and is run again.
pub(super) async fn run(
    shared: &Arc<Shared>,
    reach: u64,
    timeout_ms: Option<i64>,
    work: impl Fn(&Shared, Bounds<'_>) -> Result<Step, QueryError> + Send + Sync + 'static,
) -> Result<Response, ApiError> {
    let work = Arc::new(work);
    let most_ms = shared.api.query.timeout_ms;
    let timeout_ms = timeout_ms.map_or(most_ms, |ms| most_ms.min(ms.max(0) as u64));
    if timeout_ms == 0 {
        return Err(QueryError::Timeout.into());
    }
    let cancel = Cancel::default();
    let guard = CancelOnDrop(cancel.clone());
    let is_crowded = AtomicBool::new(false);
    let running = async {
        let mut turn = None;
        loop {
            match attempt(shared, reach, &cancel, &work).await? {
                Some(begun) => return Ok::<_, ApiError>(begun),
                None if turn.is_some() => tokio::time::sleep(ROOM_PAUSE).await,
                None => {
                    is_crowded.store(true, Ordering::Relaxed);
                    turn = Some(shared.turns.acquire().await.expect("the semaphore is never closed"));
                }
            }
        }
    };
    let begun = tokio::time::timeout(Duration::from_millis(timeout_ms), running).await;
    match begun {
        Ok(begun) => Ok(out::response(begun?, guard)),
        Err(_) if is_crowded.load(Ordering::Relaxed) => Err(QueryError::Crowded.into()),
        Err(_) => Err(QueryError::Timeout.into()),
    }
}

/// The beginning of the answer, or none when other queries hold the memory that it needs.
async fn attempt(
    shared: &Arc<Shared>,
    reach: u64,
    cancel: &Cancel,
    work: &Arc<impl Fn(&Shared, Bounds<'_>) -> Result<Step, QueryError> + Send + Sync + 'static>,
) -> Result<Option<Begun>, ApiError> {
    let is_wide = reach > NARROW_SERIES;
    let lane = if is_wide { &shared.wide } else { &shared.narrow };
    let permit = Arc::clone(&lane.permits).acquire_owned().await.expect("the semaphore is never closed");
    let share = shared.api.room.share();
    let rest = match is_wide {
        true => looked_up_later(Arc::clone(work)),
        false => match in_place(|| look(shared, (cancel, &share), work.as_ref())) {
            Ok(Looked::Whole(whole)) => return Ok(Some(whole)),
            Ok(Looked::Rest(rest)) => rest,
            Err(QueryError::Crowded) => return Ok(None),
            Err(error) => return Err(error.into()),
        },
    };
    let evaluating = Arc::clone(&lane.evaluating).acquire_owned().await.expect("the semaphore is never closed");
    let (begin, begun) = oneshot::channel();
    let (threads, runtime) = (shared.api.threads.clone(), Handle::current());
    let (shared, cancel) = (Arc::clone(shared), cancel.clone());
    let reading = threads.lend(move || {
        let reply = rest(&shared, (&cancel, &share))?;
        drop(evaluating);
        // Whoever takes a long answer slowly holds a writer's place, and keeps no other from being evaluated.
        let writer = runtime.block_on(Arc::clone(&shared.writers).acquire_owned());
        drop(permit);
        let patience = Duration::from_millis(shared.api.query.timeout_ms).min(STALL);
        let mut out = Out::to(begin, patience, Arc::clone(&shared.writers));
        reply(&mut out);
        out.finish();
        drop(writer);
        Ok::<_, QueryError>(())
    });
    match begun.await {
        Ok(begun) => Ok(Some(begun)),
        // Nothing was begun, so the thread has failed and says why.
        Err(_) => match reading.await {
            Ok(Err(QueryError::Crowded)) => Ok(None),
            Ok(Err(error)) => Err(ApiError::from(error)),
            _ => Err(ApiError::internal("the query failed unexpectedly")),
        },
    }
}

/// Does all of a request where it may take its time.
fn looked_up_later(
    work: Arc<impl Fn(&Shared, Bounds<'_>) -> Result<Step, QueryError> + Send + Sync + 'static>,
) -> Rest {
    Box::new(move |shared, bounds| match work(shared, bounds)? {
        Step::Short(reply) => Ok(reply),
        Step::Long(rest) => rest(shared, bounds),
    })
}

/// Looks at a request, and answers it if it is small.
fn look(
    shared: &Shared,
    bounds: Bounds<'_>,
    work: &impl Fn(&Shared, Bounds<'_>) -> Result<Step, QueryError>,
) -> Result<Looked, QueryError> {
    match work(shared, bounds)? {
        Step::Short(reply) => {
            let mut out = Out::whole();
            reply(&mut out);
            Ok(Looked::Whole(Begun::Whole(out.into_text())))
        }
        Step::Long(rest) => Ok(Looked::Rest(rest)),
    }
}

/// What looking at a request came to.
enum Looked {
    Whole(Begun),
    Rest(Rest),
}

/// Does work on this thread while another takes over its tasks, where there is another.
fn in_place<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
