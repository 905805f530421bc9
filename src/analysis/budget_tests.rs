//! The promise of the budget: normal data of many kinds, pooled, raises no more than twice the anomalies it grants.
//!
//! Not here: anomalous data (see `model_tests`). The kinds are those that monitoring meets: noise with light and heavy
//! tails, noise with memory, counts, percentages at their limit, days, weeks, switches, sawteeth and batch jobs.

use super::{Kind, SeriesModel, Settings};

const MONTH_S: i64 = 30 * 86_400;
/// A Wednesday, 00:00 UTC.
const START_S: i64 = 1_704_240_000;

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((x ^ (x >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn gauss(&mut self) -> f64 {
        (-2.0 * (1.0 - self.even()).ln()).sqrt() * (std::f64::consts::TAU * self.even()).cos()
    }

    fn waiting(&mut self) -> f64 {
        -(1.0 - self.even()).ln()
    }
}

const KINDS: [&str; 14] = [
    "gauss",
    "laplace",
    "student 4",
    "lognormal",
    "gamma",
    "memory 0.7",
    "memory 0.95",
    "count",
    "rare count",
    "limit",
    "day",
    "week",
    "switch",
    "night job",
];

/// The next normal value of a kind; `state` is its memory.
fn normal(kind: &str, second: i64, step_s: i64, state: &mut f64, chance: &mut Chance) -> f64 {
    let hour = (second % 86_400) as f64 / 3600.0;
    let noise = chance.gauss();
    match kind {
        "gauss" => 100.0 + 10.0 * noise,
        "laplace" => 50.0 + chance.waiting() * noise.signum(),
        "student 4" => 30.0 + noise / ((0..4).map(|_| chance.gauss().powi(2)).sum::<f64>() / 4.0).sqrt(),
        "lognormal" => 20.0 * (0.5 * noise).exp(),
        "gamma" => 10.0 * (chance.waiting() + chance.waiting()),
        "memory 0.7" | "memory 0.95" => {
            *state = *state * if kind == "memory 0.7" { 0.7 } else { 0.95 } + noise;
            40.0 + *state
        }
        "count" => (6.0 + 2.5 * noise).round().max(0.0),
        "rare count" => f64::from(u8::from(chance.even() < 0.03)),
        "limit" => (97.0 + 3.0 * noise).min(100.0),
        "day" => 50.0 + 20.0 * (hour / 24.0 * std::f64::consts::TAU).sin() + 2.0 * noise,
        "week" => {
            let is_weekday = (second / 86_400 + 3) % 7 < 5;
            (if is_weekday { 60.0 } else { 50.0 }) + 15.0 * (hour / 24.0 * std::f64::consts::TAU).sin() + 3.0 * noise
        }
        "switch" => {
            if chance.even() < (step_s as f64 / 7200.0).min(0.3) {
                *state = 1.0 - *state;
            }
            10.0 + 50.0 * *state + noise
        }
        _ => 15.0 + 1.5 * noise + if (2.0..3.0).contains(&hour) { 50.0 } else { 0.0 },
    }
}

/// Anomalies in so many months of one series: runs of flagged samples.
fn anomalies(kind: &str, step_s: i64, months: i64, seed: u64) -> u32 {
    let mut chance = Chance(seed);
    let mut model = SeriesModel::new(Some(Kind::Gauge), Settings::default());
    let (mut state, mut runs, mut since) = (0.0, 0, u32::MAX);
    for i in 0..months * MONTH_S / step_s {
        let second = START_S + i * step_s;
        let value = normal(kind, second, step_s, &mut state, &mut chance);
        since = since.saturating_add(1);
        if model.observe(second * 1000, value).is_anomaly {
            runs += u32::from(since > 5);
            since = 0;
        }
    }
    runs
}

/// Anomalies a series and month, all kinds pooled.
fn pooled(step_s: i64, months: i64, series: u64) -> f64 {
    let total: u32 = KINDS
        .iter()
        .enumerate()
        .flat_map(|(at, kind)| (0..series).map(move |n| anomalies(kind, step_s, months, n << 8 | at as u64)))
        .sum();
    f64::from(total) / (months * series as i64 * KINDS.len() as i64) as f64
}

#[test]
fn a_thousand_months_of_hourly_samples_keep_to_twice_the_budget() {
    let rate = pooled(3600, 2, 36);
    assert!(rate > 0.05 && rate <= 2.0, "{rate} anomalies a series and month");
}

#[test]
fn samples_every_five_minutes_keep_to_twice_the_budget() {
    let rate = pooled(300, 1, 4);
    assert!(rate > 0.02 && rate <= 2.0, "{rate} anomalies a series and month");
}
