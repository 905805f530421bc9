//! Messages as another encoder writes them (rasn-snmp; see `corpus/rasn_snmp`): we read what it wrote, and write the same.
//!
//! Not here: the parser of others that reads what we write (see `snmp`).

use protocols::snmp::{
    CommunityMessage, ErrorStatus, Flags, Notification, NotificationKind, Oid, Payload, Pdu, PduBuilder, PduKind,
    V3Builder, V3Message, Value, VarBind, Version, encode_community, id_of, version,
};

const MESSAGES: &str = include_str!("corpus/snmp_by_rasn.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.chars().map(|digit| digit.to_digit(16).expect("hexadecimal") as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> T {
    text.parse().unwrap_or_else(|_| panic!("a number: {text}"))
}

fn oid(text: &str) -> Oid {
    text.parse().expect("an identifier")
}

/// What a variable binding says: its name, the kind of its value, and that as bytes or as an identifier.
struct Said {
    name: Oid,
    kind: char,
    text: String,
    bytes: Vec<u8>,
    oid: Option<Oid>,
}

impl Said {
    fn of(words: &str) -> Self {
        let (name, value) = words.split_once('=').expect("a name and a value");
        let (kind, text) = value.split_once(':').expect("a kind and a value");
        let kind = kind.chars().next().expect("a letter");
        let raw = if "sa".contains(kind) { bytes(text) } else { Vec::new() };
        let other = (kind == 'o').then(|| oid(text));
        Self { name: oid(name), kind, text: text.to_owned(), bytes: raw, oid: other }
    }

    fn list(words: &str) -> Vec<Self> {
        words.split(',').filter(|words| !words.is_empty()).map(Self::of).collect()
    }

    fn var_bind(&self) -> VarBind<'_> {
        let value = match self.kind {
            'i' => Value::Integer(number(&self.text)),
            's' => Value::OctetString(&self.bytes),
            'o' => Value::Oid(self.oid.as_ref().expect("an identifier").as_ref()),
            'a' => Value::IpAddress(self.bytes.as_slice().try_into().expect("four bytes")),
            'c' => Value::Counter32(number(&self.text)),
            'g' => Value::Gauge32(number(&self.text)),
            't' => Value::TimeTicks(number(&self.text)),
            'C' => Value::Counter64(number(&self.text)),
            'n' => Value::Null,
            'O' => Value::NoSuchObject,
            'I' => Value::NoSuchInstance,
            'E' => Value::EndOfMibView,
            other => panic!("no kind of value: {other}"),
        };
        VarBind { name: self.name.as_ref(), value }
    }
}

fn kind(text: &str) -> PduKind {
    match text {
        "get" => PduKind::Get,
        "next" => PduKind::GetNext,
        "response" => PduKind::Response,
        "bulk" => PduKind::GetBulk,
        "inform" => PduKind::Inform,
        "trap" => PduKind::Trap,
        "report" => PduKind::Report,
        other => panic!("no kind of unit: {other}"),
    }
}

/// The unit that these fields say, given to `use_it`.
fn with_unit<T>(fields: &[&str], use_it: impl FnOnce(PduBuilder<'_>) -> T) -> T {
    let said = Said::list(fields[4]);
    let var_binds: Vec<_> = said.iter().map(Said::var_bind).collect();
    let [second, third] = [fields[2], fields[3]].map(number);
    use_it(PduBuilder { kind: kind(fields[0]), request_id: number(fields[1]), second, third, var_binds: &var_binds })
}

fn assert_says(pdu: &Pdu<'_>, fields: &[&str]) {
    with_unit(fields, |said| {
        assert_eq!((pdu.kind, pdu.request_id), (said.kind, said.request_id));
        assert_eq!(pdu.var_binds().collect::<Vec<_>>(), said.var_binds);
        if said.kind == PduKind::GetBulk {
            assert_eq!(pdu.repetitions(), Some((said.second as usize, said.third as usize)));
        } else {
            assert_eq!(pdu.error_index(), said.third as usize);
            assert_eq!(pdu.error_status() == ErrorStatus::None, said.second == 0);
        }
    });
}

/// The lines that begin with a version, each split into its fields; the last is the message.
fn messages(of: &str) -> Vec<Vec<&'static str>> {
    let lines = MESSAGES.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let messages: Vec<_> = lines.filter(|fields| fields[0] == of).collect();
    assert_eq!(messages.len(), 40, "the corpus is read");
    messages
}

#[test]
fn messages_of_version_2c_are_read_and_written_as_others_do() {
    for fields in messages("2c") {
        let (community, message) = (bytes(fields[1]), bytes(fields[7]));
        let read = CommunityMessage::read(&message).unwrap();
        assert_eq!((read.version, read.community), (Version::V2c, &community[..]));
        assert_says(&read.pdu, &fields[2..7]);
        assert_eq!(id_of(&message), Some(read.pdu.request_id));
        let written = with_unit(&fields[2..7], |pdu| encode_community(Version::V2c, &community, &pdu, Vec::new()));
        assert_eq!(written, message, "{fields:?}");
    }
}

#[test]
fn messages_of_version_3_are_read_and_written_as_others_do() {
    for fields in messages("3") {
        let [engine_id, user, context, message] = [fields[2], fields[5], fields[6], fields[12]].map(bytes);
        let (msg_id, boots, time) = (number(fields[1]), number(fields[3]), number(fields[4]));
        assert_eq!((version(&message), id_of(&message)), (Ok(Version::V3), Some(msg_id)));
        let read = V3Message::read(&message).unwrap();
        assert_eq!((read.msg_id, read.boots, read.time), (msg_id, boots, time));
        assert_eq!((read.engine_id, read.user), (&engine_id[..], &user[..]));
        assert_eq!(read.flags, Flags { auth: false, privacy: false, reportable: true });
        let Payload::Plain(scoped) = read.payload else { panic!("in clear") };
        assert_eq!((scoped.engine_id, scoped.context), (&engine_id[..], &context[..]));
        assert_says(&scoped.pdu, &fields[7..12]);
        let written = with_unit(&fields[7..12], |pdu| {
            let (engine_id, user, context) = (&engine_id[..], &user[..], &context[..]);
            let reportable = true;
            let context_engine_id = None;
            let builder =
                V3Builder { msg_id, reportable, engine_id, boots, time, user, context, context_engine_id, pdu };
            builder.encode(None, 0, Vec::new())
        });
        assert_eq!(written, message, "{fields:?}");
    }
}

#[test]
fn traps_of_version_1_are_read_as_others_write_them() {
    for fields in messages("1") {
        let (community, message) = (bytes(fields[1]), bytes(fields[7]));
        let read = Notification::read(&message).unwrap();
        let (generic, specific): (u32, u32) = (number(fields[3]), number(fields[4]));
        let trap = match generic {
            6 => format!("{}.0.{specific}", fields[2]),
            generic => format!("1.3.6.1.6.3.1.1.5.{}", generic + 1),
        };
        assert_eq!((read.kind, read.community()), (NotificationKind::Trap, Some(&community[..])));
        assert_eq!((read.trap.to_string(), read.uptime), (trap, number(fields[5])));
        let said = Said::list(fields[6]);
        assert_eq!(read.var_binds, said.iter().map(Said::var_bind).collect::<Vec<_>>());
    }
}
