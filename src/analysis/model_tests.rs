//! What is promised of a series' model, on series with known anomalies.

use super::*;

const MINUTE_MS: i64 = 60_000;
/// A Monday, 00:00 UTC.
const MONDAY_MS: i64 = 1_704_067_200_000;

/// Noise in -0.5..0.5, always the same for an index.
fn noise(i: i64) -> f64 {
    let mut x = (i as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
}

/// Sum of noises: near enough to a Gaussian of standard deviation 1.
fn gauss(i: i64) -> f64 {
    (0..12).map(|k| noise(i * 12 + k)).sum()
}

fn gauge() -> SeriesModel {
    SeriesModel::new(Some(Kind::Gauge), Settings::default())
}

/// Verdicts on a value every `step_ms`, from a Monday on.
fn verdicts(model: &mut SeriesModel, step_ms: i64, values: impl IntoIterator<Item = f64>) -> Vec<Verdict> {
    (0..).zip(values).map(|(i, value)| model.observe(MONDAY_MS + i * step_ms, value)).collect()
}

fn flags(verdicts: &[Verdict]) -> Vec<usize> {
    (0..verdicts.len()).filter(|i| verdicts[*i].is_anomaly).collect()
}

#[test]
fn a_constant_series_and_rounding_noise_are_silent() {
    for level in [0.0, 40.0, -1e12] {
        let values = (0..5000).map(|i| level * (1.0 + 1e-9 * noise(i)));
        assert_eq!(flags(&verdicts(&mut gauge(), MINUTE_MS, values)), [0; 0], "{level}");
    }
}

#[test]
fn a_constant_that_moves_in_its_last_digits_is_silent_and_one_that_jumps_is_not() {
    let jump = |by: f64| (0..500).map(move |i| if i < 300 { 40.0 } else { 40.0 + by });
    assert_eq!(flags(&verdicts(&mut gauge(), MINUTE_MS, jump(1e-6))), [0; 0]);
    assert_eq!(flags(&verdicts(&mut gauge(), MINUTE_MS, jump(5.0))).first(), Some(&300));
}

#[test]
fn spikes_are_flagged_also_the_second_one() {
    let values = (0..4000).map(|i| if i == 2000 || i == 2100 { 200.0 } else { 100.0 + 5.0 * gauss(i) });
    assert_eq!(flags(&verdicts(&mut gauge(), MINUTE_MS, values)), [2000, 2100]);
}

#[test]
fn a_lasting_step_is_flagged_and_then_adopted() {
    let values = (0..6000).map(|i| if i < 3000 { 50.0 } else { 90.0 } + gauss(i));
    let verdicts = verdicts(&mut gauge(), MINUTE_MS, values);
    let flags = flags(&verdicts);
    assert_eq!(flags.first(), Some(&3000));
    assert!(*flags.last().unwrap() < 3200, "{:?}", flags.last());
    let band = verdicts[5999].band.unwrap();
    assert!(band.lower > 70.0 && band.lower < 90.0 && band.upper > 90.0, "{band:?}");
}

#[test]
fn an_afternoon_load_at_night_is_flagged_and_the_weekday_plateau_is_not() {
    let value = |i: i64| {
        let (day, hour) = (i / 288 % 7, i / 12 % 24);
        if day < 5 && (9..17).contains(&hour) { 85.0 } else { 30.0 }
    };
    // Five weeks of five-minute samples; on the last Thursday 85 % from 03:00 to 03:30.
    let injected = 4 * 2016 + 3 * 288 + 36;
    let values = (0..5 * 2016).map(|i| if (injected..injected + 6).contains(&i) { 85.0 } else { value(i) } + gauss(i));
    let verdicts = verdicts(&mut gauge(), 5 * MINUTE_MS, values);
    let late: Vec<_> = flags(&verdicts).into_iter().filter(|i| *i >= 3 * 2016).collect();
    assert!(late.contains(&(injected as usize)), "{late:?}");
    assert!(late.iter().all(|i| (injected..injected + 12).contains(&(*i as i64))), "{late:?}");
    assert_eq!(verdicts[injected as usize].season, Some(crate::analysis::Season::Week(3 * 48 + 6)));
    let sentence = verdicts[injected as usize].sentence("cpu");
    assert!(sentence.contains("for Thursday 03:00 UTC") && sentence.contains("would have been normal"), "{sentence}");
}

#[test]
fn units_and_offsets_change_no_flag() {
    let value = |i: i64| if i % 900 == 850 { 30.0 } else { 10.0 + gauss(i) + 3.0 * (i as f64 / 229.2).sin() };
    let of = |scale: f64, offset: f64| {
        flags(&verdicts(&mut gauge(), MINUTE_MS, (0..6000).map(|i| value(i) * scale + offset)))
    };
    let plain = of(1.0, 0.0);
    assert!(!plain.is_empty());
    assert_eq!(plain, of(1000.0, 0.0));
    assert_eq!(plain, of(1.0 / 1024.0, 0.0));
    assert_eq!(plain, of(1.0, 500.0));
}

#[test]
fn gaps_repeated_and_backward_times_and_nan_raise_nothing_and_teach_nothing() {
    let mut disturbed = gauge();
    let mut plain = gauge();
    for i in 0..3000 {
        let time_ms = MONDAY_MS + (i + if i > 1500 { 5000 } else { 0 }) * MINUTE_MS;
        let value = 10.0 + gauss(i);
        let expected = plain.observe(time_ms, value);
        assert_eq!(disturbed.observe(time_ms, value), expected);
        assert!(!expected.is_anomaly, "{i}");
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        for (late_ms, nonsense) in [(0, 1e9), (-MINUTE_MS, 1e9), (1, f64::NAN), (1, f64::INFINITY), (1, stale)] {
            assert_eq!(disturbed.observe(time_ms + late_ms, nonsense), Verdict::silent(time_ms + late_ms));
        }
    }
}

#[test]
fn short_series_are_never_flagged() {
    let values = [5.0, 1e9, -3.0, 7.0, 1e12, 0.0, 1e-3, 44.0, 2.0, 9e9];
    assert_eq!(flags(&verdicts(&mut gauge(), MINUTE_MS, values)), [0; 0]);
}

#[test]
fn the_wildest_values_keep_scores_in_range() {
    let wild = [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 0.0, -0.0, 1.0, 1e-300, 1e300];
    for verdict in verdicts(&mut gauge(), MINUTE_MS, (0..2000).map(|i| wild[(i * 31 % 8) as usize])) {
        assert!((0.0..=1.0).contains(&verdict.score), "{verdict:?}");
        assert!(verdict.score >= 0.6 || !verdict.is_anomaly);
    }
}

#[test]
fn a_counter_is_judged_by_its_rate_across_wraps_and_restarts() {
    let mut model = SeriesModel::new(None, Settings::default());
    let mut total = 4_294_967_296.0 - 3_000_000.0;
    let mut flagged = Vec::new();
    for i in 0..4000 {
        total += (1000.0 + 50.0 * gauss(i)).round() + if i == 3500 { 60_000.0 } else { 0.0 };
        if total >= 4_294_967_296.0 {
            total -= 4_294_967_296.0;
        }
        if i == 3300 {
            total = 1000.0;
        }
        let verdict = model.observe(MONDAY_MS + i * MINUTE_MS, total);
        if verdict.is_anomaly {
            flagged.push(i);
            let band = verdict.band_of(total).unwrap();
            assert!(band.upper < total && band.upper > total - 62_000.0, "{band:?} {total}");
        }
    }
    assert_eq!(model.kind(), Kind::Counter);
    assert_eq!(flagged, [3500]);
}

#[test]
fn a_second_pass_judges_by_what_the_first_learned() {
    let values = || (0..300).map(|i| if i == 20 { 60.0 } else { gauss(i) });
    let mut model = gauge();
    assert_eq!(flags(&verdicts(&mut model, MINUTE_MS, values())), [0; 0]);
    model.rewind();
    assert_eq!(flags(&verdicts(&mut model, MINUTE_MS, values())), [20]);
}

#[test]
fn a_decoded_model_goes_on_as_if_it_had_never_stopped() {
    let value = |i: i64| 20.0 + 8.0 * (i as f64 / 45.8).sin() + gauss(i) + if i % 1300 == 1290 { 60.0 } else { 0.0 };
    let (mut whole, mut cut) = (gauge(), gauge());
    for i in 0..6000 {
        let time_ms = MONDAY_MS + i * 5 * MINUTE_MS;
        assert_eq!(whole.observe(time_ms, value(i)), cut.observe(time_ms, value(i)), "{i}");
        if i % 97 == 0 {
            let bytes = cut.encode(vec![7; 3]);
            let (decoded, rest) = SeriesModel::decode(&bytes[3..], Settings::default()).unwrap();
            assert!(rest.is_empty() && SeriesModel::decode(&bytes[3..bytes.len() - 1], Settings::default()).is_none());
            cut = decoded;
        }
    }
    assert_eq!((cut.stage(), cut.samples(), cut.last_ms()), (Stage::Ready, 6000, Some(MONDAY_MS + 5999 * 300_000)));
    let seasons: Vec<_> = cut.seasons().collect();
    assert_eq!(seasons[0].period_s, 86_400);
    assert!(seasons[0].strength > 0.5, "{seasons:?}");
}

#[test]
fn stages_follow_the_time_seen() {
    let mut model = gauge();
    let mut stages = vec![model.stage()];
    for hour in 0..24 * 15 {
        model.observe(MONDAY_MS + hour * 60 * MINUTE_MS, gauss(hour));
        stages.push(model.stage());
    }
    stages.dedup();
    assert_eq!(stages, [Stage::Warming, Stage::Daily, Stage::Weekly, Stage::Ready]);
    assert_eq!(model.seasons().count(), 0);
}

#[test]
fn the_way_back_from_a_spike_is_not_flagged() {
    for step in [1, 5] {
        let values = (0..4000).map(|i| if i == 3000 { 200.0 } else { 100.0 + 5.0 * gauss(i) });
        assert_eq!(flags(&verdicts(&mut gauge(), step * MINUTE_MS, values)), [3000]);
    }
}

#[test]
fn a_batch_job_every_night_becomes_normal() {
    // Five-minute samples; from 02:00 to 02:30 each night 50 more.
    let values = (0..21 * 288).map(|i| 15.0 + gauss(i) + if (24..30).contains(&(i % 288)) { 50.0 } else { 0.0 });
    let flags = flags(&verdicts(&mut gauge(), 5 * MINUTE_MS, values));
    assert!(!flags.is_empty() && flags.iter().all(|i| *i < 14 * 288), "{flags:?}");
}

#[test]
fn a_doubled_volume_is_one_anomaly_and_then_normal() {
    let value = |i: i64| (100.0 + 4.0 * gauss(i)) * if i < 20 * 288 { 1.0 } else { 2.0 };
    let verdicts = verdicts(&mut gauge(), 5 * MINUTE_MS, (0..30 * 288).map(value));
    let flags = flags(&verdicts);
    assert!(flags.contains(&(20 * 288)) && flags.iter().all(|i| (20 * 288..20 * 288 + 60).contains(i)), "{flags:?}");
    assert!(verdicts[30 * 288 - 1].band.unwrap().lower > 150.0);
}

#[test]
fn looking_back_finds_five_of_five_in_a_short_file() {
    // 500 samples in seven days: a wave, noise, three spikes and two dips.
    let odd = [(60, 40.0), (150, -38.0), (240, 45.0), (330, 42.0), (470, -40.0)];
    let value = |i: i64| {
        let extra = odd.iter().find(|(at, _)| *at == i).map_or(0.0, |(_, by)| *by);
        50.0 + 12.0 * (i as f64 * std::f64::consts::TAU * 7.0 / 500.0).sin() + 3.0 * gauss(i) + extra
    };
    let mut model = gauge();
    verdicts(&mut model, 1_209_600, (0..500).map(value));
    model.rewind();
    let flags = flags(&verdicts(&mut model, 1_209_600, (0..500).map(value)));
    assert!(odd.iter().all(|(at, _)| flags.contains(&(*at as usize))) && flags.len() <= 6, "{flags:?}");
}

#[test]
fn a_series_takes_memory_as_it_earns_it() {
    assert!(size_of::<SeriesModel>() <= 768, "{}", size_of::<SeriesModel>());
    assert!(size_of::<SeriesModel>() + PROFILE_BYTES <= STATE_BYTES_MAX);
    let bytes_after = |samples: i64, value: fn(i64) -> f64| {
        let mut model = gauge();
        verdicts(&mut model, 5 * MINUTE_MS, (0..samples).map(value));
        model.bytes()
    };
    let noise = |i: i64| 50.0 + gauss(i);
    assert!(bytes_after(20, noise) <= 768);
    assert!(bytes_after(288 * 6, noise) <= 1536, "no week before one was seen");
    assert!(bytes_after(288 * 36, noise) <= 1536, "what proved useless is given back");
}

/// What a series takes, by the size classes of the allocator in use; the figures of docs/detection.md.
#[test]
fn a_model_takes_448_bytes_and_384_more_from_its_third_hour_on() {
    assert!(size_of::<SeriesModel>() <= 448, "{}", size_of::<SeriesModel>());
    let mut model = SeriesModel::new(None, Settings::default());
    for minute in 0..600 {
        model.observe(minute * 60_000, (minute * 7919 % 31) as f64);
    }
    assert_eq!(model.bytes() - size_of::<SeriesModel>(), 384);
}

/// CTX-003: an hour of nonsense within a span that teaches nothing is found unusual, and what follows it is judged to the
/// bit as if the hour had been silent.
#[test]
fn samples_that_teach_nothing_are_judged_and_leave_the_model_as_it_was() {
    let value =
        |i: i64| 50.0 + 20.0 * (i as f64 / 1440.0 * std::f64::consts::TAU).sin() + (i * 7919 % 101) as f64 / 50.0;
    for kind in [Kind::Gauge, Kind::Counter] {
        let mut total = 0.0;
        let mut sent = |i: i64, value: f64| {
            total += if kind == Kind::Counter { value } else { value - total };
            (i * 60_000, total)
        };
        let mut held = SeriesModel::new(Some(kind), Settings::default());
        for i in 0..3 * 1440 {
            let (time_ms, value) = sent(i, value(i));
            held.observe(time_ms, value);
        }
        let mut plain = held.clone();
        let flagged = (3 * 1440..3 * 1440 + 60).filter(|i| {
            let (time_ms, value) = sent(*i, 900.0);
            // Whoever has not the hour still knows how often samples come, and a counter's total before the next one.
            plain.steps.observe(time_ms);
            plain.inference.pass(value);
            held.observe_held(time_ms, value, Effort::All).is_anomaly
        });
        assert!(flagged.count() > 55, "{kind:?}");
        assert_eq!(held.stage(), plain.stage());
        held.go_on();
        for i in 3 * 1440 + 60..5 * 1440 {
            let (time_ms, value) = sent(i, value(i));
            assert_eq!(held.observe(time_ms, value), plain.observe(time_ms, value), "{kind:?} {i}");
        }
    }
}
