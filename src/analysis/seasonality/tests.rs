//! Which periods are found, and that trend, gaps and outliers do not hide them.

use super::*;
use std::f64::consts::TAU;

const HOUR_MS: i64 = 3_600_000;

fn noise(at: i64) -> f64 {
    let mixed = (at as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f64 / (1 << 24) as f64 - 0.5
}

/// Periods in hours of hourly samples, some left out.
fn hours(count: i64, value: impl Fn(i64) -> f64, is_there: impl Fn(i64) -> bool) -> Vec<i64> {
    let (times, values): (Vec<i64>, Vec<f64>) =
        (0..count).filter(|at| is_there(*at)).map(|at| (at * HOUR_MS, value(at))).unzip();
    find(&times, &values).iter().map(|period| (period.period_ms as f64 / HOUR_MS as f64).round() as i64).collect()
}

fn day(at: i64) -> f64 {
    10.0 * (TAU * (at % 24) as f64 / 24.0).sin()
}

/// PRE-007: a day, a day and a week, none.
#[test]
fn days_and_weeks_are_found_and_noise_has_none() {
    let weekday = |at: i64| if at / 24 % 7 < 5 { 12.0 } else { 0.0 };
    assert_eq!(hours(24 * 28, |at| day(at) + 3.0 * noise(at), |_| true), [24]);
    assert_eq!(hours(24 * 35, |at| day(at) + weekday(at) + 3.0 * noise(at), |_| true), [24, 168]);
    assert_eq!(hours(24 * 28, |at| 3.0 * noise(at), |_| true), [0; 0]);
    assert_eq!(hours(24 * 28, |_| 42.0, |_| true), [0; 0]);
}

#[test]
fn other_periods_are_found_to_within_a_hundredth() {
    assert_eq!(hours(600, |at| 10.0 * (TAU * at as f64 / 17.0).sin() + 2.0 * noise(at), |_| true), [17]);
    let times: Vec<i64> = (0..3000).map(|at| at * 60_000).collect();
    let values: Vec<f64> = (0..3000).map(|at| if at * 60 % 4970 < 600 { 9.0 } else { 1.0 } + noise(at)).collect();
    let found = find(&times, &values);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!((found[0].period_ms as f64 / 4_970_000.0 - 1.0).abs() < 0.01, "{found:?}");
}

#[test]
fn trend_gaps_and_outliers_hide_no_day() {
    let value = |at: i64| day(at) + 0.2 * at as f64 + 3.0 * noise(at) + if noise(31 * at) > 0.49 { 500.0 } else { 0.0 };
    assert_eq!(hours(24 * 28, value, |at| !(200..260).contains(&at) && at % 13 != 0), [24]);
}

#[test]
fn walks_and_trends_have_no_period() {
    let mut level = 0.0;
    let walk: Vec<f64> = (0..24 * 28)
        .map(|at| {
            level += noise(at);
            level
        })
        .collect();
    assert_eq!(hours(24 * 28, |at| walk[at as usize], |_| true), [0; 0]);
    assert_eq!(hours(24 * 28, |at| at as f64, |_| true), [0; 0]);
}

#[test]
fn a_strong_season_is_stronger_and_a_change_of_unit_changes_nothing() {
    let strength = |noisy: f64, unit: f64| {
        let times: Vec<i64> = (0..672).map(|at| at * HOUR_MS).collect();
        let values: Vec<f64> = (0..672).map(|at| unit * (100.0 + day(at) + noisy * noise(at))).collect();
        find(&times, &values)[0].strength
    };
    assert!(strength(1.0, 1.0) > 0.98 && strength(1.0, 1.0) > strength(15.0, 1.0));
    assert!((strength(15.0, 1.0) - strength(15.0, 1e6)).abs() < 1e-9);
}

#[test]
fn what_is_left_without_the_season_is_level_and_noise() {
    let times: Vec<i64> = (0..672).map(|at| at * HOUR_MS).collect();
    let values: Vec<f64> = (0..672).map(|at| 100.0 + day(at) + noise(at)).collect();
    let rest = without_season(&times, &values);
    assert!(rest.iter().all(|value| (value - 100.0).abs() < 2.0));
}
