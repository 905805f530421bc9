//! SNMP versions 1, 2c and 3: what a poller sends, and what agents answer.
//!
//! ```text
//!  datagram ── version ─┬─ CommunityMessage ──────────────────────────── Pdu ── VarBind ── Value
//!                       └─ V3Message ── usm: digest, time, decryption ── ScopedPdu
//! ```
//!
//! `session` and `walk` are a client without a socket: they say what to send, and what a datagram means for what was
//! asked; `counter` says what two readings of a counter mean.
//!
//! Everything read borrows the datagram; everything written goes into a buffer the caller lends.
//!
//! Not here: sockets, timeouts, which objects are polled.
//!
//! Read in this order: `ber`, `oid`, `value`, `pdu`, `community`, `v3`, `usm`, `session`, `walk`, `counter`,
//! `notification`.

mod ber;
mod community;
pub mod counter;
mod notification;
mod oid;
mod pdu;
mod session;
pub mod usm;
mod v3;
mod value;
mod walk;

pub use community::{CommunityMessage, Version, encode_community, id_of, version};
pub use notification::{Notification, NotificationKind};
pub use oid::{NUMBERS_MAX, NotAnOid, Oid, OidRef, index_numbers};
pub use pdu::{ErrorStatus, Pdu, PduBuilder, PduKind, VarBind};
pub use session::{Answer, Credentials, Session};
pub use v3::{Flags, Payload, ScopedPdu, V3Builder, V3Message};
pub use value::Value;
pub use walk::{Expected, Repetitions, Taken, Walk};
