//! Stories of operators, as series with one right answer each: what to say at 03:00, at lunch, on a weekend.
//!
//! Not here: single promises of the model (see `model_tests`), rates over many series (see `cli::bench::budget`).

use super::{AnomalyKind, Direction, Kind, LocalClock, Notice, QuietHours, SeriesModel, Settings, Verdict, Zone};

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

/// Flags that follow each other within an hour are one event.
fn events(flags: &[i64]) -> usize {
    usize::from(!flags.is_empty()) + flags.windows(2).filter(|pair| pair[1] - pair[0] > 12).count()
}

/// PROD-026, drift: memory that grows by a hundredth a day.
#[test]
fn a_hundredth_more_a_day_is_told_early_and_by_itself() {
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let mut told = Vec::new();
    for i in 0..30 * DAY {
        model.observe(MONDAY_MS + i * STEP_MS, 50.0 * 1.01f64.powf(i as f64 / DAY as f64) + gauss(i));
        told.extend(model.take_notice().map(|notice| (i / DAY, notice)));
    }
    let [(day, Notice::Drift { per_day, .. })] = told[..] else { panic!("{told:?}") };
    assert!(day <= 8 && (0.4..0.7).contains(&per_day), "{told:?}");
}

/// PROD-026, several modes: a batch job at two in the morning.
#[test]
fn a_job_at_two_in_the_morning_is_no_news_after_two_weeks() {
    let value = |i: i64, hour: f64, _: bool| if (2.0..2.5).contains(&hour) { 80.0 } else { 20.0 } + 2.0 * gauss(i);
    assert_eq!(flags(&days(28, value), 14), [0; 0]);
}

/// PROD-026, scale: a customer doubles the volume, around a level or with the whole of its day.
#[test]
fn a_volume_that_doubles_is_told_once_and_is_the_new_normal() {
    let doubled = 20 * DAY + 150;
    let by = |i: i64| if i >= doubled { 2.0 } else { 1.0 };
    let flat = days(40, |i, _, _| by(i) * (1000.0 + 20.0 * gauss(i)));
    let daily = days(40, |i, hour, _| by(i) * (10.0 * load(hour) + 20.0 * gauss(i)));
    for (name, verdicts) in [("flat", flat), ("daily", daily)] {
        let flagged = flags(&verdicts, 10);
        assert!(flagged.first() == Some(&doubled) && events(&flagged) == 1, "{name}: {flagged:?}");
        assert!(flagged.iter().all(|i| *i < doubled + DAY / 2), "{name}: {flagged:?}");
        let after = &verdicts[(doubled + 5 * DAY) as usize];
        let expected = after.band.map_or(0.0, |band| band.expected);
        assert!((after.judged.unwrap_or(0.0) / expected - 1.0).abs() < 0.2, "{name}: {after:?}");
    }
}

/// DET-015: people's hours, on the days on which clocks change.
#[test]
fn days_are_those_of_the_zone_also_when_its_clocks_change() {
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let flagged = |clock: LocalClock, begin_ms: i64| {
        let mut model = SeriesModel::new(Some(Kind::Gauge), Settings { clock, ..Settings::default() });
        let judge = |i: i64| {
            let time_ms = begin_ms + i * STEP_MS;
            let value = if (8..18).contains(&berlin.slot(time_ms).hour) { 80.0 } else { 20.0 } + gauss(i);
            model.observe(time_ms, value).is_anomaly && i >= 10 * DAY
        };
        (0..24 * DAY).map(judge).filter(|flag| *flag).count()
    };
    // Clocks are set forward and back on the 15th day.
    for begin_ms in [1_711_836_000_000 - 14 * 86_400_000, 1_729_980_000_000 - 14 * 86_400_000] {
        let with = flagged(LocalClock::of(&berlin), begin_ms);
        let without = flagged(LocalClock::default(), begin_ms);
        assert!(with == 0 && without > 0, "{with} {without}");
    }
}

/// A season that no calendar has: every 100 minutes.
#[test]
fn a_rhythm_of_a_hundred_minutes_is_found_and_what_is_odd_in_it_is_told() {
    let (missing, phase) = (20 * DAY / 20 * 20, 20);
    let value = |i: i64, _: f64, _: bool| {
        let busy = i % phase < 6 && !(missing..missing + phase).contains(&i);
        (if busy { 90.0 } else { 10.0 }) + 2.0 * gauss(i)
    };
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let verdicts: Vec<_> = (0..24 * DAY).map(|i| model.observe(MONDAY_MS + i * STEP_MS, value(i, 0.0, true))).collect();
    assert_eq!(model.seasons().map(|season| season.period_s).collect::<Vec<_>>(), [6000]);
    let told = flags(&verdicts, 12);
    assert!(told.contains(&missing), "{told:?}");
    assert!(told.iter().all(|i| (missing..missing + 2 * phase).contains(i)), "{told:?}");
    let sentence = verdicts[missing as usize].sentence("jobs");
    assert!(sentence.contains("of the 100 minutes in which it repeats"), "{sentence}");
}

/// CTX-001: a drop of a size that is told on a Tuesday at two is not told on a Sunday at three where nights and weekends are
/// quiet; a rise of that size is told then as ever (DEF-001), and so is a drop that is large enough.
#[test]
fn quiet_hours_ask_more_of_what_falls_and_nothing_of_what_rises() {
    let quiet_hours = QuietHours::parse("22:00-06:00,sat,sun", 2.0, false).unwrap();
    let quiet = Settings { quiet_hours, ..Settings::default() };
    let told = |settings: &Settings, slot: i64, by: f64| {
        let mut model = SeriesModel::new(Some(Kind::Gauge), settings.clone());
        (0..slot).for_each(|i| _ = model.observe(MONDAY_MS + i * 300_000, 100.0 + gauss(i)));
        model.observe(MONDAY_MS + slot * 300_000, 100.0 + by).is_anomaly
    };
    let (tuesday, sunday) = ((22 * 24 + 14) * 12, (20 * 24 + 3) * 12);
    let least = (4..40).map(f64::from).find(|by| told(&quiet, tuesday, -by)).unwrap();
    assert!(told(&Settings::default(), sunday, -least), "{least}");
    assert!(!told(&quiet, sunday, -least) && told(&quiet, sunday, least), "{least}");
    assert!(told(&quiet, sunday, -100.0));
}
