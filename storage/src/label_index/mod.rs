//! Which series carry which labels, for the whole store, and which series satisfy a list of matchers.
//!
//! ```text
//!  Matcher ── pattern (which values an expression can match) ──┐
//!                                                              ▼
//!  key ── LabelIndex ── per name: Values (text -> slot) ── Postings (series) ── select ── RoaringBitmap
//! ```
//!
//! Not here: the keys themselves and which id a key has (the catalog), samples, locks. The index has one writer at
//! a time and any number of readers, under a lock that its owner holds.
//!
//! Invariant: a series is in exactly the postings of the labels of its key, so the postings of two values of one
//! name never share a series, and nothing is kept for a label that no series carries beyond what `Values` bounds.

mod index;
mod matcher;
mod pattern;
mod postings;
mod search;
mod select;
mod values;

pub use index::{LabelIndex, NameUse};
pub use matcher::{MatchOp, Matcher};
pub use search::Search;
