//! Kinds of values that only the settings of the ensemble have.
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
