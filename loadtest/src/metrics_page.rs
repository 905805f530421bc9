//! What our server counts about itself, read from `/metrics`, and the law these counters obey.
//!
//! Not here: what a client counts (see `sender`). A server without these counters is no error: peers have none.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::http::{Address, Client};

/// Observations, by what became of them, summed over sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub(crate) struct Accounts {
    pub(crate) received: i64,
    pub(crate) stored: i64,
    pub(crate) aggregated: i64,
    pub(crate) rejected: i64,
    pub(crate) late: i64,
    pub(crate) duplicate: i64,
    pub(crate) dropped: i64,
}

impl Accounts {
    /// Reads them; `None` from a server that does not keep them.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(crate) fn read(client: &mut Client, address: &Address) -> Result<Option<Accounts>> {
        let page = client.fetch(&address.get("/metrics", &[]))?;
        Ok(Accounts::parse(&String::from_utf8_lossy(page)))
    }

    /// Reads them from the page's text; `None` from one that does not hold them.
    pub(crate) fn parse(page: &str) -> Option<Accounts> {
        let sum = |what| sum_of(page, &format!("infrawatch_{what}_total"));
        Some(Accounts {
            received: sum("received")?,
            stored: sum("stored")?,
            aggregated: sum("aggregated").unwrap_or(0),
            rejected: sum("rejected").unwrap_or(0),
            late: sum("late").unwrap_or(0),
            duplicate: sum("duplicate").unwrap_or(0),
            dropped: sum("dropped").unwrap_or(0),
        })
    }

    /// The same for every source by itself.
    pub(crate) fn by_source(page: &str) -> BTreeMap<String, Accounts> {
        let source = |line: &str| Some(line.split_once("source=\"")?.1.split_once('"')?.0.to_owned());
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        for (source, line) in page.lines().filter_map(|line| Some((source(line)?, line))) {
            let page = lines.entry(source).or_default();
            page.push_str(line);
            page.push('\n');
        }
        lines.into_iter().filter_map(|(source, page)| Some((source, Accounts::parse(&page)?))).collect()
    }

    /// What was counted since.
    pub(crate) fn since(self, before: Accounts) -> Accounts {
        Accounts {
            received: self.received - before.received,
            stored: self.stored - before.stored,
            aggregated: self.aggregated - before.aggregated,
            rejected: self.rejected - before.rejected,
            late: self.late - before.late,
            duplicate: self.duplicate - before.duplicate,
            dropped: self.dropped - before.dropped,
        }
    }

    /// Whether every observation received is accounted for once.
    pub(crate) fn law_holds(&self) -> bool {
        let told = self.stored + self.aggregated + self.rejected + self.late + self.duplicate + self.dropped;
        self.received == told
    }
}

/// Sum over all series of a metric in the text exposition format; `None` when it has none.
pub(crate) fn sum_of(page: &str, name: &str) -> Option<i64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let value = match rest.strip_prefix('{') {
            Some(labels) => labels.rsplit_once("} ")?.1,
            None => rest.strip_prefix(' ')?,
        };
        value.split(' ').next()?.parse::<f64>().ok()
    };
    let values: Vec<f64> = page.lines().filter_map(value).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# TYPE infrawatch_received_total counter\n\
        infrawatch_received_total{source=\"remote_write\"} 100\n\
        infrawatch_received_total{source=\"a} 5\"} 20 1700000000000\n\
        infrawatch_stored_total{source=\"remote_write\"} 1.1e2\n\
        infrawatch_stored_total_bytes 7\n\
        infrawatch_late_total{source=\"remote_write\"} 4\n\
        infrawatch_rejected_total{source=\"remote_write\",reason=\"conflict\"} 5\n\
        infrawatch_rejected_total{source=\"remote_write\",reason=\"nan\"} 1\n\
        infrawatch_duplicate_total 0\n";

    #[test]
    fn counters_are_summed_over_their_labels() {
        let accounts = Accounts::parse(PAGE).unwrap();
        let expected = Accounts { received: 120, stored: 110, rejected: 6, late: 4, ..Accounts::default() };
        assert_eq!(accounts, expected);
    }

    #[test]
    fn every_source_has_accounts_of_its_own() {
        let accounts = Accounts::by_source(PAGE);
        assert_eq!(accounts.len(), 1, "a source of which nothing was stored is none: {accounts:?}");
        let expected = Accounts { received: 100, stored: 110, rejected: 6, late: 4, ..Accounts::default() };
        assert_eq!(accounts["remote_write"], expected);
    }

    #[test]
    fn the_law_holds_when_every_observation_has_one_fate() {
        let whole = Accounts { received: 21, stored: 1, aggregated: 2, rejected: 3, late: 4, duplicate: 5, dropped: 6 };
        assert!(whole.law_holds());
        assert!(!Accounts { received: 22, ..whole }.law_holds());
        assert!(whole.since(Accounts { received: 1, stored: 1, ..Accounts::default() }).law_holds());
    }

    #[test]
    fn a_server_without_these_counters_has_no_accounts() {
        assert_eq!(Accounts::parse("prometheus_build_info 1\n"), None);
    }
}
