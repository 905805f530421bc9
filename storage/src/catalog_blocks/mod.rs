//! Catalog blocks: the keys of many series of one partition with their ids, in a few KiB.
//!
//! Keys of one block share most of their text, but not at their beginnings: `instance` stands behind `device`, which
//! differs. So a block is a small table. Each label name is a column with its distinct values, front-coded in order;
//! a row holds, in as few bits as their numbers need, the distance of its id, which set of names it has, and for each
//! the number of the value. Keys as node_exporter's take 14 bytes each instead of 102; front-coded whole they take
//! 90 in the order of ids and 68 in the order of keys. Every byte is drawn in `storage/FORMAT.md`.
//!
//! Not here: where blocks are kept, which ids are given out (the catalog does both).
//!
//! Invariants: a key is at most [`KEY_BYTES_MAX`] bytes, which the catalog demands before it gives a key an id; rows
//! of a block ascend strictly by id; the same entries give the same bytes.

mod decode;
mod encode;
mod format;

pub use decode::decode_block;
pub use encode::encode_blocks;
pub use format::{BLOCK_BYTES_MIN, CatalogError, KEY_BYTES_MAX};
