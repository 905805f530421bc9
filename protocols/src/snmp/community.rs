//! Messages of versions 1 and 2c (RFC 3584): a version, a community, a unit.
//!
//! Not here: version 3 (see `v3`), and whether a community is the right one.

use super::ber::{OCTET_STRING, Reader, SEQUENCE, Writer};
use super::pdu::{Pdu, PduBuilder};
use crate::ParseError;

/// Which message format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// SNMPv1.
    V1,
    /// SNMPv2c.
    V2c,
    /// SNMPv3.
    V3,
}

impl Version {
    pub(super) fn code(self) -> i64 {
        match self {
            Self::V1 => 0,
            Self::V2c => 1,
            Self::V3 => 3,
        }
    }
}

/// The version a datagram says it has.
///
/// # Errors
/// When it is no SNMP message, or of a version that does not exist.
pub fn version(datagram: &[u8]) -> Result<Version, ParseError> {
    let mut fields = Reader::of(Reader::new(datagram, 0).expect(SEQUENCE)?);
    read_version(&mut fields)
}

/// The id that a datagram names: of a request or its answer, in version 3 of the message. Looks no further, so nothing else
/// of the datagram is known to be right.
pub fn id_of(datagram: &[u8]) -> Option<i32> {
    let mut fields = Reader::of(Reader::new(datagram, 0).expect(SEQUENCE).ok()?);
    if read_version(&mut fields).ok()? == Version::V3 {
        return Reader::of(fields.expect(SEQUENCE).ok()?).integer().ok();
    }
    fields.expect(OCTET_STRING).ok()?;
    Pdu::peek_id(&mut fields).ok()
}

pub(super) fn read_version(fields: &mut Reader<'_>) -> Result<Version, ParseError> {
    let offset = fields.offset();
    match fields.integer()? {
        0 => Ok(Version::V1),
        1 => Ok(Version::V2c),
        3 => Ok(Version::V3),
        _ => Err(ParseError::BadValue { offset }),
    }
}

/// A message of version 1 or 2c.
#[derive(Debug, Clone, Copy)]
pub struct CommunityMessage<'a> {
    /// 1 or 2c.
    pub version: Version,
    /// The password in clear text that it is.
    pub community: &'a [u8],
    /// What it carries.
    pub pdu: Pdu<'a>,
}

impl<'a> CommunityMessage<'a> {
    /// Reads a datagram; bytes after the message are none of its own and are refused.
    ///
    /// # Errors
    /// When it is no whole message of version 1 or 2c.
    pub fn read(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let mut outer = Reader::new(datagram, 0);
        let mut fields = Reader::of(outer.expect(SEQUENCE)?);
        outer.end()?;
        let offset = fields.offset();
        let version = read_version(&mut fields)?;
        if version == Version::V3 {
            return Err(ParseError::BadValue { offset });
        }
        let community = fields.expect(OCTET_STRING)?.contents;
        let pdu = Pdu::read(&mut fields)?;
        fields.end()?;
        Ok(Self { version, community, pdu })
    }
}

/// Makes a datagram of version 1 or 2c in a buffer whose memory is used again.
pub fn encode_community(version: Version, community: &[u8], pdu: &PduBuilder<'_>, buffer: Vec<u8>) -> Vec<u8> {
    let mut writer = Writer::over(buffer);
    pdu.write(&mut writer);
    writer.element(OCTET_STRING, community);
    writer.integer(version.code());
    writer.header(SEQUENCE, 0);
    writer.finish()
}
