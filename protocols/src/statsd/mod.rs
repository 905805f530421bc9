//! StatsD and DogStatsD: a datagram of lines becomes observations that borrow it.
//!
//! ```text
//! NAME ':' VALUE (':' VALUE)* '|' TYPE ('|' EXT)*       EXT = @RATE  #tag,key:value  T<unix s>  and others, ignored
//! ```
//!
//! Understood: `c` and `m` (counts), `g` and `kv` (gauges; a sign makes a change), `ms`, `h` and `d` (timers), `s` (sets),
//! several values a line, Etsy's several groups a line (`a:1|c:2|c`), service checks (a gauge of their status) and events
//! (counted under one name). A line is all or nothing: one that is malformed anywhere gives one error, and
//! its neighbours are not touched.
//!
//! Not here: sockets, windows, what is stored, and what to do with a tag that stands twice.
//!
//! Read in this order: `observation`, `packet`, `line`, `odd` (the rarer forms), `plain` (the short way to known series).

mod line;
mod observation;
mod odd;
mod packet;
mod plain;

pub use observation::{Event, LineError, Measure, Observation, Reason, Tags};
pub use packet::{packet, read};
pub use plain::{Lines, Plain};
