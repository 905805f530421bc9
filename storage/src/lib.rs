//! A sharded columnar store for samples that has never heard of any protocol.
//!
//! ```text
//!  append ── shard_store ── catalog (key -> id) ── head (open columns) ── chunk (sealed) ── blocks ── disk (sled)
//!               │                  │                    │                                     ▲
//!               │                  └── label_index      └── shared with readers               │
//!               └── journal (one committer, group fdatasync) ── checkpoint ───────────────────┘
//! ```
//!
//! Read in this order: `series`, `sample`, `shard_store`, `head`, `chunk`, `journal`, `checkpoint`, `blocks`, `store`.
//! Every byte on disk is drawn in `storage/FORMAT.md`.

pub mod blocks;
pub mod catalog_blocks;
pub mod chunk;
pub mod disk;
mod error;
pub mod journal;
pub mod label_index;
pub mod sample;
pub mod series;
mod store;

pub use error::StoreError;
pub use store::{SelectedSeries, Store};
