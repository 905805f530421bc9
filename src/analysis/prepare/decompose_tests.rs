//! Decompositions against another implementation (statsmodels 0.15, a port of the authors' own program) and against what
//! series were made of.
//!
//! The numbers are those of `STL(y, period=12, seasonal=7)`, the same with `robust=True`, and `MSTL(y, periods=(8, 40))`.

use super::*;
use std::f64::consts::TAU;

fn monthly() -> Vec<f64> {
    let value = |i: usize| 0.05 * i as f64 + 5.0 * (TAU * i as f64 / 12.0).sin() + 2.0 * (i * 7919 % 13) as f64 / 13.0;
    (0..60).map(|i| value(i) + if i == 30 { 20.0 } else { 0.0 }).collect()
}

#[test]
fn stl_has_the_numbers_of_the_authors_program() {
    let plain = StlConfig { is_exact: true, ..StlConfig::smooth(12, 7) };
    let robust = StlConfig { inner: 2, outer: 15, ..plain };
    let jumping = [
        (0, 0.692_067_763_1, -0.123_450_320_9),
        (7, 1.232_032_071_9, -2.768_326_705),
        (30, 4.010_143_104_9, 5.573_566_692_2),
        (59, 3.889_875_446_6, -3.274_697_481_7),
    ];
    let resisting = [
        (0, 0.847_783_418_3, -0.832_300_352),
        (7, 1.232_124_279_5, -3.218_404_655_2),
        (30, 2.428_263_870_7, 0.370_163_208_4),
        (59, 3.382_551_376_7, -2.875_454_404_5),
    ];
    for (config, golden) in [(plain, jumping), (robust, resisting)] {
        let parts = config.decompose(&monthly()).unwrap();
        for (at, trend, seasonal) in golden {
            assert!((parts.trend[at] - trend).abs() < 1e-9, "{at}: {} {trend}", parts.trend[at]);
            assert!((parts.seasonal[at] - seasonal).abs() < 1e-9, "{at}: {} {seasonal}", parts.seasonal[at]);
        }
    }
}

#[test]
fn mstl_has_the_numbers_of_another_implementation() {
    let value = |i: usize| {
        let (x, noise) = (i as f64, (i * 7919 % 13) as f64 / 13.0);
        0.01 * x + 3.0 * (TAU * x / 8.0).sin() + 5.0 * (TAU * x / 40.0).cos() + noise
    };
    let values: Vec<f64> = (0..240).map(value).collect();
    let exact = |period, cycles| StlConfig { is_exact: true, ..StlConfig::smooth(period, cycles) };
    let parts = mstl_by(&values, &[40, 8, 200], exact).unwrap();
    let golden = [
        (0, 0.434_411_129_3, -0.237_977_485_2, 4.704_631_561_1),
        (77, 1.231_441_884_9, -2.115_590_150_9, 4.504_930_050_9),
        (150, 1.960_821_147_9, -3.023_774_083_9, -0.015_057_774),
        (239, 2.892_640_053_2, -2.168_843_549_2, 5.277_418_984_6),
    ];
    assert_eq!(parts.seasonals.len(), 2, "of 200 values two cycles do not fit");
    for (at, trend, short, long) in golden {
        let found = [parts.trend[at], parts.seasonals[0][at], parts.seasonals[1][at]];
        assert!(found.iter().zip([trend, short, long]).all(|(a, b)| (a - b).abs() < 1e-9), "{at}: {found:?}");
    }
    // Computing every tenth of a window only changes next to nothing.
    let fast = mstl(&values, &[8, 40]).unwrap();
    let off = fast.trend.iter().zip(&parts.trend).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(off < 0.05, "{off}");
}

/// PRE-005: trend, day and noise; the season comes back.
#[test]
fn the_season_of_a_made_series_comes_back() {
    let season = |i: usize| 8.0 * (TAU * i as f64 / 288.0).sin() + 3.0 * (TAU * i as f64 / 96.0).cos();
    let noise =
        |i: usize| (((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / (1 << 24) as f64 - 0.5) * 6.0;
    let values: Vec<f64> = (0..288 * 10).map(|i| 50.0 + 0.01 * i as f64 + season(i) + noise(i)).collect();
    let parts = StlConfig::periodic(288).decompose(&values).unwrap();
    let pairs = || parts.seasonal.iter().zip((0..).map(season));
    let product = |f: &dyn Fn((&f64, f64)) -> f64| pairs().map(f).sum::<f64>();
    let power = product(&|(a, _)| a * a) * product(&|(_, b)| b * b);
    assert!(product(&|(a, b)| a * b) / power.sqrt() > 0.95);
    let whole = |i: usize| parts.trend[i] + parts.seasonal[i] + parts.remainder[i];
    assert!((0..values.len()).all(|i| (whole(i) - values[i]).abs() < 1e-9));
}

#[test]
fn what_has_no_two_cycles_is_not_taken_apart() {
    assert_eq!(StlConfig::periodic(12).decompose(&[1.0; 23]), None);
    assert_eq!(StlConfig::periodic(1).decompose(&[1.0; 23]), None);
    assert_eq!(mstl(&[1.0; 23], &[12, 13]), None);
}
