//! SNMP messages: what is written is read back, also by a parser that is not ours, and what is not to be believed is not.

mod support;

use proptest::prelude::*;
use protocols::ParseError;
use protocols::snmp::usm::{AuthProtocol, Engine, KeyExtension, OpenError, PrivacyProtocol, Report, User, UserError};
use protocols::snmp::{
    CommunityMessage, ErrorStatus, Oid, Payload, PduBuilder, PduKind, ScopedPdu, V3Builder, V3Message, Value, VarBind,
    Version, encode_community, version,
};
use snmp_parser::snmp::{PduType, SnmpPdu, VarBindValue};
use support::{damage, damaged};

const ENGINE_ID: &[u8] = &[0x80, 0, 0x1f, 0x88, 4, b'a', b'b'];

const AUTH: [AuthProtocol; 6] = [
    AuthProtocol::Md5,
    AuthProtocol::Sha1,
    AuthProtocol::Sha224,
    AuthProtocol::Sha256,
    AuthProtocol::Sha384,
    AuthProtocol::Sha512,
];
const PRIVACY: [PrivacyProtocol; 4] =
    [PrivacyProtocol::Des, PrivacyProtocol::Aes128, PrivacyProtocol::Aes192, PrivacyProtocol::Aes256];

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

fn user(auth: AuthProtocol, privacy: Option<PrivacyProtocol>) -> User {
    let privacy = privacy.map(|protocol| (protocol, KeyExtension::Blumenthal, &b"privacy password"[..]));
    User::new(b"operator", (auth, b"auth password"), privacy).expect("long passwords")
}

fn v3<'a>(var_binds: &'a [VarBind<'a>]) -> V3Builder<'a> {
    V3Builder {
        msg_id: 77,
        reportable: true,
        engine_id: ENGINE_ID,
        boots: 5,
        time: 4711,
        user: b"operator",
        context: b"vlan-7",
        context_engine_id: None,
        pdu: PduBuilder::bulk(99, 1, 25, var_binds),
    }
}

/// The example of RFC 1157's text as everybody sends it: sysUpTime.0 of community public, written out by hand.
#[test]
fn a_get_has_the_bytes_of_the_standard() {
    let name = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::Null }];
    let pdu = PduBuilder::request(PduKind::Get, 1, &var_binds);
    let bytes = encode_community(Version::V2c, b"public", &pdu, Vec::new());
    let expected = [
        0x30, 0x26, 0x02, 1, 1, 0x04, 6, b'p', b'u', b'b', b'l', b'i', b'c', 0xa0, 0x19, 0x02, 1, 1, 0x02, 1, 0, 0x02,
        1, 0, 0x30, 0x0e, 0x30, 0x0c, 0x06, 8, 0x2b, 6, 1, 2, 1, 1, 3, 0, 0x05, 0,
    ];
    assert_eq!(bytes, expected);
    assert_eq!(version(&bytes), Ok(Version::V2c));
}

#[test]
fn every_value_comes_back() {
    let name = oid("1.3.6.1.4.1.2021.10.1.3.1");
    let other = oid("2.999.4294967295");
    let values = [
        Value::Integer(i32::MIN),
        Value::OctetString(&[0, 255]),
        Value::Null,
        Value::Oid(other.as_ref()),
        Value::IpAddress([192, 0, 2, 1]),
        Value::Counter32(u32::MAX),
        Value::Gauge32(0x8000_0000),
        Value::TimeTicks(7),
        Value::Opaque(&[0x9f, 0x78, 4, 0, 0, 0, 0]),
        Value::Counter64(u64::MAX),
        Value::NoSuchObject,
        Value::NoSuchInstance,
        Value::EndOfMibView,
    ];
    let var_binds = values.map(|value| VarBind { name: name.as_ref(), value });
    let pdu = PduBuilder::response(-5, ErrorStatus::TooBig, 3, &var_binds);
    let bytes = encode_community(Version::V1, b"", &pdu, vec![1; 9]);
    let message = CommunityMessage::read(&bytes).unwrap();
    assert_eq!((message.version, message.community), (Version::V1, &b""[..]));
    assert_eq!((message.pdu.kind, message.pdu.request_id), (PduKind::Response, -5));
    assert_eq!((message.pdu.error_status(), message.pdu.error_index()), (ErrorStatus::TooBig, 3));
    assert_eq!(message.pdu.var_binds().collect::<Vec<_>>(), var_binds);
}

#[test]
fn another_parser_reads_the_same() {
    let name = oid("1.3.6.1.2.1.31.1.1.1.6.3");
    let values = [Value::Counter64(u64::MAX), Value::Counter32(u32::MAX), Value::Gauge32(1), Value::TimeTicks(1 << 31)];
    let var_binds = values.map(|value| VarBind { name: name.as_ref(), value });
    let pdu = PduBuilder::response(0x0102_0304, ErrorStatus::None, 0, &var_binds);
    let bytes = encode_community(Version::V2c, b"secret", &pdu, Vec::new());
    let (rest, message) = snmp_parser::parse_snmp_v2c(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!((message.version, message.community.as_str()), (1, "secret"));
    let SnmpPdu::Generic(pdu) = message.pdu else { panic!("a generic unit") };
    assert_eq!((pdu.pdu_type, pdu.req_id), (PduType::Response, 0x0102_0304));
    assert!(pdu.var.iter().all(|var| var.oid.to_id_string() == "1.3.6.1.2.1.31.1.1.1.6.3"));
    let read: Vec<u64> = pdu
        .var
        .iter()
        .map(|var| match var.val {
            VarBindValue::Value(snmp_parser::snmp::ObjectSyntax::Counter64(value)) => value,
            VarBindValue::Value(snmp_parser::snmp::ObjectSyntax::Counter32(value)) => u64::from(value),
            VarBindValue::Value(snmp_parser::snmp::ObjectSyntax::Gauge32(value)) => u64::from(value),
            VarBindValue::Value(snmp_parser::snmp::ObjectSyntax::TimeTicks(value)) => u64::from(value),
            ref other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(read, [u64::MAX, u64::from(u32::MAX), 1, 1 << 31]);

    let bytes = v3(&var_binds).encode(None, 0, Vec::new());
    let (rest, message) = snmp_parser::parse_snmp_v3(&bytes).unwrap();
    assert!(rest.is_empty());
    assert_eq!((message.header_data.msg_id, message.header_data.msg_flags), (77, 4));
    let snmp_parser::SecurityParameters::USM(usm) = message.security_params else { panic!("user-based security") };
    assert_eq!((usm.msg_authoritative_engine_boots, usm.msg_authoritative_engine_time), (5, 4711));
    assert_eq!(usm.msg_user_name, "operator");
}

#[test]
fn every_protocol_opens_what_it_sealed() {
    let name = oid("1.3.6.1.2.1.2.2.1.10.1");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::Null }];
    for auth in AUTH {
        for privacy in PRIVACY.map(Some).into_iter().chain([None]) {
            let keys = user(auth, privacy).localize(ENGINE_ID);
            let bytes = v3(&var_binds).encode(Some(&keys), 0x0123_4567_89ab_cdef, Vec::new());
            let message = V3Message::read(&bytes).unwrap();
            assert_eq!((message.msg_id, message.boots, message.time), (77, 5, 4711));
            assert_eq!((message.engine_id, message.user), (ENGINE_ID, &b"operator"[..]));
            assert!(message.flags.auth && message.flags.reportable && message.flags.privacy == privacy.is_some());
            let mut scratch = Vec::new();
            assert_eq!(keys.open(&bytes, &message, &mut scratch), Ok(()), "{auth:?} {privacy:?}");
            let scoped = match message.payload {
                Payload::Plain(scoped) => scoped,
                Payload::Encrypted(_) => ScopedPdu::read(&scratch).unwrap(),
            };
            assert_eq!((scoped.engine_id, scoped.context), (ENGINE_ID, &b"vlan-7"[..]));
            assert_eq!(scoped.pdu.repetitions(), Some((1, 25)));
            assert_eq!(scoped.pdu.var_binds().collect::<Vec<_>>(), var_binds);
        }
    }
}

#[test]
fn a_message_that_was_touched_or_is_of_others_is_not_believed() {
    let name = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::TimeTicks(1) }];
    let keys = user(AuthProtocol::Sha256, Some(PrivacyProtocol::Aes128)).localize(ENGINE_ID);
    let bytes = v3(&var_binds).encode(Some(&keys), 1, Vec::new());
    for at in 0..bytes.len() {
        let mut touched = bytes.clone();
        touched[at] ^= 1;
        if let Ok(message) = V3Message::read(&touched) {
            assert!(keys.open(&touched, &message, &mut Vec::new()).is_err(), "byte {at}");
        }
    }
    let message = V3Message::read(&bytes).unwrap();
    let elsewhere = user(AuthProtocol::Sha256, Some(PrivacyProtocol::Aes128)).localize(b"another engine");
    assert_eq!(elsewhere.open(&bytes, &message, &mut Vec::new()), Err(OpenError::WrongDigest));
    let shorter = user(AuthProtocol::Md5, Some(PrivacyProtocol::Aes128)).localize(ENGINE_ID);
    assert_eq!(shorter.open(&bytes, &message, &mut Vec::new()), Err(OpenError::WrongDigest));
    let plain = v3(&var_binds).encode(None, 0, Vec::new());
    let message = V3Message::read(&plain).unwrap();
    assert_eq!(keys.open(&plain, &message, &mut Vec::new()), Err(OpenError::LessSecured));
}

#[test]
fn secrets_are_not_shown_and_short_passwords_refused() {
    let user = user(AuthProtocol::Sha1, Some(PrivacyProtocol::Aes256));
    let shown = format!("{user:?} {:?}", user.localize(ENGINE_ID));
    assert!(shown.contains("operator") && shown.contains("Aes256"), "{shown}");
    assert!(!shown.contains("password") && !shown.contains('['), "{shown}");
    let short = User::new(b"x", (AuthProtocol::Sha1, b"1234567"), None);
    assert_eq!(short.unwrap_err(), UserError::ShortPassword);
}

#[test]
fn reports_say_why() {
    let base = oid("1.3.6.1.6.3.15.1.1");
    let report = |number| Report::of(base.with(&[number, 0]).unwrap().as_ref());
    assert_eq!(report(2), Some(Report::NotInTimeWindow));
    assert_eq!(report(4), Some(Report::UnknownEngineId));
    assert_eq!(report(7), None);
    assert_eq!(Report::of(base.as_ref()), None);
}

#[test]
fn rejects_what_is_no_message() {
    let name = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::Null }];
    let pdu = PduBuilder::request(PduKind::Get, 1, &var_binds);
    let whole = encode_community(Version::V2c, b"public", &pdu, Vec::new());
    for len in 0..whole.len() {
        assert!(CommunityMessage::read(&whole[..len]).is_err(), "{len} bytes");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert_eq!(CommunityMessage::read(&longer).err(), Some(ParseError::BadValue { offset: whole.len() }));
    assert!(V3Message::read(&whole).is_err());
    let v3_bytes = v3(&var_binds).encode(None, 0, Vec::new());
    assert!(CommunityMessage::read(&v3_bytes).is_err());
}

/// An engine whose clock a stranger tries to move.
#[test]
fn a_replay_is_not_in_time() {
    let mut engine = Engine::discovered(ENGINE_ID, 5, 4711, 0);
    assert!(engine.authenticated(5, 4711, 0).is_ok());
    assert!(engine.authenticated(5, 4712, 200_000).is_ok(), "newer than all before, however late it comes");
    assert!(engine.authenticated(5, 4711, 400_000).is_err());
}

proptest! {
    #[test]
    fn a_damaged_datagram_never_panics(damage in damage(), use_v3: bool) {
        let name = oid("1.3.6.1.2.1.31.1.1.1.6.3");
        let values = [Value::Counter64(1 << 40), Value::OctetString(b"eth0"), Value::EndOfMibView];
        let var_binds = values.map(|value| VarBind { name: name.as_ref(), value });
        let bytes = if use_v3 {
            v3(&var_binds).encode(None, 0, Vec::new())
        } else {
            let pdu = PduBuilder::response(1, ErrorStatus::None, 0, &var_binds);
            encode_community(Version::V2c, b"public", &pdu, Vec::new())
        };
        let bytes = damaged(&bytes, &damage);
        let _ = version(&bytes);
        if let Ok(message) = CommunityMessage::read(&bytes) {
            prop_assert!(message.pdu.var_binds().count() <= bytes.len());
        }
        if let Ok(message) = V3Message::read(&bytes) {
            let keys = user(AuthProtocol::Md5, None).localize(ENGINE_ID);
            prop_assert!(keys.open(&bytes, &message, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn any_bytes_get_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = (version(&bytes), CommunityMessage::read(&bytes).is_ok(), ScopedPdu::read(&bytes).is_ok());
        let _ = V3Message::read(&bytes).is_ok();
    }
}
