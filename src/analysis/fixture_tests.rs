//! Stories of operators, as series with one right answer each: what to say at 03:00, at lunch, on a weekend.
//!
//! Not here: single promises of the model (see `model_tests`), rates over many series (see `cli::bench::budget`).

use super::{AnomalyKind, Direction, Kind, SeriesModel, Settings, Verdict};

/// A Monday, 00:00 UTC.
const MONDAY_MS: i64 = 1_704_067_200_000;
const STEP_MS: i64 = 300_000;
const DAY: i64 = 288;

/// Near enough to a Gaussian of deviation 1, always the same for an index.
fn gauss(i: i64) -> f64 {
    let mix = |x: u64| (x ^ (x >> 31)).wrapping_mul(0x94D0_49BB_1331_11EB) ^ (x >> 29);
    let noise = |k: i64| (mix((i * 12 + k) as u64 ^ 0x9E37_79B9_7F4A_7C15) >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
    (0..12).map(noise).sum()
}

/// Verdicts on so many days of five-minute samples; the value of an index, its hour and whether it is a weekday.
fn days(count: i64, value: impl Fn(i64, f64, bool) -> f64) -> Vec<Verdict> {
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let judge = |i: i64| {
        let hour = (i % DAY) as f64 / 12.0;
        model.observe(MONDAY_MS + i * STEP_MS, value(i, hour, i / DAY % 7 < 5))
    };
    (0..count * DAY).map(judge).collect()
}

/// Indices of the anomalous samples from a day on.
fn flags(verdicts: &[Verdict], from_day: i64) -> Vec<i64> {
    let is_anomaly = |i: &i64| verdicts[*i as usize].is_anomaly;
    (from_day * DAY..verdicts.len() as i64).filter(is_anomaly).collect()
}

/// A day's load between 15 at night and 75 in the afternoon.
fn load(hour: f64) -> f64 {
    45.0 - 30.0 * ((hour - 3.0) / 24.0 * std::f64::consts::TAU).cos()
}

#[test]
fn sixty_percent_at_three_in_the_morning_is_told_although_it_is_below_eighty() {
    let night = 17 * DAY + 36;
    let value =
        |i: i64, hour: f64, _: bool| if (night..night + 3).contains(&i) { 60.0 } else { load(hour) + 2.0 * gauss(i) };
    let verdicts = days(18, value);
    let told = verdicts[night as usize];
    assert!(flags(&verdicts, 10).contains(&night), "{told:?}");
    assert_eq!((told.kind(), told.direction()), (Some(AnomalyKind::Contextual), Some(Direction::Above)));
    assert!(flags(&verdicts, 10).iter().all(|i| (night..night + 6).contains(i)));
}

#[test]
fn the_peak_at_lunch_is_no_news_after_two_weeks() {
    let value = |i: i64, hour: f64, _: bool| {
        let lunch = if (12.0..13.0).contains(&hour) { 120.0 } else { 0.0 };
        80.0 + lunch + 4.0 * gauss(i)
    };
    assert_eq!(flags(&days(16, value), 14), [0; 0]);
}

#[test]
fn a_weekend_peak_is_no_news_once_weeks_are_known() {
    let value = |i: i64, hour: f64, is_weekday: bool| {
        (if is_weekday { 1.0 } else { 1.8 }) * (load(hour) + 20.0) + 2.0 * gauss(i)
    };
    assert_eq!(flags(&days(35, value), 28), [0; 0]);
}

#[test]
fn a_point_and_a_collective_anomaly_are_told_by_their_kind() {
    let (spike, stretch) = (9 * DAY, 12 * DAY);
    let value = |i: i64, _: f64, _: bool| match i {
        i if i == spike => 160.0,
        i if (stretch..stretch + 8).contains(&i) => 140.0 + 4.0 * gauss(i),
        i => 100.0 + 4.0 * gauss(i),
    };
    let verdicts = days(14, value);
    assert_eq!(verdicts[spike as usize].kind(), Some(AnomalyKind::Point));
    assert!(verdicts[stretch as usize].is_anomaly);
    let kinds: Vec<_> = verdicts[stretch as usize..(stretch + 8) as usize].iter().filter_map(Verdict::kind).collect();
    assert!(kinds.contains(&AnomalyKind::Collective), "{kinds:?}");
}

#[test]
fn no_scale_needs_a_setting_of_its_own() {
    for exponent in -3..=9 {
        let scale = 10f64.powi(exponent);
        let verdicts = days(30, |i, hour, _| scale * (load(hour) + 2.0 * gauss(i + 100_000)));
        let flagged = flags(&verdicts, 0);
        assert!(flagged.len() <= 3, "1e{exponent}: {flagged:?}");
    }
}
