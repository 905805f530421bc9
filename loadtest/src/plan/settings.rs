//! What a plan's file may say. Every stream is optional; one at least has to be there.
//!
//! Not here: loads of remote write alone (see `scenario`).
//!
//! Invariant: a checked plan has no zero among its counts and rates.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::scenario::Scenario;

/// The plans that need no file.
const BUILT_IN: [(&str, &str); 1] = [("mixed", include_str!("../../scenarios/mixed.toml"))];

/// Streams that run at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// How long all of them run.
    pub(crate) seconds: f64,
    /// Same seed, same values.
    #[serde(default = "one")]
    pub(crate) seed: u64,
    /// Samples by remote write, stamped with the time of the run.
    pub(crate) remote_write: Option<RemoteWrite>,
    /// Counters by UDP.
    pub(crate) statsd: Option<Statsd>,
    /// Samples as JSON.
    pub(crate) json_push: Option<JsonPush>,
    /// Instant and range queries, lists of labels and series, in turn.
    pub(crate) queries: Option<Reads>,
    /// The newest anomalies.
    pub(crate) anomalies: Option<Reads>,
}

/// All series send a sample each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemoteWrite {
    pub(crate) series: usize,
    pub(crate) step_ms: i64,
    pub(crate) per_request: usize,
    pub(crate) connections: usize,
}

/// Series send a counter in turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statsd {
    pub(crate) series: usize,
    /// Metrics a second.
    pub(crate) rate: f64,
    pub(crate) per_packet: usize,
}

/// Every request carries one sample of each series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct JsonPush {
    pub(crate) series: usize,
    /// Requests a second.
    pub(crate) rate: f64,
}

/// Requests that only read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reads {
    /// Requests a second.
    pub(crate) rate: f64,
    pub(crate) connections: usize,
}

fn one() -> u64 {
    1
}

impl Plan {
    /// The built-in plan of that name, else the plan in the file of that name.
    ///
    /// # Errors
    /// When there is neither, or the text is not a plan that can be run.
    pub(crate) fn load(name_or_file: &str) -> Result<Plan> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_file) {
            return Plan::parse(text).with_context(|| format!("built-in plan {name}"));
        }
        let names = BUILT_IN.map(|(name, _)| name).join(", ");
        let text = std::fs::read_to_string(Path::new(name_or_file))
            .with_context(|| format!("no plan {name_or_file}: neither built in ({names}) nor a readable file"))?;
        Plan::parse(&text).with_context(|| format!("plan file {name_or_file}"))
    }

    fn parse(text: &str) -> Result<Plan> {
        toml::from_str::<Plan>(text)?.checked()
    }

    /// Itself, when it can be run.
    ///
    /// # Errors
    /// Names the setting that cannot be.
    pub(crate) fn checked(self) -> Result<Plan> {
        let positive = |what: &str, rate: f64| {
            ensure!(rate.is_finite() && rate > 0.0, "{what} must be above 0");
            Ok(())
        };
        positive("seconds", self.seconds)?;
        ensure!(self.seconds <= 86_400.0, "seconds must be a day at most");
        if let Some(write) = &self.remote_write {
            self.scenario(write).checked().context("remote_write")?;
        }
        if let Some(statsd) = &self.statsd {
            positive("statsd.rate", statsd.rate)?;
            ensure!(statsd.series > 0, "statsd.series must be at least 1");
            ensure!((1..=30).contains(&statsd.per_packet), "statsd.per_packet must be between 1 and 30");
        }
        if let Some(push) = &self.json_push {
            positive("json_push.rate", push.rate)?;
            ensure!(push.rate <= 1000.0, "json_push.rate must be 1000 at most: time stamps are milliseconds");
            ensure!(push.series > 0, "json_push.series must be at least 1");
        }
        for (what, reads) in [("queries", &self.queries), ("anomalies", &self.anomalies)] {
            let Some(reads) = reads else { continue };
            positive(&format!("{what}.rate"), reads.rate)?;
            ensure!((1..=1024).contains(&reads.connections), "{what}.connections must be between 1 and 1024");
        }
        let sends = self.remote_write.is_some() || self.statsd.is_some() || self.json_push.is_some();
        ensure!(
            sends || self.queries.is_some() || self.anomalies.is_some(),
            "a plan needs at least one of remote_write, statsd, json_push, queries and anomalies"
        );
        Ok(self)
    }

    /// The remote write load of this plan: as many samples of each series as there are steps in its time.
    pub(crate) fn scenario(&self, write: &RemoteWrite) -> Scenario {
        let steps = self.seconds * 1e3 / write.step_ms.max(1) as f64;
        Scenario {
            series: write.series,
            samples: (steps.ceil() as usize).max(1),
            per_request: write.per_request,
            connections: write.connections,
            rate: Some(write.series as f64 * 1e3 / write.step_ms.max(1) as f64),
            seed: self.seed,
            step_ms: write.step_ms,
            ..Scenario::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_plan_has_every_stream() {
        let plan = Plan::load("mixed").unwrap();
        assert!(plan.remote_write.is_some() && plan.statsd.is_some() && plan.json_push.is_some());
        assert!(plan.queries.is_some() && plan.anomalies.is_some());
    }

    #[test]
    fn a_remote_write_stream_lasts_as_long_as_the_plan() {
        let write = "remote_write = { series = 300, step_ms = 500, per_request = 100, connections = 2 }";
        let plan = Plan::parse(&format!("seconds = 10\n{write}")).unwrap();
        let scenario = plan.scenario(plan.remote_write.as_ref().unwrap());
        assert_eq!((scenario.samples, scenario.rate), (20, Some(600.0)));
    }

    #[test]
    fn what_cannot_be_run_is_refused_with_its_name() {
        for (text, named) in [
            ("seconds = 10", "at least one"),
            ("seconds = 0\nqueries = { rate = 1, connections = 1 }", "seconds"),
            ("seconds = 1\nqueries = { rate = 0, connections = 1 }", "queries.rate"),
            ("seconds = 1\nanomalies = { rate = 1, connections = 0 }", "anomalies.connections"),
            ("seconds = 1\nstatsd = { series = 0, rate = 1, per_packet = 1 }", "statsd.series"),
            ("seconds = 1\nstatsd = { series = 1, rate = 1, per_packet = 99 }", "statsd.per_packet"),
            ("seconds = 1\njson_push = { series = 1, rate = 5000 }", "json_push.rate"),
            (
                "seconds = 1\nremote_write = { series = 1, step_ms = 0, per_request = 1, connections = 1 }",
                "remote_write",
            ),
            ("seconds = 1\nquerys = { rate = 1, connections = 1 }", "querys"),
        ] {
            let error = format!("{:#}", Plan::parse(text).unwrap_err());
            assert!(error.contains(named), "{text}: {error}");
        }
        let error = Plan::load("no such plan").unwrap_err().to_string();
        assert!(error.contains("mixed"), "{error}");
    }
}
