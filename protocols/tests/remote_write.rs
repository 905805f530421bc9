//! Remote write 1.0 read as its schema says: by lists of what must and must not parse, and against `prost`, another
//! implementation of protobuf, over valid and over damaged requests.

mod support;

use proptest::prelude::*;
use prost::Message;
use protocols::ParseError;
use protocols::remote_write::{MetricKind, metadata, time_series};
use support::{damage, damaged};

/// The schema with every string, exemplar and histogram as bytes: the wire is the same, and what the parser leaves to
/// others (UTF-8) or does not read is then no reason for the oracle to refuse a request either.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Metadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    exemplars: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    histograms: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    family: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    help: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    unit: Vec<u8>,
}

/// One series or record as text, the same for both implementations; values by their bits.
type Facts = Vec<String>;

fn facts_of_ours(request: &[u8]) -> Result<Facts, ParseError> {
    let mut facts = Facts::new();
    for series in time_series(request) {
        let series = series?;
        let labels: Vec<_> = series.labels().collect();
        let samples: Vec<_> = series.samples().map(|(time_ms, value)| (time_ms, value.to_bits())).collect();
        assert_eq!(samples.len(), series.sample_count());
        facts.push(format!("{labels:?} {samples:?} {} {}", series.exemplar_count(), series.histogram_count()));
    }
    for record in metadata(request) {
        let record = record?;
        facts.push(format!("{:?} {:?} {:?} {:?}", record.kind, record.family, record.help, record.unit));
    }
    Ok(facts)
}

fn facts_of_oracle(request: &WriteRequest) -> Facts {
    const KINDS: [MetricKind; 8] = [
        MetricKind::Unknown,
        MetricKind::Counter,
        MetricKind::Gauge,
        MetricKind::Histogram,
        MetricKind::GaugeHistogram,
        MetricKind::Summary,
        MetricKind::Info,
        MetricKind::StateSet,
    ];
    let series = request.timeseries.iter().map(|series| {
        let labels: Vec<_> = series.labels.iter().map(|label| (&label.name, &label.value)).collect();
        let samples: Vec<_> = series.samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect();
        format!("{labels:?} {samples:?} {} {}", series.exemplars.len(), series.histograms.len())
    });
    let records = request.metadata.iter().map(|record| {
        let kind = usize::try_from(record.kind).ok().and_then(|kind| KINDS.get(kind)).unwrap_or(&KINDS[0]);
        format!("{kind:?} {:?} {:?} {:?}", record.family, record.help, record.unit)
    });
    series.chain(records).collect()
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![8 => prop::collection::vec(any::<u8>(), 0..12), 1 => prop::collection::vec(any::<u8>(), 120..300)]
}

fn series() -> impl Strategy<Value = TimeSeries> {
    let label = (text(), text()).prop_map(|(name, value)| Label { name, value });
    let sample = (any::<u64>().prop_map(f64::from_bits), any::<i64>());
    let sample = sample.prop_map(|(value, timestamp)| Sample { value, timestamp });
    let unread = || prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..2);
    (prop::collection::vec(label, 0..6), prop::collection::vec(sample, 0..4), unread(), unread())
        .prop_map(|(labels, samples, exemplars, histograms)| TimeSeries { labels, samples, exemplars, histograms })
}

fn request() -> impl Strategy<Value = WriteRequest> {
    let record = (-1..9i32, text(), text(), text());
    let record = record.prop_map(|(kind, family, help, unit)| Metadata { kind, family, help, unit });
    (prop::collection::vec(series(), 0..5), prop::collection::vec(record, 0..3))
        .prop_map(|(timeseries, metadata)| WriteRequest { timeseries, metadata })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn valid_requests_say_the_same_to_us_and_to_prost(request in request()) {
        prop_assert_eq!(facts_of_ours(&request.encode_to_vec()), Ok(facts_of_oracle(&request)));
    }

    /// Both refuse or both accept, and then with the same contents, except that `prost` steps over groups.
    #[test]
    fn damaged_requests_say_the_same_to_us_and_to_prost(request in request(), damage in damage()) {
        let bytes = damaged(&request.encode_to_vec(), &damage);
        match (facts_of_ours(&bytes), WriteRequest::decode(&bytes[..])) {
            (Err(ParseError::UnknownWireType { .. }), _) => {}
            (ours, Ok(theirs)) => prop_assert_eq!(ours, Ok(facts_of_oracle(&theirs))),
            (ours, Err(refusal)) => prop_assert!(ours.is_err(), "accepted what prost refuses: {}", refusal),
        }
    }
}

fn accepts(request: &[u8]) {
    let ours = facts_of_ours(request);
    let theirs = WriteRequest::decode(request).expect("the oracle accepts it too");
    assert_eq!(ours, Ok(facts_of_oracle(&theirs)), "{request:x?}");
}

fn rejects(request: &[u8], expected: ParseError) {
    assert_eq!(facts_of_ours(request), Err(expected), "{request:x?}");
}

#[test]
fn unusual_and_legal_requests_are_accepted() {
    accepts(b"");
    accepts(b"\x0a\x00");
    accepts(b"\x8a\x00\x80\x00");
    accepts(b"\x0a\x82\x80\x80\x80\x80\x80\x80\x80\x80\x00\x0a\x00");
    accepts(b"\x0a\x02\x0a\x00\x0a\x02\x12\x00");
    accepts(b"\x0a\x04\x1a\x02\xff\xff\x0a\x04\x22\x02\xff\xff");
    accepts(b"\x12\x03abc\x20\x01\x29abcdefgh\x35abcd\x0a\x00");
    accepts(b"\x0a\x0a\x30\x01\x12\x06\x18\x05\x10\x01\x10\x02");
    accepts(b"\x1a\x06\x08\x01\x12\x02up");
    accepts(b"\x0a\x0d\x12\x0b\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
}

#[test]
fn malformed_requests_are_rejected_with_the_place() {
    rejects(b"\x0a", ParseError::Truncated { offset: 1 });
    rejects(b"\x0a\x80", ParseError::Truncated { offset: 1 });
    rejects(b"\x0a\x01", ParseError::LengthPastEnd { offset: 1 });
    rejects(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", ParseError::LengthPastEnd { offset: 1 });
    rejects(b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", ParseError::VarintTooLong { offset: 1 });
    rejects(b"\x00\x00", ParseError::FieldNumber { offset: 0 });
    rejects(b"\x08\x01", ParseError::WrongWireType { offset: 1 });
    rejects(b"\x1d\x01\x01\x01\x01", ParseError::WrongWireType { offset: 1 });
    rejects(b"\x0b\x0c", ParseError::WrongWireType { offset: 1 });
    rejects(b"\x2b\x2c", ParseError::UnknownWireType { offset: 1 });
    rejects(b"\x2c", ParseError::UnknownWireType { offset: 1 });
    rejects(b"\x2f", ParseError::UnknownWireType { offset: 1 });
    rejects(b"\x0a\x00\x0a\x02\x0a\x01", ParseError::LengthPastEnd { offset: 5 });
    rejects(b"\x0a\x05\x0a\x02\x0a\x00", ParseError::LengthPastEnd { offset: 1 });
    rejects(b"\x0a\x06\x0a\x02\x0a\x01\x12\x00", ParseError::LengthPastEnd { offset: 5 });
    rejects(b"\x0a\x04\x12\x02\x09\x00\x00\x00", ParseError::Truncated { offset: 5 });
    rejects(b"\x0a\x04\x12\x02\x10\x80\x00\x00", ParseError::Truncated { offset: 5 });
    rejects(b"\x0a\x03\x1a\x02\xff", ParseError::LengthPastEnd { offset: 3 });
    rejects(b"\x1a\x02\x08\x80", ParseError::Truncated { offset: 3 });
}
