//! A shard: one thread that owns its partitions' series, and the queue that leads to it.

mod accounting;
mod batch;
mod worker;

pub use accounting::rejections;
pub use batch::{Batch, BatchPool, Reply, Submission};
pub use worker::{ShardHandle, spawn};

/// What the store says of a batch, for those who sent one.
pub use storage::{StoreError, Tally, route};
