//! What is normal for a metric: its level, its day, its noise, and the events that belong to it.
//!
//! Not here: what is not normal (see `anomaly`).

use super::random::Random;

const HOUR_MS: f64 = 3_600_000.0;
const DAY_MS: f64 = 86_400_000.0;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// Busy share of the processors in percent: a daily rhythm and a slight upward trend.
    Cpu,
    /// Memory in use in percent: a leak under a sawtooth of garbage collections.
    Memory,
    /// Mbit/s through an interface: a daily rhythm with short random bursts.
    Bandwidth,
    /// Milliseconds a request takes: log-normal, amplified in peak hours.
    Latency,
    /// Errors a minute: few, except in incidents.
    Errors,
}

impl Metric {
    /// All metrics, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Cpu, Self::Memory, Self::Bandwidth, Self::Latency, Self::Errors];

    /// The name of its file, without `.csv`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Bandwidth => "bandwidth",
            Self::Latency => "latency",
            Self::Errors => "errors",
        }
    }

    /// The metric's own name, with its unit.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu_usage_percent",
            Self::Memory => "memory_usage_percent",
            Self::Bandwidth => "bandwidth_mbps",
            Self::Latency => "request_latency_ms",
            Self::Errors => "errors_per_minute",
        }
    }

    /// The value as it is written: within what the unit allows, with two decimals, errors whole.
    pub(super) fn written(self, value: f64) -> f64 {
        match self {
            Self::Cpu | Self::Memory => (value.clamp(0.0, 100.0) * 100.0).round() / 100.0,
            Self::Bandwidth | Self::Latency => (value.max(0.0) * 100.0).round() / 100.0,
            Self::Errors => value.max(0.0).round(),
        }
    }
}

/// The normal course of one series.
#[derive(Debug)]
pub(super) struct Shape {
    metric: Metric,
    random: Random,
    /// How much more or less than others this host does.
    scale: f64,
    /// Memory: the level a collection returns to, where the next one comes, and where it is now.
    floor: f64,
    ceiling: f64,
    level: f64,
    /// Bandwidth: what a burst multiplies by and how long it lasts yet.
    burst: f64,
    burst_left_ms: f64,
}

/// Percent that memory returns to after a restart.
const MEMORY_FLOOR: f64 = 38.0;
/// Percent a day that a collection no longer frees.
const LEAK_PER_DAY: f64 = 2.5;
/// At this level the process is restarted.
const MEMORY_RESTART: f64 = 80.0;

impl Shape {
    pub(super) fn new(metric: Metric, mut random: Random, host: usize) -> Self {
        // The first host is the plain one, so that documents can tell its figures.
        let scale = if host == 0 { 1.0 } else { random.between(0.8, 1.2) };
        let (floor, ceiling) = (MEMORY_FLOOR * scale, MEMORY_FLOOR * scale + 12.0);
        Self { metric, random, scale, floor, ceiling, level: floor, burst: 1.0, burst_left_ms: 0.0 }
    }

    /// The normal value at a time, `since_ms` after the start.
    pub(super) fn next(&mut self, since_ms: i64, time_ms: i64, step_ms: i64) -> f64 {
        let days = since_ms as f64 / DAY_MS;
        match self.metric {
            Metric::Cpu => (34.0 + 16.0 * daily(time_ms, 14.0) + 0.7 * days) * self.scale + 1.8 * self.random.normal(),
            Metric::Memory => self.memory(step_ms as f64),
            Metric::Bandwidth => self.bandwidth(time_ms, step_ms as f64),
            Metric::Latency => {
                let amplified = 1.0 + 1.6 * daily(time_ms, 14.0).max(0.0).powi(2);
                42.0 * self.scale * amplified * (0.22 * self.random.normal()).exp()
            }
            Metric::Errors => self.random.poisson(1.5 * self.scale * (1.0 + 0.4 * daily(time_ms, 14.0))),
        }
    }

    fn memory(&mut self, step_ms: f64) -> f64 {
        self.floor += LEAK_PER_DAY * step_ms / DAY_MS;
        self.level += 1.6 * self.random.between(0.5, 1.5) * step_ms / HOUR_MS;
        if self.floor > MEMORY_RESTART {
            self.floor = MEMORY_FLOOR * self.scale;
        }
        if self.level > self.ceiling {
            self.level = self.floor;
            self.ceiling = self.floor + self.random.between(9.0, 14.0);
        }
        self.level + 0.15 * self.random.normal()
    }

    fn bandwidth(&mut self, time_ms: i64, step_ms: f64) -> f64 {
        self.burst_left_ms -= step_ms;
        if self.burst_left_ms <= 0.0 {
            self.burst = 1.0;
            // One burst in about three hours.
            if self.random.unit() < step_ms / (3.0 * HOUR_MS) {
                self.burst = self.random.between(1.5, 2.2);
                self.burst_left_ms = self.random.between(0.08, 0.3) * HOUR_MS;
            }
        }
        let base = 220.0 * self.scale * (1.0 + 0.55 * daily(time_ms, 20.0));
        base * self.burst * (1.0 + 0.05 * self.random.normal())
    }
}

/// The course of a day: 1 at the hour of its peak, -1 twelve hours from it; UTC.
fn daily(time_ms: i64, peak_hour: f64) -> f64 {
    let hour = time_ms.rem_euclid(DAY_MS as i64) as f64 / HOUR_MS;
    ((hour - peak_hour) / 24.0 * std::f64::consts::TAU).cos()
}
