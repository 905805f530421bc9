//! The user-based security model of version 3 (RFC 3414, 3826, 7860): who somebody is, and what nobody else may read.
//!
//! ```text
//!  User (names, passwords) ── localize(engine) ── LocalizedUser ── sign, encrypt ──▶ datagram
//!                                                       └────────── open ◀────────── datagram ── Engine: is it in time?
//! ```
//!
//! Not here: where passwords come from; sockets; a clock (times are arguments).
//!
//! Invariants: a digest is compared in constant time; passwords and keys are never shown, also not by `Debug`; only a
//! message whose digest was right moves an engine's clock.
//!
//! Cost: turning a password into a key hashes a megabyte (milliseconds), by intention of RFC 3414; localising one takes a
//! microsecond. So a [`User`] keeps its keys, and a caller keeps the [`LocalizedUser`] of each engine.

mod auth;
mod engine;
mod keys;
mod privacy;
mod user;

pub use auth::AuthProtocol;
pub use engine::{Engine, NotInTime};
pub use privacy::{KeyExtension, PrivacyProtocol};
pub use user::{LocalizedUser, OpenError, User, UserError};

use super::oid::{Oid, OidRef};

/// Why an engine answered with a Report (RFC 3414, section 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// The user may not ask at this security level.
    UnsupportedSecurityLevel,
    /// The request's boots and time are not the engine's; the Report has them.
    NotInTimeWindow,
    /// The engine does not know the user.
    UnknownUser,
    /// The request was for another engine; the Report has this one's identity.
    UnknownEngineId,
    /// The digest is wrong: most often the authentication password or protocol.
    WrongDigest,
    /// It could not be decrypted: most often the privacy password or protocol.
    DecryptionError,
}

/// usmStats, whose counters Reports carry; each is a scalar, so its instance is 0.
const USM_STATS: [u32; 9] = [1, 3, 6, 1, 6, 3, 15, 1, 1];

impl Report {
    /// All, in the order of their counters, which are numbered from 1.
    pub const ALL: [Self; 6] = [
        Self::UnsupportedSecurityLevel,
        Self::NotInTimeWindow,
        Self::UnknownUser,
        Self::UnknownEngineId,
        Self::WrongDigest,
        Self::DecryptionError,
    ];

    /// What a Report's first variable says.
    pub fn of(name: OidRef<'_>) -> Option<Self> {
        let [number, 0] = *name.as_bytes().strip_prefix(&[0x2b, 6, 1, 6, 3, 15, 1, 1])? else { return None };
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// The variable that says it.
    pub fn name(self) -> Oid {
        let number = Self::ALL.iter().position(|other| *other == self).map_or(0, |at| at as u32 + 1);
        Oid::new(&USM_STATS).and_then(|stats| stats.with(&[number, 0])).expect("a short identifier")
    }
}
