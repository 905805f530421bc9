//! The promise of a chunk: whatever samples go in come out bit for bit, whatever bytes are read never panic, and the
//! layout stays the one drawn in `storage/FORMAT.md`.

use proptest::prelude::*;
use std::collections::BTreeSet;
use storage::chunk::{ChunkError, Encoder, MAX_SAMPLES, Stats, decode, encode, stats};
use storage::sample::{STALE_NAN_BITS, is_stale};

fn encoded(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    encode(times, values, &mut out);
    out
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Encodes, decodes behind other samples, compares by bits, and returns the chunk.
fn round_trip(times: &[i64], values: &[f64]) -> Vec<u8> {
    let chunk = encoded(times, values);
    let (mut read_times, mut read_values) = (vec![-1], vec![-1.0]);
    decode(&chunk, &mut read_times, &mut read_values).expect("it was just encoded");
    assert_eq!(read_times[1..], *times);
    assert_eq!(bits(&read_values[1..]), bits(values));
    assert_stats(stats(&chunk).expect("it was just encoded"), times, values);
    chunk
}

/// The statistics as their documentation words them, one at a time.
fn assert_stats(found: Stats, times: &[i64], values: &[f64]) {
    let others: Vec<f64> = values.iter().copied().filter(|value| !is_stale(*value)).collect();
    assert_eq!(found.count as usize, values.len());
    assert_eq!(found.stale as usize, values.len() - others.len());
    assert_eq!((found.start_ms, found.end_ms), (times[0], times[times.len() - 1]));
    let Some(&first) = others.first() else {
        assert!(found.first.is_nan() && found.last.is_nan() && found.min.is_nan() && found.max.is_nan());
        assert_eq!(bits(&[found.sum, found.drops]), bits(&[0.0, 0.0]));
        return;
    };
    let extreme = |better: fn(&f64, &f64) -> bool| {
        let numbers = others.iter().copied().filter(|value| !value.is_nan());
        numbers.reduce(|best, value| if better(&value, &best) { value } else { best }).unwrap_or(first)
    };
    let expected = [first, others[others.len() - 1], extreme(|a, b| a < b), extreme(|a, b| a > b)];
    assert_eq!(bits(&[found.first, found.last, found.min, found.max]), bits(&expected));
    let drops = others.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]);
    assert_sum(found.sum, others.iter().copied());
    assert_sum(found.drops, drops);
}

/// Neumaier's sum with its branch, as Prometheus adds in `sum_over_time`.
fn assert_sum(found: f64, values: impl Iterator<Item = f64> + Clone) {
    let (mut sum, mut lost) = (0.0f64, 0.0f64);
    for value in values {
        let next = sum + value;
        if next.is_infinite() {
            lost = 0.0;
        } else if sum.abs() >= value.abs() {
            lost += (sum - next) + value;
        } else {
            lost += (value - next) + sum;
        }
        sum = next;
    }
    let expected = sum + lost;
    assert!(expected.to_bits() == found.to_bits() || expected.is_nan() && found.is_nan(), "{found} is not {expected}");
}

/// Repeatable noise in `0..range`.
fn noise(i: usize, range: u64) -> u64 {
    ((i as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 30) % range
}

fn even_times(count: usize) -> Vec<i64> {
    (0..count as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect()
}

fn counter(count: usize) -> Vec<f64> {
    let mut total = 123_456;
    let step = |i| {
        total += 1000 + noise(i, 100);
        total as f64
    };
    (0..count).map(step).collect()
}

fn gauge(count: usize) -> Vec<f64> {
    (0..count).map(|i| (4000 + noise(i, 1000)) as f64 / 100.0).collect()
}

/// Small chunks of every kind: even and uneven times, each scale, exceptions, patches, constants.
fn samples_of_every_kind() -> Vec<Vec<u8>> {
    let stale = f64::from_bits(STALE_NAN_BITS);
    let uneven: Vec<i64> = even_times(40).iter().enumerate().map(|(i, time)| time + noise(i, 5) as i64).collect();
    let mut spotted = gauge(40);
    (spotted[3], spotted[4], spotted[5], spotted[20], spotted[39]) = (stale, f64::NAN, f64::NAN, -0.0, stale);
    let mut reset = counter(40);
    reset[17..].iter_mut().for_each(|value| *value -= 140_000.0);
    let doubles: Vec<f64> = (0..40).map(|i| (i as f64).sin()).collect();
    vec![
        encoded(&even_times(40), &gauge(40)),
        encoded(&uneven, &spotted),
        encoded(&uneven, &reset),
        encoded(&even_times(40), &doubles),
        encoded(&even_times(40), &[2.5; 40]),
        encoded(&[i64::MIN, 0, i64::MAX], &[f64::MIN, f64::MAX, 1.0]),
        encoded(&[5], &[stale]),
    ]
}

/// Worked out by hand from `storage/FORMAT.md`: committed bytes of version 1 must be written and read for ever.
#[test]
fn the_bytes_are_those_of_the_format() {
    let even = [
        &[1, 0b00_0011, 1, 3][..],             // float; rising, even; tenths; three samples
        &[0xd0, 0x0f, 0xe8, 0x07],             // from 1000 in steps of 1000
        &[0x1e, 0x0a, 0x00, 0x14, 0x1e, 0x32], // first 15, last +5, min +0, max +10, sum 45 + 15, drops 25
        &[5, 0b00_000001, 0x02, 0, 0b01],      // fives; level, 1 bit; from 1; no patches; 2, 1
    ];
    assert_eq!(round_trip(&[1000, 2000, 3000], &[1.5, 2.5, 2.0]), even.concat());

    let uneven = [
        &[1, 0b00_1101, 0, 3][..], // float; rising, stale, exceptions; integers; three samples
        &[0, 25, 1],               // from 0 over 25 ms, one of them stale
        &[0x0a, 0x04, 0x00, 0x04, 0x04, 0x00], // first 5, last +2, min +0, max +2, sum 10 + 2, drops 0
        &[0b01_000011, 0x14, 0, 0b101_000], // times: delta, 3 bits; from 10; no patches; 10, 15
        &[2, 0b00_000001, 0x00, 0, 0b10], // twos; level, 1 bit; from 0; no patches; 0, 1
        &[1, 1 << 2],              // one exception, the second sample: a staleness marker
    ];
    let stale = f64::from_bits(STALE_NAN_BITS);
    assert_eq!(round_trip(&[0, 10, 25], &[5.0, stale, 7.0]), uneven.concat());
}

#[test]
fn truncated_chunks_are_errors() {
    for chunk in samples_of_every_kind() {
        for end in 0..chunk.len() {
            assert!(decode(&chunk[..end], &mut Vec::new(), &mut Vec::new()).is_err(), "cut at {end}");
        }
    }
}

#[test]
fn stray_bytes_behind_a_chunk_are_an_error() {
    for mut chunk in samples_of_every_kind() {
        chunk.push(0);
        let found = decode(&chunk, &mut Vec::new(), &mut Vec::new());
        assert_eq!(found, Err(ChunkError::TrailingBytes { bytes: 1 }));
    }
}

#[test]
fn flipped_bytes_never_panic_and_never_break_the_promises_of_decode() {
    let (mut times, mut values) = (vec![7], vec![7.0]);
    for chunk in samples_of_every_kind() {
        for at in 0..chunk.len() {
            for flip in 1..=255 {
                let mut damaged = chunk.clone();
                damaged[at] ^= flip;
                let _ = stats(&damaged);
                match decode(&damaged, &mut times, &mut values) {
                    Ok(()) => {
                        assert_eq!(times.len(), values.len());
                        assert!((2..=MAX_SAMPLES + 1).contains(&times.len()));
                        assert!(times[1..].is_sorted_by(|a, b| a < b));
                        times.truncate(1);
                        values.truncate(1);
                    }
                    Err(_) => assert_eq!((times.len(), values.len()), (1, 1), "an error appends nothing"),
                }
            }
        }
    }
}

#[test]
fn counts_out_of_range_are_refused_before_memory_is_taken() {
    let chunk = encoded(&[0, 10], &[1.0, 1.0]);
    assert_eq!(chunk[3], 2, "the count");
    let with_count = |count: &[u8]| [&chunk[..3], count, &chunk[4..]].concat();
    let read = |bytes: &[u8]| {
        let (mut times, mut values) = (Vec::new(), Vec::new());
        decode(bytes, &mut times, &mut values).map(|()| times.len())
    };
    assert_eq!(read(&with_count(&[0x80, 0x40])), Ok(MAX_SAMPLES), "8192 equal samples cost no more bytes than two");
    assert!(matches!(read(&with_count(&[0x81, 0x40])), Err(ChunkError::Damaged { .. })));
    assert!(matches!(read(&with_count(&[0])), Err(ChunkError::Damaged { .. })));
}

#[test]
fn other_types_are_named() {
    let mut chunk = encoded(&[0], &[1.0]);
    chunk[0] = 2;
    assert_eq!(stats(&chunk), Err(ChunkError::UnknownType { found: 2 }));
    assert_eq!(decode(&chunk, &mut Vec::new(), &mut Vec::new()), Err(ChunkError::UnknownType { found: 2 }));
}

#[test]
fn ordinary_series_are_small() {
    let bytes_a_sample =
        |values: &[f64]| round_trip(&even_times(values.len()), values).len() as f64 / values.len() as f64;
    for (what, values, limit) in [
        ("counter of 128", counter(128), 1.2),
        ("counter of 1000", counter(1000), 1.0),
        ("gauge of 128", gauge(128), 1.55),
        ("gauge of 1000", gauge(1000), 1.35),
        ("steady counter of 1000", (0..1000).map(|i| f64::from(i) * 15.0).collect(), 0.08),
        ("constant of 128", vec![42.75; 128], 0.15),
        ("constant of 1000", vec![42.75; 1000], 0.02),
        ("stale of 1000", vec![f64::from_bits(STALE_NAN_BITS); 1000], 0.02),
        ("f32 of 128", (0..128).map(|i| f64::from((i as f32).sin() + 2.0)).collect(), 4.0),
        ("full doubles of 1000", (0..1000).map(|i| 2.0 + f64::from(i).sin()).collect(), 7.0),
    ] {
        let found = bytes_a_sample(&values);
        assert!(found <= limit, "{what}: {found:.3} bytes a sample");
    }
}

#[test]
fn a_warm_encoder_writes_the_same_bytes() {
    let mut encoder = Encoder::default();
    let (mut first, mut again) = (Vec::new(), Vec::new());
    for out in [&mut first, &mut again] {
        encoder.encode(&even_times(300), &gauge(300), out);
        encoder.encode(&even_times(200), &(0..200).map(|i| f64::from(i).sqrt()).collect::<Vec<_>>(), out);
        encoder.encode(&[1, 5, 6], &[1.0, f64::NAN, 2.0], out);
    }
    assert_eq!(first, again);
}

/// Any bits, and those that are special to the codec more often than chance would have it.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        prop::sample::select(vec![
            0.0,
            -0.0,
            1.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MIN_POSITIVE,
            f64::MAX,
            f64::from_bits(STALE_NAN_BITS),
            f64::from_bits(0x7ff8_0000_0000_0001),
            9_007_199_254_740_993.0,
            9.3e18,
        ]),
    ]
}

/// A decimal of up to `digits` digits behind the point.
fn decimal(digits: i32) -> impl Strategy<Value = f64> {
    (-1_000_000_000..1_000_000_000i64).prop_map(move |mantissa| mantissa as f64 / 10f64.powi(digits))
}

/// Columns of one kind, then some values replaced by any others.
fn any_values() -> impl Strategy<Value = Vec<f64>> {
    let columns = prop_oneof![
        prop::collection::vec(any_value(), 1..300),
        (0..12).prop_flat_map(|digits| prop::collection::vec(decimal(digits), 1..300)),
        prop::collection::vec(0..5000u32, 1..300).prop_map(|steps| {
            let mut total = 0.0;
            steps.iter().map(|step| (total += f64::from(*step), total).1).collect()
        }),
        (any_value(), 1..300usize).prop_map(|(value, count)| vec![value; count]),
        prop::collection::vec(any::<f32>().prop_map(f64::from), 1..300),
    ];
    (columns, prop::collection::vec((any::<prop::sample::Index>(), any_value()), 0..6)).prop_map(
        |(mut values, spots)| {
            for (at, value) in spots {
                let at = at.index(values.len());
                values[at] = value;
            }
            values
        },
    )
}

/// `count` ascending times: even, jittered, with gaps, or anywhere at all.
fn any_times(count: usize) -> impl Strategy<Value = Vec<i64>> {
    let anywhere = |range: std::ops::RangeInclusive<i64>| {
        prop::collection::btree_set(range, count).prop_map(|times: BTreeSet<i64>| times.into_iter().collect::<Vec<_>>())
    };
    let steps = |steps: std::ops::Range<i64>| {
        (-(1i64 << 53)..1 << 53, prop::collection::vec(steps, count)).prop_map(|(start, steps)| {
            let mut time = start;
            steps.iter().map(|step| (time += step, time).1).collect::<Vec<_>>()
        })
    };
    prop_oneof![
        anywhere(-(1 << 53)..=1 << 53),
        anywhere(i64::MIN..=i64::MAX),
        steps(1..2),
        steps(14_998..15_003),
        steps(1..86_400_000),
    ]
}

proptest! {
    #[test]
    fn any_samples_come_back_bit_for_bit(
        (times, values) in any_values().prop_flat_map(|values| (any_times(values.len()), Just(values)))
    ) {
        round_trip(&times, &values);
    }

    #[test]
    fn any_bytes_end_in_samples_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200), scale in 0..12u8) {
        let _ = decode(&bytes, &mut Vec::new(), &mut Vec::new());
        // Most of them fail at the first byte; with a likely beginning they get farther.
        bytes.splice(0..0, [1, 1 | bytes.first().map_or(0, |byte| byte & 0x2e), scale]);
        let _ = decode(&bytes, &mut Vec::new(), &mut Vec::new());
    }
}
