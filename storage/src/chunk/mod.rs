//! A chunk: sealed, immutable, compressed samples of one series within one UTC day.
//!
//! ```text
//!  times  ── timestamps ── x[i] = t[i] - t[0] ─────────────────┐
//!                                                              ├─ integers ── plan ── bits ── bytes
//!  values ── values ──┬─ decimal       v = mantissa / 10^e ────┘
//!     │               └─ full_doubles  v = its 64 bits, reordered
//!     └── stats ── head (what a reader learns without decoding)
//! ```
//!
//! Everything becomes a column of integers, and one integer codec serves them all: blocks of up to 128, each under
//! the cheapest of four predictions, the remainders bit packed with the few wide ones patched in afterwards. Values
//! that fit no common scale (NaN, staleness markers, infinities, -0.0, a stray full double) are exceptions beside
//! the column. Every `f64` comes back bit for bit.
//!
//! Read in this order: `cursor`, `bits`, `plan`, `integers`, `timestamps`, `decimal`, `full_doubles`, `values`,
//! `stats`, `head`, `codec`. Every byte is drawn in `storage/FORMAT.md`.
//!
//! Not here: a checksum (blocks carry one over many chunks), which series a chunk belongs to, that its samples lie
//! within one day (both the caller's), histograms (type byte 2 is reserved for them).
//!
//! Invariants: the times of a chunk strictly ascend; a chunk stands alone; decoding arbitrary bytes ends in samples
//! or a [`ChunkError`], never in a panic and never in more than [`MAX_SAMPLES`] samples.

mod bits;
mod codec;
mod cursor;
mod decimal;
mod full_doubles;
mod head;
mod integers;
mod plan;
mod stats;
mod timestamps;
mod values;

pub use codec::{Encoder, decode, encode, stats};
pub use cursor::ChunkError;
pub(crate) use stats::CompensatedSum;
pub use stats::Stats;

/// The most samples a chunk holds: positions fit 16 bits and a damaged count cannot ask for much memory.
pub const MAX_SAMPLES: usize = 8192;
