//! Every forecaster against figures that were computed elsewhere, and against series it must continue exactly.
//!
//! Figures marked so are those of statsmodels 0.14 (`ETSModel.smooth` with the parameters given), of a published example,
//! or of the formulas of the authors evaluated in another form.

use super::super::season::Profile;
use super::smooth::Gains;
use super::*;

/// Thirty-six values with a wave of some four in them.
const VALUES: [f64; 36] = [
    30.0, 21.0, 29.0, 31.0, 40.0, 48.0, 53.0, 47.0, 37.0, 39.0, 31.0, 29.0, 17.0, 9.0, 20.0, 24.0, 27.0, 35.0, 41.0,
    38.0, 27.0, 31.0, 27.0, 26.0, 21.0, 13.0, 21.0, 18.0, 33.0, 35.0, 40.0, 36.0, 22.0, 24.0, 21.0, 20.0,
];

#[track_caller]
fn close(found: &[f64], wanted: &[f64], by: f64) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.iter().zip(wanted) {
        assert!((found - wanted).abs() <= by, "{found} is not {wanted}");
    }
}

fn forecaster(name: &str) -> &'static dyn Forecaster {
    ALL.into_iter().find(|one| one.name() == name).unwrap()
}

fn path(name: &str, values: &[f64], periods: &[usize], horizon: usize) -> Vec<f64> {
    forecaster(name).fit(&Past::new(values, values, periods, Some(0.0))).unwrap().path(horizon)
}

/// A state that has seen all values.
fn run(gains: Gains, profile: Option<(&[f64], bool)>) -> Smooth {
    let profiles: Vec<Profile> = profile.iter().map(|(values, _)| Profile { values: values.to_vec() }).collect();
    let mut state = Smooth::new(0, 30.0, -0.5, &profiles, gains);
    state.zero = profile.filter(|(_, is_factor)| *is_factor).map(|_| 0.0);
    VALUES.into_iter().for_each(|value| state.observe(value));
    state
}

#[test]
fn simple_smoothing_is_that_of_the_textbook() {
    // Oil production of Saudi Arabia, 1996 to 2013: Hyndman and Athanasopoulos (2018), section 7.1, forecast 542.68.
    let oil = [
        445.36, 453.20, 454.41, 422.38, 456.04, 440.39, 425.19, 486.21, 500.43, 521.28, 508.95, 488.89, 509.87, 456.72,
        473.82, 525.95, 549.83, 542.34,
    ];
    let mut state = Smooth::new(0, 446.5868, 0.0, &[], Gains { level: 0.8339, ..Gains::FIXED });
    oil.into_iter().for_each(|value| state.observe(value));
    close(&state.path(2), &[542.6797, 542.6797], 1e-4);
}

#[test]
fn holt_and_winters_are_those_of_statsmodels() {
    let holt = Gains { level: 0.4, slope: 0.1, ..Gains::FIXED };
    close(&run(holt, None).path(3), &[21.536_432_882, 20.162_498_4, 18.788_563_918], 1e-8);
    let damped = Gains { damping: 0.9, ..holt };
    close(&run(damped, None).path(3), &[21.311_015_578, 20.137_093_62, 19.080_563_857], 1e-8);
    let (summands, factors) = ([1.5, -6.0, 2.0, 2.5], [1.1, 0.8, 1.05, 1.05]);
    let winters = Gains { level: 0.3, slope: 0.05, season: 0.2, ..Gains::FIXED };
    let wanted = [20.834_020_07, 20.038_531_662, 22.129_794_918, 20.267_351_182, 17.892_994_548];
    close(&run(winters, Some((&summands, false))).path(5), &wanted, 1e-8);
    let damped = Gains { damping: 0.95, ..winters };
    let wanted = [20.810_243_126, 20.063_205_024, 22.238_760_609, 20.491_858_106, 18.254_409_65];
    close(&run(damped, Some((&summands, false))).path(5), &wanted, 1e-8);
    // With the season as factor and an error as summand statsmodels leaves the book: these are the equations of Hyndman,
    // Koehler, Ord and Snyder (2008), table 2.2, by themselves.
    let wanted = [23.443_512_457, 21.424_955_543, 22.098_009_616, 20.204_948_795, 20.558_612_57];
    close(&run(winters, Some((&factors, true))).path(5), &wanted, 1e-8);
}

#[test]
fn theta_is_the_weighted_sum_of_its_two_lines() {
    // The theta line smoothed by itself with a gain of 0.3, and the line of least squares, at 1, 2 and 5 steps.
    let (end, slope) = linear::least_squares(&VALUES).unwrap();
    let start = end - slope * 35.0;
    for (theta, wanted, off) in [
        (2.0, [23.540_248_198, 23.383_813_192, 22.914_508_173], 277.498_365_411),
        (3.0, [23.366_434_172, 23.157_854_163, 22.532_114_138], 277.225_714_585),
    ] {
        let (error, level, drift) = theta::run(&VALUES, start, slope, theta, 0.3);
        close(&[1.0, 2.0, 5.0].map(|ahead| level + drift * ahead), &wanted, 1e-8);
        assert!((error - off).abs() < 1e-8, "{error}");
    }
}

#[test]
fn the_optimised_theta_is_no_worse_than_any_other() {
    let (end, slope) = linear::least_squares(&VALUES).unwrap();
    let start = end - slope * 35.0;
    let fit = forecaster("optimised_theta").fit(&Past::new(&VALUES, &VALUES, &[], None)).unwrap();
    let Fit::Smooth(found) = fit else { panic!("a level with a slope") };
    let theta = 1.0 / (1.0 - found.slope / slope);
    let (error, ..) = theta::run(&VALUES, start, slope, theta, found.gains.level);
    for other in [1.0, 2.0, 5.0] {
        for gain in [0.1, 0.45, 0.9, 1.0] {
            assert!(error <= theta::run(&VALUES, start, slope, other, gain).0 + 1e-9, "{theta} {other} {gain}");
        }
    }
}

#[test]
fn lines_are_continued_by_every_forecaster_that_knows_lines() {
    let values: Vec<f64> = (0..60).map(|i| 2.0 + 0.5 * f64::from(i)).collect();
    let wanted: Vec<f64> = (60..70).map(|i| 2.0 + 0.5 * f64::from(i)).collect();
    for name in ["drift", "linear", "robust_linear", "recent_linear", "holt", "damped_holt", "autoregression"] {
        let by = if name == "autoregression" { 1.0 } else { 1e-6 };
        close(&path(name, &values, &[], 10), &wanted, by);
    }
    close(&path("naive", &values, &[], 3), &[31.5; 3], 0.0);
    // Half of 0.5 a step is added to the last value, which a gain of 1 follows best.
    close(&path("theta", &values, &[], 2), &[31.75, 32.0], 1e-9);
}

#[test]
fn least_squares_and_drift_are_those_worked_by_hand() {
    // Through 0, 1, 4, 2: means 1.5 and 1.75, products 4.5 over squares 5.
    let (end, slope) = linear::least_squares(&[0.0, 1.0, 4.0, 2.0]).unwrap();
    close(&[end, slope], &[1.75 + 0.9 * 1.5, 0.9], 1e-12);
    close(&path("drift", &[1.0, 5.0, 2.0], &[], 2), &[2.5, 3.0], 1e-12);
    // Only the newest hundred count.
    let values: Vec<f64> = (0..200).map(|i| if i < 100 { 7.0 } else { f64::from(i) }).collect();
    close(&path("linear", &values, &[], 2), &[200.0, 201.0], 1e-6);
}

#[test]
fn a_season_with_a_trend_is_continued_in_phase() {
    let shape = [3.0, -1.0, -2.0, 0.0, 5.0, -5.0];
    // On the grid, where values are about one.
    let value = |i: usize| (20.0 + shape[i % 6] + 0.05 * i as f64) / 40.0;
    let values: Vec<f64> = (0..85).map(value).collect();
    let wanted: Vec<f64> = (85..97).map(value).collect();
    for one in ALL.into_iter().filter(|one| one.season() != Need::NoSeason) {
        let by = match one.name() {
            // Half the trend, two waves of six slots, the logarithm of a line, a regression drawn to the profile.
            "theta" | "optimised_theta" | "simple_smoothing" | "seasonal_naive" => 0.65,
            "mstl" | "autoregression" => 0.5,
            "log_linear" | "log_autoregression" | "holt_winters_multiplicative" | "piecewise" => 2.5,
            "holt_winters_damped" => 0.5,
            _ => 1e-6,
        };
        close(&path(one.name(), &values, &[6], 12), &wanted, by / 40.0);
    }
}

#[test]
fn a_season_that_grows_with_the_level_is_continued_as_a_factor() {
    let shape = [1.3, 0.9, 0.7, 1.1];
    let value = |i: usize| (10.0 + 0.2 * i as f64) * shape[i % 4];
    let values: Vec<f64> = (0..120).map(value).collect();
    let wanted: Vec<f64> = (120..132).map(value).collect();
    close(&path("holt_winters_multiplicative", &values, &[4], 12), &wanted, 0.3);
    let additive = path("holt_winters", &values, &[4], 12);
    let off = |path: &[f64]| path.iter().zip(&wanted).map(|(found, wanted)| (found - wanted).abs()).sum::<f64>();
    assert!(off(&path("holt_winters_multiplicative", &values, &[4], 12)) < 0.5 * off(&additive));
}

#[test]
fn the_piecewise_trend_is_the_posterior_mode_that_an_optimiser_finds() {
    // A bend at 60 under two waves of twelve; the mode by L-BFGS-B, with the spread found in turn, at 1, 4, 12 and 30.
    let value = |i: usize| {
        let (t, turn) = (i as f64, std::f64::consts::TAU * i as f64 / 12.0);
        let trend = if i < 60 { 0.05 * t } else { 3.0 - 0.03 * (t - 60.0) };
        trend + 2.0 * turn.sin() + 0.7 * (2.0 * turn).cos() + 0.3 * (t * t * 0.37).sin()
    };
    let values: Vec<f64> = (0..120).map(value).collect();
    let found = path("piecewise", &values, &[12], 30);
    close(&[found[0], found[3], found[11], found[29]], &[1.824_81, 2.388_43, 0.125_12, 1.577_16], 0.02);
}

#[test]
fn a_regression_learns_what_neighbours_say() {
    // A first-order regression with a factor of 0.8 on noise that is the same everywhere.
    let mut state = 1u64;
    let mut last = 0.0;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        last = 0.8 * last + (state >> 40) as f64 / (1 << 24) as f64 - 0.5;
        last
    };
    let mut values: Vec<f64> = (0..600).map(|_| next()).collect();
    values[599] = 1.0;
    let path = path("autoregression", &values, &[], 4);
    close(&path[..2], &[0.8, 0.64], 0.12);
    assert!(path[3] < path[1]);
}

#[test]
fn what_was_taken_in_later_counts_as_if_it_had_been_there() {
    let shape = [3.0, -1.0, -2.0, 0.0];
    let value = |i: usize| 20.0 + shape[i % 4] + 0.3 * (i as f64 * 1.7).sin();
    let values: Vec<f64> = (0..130).map(value).collect();
    for one in ALL {
        let periods: &[usize] = if one.season() == Need::NoSeason { &[] } else { &[4] };
        let mut early = one.fit(&Past::new(&values[..120], &values[..120], periods, Some(0.0))).unwrap();
        values[120..].iter().for_each(|value| early.observe(*value));
        let late = one.fit(&Past::new(&values, &values, periods, Some(0.0))).unwrap();
        close(&early.path(8), &late.path(8), 0.45);
    }
}

#[test]
fn a_gap_neither_stops_nor_bends_a_forecaster() {
    let whole: Vec<f64> = (0..60).map(|i| 5.0 + f64::from(i)).collect();
    let mut values = whole.clone();
    values[20..30].fill(f64::NAN);
    for name in ["holt", "damped_holt", "linear", "robust_linear", "recent_linear"] {
        let fit = forecaster(name).fit(&Past::new(&values, &whole, &[], None)).unwrap();
        close(&fit.path(3), &[65.0, 66.0, 67.0], 1e-6);
    }
}
