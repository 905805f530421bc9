//! Sends a lane's batches to their shards and waits until every one of them is durable or refused.
//!
//! Not here: what a sender is answered (each source says it in its own protocol's words).
//!
//! Invariant: every sample of the lane is counted: by its shard, or here as dropped.

use super::lane::{Lane, SendError};
use crate::self_metrics::{DropReason, SelfMetrics, Source};
use crate::shard::{Reply, StoreError, Stored};
use tokio::sync::mpsc;

/// Why not everything was stored; sending it again is right and harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStored {
    #[error("too busy at present, send again")]
    Busy,
    #[error("shutting down, send again later")]
    Closing,
    #[error("not stored, send again: {0}")]
    Failed(String),
}

/// Sends everything in the lane; what the shards made of it, once it is synced.
///
/// # Errors
/// When any batch did not get through; others may be stored all the same.
pub(super) async fn store(lane: Lane, source: Source, metrics: &SelfMetrics) -> Result<Stored, NotStored> {
    let counters = metrics.of(source);
    let mut refused = None;
    let mut waiting = lane.batches_len();
    let (answer, mut answers) = mpsc::channel::<Result<Stored, StoreError>>(waiting.max(1));
    let reply = || {
        let answer = answer.clone();
        let reply: Reply = Box::new(move |outcome| {
            // The request is gone only when its connection is; what it sent is stored all the same.
            let _ = answer.try_send(outcome);
        });
        reply
    };
    lane.send(source, reply, |error, samples| {
        let (reason, refusal) = match error {
            SendError::Full => (DropReason::QueueFull, NotStored::Busy),
            SendError::Closed => (DropReason::Shutdown, NotStored::Closing),
        };
        counters.add_dropped(reason, samples);
        refused = Some(refusal);
        waiting -= 1;
    });
    drop(answer);
    let mut stored = Stored::default();
    while let Some(outcome) = answers.recv().await {
        waiting -= 1;
        match outcome {
            Ok(one) => {
                stored.tally.add(&one.tally);
                stored.learnt.extend(one.learnt);
            }
            Err(error) => refused = Some(NotStored::Failed(error.to_string())),
        }
    }
    match refused {
        Some(refusal) => Err(refusal),
        // A shard that ended with the batch in its queue answers nothing.
        None if waiting > 0 => Err(NotStored::Closing),
        None => Ok(stored),
    }
}
