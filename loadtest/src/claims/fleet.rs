//! 300 hosts with 20 metrics each, a sample of each a second: everything is taken, and every series is listed.
//!
//! Not here: how fast the server could go (see `write`).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::{Bench, Claim, Outcome, fetch_json};
use crate::http::{Address, Client};
use crate::meter::unix_ms;
use crate::metrics_page::Accounts;
use crate::payload::{Payload, WRITE_PATH};
use crate::report::{figures, grouped};
use crate::scenario::Scenario;
use crate::sender::{Load, OnBreak, Requests, send};

const HOSTS: usize = 300;
const SERIES_PER_HOST: usize = 20;
/// Five minutes.
const SECONDS: f64 = 300.0;
/// Items of one page of a list: the most that the API gives.
const PAGE: usize = 1000;

/// The load of this claim, for so many seconds.
pub(super) fn scenario(seconds: f64) -> Scenario {
    Scenario {
        series: HOSTS * SERIES_PER_HOST,
        series_per_host: SERIES_PER_HOST,
        samples: (seconds.ceil() as usize).max(1),
        step_ms: 1000,
        rate: Some((HOSTS * SERIES_PER_HOST) as f64),
        ..Scenario::default()
    }
}

pub(super) fn measure(bench: &Bench) -> Result<Vec<Claim>> {
    let scenario = scenario(bench.seconds_or(SECONDS));
    let payload = Payload::starting_at(&scenario, unix_ms(), 0);
    let requests = Requests::build(&payload, WRITE_PATH)?;
    let running = bench.start()?;
    let address = running.server.address();
    let outcome = send(&Load {
        address,
        payload: &payload,
        requests: &requests,
        connections: scenario.connections,
        rate: scenario.rate,
        on_break: OnBreak::Retry,
    })?;
    let mut client = Client::new(address);
    let accounts = Accounts::read(&mut client, address)?.context("the server keeps no accounts")?;
    let listed = listed_series(&mut client, address)?;
    let sent = payload.total_samples() as i64;
    let series: BTreeSet<String> = (0..scenario.series).map(|series| key(payload.fleet.labels(series))).collect();
    let found = series.intersection(&listed).count();
    let kept = accounts.law_holds() && accounts.stored == sent && outcome.acknowledged_samples(&payload) as i64 == sent;
    let rate = figures(sent as f64 / outcome.elapsed_s);
    Ok(vec![
        Claim {
            row: "PROD-001",
            claim: format!("{HOSTS} hosts x {SERIES_PER_HOST} metrics at 1 s, for {} s", scenario.samples),
            target: "0 dropped".to_owned(),
            measured: format!(
                "{} of {} stored, {} dropped, {rate} samples/s, request p99 {} ms",
                grouped(accounts.stored),
                grouped(sent),
                grouped(accounts.dropped),
                figures(outcome.latencies.percentiles().p99_ms),
            ),
            outcome: Outcome::of(kept),
        },
        Claim {
            row: "PROD-001",
            claim: "every series is listed by GET /api/v1/metrics".to_owned(),
            target: grouped(series.len() as i64),
            measured: format!("{} found, {} listed", grouped(found as i64), grouped(listed.len() as i64)),
            outcome: Outcome::of(found == series.len() && listed.len() == series.len()),
        },
    ])
}

/// All series that the API lists, page by page.
fn listed_series(client: &mut Client, address: &Address) -> Result<BTreeSet<String>> {
    let mut listed = BTreeSet::new();
    let mut skip = 0;
    loop {
        let parameters = [("skip", skip.to_string()), ("limit", PAGE.to_string())];
        let parameters = parameters.each_ref().map(|(name, value)| (*name, value.as_str()));
        let page = fetch_json(client, address, "/api/v1/metrics", &parameters)?;
        let items = page["items"].as_array().context("a list of metrics has no items")?;
        for item in items {
            let labels = item["labels"].as_object().context("a series has no labels")?;
            let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()));
            let name = item["name"].as_str().context("a series has no name")?;
            listed.insert(key(labels.chain([("__name__", name)])));
        }
        skip += items.len();
        if items.is_empty() || skip as u64 >= page["total"].as_u64().context("a list of metrics has no total")? {
            return Ok(listed);
        }
    }
}

/// A label set as text, whatever the order of the labels.
fn key(labels: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<str>)>) -> String {
    let owned =
        |(name, value): (_, _)| (AsRef::<str>::as_ref(&name).to_owned(), AsRef::<str>::as_ref(&value).to_owned());
    let sorted: BTreeMap<String, String> = labels.into_iter().map(owned).collect();
    sorted.iter().map(|(name, value)| format!("{name}={value:?},")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_labels_does_not_matter_and_their_values_do() {
        assert_eq!(key([("b", "1"), ("a", "2")]), key([("a", "2"), ("b", "1")]));
        assert_ne!(key([("a", "1,b=")]), key([("a", "1"), ("b", "")]));
    }

    #[test]
    fn the_load_has_three_hundred_hosts_and_six_thousand_samples_a_second() {
        let payload = Payload::starting_at(&scenario(2.0), 0, 0);
        let hosts: BTreeSet<_> = (0..payload.series).map(|series| payload.fleet.instance(series)).collect();
        assert_eq!((hosts.len(), payload.total_samples(), scenario(2.0).rate), (300, 12_000, Some(6000.0)));
    }
}
