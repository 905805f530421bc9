//! Bytes in, borrowed views out: the wire protocols InfraWatch understands.
//!
//! ```text
//!  body ── decompress ── walk in place ── views that borrow the caller's buffer ── the caller translates them
//! ```
//!
//! Every protocol is one folder of the same shape: how bytes become views, how a view reads, how a sender encodes.
//! Parsing allocates nothing beyond buffers the caller lends, and bad input is a [`ParseError`], never a panic.
//!
//! Not here: sockets, HTTP status codes, disks, clocks, and what a label means to the store. Where the store's
//! series key and a protocol's bytes coincide (see `remote_write::canonical`), the two crates share a layout, not code.
//!
//! Read in this order: `error`, `protobuf`, then the protocol at hand.

mod error;
mod number;
mod protobuf;
pub mod remote_write;
pub mod snmp;
pub mod statsd;

pub use error::ParseError;
