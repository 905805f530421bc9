//! The journal: what makes a sample durable before anyone is told that it is stored.
//!
//! ```text
//!  shard ─ encode record ─ submit ═queue═ committer: group ─ write ─ fdatasync ─ wake the waiting requests
//!                                             │
//!                       folder of segments: journal-0000000001.iwj ... ── replay at the next start
//! ```
//!
//! Shards encode batches into checksummed records and submit them; one thread named "committer" writes what has
//! gathered, syncs once for all and then calls each submission's `done`. Segments whose records are all in
//! checkpoints are cut. At start, everything that is left is replayed.
//!
//! Read in this order: `varint`, `record`, `samples`, `new_series`, `segment`, `folder`, `window`, `mend`,
//! `replay`, `committer`, `handle`. Every byte is drawn in `storage/FORMAT.md`.
//!
//! Not here: which samples deserve a record (see `shard_store`), where a partition's checkpoint stands (see
//! `checkpoint`), the lock on the data directory.
//!
//! Invariants:
//! - `done` is called exactly once for every submission, and with `Ok` only when its records, and all submitted
//!   before them, are on disk.
//! - No submitted record is dropped while the process lives: what a failing disk refuses stays pending, in order.
//! - Records lie in the segments in the order of submission, each once.

mod committer;
mod folder;
mod handle;
mod mend;
mod new_series;
mod record;
mod replay;
mod samples;
mod segment;
mod varint;
mod window;

#[cfg(test)]
mod failing_disk_tests;

pub use committer::{CommitError, Committed};
pub use folder::SideReport;
pub use handle::{Journal, JournalSettings, JournalState, JournalThread};
pub(crate) use mend::lost_in_both;
pub use new_series::{SeriesEncoder, decode_series, partitions_of_series};
pub use record::Kind;
pub(crate) use replay::inspect;
pub use replay::{Damage, ReplayReport};
pub use samples::{SAMPLES_PER_RECORD_MAX, SamplesEncoder, decode_samples, partitions_of_samples};

/// A record's payload does not decode although its checksum holds; names the part that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("journal record does not decode: {0}")]
pub struct DecodeError(pub &'static str);
