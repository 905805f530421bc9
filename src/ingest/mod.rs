//! Bytes become batches: one file a source, and the private lanes by which their samples reach the shards.

mod body;
mod json_item;
pub mod json_push;
mod known_series;
mod lane;
mod outcome;
mod recorded;
pub mod remote_write;
mod remote_write_metadata;
pub mod snmp;
mod statsd_gatherer;
pub mod statsd_listener;
mod statsd_socket;
pub mod statsd_stream;
mod statsd_table;
mod translate;

pub use body::{Bodies, BodyLimits};
pub use lane::{Lane, Lanes, SendError};
pub use recorded::{NotRecorded, record};
pub use statsd_socket::StatsdSocket;
