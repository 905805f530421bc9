//! Keys from passwords, and a key for each engine (RFC 3414, appendix A.2); longer ones for AES-192 and AES-256.
//!
//! Not here: what a key is used for (see `auth` and `privacy`).

use super::auth::AuthProtocol;
use super::privacy::KeyExtension;

/// How much text a password is repeated to.
const STRETCHED_BYTES: usize = 1 << 20;

/// The least length of a password that RFC 3414 allows, section 11.2.
pub(super) const PASSWORD_BYTES_MIN: usize = 8;

/// The key of a password: the hash of a megabyte of it.
pub(super) fn from_password(protocol: AuthProtocol, password: &[u8]) -> Vec<u8> {
    let stretched: Vec<u8> = password.iter().copied().cycle().take(STRETCHED_BYTES).collect();
    protocol.hash(&[&stretched])
}

/// The key for one engine, useless at any other.
pub(super) fn localize(protocol: AuthProtocol, key: &[u8], engine_id: &[u8]) -> Vec<u8> {
    protocol.hash(&[key, engine_id, key])
}

/// A localised key of at least `len` bytes. Twice the shortest hash is enough for AES-256, so one step is.
pub(super) fn extend(
    protocol: AuthProtocol,
    extension: KeyExtension,
    mut key: Vec<u8>,
    engine_id: &[u8],
    len: usize,
) -> Vec<u8> {
    if key.len() < len {
        let more = match extension {
            KeyExtension::Blumenthal => protocol.hash(&[&key]),
            KeyExtension::Reeder => localize(protocol, &from_password(protocol, &key), engine_id),
        };
        key.extend(more);
    }
    key.truncate(len);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    const ENGINE_ID: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

    /// RFC 3414, appendices A.3.1 and A.3.2.
    #[test]
    fn passwords_become_the_keys_of_the_standard() {
        let md5 = from_password(AuthProtocol::Md5, b"maplesyrup");
        assert_eq!(hex(&md5), "9faf3283884e92834ebc9847d8edd963");
        assert_eq!(hex(&localize(AuthProtocol::Md5, &md5, &ENGINE_ID)), "526f5eed9fcce26f8964c2930787d82b");
        let sha = from_password(AuthProtocol::Sha1, b"maplesyrup");
        assert_eq!(hex(&sha), "9fb5cc0381497b3793528939ff788d5d79145211");
        assert_eq!(hex(&localize(AuthProtocol::Sha1, &sha, &ENGINE_ID)), "6695febc9288e36282235fc7151f128497b38f3f");
    }

    #[test]
    fn a_key_is_extended_only_when_it_is_too_short() {
        let key = localize(AuthProtocol::Sha1, &from_password(AuthProtocol::Sha1, b"maplesyrup"), &ENGINE_ID);
        let extended = |extension, len| extend(AuthProtocol::Sha1, extension, key.clone(), &ENGINE_ID, len);
        for extension in [KeyExtension::Blumenthal, KeyExtension::Reeder] {
            assert_eq!(extended(extension, 16), key[..16]);
            assert_eq!(extended(extension, 32)[..20], key[..]);
        }
        assert_eq!(extended(KeyExtension::Blumenthal, 32)[20..], AuthProtocol::Sha1.hash(&[&key])[..12]);
        assert_ne!(extended(KeyExtension::Blumenthal, 32), extended(KeyExtension::Reeder, 32));
    }
}
