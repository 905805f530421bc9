//! A user with its passwords' keys, and the same user at one engine.
//!
//! Not here: the message's layout (see `v3`).
//!
//! Invariant: a message is decrypted only after its digest was right.

use super::super::v3::{DIGEST_BYTES_MAX, Payload, V3Message};
use super::auth::{AuthKey, AuthProtocol};
use super::keys::{PASSWORD_BYTES_MIN, extend, from_password, localize};
use super::privacy::{KeyExtension, PrivacyKey, PrivacyProtocol, SALT_BYTES};
use std::fmt;
use std::ops::Range;

/// Why a user cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// RFC 3414 forbids shorter ones.
    #[error("a password of SNMPv3 has at least 8 characters")]
    ShortPassword,
    /// There is no privacy without authentication.
    #[error("a privacy password needs an authentication password beside it")]
    PrivacyWithoutAuth,
}

/// Why a message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The message is less secured than the user demands.
    #[error("the answer is less secured than the request")]
    LessSecured,
    /// The digest is not that of the message.
    #[error("the answer's digest is wrong")]
    WrongDigest,
    /// The cipher's text has no possible length or salt.
    #[error("the answer cannot be decrypted")]
    Undecryptable,
}

/// A user of any engine: the keys its passwords stand for.
#[derive(Clone)]
pub struct User {
    name: Vec<u8>,
    auth: Option<(AuthProtocol, Vec<u8>)>,
    privacy: Option<(PrivacyProtocol, KeyExtension, Vec<u8>)>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let auth = self.auth.as_ref().map(|(protocol, _)| protocol);
        let privacy = self.privacy.as_ref().map(|(protocol, extension, _)| (protocol, extension));
        let name = String::from_utf8_lossy(&self.name);
        f.debug_struct("User").field("name", &name).field("auth", &auth).field("privacy", &privacy).finish()
    }
}

impl User {
    /// A user that proves nothing: noAuthNoPriv.
    pub fn unauthenticated(name: &[u8]) -> Self {
        Self { name: name.to_vec(), auth: None, privacy: None }
    }

    /// A user with passwords: authNoPriv, or authPriv with a second one. Hashes a megabyte for each.
    ///
    /// # Errors
    /// When a password is shorter than 8 bytes.
    pub fn new(
        name: &[u8],
        (protocol, password): (AuthProtocol, &[u8]),
        privacy: Option<(PrivacyProtocol, KeyExtension, &[u8])>,
    ) -> Result<Self, UserError> {
        let is_short = |password: &[u8]| password.len() < PASSWORD_BYTES_MIN;
        if is_short(password) || privacy.is_some_and(|(_, _, password)| is_short(password)) {
            return Err(UserError::ShortPassword);
        }
        let privacy =
            privacy.map(|(cipher, extension, password)| (cipher, extension, from_password(protocol, password)));
        Ok(Self { name: name.to_vec(), auth: Some((protocol, from_password(protocol, password))), privacy })
    }

    /// The same user without its cipher: authNoPriv. None when it has none.
    pub fn without_privacy(&self) -> Option<Self> {
        self.privacy.as_ref()?;
        Some(Self { privacy: None, ..self.clone() })
    }

    /// Its name.
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Whether its messages carry a digest.
    pub fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// The user at one engine.
    pub fn localize(&self, engine_id: &[u8]) -> LocalizedUser {
        let Some((protocol, key)) = &self.auth else {
            return LocalizedUser { auth: None, privacy: None };
        };
        let auth = AuthKey::new(*protocol, &localize(*protocol, key, engine_id));
        let privacy = self.privacy.as_ref().map(|(cipher, extension, key)| {
            let key = localize(*protocol, key, engine_id);
            PrivacyKey::new(*cipher, extend(*protocol, *extension, key, engine_id, cipher.key_len()))
        });
        LocalizedUser { auth: Some((*protocol, auth)), privacy }
    }
}

/// The keys of a user at one engine.
#[derive(Debug, Clone)]
pub struct LocalizedUser {
    auth: Option<(AuthProtocol, AuthKey)>,
    privacy: Option<PrivacyKey>,
}

impl LocalizedUser {
    /// The same user without its cipher: a Report about time is signed and in clear.
    pub fn without_privacy(&self) -> Self {
        Self { auth: self.auth.clone(), privacy: None }
    }

    /// Whether its messages carry a digest: only those may move a clock.
    pub fn has_auth(&self) -> bool {
        self.auth.is_some()
    }

    /// Bytes of a digest; none when messages carry none.
    pub(in super::super) fn digest_len(&self) -> Option<usize> {
        self.auth.as_ref().map(|(protocol, _)| protocol.digest_len())
    }

    /// Whether messages are encrypted.
    pub(in super::super) fn has_privacy(&self) -> bool {
        self.privacy.is_some()
    }

    /// Encrypts in place; the salt that goes with the text.
    pub(in super::super) fn encrypt(
        &self,
        text: &mut Vec<u8>,
        boots: u32,
        time: u32,
        number: u64,
    ) -> Option<[u8; SALT_BYTES]> {
        let key = self.privacy.as_ref()?;
        let salt = key.salt(boots, number);
        key.encrypt(text, boots, time, salt);
        Some(salt)
    }

    /// Puts the digest of a datagram into the place that was left for it, which holds zeros.
    pub(in super::super) fn sign(&self, datagram: &mut [u8], place: Range<usize>) {
        let Some((_, key)) = &self.auth else { return };
        let mut digest = [0; DIGEST_BYTES_MAX];
        let digest = &mut digest[..place.len()];
        key.digest(&[datagram], digest);
        datagram[place].copy_from_slice(digest);
    }

    /// Checks a message against the datagram it was read from, and decrypts its unit into `scratch` when it is
    /// encrypted; read it from there by `ScopedPdu::read`.
    ///
    /// # Errors
    /// When the message is not what this user and engine would have sent.
    pub fn open(&self, datagram: &[u8], message: &V3Message<'_>, scratch: &mut Vec<u8>) -> Result<(), OpenError> {
        if message.flags.auth != self.auth.is_some() || message.flags.privacy != self.privacy.is_some() {
            return Err(OpenError::LessSecured);
        }
        self.verify(datagram, message)?;
        scratch.clear();
        let (Some(key), Payload::Encrypted(text)) = (&self.privacy, message.payload) else { return Ok(()) };
        let salt = message.salt.try_into().map_err(|_| OpenError::Undecryptable)?;
        scratch.extend_from_slice(text);
        let done = key.decrypt(scratch, message.boots, message.time, salt);
        if done { Ok(()) } else { Err(OpenError::Undecryptable) }
    }

    /// Checks only the digest; what a Report of an engine that could not decrypt carries.
    ///
    /// # Errors
    /// When the message carries no digest although the user has one, or a wrong one.
    pub fn verify(&self, datagram: &[u8], message: &V3Message<'_>) -> Result<(), OpenError> {
        let Some((protocol, key)) = &self.auth else { return Ok(()) };
        if !message.flags.auth {
            return Err(OpenError::LessSecured);
        }
        let place = message.digest.clone();
        let zeros = [0; DIGEST_BYTES_MAX];
        // A shorter digest would be easier to guess.
        let (true, Some(before), Some(digest), Some(after)) = (
            place.len() == protocol.digest_len(),
            datagram.get(..place.start),
            datagram.get(place.clone()),
            datagram.get(place.end..),
        ) else {
            return Err(OpenError::WrongDigest);
        };
        let is_right = key.verify(&[before, &zeros[..place.len()], after], digest);
        if is_right { Ok(()) } else { Err(OpenError::WrongDigest) }
    }
}
