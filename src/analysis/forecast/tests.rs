//! The promises of a forecast as a whole, and the coverage of its bands on processes whose law is known.

use super::*;
use proptest::prelude::*;

const HOUR_MS: i64 = 3_600_000;
const START_MS: i64 = 1_700_000_000_000;

fn engine(horizon: usize) -> ForecastEngine {
    ForecastEngine { horizon, ..ForecastEngine::default() }
}

fn above(value: f64) -> Option<Threshold> {
    Some(Threshold { value, direction: Direction::Above })
}

fn times(count: usize, step_ms: i64) -> Vec<i64> {
    (0..count as i64).map(|i| START_MS + i * step_ms).collect()
}

/// Uniform numbers between -1 and 1 (splitmix64).
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

#[test]
fn a_disk_that_fills_by_one_percent_a_day_is_full_after_35_days_whatever_the_step() {
    for step_ms in [HOUR_MS, 300_000, 6 * HOUR_MS] {
        let count = (7 * 24 * HOUR_MS / step_ms) as usize + 1;
        let values: Vec<f64> = (0..count).map(|i| 53.0 + i as f64 * step_ms as f64 / DAY_MS).collect();
        let engine = ForecastEngine { threshold: above(95.0), ..engine(24) };
        let forecast = engine.forecast(&times(count, step_ms), &values).unwrap();
        let days = forecast.days_to_exhaustion.unwrap();
        assert!((days - 35.0).abs() < 0.3, "{step_ms}: {days}");
        assert!((forecast.trend.slope - 1.0).abs() < 1e-6, "{:?}", forecast.trend);
        let exhaustion = forecast.exhaustion.unwrap();
        assert!(exhaustion.earliest_ms <= exhaustion.likely_ms.unwrap());
        assert!(exhaustion.likely_ms.unwrap() <= exhaustion.latest_ms.unwrap());
        assert!(exhaustion.probability > 0.95 && forecast.sla_risk < 0.01, "{forecast:?}");
    }
}

#[test]
fn every_method_gives_a_finite_forecast_of_short_constant_zero_rare_and_gappy_series() {
    let rare = |i: i64| if i * i % 97 == 4 { 5.0 } else { 0.0 };
    let series: [(&str, Vec<f64>); 5] = [
        ("short", vec![1.0, 2.0, 1.5]),
        ("constant", vec![7.0; 200]),
        ("zero", vec![0.0; 200]),
        ("rare", (0..300).map(rare).collect()),
        ("seasonal", (0..300).map(|i| 10.0 + (f64::from(i) / 24.0 * std::f64::consts::TAU).sin()).collect()),
    ];
    for method in Method::all().map(Some).chain([None]) {
        for (name, values) in &series {
            // A day and a half are missing.
            let kept: Vec<i64> = (0..values.len() as i64).filter(|i| !(100..136).contains(i)).collect();
            let times: Vec<i64> = kept.iter().map(|i| START_MS + i * HOUR_MS).collect();
            let values: Vec<f64> = kept.iter().map(|i| values[*i as usize]).collect();
            let forecast = ForecastEngine { method, ..engine(48) }.forecast(&times, &values).unwrap();
            for point in &forecast.points {
                assert!((-1.0..=20.0).contains(&point.forecast), "{method:?} {name} {point:?}");
                assert!(*name != "constant" || (point.lower, point.upper) == (7.0, 7.0), "{method:?} {point:?}");
                assert!(*name != "zero" || (point.lower, point.upper) == (0.0, 0.0), "{method:?} {point:?}");
                assert!(*name != "rare" || point.forecast < 1.0, "{method:?} {point:?}");
            }
        }
    }
}

#[test]
fn a_noisy_disk_is_full_at_about_the_right_day_and_within_the_dates_given() {
    let mut noise = noise(7);
    let values: Vec<f64> = (0..24 * 14).map(|i| 46.0 + f64::from(i) / 24.0 + noise()).collect();
    let engine = ForecastEngine { threshold: above(95.0), ..engine(48) };
    let forecast = engine.forecast(&times(values.len(), HOUR_MS), &values).unwrap();
    assert!((forecast.days_to_exhaustion.unwrap() - 35.0).abs() < 2.5, "{:?}", forecast.days_to_exhaustion);
    let exhaustion = forecast.exhaustion.unwrap();
    let right_ms = START_MS + 49 * 24 * HOUR_MS;
    assert!((exhaustion.earliest_ms..=exhaustion.latest_ms.unwrap()).contains(&right_ms), "{exhaustion:?}");
}

#[test]
fn a_flat_series_never_runs_full_and_a_full_one_is_full_now() {
    let flat = vec![60.0; 200];
    let full = ForecastEngine { threshold: above(60.0), ..engine(24) };
    let never = ForecastEngine { threshold: above(95.0), ..full };
    let times = times(200, HOUR_MS);
    let forecast = never.forecast(&times, &flat).unwrap();
    assert_eq!((forecast.days_to_exhaustion, forecast.exhaustion, forecast.sla_risk), (None, None, 0.0));
    assert!(forecast.points.iter().all(|point| (point.lower, point.forecast, point.upper) == (60.0, 60.0, 60.0)));
    assert_eq!(full.forecast(&times, &flat).unwrap().days_to_exhaustion, Some(0.0));
}

#[test]
fn a_limit_below_is_reached_from_above() {
    let values: Vec<f64> = (0..200).map(|i| 100.0 - f64::from(i) / 24.0).collect();
    let below = Threshold { value: 90.0, direction: Direction::Below };
    let engine = ForecastEngine { threshold: Some(below), ..engine(72) };
    let forecast = engine.forecast(&times(200, HOUR_MS), &values).unwrap();
    // 199 / 24 has been used of 10; the other 41 hours are ahead.
    assert!((forecast.days_to_exhaustion.unwrap() * 24.0 - 41.0).abs() < 1.5, "{:?}", forecast.days_to_exhaustion);
    assert!(forecast.sla_risk > 0.99);
}

#[test]
fn a_daily_season_is_found_and_continued_far_better_than_by_the_last_value() {
    let day = |i: usize| 10.0 * (i as f64 / 24.0 * std::f64::consts::TAU).sin();
    let mut noise = noise(3);
    let values: Vec<f64> = (0..24 * 14).map(|i| 50.0 + day(i) + noise()).collect();
    let forecast = engine(24).forecast(&times(values.len(), HOUR_MS), &values).unwrap();
    assert_eq!(forecast.seasons[0].period_ms, 24 * HOUR_MS);
    assert!(forecast.seasons[0].strength > 0.9, "{:?}", forecast.seasons);
    for (i, point) in forecast.points.iter().enumerate() {
        let right = 50.0 + day(values.len() + i);
        assert!((point.forecast - right).abs() < 1.2, "{i}: {} is not {right}", point.forecast);
    }
    assert!(forecast.held_out_error.unwrap().mase < 1.0);
}

#[test]
fn what_was_never_negative_stays_so_and_what_was_may_be_again() {
    let falling: Vec<f64> = (0..100).map(|i| f64::from(100 - i)).collect();
    let positive = engine(50).forecast(&times(100, HOUR_MS), &falling).unwrap();
    assert!(positive.points.iter().all(|point| point.lower >= 0.0));
    let shifted: Vec<f64> = falling.iter().map(|value| value - 2.0).collect();
    let signed = engine(50).forecast(&times(100, HOUR_MS), &shifted).unwrap();
    assert!(signed.points[49].forecast < -40.0, "{:?}", signed.points[49]);
}

#[test]
fn a_percentage_stays_one_and_a_limit_that_was_passed_is_no_limit() {
    let rising: Vec<f64> = (0..100).map(|i| 50.0 + 0.48 * f64::from(i)).collect();
    let percent = ForecastEngine { most: most_of("disk_used_percent", None), ..engine(50) };
    let forecast = percent.forecast(&times(100, HOUR_MS), &rising).unwrap();
    assert!(forecast.points.iter().all(|point| point.upper <= 100.0 && point.forecast <= point.upper));
    assert_eq!(forecast.points[49].forecast, 100.0);
    let more: Vec<f64> = rising.iter().map(|value| value * 2.0).collect();
    assert!(percent.forecast(&times(100, HOUR_MS), &more).unwrap().points[49].forecast > 200.0);
    assert_eq!(
        (most_of("x", Some("%")), most_of("hit_ratio", None), most_of("x", None)),
        (Some(100.0), Some(1.0), None)
    );
}

/// A heap in percent, every five minutes for a week: it rises by about 1 in two hours and is collected after 12, and each
/// collection leaves `leak` percent a day more.
fn heap(leak: f64) -> Vec<f64> {
    let mut noise = noise(5);
    let (mut level, mut ceiling) = (30.0, 12.0);
    let value = |i: usize| {
        let floor = 30.0 + leak * i as f64 / 288.0;
        level += 0.12 + leak / 288.0;
        if level > floor + ceiling {
            level = floor;
            ceiling = 12.0 + 2.0 * noise();
        }
        level + 0.2 * noise()
    };
    (0..7 * 288).map(value).collect()
}

#[test]
fn a_leak_under_collections_is_dated_by_its_peaks_and_a_cache_never_runs_full() {
    let engine = ForecastEngine { threshold: above(95.0), ..engine(288) };
    let leak = engine.forecast(&times(7 * 288, 300_000), &heap(2.0)).unwrap();
    let saw = leak.sawtooth.unwrap();
    assert!(saw.is_leak() && (saw.floor_per_day.slope - 2.0).abs() < 0.3, "{saw:?}");
    assert!(matches!(saw.reset, Reset::AfterRise(rise) if (rise - 12.0).abs() < 2.0) || saw.reset == Reset::Scheduled);
    // After a week the peaks are at 56, so 39 are left at 2 a day.
    let days = leak.days_to_exhaustion.unwrap();
    assert!((days - 19.5).abs() < 4.0, "{days}");
    let exhaustion = leak.exhaustion.unwrap();
    assert!(exhaustion.earliest_ms <= exhaustion.likely_ms.unwrap() && exhaustion.probability > 0.9, "{exhaustion:?}");
    assert!(leak.sla_risk < 0.01, "{}", leak.sla_risk);
    let cache = engine.forecast(&times(7 * 288, 300_000), &heap(0.0)).unwrap();
    assert!(!cache.sawtooth.unwrap().is_leak(), "{:?}", cache.sawtooth);
    assert_eq!((cache.days_to_exhaustion, cache.exhaustion), (None, None));
}

#[test]
fn what_is_drained_and_refilled_is_a_sawtooth_upside_down() {
    let below = Threshold { value: 5.0, direction: Direction::Below };
    let engine = ForecastEngine { threshold: Some(below), ..engine(288) };
    let free: Vec<f64> = heap(2.0).iter().map(|used| 100.0 - used).collect();
    let forecast = engine.forecast(&times(7 * 288, 300_000), &free).unwrap();
    assert!((forecast.days_to_exhaustion.unwrap() - 19.5).abs() < 4.0, "{forecast:?}");
    assert!(forecast.sawtooth.unwrap().is_leak());
}

#[test]
fn a_method_that_has_no_season_to_go_by_is_its_own_plain_form_and_says_so() {
    let mut noise = noise(3);
    let values: Vec<f64> = (0..300).map(|_| 50.0 + noise()).collect();
    let of = |name: &str, values: &[f64]| {
        let engine = ForecastEngine { method: Method::named(name), ..engine(12) };
        engine.forecast(&times(values.len(), HOUR_MS), values).unwrap()
    };
    let plain = [
        ("seasonal_naive", "naive"),
        ("holt_winters", "holt"),
        ("holt_winters_damped", "damped_holt"),
        ("holt_winters_multiplicative", "holt"),
        ("mstl", "damped_holt"),
        ("log_linear", "robust_linear"),
        ("log_autoregression", "autoregression"),
    ];
    for (asked, found) in plain {
        let forecast = of(asked, &values);
        assert_eq!(forecast.method, found, "{asked}");
        assert!(forecast.held_out_error.is_some());
    }
    assert_eq!(of("seasonal_naive", &values[..4]).method, "linear_trend");
    // A season, but values on both sides of zero: no logarithm.
    let both_sides: Vec<f64> =
        (0..300).map(|at| (f64::from(at) / 24.0 * std::f64::consts::TAU).sin() + noise() / 10.0).collect();
    assert_eq!(of("log_linear", &both_sides).method, "robust_linear+1");
    assert_eq!(of("holt_winters_multiplicative", &both_sides).method, "holt_winters+1");
}

#[test]
fn the_risk_is_a_probability_that_rises_as_the_limit_comes_closer() {
    let mut noise = noise(11);
    let mut level = 0.0;
    let mut step = || {
        level += noise();
        level
    };
    let values: Vec<f64> = (0..500).map(|_| 50.0 + step()).collect();
    let newest = values[499];
    let risk = |limit: f64| {
        let engine = ForecastEngine { threshold: above(limit), ..engine(48) };
        engine.forecast(&times(500, HOUR_MS), &values).unwrap().sla_risk
    };
    let risks = [100.0, 12.0, 5.0, 2.0, -20.0].map(|above| risk(newest + above));
    assert!(risks.is_sorted(), "{risks:?}");
    assert!(risks[0] < 0.01 && risks[4] > 0.99, "{risks:?}");
}

#[test]
fn of_limits_with_a_risk_so_many_are_reached_and_for_as_long_as_said() {
    // Random walks: what was said of the next 24 steps, and what came of it.
    let (mut said, mut came, mut said_time, mut came_time) = (0.0, 0.0, 0.0, 0.0);
    let rounds = 80;
    for seed in 0..rounds {
        let mut noise = noise(9000 + seed);
        let mut level = 50.0;
        let whole: Vec<f64> = (0..274)
            .map(|_| {
                level += noise();
                level
            })
            .collect();
        let (seen, ahead) = whole.split_at(250);
        let limit = seen[249] + 2.5;
        let engine = ForecastEngine { threshold: above(limit), ..engine(24) };
        let forecast = engine.forecast(&times(250, HOUR_MS), seen).unwrap();
        said += forecast.sla_risk;
        said_time += forecast.time_beyond;
        came += f64::from(u8::from(ahead.iter().any(|value| *value >= limit)));
        came_time += ahead.iter().filter(|value| **value >= limit).count() as f64 / 24.0;
    }
    let [said, came, said_time, came_time] = [said, came, said_time, came_time].map(|sum| sum / rounds as f64);
    // Two deviations of what chance makes of eighty are 0.11.
    assert!((said - came).abs() < 0.14, "{said} {came}");
    assert!((said_time - came_time).abs() < 0.12, "{said_time} {came_time}");
}

#[test]
fn settings_out_of_range_and_too_few_samples_are_named() {
    let forecast = |engine: ForecastEngine, count: usize| engine.forecast(&times(count, 1000), &vec![1.0; count]);
    assert_eq!(forecast(engine(0), 9), Err(ForecastError::Horizon(0)));
    assert_eq!(forecast(ForecastEngine { level: 100.0, ..engine(1) }, 9), Err(ForecastError::Level(100.0)));
    assert_eq!(forecast(engine(1), 1), Err(ForecastError::TooShort { usable: 1 }));
    assert_eq!(engine(1).forecast(&[1, 2], &[1.0]), Err(ForecastError::Unpaired { times: 2, values: 1 }));
    assert_eq!(engine(9).forecast(&[0, i64::MAX - 1], &[1.0, 2.0]), Err(ForecastError::EndOfTime));
    let threshold = above(f64::INFINITY);
    let endless = ForecastEngine { threshold, ..engine(1) }.forecast(&[0, 1], &[1.0, 2.0]);
    assert_eq!(endless, Err(ForecastError::Threshold(f64::INFINITY)));
}

/// Mean coverage of the 80 % band over many series of a process, on what comes after the samples.
fn coverage(process: impl Fn(&mut dyn FnMut() -> f64) -> Vec<f64>) -> f64 {
    let (mut inside, mut all) = (0.0, 0.0);
    for seed in 0..40 {
        let mut noise = noise(1000 + seed);
        let whole = process(&mut noise);
        let (seen, ahead) = whole.split_at(whole.len() - 24);
        let forecast = engine(24).forecast(&times(seen.len(), HOUR_MS), seen).unwrap();
        for (point, actual) in forecast.points.iter().zip(ahead) {
            inside += f64::from(u8::from((point.lower..=point.upper).contains(actual)));
            all += 1.0;
        }
    }
    inside / all
}

#[test]
fn bands_of_80_percent_hold_about_80_percent_of_what_comes() {
    let white = coverage(|noise| (0..300).map(|_| noise()).collect());
    let walk = coverage(|noise| {
        let mut level = 0.0;
        (0..300)
            .map(|_| {
                level += noise();
                level
            })
            .collect()
    });
    let season = coverage(|noise| {
        let day = |i: usize| 5.0 * (i as f64 / 24.0 * std::f64::consts::TAU).sin();
        (0..300).map(|i| day(i) + noise()).collect()
    });
    for (name, coverage) in [("white noise", white), ("random walk", walk), ("season", season)] {
        assert!((0.72..=0.90).contains(&coverage), "{name}: {coverage}");
    }
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => -1e3..1e3,
        2 => (-9i32..9).prop_map(f64::from),
        1 => Just(f64::NAN),
        1 => any::<f64>(),
        1 => prop_oneof![Just(f64::MAX), Just(f64::MIN), Just(5e-324), Just(f64::INFINITY)],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_samples_give_finite_ordered_bands_or_an_error(
        samples in proptest::collection::vec((0..2_000_000i64, any_value()), 0..120),
        horizon in 1..60usize,
        limit in -1e6..1e6f64,
    ) {
        let (times, values): (Vec<i64>, Vec<f64>) = samples.into_iter().unzip();
        let engine = ForecastEngine { threshold: above(limit), ..engine(horizon) };
        if let Ok(forecast) = engine.forecast(&times, &values) {
            prop_assert_eq!(forecast.points.len(), horizon);
            for point in &forecast.points {
                prop_assert!(point.lower.is_finite() && point.upper.is_finite(), "{:?}", point);
                prop_assert!(point.lower <= point.forecast && point.forecast <= point.upper, "{:?}", point);
            }
            prop_assert!(forecast.trend.slope.is_finite() && forecast.trend.lower <= forecast.trend.upper);
            prop_assert!((0.0..=1.0).contains(&forecast.sla_risk));
            if let Some(error) = forecast.held_out_error {
                prop_assert!(error.mase.is_finite() && error.coverage.is_none_or(|share| (0.0..=1.0).contains(&share)));
            }
        }
    }

    #[test]
    fn a_forecast_of_shifted_samples_is_the_shifted_forecast(
        values in proptest::collection::vec(-1e3..1e3f64, 8..80),
        shift in -1e4..1e4f64,
        number in 0..20usize,
    ) {
        // Negative before and after, so that no limit at zero, and nothing proportional to the level, comes in between.
        let values: Vec<f64> = values.iter().chain(&[-1e5]).copied().collect();
        let shifted: Vec<f64> = values.iter().map(|value| value + shift).collect();
        let times = times(values.len(), 60_000);
        // One forecaster by itself, or all of them.
        let engine = ForecastEngine { method: Method::all().nth(number), ..engine(6) };
        let plain = engine.forecast(&times, &values).unwrap();
        let moved = engine.forecast(&times, &shifted).unwrap();
        for (plain, moved) in plain.points.iter().zip(&moved.points) {
            // The spike is a hundred times the rest: what is left of 1e-6 of it is rounding, not a choice.
            prop_assert!((plain.forecast + shift - moved.forecast).abs() < 0.5, "{:?} {:?} {:?}", engine.method, plain, moved);
        }
    }

    #[test]
    fn a_forecast_of_scaled_samples_is_the_scaled_forecast(
        values in proptest::collection::vec(-1e3..1e3f64, 2..80),
        power in -30..30i32,
    ) {
        let factor = 2f64.powi(power);
        let scaled: Vec<f64> = values.iter().map(|value| value * factor).collect();
        let times = times(values.len(), 60_000);
        let plain = engine(12).forecast(&times, &values).unwrap();
        let large = engine(12).forecast(&times, &scaled).unwrap();
        for (plain, large) in plain.points.iter().zip(&large.points) {
            prop_assert_eq!(plain.forecast * factor, large.forecast);
            prop_assert_eq!(plain.lower * factor, large.lower);
            prop_assert_eq!(plain.upper * factor, large.upper);
        }
    }
}
