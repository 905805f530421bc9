//! Blocks: the durable home of sealed chunks, in directories of whole UTC days.
//!
//! ```text
//!  write ── by day ── directory ── packer ── block (7 KiB: columns, chunks, checksum) ── disk
//!                        │                                                                │
//!                      index (33 bytes a block, in memory and in the file INDEX)          │
//!                        │                                                                │
//!  read ── search ───────┴── block ── chunk bytes, opaque here ◄───────────────────────────┘
//! ```
//!
//! Read in this order: `block`, `key`, `index`, `index_file`, `day`, `engine`, `in_place`, `directory`, `packer`, `manifest`, `open`,
//! `store`, `cache`, `read`, `compact`, `salvage`. Every byte on disk is drawn in `storage/FORMAT.md`.
//!
//! Not here: what a chunk holds (see `chunk`; only `compact` looks inside), heads, the journal, threads, clocks.
//!
//! Invariants: chunks lie within one UTC day; one thread writes, syncs, compacts and removes, any number read;
//! nothing is named on disk before it is durable.

mod block;
mod cache;
mod compact;
mod damage;
mod day;
mod directory;
mod engine;
mod in_place;
mod index;
mod index_file;
mod key;
mod manifest;
mod open;
mod packer;
mod read;
pub(crate) mod salvage;
mod store;

pub use block::{Block, BlockError, CHUNK_BYTES_MAX, Entries, Entry};
pub use compact::CompactReport;
pub use damage::DirectoryHealth;
pub use day::{DAY_MS, day_of};
pub(crate) use salvage::set_aside;
pub use store::{BlockSettings, BlockStore, PendingChunk};
