//! A sharded columnar store for samples that has never heard of any protocol.
//!
//! ```text
//!  append ── shard_store ── partition (key -> id) ── head (open columns) ── chunk (sealed) ── blocks ── disk (sled)
//!               │                  │                    │                                       ▲
//!               │                  └── label_index      └── view, shared with readers           │
//!               └── journal (one committer, group fdatasync) ── keeper: checkpoint, compact ────┘
//! ```
//!
//! Read in this order: `series`, `sample`, `shard_store`, `partition`, `head`, `chunk`, `journal`, `keeper`,
//! `checkpoint`, `checkpoint_copy`, `catalog`, `blocks`, `open`, `recovery`, `repair`, `watchdog`, `store`, `scan`, `rollup`,
//! `changes`, `parquet_file`. Every byte on disk is drawn in `storage/FORMAT.md`.

pub mod blocks;
mod catalog;
pub mod catalog_blocks;
mod catalog_copy;
mod changes;
mod checkpoint;
mod checkpoint_copy;
pub mod chunk;
pub mod disk;
mod error;
mod head;
pub mod journal;
mod keeper;
pub mod label_index;
mod open;
mod panics;
#[cfg(feature = "parquet")]
mod parquet_file;
mod partition;
mod recovery;
mod repair;
mod rollup;
pub mod sample;
mod scan;
pub mod series;
mod shard_store;
mod shared;
mod snapshot;
mod store;
mod watchdog;

pub use error::StoreError;
pub use keeper::{Answer, SnapshotAnswer};
pub use open::{Opened, StoreThreads, open};
#[cfg(feature = "parquet")]
pub use parquet_file::ParquetFile;
pub use repair::{Finding, RepairReport, repair};
pub use rollup::{Resolution, Rollup, increase};
pub use scan::{ChunkPiece, Pieces, ReadBuffers};
pub use shard_store::{ROW_SAMPLES_MAX, Row, ShardStore, ShardTask, Tally, route, route_known};
pub use shared::{KeeperReport, Settings};
pub use snapshot::SnapshotReport;
pub use store::{SelectedSeries, Store, StoreFigures};
