//! Damage to bytes that were valid: what hostile and unlucky senders do to a body.

use proptest::prelude::*;

/// One change; positions are taken modulo the length of what they apply to.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// One bit is turned over.
    Flip(usize, u8),
    /// One byte becomes another.
    Set(usize, u8),
    /// The end is cut off.
    Cut(usize),
    /// Bytes are put in between.
    Insert(usize, Vec<u8>),
    /// A stretch stands twice.
    Repeat(usize, usize),
}

/// One to four changes.
pub(crate) fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = || any::<usize>();
    let change = prop_oneof![
        4 => (at(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        1 => at().prop_map(Damage::Cut),
        1 => (at(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        1 => (at(), 1..20usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ];
    prop::collection::vec(change, 1..5)
}

/// The bytes after all changes.
pub(crate) fn damaged(bytes: &[u8], damage: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for change in damage {
        let len = bytes.len();
        match change {
            Damage::Flip(..) | Damage::Set(..) if len == 0 => {}
            Damage::Flip(at, bit) => bytes[at % len] ^= 1 << bit,
            Damage::Set(at, byte) => bytes[at % len] = *byte,
            Damage::Cut(at) => bytes.truncate(at % (len + 1)),
            Damage::Insert(at, inserted) => {
                drop(bytes.splice(at % (len + 1)..at % (len + 1), inserted.iter().copied()))
            }
            Damage::Repeat(at, stretch) => {
                let at = at % (len + 1);
                let repeated = bytes[at..(at + stretch).min(len)].to_vec();
                drop(bytes.splice(at..at, repeated));
            }
        }
    }
    bytes
}
