//! Samples that rules make of others, on the same way to the shards as those that come from outside.
//!
//! Not here: rules (see `rules`).
//!
//! Invariant: every sample is counted as received, and by what became of it.

use super::lane::Lanes;
use super::outcome;
use crate::self_metrics::{Rejection, SelfMetrics, Source};
use crate::shard::rejections;
use storage::series::KeyBuilder;

/// Why not everything was written.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    /// The shards took none of it.
    #[error("{0}")]
    NotStored(String),
    /// The shards refused some.
    #[error("{0} of the samples were refused: {1}")]
    Refused(u64, String),
}

/// Writes samples, each with its series' labels, and waits until they are durable.
///
/// # Errors
/// When some could not be written; the others are.
pub async fn record<'a, L>(
    lanes: &Lanes,
    metrics: &SelfMetrics,
    samples: impl Iterator<Item = (L, i64, f64)>,
) -> Result<(), NotRecorded>
where
    L: Iterator<Item = (&'a str, &'a str)>,
{
    let mut lane = lanes.lane();
    let mut keys = KeyBuilder::default();
    let (mut received, mut refused) = (0, 0);
    for (labels, time_ms, value) in samples {
        received += 1;
        keys.clear();
        labels.for_each(|(name, text)| keys.push(name, text));
        match keys.finish() {
            Ok(key) => {
                lane.series(key);
                lane.sample(time_ms, value);
            }
            Err(_) => refused += 1,
        }
    }
    let counters = metrics.of(Source::Rules);
    counters.add_received(received);
    counters.add_rejected(Rejection::BadSeries, refused);
    let stored = outcome::store(lane, Source::Rules, metrics).await;
    let tally = stored.map_err(|error| NotRecorded::NotStored(error.to_string()))?.tally;
    let why: Vec<_> = rejections(&tally).into_iter().filter(|(_, count)| *count > 0).collect();
    let by_shards: u64 = why.iter().map(|(_, count)| count).sum();
    match refused + by_shards + tally.late {
        0 => Ok(()),
        count => {
            let mut words: Vec<_> = why.iter().map(|(reason, _)| reason.explained()).collect();
            words.extend((tally.late > 0).then_some("older than storage.out_of_order allows"));
            words.extend((refused > 0).then_some("labels that make no series"));
            Err(NotRecorded::Refused(count, words.join("; ")))
        }
    }
}
