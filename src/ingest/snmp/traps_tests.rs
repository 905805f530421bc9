//! Events as they come, from senders that may send them and from others.

use super::super::devices::{Users, read_devices};
use super::*;
use protocols::snmp::{Oid, PduBuilder, PduKind, VarBind, encode_community};
use std::collections::BTreeMap;

const DEVICES: &str = "[[device]]\nname = \"open\"\naddress = \"192.0.2.1\"\ncommunity = \"public\"\n\
    [[device]]\nname = \"secure\"\naddress = \"192.0.2.2\"\nuser = \"operator\"\nauth = \"sha256\"\n\
    auth_password = \"auth password\"\nprivacy = \"aes128\"\nprivacy_password = \"privacy password\"\n";

fn listener() -> Listener {
    let devices = read_devices(DEVICES, &BTreeMap::new(), &mut Users::default()).unwrap();
    let log = TrapLog::default();
    log.accept_from(devices.iter());
    let folder = tempfile::tempdir().unwrap();
    Listener::new(log, OwnEngine::open(&folder.path().join("engine.toml"), 0).unwrap())
}

fn at(wall_ms: i64) -> At {
    At { wall_ms, since_start_ms: 0 }
}

fn from(last: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], 40_000))
}

fn v2c_numbered(kind: PduKind, community: &[u8], number: i32) -> Vec<u8> {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let (time, trap, link_down) = (oid("1.3.6.1.2.1.1.3.0"), oid("1.3.6.1.6.3.1.1.4.1.0"), oid("1.3.6.1.6.3.1.1.5.3"));
    let (name, text) = (oid("1.3.6.1.2.1.31.1.1.1.1.7"), Value::OctetString(b"eth7"));
    let var_binds = [
        VarBind { name: time.as_ref(), value: Value::TimeTicks(5) },
        VarBind { name: trap.as_ref(), value: Value::Oid(link_down.as_ref()) },
        VarBind { name: name.as_ref(), value: text },
    ];
    encode_community(Version::V2c, community, &PduBuilder::request(kind, number, &var_binds), Vec::new())
}

fn v2c(kind: PduKind, community: &[u8]) -> Vec<u8> {
    v2c_numbered(kind, community, 31)
}

#[test]
fn an_event_is_kept_with_its_name_and_its_variables() {
    let mut listener = listener();
    let heard = listener.take(&v2c(PduKind::Trap, b"public"), from(1), at(99));
    assert_eq!(heard, (Heard::Event(NotificationKind::Trap), None));
    let newest = listener.log.newest();
    assert_eq!((newest[0].device.as_str(), newest[0].name, newest[0].kind), ("open", Some("linkDown"), "trap"));
    assert_eq!(newest[0].variables, [("1.3.6.1.2.1.31.1.1.1.1.7".to_owned(), "eth7".to_owned())]);
    let (heard, answer) = listener.take(&v2c(PduKind::Inform, b"public"), from(1), at(100));
    assert!(heard == Heard::Event(NotificationKind::Inform) && answer.is_some());
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
    ] {
        assert_eq!(listener.take(&datagram, from(sender), at(0)), (Heard::Refused(refused), None));
    }
    assert!(listener.log.newest().is_empty());
}

#[test]
fn an_event_that_is_sent_again_counts_once_and_is_answered_again() {
    let mut listener = listener();
    let event = v2c(PduKind::Inform, b"public");
    for (heard, wall_ms) in [(Heard::Event(NotificationKind::Inform), 1), (Heard::Again, 2)] {
        let (said, answer) = listener.take(&event, from(1), at(wall_ms));
        assert!(said == heard && answer.is_some(), "{said:?}");
    }
    assert_eq!(listener.log.newest().len(), 1);
}

#[test]
fn the_newest_are_kept_in_a_bounded_number() {
    let mut listener = listener();
    for number in 0..=KEPT_MAX as i32 {
        listener.take(&v2c_numbered(PduKind::Trap, b"public", number), from(1), at(i64::from(number)));
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
