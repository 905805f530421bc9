//! Secrets: how new ones are made, and the slow salted hash that is kept of one (PBKDF2, RFC 8018, with HMAC-SHA-256).
//!
//! ```text
//! pbkdf2-sha256$600000$<salt, 32 hexadecimal digits>$<hash, 64 hexadecimal digits>
//! ```
//!
//! Cost: 0.1 to 0.4 s of a core for each verification; `guard` remembers what it has verified.
//!
//! Not here: whose secret it is.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read};
use std::str::FromStr;

/// Rounds of a new hash: what OWASP recommends for this function since 2023.
const ROUNDS: u32 = 600_000;
/// Rounds that a file may ask for: enough to slow a guess down, and not so many that a request hangs.
const ROUNDS_ALLOWED: std::ops::RangeInclusive<u32> = 10_000..=10_000_000;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// Bytes of chance in a new secret.
const SECRET_BYTES: usize = 24;
const METHOD: &str = "pbkdf2-sha256";

/// Why a text is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {METHOD}$ROUNDS$SALT$HASH as infrawatch config user writes it")]
pub struct SecretError;

/// What is kept of a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHash {
    rounds: u32,
    salt: Vec<u8>,
    hash: [u8; HASH_BYTES],
}

impl SecretHash {
    /// Of a secret, with a new salt.
    ///
    /// # Errors
    /// When the system has no chance to give.
    pub fn of(secret: &str) -> io::Result<Self> {
        Self::with_rounds(secret, ROUNDS)
    }

    /// The same with so many rounds.
    pub(super) fn with_rounds(secret: &str, rounds: u32) -> io::Result<Self> {
        let salt = chance::<SALT_BYTES>()?.to_vec();
        let hash = pbkdf2(secret.as_bytes(), &salt, rounds);
        Ok(Self { rounds, salt, hash })
    }

    /// Of no secret at all: as slow as any other, and never right.
    pub(super) fn of_nothing() -> io::Result<Self> {
        Ok(Self { rounds: ROUNDS, salt: chance::<SALT_BYTES>()?.to_vec(), hash: chance()? })
    }

    /// Whether this is the secret. Slow, and as slow for a wrong one.
    pub fn is_of(&self, secret: &str) -> bool {
        equal(&pbkdf2(secret.as_bytes(), &self.salt, self.rounds), &self.hash)
    }
}

/// Whether two hashes are equal, in a time that does not depend on where they differ.
pub(super) fn equal(a: &[u8; HASH_BYTES], b: &[u8; HASH_BYTES]) -> bool {
    let differing = a.iter().zip(b).fold(0u8, |differing, (a, b)| differing | black_box(a ^ b));
    black_box(differing) == 0
}

/// One block of PBKDF2, which is all that a hash of this length needs.
fn pbkdf2(secret: &[u8], salt: &[u8], rounds: u32) -> [u8; HASH_BYTES] {
    let keyed = <Hmac<Sha256> as Mac>::new_from_slice(secret).expect("HMAC takes a key of any length");
    let mut first = keyed.clone();
    first.update(salt);
    first.update(&1u32.to_be_bytes());
    let mut last: [u8; HASH_BYTES] = first.finalize().into_bytes().into();
    let mut sum = last;
    for _ in 1..rounds {
        let mut next = keyed.clone();
        next.update(&last);
        last = next.finalize().into_bytes().into();
        sum.iter_mut().zip(last).for_each(|(sum, byte)| *sum ^= byte);
    }
    sum
}

impl fmt::Display for SecretHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{METHOD}${}${}${}", self.rounds, hex(&self.salt), hex(&self.hash))
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretHash(..)")
    }
}

impl FromStr for SecretHash {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let parts: Vec<&str> = text.split('$').collect();
        let [METHOD, rounds, salt, hash] = parts[..] else { return Err(SecretError) };
        let rounds = rounds.parse().ok().filter(|rounds| ROUNDS_ALLOWED.contains(rounds)).ok_or(SecretError)?;
        let salt = unhex(salt).filter(|salt| salt.len() >= SALT_BYTES).ok_or(SecretError)?;
        let hash = unhex(hash).and_then(|hash| hash.try_into().ok()).ok_or(SecretError)?;
        Ok(Self { rounds, salt, hash })
    }
}

/// Bytes that nobody can foresee.
pub(super) fn chance<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A new secret: 48 hexadecimal digits.
///
/// # Errors
/// When the system has no chance to give.
pub fn new_secret() -> io::Result<String> {
    chance::<SECRET_BYTES>().map(|bytes| hex(&bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let is_plain = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    is_plain.then(|| digits.chunks(2).map(pair).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_is_that_of_the_standard() {
        // RFC 7914, section 11: PBKDF2-HMAC-SHA-256, the first 32 bytes.
        let one = pbkdf2(b"passwd", b"salt", 1);
        assert_eq!(hex(&one), "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
        let many = pbkdf2(b"Password", b"NaCl", 80_000);
        assert_eq!(
            hex(&many),
            "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56",
            "of the same section"
        );
    }

    #[test]
    fn a_hash_knows_its_secret_and_no_other_and_survives_being_written() {
        let hash = SecretHash::with_rounds("right", 10_000).unwrap();
        let read: SecretHash = hash.to_string().parse().unwrap();
        assert_eq!(read, hash);
        assert!(read.is_of("right") && !read.is_of("wrong") && !read.is_of(""));
        assert_eq!(format!("{read:?}"), "SecretHash(..)");
    }

    #[test]
    fn rejects() {
        let (salt, hash) = ("00".repeat(16), "11".repeat(32));
        for text in [
            String::new(),
            "plain".to_owned(),
            format!("md5$10000${salt}${hash}"),
            format!("{METHOD}$1${salt}${hash}"),
            format!("{METHOD}$99999999999${salt}${hash}"),
            format!("{METHOD}$10000$00${hash}"),
            format!("{METHOD}$10000${salt}$11"),
            format!("{METHOD}$10000${salt}${}", "zz".repeat(32)),
            format!("{METHOD}$10000${salt}${hash}$"),
        ] {
            assert_eq!(text.parse::<SecretHash>(), Err(SecretError), "{text}");
        }
    }

    #[test]
    fn new_secrets_differ() {
        let (one, other) = (new_secret().unwrap(), new_secret().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.len(), 2 * SECRET_BYTES);
    }
}
