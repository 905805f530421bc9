//! Prints SNMP messages as another encoder writes them (rasn-snmp 0.30), each with what it says in words.
//!
//! `cargo run --manifest-path protocols/tests/corpus/rasn_snmp/Cargo.toml > protocols/tests/corpus/snmp_by_rasn.txt`
//!
//! Not here: the test that reads them (`protocols/tests/snmp_by_others.rs`). Seventeen crates more in everybody's build
//! would say nothing that these bytes do not.
//!
//! Invariant: the same bytes at every run.

use rasn::types::{FixedOctetString, Integer, ObjectIdentifier, OctetString};
use rasn_smi::v1::{Counter, Gauge, IpAddress, NetworkAddress, TimeTicks};
use rasn_smi::v2::{ApplicationSyntax, Counter64, ObjectSyntax, SimpleSyntax};
use rasn_snmp::{v1, v2, v2c, v3};

/// How many of each shape.
const COUNT: usize = 40;

/// A generator of numbers (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number of any size up to 64 bits, with the edges of encodings among them.
    fn number(&mut self) -> u64 {
        let bits = self.below(65);
        let number = if bits == 64 { self.next() } else { self.next() & ((1 << bits) - 1) };
        match self.below(4) {
            0 => [0, 127, 128, 255, 256, 32_767, 32_768, 1 << 31, u64::from(u32::MAX), u64::MAX][self.below(10) as usize],
            _ => number,
        }
    }

    fn bytes(&mut self, most: u64) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    fn oid(&mut self) -> Vec<u32> {
        let mut numbers = vec![1, 3, 6, 1];
        numbers.extend((0..=self.below(12)).map(|_| self.number() as u32));
        numbers
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn dotted(oid: &[u32]) -> String {
    oid.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

fn oid(numbers: &[u32]) -> ObjectIdentifier {
    ObjectIdentifier::new(numbers.to_vec()).expect("an identifier")
}

fn simple(value: SimpleSyntax) -> v2::VarBindValue {
    v2::VarBindValue::Value(ObjectSyntax::Simple(value))
}

fn wide(value: ApplicationSyntax) -> v2::VarBindValue {
    v2::VarBindValue::Value(ObjectSyntax::ApplicationWide(value))
}

/// A value, and what it is in words.
fn value(random: &mut Random) -> (v2::VarBindValue, String) {
    let small = random.number() as u32;
    match random.below(12) {
        0 => (simple(SimpleSyntax::Integer(Integer::from(small as i32))), format!("i:{}", small as i32)),
        1 => {
            let bytes = random.bytes(300);
            (simple(SimpleSyntax::String(OctetString::from(bytes.clone()))), format!("s:{}", hex(&bytes)))
        }
        2 => {
            let numbers = random.oid();
            (simple(SimpleSyntax::ObjectId(oid(&numbers))), format!("o:{}", dotted(&numbers)))
        }
        3 => {
            let address = small.to_be_bytes();
            (wide(ApplicationSyntax::Address(IpAddress(FixedOctetString::new(address)))), format!("a:{}", hex(&address)))
        }
        4 => (wide(ApplicationSyntax::Counter(Counter(small))), format!("c:{small}")),
        5 => (wide(ApplicationSyntax::Unsigned(Gauge(small))), format!("g:{small}")),
        6 => (wide(ApplicationSyntax::Ticks(TimeTicks(small))), format!("t:{small}")),
        7 => {
            let number = random.number();
            (wide(ApplicationSyntax::BigCounter(Counter64(number))), format!("C:{number}"))
        }
        8 => (v2::VarBindValue::Unspecified, "n:".to_owned()),
        9 => (v2::VarBindValue::NoSuchObject, "O:".to_owned()),
        10 => (v2::VarBindValue::NoSuchInstance, "I:".to_owned()),
        _ => (v2::VarBindValue::EndOfMibView, "E:".to_owned()),
    }
}

fn var_binds(random: &mut Random) -> (Vec<v2::VarBind>, String) {
    let mut words = Vec::new();
    let mut list = Vec::new();
    for _ in 0..random.below(8) {
        let name = random.oid();
        let (value, word) = value(random);
        words.push(format!("{}={word}", dotted(&name)));
        list.push(v2::VarBind { name: oid(&name), value });
    }
    (list, words.join(","))
}

const KINDS: [&str; 7] = ["get", "next", "response", "bulk", "inform", "trap", "report"];

/// A unit of a kind, and what it is in words.
fn unit(kind: &str, random: &mut Random) -> (v2::Pdus, String) {
    let (variable_bindings, words) = var_binds(random);
    let request_id = random.number() as i32;
    let (second, third) = (random.below(20) as u32, random.below(60) as u32);
    let pdu = v2::Pdu {
        request_id,
        error_status: second,
        error_index: third,
        variable_bindings: variable_bindings.clone(),
    };
    let pdu = match kind {
        "get" => v2::Pdus::GetRequest(v2::GetRequest(pdu)),
        "next" => v2::Pdus::GetNextRequest(v2::GetNextRequest(pdu)),
        "response" => v2::Pdus::Response(v2::Response(pdu)),
        "inform" => v2::Pdus::InformRequest(v2::InformRequest(pdu)),
        "trap" => v2::Pdus::Trap(v2::Trap(pdu)),
        "report" => v2::Pdus::Report(v2::Report(pdu)),
        _ => v2::Pdus::GetBulkRequest(v2::GetBulkRequest(v2::BulkPdu {
            request_id,
            non_repeaters: second,
            max_repetitions: third,
            variable_bindings,
        })),
    };
    (pdu, format!("{kind}\t{request_id}\t{second}\t{third}\t{words}"))
}

fn community(random: &mut Random) {
    let kind = KINDS[random.below(6) as usize];
    let (data, words) = unit(kind, random);
    let name = random.bytes(20);
    let message = v2c::Message { version: Integer::from(1), community: OctetString::from(name.clone()), data };
    let bytes = rasn::ber::encode(&message).expect("encodes");
    println!("2c\t{}\t{words}\t{}", hex(&name), hex(&bytes));
}

fn secured(random: &mut Random) {
    let kind = KINDS[random.below(7) as usize];
    let (data, words) = unit(kind, random);
    let (engine, user, context) = (random.bytes(32), random.bytes(32), random.bytes(16));
    let (id, boots, time) = (random.number() as u32 >> 1, random.number() as u32 >> 1, random.number() as u32 >> 1);
    let usm = v3::USMSecurityParameters {
        authoritative_engine_id: OctetString::from(engine.clone()),
        authoritative_engine_boots: Integer::from(boots),
        authoritative_engine_time: Integer::from(time),
        user_name: OctetString::from(user.clone()),
        authentication_parameters: OctetString::from(Vec::new()),
        privacy_parameters: OctetString::from(Vec::new()),
    };
    let mut message = v3::Message {
        version: Integer::from(3),
        global_data: v3::HeaderData {
            message_id: Integer::from(id),
            max_size: Integer::from(65_507),
            flags: OctetString::from(vec![4]),
            security_model: Integer::from(3),
        },
        security_parameters: OctetString::from(Vec::new()),
        scoped_data: v3::ScopedPduData::CleartextPdu(v3::ScopedPdu {
            engine_id: OctetString::from(engine.clone()),
            name: OctetString::from(context.clone()),
            data,
        }),
    };
    if let Err(error) = message.encode_security_parameters(rasn::Codec::Ber, &usm) {
        panic!("{error}");
    }
    let bytes = rasn::ber::encode(&message).expect("encodes");
    let who = format!("{id}\t{}\t{boots}\t{time}\t{}\t{}", hex(&engine), hex(&user), hex(&context));
    println!("3\t{who}\t{words}\t{}", hex(&bytes));
}

/// Traps of version 1: enterprise, address, generic, specific, time.
fn old_trap(random: &mut Random) {
    let (name, enterprise, time) = (random.bytes(20), random.oid(), random.number() as u32);
    let (generic, specific) = (random.below(7) as u32, random.number() as u32 >> 1);
    let value = random.number() as u32;
    let variable = random.oid();
    let number = rasn_smi::v1::ApplicationSyntax::Counter(Counter(value));
    let message = v1::Message {
        version: Integer::from(0),
        community: OctetString::from(name.clone()),
        data: v1::Trap {
            enterprise: oid(&enterprise),
            agent_addr: NetworkAddress::Internet(IpAddress(FixedOctetString::new([192, 0, 2, 1]))),
            generic_trap: Integer::from(generic),
            specific_trap: Integer::from(specific),
            time_stamp: TimeTicks(time),
            variable_bindings: vec![v1::VarBind {
                name: oid(&variable),
                value: rasn_smi::v1::ObjectSyntax::ApplicationWide(number),
            }],
        },
    };
    let bytes = rasn::ber::encode(&message).expect("encodes");
    let event = format!("{}\t{generic}\t{specific}\t{time}\t{}=c:{value}", dotted(&enterprise), dotted(&variable));
    println!("1\t{}\t{event}\t{}", hex(&name), hex(&bytes));
}

fn main() {
    println!("# Made by rasn_snmp beside this file: what each message says, with tabs between, and its bytes.");
    let mut random = Random(0x5eed_5eed_5eed_5eed);
    for _ in 0..COUNT {
        community(&mut random);
        secured(&mut random);
        old_trap(&mut random);
    }
}
