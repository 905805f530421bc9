//! Normal data of the kinds that monitoring meets, without any anomaly: what may be raised on it is what a budget grants.
//!
//! Not here: hosts with anomalies whose truth is known (see `shape`).

use super::random::Random;
use std::f64::consts::TAU;

/// What normal data looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormalKind {
    /// Gaussian noise.
    Gauss,
    /// Noise with exponential tails.
    Laplace,
    /// Student's noise with four degrees of freedom, whose fourth moment is infinite.
    Student,
    /// Lognormal values, as latencies are.
    Lognormal,
    /// Sums of waiting times.
    Gamma,
    /// Noise that remembers a few samples.
    Memory,
    /// Noise that remembers twenty samples.
    LongMemory,
    /// Whole counts.
    Count,
    /// Counts that are nearly always zero.
    RareCount,
    /// Percentages at their limit.
    Limit,
    /// A day's rhythm.
    Day,
    /// A day's rhythm with quieter weekends.
    Week,
    /// One of two levels, for hours.
    Switch,
    /// A job of an hour each night.
    NightJob,
}

impl NormalKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Gauss,
        Self::Laplace,
        Self::Student,
        Self::Lognormal,
        Self::Gamma,
        Self::Memory,
        Self::LongMemory,
        Self::Count,
        Self::RareCount,
        Self::Limit,
        Self::Day,
        Self::Week,
        Self::Switch,
        Self::NightJob,
    ];

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gauss => "Gaussian noise",
            Self::Laplace => "Laplacian noise",
            Self::Student => "Student's noise, 4 degrees",
            Self::Lognormal => "lognormal",
            Self::Gamma => "gamma",
            Self::Memory => "memory 0.7",
            Self::LongMemory => "memory 0.95",
            Self::Count => "counts",
            Self::RareCount => "rare counts",
            Self::Limit => "percentage at its limit",
            Self::Day => "day",
            Self::Week => "week",
            Self::Switch => "switch",
            Self::NightJob => "nightly job",
        }
    }
}

/// A series of normal data, the same for the same kind, step and seed.
#[derive(Debug, Clone)]
pub struct Normal {
    kind: NormalKind,
    step_s: i64,
    memory: f64,
    random: Random,
}

impl Normal {
    /// Of a kind, with samples so many seconds apart.
    pub fn new(kind: NormalKind, step_s: i64, seed: u64) -> Self {
        Self { kind, step_s, memory: 0.0, random: Random::of(seed, &[kind as u64, step_s as u64]) }
    }

    fn waiting(&mut self) -> f64 {
        -(1.0 - self.random.unit()).ln()
    }

    /// The value at a second since 1970; seconds are asked for in order.
    pub fn next(&mut self, second: i64) -> f64 {
        let hour = second.rem_euclid(86_400) as f64 / 3600.0;
        let noise = self.random.normal();
        match self.kind {
            NormalKind::Gauss => 100.0 + 10.0 * noise,
            NormalKind::Laplace => 50.0 + self.waiting() * noise.signum(),
            NormalKind::Student => {
                let power: f64 = (0..4).map(|_| self.random.normal().powi(2)).sum();
                30.0 + noise / (power / 4.0).sqrt()
            }
            NormalKind::Lognormal => 20.0 * (0.5 * noise).exp(),
            NormalKind::Gamma => 10.0 * (self.waiting() + self.waiting()),
            NormalKind::Memory | NormalKind::LongMemory => {
                let kept = if self.kind == NormalKind::Memory { 0.7 } else { 0.95 };
                self.memory = self.memory * kept + noise;
                40.0 + self.memory
            }
            NormalKind::Count => (6.0 + 2.5 * noise).round().max(0.0),
            NormalKind::RareCount => f64::from(u8::from(self.random.unit() < 0.03)),
            NormalKind::Limit => (97.0 + 3.0 * noise).min(100.0),
            NormalKind::Day => 50.0 + 20.0 * (hour / 24.0 * TAU).sin() + 2.0 * noise,
            NormalKind::Week => {
                // 1970 began on a Thursday.
                let is_weekday = (second.div_euclid(86_400) + 3).rem_euclid(7) < 5;
                (if is_weekday { 60.0 } else { 50.0 }) + 15.0 * (hour / 24.0 * TAU).sin() + 3.0 * noise
            }
            NormalKind::Switch => {
                if self.random.unit() < (self.step_s as f64 / 7200.0).min(0.3) {
                    self.memory = 1.0 - self.memory;
                }
                10.0 + 50.0 * self.memory + noise
            }
            NormalKind::NightJob => 15.0 + 1.5 * noise + if (2.0..3.0).contains(&hour) { 50.0 } else { 0.0 },
        }
    }
}
