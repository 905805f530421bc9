//! Remote write 2.0 against `prost`, another implementation of protobuf, over valid and over damaged requests.

mod support;

use proptest::prelude::*;
use prost::Message;
use protocols::ParseError;
use protocols::remote_write::{MetricKind, symbols, time_series_v2};
use support::{damage, damaged};

/// The schema with texts, exemplars and histograms as bytes: the wire is the same, and what the parser leaves to others
/// is then no reason for the oracle to refuse a request either.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "4")]
    symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    histograms: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    exemplars: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
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
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

/// One series as text, the same for both implementations; values by their bits.
type Facts = Vec<String>;

fn facts_of_ours(request: &[u8]) -> Result<Facts, ParseError> {
    let symbols = symbols(request)?;
    let mut facts = Facts::new();
    for series in time_series_v2(request) {
        let series = series?;
        let labels: Vec<_> = series.labels(&symbols).collect();
        let refs: Vec<_> = series.label_refs().collect();
        let samples: Vec<_> = series.samples().map(|(time_ms, value)| (time_ms, value.to_bits())).collect();
        assert_eq!(samples.len(), series.sample_count());
        let (histograms, exemplars) = (series.histogram_count(), series.exemplar_count());
        let said = series.metadata();
        let metadata = (said.kind, said.help_ref, said.unit_ref);
        facts.push(format!("{refs:?} {labels:?} {samples:?} {histograms} {exemplars} {metadata:?}"));
    }
    Ok(facts)
}

fn facts_of_prost(request: &[u8]) -> Option<Facts> {
    let request = Request::decode(request).ok()?;
    let symbol = |at: u32| request.symbols.get(at as usize).map(Vec::as_slice);
    let facts = request.timeseries.iter().map(|series| {
        let refs = &series.labels_refs;
        let label = |pair: &[u32]| match *pair {
            [name, value] => Some((symbol(name)?, symbol(value)?)),
            _ => None,
        };
        let labels: Vec<_> = refs.chunks(2).map(label).collect();
        let samples: Vec<_> = series.samples.iter().map(|one| (one.timestamp, one.value.to_bits())).collect();
        let (histograms, exemplars) = (series.histograms.len(), series.exemplars.len());
        let said = series.metadata.clone().unwrap_or_default();
        let metadata = (kind(said.kind), said.help_ref, said.unit_ref);
        format!("{refs:?} {labels:?} {samples:?} {histograms} {exemplars} {metadata:?}")
    });
    Some(facts.collect())
}

fn kind(number: i32) -> MetricKind {
    use MetricKind::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary, Unknown};
    let all = [Unknown, Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet];
    usize::try_from(number).ok().and_then(|at| all.get(at).copied()).unwrap_or(Unknown)
}

prop_compose! {
    fn series()(
        labels_refs in prop::collection::vec(prop_oneof![0u32..6, any::<u32>()], 0..7),
        samples in prop::collection::vec((any::<i64>(), any::<f64>()), 0..3),
        histograms in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..2),
        exemplars in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3), 0..2),
        metadata in prop::option::of((0i32..9, 0u32..9, 0u32..9)),
        created_timestamp in prop_oneof![Just(0), any::<i64>()],
    ) -> TimeSeries {
        let samples = samples.into_iter().map(|(timestamp, value)| Sample { value, timestamp }).collect();
        let metadata = metadata.map(|(kind, help_ref, unit_ref)| Metadata { kind, help_ref, unit_ref });
        TimeSeries { labels_refs, samples, histograms, exemplars, metadata, created_timestamp }
    }
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let symbols = prop::collection::vec("[a-c]{0,3}".prop_map(String::into_bytes), 0..6);
    (symbols, prop::collection::vec(series(), 0..4))
        .prop_map(|(symbols, timeseries)| Request { symbols, timeseries }.encode_to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn both_implementations_read_the_same(request in request()) {
        prop_assert_eq!(facts_of_ours(&request).ok(), facts_of_prost(&request));
    }

    /// Damage makes either both refuse, or both read the same; the one difference is that ours does not look inside what
    /// it does not keep.
    #[test]
    fn damaged_requests_are_never_read_differently(request in request(), damage in damage()) {
        let request = damaged(&request, &damage);
        if let (Ok(ours), Some(theirs)) = (facts_of_ours(&request), facts_of_prost(&request)) {
            prop_assert_eq!(ours, theirs);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(facts) = facts_of_ours(&bytes) {
            prop_assert!(facts.len() <= bytes.len());
        }
    }
}
