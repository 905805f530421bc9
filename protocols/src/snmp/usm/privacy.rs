//! Ciphers: DES-CBC (RFC 3414, section 8) and AES-CFB (RFC 3826), with what each starts from.
//!
//! Not here: digests (see `auth`).
//!
//! Invariant: what was encrypted is decrypted to itself, but for the padding that DES adds at its end.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{AsyncStreamCipher, BlockDecryptMut, BlockEncryptMut, KeyIvInit};
use des::Des;
use std::fmt;

/// Bytes of a salt on the wire.
pub(super) const SALT_BYTES: usize = 8;

/// DES works on blocks of so many bytes.
const DES_BLOCK_BYTES: usize = 8;

/// How a message's unit is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PrivacyProtocol {
    /// CBC-DES (RFC 3414): weak, and all that some old devices have.
    Des,
    /// CFB128-AES-128 (RFC 3826).
    Aes128,
    /// AES with 192 bits, as many agents have it beside any standard.
    Aes192,
    /// AES with 256 bits, likewise.
    Aes256,
}

/// How the key of a hash becomes long enough for AES-192 and AES-256; vendors differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KeyExtension {
    /// The key and its hash (draft-blumenthal-aes-usm-04): Net-SNMP and most others.
    #[default]
    Blumenthal,
    /// The key taken as a password again (draft-reeder-snmpv3-usm-3desede-00): Cisco among others.
    Reeder,
}

impl PrivacyProtocol {
    /// Bytes of key it takes; for DES half of it is what the cipher starts from.
    pub(super) fn key_len(self) -> usize {
        match self {
            Self::Des | Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

/// A localised key of a cipher.
#[derive(Clone)]
pub(super) struct PrivacyKey {
    protocol: PrivacyProtocol,
    key: Vec<u8>,
}

impl fmt::Debug for PrivacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivacyKey({:?}, not shown)", self.protocol)
    }
}

impl PrivacyKey {
    /// `key` has the length the protocol takes.
    pub(super) fn new(protocol: PrivacyProtocol, key: Vec<u8>) -> Self {
        debug_assert_eq!(key.len(), protocol.key_len(), "extended before");
        Self { protocol, key }
    }

    /// The salt as it goes over the wire: with DES its first half is the engine's boots.
    pub(super) fn salt(&self, boots: u32, number: u64) -> [u8; SALT_BYTES] {
        match self.protocol {
            PrivacyProtocol::Des => (u64::from(boots) << 32 | number & u64::from(u32::MAX)).to_be_bytes(),
            _ => number.to_be_bytes(),
        }
    }

    /// Encrypts in place; DES makes the text longer.
    pub(super) fn encrypt(&self, text: &mut Vec<u8>, boots: u32, time: u32, salt: [u8; SALT_BYTES]) {
        let iv = aes_iv(boots, time, salt);
        let fits = "the key has the cipher's length";
        match self.protocol {
            PrivacyProtocol::Des => {
                text.resize(text.len().next_multiple_of(DES_BLOCK_BYTES), 0);
                let len = text.len();
                let cipher = cbc::Encryptor::<Des>::new_from_slices(&self.key[..8], &self.des_iv(salt)).expect(fits);
                let whole_blocks = "padded to whole blocks";
                cipher.encrypt_padded_mut::<NoPadding>(text, len).expect(whole_blocks);
            }
            PrivacyProtocol::Aes128 => {
                cfb_mode::Encryptor::<Aes128>::new_from_slices(&self.key, &iv).expect(fits).encrypt(text);
            }
            PrivacyProtocol::Aes192 => {
                cfb_mode::Encryptor::<Aes192>::new_from_slices(&self.key, &iv).expect(fits).encrypt(text);
            }
            PrivacyProtocol::Aes256 => {
                cfb_mode::Encryptor::<Aes256>::new_from_slices(&self.key, &iv).expect(fits).encrypt(text);
            }
        }
    }

    /// Decrypts in place; false when the text cannot be what the cipher made.
    pub(super) fn decrypt(&self, text: &mut [u8], boots: u32, time: u32, salt: [u8; SALT_BYTES]) -> bool {
        let iv = aes_iv(boots, time, salt);
        let fits = "the key has the cipher's length";
        match self.protocol {
            PrivacyProtocol::Des => {
                let cipher = cbc::Decryptor::<Des>::new_from_slices(&self.key[..8], &self.des_iv(salt)).expect(fits);
                return cipher.decrypt_padded_mut::<NoPadding>(text).is_ok();
            }
            PrivacyProtocol::Aes128 => {
                cfb_mode::Decryptor::<Aes128>::new_from_slices(&self.key, &iv).expect(fits).decrypt(text);
            }
            PrivacyProtocol::Aes192 => {
                cfb_mode::Decryptor::<Aes192>::new_from_slices(&self.key, &iv).expect(fits).decrypt(text);
            }
            PrivacyProtocol::Aes256 => {
                cfb_mode::Decryptor::<Aes256>::new_from_slices(&self.key, &iv).expect(fits).decrypt(text);
            }
        }
        true
    }

    /// The second half of the key, mixed with the salt.
    fn des_iv(&self, salt: [u8; SALT_BYTES]) -> [u8; SALT_BYTES] {
        std::array::from_fn(|at| self.key[DES_BLOCK_BYTES + at] ^ salt[at])
    }
}

/// Boots, time, salt (RFC 3826, section 3.1.2.1).
fn aes_iv(boots: u32, time: u32, salt: [u8; SALT_BYTES]) -> [u8; 16] {
    let mut iv = [0; 16];
    iv[..4].copy_from_slice(&boots.to_be_bytes());
    iv[4..8].copy_from_slice(&time.to_be_bytes());
    iv[8..].copy_from_slice(&salt);
    iv
}
