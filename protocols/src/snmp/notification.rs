//! Traps and informs: events that an agent sends by itself, in one form for all versions (RFC 3584, section 3).
//!
//! Not here: who may send them, what version 3 is secured with (see `usm`), what an event means.
//!
//! Invariant: a trap of version 1 has the same identifier as the same trap of version 2c.

use super::ber::{INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader, SEQUENCE, signed, unsigned};
use super::community::{Version, read_version};
use super::oid::{Oid, OidRef};
use super::pdu::{ErrorStatus, Pdu, PduBuilder, PduKind, VarBind, read_var_bind};
use super::value::Value;
use super::{CommunityMessage, encode_community};
use crate::ParseError;

const TRAP_V1: u8 = 0xa4;
const IP_ADDRESS: u8 = 0x40;
const TIME_TICKS: u8 = 0x43;

/// A trap of version 1 that is the enterprise's own.
const ENTERPRISE_SPECIFIC: i64 = 6;

/// sysUpTime.0 and snmpTrapOID.0, with which an event of version 2c begins.
const UPTIME: [u8; 8] = [0x2b, 6, 1, 2, 1, 1, 3, 0];
const TRAP_OID: [u8; 10] = [0x2b, 6, 1, 6, 3, 1, 1, 4, 1, 0];
/// snmpTraps, under which the generic traps of version 1 are counted from 1.
const GENERIC_TRAPS: [u32; 9] = [1, 3, 6, 1, 6, 3, 1, 1, 5];

/// Whether an event wants an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotificationKind {
    /// It does not.
    Trap,
    /// The sender goes on sending until it has one.
    Inform,
}

/// An event.
#[derive(Debug, Clone)]
pub struct Notification<'a> {
    /// Whether it wants an answer.
    pub kind: NotificationKind,
    /// Which event.
    pub trap: Oid,
    /// The sender's sysUpTime, hundredths of a second.
    pub uptime: u32,
    /// What the event is about, without time and identifier.
    pub var_binds: Vec<VarBind<'a>>,
    request_id: i32,
    community: Option<(Version, &'a [u8])>,
}

impl<'a> Notification<'a> {
    /// Reads a datagram of version 1 or 2c.
    ///
    /// # Errors
    /// When it is no whole message of these versions, or none of an event.
    pub fn read(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let mut outer = Reader::new(datagram, 0);
        let mut fields = Reader::of(outer.expect(SEQUENCE)?);
        outer.end()?;
        let version = read_version(&mut fields)?;
        if version == Version::V1 {
            let community = fields.expect(OCTET_STRING)?.contents;
            let trap = Self::read_v1(&mut fields, community)?;
            fields.end()?;
            return Ok(trap);
        }
        let message = CommunityMessage::read(datagram)?;
        let community = Some((message.version, message.community));
        Ok(Self { community, ..Self::of(&message.pdu)? })
    }

    /// The event that a unit of version 2c or 3 is.
    ///
    /// # Errors
    /// When it is none, or does not begin with time and identifier.
    pub fn of(pdu: &Pdu<'a>) -> Result<Self, ParseError> {
        let bad = ParseError::BadValue { offset: 0 };
        let kind = match pdu.kind {
            PduKind::Trap => NotificationKind::Trap,
            PduKind::Inform => NotificationKind::Inform,
            _ => return Err(bad),
        };
        let mut var_binds = pdu.var_binds();
        let (Some(time), Some(trap)) = (var_binds.next(), var_binds.next()) else { return Err(bad) };
        let (Value::TimeTicks(uptime), Value::Oid(oid)) = (time.value, trap.value) else { return Err(bad) };
        if time.name.as_bytes() != UPTIME || trap.name.as_bytes() != TRAP_OID {
            return Err(bad);
        }
        let (trap, request_id) = (oid.to_owned(), pdu.request_id);
        Ok(Self { kind, trap, uptime, var_binds: var_binds.collect(), request_id, community: None })
    }

    fn read_v1(fields: &mut Reader<'a>, community: &'a [u8]) -> Result<Self, ParseError> {
        let mut pdu = Reader::of(fields.expect(TRAP_V1)?);
        let enterprise = pdu.expect(OBJECT_IDENTIFIER)?;
        let enterprise = OidRef::check(enterprise.contents, enterprise.offset)?;
        pdu.expect(IP_ADDRESS)?;
        let generic = pdu.expect(INTEGER)?;
        let bad = ParseError::BadValue { offset: generic.offset };
        let generic = signed(generic)?;
        let specific = signed(pdu.expect(INTEGER)?)?;
        let uptime = u32::try_from(unsigned(pdu.expect(TIME_TICKS)?)?).map_err(|_| bad)?;
        let mut rest = Reader::of(pdu.expect(SEQUENCE)?);
        pdu.end()?;
        let number = |number: i64| u32::try_from(number).map_err(|_| bad);
        let trap = match generic {
            0..ENTERPRISE_SPECIFIC => Oid::new(&GENERIC_TRAPS).and_then(|traps| traps.with(&[generic as u32 + 1])),
            ENTERPRISE_SPECIFIC => enterprise.to_owned().with(&[0, number(specific)?]),
            _ => return Err(bad),
        };
        let mut var_binds = Vec::new();
        while !rest.is_empty() {
            var_binds.push(read_var_bind(&mut rest)?);
        }
        let trap = trap.map_err(|_| bad)?;
        let community = Some((Version::V1, community));
        Ok(Self { kind: NotificationKind::Trap, trap, uptime, var_binds, request_id: 0, community })
    }

    /// The community it came with; none in version 3.
    pub fn community(&self) -> Option<&'a [u8]> {
        self.community.map(|(_, community)| community)
    }

    /// The version it came with, but for version 3.
    pub fn version(&self) -> Option<Version> {
        self.community.map(|(version, _)| version)
    }

    /// Chosen by the sender, and the same when it sends an inform again; traps of version 1 have none.
    pub fn request_id(&self) -> Option<i32> {
        (self.version() != Some(Version::V1)).then_some(self.request_id)
    }

    /// The answer to an inform of version 2c. None to a trap.
    pub fn answer(&self) -> Option<Vec<u8>> {
        let (version, community) = self.community?;
        self.answered_by(|pdu| encode_community(version, community, pdu, Vec::new()))
    }

    /// What `encode` makes of the unit that answers an inform: the same variables (RFC 3416, section 4.2.7). None to a
    /// trap.
    pub fn answered_by(&self, encode: impl FnOnce(&PduBuilder<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        if self.kind != NotificationKind::Inform {
            return None;
        }
        let names = [OidRef::trusted(&UPTIME), OidRef::trusted(&TRAP_OID)];
        let values = [Value::TimeTicks(self.uptime), Value::Oid(self.trap.as_ref())];
        let first = names.into_iter().zip(values).map(|(name, value)| VarBind { name, value });
        let var_binds: Vec<_> = first.chain(self.var_binds.iter().copied()).collect();
        let pdu = PduBuilder::response(self.request_id, ErrorStatus::None, 0, &var_binds);
        Some(encode(&pdu))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oid(text: &str) -> Oid {
        text.parse().unwrap()
    }

    fn v2c(kind: PduKind, names: [&str; 2]) -> Vec<u8> {
        let (names, link_down) = (names.map(oid), oid("1.3.6.1.6.3.1.1.5.3"));
        let index = oid("1.3.6.1.2.1.2.2.1.1.7");
        let var_binds = [
            VarBind { name: names[0].as_ref(), value: Value::TimeTicks(500) },
            VarBind { name: names[1].as_ref(), value: Value::Oid(link_down.as_ref()) },
            VarBind { name: index.as_ref(), value: Value::Integer(7) },
        ];
        let pdu = PduBuilder::request(kind, 99, &var_binds);
        encode_community(Version::V2c, b"public", &pdu, Vec::new())
    }

    const BEGIN: [&str; 2] = ["1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"];

    /// linkDown of version 1 by hand: enterprise 1.3.6.1.4.1.8072, address 127.0.0.1, generic 2, specific 0, time 500.
    const LINK_DOWN: [u8; 46] = [
        0x30, 44, 2, 1, 0, 4, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa4, 31, 6, 7, 0x2b, 6, 1, 4, 1, 0xbf, 0x08,
        0x40, 4, 127, 0, 0, 1, 2, 1, 2, 2, 1, 0, 0x43, 2, 1, 0xf4, 0x30, 4, 0x30, 2, 6, 0,
    ];

    #[test]
    fn an_event_is_the_same_in_every_version() {
        let datagram = v2c(PduKind::Trap, BEGIN);
        let event = Notification::read(&datagram).unwrap();
        assert_eq!((event.trap.to_string().as_str(), event.uptime), ("1.3.6.1.6.3.1.1.5.3", 500));
        assert_eq!(
            (event.kind, event.var_binds.len(), event.community()),
            (NotificationKind::Trap, 1, Some(&b"public"[..]))
        );
        assert_eq!(event.answer(), None);
        let mut old = LINK_DOWN.to_vec();
        assert!(Notification::read(&old).is_err(), "a variable without its name's contents");
        old.truncate(40);
        old.extend([0x30, 0]);
        (old[1], old[14]) = (40, 27);
        let event = Notification::read(&old).unwrap();
        assert_eq!((event.trap.to_string().as_str(), event.uptime), ("1.3.6.1.6.3.1.1.5.3", 500));
        assert_eq!(event.version(), Some(Version::V1));
        (old[32], old[35]) = (6, 12);
        assert_eq!(Notification::read(&old).unwrap().trap.to_string(), "1.3.6.1.4.1.8072.0.12");
        old[32] = 7;
        assert!(Notification::read(&old).is_err());
    }

    #[test]
    fn an_inform_is_answered_with_its_own_variables() {
        let datagram = v2c(PduKind::Inform, BEGIN);
        let event = Notification::read(&datagram).unwrap();
        let answer = event.answer().expect("it wants one");
        let message = CommunityMessage::read(&answer).unwrap();
        assert_eq!((message.pdu.kind, message.pdu.request_id), (PduKind::Response, 99));
        let asked = CommunityMessage::read(&datagram).unwrap();
        assert!(message.pdu.var_binds().eq(asked.pdu.var_binds()));
    }

    #[test]
    fn what_is_no_event_is_refused() {
        assert!(Notification::read(&v2c(PduKind::Get, BEGIN)).is_err());
        assert!(Notification::read(&v2c(PduKind::Trap, [BEGIN[1], BEGIN[0]])).is_err());
        assert!(Notification::read(&[0x30, 0]).is_err());
    }
}
