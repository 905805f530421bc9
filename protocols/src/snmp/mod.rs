//! SNMP versions 1, 2c and 3: what a poller sends, and what agents answer.
//!
//! ```text
//!  datagram ── version ─┬─ CommunityMessage ──────────────────────────── Pdu ── VarBind ── Value
//!                       └─ V3Message ── usm: digest, time, decryption ── ScopedPdu
//! ```
//!
//! Everything read borrows the datagram; everything written goes into a buffer the caller lends.
//!
//! Not here: sockets, timeouts, walks, which objects are polled, rates of counters, traps of version 1.
//!
//! Read in this order: `ber`, `oid`, `value`, `pdu`, `community`, `v3`, `usm`.

mod ber;
mod community;
mod oid;
mod pdu;
pub mod usm;
mod v3;
mod value;

pub use community::{CommunityMessage, Version, encode_community, version};
pub use oid::{NUMBERS_MAX, NotAnOid, Oid, OidRef};
pub use pdu::{ErrorStatus, Pdu, PduBuilder, PduKind, VarBind};
pub use v3::{Flags, Payload, ScopedPdu, V3Builder, V3Message};
pub use value::Value;
