//! Rollups: what the samples of a series amount to in every 5 minutes and every hour of closed UTC days.
//!
//! ```text
//!  keeper: a day is over ─ due ─ read its samples ─ bucket ─ codec ─ blocks, in rollups/5m and rollups/1h
//!  reader: read ─┬─ days with rollups that are up to date ─ blocks
//!                └─ all other days ──────────────────────── samples, rolled up on the spot
//! ```
//!
//! Read in this order: `bucket`, `codec`, `kept`, `make`, `read`. Every byte on disk is drawn in `storage/FORMAT.md`.
//!
//! Not here: blocks themselves (see `blocks`), what an increase per second is (the reader's).
//!
//! Invariants: a bucket read from disk is, bit for bit, the one that the samples would give; a series that leaves the
//! catalog takes its rollups with it, for nobody could name them any more.

mod bucket;
mod codec;
mod kept;
mod make;
mod read;

pub use bucket::{Resolution, Rollup, increase};
pub(crate) use kept::Rollups;
pub(crate) use make::Work;
