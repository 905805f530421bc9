//! The list of detectors by name: what each looks at, what it is set to unless told otherwise, and how it is made.
//!
//! Not here: judging.
//!
//! Invariant: a name that is not in the list gives an error that names the nearest one that is.

use super::{
    Causal, ChangePoint, Cusum, Detector, DropToZero, DynamicThresholds, EmaDetector, FlatLine, Gesd, GroupDetector,
    Iqr, IsolationForestDetector, Late, Mad, PatternDetector, PeerDbscan, PeerMad, RollingZScore, SeasonalDetector,
    Silence, SlowDrift, StaticRules, StlResidual, StreamingZScore, ZScore,
};
#[cfg(feature = "ml")]
use super::{DenseAutoencoder, LstmAutoencoder};
use crate::analysis::Zone;
use crate::nearest::edits;

/// What may be set about detectors; each uses what concerns it and has a default of its own for what is `None`.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// The limit of a detector's own measure; its default stands in the list.
    pub threshold: Option<f64>,
    /// Samples a rolling detector looks back on.
    pub window: Option<usize>,
    /// Greatest value that static rules allow.
    pub above: Option<f64>,
    /// Least value that static rules allow.
    pub below: Option<f64>,
    /// The zone of days and hours; UTC unless set.
    pub zone: Zone,
    /// Slots of the seasonal detector: an hour of the day unless set.
    pub period: super::PeriodType,
    /// Season of the STL detector in milliseconds; found in the values unless set.
    pub season_ms: Option<i64>,
    /// A deviation of less than this never matters, in the value's unit.
    pub deviation_min: f64,
    /// The same as a share of the greatest magnitude of the series.
    pub deviation_share_min: f64,
    /// Whether the values are known never to be negative, so that no lower limit is.
    pub is_non_negative: bool,
}

impl Default for Options {
    /// Every detector as its documents have it; the smallest deviations are those of the ensemble.
    fn default() -> Self {
        Self {
            threshold: None,
            window: None,
            above: None,
            below: None,
            zone: Zone::UTC,
            period: super::PeriodType::default(),
            season_ms: None,
            deviation_min: 1e-9,
            deviation_share_min: 1e-4,
            is_non_negative: false,
        }
    }
}

type Make = fn(&Options) -> Box<dyn Detector>;
type MakeGroup = fn(&Options) -> Box<dyn GroupDetector>;

/// A detector by its name.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What it is asked for by.
    pub name: &'static str,
    /// Another word for it, or nothing.
    pub alias: &'static str,
    /// What it does, with its defaults, in one line.
    pub says: &'static str,
    whole: Option<Make>,
    causal: Option<Make>,
    group: Option<MakeGroup>,
}

impl Entry {
    /// A detector that sees whole series, or one that is causal where there is no other.
    ///
    /// # Errors
    /// When it compares series.
    pub fn of_whole_series(&self, options: &Options) -> Result<Box<dyn Detector>, NotPossible> {
        let make = self.whole.or(self.causal).ok_or(NotPossible::Group(self.name))?;
        Ok(make(options))
    }

    /// A detector that judges each sample by those before it.
    ///
    /// # Errors
    /// When it looks at whole series only, or compares series.
    pub fn causal(&self, options: &Options) -> Result<Box<dyn Detector>, NotPossible> {
        match self.causal {
            Some(make) => Ok(make(options)),
            None if self.group.is_some() => Err(NotPossible::Group(self.name)),
            None => Err(NotPossible::Causal(self.name)),
        }
    }

    /// A detector that compares the series of a group; `None` of one that looks at each by itself.
    pub fn of_group(&self, options: &Options) -> Option<Box<dyn GroupDetector>> {
        self.group.map(|make| make(options))
    }

    /// Whether it compares series.
    pub fn is_of_group(&self) -> bool {
        self.group.is_some()
    }

    /// Whether it can judge each sample by those before it.
    pub fn is_causal(&self) -> bool {
        self.causal.is_some()
    }
}

const fn whole(name: &'static str, says: &'static str, make: Make) -> Entry {
    Entry { name, alias: "", says, whole: Some(make), causal: None, group: None }
}

const fn causal(name: &'static str, says: &'static str, make: Make) -> Entry {
    Entry { name, alias: "", says, whole: None, causal: Some(make), group: None }
}

const fn group(name: &'static str, says: &'static str, make: MakeGroup) -> Entry {
    Entry { name, alias: "", says, whole: None, causal: None, group: Some(make) }
}

const fn known_as(alias: &'static str, entry: Entry) -> Entry {
    Entry { alias, ..entry }
}

/// Every detector that has a name.
pub const ALL: &[Entry] = &[
    Entry {
        name: "zscore",
        alias: "z_score",
        says: "standard deviations from the mean of all values; streaming: of the last 100 (threshold 3)",
        whole: Some(|options| Box::new(ZScore::new(options))),
        causal: Some(|options| Box::new(Causal(StreamingZScore::new(options)))),
        group: None,
    },
    known_as(
        "rolling_z_score",
        causal("rolling_zscore", "standard deviations from the mean of the last 60 values (threshold 3)", |options| {
            Box::new(Causal(RollingZScore::new(options)))
        }),
    ),
    causal(
        "ema",
        "mean deviations from an exponential mean (alpha 0.1, threshold 3, from the 10th value)",
        |options| Box::new(Causal(EmaDetector::new(options))),
    ),
    whole("iqr", "interquartile ranges beyond the quartiles (threshold 1.5)", |options| Box::new(Iqr::new(options))),
    whole("mad", "modified z-score: median absolute deviations from the median (threshold 3.5)", |options| {
        Box::new(Mad::new(options))
    }),
    whole(
        "gesd",
        "generalised extreme Studentised deviate test (alpha 0.05, at most a tenth of the values)",
        |options| Box::new(Gesd::new(options)),
    ),
    known_as(
        "stl_residual",
        whole("stl", "modified z-score of what trend and season leave, by STL (threshold 3.5)", |options| {
            Box::new(StlResidual::new(options))
        }),
    ),
    causal(
        "seasonal",
        "standard deviations from the mean of the same hour, day or hour of week (threshold 3)",
        |options| Box::new(Causal(SeasonalDetector::new(options))),
    ),
    known_as(
        "dynamic_thresholds",
        whole("dynamic_threshold", "limits of each hour of the week: mean and 3 standard deviations", |options| {
            Box::new(DynamicThresholds::new(options))
        }),
    ),
    known_as(
        "static_rules",
        causal("static", "limits that are given (--above, --below)", |options| {
            Box::new(Causal(StaticRules::new(options)))
        }),
    ),
    known_as(
        "pelt",
        whole("change_point", "changes of level by PELT, found in the whole series (threshold 3)", |options| {
            Box::new(ChangePoint::new(options))
        }),
    ),
    known_as(
        "level_shift",
        causal("cusum", "lasting shifts of the level, by cumulated sums (slack 0.75, threshold 12)", |options| {
            Box::new(Causal(Cusum::new(options)))
        }),
    ),
    causal("drift", "days whose means go one way, each by about as much as the last (threshold 25)", |options| {
        Box::new(Causal(SlowDrift::new(options)))
    }),
    causal("silence", "the first sample after a silence of so many usual steps (threshold 10)", |options| {
        Box::new(Causal(Silence::new(options)))
    }),
    causal("flat_line", "a value that stays the same longer than chance and custom explain (threshold 6)", |options| {
        Box::new(Causal(FlatLine::new(options)))
    }),
    causal("drop_to_zero", "zeros in a series that hardly ever has them (at most 1 % of its samples)", |options| {
        Box::new(Causal(DropToZero::new(options)))
    }),
    causal(
        "pattern",
        "how much of what a sample and those before it spell was never seen (threshold 0.6)",
        |options| Box::new(Causal(PatternDetector::new(options))),
    ),
    causal("late", "samples that come after later ones, by so many usual steps (threshold 1)", |options| {
        Box::new(Causal(Late::new(options)))
    }),
    group("dbscan", "series of a group that stand apart for an hour, by density (tolerance 3)", |options| {
        Box::new(PeerDbscan::new(options))
    }),
    group(
        "peer_mad",
        "series of a group of which a fifth of an hour's points are far from all (tolerance 3)",
        |options| Box::new(PeerMad::new(options)),
    ),
    whole("isolation_forest", "how few random cuts isolate a sample's features (a hundredth at most)", |options| {
        Box::new(IsolationForestDetector::new(options))
    }),
    #[cfg(feature = "ml")]
    causal(
        "autoencoder",
        "windows of 60 that a dense network reconstructs worse than 99 % of what it was trained on (percentile 99)",
        |options| Box::new(Causal(DenseAutoencoder::new(options))),
    ),
    #[cfg(feature = "ml")]
    known_as(
        "lstm",
        whole("lstm_autoencoder", "the same by a network of LSTM layers (percentile 99)", |options| {
            Box::new(LstmAutoencoder::new(options))
        }),
    ),
];

/// No detector has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Unknown detector type: {name}; did you mean {nearest}?")]
pub struct UnknownDetector {
    /// What was asked for.
    pub name: String,
    /// The known name that is most like it.
    pub nearest: &'static str,
}

/// A detector cannot be used as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotPossible {
    /// It looks at whole series.
    #[error("{0} looks at whole series and cannot judge them as they come")]
    Causal(&'static str),
    /// It compares series.
    #[error("{0} compares the series of a group, not the samples of one series")]
    Group(&'static str),
}

/// The detector of this name or alias.
///
/// # Errors
/// When there is none.
pub fn find(name: &str) -> Result<&'static Entry, UnknownDetector> {
    let is_named = |entry: &&Entry| entry.name == name || (!entry.alias.is_empty() && entry.alias == name);
    ALL.iter().find(is_named).ok_or_else(|| UnknownDetector { name: name.to_owned(), nearest: nearest(name) })
}

/// The known name, or `ensemble`, that takes the fewest edits.
fn nearest(name: &str) -> &'static str {
    let names = ALL.iter().flat_map(|entry| [entry.name, entry.alias]).chain(["ensemble"]);
    names.filter(|known| !known.is_empty()).min_by_key(|known| edits(known, name)).unwrap_or("ensemble")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_known_one() {
        let error = find("gsed").unwrap_err();
        assert_eq!(error.to_string(), "Unknown detector type: gsed; did you mean gesd?");
        assert_eq!(find("z_scor").unwrap_err().nearest, "z_score");
        assert_eq!(find("ensembel").unwrap_err().nearest, "ensemble");
    }

    #[test]
    fn names_and_aliases_are_found_and_stand_once() {
        let mut names: Vec<_> = ALL.iter().flat_map(|entry| [entry.name, entry.alias]).collect();
        names.retain(|name| !name.is_empty());
        assert!(names.iter().all(|name| find(name).is_ok()));
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for name in ["zscore", "ema", "seasonal", "isolation_forest"] {
            assert!(find(name).is_ok(), "DET-016: {name}");
        }
    }

    #[test]
    fn what_looks_at_whole_series_or_groups_says_so() {
        let options = Options::default();
        assert!(matches!(find("gesd").unwrap().causal(&options), Err(NotPossible::Causal("gesd"))));
        assert!(matches!(find("dbscan").unwrap().causal(&options), Err(NotPossible::Group("dbscan"))));
        assert!(matches!(find("dbscan").unwrap().of_whole_series(&options), Err(NotPossible::Group("dbscan"))));
        assert!(find("ema").unwrap().of_whole_series(&options).is_ok());
    }
}
