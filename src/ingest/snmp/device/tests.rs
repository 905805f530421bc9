//! Whole cycles of a device against an agent without sockets: what is asked, in which order, and what comes of it.

use super::*;
use crate::ingest::snmp::devices::{Users, read_devices};
use crate::ingest::snmp::keys::Keys;
use crate::ingest::snmp::profile::Profiles;
use protocols::snmp::{CommunityMessage, Oid, encode_community};
use std::collections::BTreeMap;

const NAME: &str = "1.3.6.1.2.1.31.1.1.1.1.1";
const WIDE: &str = "1.3.6.1.2.1.31.1.1.1.6.1";
const NARROW: &str = "1.3.6.1.2.1.2.2.1.10.1";
const UPTIME: &str = "1.3.6.1.2.1.1.3.0";
const SYSTEM_NAME: &str = "1.3.6.1.2.1.1.5.0";
const INTERVAL_MS: i64 = 30_000;

/// Objects by name, and the names of what was asked for since it was looked at last.
struct Agent {
    objects: BTreeMap<Oid, Value<'static>>,
    asked: Vec<String>,
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

impl Agent {
    /// A device of two lines that has been up for an hour.
    fn new() -> Self {
        let mut agent = Self { objects: BTreeMap::new(), asked: Vec::new() };
        agent.set(UPTIME, Value::TimeTicks(360_000));
        agent.set(SYSTEM_NAME, Value::OctetString(b"alpha"));
        for (line, name) in [(1, &b"eth1"[..]), (2, b"eth2")] {
            let mut set = |column: &str, value| agent.set(&format!("1.3.6.1.2.1.{column}.{line}"), value);
            set("2.2.1.2", Value::OctetString(name));
            set("2.2.1.8", Value::Integer(1));
            set("2.2.1.10", Value::Counter32(1000));
            set("2.2.1.14", Value::Counter32(0));
            set("31.1.1.1.1", Value::OctetString(name));
            set("31.1.1.1.2", Value::Counter32(5));
            set("31.1.1.1.6", Value::Counter64(1000));
            set("31.1.1.1.15", Value::Gauge32(1000));
            set("31.1.1.1.19", Value::TimeTicks(0));
        }
        agent
    }

    fn set(&mut self, name: &str, value: Value<'static>) {
        self.objects.insert(oid(name), value);
    }

    /// An interval goes by, in which both lines receive so many octets.
    fn pass(&mut self, octets: u32) {
        for (name, value) in &mut self.objects {
            match value {
                Value::TimeTicks(ticks) if *name == oid(UPTIME) => *ticks += 3000,
                Value::Counter64(count) => *count += u64::from(octets),
                Value::Counter32(count) if name.to_string().starts_with("1.3.6.1.2.1.2.2.1.10.") => *count += octets,
                _ => {}
            }
        }
    }

    fn answer(&mut self, datagram: &[u8]) -> Vec<u8> {
        let message = CommunityMessage::read(datagram).expect("our own message");
        let pdu = message.pdu;
        let names: Vec<Oid> = pdu.var_binds().map(|var_bind| var_bind.name.to_owned()).collect();
        self.asked.extend(names.iter().map(Oid::to_string));
        let mut found: Vec<(Oid, Value<'static>)> = Vec::new();
        if pdu.kind == PduKind::Get {
            let get = |name: &Oid| self.objects.get(name).copied().unwrap_or(Value::NoSuchInstance);
            found.extend(names.iter().map(|name| (name.clone(), get(name))));
        } else {
            let (leads, rows) = pdu.repetitions().unwrap_or((0, 1));
            let next = |name: &Oid| {
                let after = self.objects.range(name.clone()..).find(|(known, _)| *known > name);
                after.map_or((name.clone(), Value::EndOfMibView), |(name, value)| (name.clone(), *value))
            };
            found.extend(names[..leads].iter().map(next));
            let mut columns = names[leads..].to_vec();
            for _ in 0..rows {
                for column in &mut columns {
                    let (name, value) = next(column);
                    *column = name.clone();
                    found.push((name, value));
                }
            }
        }
        let var_binds: Vec<_> =
            found.iter().map(|(name, value)| VarBind { name: name.as_ref(), value: *value }).collect();
        let response = PduBuilder::response(pdu.request_id, ErrorStatus::None, 0, &var_binds);
        encode_community(message.version, message.community, &response, Vec::new())
    }
}

/// A device, and the number of its next request.
struct Polled {
    device: Device,
    questions: Questions,
    now_ms: i64,
    id: i32,
}

/// What a cycle gave: samples by name and interface, what was asked, and the most requests on their way.
struct Cycle {
    samples: BTreeMap<(String, String), f64>,
    asked: Vec<String>,
    requests: usize,
    at_once: usize,
}

impl Cycle {
    fn of(&self, name: &str) -> Option<f64> {
        let found = self.samples.iter().find(|((known, of), _)| known == name && matches!(of.as_str(), "eth1" | ""));
        found.map(|(_, value)| *value)
    }

    fn asked(&self, name: &str) -> bool {
        self.asked.iter().any(|asked| asked == name)
    }
}

impl Polled {
    fn new() -> Self {
        let text = "[[device]]\naddress = \"192.0.2.1\"\ncommunity = \"public\"\n";
        let settings = read_devices(text, &BTreeMap::new(), &mut Users::default()).unwrap().remove(0);
        let questions = Questions::new(Profiles::built_in());
        // Far from the cycles in which everything is asked anew.
        Self { device: Device::new(settings, 0, 3, &questions), questions, now_ms: 0, id: 0 }
    }

    fn cycle(&mut self, agent: &mut Agent) -> Cycle {
        self.now_ms += INTERVAL_MS;
        agent.asked.clear();
        self.device.start(false, &self.questions);
        let (mut on_way, mut scratch) = (Vec::new(), Vec::new());
        let (mut requests, mut at_once) = (0, 0);
        loop {
            while let Some(job) = self.device.next() {
                self.id += 1;
                let datagram = self.device.request(job, self.id, self.now_ms, &self.questions, Vec::new());
                on_way.push((job, self.id, datagram));
                requests += 1;
            }
            at_once = at_once.max(on_way.len());
            let (job, id, datagram) = on_way.remove(0);
            let answer = agent.answer(&datagram);
            match self.device.answer((job, id), &answer, self.now_ms, &self.questions, &mut scratch) {
                Progress::Go => {}
                Progress::Done(Outcome::Polled) => break,
                other => panic!("{other:?}"),
            }
        }
        let (mut samples, mut keys) = (BTreeMap::new(), Keys::default());
        self.device.emit(&self.questions, |emitted| {
            let mut key = Vec::new();
            assert!(keys.add("core-1", emitted.series, &mut key));
            let label = |name: &str| storage::series::label(&key, name).unwrap_or_default().to_owned();
            samples.insert((label("__name__"), label("interface")), emitted.value);
        });
        Cycle { samples, asked: std::mem::take(&mut agent.asked), requests, at_once }
    }
}

#[test]
fn after_the_first_cycle_only_what_changes_is_asked() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    let first = polled.cycle(&mut agent);
    agent.pass(30_000);
    let second = polled.cycle(&mut agent);
    assert_eq!((first.of("ifHCInOctets:rate"), second.of("ifHCInOctets:rate")), (None, Some(1000.0)));
    assert!(first.asked(SYSTEM_NAME) && !second.asked(SYSTEM_NAME));
    let column = |instance: &str| instance.strip_suffix(".1").expect("of the first line").to_owned();
    assert!(first.asked(&column(NARROW)) && !second.asked(&column(NARROW)), "there is one of 64 bits");
    assert!(second.asked(&column(NAME)) && second.of("snmp_interface_info") == Some(1.0));
    assert!(second.requests < first.requests && second.requests <= 6, "{}", second.requests);
    assert!(first.asked.iter().any(|name| name.starts_with("1.3.6.1.2.1.25.")), "host resources");
    assert!(!second.asked.iter().any(|name| name.starts_with("1.3.6.1.2.1.25.")), "which it does not have");
}

#[test]
fn more_requests_are_on_their_way_when_the_device_bears_it_and_one_after_a_silence() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    let mut at_once = |polled: &mut Polled| {
        agent.pass(1);
        polled.cycle(&mut agent).at_once
    };
    assert_eq!([(); 4].map(|()| at_once(&mut polled)), [1, 2, 3, 3]);
    polled.device.start(false, &polled.questions);
    let job = polled.device.next().expect("its time is to be asked");
    drop(polled.device.request(job, 1, polled.now_ms, &polled.questions, Vec::new()));
    assert_eq!(polled.device.timed_out(job, 1), Progress::Go);
    assert_eq!([(); 3].map(|()| at_once(&mut polled)), [1, 2, 3]);
}

#[test]
fn a_device_that_started_again_is_asked_for_everything_at_once() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    polled.cycle(&mut agent);
    agent.pass(30_000);
    polled.cycle(&mut agent);
    agent.set(UPTIME, Value::TimeTicks(500));
    agent.set(SYSTEM_NAME, Value::OctetString(b"beta"));
    let load = "1.3.6.1.4.1.2021.11.50.0";
    agent.set(load, Value::Counter32(7));
    let anew = polled.cycle(&mut agent);
    assert!(anew.asked(SYSTEM_NAME) && anew.asked(load), "in the very cycle in which it was seen");
    assert_eq!((anew.of("ssCpuRawUser"), anew.of("ifHCInOctets:rate")), (Some(7.0), None));
    assert_eq!(polled.device.system_name, "beta");
    agent.pass(30_000);
    assert_eq!(polled.cycle(&mut agent).of("ifHCInOctets:rate"), Some(1000.0));
}

#[test]
fn an_interface_that_became_another_is_read_anew_in_the_same_cycle() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    polled.cycle(&mut agent);
    agent.pass(30_000);
    agent.set(NAME, Value::OctetString(b"eth9"));
    let moved = polled.cycle(&mut agent);
    assert_eq!(moved.of("ifHCInOctets"), None, "eth1 has gone");
    let of = |name: &str, interface: &str| moved.samples.get(&(name.to_owned(), interface.to_owned())).copied();
    assert_eq!((of("ifHCInOctets", "eth9"), of("ifHCInOctets:rate", "eth9")), (Some(31_000.0), None));
    assert_eq!(of("ifHCInOctets:rate", "eth2"), Some(1000.0), "who stayed is none the worse");
}

#[test]
fn a_wide_counter_that_stands_still_is_asked_for_beside_the_narrow_one_in_the_same_cycle() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    polled.cycle(&mut agent);
    agent.pass(30_000);
    polled.cycle(&mut agent);
    agent.pass(0);
    let idle = polled.cycle(&mut agent);
    assert_eq!(idle.of("ifHCInOctets:rate"), Some(0.0), "both have the same bits");
    // The narrow one counts on: the wide one has died.
    agent.pass(30_000);
    agent.set(WIDE, Value::Counter64(31_000));
    let dead = polled.cycle(&mut agent);
    assert_eq!((dead.of("ifHCInOctets:rate"), dead.of("ifInOctets:rate")), (None, Some(1000.0)));
}

#[test]
fn the_longest_of_the_times_a_device_tells_is_its_uptime() {
    let (mut polled, mut agent) = (Polled::new(), Agent::new());
    assert_eq!(polled.cycle(&mut agent).of("snmp_device_uptime_seconds"), Some(3600.0));
    let mut polled = Polled::new();
    agent.set("1.3.6.1.2.1.25.1.1.0", Value::TimeTicks(9_000_000));
    assert_eq!(polled.cycle(&mut agent).of("snmp_device_uptime_seconds"), Some(90_000.0));
    let mut polled = Polled::new();
    agent.set("1.3.6.1.6.3.10.2.1.3.0", Value::Integer(5_000_000));
    assert_eq!(polled.cycle(&mut agent).of("snmp_device_uptime_seconds"), Some(5_000_000.0));
    assert_eq!(polled.cycle(&mut agent).of("sysUpTime"), Some(3600.0));
}
