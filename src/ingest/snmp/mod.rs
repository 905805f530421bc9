//! SNMP polling: one thread asks every device, each in its own rhythm, and what they answer becomes samples.
//!
//! ```text
//! devices: file (watch), HTTP (control, kept) ─▶ poller: thread snmp-0, one socket
//!                                                  │ due times, timeouts, places
//!                                                  ▼
//!          device: one cycle ─ clock, scalars ─ interfaces ─ tables (profile, mib) ─ outgoing ─▶ lane ═ queue ═▶ shard
//! events:  traps: thread snmp-traps ─▶ the newest, counted
//! ```
//!
//! Not here: the protocol (see `protocols::snmp`), pages about devices (see `api::rest`).
//!
//! Invariants: a device that does not answer holds up nobody else; a request is matched by an id nobody can guess, sent
//! from the device's address; a rate is stored only where its two readings mean one thing.

mod devices;
mod kept;
mod watch;

mod mib;
mod profile;

mod interface_table;
mod interfaces;
mod keys;
mod known_interfaces;
mod tables;

mod control;
mod device;
mod outgoing;
mod places;
mod poller;
mod questions;
mod slot;
mod start;
mod state;

mod own_engine;
mod secured_events;
mod traps;

pub use control::{ControlError, SnmpControl};
pub use devices::{DeviceSettings, DevicesError, Users, WrittenDevice, read_devices};
pub use start::{SnmpHandle, SnmpSettings, spawn};
pub use state::{DeviceState, Origin, Standing, failure, refusal};
pub use traps::{TrapRecord, shown};
