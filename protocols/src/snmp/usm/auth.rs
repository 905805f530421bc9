//! Digests: HMAC with the hash of the authentication protocol, cut to the length its RFC gives it.
//!
//! Not here: keys from passwords (see `keys`).

use hmac::{Hmac, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use std::fmt;

/// How a message is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AuthProtocol {
    /// HMAC-MD5-96 (RFC 3414).
    Md5,
    /// HMAC-SHA-96 (RFC 3414).
    Sha1,
    /// HMAC-128-SHA-224 (RFC 7860).
    Sha224,
    /// HMAC-192-SHA-256 (RFC 7860).
    Sha256,
    /// HMAC-256-SHA-384 (RFC 7860).
    Sha384,
    /// HMAC-384-SHA-512 (RFC 7860).
    Sha512,
}

impl AuthProtocol {
    /// Length of a digest on the wire.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 => 12,
            Self::Sha224 => 16,
            Self::Sha256 => 24,
            Self::Sha384 => 32,
            Self::Sha512 => 48,
        }
    }

    /// The plain hash of some pieces, one after the other.
    pub(super) fn hash(self, pieces: &[&[u8]]) -> Vec<u8> {
        fn digest<D: Digest>(pieces: &[&[u8]]) -> Vec<u8> {
            let mut digest = D::new();
            pieces.iter().for_each(|piece| digest.update(piece));
            digest.finalize().to_vec()
        }
        match self {
            Self::Md5 => digest::<Md5>(pieces),
            Self::Sha1 => digest::<Sha1>(pieces),
            Self::Sha224 => digest::<Sha224>(pieces),
            Self::Sha256 => digest::<Sha256>(pieces),
            Self::Sha384 => digest::<Sha384>(pieces),
            Self::Sha512 => digest::<Sha512>(pieces),
        }
    }
}

/// A key with its two paddings already hashed, which saves half of the work on a short message.
#[derive(Clone)]
pub(super) enum AuthKey {
    Md5(Hmac<Md5>),
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthKey(not shown)")
    }
}

/// Does the same with whichever key it is.
macro_rules! with_mac {
    ($key:expr, $mac:ident => $work:expr) => {
        match $key {
            AuthKey::Md5($mac) => $work,
            AuthKey::Sha1($mac) => $work,
            AuthKey::Sha224($mac) => $work,
            AuthKey::Sha256($mac) => $work,
            AuthKey::Sha384($mac) => $work,
            AuthKey::Sha512($mac) => $work,
        }
    };
}

impl AuthKey {
    pub(super) fn new(protocol: AuthProtocol, key: &[u8]) -> Self {
        fn mac<M: Mac + hmac::digest::KeyInit>(key: &[u8]) -> M {
            <M as Mac>::new_from_slice(key).expect("HMAC takes keys of any length")
        }
        match protocol {
            AuthProtocol::Md5 => Self::Md5(mac(key)),
            AuthProtocol::Sha1 => Self::Sha1(mac(key)),
            AuthProtocol::Sha224 => Self::Sha224(mac(key)),
            AuthProtocol::Sha256 => Self::Sha256(mac(key)),
            AuthProtocol::Sha384 => Self::Sha384(mac(key)),
            AuthProtocol::Sha512 => Self::Sha512(mac(key)),
        }
    }

    /// Writes the digest of some pieces into `out`, cut to its length.
    pub(super) fn digest(&self, pieces: &[&[u8]], out: &mut [u8]) {
        with_mac!(self, mac => {
            let mut mac = mac.clone();
            pieces.iter().for_each(|piece| mac.update(piece));
            let whole = mac.finalize().into_bytes();
            let len = out.len();
            out.copy_from_slice(&whole[..len]);
        });
    }

    /// Whether `digest` is that of these pieces; takes as long wherever they differ.
    pub(super) fn verify(&self, pieces: &[&[u8]], digest: &[u8]) -> bool {
        with_mac!(self, mac => {
            let mut mac = mac.clone();
            pieces.iter().for_each(|piece| mac.update(piece));
            mac.verify_truncated_left(digest).is_ok()
        })
    }
}
