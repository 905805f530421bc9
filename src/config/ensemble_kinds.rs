//! Kinds of values that only the settings of detection have.
//!
//! Not here: what they do (see `analysis`).

use super::kinds::Words;

/// How the detectors' votes become one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Voting {
    /// More than half of the families of detectors that judge.
    Majority,
    /// Every detector that judges.
    Unanimous,
    /// The weighted mean of the detectors' own scores.
    Weighted,
    /// One detector is enough.
    Any,
    /// Two that agree, or a weighted mean that is high enough.
    Seed003,
}

impl Words for Voting {
    const ALL: &'static [(&'static str, Self)] = &[
        ("majority", Self::Majority),
        ("unanimous", Self::Unanimous),
        ("weighted", Self::Weighted),
        ("any", Self::Any),
        ("seed003", Self::Seed003),
    ];
}

/// How values are compared with those a model was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DriftTest {
    /// The population stability index.
    Psi,
    /// The distance of Kolmogorov and Smirnov.
    Ks,
    /// Not at all.
    Off,
}

impl Words for DriftTest {
    const ALL: &'static [(&'static str, Self)] = &[("psi", Self::Psi), ("ks", Self::Ks), ("off", Self::Off)];
}

/// By what the values of chosen series are made comparable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scaling {
    /// What the series of the same name span.
    PerMetricFamily,
    /// Nothing but their own magnitude.
    Off,
}

impl Words for Scaling {
    const ALL: &'static [(&'static str, Self)] = &[("per_metric_family", Self::PerMetricFamily), ("off", Self::Off)];
}

/// Who judges windows where a model cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fallback {
    /// The statistics of the windows before.
    StatisticalBaseline,
    /// Nobody.
    Off,
}

impl Words for Fallback {
    const ALL: &'static [(&'static str, Self)] =
        &[("statistical_baseline", Self::StatisticalBaseline), ("off", Self::Off)];
}
