//! What is said of a series' seasons: which is believed, how strong it is, and how far learning has come.
//!
//! Not here: finding and learning them (see `baseline`, `rhythm`).

use serde::{Deserialize, Serialize};

/// The season believed, and the slot a time lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Season {
    /// Every day alike: quarter hours since midnight.
    Day(u16),
    /// Every week alike: half hours since Monday 00:00.
    Week(u16),
    /// Another period, of so many seconds.
    Rhythm {
        /// Forty-eighths of it.
        slot: u8,
        /// Its length.
        period_s: u32,
    },
}

/// How far a series' model has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Less than a day was seen: what looks unusual may be another time of day.
    Warming,
    /// A day was seen, and daily seasons are being learned.
    Daily,
    /// A week was seen, and weekly seasons are being learned.
    Weekly,
    /// Every season could have been found.
    Ready,
}

impl Stage {
    /// The word for it: warming, daily, weekly or ready.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warming => "warming",
            Self::Daily => "daily",
            Self::Weekly => "weekly",
            Self::Ready => "ready",
        }
    }
}

/// A season that is believed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundSeason {
    /// Length of its period in seconds.
    pub period_s: u32,
    /// Share of the error without a season that it takes away, 0..=1.
    pub strength: f64,
}
