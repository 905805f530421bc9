//! The anomalies in memory: found by id, by name and by time; at most so many.
//!
//! Cost sketch: a look-up by name or a range of times touches only what it finds; other filters are tried on what is
//! left, some 50 ns a record.
//!
//! Not here: durability (see `log`), the thread that changes them (see `book`).
//!
//! Invariants: every record stands in all three indexes or in none; there are never more than the maximum; the ones
//! that began earliest leave first.

use super::record::{AnomalyId, AnomalyRecord};
use crate::analysis::Severity;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

/// A record's place in time.
type Place = (i64, AnomalyId);

/// The records, as readers see them.
#[derive(Debug, Clone, Default)]
pub struct Records {
    by_time: BTreeMap<Place, Arc<AnomalyRecord>>,
    starts: HashMap<AnomalyId, i64>,
    by_name: BTreeMap<Box<str>, BTreeSet<Place>>,
}

/// Which records are asked for; what is `None` asks nothing.
#[derive(Debug, Clone, Copy)]
pub struct Filter<'a> {
    /// The metric's name.
    pub name: Option<&'a str>,
    /// Any of these severities.
    pub severities: Option<&'a [Severity]>,
    /// Whether the anomaly goes on.
    pub is_open: Option<bool>,
    /// First and last time at which it may have begun, milliseconds since 1970 UTC.
    pub began_ms: (i64, i64),
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self { name: None, severities: None, is_open: None, began_ms: (i64::MIN, i64::MAX) }
    }
}

impl Filter<'_> {
    fn admits(&self, record: &AnomalyRecord) -> bool {
        self.severities.is_none_or(|any| any.contains(&record.peak.severity))
            && self.is_open.is_none_or(|is_open| is_open == record.is_open)
    }

    fn places(&self) -> RangeInclusive<Place> {
        (self.began_ms.0, AnomalyId::MIN)..=(self.began_ms.1, AnomalyId::MAX)
    }
}

/// Counts of all records.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many there are.
    pub total: u64,
    /// By severity.
    pub by_severity: BTreeMap<Severity, u64>,
    /// By name of the metric, most first, then by name.
    pub by_metric: Vec<(String, u64)>,
    /// By days since 1970 UTC, ascending.
    pub by_day: BTreeMap<i64, u64>,
    /// Begun within 24 hours before now.
    pub last_24h: u64,
    /// Begun within 7 days before now.
    pub last_7d: u64,
}

impl Records {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_time.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_time.is_empty()
    }

    /// The record of an id.
    pub fn get(&self, id: AnomalyId) -> Option<&Arc<AnomalyRecord>> {
        self.by_time.get(&(*self.starts.get(&id)?, id))
    }

    /// Every record, earliest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<AnomalyRecord>> {
        self.by_time.values()
    }

    /// Records that a filter and `also` admit, newest first.
    pub fn select<'a>(
        &'a self,
        filter: &'a Filter<'_>,
        also: impl Fn(&AnomalyRecord) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Arc<AnomalyRecord>> {
        let (of_name, of_time) = match filter.name {
            Some(name) => (self.by_name.get(name), None),
            None => (None, Some(self.by_time.range(filter.places()).rev().map(|(_, record)| record))),
        };
        let of_name = of_name.into_iter().flat_map(|places| places.range(filter.places()).rev());
        let of_name = of_name.filter_map(|place| self.by_time.get(place));
        of_name.chain(of_time.into_iter().flatten()).filter(move |record| filter.admits(record) && also(record))
    }

    /// Counts of all records, seen from `now_ms`.
    pub fn stats(&self, now_ms: i64) -> Stats {
        let mut stats = Stats { total: self.len() as u64, ..Stats::default() };
        for record in self.all() {
            *stats.by_severity.entry(record.peak.severity).or_default() += 1;
            *stats.by_day.entry(record.start_ms.div_euclid(DAY_MS)).or_default() += 1;
            let age_ms = now_ms.saturating_sub(record.start_ms);
            stats.last_24h += u64::from(age_ms <= DAY_MS);
            stats.last_7d += u64::from(age_ms <= 7 * DAY_MS);
        }
        stats.by_metric = self.by_name.iter().map(|(name, all)| (name.to_string(), all.len() as u64)).collect();
        stats.by_metric.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        stats
    }

    /// Puts a record in the place of the one with its id.
    pub(super) fn put(&mut self, record: Arc<AnomalyRecord>) {
        self.remove(record.id);
        let place = (record.start_ms, record.id);
        self.starts.insert(record.id, record.start_ms);
        match self.by_name.get_mut(record.name()) {
            Some(places) => drop(places.insert(place)),
            None => drop(self.by_name.insert(record.name().into(), BTreeSet::from([place]))),
        }
        self.by_time.insert(place, record);
    }

    pub(super) fn remove(&mut self, id: AnomalyId) -> Option<Arc<AnomalyRecord>> {
        let place = (self.starts.remove(&id)?, id);
        let record = self.by_time.remove(&place)?;
        if let Some(places) = self.by_name.get_mut(record.name()) {
            places.remove(&place);
            if places.is_empty() {
                self.by_name.remove(record.name());
            }
        }
        Some(record)
    }

    /// Lets the earliest go until there are at most `records_max`; how many went.
    pub(super) fn evict(&mut self, records_max: usize) -> u64 {
        let mut gone = 0;
        while self.len() > records_max {
            let Some((&(_, id), _)) = self.by_time.first_key_value() else { break };
            self.remove(id);
            gone += 1;
        }
        gone
    }

    /// Those that ended before `before_ms`.
    pub(super) fn over_before(&self, before_ms: i64) -> Vec<AnomalyId> {
        let early = self.by_time.range(..(before_ms, AnomalyId::MIN));
        let over = early.filter(|(_, record)| !record.is_open && record.last_ms < before_ms);
        over.map(|(&(_, id), _)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::run;
    use super::*;

    fn record(name: &str, host: &str, start_ms: i64, score: f64) -> AnomalyRecord {
        AnomalyRecord::of_run(run(name, host, start_ms, score))
    }

    fn some() -> Records {
        let mut records = Records::default();
        for (at, (name, host, score)) in
            [("cpu", "a", 0.65), ("mem", "a", 0.95), ("cpu", "b", 0.75), ("cpu", "a", 0.95)].into_iter().enumerate()
        {
            records.put(record(name, host, at as i64 * DAY_MS, score).into());
        }
        records
    }

    fn days(records: &Records, filter: &Filter<'_>) -> Vec<i64> {
        records.select(filter, |_| true).map(|record| record.start_ms / DAY_MS).collect()
    }

    #[test]
    fn the_newest_come_first_and_filters_join() {
        let records = some();
        let all = Filter::default();
        assert_eq!(days(&records, &all), [3, 2, 1, 0]);
        assert_eq!(days(&records, &Filter { name: Some("cpu"), ..all }), [3, 2, 0]);
        assert_eq!(days(&records, &Filter { name: Some("none"), ..all }), [0; 0]);
        let grave = [Severity::Critical, Severity::Medium];
        assert_eq!(days(&records, &Filter { severities: Some(&grave), ..all }), [3, 2, 1]);
        let between = Filter { began_ms: (DAY_MS, 2 * DAY_MS), ..all };
        assert_eq!(days(&records, &between), [2, 1]);
        assert_eq!(days(&records, &Filter { name: Some("cpu"), ..between }), [2]);
        assert_eq!(days(&records, &Filter { is_open: Some(true), ..all }), [0; 0]);
        let on_b: Vec<_> = records.select(&all, |record| record.key == record_key("b")).collect();
        assert_eq!(on_b.len(), 1);
    }

    fn record_key(host: &str) -> Arc<[u8]> {
        super::super::record::tests::key("cpu", host)
    }

    #[test]
    fn a_record_replaces_the_one_with_its_id() {
        let mut records = some();
        let mut newer = record("cpu", "a", 0, 0.85);
        newer.is_open = true;
        records.put(newer.clone().into());
        assert_eq!((records.len(), records.get(newer.id).unwrap().is_open), (4, true));
        assert_eq!(days(&records, &Filter { name: Some("cpu"), ..Filter::default() }), [3, 2, 0]);
    }

    #[test]
    fn the_earliest_leave_when_there_are_too_many_and_the_old_when_they_are_over() {
        let mut records = some();
        assert_eq!((records.evict(3), days(&records, &Filter::default())), (1, vec![3, 2, 1]));
        let mut open = record("cpu", "c", 0, 0.9);
        open.is_open = true;
        records.put(open.into());
        let over = records.over_before(3 * DAY_MS);
        assert_eq!(over.into_iter().filter_map(|id| records.remove(id)).count(), 2);
        assert_eq!(days(&records, &Filter::default()), [3, 0], "one that goes on stays");
        assert_eq!(records.by_name.len(), 1);
        assert_eq!(records.evict(0), 2);
        assert!(records.is_empty() && records.starts.is_empty() && records.by_name.is_empty());
    }

    #[test]
    fn stats_count_everything_once() {
        let stats = some().stats(3 * DAY_MS);
        assert_eq!(stats.total, 4);
        let severities: Vec<_> =
            stats.by_severity.iter().map(|(severity, count)| (severity.as_str(), *count)).collect();
        assert_eq!(severities, [("low", 1), ("medium", 1), ("critical", 2)]);
        assert_eq!(stats.by_metric, [("cpu".to_owned(), 3), ("mem".to_owned(), 1)]);
        assert_eq!(stats.by_day.values().sum::<u64>(), 4);
        assert_eq!((stats.last_24h, stats.last_7d), (2, 4));
    }
}
