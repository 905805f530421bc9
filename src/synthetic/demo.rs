//! A week of one host's CPU with five anomalies: what `infrawatch demo` shows.
//!
//! Normal is what `generate` calls normal for CPU (a daily rhythm, a slight upward trend, noise from sample to sample),
//! plus load that wanders and keeps for an hour or so, as that of real hosts does. An anomaly lasts one sample and stands
//! out by at least [`LEAST`] percent of busy time, some seven deviations of the noise: a spike by 25 to 50, a dip by
//! seven to nine tenths of what would have been normal.
//!
//! Not here: finding them.
//!
//! Invariant: everything follows from the seed, and the detector's settings from nothing in here.

use super::AnomalyKind;
use super::random::Random;
use super::shape::{Metric, Shape};

/// Samples in the week.
pub const POINTS: usize = 500;
/// Days it lasts.
pub const DAYS: i64 = 7;
/// Anomalies in it.
pub const ANOMALIES: usize = 5;

/// 2026-01-05, a Monday, 00:00 UTC.
const START_MS: i64 = 1_767_571_200_000;
const LENGTH_MS: i64 = DAYS * 86_400_000;

/// Least deviation of an anomaly, in percent of busy time.
const LEAST: f64 = 20.0;
/// Least number of samples, some six hours, between two anomalies and from either end.
const APART: usize = 18;
/// Wandering load: its deviation in percent, and what of it is left after one sample of 20 minutes.
const WANDERING: f64 = 2.0;
const KEPT: f64 = 0.7;
/// Attempts to find a place for one; places are tried evenly and most will do.
const ATTEMPTS: usize = 10_000;

/// A week of samples and what is wrong in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Week {
    /// Milliseconds since 1970, evenly spaced.
    pub times_ms: Vec<i64>,
    /// Busy share of the processors in percent, with two decimals.
    pub values: Vec<f64>,
    /// What is not normal, in order of time.
    pub anomalies: Vec<Injected>,
}

/// A sample that is not normal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Injected {
    /// Which sample.
    pub index: usize,
    /// A spike or a drop.
    pub kind: AnomalyKind,
}

impl Week {
    /// The week of a seed.
    pub fn new(seed: u64) -> Self {
        let times_ms: Vec<i64> = (0..POINTS as i64).map(|at| START_MS + at * LENGTH_MS / POINTS as i64).collect();
        let normal = normal(seed, &times_ms);
        let places = places(seed, &normal);
        let mut values: Vec<f64> = normal.iter().map(|value| Metric::Cpu.written(*value)).collect();
        let mut anomalies = Vec::with_capacity(ANOMALIES);
        for (index, kind, value) in places {
            values[index] = Metric::Cpu.written(value);
            anomalies.push(Injected { index, kind });
        }
        anomalies.sort_by_key(|anomaly| anomaly.index);
        Self { times_ms, values, anomalies }
    }
}

fn normal(seed: u64, times_ms: &[i64]) -> Vec<f64> {
    let mut shape = Shape::new(Metric::Cpu, Random::of(seed, &[3, 0]), 0);
    let mut random = Random::of(seed, &[3, 1]);
    let mut wandering = WANDERING * random.normal();
    let step_ms = LENGTH_MS / POINTS as i64;
    times_ms
        .iter()
        .map(|time_ms| {
            wandering = KEPT * wandering + (1.0 - KEPT * KEPT).sqrt() * WANDERING * random.normal();
            shape.next(time_ms - START_MS, *time_ms, step_ms) + wandering
        })
        .collect()
}

/// Where anomalies are, which, and their values: two spikes, two dips, and one of either.
fn places(seed: u64, normal: &[f64]) -> Vec<(usize, AnomalyKind, f64)> {
    let mut random = Random::of(seed, &[3, 2]);
    let fifth = if random.unit() < 0.5 { AnomalyKind::Spike } else { AnomalyKind::Drop };
    let kinds = [AnomalyKind::Spike, AnomalyKind::Drop, AnomalyKind::Spike, AnomalyKind::Drop, fifth];
    let mut placed: Vec<(usize, AnomalyKind, f64)> = Vec::with_capacity(ANOMALIES);
    for kind in kinds {
        for _ in 0..ATTEMPTS {
            let at = APART + random.below(POINTS - 2 * APART);
            let value = match kind {
                AnomalyKind::Spike => normal[at] + random.between(25.0, 50.0),
                _ => normal[at] * random.between(0.1, 0.3),
            };
            let value = value.clamp(0.0, 100.0);
            let is_near = placed.iter().any(|(other, ..)| at.abs_diff(*other) < APART);
            if !is_near && (value - normal[at]).abs() >= LEAST {
                placed.push((at, kind, value));
                break;
            }
        }
    }
    placed
}
