//! Every named detector against numbers of its documents, of papers, or worked by hand; each test names its row.
//!
//! Not here: what all have in common (see `contract_tests`).

use super::*;
use crate::analysis::Zone;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 3_600_000;
/// A Monday, 00:00 UTC.
const MONDAY_MS: i64 = 1_704_067_200_000;

/// Near enough to a Gaussian of deviation 1, always the same for an index: twelve even numbers of SplitMix64.
pub(super) fn gauss(i: i64) -> f64 {
    let even = |k: i64| {
        let mut x = ((i * 12 + k) as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..12).map(even).sum()
}

fn results(name: &str, values: &[f64], options: &Options) -> Vec<AnomalyResult> {
    let times: Vec<i64> = (0..values.len() as i64).map(|i| MONDAY_MS + i * MINUTE_MS).collect();
    let mut detector = find(name).unwrap().of_whole_series(options).unwrap();
    judge(detector.as_mut(), Samples::new(&times, values))
}

fn flags(name: &str, values: &[f64]) -> Vec<usize> {
    let results = results(name, values, &Options::default());
    (0..values.len()).filter(|at| results[*at].is_anomaly).collect()
}

/// N(100, 10), a thousand of them, with a 200 in the middle.
fn seed_example() -> Vec<f64> {
    let mut values: Vec<f64> = (0..1000).map(|i| 100.0 + 10.0 * gauss(i)).collect();
    values[500] = 200.0;
    values
}

/// DET-003: Rosner (1983), as NIST's handbook (1.3.5.17.3) has it: R, lambda, and three outliers.
#[test]
fn rosners_fifty_four_points_have_three_outliers() {
    let points = [
        -0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56, 1.58, 1.65, 1.69, 1.70,
        1.76, 1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10, 2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40,
        2.47, 2.54, 2.62, 2.64, 2.90, 2.92, 2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01,
    ];
    let (steps, outliers) = Gesd::new(&Options::default()).test(&points, 10);
    let deviates = [3.118, 2.942, 3.179, 2.810, 2.815, 2.848, 2.279, 2.310, 2.101, 2.067];
    let critical = [3.158, 3.151, 3.143, 3.136, 3.128, 3.120, 3.111, 3.103, 3.094, 3.085];
    assert_eq!(outliers, 3);
    for ((step, deviate), critical) in steps.iter().zip(deviates).zip(critical) {
        assert!((step.deviate - deviate).abs() < 1.1e-3 && (step.critical - critical).abs() < 1.1e-3, "{step:?}");
    }
    assert_eq!(flags("gesd", &points), [51, 52, 53], "a tenth of the points is tried, five of them");
}

/// DET-006: trained on N(40, 5), 95 is flagged and 50 is not; what is saved has three keys.
#[test]
fn a_trained_zscore_judges_values_of_another_day() {
    let values: Vec<f64> = (0..500).map(|i| 40.0 + 5.0 * gauss(i)).collect();
    let model = ZScoreModel::train(&values);
    assert!(model.is_anomaly(95.0) && !model.is_anomaly(50.0));
    let keys = serde_json::to_value(model).unwrap();
    assert_eq!(keys.as_object().unwrap().keys().collect::<Vec<_>>(), ["mean", "std", "threshold"]);
}

/// DET-007: seven fields, and the names of the methods.
#[test]
fn results_have_seven_fields_and_name_their_method() {
    for (name, method) in [("zscore", "z_score"), ("iqr", "iqr"), ("rolling_zscore", "rolling_z_score"), ("mad", "mad")]
    {
        let result = serde_json::to_value(results(name, &seed_example(), &Options::default())[500]).unwrap();
        assert_eq!(result["method"], method);
        assert_eq!((&result["is_anomaly"], &result["value"]), (&true.into(), &200.0.into()));
        let fields = ["timestamp", "value", "is_anomaly", "score", "method", "lower_bound", "upper_bound"];
        assert!(fields.iter().all(|field| !result[*field].is_null()) && result.as_object().unwrap().len() == 7);
    }
}

/// DET-001, DET-008: mean and standard deviation of 2, 4, 4, 4, 5, 5, 7, 9 are 5 and 2.
#[test]
fn a_zscore_is_standard_deviations_from_the_mean() {
    let told = results("zscore", &[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], &Options::default());
    assert_eq!(told.iter().map(|result| result.score).collect::<Vec<_>>(), [1.5, 0.5, 0.5, 0.5, 0.0, 0.0, 1.0, 2.0]);
    assert_eq!((told[0].lower_bound, told[0].upper_bound), (Some(-1.0), Some(11.0)));
    assert!(flags("zscore", &seed_example()).contains(&500) && flags("zscore", &seed_example()).len() <= 3);
    assert_eq!(flags("zscore", &[5.0; 100]), [0; 0]);
}

/// DET-002, DET-009: quartiles of 1 to 8 and 40 by linear interpolation are 3 and 7.
#[test]
fn interquartile_ranges_are_those_of_linear_interpolation() {
    let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 40.0];
    let told = results("iqr", &values, &Options::default());
    assert_eq!((told[8].lower_bound, told[8].upper_bound), (Some(-3.0), Some(13.0)));
    assert_eq!((told[8].score, told[4].score), (37.0 / 4.0, 0.5));
    assert_eq!(flags("iqr", &values), [8]);
    let extreme = Options { threshold: Some(3.0), ..Options::default() };
    assert_eq!(results("iqr", &values, &extreme)[8].upper_bound, Some(19.0));
}

/// DET-010: a window of the 60 before; a shift of the level is over after 60 samples.
#[test]
fn a_rolling_zscore_looks_back_on_sixty_values() {
    assert!(flags("rolling_zscore", &seed_example()).contains(&500));
    let shifted: Vec<f64> = (0..400).map(|i| if i < 200 { 10.0 } else { 50.0 } + gauss(i)).collect();
    let flagged = flags("rolling_zscore", &shifted);
    assert!(flagged.contains(&200) && flagged.iter().all(|at| !(262..330).contains(at)), "{flagged:?}");
    let short = Options { window: Some(4), ..Options::default() };
    let told = results("rolling_zscore", &[1.0, 2.0, 3.0, 4.0, 10.0], &short);
    // Before the window is full a value is scored among those so far: of 1 and 2 the second is one deviation off.
    assert_eq!((told[1].score, told[1].is_anomaly), (1.0, false));
    assert!((told[4].score - 7.5 / 1.25f64.sqrt()).abs() < 1e-12 && told[4].is_anomaly);
}

/// DET-011: median 5, median deviation 1; three in eleven are far off and all are flagged.
#[test]
fn the_modified_zscore_survives_three_outliers_in_eleven() {
    let values = [4.0, 5.0, 6.0, 5.0, 4.0, 6.0, 5.0, 5.0, 90.0, 95.0, 99.0];
    let told = results("mad", &values, &Options::default());
    assert!((told[8].score - 0.6745 * 85.0).abs() < 1e-9);
    assert!((told[0].upper_bound.unwrap() - (5.0 + 3.5 / 0.6745)).abs() < 1e-9);
    assert_eq!(flags("mad", &values), [8, 9, 10]);
}

/// DEF-006: a constant that jumps is flagged although median deviation and interquartile range are 0.
#[test]
fn a_constant_that_jumps_is_flagged_and_rounding_is_not() {
    let mut values = vec![5.0; 200];
    values[150] = 6.0;
    let mut rounding = vec![5.0; 200];
    rounding[150] += 1e-6;
    for name in ["zscore", "iqr", "mad", "gesd", "ema", "rolling_zscore"] {
        assert!(flags(name, &values).contains(&150), "{name}");
        assert_eq!(flags(name, &rounding), [0; 0], "DEF-017: {name}");
    }
}

/// DET-012: nothing for the first hundred; fields; a step of a millionth is none; the second anomaly is seen too (DEF-018).
#[test]
fn a_streaming_zscore_waits_for_its_window_and_keeps_anomalies_out_of_it() {
    let mut detector = StreamingZScore::new(&Options::default());
    let value = |i: i64| if [150, 151, 152, 160].contains(&i) { 200.0 } else { 100.0 + 2.0 * gauss(i) };
    let told: Vec<ZScoreResult> = (0..200).map(|i| detector.observe(i, value(i))).collect();
    assert!(told[..100].iter().all(|result| !result.is_anomaly && result.z_score == 0.0));
    assert!([150, 151, 152, 160].iter().all(|at| told[*at].is_anomaly));
    let fields = serde_json::to_value(told[150]).unwrap();
    assert!(["timestamp", "value", "z_score", "is_anomaly", "threshold"].iter().all(|field| !fields[*field].is_null()));
    let mut constant = StreamingZScore::new(&Options::default());
    let tiny = |i: i64| if i < 150 { 1.0 } else { 1.000_001 };
    assert!((0..200).all(|i| !constant.observe(i, tiny(i)).is_anomaly));
}

/// DET-013: by the formulas, step by step: alpha 0.1, multiplier 3; a first value is its own bounds.
#[test]
fn an_exponential_mean_follows_its_formulas() {
    let values = [
        10.0, 12.0, 9.0, 11.0, 10.0, 10.5, 9.5, 10.0, 30.0, 10.0, 30.0, 10.0, 10.0, 11.0, 9.0, 10.0, 10.0, 12.0, 10.0,
        11.0,
    ];
    let mut detector = EmaDetector::new(&Options::default());
    let told: Vec<EmaResult> = (0..20).zip(values).map(|(i, value)| detector.observe(i, value)).collect();
    assert_eq!((told[0].expected, told[0].lower_bound, told[0].upper_bound), (10.0, 10.0, 10.0));
    // Worked by hand: |12 - 10| = 2 makes the mean deviation 0.2 and the mean 10.2; |9 - 10.2| = 1.2 makes 0.3 and 10.08.
    assert_eq!((told[1].deviation, told[1].upper_bound, told[1].lower_bound), (2.0, 10.0 + 0.6, 10.0 - 0.6));
    assert!((told[2].expected - 10.2).abs() < 1e-12 && (told[2].upper_bound - (10.2 + 0.9)).abs() < 1e-12);
    assert!((told[3].expected - 10.08).abs() < 1e-12);
    let (mut ema, mut mean_deviation) = (values[0], 0.0);
    for (result, value) in told.iter().zip(values).skip(1) {
        let deviation = f64::abs(value - ema);
        mean_deviation = 0.1 * deviation + 0.9 * mean_deviation;
        let golden = [ema, deviation, ema + 3.0 * mean_deviation, ema - 3.0 * mean_deviation];
        let found = [result.expected, result.deviation, result.upper_bound, result.lower_bound];
        assert!(golden.iter().zip(found).all(|(golden, found)| (golden - found).abs() < 1e-12), "{found:?} {golden:?}");
        ema = 0.1 * value + 0.9 * ema;
    }
    assert!(!told[8].is_anomaly && told[10].is_anomaly, "the ninth is never flagged, the eleventh is");
}

/// DET-014: the keys of each period, and a value that is unusual for its hour only.
#[test]
fn a_seasonal_profile_has_the_keys_of_its_period() {
    let zone = Zone::UTC;
    let time_ms = MONDAY_MS + 2 * 24 * HOUR_MS + 13 * HOUR_MS;
    let keys = [PeriodType::Hour, PeriodType::DayOfWeek, PeriodType::HourOfWeek].map(|p| p.key_name(time_ms, &zone));
    assert_eq!(keys, ["hour_13", "dow_2", "dow_2_hour_13"]);
    let mut detector = SeasonalDetector::new(&Options::default());
    let value = |hour: i64| if hour % 24 < 8 { 10.0 } else { 80.0 } + gauss(hour);
    let told: Vec<SeasonalResult> = (0..24 * 20)
        .map(|hour| detector.observe(MONDAY_MS + hour * HOUR_MS, if hour == 459 { 80.0 } else { value(hour) }))
        .collect();
    assert!(told[..24 * 5].iter().all(|result| result.expected.is_none() && !result.is_anomaly));
    assert!(told[459].is_anomaly && told[459].period_key == "hour_3");
    assert!(told.iter().filter(|result| result.is_anomaly).count() <= 12);
}

/// DET-015: the days on which Berlin changes its clocks are no anomalies for who knows the zone.
#[test]
fn days_on_which_clocks_change_are_usual_for_who_knows_the_zone() {
    let berlin = Zone::named("Europe/Berlin").unwrap();
    let flagged = |zone: Zone, change_ms: i64| {
        let mut detector = SeasonalDetector::new(&Options { zone, ..Options::default() });
        let value = |time_ms: i64| {
            let hour = f64::from(berlin.slot(time_ms).hour) + gauss(time_ms / HOUR_MS) / 50.0;
            100.0 * (-(hour - 9.0).powi(2) / 4.0).exp()
        };
        let told =
            (-28 * 24..48).map(|hour| detector.observe(change_ms + hour * HOUR_MS, value(change_ms + hour * HOUR_MS)));
        told.skip(28 * 24).filter(|result| result.is_anomaly).count()
    };
    // Sundays, 2024-03-31 and 2024-10-27, 00:00 UTC.
    for change_ms in [1_711_843_200_000, 1_729_987_200_000] {
        assert_eq!(flagged(berlin.clone(), change_ms), 0);
        assert!(flagged(Zone::UTC, change_ms) > 3, "the fixture has a change to see");
    }
}

/// DET-004: a dip that is usual at other times of the day.
#[test]
fn a_contextual_dip_is_found_by_stl_and_not_by_a_zscore() {
    let wave = |i: i64| 50.0 - 30.0 * (std::f64::consts::TAU * (i % 144) as f64 / 144.0).cos();
    let times: Vec<i64> = (0..144 * 10).map(|i| MONDAY_MS + i * 600_000).collect();
    let dip = 144 * 6 + 72;
    let values: Vec<f64> =
        (0..144 * 10).map(|i| if (dip..dip + 3).contains(&i) { 40.0 } else { wave(i) + gauss(i) }).collect();
    let flagged = |name: &str| {
        let mut detector = find(name).unwrap().of_whole_series(&Options::default()).unwrap();
        let results = judge(detector.as_mut(), Samples::new(&times, &values));
        (0..values.len() as i64).filter(|at| results[*at as usize].is_anomaly).collect::<Vec<_>>()
    };
    assert_eq!(flagged("zscore"), [0; 0]);
    let by_stl = flagged("stl");
    assert!((dip..dip + 3).all(|at| by_stl.contains(&at)) && by_stl.len() <= 6, "{by_stl:?}");
}

/// CTX-006 to CTX-009, DEF-015: 168 cells, those without samples filled; limits, fallback, and zero only where it is meant.
#[test]
fn dynamic_thresholds_have_a_cell_for_each_hour_of_the_week() {
    // Mondays only, 08:00 to 09:59: 10 and 20 at eight, 30 and 50 at nine.
    let at = |week: i64, hour: i64| MONDAY_MS + week * 7 * 24 * HOUR_MS + hour * HOUR_MS;
    let times = [at(0, 8), at(0, 9), at(1, 8), at(1, 9)];
    let thresholds = DynamicThresholds::of(Samples::new(&times, &[10.0, 30.0, 20.0, 50.0]), &Zone::UTC);
    assert_eq!(thresholds.cells().len(), 168);
    let cell = thresholds.cells()[9];
    assert_eq!((cell.mean, cell.std, cell.median, cell.count, cell.source), (40.0, 10.0, 40.0, 2, CellSource::Own));
    let filled = thresholds.cells()[100];
    assert_eq!((filled.mean, filled.median, filled.count, filled.source), (27.5, 25.0, 0, CellSource::Global));
    let nine = thresholds.evaluate(at(2, 9), 75.0);
    assert_eq!((nine.upper_threshold, nine.lower_threshold, nine.expected_value), (70.0, 10.0, 40.0));
    assert_eq!((nine.is_anomaly, nine.deviation_pct, nine.method), (true, 87.5, "hourly_baseline"));
    assert_eq!(nine.timestamp, "2024-01-15T09:00:00Z");
    let eight = thresholds.evaluate(at(2, 8), 0.0);
    assert_eq!((eight.lower_threshold, eight.is_anomaly), (0.0, false));
    let mut tighter = DynamicThresholds::of(Samples::new(&times, &[1.0, 30.0, 3.0, 50.0]), &Zone::UTC);
    assert_eq!(tighter.evaluate(at(2, 8), 0.0).lower_threshold, -1.0, "metrics may be negative");
    (tighter.is_non_negative, tighter.sigma_multiplier) = (true, 2.5);
    assert_eq!(tighter.evaluate(at(2, 8), 0.0).lower_threshold, 0.0);
    assert_eq!(tighter.evaluate(at(2, 9), 0.0).upper_threshold, 65.0);
    assert_eq!(tighter.evaluate(at(2, 30), 5.0).method, "global_fallback");
}

/// DEF-010: zero is a limit.
#[test]
fn limits_are_limits_also_at_zero() {
    let told = |options: Options| {
        let results = results("static", &[-1.0, 0.0, 1.0], &options);
        results.iter().map(|result| result.is_anomaly).collect::<Vec<_>>()
    };
    assert_eq!(told(Options { above: Some(0.0), ..Options::default() }), [false, false, true]);
    assert_eq!(told(Options { below: Some(0.0), ..Options::default() }), [true, false, false]);
    assert_eq!(told(Options::default()), [false; 3]);
}

/// Silence, late data, a drop to zero and a flat line are four things.
#[test]
fn silence_lateness_zeros_and_flat_lines_are_told_apart() {
    let mut minutes: Vec<i64> = (0..600).filter(|i| !(300..340).contains(i)).collect();
    // Two samples of the fourth hundred come late, after that of minute 450.
    let late: Vec<i64> = minutes.extract_if(.., |i| [420, 421].contains(i)).collect();
    let after = minutes.iter().position(|i| *i == 450).unwrap() + 1;
    late.iter().rev().for_each(|minute| minutes.insert(after, *minute));
    let value = |i: i64| match i {
        500..=502 => 0.0,
        540..=580 => 47.0,
        i => 50.0 + 3.0 * gauss(i),
    };
    let times: Vec<i64> = minutes.iter().map(|i| MONDAY_MS + i * MINUTE_MS).collect();
    let values: Vec<f64> = minutes.iter().map(|i| value(*i)).collect();
    let told = |name: &str| {
        let mut detector = find(name).unwrap().causal(&Options::default()).unwrap();
        let results = judge(detector.as_mut(), Samples::new(&times, &values));
        (0..times.len()).filter(|at| results[*at].is_anomaly).map(|at| minutes[at]).collect::<Vec<_>>()
    };
    assert_eq!(told("silence"), [340]);
    assert_eq!(told("late"), [420, 421]);
    assert_eq!(told("drop_to_zero"), [500, 501, 502]);
    assert_eq!(told("flat_line"), (550..=580).collect::<Vec<_>>());
}

#[test]
fn changes_of_level_are_found_where_they_are() {
    let values: Vec<f64> = (0..3000).map(|i| if i < 1000 { 10.0 } else if i < 2200 { 17.0 } else { 11.0 } + gauss(i)).collect();
    let cuts = flags("change_point", &values);
    assert!(cuts.len() == 2 && cuts[0].abs_diff(1000) <= 2 && cuts[1].abs_diff(2200) <= 2, "{cuts:?}");
    let told = flags("cusum", &values);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!((1000..1015).contains(&told[0]) && (2200..2215).contains(&told[1]), "{told:?}");
    let long: Vec<f64> = (0..9000).map(|i| if i < 5003 { 0.0 } else { 6.0 } + gauss(i)).collect();
    let cuts = flags("change_point", &long);
    assert!(cuts.len() == 1 && cuts[0].abs_diff(5003) <= 2, "{cuts:?}");
    // A day's wave is no change, nor is noise with a memory.
    let wave: Vec<f64> =
        (0..4320).map(|i| 50.0 + 20.0 * (std::f64::consts::TAU * i as f64 / 1440.0).sin() + gauss(i)).collect();
    assert_eq!(flags("change_point", &wave), [0; 0]);
}

/// DEF-004: of normal data at most a hundredth is flagged, and what stands apart is.
#[test]
fn an_isolation_forest_flags_what_stands_apart_and_at_most_a_hundredth() {
    let mut values: Vec<f64> = (0..2000).map(|i| 100.0 + 10.0 * gauss(i)).collect();
    assert!(flags("isolation_forest", &values).len() <= 20);
    values[1234] = 400.0;
    let flagged = flags("isolation_forest", &values);
    assert!(flagged.contains(&1234) && flagged.len() <= 20, "{flagged:?}");
}
