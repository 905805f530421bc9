//! A shard: its partitions' series behind one lock, the thread that works on them, and the door that leads to both.

mod accounting;
mod batch;
mod distinct;
mod door;
mod foresee;
mod keep;
mod ladder;
mod models_file;
mod observations;
mod peers;
pub mod questions;
pub mod rests;
mod score;
mod scoring;
mod series_slots;
mod set_aside;
mod shared_bytes;
mod silence;
mod sketch;
mod stillness;
mod timer;
mod window;
mod worker;

pub use accounting::rejections;
pub use batch::{Batch, BatchPool, Learnt, Reply, Stored, Submission};
pub use distinct::Distinct;
pub use door::ShardDoor;
pub use observations::{Observations, Observed};
pub use peers::Peers;
pub use questions::{ModelBoard, Summary};
pub use score::ScoringContext;
pub use shared_bytes::{BytesPool, SharedBytes};
pub use timer::{Quantiles, Timer};
pub use window::WindowSettings;
pub use worker::{ShardHandle, spawn};

/// What the store says of a batch, for those who sent one.
pub use storage::{StoreError, Tally, route, route_known};
