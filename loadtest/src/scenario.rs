//! A scenario says which load to make: how many series and samples, in which order, how fast.
//!
//! Scenarios come from the files in `scenarios/` (built in, by name), from a file of the user's, or from the defaults;
//! flags override single settings. Not here: the series themselves (see `fleet`) and the requests (see `payload`).
//!
//! Invariant: a checked scenario has no zero among its counts.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::fleet::SERIES_PER_HOST;

/// The scenarios that need no file.
const BUILT_IN: [(&str, &str); 4] = [
    ("steady", include_str!("../scenarios/steady.toml")),
    ("wide", include_str!("../scenarios/wide.toml")),
    ("churn", include_str!("../scenarios/churn.toml")),
    ("small", include_str!("../scenarios/small.toml")),
];

/// In which order samples are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Order {
    /// As scraping does: all series at one time stamp, then all at the next.
    Time,
    /// As a backfill does: the whole history of some series, then of the next ones.
    Series,
}

/// One load.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scenario {
    /// Series in all.
    pub(crate) series: usize,
    /// Samples of each series.
    pub(crate) samples: usize,
    /// Series that exist at one time; the next ones replace them after their last sample. Absent: all at once.
    pub(crate) live_series: Option<usize>,
    /// Samples in one request, at most.
    pub(crate) per_request: usize,
    /// Connections sending in parallel.
    pub(crate) connections: usize,
    /// Samples per second over all connections; absent: flat out.
    pub(crate) rate: Option<f64>,
    /// Same seed, same bytes.
    pub(crate) seed: u64,
    /// Order of the samples.
    pub(crate) order: Order,
    /// Milliseconds between the samples of a series.
    pub(crate) step_ms: i64,
    /// Series of one host, 100 at most.
    pub(crate) series_per_host: usize,
    /// Whether NaN, infinities and signed zeros are strewn among the values.
    pub(crate) specials: bool,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            series: 10_000,
            samples: 600,
            live_series: None,
            per_request: 2000,
            connections: 4,
            rate: None,
            seed: 1,
            order: Order::Time,
            step_ms: 15_000,
            series_per_host: SERIES_PER_HOST,
            specials: false,
        }
    }
}

impl Scenario {
    /// The built-in scenario of that name, else the scenario in the file of that name.
    ///
    /// # Errors
    /// When there is neither, or the text is not a scenario.
    pub(crate) fn load(name_or_file: &str) -> Result<Scenario> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Scenario::parse(text).with_context(|| format!("built-in scenario {name}"));
        }
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        let text = std::fs::read_to_string(Path::new(name_or_file))
            .with_context(|| format!("no scenario {name_or_file}: neither built in ({names}) nor a readable file"))?;
        Scenario::parse(&text).with_context(|| format!("scenario file {name_or_file}"))
    }

    fn parse(text: &str) -> Result<Scenario> {
        toml::from_str::<Scenario>(text)?.checked()
    }

    /// Itself, when it can be sent.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub(crate) fn checked(self) -> Result<Scenario> {
        ensure!(self.series > 0, "series must be at least 1");
        ensure!(self.samples > 0, "samples must be at least 1");
        ensure!(self.live_series != Some(0), "live_series must be at least 1");
        ensure!(self.per_request > 0, "per_request must be at least 1");
        ensure!((1..=1024).contains(&self.connections), "connections must be between 1 and 1024");
        ensure!(self.rate.is_none_or(|rate| rate.is_finite() && rate > 0.0), "rate must be above 0 samples a second");
        ensure!(self.step_ms > 0, "step_ms must be at least 1");
        ensure!((1..=SERIES_PER_HOST).contains(&self.series_per_host), "series_per_host must be between 1 and 100");
        ensure!(self.series.checked_mul(self.samples).is_some(), "series times samples is out of range");
        Ok(self)
    }

    /// Series alive at one time.
    pub(crate) fn live(&self) -> usize {
        self.live_series.unwrap_or(self.series).min(self.series)
    }

    /// Steps of time from the first sample of the first series to the last sample of the last.
    pub(crate) fn total_steps(&self) -> usize {
        self.series.div_ceil(self.live()) * self.samples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_parses_and_has_its_size() {
        let sizes: Vec<_> = BUILT_IN
            .iter()
            .map(|(name, _)| Scenario::load(name).unwrap())
            .map(|scenario| (scenario.series, scenario.samples))
            .collect();
        assert_eq!(sizes, [(10_000, 600), (100_000, 60), (500_000, 4), (300, 40)]);
    }

    #[test]
    fn a_setting_that_a_file_leaves_out_has_its_default() {
        let scenario = Scenario::parse("series = 7").unwrap();
        assert_eq!(scenario, Scenario { series: 7, ..Scenario::default() });
    }

    #[test]
    fn an_unknown_setting_is_an_error_that_names_it() {
        let error = Scenario::parse("serie = 7").unwrap_err();
        assert!(format!("{error:#}").contains("serie"), "{error:#}");
    }

    #[test]
    fn a_scenario_that_cannot_be_sent_is_refused() {
        for text in [
            "series = 0",
            "samples = 0",
            "live_series = 0",
            "per_request = 0",
            "connections = 0",
            "connections = 2000",
            "rate = 0.0",
            "rate = nan",
            "step_ms = 0",
            "series_per_host = 0",
            "series_per_host = 101",
            "order = \"random\"",
        ] {
            assert!(Scenario::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_neither_built_in_nor_a_file_lists_the_built_in_ones() {
        let error = Scenario::load("no such scenario").unwrap_err();
        assert!(format!("{error:#}").contains("steady, wide, churn, small"), "{error:#}");
    }

    #[test]
    fn generations_of_live_series_follow_each_other_in_time() {
        let scenario = Scenario::parse("series = 25\nsamples = 4\nlive_series = 10").unwrap();
        assert_eq!((scenario.live(), scenario.total_steps()), (10, 12));
    }
}
