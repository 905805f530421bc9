//! Parsing what was encoded gives back what went in, bit for bit.

use proptest::prelude::*;
use protocols::remote_write::{WriteRequestBuilder, decompress, time_series};

type Series = (Vec<(String, String)>, Vec<(i64, f64)>);

fn series() -> impl Strategy<Value = Series> {
    let label = ("[a-zé_]{0,12}", "\\PC{0,140}");
    let value = prop_oneof![any::<u64>().prop_map(f64::from_bits), Just(0.0), Just(-0.0)];
    let time_ms = prop_oneof![any::<i64>(), Just(0)];
    (prop::collection::vec(label, 0..9), prop::collection::vec((time_ms, value), 0..9))
}

fn as_bits(samples: impl Iterator<Item = (i64, f64)>) -> Vec<(i64, u64)> {
    samples.map(|(time_ms, value)| (time_ms, value.to_bits())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_remote_write_request_survives(all in prop::collection::vec(series(), 0..6)) {
        let mut request = WriteRequestBuilder::default();
        for (labels, samples) in &all {
            let labels: Vec<_> = labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            request.series(&labels, samples);
        }
        let (mut body, mut bytes) = (Vec::new(), Vec::new());
        request.compress(&mut body);
        decompress(&body, request.as_bytes().len(), &mut bytes).unwrap();
        let read: Vec<_> = time_series(&bytes).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), all.len());
        for (read, (labels, samples)) in read.iter().zip(&all) {
            let sent = labels.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
            prop_assert!(read.labels().eq(sent));
            prop_assert_eq!(as_bits(read.samples()), as_bits(samples.iter().copied()));
        }
    }
}
