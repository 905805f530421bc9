//! Object identifiers: borrowed as they stand in a datagram, owned where a poller keeps them.
//!
//! Not here: names of objects (a MIB's).
//!
//! Invariant: both kinds hold the contents of a BER OBJECT IDENTIFIER whose numbers are whole, of at most 32 bits and
//! written as short as they can be; so equal identifiers have equal bytes, and one begins with another when its bytes do.
//! Their order is that of the numbers, which the bytes do not have (16383 is ff 7f, 16384 is 81 80 00).

use crate::ParseError;
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Most numbers of an identifier (RFC 2578, section 3.5).
pub const NUMBERS_MAX: usize = 128;

/// An identifier in somebody's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OidRef<'a>(&'a [u8]);

/// An identifier of its own.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Oid(Box<[u8]>);

/// The numbers of a row's index, as [`OidRef::index_under`] gives it.
pub fn index_numbers(index: &[u8]) -> impl Iterator<Item = u32> + '_ {
    let ends = |byte: &u8| *byte < 0x80;
    index.split_inclusive(ends).map(|bytes| bytes.iter().fold(0u32, |value, byte| value << 7 | u32::from(byte & 0x7f)))
}

/// Text that is no identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object identifier is 2 to 128 numbers with dots between them, such as 1.3.6.1.2.1.1.3.0")]
pub struct NotAnOid;

impl<'a> OidRef<'a> {
    /// Checks contents that begin at `offset` of a datagram.
    pub(super) fn check(contents: &'a [u8], offset: usize) -> Result<Self, ParseError> {
        // Most identifiers have a byte for each number; those that do not are looked at number by number.
        let is_plain = !contents.is_empty() && contents.len() < NUMBERS_MAX && contents.iter().all(|byte| *byte < 0x80);
        if is_plain {
            return Ok(Self(contents));
        }
        let mut numbers = 1;
        let mut value = 0u64;
        let mut starts = true;
        for (at, byte) in contents.iter().enumerate() {
            let bad = ParseError::BadValue { offset: offset + at };
            if starts && *byte == 0x80 {
                return Err(bad);
            }
            value = value << 7 | u64::from(byte & 0x7f);
            starts = *byte < 0x80;
            // The first number of the encoding is 40 times the first of the identifier plus the second.
            let largest = if numbers == 1 { u64::from(u32::MAX) + 80 } else { u64::from(u32::MAX) };
            if value > largest {
                return Err(bad);
            }
            if starts {
                numbers += 1;
                value = 0;
            }
        }
        if contents.is_empty() || !starts || numbers > NUMBERS_MAX {
            return Err(ParseError::BadValue { offset });
        }
        Ok(Self(contents))
    }

    /// Contents that were checked before.
    pub(super) fn trusted(contents: &'a [u8]) -> Self {
        Self(contents)
    }

    /// The contents of its encoding.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Its numbers in order.
    pub fn numbers(self) -> impl Iterator<Item = u32> + 'a {
        let mut at = 0;
        let mut second = None;
        let mut is_first = true;
        std::iter::from_fn(move || {
            if let Some(number) = second.take() {
                return Some(number);
            }
            let rest = self.0.get(at..).filter(|rest| !rest.is_empty())?;
            let len = 1 + rest.iter().take_while(|byte| **byte >= 0x80).count();
            at += len;
            let value = rest.iter().take(len).fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
            if !std::mem::take(&mut is_first) {
                return Some(value as u32);
            }
            let first = (value / 40).min(2);
            second = Some((value - 40 * first) as u32);
            Some(first as u32)
        })
    }

    /// What follows `prefix`: a row's index when `prefix` is its column. Nothing when this one does not begin with it.
    pub fn index_under(self, prefix: OidRef<'_>) -> Option<&'a [u8]> {
        self.0.strip_prefix(prefix.0)
    }

    /// Keeps it.
    pub fn to_owned(self) -> Oid {
        Oid(self.0.into())
    }
}

impl Oid {
    /// An identifier of these numbers.
    ///
    /// # Errors
    /// When they are fewer than 2 or more than 128, the first is above 2, or the second above 39 below 0 or 1.
    pub fn new(numbers: &[u32]) -> Result<Self, NotAnOid> {
        let [first, second, rest @ ..] = numbers else { return Err(NotAnOid) };
        if *first > 2 || (*first < 2 && *second > 39) || numbers.len() > NUMBERS_MAX {
            return Err(NotAnOid);
        }
        let mut bytes = Vec::with_capacity(numbers.len() + 4);
        push_number(u64::from(*first) * 40 + u64::from(*second), &mut bytes);
        rest.iter().for_each(|number| push_number(u64::from(*number), &mut bytes));
        Ok(Self(bytes.into()))
    }

    /// The same as a view.
    pub fn as_ref(&self) -> OidRef<'_> {
        OidRef(&self.0)
    }

    /// This identifier with further numbers at its end.
    ///
    /// # Errors
    /// When they are more than 128 in all.
    pub fn with(&self, numbers: &[u32]) -> Result<Self, NotAnOid> {
        if self.as_ref().numbers().count() + numbers.len() > NUMBERS_MAX {
            return Err(NotAnOid);
        }
        let mut bytes = self.0.to_vec();
        numbers.iter().for_each(|number| push_number(u64::from(*number), &mut bytes));
        Ok(Self(bytes.into()))
    }
}

fn push_number(number: u64, bytes: &mut Vec<u8>) {
    let groups = (64 - number.leading_zeros()).div_ceil(7).max(1);
    for group in (0..groups).rev() {
        let more = if group > 0 { 0x80 } else { 0 };
        bytes.push((number >> (7 * group)) as u8 & 0x7f | more);
    }
}

impl Ord for OidRef<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        order(self.0, other.0)
    }
}

/// The order of the numbers that these bytes are, which are written as short as they can be: so of the first two that
/// differ the one with more bytes is larger, and of as many bytes the one whose bytes are. Also of rows' indexes.
pub(super) fn order(a: &[u8], b: &[u8]) -> Ordering {
    let Some(differs) = a.iter().zip(b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    let start = a[..differs].iter().rposition(|byte| *byte < 0x80).map_or(0, |end| end + 1);
    let number = |bytes: &[u8]| start..start + bytes[start..].iter().take_while(|byte| **byte >= 0x80).count() + 1;
    let (x, y) = (a.get(number(a)), b.get(number(b)));
    let len = |number: Option<&[u8]>| number.map_or(0, <[u8]>::len);
    len(x).cmp(&len(y)).then_with(|| x.cmp(&y))
}

impl PartialOrd for OidRef<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Oid {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_ref().cmp(&other.as_ref())
    }
}

impl PartialOrd for Oid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for OidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, number) in self.numbers().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            write!(f, "{dot}{number}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}

impl fmt::Debug for OidRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Oid {
    type Err = NotAnOid;

    /// Reads `1.3.6.1`; a dot in front is allowed.
    fn from_str(text: &str) -> Result<Self, NotAnOid> {
        let text = text.strip_prefix('.').unwrap_or(text);
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = |part: &str| if is_number(part) { part.parse().map_err(|_| NotAnOid) } else { Err(NotAnOid) };
        Self::new(&text.split('.').map(number).collect::<Result<Vec<u32>, _>>()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    #[test]
    fn accepts_identifiers() {
        for (text, bytes) in [
            ("1.3.6.1.2.1.1.3.0", &[0x2b, 6, 1, 2, 1, 1, 3, 0][..]),
            ("0.0", &[0]),
            ("2.999", &[0x88, 0x37]),
            ("2.39.127.128", &[0x77, 0x7f, 0x81, 0x00]),
            ("1.3.4294967295", &[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]),
        ] {
            assert_eq!(oid(text).as_ref().as_bytes(), bytes, "{text}");
            assert_eq!(oid(text).to_string(), text);
        }
        assert_eq!(oid(".1.3.6"), oid("1.3.6"));
    }

    #[test]
    fn rejects_text_that_is_none() {
        for text in ["", ".", "1", "1.", "1..3", "3.1", "1.40", "0.40", "1.3.4294967296", "1.-3", "1.+3", "1.3 ", "a.b"]
        {
            assert_eq!(text.parse::<Oid>(), Err(NotAnOid), "{text:?}");
        }
        assert_eq!(Oid::new(&[1; NUMBERS_MAX + 1]), Err(NotAnOid));
        assert!(oid("1.3").with(&[1; NUMBERS_MAX - 2]).is_ok());
        assert_eq!(oid("1.3").with(&[1; NUMBERS_MAX - 1]), Err(NotAnOid));
    }

    #[test]
    fn rejects_bytes_that_are_none() {
        for bytes in [&[][..], &[0x80], &[0x2b, 0x80, 1], &[0x2b, 0x86], &[0x2b, 0x90, 0x80, 0x80, 0x80, 0x00]] {
            assert!(OidRef::check(bytes, 0).is_err(), "{bytes:x?}");
        }
        assert!(OidRef::check(&[1; NUMBERS_MAX], 0).is_err());
        assert!(OidRef::check(&[1; NUMBERS_MAX - 1], 0).is_ok());
    }

    #[test]
    fn a_row_has_its_index_under_its_column() {
        let row = oid("1.3.6.1.2.1.2.2.1.10.300");
        assert_eq!(row.as_ref().index_under(oid("1.3.6.1.2.1.2.2.1.10").as_ref()), Some(&[0x82, 0x2c][..]));
        assert_eq!(row.as_ref().index_under(oid("1.3.6.1.2.1.2.2.1.1").as_ref()), None);
        assert_eq!(index_numbers(&[0x82, 0x2c, 7, 0]).collect::<Vec<_>>(), [300, 7, 0]);
    }

    proptest! {
        #[test]
        fn order_and_text_are_those_of_the_numbers(a: Vec<u32>, b: Vec<u32>) {
            let made = |numbers: &[u32]| oid("1.3").with(&numbers[..numbers.len().min(100)]).unwrap();
            let (x, y) = (made(&a), made(&b));
            prop_assert_eq!(x.cmp(&y), a[..a.len().min(100)].cmp(&b[..b.len().min(100)]));
            prop_assert_eq!(&x.to_string().parse::<Oid>().unwrap(), &x);
            prop_assert!(OidRef::check(x.as_ref().as_bytes(), 0).is_ok());
        }
    }
}
