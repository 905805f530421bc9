//! What one listener has gathered of its series since the window began: sums, levels, sketches and sets, found by the
//! bytes of a line's name and tags as sent.
//!
//! ```text
//!  name, tags, type as sent ─▶ hash ─▶ index ─▶ slot: sum += value            the window ends ─▶ slots, in slices ─▶ lane
//! ```
//!
//! A line of a series that is known costs a hash, a probe, a comparison and an addition; labels are sorted, checked and
//! written as a series key only when a spelling is met first. Spellings of one series (tags in another order, `h` for
//! `ms`) and listeners that heard the same series meet in the shard's window.
//!
//! Not here: the grammar (see `protocols::statsd`), windows of several listeners (see `shard`), counters (see
//! `statsd_gatherer`).
//!
//! Invariants: a slot holds observations of one window only; equality compares bytes; at most `series_max` slots in all
//! tables of a process.
//!
//! Cost sketch: 45 bytes of slot, the raw key and 10 bytes of index are touched an observation: three cache misses with
//! 100 k series, which overlap with those of the next lines; no allocation but for a timer's first value in a window.

mod slots;
mod spelling;
#[cfg(test)]
mod tests;

pub(super) use slots::{Refused, Table, TableSettings};
