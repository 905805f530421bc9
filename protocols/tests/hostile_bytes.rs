//! Whatever arrives, a parser answers: it never panics, its work is bounded by the bytes it was given, and what it says
//! of them holds.

mod support;

use proptest::prelude::*;
use protocols::remote_write::{TimeSeries, WriteRequestBuilder, decompress, metadata, time_series};
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
