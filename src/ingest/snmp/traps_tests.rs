//! Events as they come, from senders that may send them and from others.

use super::super::devices::{Users, read_devices};
use super::*;
use protocols::snmp::usm::{AuthProtocol, KeyExtension, PrivacyProtocol, User};
use protocols::snmp::{Oid, PduBuilder, PduKind, V3Builder, VarBind, encode_community};
use std::collections::BTreeMap;

const DEVICES: &str = "[[device]]\nname = \"open\"\naddress = \"192.0.2.1\"\ncommunity = \"public\"\n\
    [[device]]\nname = \"secure\"\naddress = \"192.0.2.2\"\nuser = \"operator\"\nauth = \"sha256\"\n\
    auth_password = \"auth password\"\nprivacy = \"aes128\"\nprivacy_password = \"privacy password\"\n";

fn listener() -> Listener {
    let devices = read_devices(DEVICES, &BTreeMap::new(), &mut Users::default()).unwrap();
    let log = TrapLog::default();
    log.accept_from(devices.iter());
    Listener { log, engines: HashMap::new(), scratch: Vec::new() }
}

fn from(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 40_000))
}

/// What `make` makes of an event's unit.
fn with_event<T>(kind: PduKind, make: impl FnOnce(PduBuilder<'_>) -> T) -> T {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let (time, trap, link_down) = (oid("1.3.6.1.2.1.1.3.0"), oid("1.3.6.1.6.3.1.1.4.1.0"), oid("1.3.6.1.6.3.1.1.5.3"));
    let (name, text) = (oid("1.3.6.1.2.1.31.1.1.1.1.7"), Value::OctetString(b"eth7"));
    let var_binds = [
        VarBind { name: time.as_ref(), value: Value::TimeTicks(5) },
        VarBind { name: trap.as_ref(), value: Value::Oid(link_down.as_ref()) },
        VarBind { name: name.as_ref(), value: text },
    ];
    make(PduBuilder::request(kind, 31, &var_binds))
}

fn v2c(kind: PduKind, community: &[u8]) -> Vec<u8> {
    with_event(kind, |pdu| encode_community(Version::V2c, community, &pdu, Vec::new()))
}

fn v3(password: &[u8], boots: u32, time: u32) -> Vec<u8> {
    let privacy = (PrivacyProtocol::Aes128, KeyExtension::Blumenthal, &b"privacy password"[..]);
    let user = User::new(b"operator", (AuthProtocol::Sha256, password), Some(privacy)).unwrap();
    let keys = user.localize(b"engine");
    with_event(PduKind::Trap, |pdu| {
        let message = V3Builder {
            msg_id: 1,
            reportable: false,
            engine_id: b"engine",
            boots,
            time,
            user: b"operator",
            context: b"",
            pdu,
        };
        message.encode(Some(&keys), 7, Vec::new())
    })
}

#[test]
fn an_event_is_kept_with_its_name_and_its_variables() {
    let mut listener = listener();
    let heard = listener.take(&v2c(PduKind::Trap, b"public"), from(1), 99).unwrap();
    assert!(!heard.is_inform && heard.answer.is_none());
    let newest = listener.log.newest();
    assert_eq!((newest[0].device.as_str(), newest[0].name, newest[0].kind), ("open", Some("linkDown"), "trap"));
    assert_eq!(newest[0].variables, [("1.3.6.1.2.1.31.1.1.1.1.7".to_owned(), "eth7".to_owned())]);
    let heard = listener.take(&v2c(PduKind::Inform, b"public"), from(1), 100).unwrap();
    assert!(heard.is_inform && heard.answer.is_some());
    assert_eq!(listener.log.newest()[0].time_ms, 100, "the newest first");
}

#[test]
fn strangers_are_not_heard() {
    let mut listener = listener();
    for (datagram, sender, refused) in [
        (v2c(PduKind::Trap, b"public"), 9, Refused::UnknownSender),
        (v2c(PduKind::Trap, b"private"), 1, Refused::Credentials),
        (v2c(PduKind::Trap, b"public"), 2, Refused::Credentials),
        (v2c(PduKind::Get, b"public"), 1, Refused::Malformed),
        (vec![0x30, 0], 1, Refused::Malformed),
        (v3(b"another password", 1, 100), 2, Refused::Credentials),
    ] {
        assert_eq!(listener.take(&datagram, from(sender), 0).unwrap_err(), refused);
    }
    assert!(listener.log.newest().is_empty() && listener.engines.is_empty());
}

#[test]
fn a_secured_event_is_heard_and_an_old_one_is_not() {
    let mut listener = listener();
    let event = v3(b"auth password", 3, 1000);
    assert!(listener.take(&event, from(2), 0).is_ok());
    assert_eq!(listener.log.newest()[0].device, "secure");
    assert!(listener.take(&v3(b"auth password", 2, 5000), from(2), 0).is_err(), "of an earlier start");
    assert!(listener.take(&event, from(2), 200_000).is_err(), "played again after its time");
    assert!(listener.take(&v3(b"auth password", 4, 1), from(2), 200_000).is_ok());
}

#[test]
fn the_newest_are_kept_in_a_bounded_number() {
    let mut listener = listener();
    let event = v2c(PduKind::Trap, b"public");
    for now_ms in 0..=KEPT_MAX as i64 {
        listener.take(&event, from(1), now_ms).unwrap();
    }
    let newest = listener.log.newest();
    assert_eq!((newest.len(), newest[0].time_ms), (KEPT_MAX, KEPT_MAX as i64));
}

#[test]
fn values_are_shown_as_people_read_them() {
    for (value, text) in [
        (Value::OctetString(b"eth0\n"), "eth0\n"),
        (Value::OctetString(&[0, 0x1b, 0xff]), "00:1b:ff"),
        (Value::IpAddress([192, 0, 2, 1]), "192.0.2.1"),
        (Value::Counter64(u64::MAX), "18446744073709551615"),
        (Value::Integer(-3), "-3"),
        (Value::NoSuchInstance, "(no such instance)"),
    ] {
        assert_eq!(shown(value), text);
    }
}
