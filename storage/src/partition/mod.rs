//! A partition: one of 64 slices of the key space, with its catalog and the open heads of its series.
//!
//! `owner` is the side of the shard that owns it, `view` the side every reader sees, `snapshot` what a checkpoint
//! takes from the one and recovery gives back.

mod owner;
mod pages;
mod snapshot;
mod view;

pub(crate) use owner::{AppendContext, Outcome, Partition};
pub(crate) use snapshot::{PartitionSnapshot, SeriesState};
pub(crate) use view::{PartitionView, SeriesView};
