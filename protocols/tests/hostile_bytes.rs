//! Whatever arrives, a parser answers: it never panics, its work is bounded by the bytes it was given, and what it says
//! of them holds.

#[path = "support/mutate.rs"]
mod mutate;
mod support;

use mutate::mutate;
use proptest::prelude::*;
use protocols::remote_write::{
    TimeSeries, WriteRequestBuilder, decompress, decompress_zstd, metadata, symbols, time_series, time_series_v2,
};
use protocols::snmp::usm::{AuthProtocol, KeyExtension, LocalizedUser, OpenError, PrivacyProtocol, User};
use protocols::snmp::{
    Answer, CommunityMessage, Credentials, Notification, Oid, Payload, PduKind, Repetitions, ScopedPdu, Session,
    V3Message, Value, Version, Walk, id_of, version,
};
use protocols::statsd::{Lines, Measure, packet};
use support::{damage, damaged};

const LIMIT_BYTES: usize = 1 << 16;

type Series = (Vec<(String, String)>, Vec<(i64, f64)>);

fn request() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[a-c]{0,2}", Just("__name__".to_owned()), "[a-z]{120,140}"];
    let labels = prop_oneof![
        prop::collection::vec((name.clone(), "[x-z]{0,3}"), 0..6),
        prop::collection::btree_map(name, "[x-z]{1,3}", 0..6).prop_map(|labels| labels.into_iter().collect()),
    ];
    let samples = prop::collection::vec((any::<i64>(), any::<f64>()), 0..3);
    prop::collection::vec((labels, samples), 1..5).prop_map(|all: Vec<Series>| {
        let mut request = WriteRequestBuilder::default();
        for (labels, samples) in &all {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            request.series(&labels, samples);
        }
        request.as_bytes().to_vec()
    })
}

/// The canonical bytes of these labels in this order, if they can have any; written without the parser's own encoder.
fn canonical_bytes<'a>(labels: &[(&'a [u8], &'a [u8])]) -> Option<Vec<u8>> {
    let field = |tag: u8, contents: &[u8]| {
        let mut bytes = vec![tag];
        let mut len = contents.len();
        while len >= 128 {
            bytes.push((len % 128) as u8 + 128);
            len /= 128;
        }
        bytes.push(len as u8);
        bytes.extend_from_slice(contents);
        bytes
    };
    let ascending = labels.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let whole = labels.iter().all(|(name, value)| !name.is_empty() && !value.is_empty());
    let named = labels.iter().any(|(name, _)| *name == b"__name__");
    (ascending && whole && named).then(|| {
        labels.iter().flat_map(|(name, value)| field(0x0a, &[field(0x0a, name), field(0x12, value)].concat())).collect()
    })
}

fn what_a_series_says_of_itself_holds(series: &TimeSeries<'_>) {
    assert_eq!(series.samples().count(), series.sample_count());
    let labels: Vec<_> = series.labels().collect();
    if let Some(bytes) = series.canonical_labels() {
        assert_eq!(canonical_bytes(&labels).as_deref(), Some(bytes));
    }
}

/// Reads everything there is to read and counts it.
fn read_all(request: &[u8]) -> usize {
    let mut items = 0;
    for series in time_series(request).map_while(Result::ok) {
        what_a_series_says_of_itself_holds(&series);
        items += 1 + series.labels().count() + series.sample_count();
        items += series.exemplar_count() + series.histogram_count();
    }
    items + metadata(request).map_while(Result::ok).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn remote_write_survives_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut request = Vec::new();
        if decompress(&bytes, LIMIT_BYTES, &mut request).is_ok() {
            prop_assert!(request.len() <= LIMIT_BYTES);
            read_all(&request);
        }
        prop_assert!(request.capacity() <= LIMIT_BYTES);
        // Every item takes a tag and a length at least.
        prop_assert!(read_all(&bytes) <= bytes.len() / 2);
    }

    #[test]
    fn remote_write_survives_damaged_requests(request in request(), damage in damage()) {
        let request = damaged(&request, &damage);
        prop_assert!(read_all(&request) <= request.len() / 2);
    }

    #[test]
    fn remote_write_survives_damaged_bodies(request in request(), damage in damage()) {
        let body = snap::raw::Encoder::new().compress_vec(&request).unwrap();
        let mut out = Vec::new();
        if decompress(&damaged(&body, &damage), LIMIT_BYTES, &mut out).is_ok() {
            read_all(&out);
        }
        prop_assert!(out.capacity() <= LIMIT_BYTES);
    }

    /// The other direction: what is canonical is recognised, so that the hot path stays hot.
    #[test]
    fn remote_write_recognises_every_canonical_series(request in request()) {
        for series in time_series(&request) {
            let series = series.unwrap();
            let labels: Vec<_> = series.labels().collect();
            let expected = canonical_bytes(&labels);
            prop_assert_eq!(series.canonical_labels(), expected.as_deref());
        }
    }
}

/// The lines of a corpus in hexadecimal that are no remarks.
fn corpus(text: &str) -> Vec<Vec<u8>> {
    let bytes = |line: &str| {
        let digits: Vec<_> = line.chars().map(|digit| digit.to_digit(16).expect("hexadecimal") as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    };
    text.lines().filter(|line| !line.starts_with('#')).map(bytes).collect()
}

/// Everything a request of version 2.0 gives, counted.
fn read_all_v2(request: &[u8]) -> usize {
    let Ok(symbols) = symbols(request) else { return 0 };
    let mut items = symbols.len();
    for series in time_series_v2(request).map_while(Result::ok) {
        let labels = series.labels(&symbols).count();
        assert_eq!(labels, series.label_refs().count().div_ceil(2));
        assert_eq!(series.samples().count(), series.sample_count());
        items += 1 + labels + series.sample_count() + series.histogram_count() + series.exemplar_count();
    }
    items
}

#[test]
fn mutated_requests_are_answered() {
    let requests = corpus(include_str!("corpus/remote_write_v1.hex"));
    assert!(requests.iter().all(|request| read_all(request) > 0), "the corpus is read");
    mutate("remote write 1.0", &requests, |request| assert!(read_all(request) <= request.len() / 2));
}

#[test]
fn mutated_requests_of_version_two_are_answered() {
    let requests = corpus(include_str!("corpus/remote_write_v2.hex"));
    assert!(requests.iter().all(|request| read_all_v2(request) > 0), "the corpus is read");
    // An unpacked reference takes two bytes and a packed one a byte, so a label takes two at least.
    mutate("remote write 2.0", &requests, |request| assert!(read_all_v2(request) <= request.len()));
}

#[test]
fn mutated_bodies_are_answered() {
    let bodies = corpus(include_str!("corpus/remote_write_bodies.hex"));
    let mut out = Vec::new();
    for body in &bodies {
        let is_read =
            decompress_zstd(body, LIMIT_BYTES, &mut out).is_ok() || decompress(body, LIMIT_BYTES, &mut out).is_ok();
        assert!(is_read, "the corpus is read");
    }
    mutate("bodies of remote write", &bodies, |body| {
        for decompress in [decompress, decompress_zstd] {
            if decompress(body, LIMIT_BYTES, &mut out).is_ok() {
                assert!(out.len() <= LIMIT_BYTES);
                read_all(&out);
            }
        }
        assert!(out.capacity() <= 4 * LIMIT_BYTES);
    });
}

#[test]
fn mutated_datagrams_are_answered() {
    let datagrams: Vec<_> = include_str!("corpus/statsd.txt").lines().map(|line| line.as_bytes().to_vec()).collect();
    mutate("StatsD", &datagrams, |datagram| {
        let (mut read, mut sum) = (0, 0.0);
        packet(datagram, |line| {
            read += 1;
            let Ok(observation) = line else { return };
            assert!(observation.rate > 0.0 && observation.rate <= 1.0 && !observation.name.is_empty());
            if let Measure::Count(value) | Measure::Gauge(value) | Measure::Timer(value) = observation.measure {
                assert!(value.is_finite());
                sum += value;
            }
        });
        assert!(read <= datagram.len());
        let mut lines = Lines::of(datagram);
        while !lines.is_empty() {
            let before = lines.offset();
            match lines.plain() {
                Some(plain) => lines.take(&plain),
                None => drop(lines.line()),
            }
            assert!(lines.offset() > before, "every turn takes something");
        }
    });
}

/// What a unit holds is bounded by its bytes: a binding takes six at least.
fn assert_bounded(pdu: &protocols::snmp::Pdu<'_>, bytes: usize) {
    let mut count = 0;
    for var_bind in pdu.var_binds() {
        count += 1;
        assert!(!var_bind.name.to_string().is_empty() && var_bind.name.numbers().count() <= 128);
        if let Value::OctetString(text) = var_bind.value {
            assert!(text.len() <= bytes);
        }
        assert!(var_bind.value.number().is_none_or(f64::is_finite));
    }
    assert!(count * 6 <= bytes);
}

/// Reads a datagram in every way there is; whether one of them understood it.
fn read_snmp(datagram: &[u8], keys: &LocalizedUser, scratch: &mut Vec<u8>) -> bool {
    let mut is_read = false;
    assert!(id_of(datagram).is_none() || version(datagram).is_ok());
    if let Ok(message) = CommunityMessage::read(datagram) {
        assert_eq!(id_of(datagram), Some(message.pdu.request_id));
        assert_bounded(&message.pdu, datagram.len());
        is_read = true;
    }
    if let Ok(event) = Notification::read(datagram) {
        assert!(event.var_binds.len() * 6 <= datagram.len());
        let answer = event.answer();
        assert!(answer.is_none_or(|answer| CommunityMessage::read(&answer).is_ok()), "what we send is right");
        is_read = true;
    }
    if let Ok(message) = V3Message::read(datagram) {
        assert_eq!(id_of(datagram), Some(message.msg_id));
        match message.payload {
            Payload::Plain(scoped) => assert_bounded(&scoped.pdu, datagram.len()),
            Payload::Encrypted(text) => drop(ScopedPdu::read(text)),
        }
        // No key of ours signed it, so whatever it is, it is not believed.
        let opened = keys.open(datagram, &message, scratch);
        assert!(matches!(opened, Err(OpenError::LessSecured | OpenError::WrongDigest)), "{opened:?}");
        is_read = true;
    }
    is_read
}

#[test]
fn mutated_messages_are_answered() {
    let messages = corpus(include_str!("corpus/snmp.hex"));
    let privacy = (PrivacyProtocol::Aes128, KeyExtension::Blumenthal, &b"privacy password"[..]);
    let user = User::new(b"operator", (AuthProtocol::Sha256, b"auth password"), Some(privacy)).expect("long passwords");
    let (keys, mut scratch) = (user.localize(b"\x80\0\0\0\x04agent"), Vec::new());
    assert!(messages.iter().all(|message| read_snmp(message, &keys, &mut scratch)), "the corpus is read");
    let mut understood = 0u64;
    mutate("SNMP", &messages, |message| understood += u64::from(read_snmp(message, &keys, &mut scratch)));
    assert!(understood > 0, "some are messages still");
}

/// What a poller knows of an agent and of a walk stays bounded and goes forward only, whoever answers with what.
#[test]
fn mutated_answers_bring_no_walk_astray() {
    // As the corpus has them side by side.
    let columns = ["31.1.1.1.1", "31.1.1.1.6", "2.2.1.2", "2.2.1.5"];
    let columns = columns.map(|column| format!("1.3.6.1.2.1.{column}").parse::<Oid>().expect("an identifier"));
    let messages = corpus(include_str!("corpus/snmp.hex"));
    let mut sessions = [
        Session::new(Credentials::Community(Version::V2c, b"public".to_vec()), 1),
        Session::new(Credentials::Community(Version::V1, b"public".to_vec()), 1),
    ];
    let (mut scratch, mut walk, repetitions) = (Vec::new(), Walk::default(), Repetitions::default());
    let (mut last, mut rows) = ([const { Vec::new() }; 4], 0u64);
    walk.start(&columns);
    mutate("answers", &messages, |message| {
        let Some(id) = id_of(message) else { return };
        for session in &mut sessions {
            let Answer::Response(pdu) = session.accept(message, id, 0, &mut scratch) else { continue };
            assert_eq!((pdu.kind, pdu.request_id), (PduKind::Response, id));
            let mut values = 0;
            let taken = walk.take(&pdu, 1, repetitions, |column, index, _| {
                let numbers: Vec<u32> = protocols::snmp::index_numbers(index).collect();
                assert!(last[column].is_empty() || numbers > last[column], "rows only rise");
                last[column] = numbers;
                values += 1;
            });
            assert_eq!(taken.values, values);
            rows += values as u64;
            if walk.is_done() {
                last = Default::default();
                walk.start(&columns);
            }
        }
    });
    assert!(rows > 0, "the corpus has rows of the column");
    let names = walk.names(&[], repetitions);
    let request = sessions[0].request(1, &walk.request(&names, 0, repetitions, true), 0, Vec::new());
    assert!(request.len() < 1500 && names.len() <= columns.len());
}
