//! Events of version 3 from those who may send them, from others, and from those who play old ones again.

use super::super::devices::{Users, read_devices};
use super::*;
use protocols::snmp::usm::{AuthProtocol, KeyExtension, PrivacyProtocol};
use protocols::snmp::{Answer, Oid, Session};
use std::collections::BTreeMap;

/// Two devices at one address: users of one name, with passwords of their own; and one without any.
const DEVICES: &str = "[[device]]\nname = \"first\"\naddress = \"192.0.2.2\"\nuser = \"operator\"\nauth = \"sha256\"\n\
    auth_password = \"auth password\"\nprivacy = \"aes128\"\nprivacy_password = \"privacy password\"\n\
    [[device]]\nname = \"second\"\naddress = \"192.0.2.2\"\nuser = \"operator\"\nauth = \"sha256\"\n\
    auth_password = \"other auth password\"\nprivacy = \"aes128\"\nprivacy_password = \"privacy password\"\n\
    [[device]]\nname = \"open\"\naddress = \"192.0.2.2\"\nuser = \"anybody\"\n";

struct Hearer {
    events: SecuredEvents,
    devices: Vec<DeviceSettings>,
}

impl Hearer {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let own = OwnEngine::open(&folder.path().join("engine.toml"), 0).unwrap();
        let devices = read_devices(DEVICES, &BTreeMap::new(), &mut Users::default()).unwrap();
        Self { events: SecuredEvents::new(own, 1), devices }
    }

    /// The device that an event is of, the Report or answer to send, and what was refused.
    fn take(&mut self, datagram: &[u8], now_ms: i64) -> (Option<String>, Option<Vec<u8>>, Option<Refused>) {
        match self.events.take(datagram, (&self.devices, 1), now_ms) {
            Ok(Secured::Event(_, device, answer)) => (Some(device.name().to_owned()), answer, None),
            Ok(Secured::Asked(report)) => (None, Some(report), None),
            Err(Denied { why, report }) => (None, report, Some(why)),
        }
    }
}

fn operator(password: &[u8]) -> User {
    let privacy = (PrivacyProtocol::Aes128, KeyExtension::Blumenthal, &b"privacy password"[..]);
    User::new(b"operator", (AuthProtocol::Sha256, password), Some(privacy)).unwrap()
}

fn with_event<T>(kind: PduKind, make: impl FnOnce(PduBuilder<'_>) -> T) -> T {
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    let (time, trap, link_down) = (oid("1.3.6.1.2.1.1.3.0"), oid("1.3.6.1.6.3.1.1.4.1.0"), oid("1.3.6.1.6.3.1.1.5.3"));
    let var_binds = [
        VarBind { name: time.as_ref(), value: Value::TimeTicks(5) },
        VarBind { name: trap.as_ref(), value: Value::Oid(link_down.as_ref()) },
    ];
    make(PduBuilder::request(kind, 31, &var_binds))
}

fn trap(user: &User, boots: u32, time: u32) -> Vec<u8> {
    let keys = user.localize(b"engine");
    with_event(PduKind::Trap, |pdu| {
        let message = V3Builder {
            msg_id: 1,
            reportable: false,
            engine_id: b"engine",
            boots,
            time,
            user: user.name(),
            context: b"",
            context_engine_id: None,
            pdu,
        };
        message.encode(Some(&keys), 7, Vec::new())
    })
}

/// An inform as a sender makes it who has learned our engine, or has not.
fn inform(session: &mut Session, id: i32, now_ms: i64) -> Vec<u8> {
    with_event(PduKind::Inform, |pdu| session.request(id, &pdu, now_ms, Vec::new()))
}

fn sender(user: User) -> Session {
    Session::new(Credentials::User(user, Vec::new()), 3)
}

#[test]
fn an_inform_is_answered_to_a_sender_who_had_to_learn_who_we_are() {
    let mut hearer = Hearer::new();
    let mut session = sender(operator(b"auth password"));
    let mut scratch = Vec::new();
    let (event, report, _) = hearer.take(&inform(&mut session, 1, 0), 0);
    assert_eq!(event, None, "a question is no event");
    assert!(matches!(session.accept(&report.unwrap(), 1, 0, &mut scratch), Answer::Again));
    let (event, answer, _) = hearer.take(&inform(&mut session, 2, 0), 0);
    assert_eq!(event.as_deref(), Some("first"));
    let answer = answer.expect("an inform wants an answer");
    let Answer::Response(pdu) = session.accept(&answer, 2, 0, &mut scratch) else { panic!("a response") };
    assert_eq!((pdu.error_status(), pdu.var_binds().count()), (ErrorStatus::None, 2));

    // Another device's user of the same name at the same address.
    let mut other = sender(operator(b"other auth password"));
    let (_, report, _) = hearer.take(&inform(&mut other, 1, 0), 0);
    assert!(matches!(other.accept(&report.unwrap(), 1, 0, &mut scratch), Answer::Again));
    assert_eq!(hearer.take(&inform(&mut other, 2, 0), 0).0.as_deref(), Some("second"));
}

#[test]
fn an_inform_of_another_time_is_told_ours_by_a_report_that_is_signed() {
    let mut hearer = Hearer::new();
    let mut session = sender(operator(b"auth password"));
    let mut scratch = Vec::new();
    let (_, report, _) = hearer.take(&inform(&mut session, 1, 0), 0);
    assert!(matches!(session.accept(&report.unwrap(), 1, 0, &mut scratch), Answer::Again));
    let late = inform(&mut session, 2, 0);
    let (event, report, _) = hearer.take(&late, 200_000);
    assert_eq!(event, None, "played again after its time");
    assert!(
        matches!(session.accept(&report.unwrap(), 2, 0, &mut scratch), Answer::Again),
        "believed, so it was signed"
    );
    assert!(hearer.take(&inform(&mut session, 3, 0), 200_000).0.is_some());
}

#[test]
fn who_proves_nothing_is_told_why_and_not_heard() {
    let mut hearer = Hearer::new();
    let mut scratch = Vec::new();
    let plain = User::unauthenticated(b"operator");
    let stranger = User::new(b"stranger", (AuthProtocol::Sha256, b"auth password"), None).unwrap();
    for (user, why) in [
        (operator(b"some other password"), Report::WrongDigest),
        (stranger, Report::UnknownUser),
        (plain, Report::UnsupportedSecurityLevel),
    ] {
        let mut session = sender(user);
        let (_, report, _) = hearer.take(&inform(&mut session, 1, 0), 0);
        assert!(matches!(session.accept(&report.unwrap(), 1, 0, &mut scratch), Answer::Again));
        let (event, report, refused) = hearer.take(&inform(&mut session, 2, 0), 0);
        assert_eq!((event, refused), (None, Some(Refused::Credentials)), "{why:?}");
        let report = report.expect("it is told");
        let answer = session.accept(&report, 2, 0, &mut scratch);
        assert!(matches!(answer, Answer::Refused(said) if said == why), "{why:?}: {answer:?}");
    }
}

#[test]
fn a_trap_is_heard_by_the_senders_own_engine_and_an_old_one_is_not() {
    let mut hearer = Hearer::new();
    let user = operator(b"auth password");
    let event = trap(&user, 3, 1000);
    assert_eq!(hearer.take(&event, 0).0.as_deref(), Some("first"));
    assert_eq!(hearer.take(&trap(&user, 2, 5000), 0).2, Some(Refused::Credentials), "of an earlier start");
    assert_eq!(hearer.take(&event, 200_000).2, Some(Refused::Credentials), "played again after its time");
    assert!(hearer.take(&trap(&user, 4, 1), 200_000).0.is_some());
    let wrong = hearer.take(&trap(&operator(b"some other password"), 9, 9), 0);
    assert_eq!((wrong.1, wrong.2), (None, Some(Refused::Credentials)), "a trap is never answered");
}

#[test]
fn a_user_without_a_digest_moves_no_clock() {
    let mut hearer = Hearer::new();
    let anybody = User::unauthenticated(b"anybody");
    assert!(hearer.take(&trap(&anybody, 1 << 30, 5), 0).0.is_some());
    assert!(hearer.take(&trap(&anybody, 1, 5), 0).0.is_some());
    assert!(hearer.events.clocks.is_empty());
}
