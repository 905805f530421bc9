//! Messages of version 3 (RFC 3412) with the user-based security model (RFC 3414) around their unit.
//!
//! Not here: digests and ciphers (see `usm`), and whether a message is in time (see `usm::Engine`).
//!
//! Invariant: nothing of a message is to be believed before [`LocalizedUser::open`](super::usm::LocalizedUser::open) has
//! checked its digest, except what a discovery needs.

use super::ber::{OCTET_STRING, Reader, SEQUENCE, Writer};
use super::community::{Version, read_version};
use super::pdu::{Pdu, PduBuilder};
use super::usm::LocalizedUser;
use crate::ParseError;
use std::ops::Range;

const FLAG_AUTH: u8 = 1;
const FLAG_PRIVACY: u8 = 2;
const FLAG_REPORTABLE: u8 = 4;

/// The user-based security model among the models of RFC 3411.
const USM: i64 = 3;

/// The largest answer we take: what one UDP datagram over IPv4 holds.
const MAX_SIZE: i64 = 65_507;

/// How a message is secured, and whether it may be answered by a Report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags {
    /// It carries a digest.
    pub auth: bool,
    /// Its unit is encrypted.
    pub privacy: bool,
    /// A Report may answer it.
    pub reportable: bool,
}

impl Flags {
    fn bits(self) -> u8 {
        let bit = |is_set: bool, flag| if is_set { flag } else { 0 };
        bit(self.auth, FLAG_AUTH) | bit(self.privacy, FLAG_PRIVACY) | bit(self.reportable, FLAG_REPORTABLE)
    }
}

/// What a message carries.
#[derive(Debug, Clone, Copy)]
pub enum Payload<'a> {
    /// A scoped unit in clear.
    Plain(ScopedPdu<'a>),
    /// An encrypted one.
    Encrypted(&'a [u8]),
}

/// A unit and the context it is meant for.
#[derive(Debug, Clone, Copy)]
pub struct ScopedPdu<'a> {
    /// The engine that has the context.
    pub engine_id: &'a [u8],
    /// The context's name; most often empty.
    pub context: &'a [u8],
    /// The unit.
    pub pdu: Pdu<'a>,
}

impl<'a> ScopedPdu<'a> {
    /// Reads a decrypted unit; what a block cipher padded it with is passed over.
    ///
    /// # Errors
    /// When it is none: most often because it was decrypted with the wrong key.
    pub fn read(bytes: &'a [u8]) -> Result<Self, ParseError> {
        Self::read_from(&mut Reader::new(bytes, 0))
    }

    fn read_from(reader: &mut Reader<'a>) -> Result<Self, ParseError> {
        let mut fields = Reader::of(reader.expect(SEQUENCE)?);
        let engine_id = fields.expect(OCTET_STRING)?.contents;
        let context = fields.expect(OCTET_STRING)?.contents;
        let pdu = Pdu::read(&mut fields)?;
        fields.end()?;
        Ok(Self { engine_id, context, pdu })
    }
}

/// A message of version 3 as it arrived.
#[derive(Debug, Clone)]
pub struct V3Message<'a> {
    /// Chosen by the one asking, repeated in the answer.
    pub msg_id: i32,
    /// How it is secured.
    pub flags: Flags,
    /// The engine whose clock and keys count: the agent's.
    pub engine_id: &'a [u8],
    /// How often that engine has started.
    pub boots: u32,
    /// Seconds since it last did.
    pub time: u32,
    /// On whose behalf.
    pub user: &'a [u8],
    /// Where the digest stands in the datagram.
    pub(super) digest: Range<usize>,
    /// What the cipher starts from beside its key.
    pub(super) salt: &'a [u8],
    /// What it carries.
    pub payload: Payload<'a>,
}

impl<'a> V3Message<'a> {
    /// Reads a datagram without checking its digest.
    ///
    /// # Errors
    /// When it is no whole message of version 3, has another security model, or is encrypted but not authenticated.
    pub fn read(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let mut outer = Reader::new(datagram, 0);
        let mut fields = Reader::of(outer.expect(SEQUENCE)?);
        outer.end()?;
        let offset = fields.offset();
        if read_version(&mut fields)? != Version::V3 {
            return Err(ParseError::BadValue { offset });
        }
        let (msg_id, flags) = read_header(&mut fields)?;
        let security = fields.expect(OCTET_STRING)?;
        let mut security = Reader::of(Reader::of(security).expect(SEQUENCE)?);
        let engine_id = security.expect(OCTET_STRING)?.contents;
        let boots = security.natural()?;
        let time = security.natural()?;
        let user = security.expect(OCTET_STRING)?.contents;
        let digest = security.expect(OCTET_STRING)?;
        let salt = security.expect(OCTET_STRING)?.contents;
        security.end()?;
        let payload = if flags.privacy {
            Payload::Encrypted(fields.expect(OCTET_STRING)?.contents)
        } else {
            Payload::Plain(ScopedPdu::read_from(&mut fields)?)
        };
        fields.end()?;
        let digest = digest.offset..digest.offset + digest.contents.len();
        Ok(Self { msg_id, flags, engine_id, boots, time, user, digest, salt, payload })
    }
}

fn read_header(fields: &mut Reader<'_>) -> Result<(i32, Flags), ParseError> {
    let mut header = Reader::of(fields.expect(SEQUENCE)?);
    let msg_id = header.integer()?;
    header.natural()?;
    let flags = header.expect(OCTET_STRING)?;
    let offset = header.offset();
    if i64::from(header.integer()?) != USM {
        return Err(ParseError::BadValue { offset });
    }
    header.end()?;
    let bad = ParseError::BadValue { offset: flags.offset };
    let [bits] = *flags.contents else { return Err(bad) };
    let is_set = |flag| bits & flag != 0;
    let flags = Flags { auth: is_set(FLAG_AUTH), privacy: is_set(FLAG_PRIVACY), reportable: is_set(FLAG_REPORTABLE) };
    if flags.privacy && !flags.auth { Err(bad) } else { Ok((msg_id, flags)) }
}

/// A message of version 3 to send.
#[derive(Debug, Clone, Copy)]
pub struct V3Builder<'a> {
    /// Repeated in the answer.
    pub msg_id: i32,
    /// Whether a Report may answer it: true for requests.
    pub reportable: bool,
    /// The agent's engine; empty to discover it.
    pub engine_id: &'a [u8],
    /// The agent's boots as far as known.
    pub boots: u32,
    /// The agent's time as far as known.
    pub time: u32,
    /// The user's name.
    pub user: &'a [u8],
    /// The context's name.
    pub context: &'a [u8],
    /// The engine that has the context, where that is not the one above.
    pub context_engine_id: Option<&'a [u8]>,
    /// What it carries.
    pub pdu: PduBuilder<'a>,
}

impl V3Builder<'_> {
    /// Makes the datagram in a buffer whose memory is used again, secured with what the user has. `salt` must never be
    /// the same twice for one key.
    pub fn encode(&self, keys: Option<&LocalizedUser>, salt: u64, buffer: Vec<u8>) -> Vec<u8> {
        let auth = keys.and_then(LocalizedUser::digest_len);
        let has_privacy = keys.is_some_and(LocalizedUser::has_privacy);
        let mut writer = Writer::over(buffer);
        let salt = match keys.filter(|_| has_privacy) {
            Some(keys) => {
                let mut scoped = Writer::default();
                self.write_scoped(&mut scoped);
                let mut scoped = scoped.finish();
                let salt = keys.encrypt(&mut scoped, self.boots, self.time, salt);
                writer.element(OCTET_STRING, &scoped);
                salt
            }
            None => {
                self.write_scoped(&mut writer);
                None
            }
        };
        let security_end = writer.len();
        writer.element(OCTET_STRING, salt.as_ref().map_or(&[], |salt| salt.as_slice()));
        writer.raw(&[0; DIGEST_BYTES_MAX][..auth.unwrap_or(0)]);
        let digest_end = writer.len();
        writer.header(OCTET_STRING, digest_end - auth.unwrap_or(0));
        writer.element(OCTET_STRING, self.user);
        writer.integer(i64::from(self.time));
        writer.integer(i64::from(self.boots));
        writer.element(OCTET_STRING, self.engine_id);
        writer.header(SEQUENCE, security_end);
        writer.header(OCTET_STRING, security_end);
        let flags = Flags { auth: auth.is_some(), privacy: has_privacy, reportable: self.reportable };
        let header_end = writer.len();
        writer.integer(USM);
        writer.element(OCTET_STRING, &[flags.bits()]);
        writer.integer(MAX_SIZE);
        writer.integer(i64::from(self.msg_id));
        writer.header(SEQUENCE, header_end);
        writer.integer(Version::V3.code());
        writer.header(SEQUENCE, 0);
        let mut datagram = writer.finish();
        if let Some((keys, len)) = keys.zip(auth) {
            let start = datagram.len() - digest_end;
            keys.sign(&mut datagram, start..start + len);
        }
        datagram
    }

    fn write_scoped(&self, writer: &mut Writer) {
        let end = writer.len();
        self.pdu.write(writer);
        writer.element(OCTET_STRING, self.context);
        writer.element(OCTET_STRING, self.context_engine_id.unwrap_or(self.engine_id));
        writer.header(SEQUENCE, end);
    }
}

/// The longest digest: SHA-512's (RFC 7860).
pub(super) const DIGEST_BYTES_MAX: usize = 48;
