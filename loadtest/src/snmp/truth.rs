//! What was stored of simulated devices, sample by sample, beside what is true.
//!
//! Not here: how the server answers queries.
//!
//! Invariant: a stored rate is counted once: equal, or wrong; one that no counter can have is wrong.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

use super::simulator::Known;
use crate::http::{Address, Client};

/// Rates are quotients of whole numbers: the two divisions may differ in the last digits.
const TOLERANCE: f64 = 1e-9;
/// Wrong samples that are shown.
const EXAMPLES_MAX: usize = 5;

/// What the comparison found, of all devices with one fault.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Found {
    pub(crate) devices: usize,
    pub(crate) equal: u64,
    pub(crate) wrong: u64,
    /// The longest time between two neighbouring samples of a series, in intervals.
    pub(crate) longest_gap: f64,
    pub(crate) examples: Vec<String>,
}

/// Compares every rate and utilisation stored of a device.
///
/// # Errors
/// When the server does not answer.
pub(super) fn compare(
    client: &mut Client,
    address: &Address,
    known: &Known,
    interval_s: f64,
    found: &mut BTreeMap<String, Found>,
) -> Result<()> {
    let name = &known.device.name;
    let query =
        format!("{{device=\"{name}\",__name__=~\".+:rate|interface_(in|out)_utilization_ratio\",interface!=\"\"}}[1d]");
    let body = client.fetch(&address.get("/api/v1/query", &[("query", &query)]))?;
    let answer: Value = serde_json::from_slice(body).context("an answer in JSON")?;
    let found = found.entry(format!("{:?}", known.part.fault)).or_default();
    found.devices += 1;
    for series in answer["data"]["result"].as_array().context("a list of series")? {
        let label = |name: &str| series["metric"][name].as_str().unwrap_or_default();
        let truth = known.device.true_rate(label("interface"), label("__name__"));
        let mut before_s = f64::NAN;
        for point in series["values"].as_array().context("a list of samples")? {
            let at_s = point[0].as_f64().context("a time")?;
            let value: f64 = point[1].as_str().and_then(|text| text.parse().ok()).context("a value")?;
            let gap = (at_s - before_s) / interval_s;
            found.longest_gap = if gap > found.longest_gap { gap } else { found.longest_gap };
            before_s = at_s;
            let is_equal = truth.is_some_and(|truth| (value - truth).abs() <= TOLERANCE * truth.abs().max(1e-3));
            if is_equal {
                found.equal += 1;
                continue;
            }
            found.wrong += 1;
            if found.examples.len() < EXAMPLES_MAX {
                found.examples.push(format!(
                    "{name} {} {} at {at_s}: {value} instead of {truth:?}",
                    label("interface"),
                    label("__name__")
                ));
            }
        }
    }
    Ok(())
}
