//! Bytes become batches: one file a source, and the private lanes by which their samples reach the shards.

mod lane;
pub mod remote_write;
mod translate;

pub use lane::{Lane, Lanes, SendError};
