//! Values of variable bindings: the types of SMIv2 (RFC 2578) and the three exceptions of v2c and v3 (RFC 3416).
//!
//! Not here: what an object means.
//!
//! Invariant: a counter or gauge holds exactly the number that was sent; nothing passes through a double.

use super::ber::{INTEGER, NULL, OBJECT_IDENTIFIER, OCTET_STRING, Reader, Writer, signed, unsigned};
use super::oid::OidRef;
use crate::ParseError;

const IP_ADDRESS: u8 = 0x40;
const COUNTER32: u8 = 0x41;
const GAUGE32: u8 = 0x42;
const TIME_TICKS: u8 = 0x43;
const OPAQUE: u8 = 0x44;
const COUNTER64: u8 = 0x46;
const NO_SUCH_OBJECT: u8 = 0x80;
const NO_SUCH_INSTANCE: u8 = 0x81;
const END_OF_MIB_VIEW: u8 = 0x82;

/// Net-SNMP wraps doubles and floats into Opaque: a context tag of two bytes, then the number (its `asn1.h`).
const OPAQUE_DOUBLE: [u8; 3] = [0x9f, 0x79, 8];
const OPAQUE_FLOAT: [u8; 3] = [0x9f, 0x78, 4];

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// INTEGER, Integer32: 32 bits with a sign.
    Integer(i32),
    /// OCTET STRING: text or bytes.
    OctetString(&'a [u8]),
    /// NULL: the place of a value in a request.
    Null,
    /// OBJECT IDENTIFIER.
    Oid(OidRef<'a>),
    /// IpAddress: an IPv4 address.
    IpAddress([u8; 4]),
    /// Counter32: rises, starts again at 2^32.
    Counter32(u32),
    /// Gauge32, Unsigned32.
    Gauge32(u32),
    /// TimeTicks: hundredths of a second, starts again at 2^32 (after 497 days).
    TimeTicks(u32),
    /// Opaque: bytes of somebody's own encoding.
    Opaque(&'a [u8]),
    /// Counter64.
    Counter64(u64),
    /// The agent has no such object.
    NoSuchObject,
    /// The agent has the object, but not this instance.
    NoSuchInstance,
    /// Nothing follows: a walk is over.
    EndOfMibView,
}

impl<'a> Value<'a> {
    /// The next value of a reader.
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let start = reader.offset();
        let element = reader.next()?;
        let bad = ParseError::BadValue { offset: element.offset };
        // Some agents send 32-bit numbers sign-extended to more bytes, or with more zeros than needed.
        let small = || unsigned(element).and_then(|number| u32::try_from(number).map_err(|_| bad));
        Ok(match element.tag {
            INTEGER => Self::Integer(i32::try_from(signed(element)?).map_err(|_| bad)?),
            OCTET_STRING => Self::OctetString(element.contents),
            NULL => Self::Null,
            OBJECT_IDENTIFIER => Self::Oid(OidRef::check(element.contents, element.offset)?),
            IP_ADDRESS => Self::IpAddress(element.contents.try_into().map_err(|_| bad)?),
            COUNTER32 => Self::Counter32(small()?),
            GAUGE32 => Self::Gauge32(small()?),
            TIME_TICKS => Self::TimeTicks(small()?),
            OPAQUE => Self::Opaque(element.contents),
            COUNTER64 => Self::Counter64(unsigned(element)?),
            NO_SUCH_OBJECT => Self::NoSuchObject,
            NO_SUCH_INSTANCE => Self::NoSuchInstance,
            END_OF_MIB_VIEW => Self::EndOfMibView,
            tag => return Err(ParseError::UnexpectedTag { offset: start, tag }),
        })
    }

    pub(super) fn write(self, writer: &mut Writer) {
        match self {
            Self::Integer(value) => writer.integer(i64::from(value)),
            Self::OctetString(bytes) => writer.element(OCTET_STRING, bytes),
            Self::Null => writer.element(NULL, &[]),
            Self::Oid(oid) => writer.element(OBJECT_IDENTIFIER, oid.as_bytes()),
            Self::IpAddress(address) => writer.element(IP_ADDRESS, &address),
            Self::Counter32(value) => writer.unsigned(COUNTER32, u64::from(value)),
            Self::Gauge32(value) => writer.unsigned(GAUGE32, u64::from(value)),
            Self::TimeTicks(value) => writer.unsigned(TIME_TICKS, u64::from(value)),
            Self::Opaque(bytes) => writer.element(OPAQUE, bytes),
            Self::Counter64(value) => writer.unsigned(COUNTER64, value),
            Self::NoSuchObject => writer.element(NO_SUCH_OBJECT, &[]),
            Self::NoSuchInstance => writer.element(NO_SUCH_INSTANCE, &[]),
            Self::EndOfMibView => writer.element(END_OF_MIB_VIEW, &[]),
        }
    }

    /// The number a value is, as a sample holds it; a Counter64 above 2^53 is rounded here and only here. Nothing for
    /// what is no number. Text that is a decimal number counts: sensors of many agents answer that way.
    pub fn number(self) -> Option<f64> {
        match self {
            Self::Integer(value) => Some(f64::from(value)),
            Self::Counter32(value) | Self::Gauge32(value) | Self::TimeTicks(value) => Some(f64::from(value)),
            Self::Counter64(value) => Some(value as f64),
            Self::Opaque(bytes) => opaque_number(bytes).filter(|number| number.is_finite()),
            Self::OctetString(text) => crate::number::finite(text.trim_ascii()),
            _ => None,
        }
    }

    /// The unsigned number a counter, gauge or time is.
    pub fn count(self) -> Option<u64> {
        match self {
            Self::Counter32(value) | Self::Gauge32(value) | Self::TimeTicks(value) => Some(u64::from(value)),
            Self::Counter64(value) => Some(value),
            Self::Integer(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// Whether the agent said that there is no value.
    pub fn is_absent(self) -> bool {
        matches!(self, Self::NoSuchObject | Self::NoSuchInstance | Self::EndOfMibView)
    }
}

fn opaque_number(bytes: &[u8]) -> Option<f64> {
    let (kind, number) = bytes.split_at_checked(3)?;
    if *kind == OPAQUE_DOUBLE {
        return Some(f64::from_be_bytes(number.try_into().ok()?));
    }
    (*kind == OPAQUE_FLOAT).then_some(())?;
    Some(f64::from(f32::from_be_bytes(number.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Value<'_>, ParseError> {
        Value::read(&mut Reader::new(bytes, 0))
    }

    #[test]
    fn accepts_every_type() {
        for (bytes, value) in [
            (&[0x02, 1, 0xff][..], Value::Integer(-1)),
            (&[0x02, 8, 0, 0, 0, 0, 0, 0, 0, 5], Value::Integer(5)),
            (&[0x04, 2, b'h', b'i'], Value::OctetString(b"hi")),
            (&[0x05, 0], Value::Null),
            (&[0x40, 4, 10, 0, 0, 1], Value::IpAddress([10, 0, 0, 1])),
            (&[0x41, 5, 0, 0xff, 0xff, 0xff, 0xff], Value::Counter32(u32::MAX)),
            (&[0x41, 4, 0xff, 0xff, 0xff, 0xff], Value::Counter32(u32::MAX)),
            (&[0x42, 1, 0x80], Value::Gauge32(128)),
            (&[0x43, 2, 1, 0], Value::TimeTicks(256)),
            (&[0x44, 1, 9], Value::Opaque(&[9])),
            (&[0x46, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Value::Counter64(u64::MAX)),
            (&[0x80, 0], Value::NoSuchObject),
            (&[0x81, 0], Value::NoSuchInstance),
            (&[0x82, 0], Value::EndOfMibView),
        ] {
            assert_eq!(read(bytes), Ok(value), "{bytes:x?}");
        }
        assert!(matches!(read(&[0x06, 1, 0x2b]), Ok(Value::Oid(_))));
    }

    #[test]
    fn rejects_what_has_another_size_or_tag() {
        for bytes in [
            &[0x02, 5, 1, 0, 0, 0, 0][..],
            &[0x40, 3, 10, 0, 0],
            &[0x41, 6, 0, 1, 0, 0, 0, 0],
            &[0x41, 0],
            &[0x46, 10, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[0x47, 1, 0],
            &[0x30, 0],
        ] {
            assert!(read(bytes).is_err(), "{bytes:x?}");
        }
    }

    #[test]
    fn numbers_are_read_from_what_holds_one() {
        let mut double = OPAQUE_DOUBLE.to_vec();
        double.extend(1.5f64.to_be_bytes());
        let mut float = OPAQUE_FLOAT.to_vec();
        float.extend(0.25f32.to_be_bytes());
        for (value, number) in [
            (Value::Integer(-3), Some(-3.0)),
            (Value::Counter64(1 << 60), Some((1u64 << 60) as f64)),
            (Value::Opaque(&double), Some(1.5)),
            (Value::Opaque(&float), Some(0.25)),
            (Value::Opaque(&double[..9]), None),
            (Value::OctetString(b" 21.5\n"), Some(21.5)),
            (Value::OctetString(b"eth0"), None),
            (Value::NoSuchInstance, None),
            (Value::Null, None),
        ] {
            assert_eq!(value.number(), number, "{value:?}");
        }
    }
}
