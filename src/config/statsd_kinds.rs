//! Kinds of values that only StatsD's settings have.
//!
//! Not here: what they do (see `ingest::statsd_table` and `shard`).

use super::kinds::{Kind, Words, expected};
use std::path::PathBuf;

/// Whose rules decide where Etsy's statsd and DogStatsD read the same line differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// A sign makes a gauge's value a change of its level.
    Etsy,
    /// A sign is the sign of the level.
    DogStatsD,
}

impl Words for Dialect {
    const ALL: &'static [(&'static str, Self)] = &[("etsy", Self::Etsy), ("dogstatsd", Self::DogStatsD)];
}

/// What becomes of the container a line comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Containers {
    /// Nothing.
    Ignore,
    /// A label of the series.
    Label,
}

impl Words for Containers {
    const ALL: &'static [(&'static str, Self)] = &[("ignore", Self::Ignore), ("label", Self::Label)];
}

/// A file, or nothing.
pub(super) struct OptionalFile;

impl Kind for OptionalFile {
    type Value = Option<PathBuf>;

    fn noun() -> String {
        "file".to_owned()
    }

    fn form() -> String {
        "a file, or nothing".to_owned()
    }

    fn parse(text: &str) -> Result<Option<PathBuf>, String> {
        Ok((!text.is_empty()).then(|| PathBuf::from(text)))
    }

    fn text(value: &Option<PathBuf>) -> String {
        value.as_deref().map_or_else(String::new, |path| path.display().to_string())
    }
}

/// Shares of a whole, each above 0 and at most 1, separated by commas; or nothing.
pub(super) struct Shares;

impl Kind for Shares {
    type Value = Vec<f64>;

    fn noun() -> String {
        "numbers".to_owned()
    }

    fn form() -> String {
        "numbers above 0 and at most 1, separated by commas, or nothing".to_owned()
    }

    fn parse(text: &str) -> Result<Vec<f64>, String> {
        let share = |text: &str| {
            let share = text.trim().parse::<f64>().ok().filter(|share| *share > 0.0 && *share <= 1.0);
            share.ok_or_else(expected::<Self>)
        };
        if text.trim().is_empty() { Ok(Vec::new()) } else { text.split(',').map(share).collect() }
    }

    fn text(value: &Vec<f64>) -> String {
        value.iter().map(f64::to_string).collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_written_alike() {
        assert_eq!(Shares::parse("0.5, 0.99,1"), Ok(vec![0.5, 0.99, 1.0]));
        assert_eq!(Shares::text(&vec![0.5, 0.99, 1.0]), "0.5,0.99,1");
        assert_eq!(Shares::parse(""), Ok(Vec::new()));
        for text in ["0", "50", "-0.5", "a", "0.5,,0.9", "NaN"] {
            assert!(Shares::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_may_be_none() {
        assert_eq!(OptionalFile::parse(""), Ok(None));
        assert_eq!(OptionalFile::text(&Some(PathBuf::from("/run/a.socket"))), "/run/a.socket");
    }
}
