//! A client without a socket against agents without one: what is walked is complete and in order whatever the agent does,
//! and nobody but the agent moves what is known of it.

use protocols::snmp::usm::{AuthProtocol, KeyExtension, LocalizedUser, PrivacyProtocol, Report, User};
use protocols::snmp::{
    Answer, CommunityMessage, Credentials, ErrorStatus, Oid, Payload, Pdu, PduBuilder, PduKind, Repetitions, ScopedPdu,
    Session, V3Builder, V3Message, Value, VarBind, Version, Walk, encode_community,
};
use std::collections::BTreeMap;

const ENGINE_ID: &[u8] = b"\x80\x00\x1f\x88\x04agent";

/// What an agent does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Answers at most so many variables.
    CutShort(usize),
    /// Refuses to answer more than so many variables.
    TooBig(usize),
    /// Gives the first row again after the last one.
    Loops,
}

/// A table of columns 1 to `columns`, with holes, and something behind it.
struct Agent {
    objects: BTreeMap<Oid, u32>,
    fault: Fault,
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

fn column(number: u32) -> Oid {
    oid("1.3.6.1.2.1.2.2.1").with(&[number]).expect("short")
}

impl Agent {
    fn new(columns: u32, rows: u32, fault: Fault) -> Self {
        let mut objects = BTreeMap::from([(oid("1.3.6.1.2.1.2.3.0"), 0)]);
        for row in 1..=rows {
            for number in 1..=columns {
                if (row + number) % 7 != 0 {
                    objects.insert(column(number).with(&[row * 50]).expect("short"), number * 1000 + row);
                }
            }
        }
        Self { objects, fault }
    }

    fn next(&self, name: &Oid) -> Option<(&Oid, u32)> {
        let after = self.objects.range(name.clone()..).find(|(known, _)| *known > name);
        match after {
            Some((found, _)) if self.fault == Fault::Loops && found.to_string().ends_with("2.3.0") => {
                self.objects.iter().next().map(|(name, value)| (name, *value))
            }
            other => other.map(|(name, value)| (name, *value)),
        }
    }

    /// The answer to a unit, given to `send`.
    fn answer<T>(&self, pdu: &Pdu<'_>, send: impl FnOnce(&PduBuilder<'_>) -> T) -> T {
        let (leads, rows) = pdu.repetitions().unwrap_or((0, 1));
        let mut names: Vec<Oid> = pdu.var_binds().map(|var_bind| var_bind.name.to_owned()).collect();
        let mut found: Vec<(Oid, Option<u32>)> = Vec::new();
        for name in names.drain(..leads) {
            found.push((name, Some(0)));
        }
        for _ in 0..rows {
            for name in &mut names {
                let next = self.next(name).map(|(next, value)| (next.clone(), value));
                let value = next.as_ref().map(|(_, value)| *value);
                *name = next.map_or_else(|| name.clone(), |(next, _)| next);
                found.push((name.clone(), value));
            }
        }
        match self.fault {
            Fault::TooBig(most) if found.len() > most => {
                return send(&PduBuilder::response(pdu.request_id, ErrorStatus::TooBig, 0, &[]));
            }
            Fault::CutShort(most) => found.truncate(most),
            _ => {}
        }
        let value = |value: &Option<u32>| value.map_or(Value::EndOfMibView, Value::Counter32);
        let var_binds: Vec<_> =
            found.iter().map(|(name, number)| VarBind { name: name.as_ref(), value: value(number) }).collect();
        send(&PduBuilder::response(pdu.request_id, ErrorStatus::None, 0, &var_binds))
    }
}

#[test]
fn one_silence_is_chance_two_ask_for_less_and_answers_bring_it_back() {
    let rows = |repetitions: &Repetitions| repetitions.of(1, 22);
    let mut repetitions = Repetitions::default();
    repetitions.unanswered();
    assert_eq!(rows(&repetitions), 12, "nothing was ever answered");
    for _ in 0..100 {
        repetitions.succeeded();
        repetitions.unanswered();
        assert_eq!(rows(&repetitions), 12, "a lossy network");
    }
    repetitions.succeeded();
    (0..3).for_each(|_| repetitions.unanswered());
    assert_eq!(rows(&repetitions), 3, "the second of them, and each behind it");
    (0..20).for_each(|_| repetitions.succeeded());
    assert_eq!(rows(&repetitions), 12);
    repetitions.failed();
    (0..20).for_each(|_| repetitions.succeeded());
    assert_eq!(rows(&repetitions), 6, "what the agent itself called too big stays so for longer");
}

/// Values by column and row's index.
type Rows = BTreeMap<(usize, Vec<u8>), u64>;

/// Every value of a walk through all columns, how many requests it took, and what was learned of the agent.
fn walk(agent: &Agent, columns: u32, has_bulk: bool) -> (Rows, usize, Repetitions) {
    let version = if has_bulk { Version::V2c } else { Version::V1 };
    let mut session = Session::new(Credentials::Community(version, b"public".to_vec()), 1);
    let columns: Vec<Oid> = (1..=columns).map(column).collect();
    let mut walk = Walk::default();
    walk.start(&columns);
    let mut repetitions = Repetitions::default();
    let mut rows = BTreeMap::new();
    let mut requests = 0;
    while !walk.is_done() {
        requests += 1;
        assert!(requests < 10_000, "a walk ends");
        let id = requests as i32;
        let leads = [oid("1.3.6.1.2.1.1.3")];
        let names = walk.names(&leads, repetitions);
        let datagram = session.request(id, &walk.request(&names, 1, repetitions, has_bulk), 0, Vec::new());
        let asked = CommunityMessage::read(&datagram).expect("our own message");
        let answer = agent.answer(&asked.pdu, |pdu| encode_community(version, b"public", pdu, Vec::new()));
        let mut scratch = Vec::new();
        let Answer::Response(pdu) = session.accept(&answer, id, 0, &mut scratch) else { panic!("an answer") };
        if pdu.error_status() == ErrorStatus::TooBig {
            repetitions.failed();
            continue;
        }
        walk.take(&pdu, 1, repetitions, |at, index, value| {
            let replaced = rows.insert((at, index.to_vec()), value.count().expect("a counter"));
            assert_eq!(replaced, None, "a value comes once");
        });
    }
    (rows, requests, repetitions)
}

fn truth(agent: &Agent, columns: u32) -> Rows {
    let place = |name: &Oid| {
        (1..=columns).find_map(|number| {
            let index = name.as_ref().index_under(column(number).as_ref())?;
            Some((number as usize - 1, index.to_vec()))
        })
    };
    agent.objects.iter().filter_map(|(name, value)| Some((place(name)?, u64::from(*value)))).collect()
}

#[test]
fn a_walk_is_complete_whatever_the_agent_does() {
    for fault in
        [Fault::None, Fault::CutShort(3), Fault::CutShort(2), Fault::TooBig(20), Fault::TooBig(7), Fault::Loops]
    {
        for (columns, rows) in [(1, 1), (3, 40), (7, 48), (2, 0)] {
            let agent = Agent::new(columns, rows, fault);
            let (walked, _, _) = walk(&agent, columns, true);
            assert_eq!(walked, truth(&agent, columns), "{fault:?} {columns} columns {rows} rows");
        }
    }
    let agent = Agent::new(3, 20, Fault::None);
    assert_eq!(walk(&agent, 3, false).0, truth(&agent, 3), "version 1");
}

#[test]
fn many_rows_come_with_one_request_and_an_agent_is_asked_for_less_once_it_refused() {
    let agent = Agent::new(3, 48, Fault::None);
    let (_, requests, _) = walk(&agent, 3, true);
    assert!(requests <= 48usize.div_ceil(19) + 1, "{requests} requests");
    let weak = Agent::new(3, 48, Fault::TooBig(20));
    let (_, _, learned) = walk(&weak, 3, true);
    assert!(learned.of(3, 22) * 3 <= 20, "{learned:?}");
}

fn operator() -> User {
    let privacy = (PrivacyProtocol::Aes128, KeyExtension::Blumenthal, &b"privacy password"[..]);
    User::new(b"operator", (AuthProtocol::Sha256, b"auth password"), Some(privacy)).expect("long passwords")
}

/// The agent's side of version 3, as far as a client sees it.
struct Engine {
    id: Vec<u8>,
    boots: u32,
    time: u32,
    keys: LocalizedUser,
}

impl Engine {
    fn new(boots: u32, time: u32) -> Self {
        Self { id: ENGINE_ID.to_vec(), boots, time, keys: operator().localize(ENGINE_ID) }
    }

    fn send(&self, msg_id: i32, keys: Option<&LocalizedUser>, pdu: PduBuilder<'_>) -> Vec<u8> {
        let (boots, time) = (self.boots, self.time);
        let message = V3Builder {
            msg_id,
            reportable: false,
            engine_id: &self.id,
            boots,
            time,
            user: b"operator",
            context: b"",
            context_engine_id: None,
            pdu,
        };
        message.encode(keys, u64::from(time), Vec::new())
    }

    fn report(&self, msg_id: i32, number: u32, keys: Option<&LocalizedUser>) -> Vec<u8> {
        let name = oid("1.3.6.1.6.3.15.1.1").with(&[number, 0]).expect("short");
        let var_binds = [VarBind { name: name.as_ref(), value: Value::Counter32(1) }];
        let report = PduBuilder { kind: PduKind::Report, ..PduBuilder::response(0, ErrorStatus::None, 0, &var_binds) };
        self.send(msg_id, keys, report)
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let message = V3Message::read(request).expect("our own message");
        if message.engine_id != self.id {
            return self.report(message.msg_id, 4, None);
        }
        let mut scratch = Vec::new();
        self.keys.open(request, &message, &mut scratch).expect("our own user");
        if message.boots != self.boots || message.time.abs_diff(self.time) > 150 {
            let signed = User::new(b"operator", (AuthProtocol::Sha256, b"auth password"), None).expect("long");
            return self.report(message.msg_id, 2, Some(&signed.localize(ENGINE_ID)));
        }
        let Payload::Encrypted(_) = message.payload else { panic!("asked in private") };
        let scoped = ScopedPdu::read(&scratch).expect("our own unit");
        let name = oid("1.3.6.1.2.1.1.3.0");
        let var_binds = [VarBind { name: name.as_ref(), value: Value::TimeTicks(self.time * 100) }];
        let pdu = PduBuilder::response(scoped.pdu.request_id, ErrorStatus::None, 0, &var_binds);
        self.send(message.msg_id, Some(&self.keys), pdu)
    }
}

/// Asks until there is an answer; how many exchanges it took and sysUpTime.
fn ask(session: &mut Session, engine: &Engine, first_id: i32, now_ms: i64) -> (i32, u64) {
    let name = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::Null }];
    let pdu = PduBuilder::request(PduKind::Get, 0, &var_binds);
    for exchange in 1..5 {
        let id = first_id + exchange;
        let request = session.request(id, &pdu, now_ms, Vec::new());
        let answer = engine.answer(&request);
        let mut scratch = Vec::new();
        match session.accept(&answer, id, now_ms, &mut scratch) {
            Answer::Response(pdu) => {
                let first = pdu.var_binds().next().expect("one value");
                return (exchange, first.value.count().expect("a time"));
            }
            Answer::Again => {}
            other => panic!("{other:?}"),
        }
    }
    panic!("no answer");
}

#[test]
fn version_3_discovers_once_and_follows_the_engines_clock() {
    let mut session = Session::new(Credentials::User(operator(), Vec::new()), 7);
    let mut engine = Engine::new(3, 1000);
    assert_eq!(ask(&mut session, &engine, 10, 0), (2, 100_000), "a discovery and a request");
    engine.time = 1030;
    assert_eq!(ask(&mut session, &engine, 20, 30_000), (1, 103_000));
    (engine.boots, engine.time) = (4, 2);
    assert_eq!(ask(&mut session, &engine, 30, 60_000), (2, 200), "it started again: one exchange more, once");
    engine.time = 32;
    assert_eq!(ask(&mut session, &engine, 40, 90_000), (1, 3200));
    engine.boots = 0;
    session.forget();
    assert_eq!(ask(&mut session, &engine, 50, 91_000), (2, 3200), "it lost its boots and was discovered anew");
}

#[test]
fn strangers_change_nothing() {
    let mut session = Session::new(Credentials::User(operator(), Vec::new()), 7);
    let engine = Engine::new(3, 1000);
    ask(&mut session, &engine, 10, 0);
    let known = session.engine().cloned();
    let stranger = Engine { id: ENGINE_ID.to_vec(), boots: 900, time: 5, keys: operator().localize(b"other") };
    let mut scratch = Vec::new();
    for (datagram, refused) in [
        (stranger.report(20, 2, None), None),
        (stranger.report(20, 2, Some(&stranger.keys)), None),
        (stranger.report(21, 2, None), None),
        (stranger.report(20, 5, None), Some(Report::WrongDigest)),
        (stranger.report(20, 3, None), Some(Report::UnknownUser)),
        (stranger.report(21, 3, None), None),
        (engine.report(21, 2, Some(&engine.keys)), None),
        (vec![0x30, 0], None),
    ] {
        let answer = session.accept(&datagram, 20, 1000, &mut scratch);
        match (answer, refused) {
            (Answer::NotOurs, None) => {}
            (Answer::Refused(report), Some(expected)) => assert_eq!(report, expected),
            (other, expected) => panic!("{other:?} instead of {expected:?}"),
        }
        assert_eq!(session.engine().cloned(), known);
    }
    let mut community = Session::new(Credentials::Community(Version::V2c, b"public".to_vec()), 7);
    let name = oid("1.3.6.1.2.1.1.3.0");
    let var_binds = [VarBind { name: name.as_ref(), value: Value::Null }];
    for (version, pdu) in [
        (Version::V2c, PduBuilder::response(21, ErrorStatus::None, 0, &var_binds)),
        (Version::V1, PduBuilder::response(20, ErrorStatus::None, 0, &var_binds)),
        (Version::V2c, PduBuilder::request(PduKind::Get, 20, &var_binds)),
    ] {
        let datagram = encode_community(version, b"public", &pdu, Vec::new());
        assert!(matches!(community.accept(&datagram, 20, 0, &mut scratch), Answer::NotOurs), "{pdu:?}");
    }
}

#[test]
fn secrets_of_a_session_are_not_shown() {
    let session = Session::new(Credentials::Community(Version::V2c, b"topsecret".to_vec()), 7);
    assert!(!format!("{session:?}").contains("topsecret"));
}
