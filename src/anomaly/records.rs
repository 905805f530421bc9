//! The anomalies in memory: found by id, by time, by name and by severity; at most so many.
//!
//! They lie in pieces of time ([`Piece`]), which readers and the one writer share: a change copies what it touches and
//! nothing else, however many readers hold what was before.
//!
//! Cost sketch, of a million records: a filter by name, severity, state or time passes over pieces by their counts and
//! looks at 4 bytes a record where it has to; only what is shown, and what `also` is asked of, is read itself.
//!
//! Not here: durability (see `log`), the thread that changes them (see `book`).
//!
//! Invariants: every record stands in one piece and among the ids, or in none; there are never more than the maximum; the
//! ones that began earliest leave first.

use super::piece::{PIECE_MAX, Piece, Place, name_hash};
use super::record::{AnomalyId, AnomalyRecord};
use super::tolerance::Tolerance;
use crate::analysis::Severity;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use storage::series::{self, NAME_LABEL};

const DAY_MS: i64 = 86_400_000;
/// Parts of the ids, of which a change copies one.
const ID_PARTS: usize = 1024;

/// The records, as readers see them.
#[derive(Debug, Clone)]
pub struct Records {
    /// By the least place that each may hold; what lies before that of the next is its own.
    pieces: BTreeMap<Place, Arc<Piece>>,
    starts: Vec<Arc<HashMap<AnomalyId, i64>>>,
    len: usize,
}

impl Default for Records {
    fn default() -> Self {
        Self { pieces: BTreeMap::new(), starts: vec![Arc::default(); ID_PARTS], len: 0 }
    }
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
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn place(&self, id: AnomalyId) -> Option<Place> {
        Some((*self.starts[part(id)].get(&id)?, id))
    }

    /// The record of an id.
    pub fn get(&self, id: AnomalyId) -> Option<&Arc<AnomalyRecord>> {
        let place = self.place(id)?;
        self.piece_of(&place)?.1.get(&place)
    }

    /// The piece that a place belongs to, with its key.
    fn piece_of(&self, place: &Place) -> Option<(Place, &Arc<Piece>)> {
        self.pieces.range(..=place).next_back().map(|(key, piece)| (*key, piece))
    }

    /// Every record, earliest first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<AnomalyRecord>> {
        self.pieces.values().flat_map(|piece| piece.records())
    }

    /// Pieces that may hold something of a filter's times, the latest first.
    fn pieces_of(&self, filter: &Filter<'_>) -> impl Iterator<Item = &Arc<Piece>> {
        let (first, last) = ((filter.began_ms.0, AnomalyId::MIN), (filter.began_ms.1, AnomalyId::MAX));
        let before = self.pieces.range(..=last).rev().map(|(_, piece)| piece);
        before.take_while(move |piece| piece.last().is_some_and(|place| place >= first))
    }

    /// Records that a filter and `also` admit, newest first.
    pub fn select<'a>(
        &'a self,
        filter: &'a Filter<'_>,
        also: impl Fn(&AnomalyRecord) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Arc<AnomalyRecord>> {
        let (pieces, hash) = (self.pieces_of(filter), filter.name.map(name_hash));
        pieces.flat_map(move |piece| piece.select(filter, hash)).filter(move |record| also(record))
    }

    /// So many records that a filter admits, newest first, after passing over so many.
    pub fn page<'a>(&'a self, filter: &'a Filter<'_>, skip: usize, limit: usize) -> Vec<&'a Arc<AnomalyRecord>> {
        let (mut page, mut skip, hash) = (Vec::new(), skip, filter.name.map(name_hash));
        for piece in self.pieces_of(filter) {
            if skip > 0 {
                let admitted = piece.count(filter, hash);
                if admitted <= skip {
                    skip -= admitted;
                    continue;
                }
            }
            page.extend(piece.select(filter, hash).skip(skip).take(limit - page.len()));
            skip = 0;
            if page.len() == limit {
                break;
            }
        }
        page
    }

    /// How many records a filter admits.
    pub fn count(&self, filter: &Filter<'_>) -> usize {
        let hash = filter.name.map(name_hash);
        self.pieces_of(filter).map(|piece| piece.count(filter, hash)).sum()
    }

    /// Counts of all records, seen from `now_ms`.
    pub fn stats(&self, now_ms: i64) -> Stats {
        let mut stats = Stats { total: self.len() as u64, ..Stats::default() };
        let mut names: HashMap<&str, u64> = HashMap::new();
        for piece in self.pieces.values() {
            piece.names().for_each(|(name, count)| *names.entry(name).or_default() += count);
            for (severity, count) in piece.severities() {
                *stats.by_severity.entry(severity).or_default() += count;
            }
            for start_ms in piece.starts() {
                *stats.by_day.entry(start_ms.div_euclid(DAY_MS)).or_default() += 1;
            }
        }
        let since = |age_ms: i64| Filter { began_ms: (now_ms.saturating_sub(age_ms), i64::MAX), ..Filter::default() };
        stats.last_24h = self.count(&since(DAY_MS)) as u64;
        stats.last_7d = self.count(&since(7 * DAY_MS)) as u64;
        stats.by_metric = names.into_iter().map(|(name, count)| (name.to_owned(), count)).collect();
        stats.by_metric.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        stats
    }

    /// What is tolerated of a series by what people have said of its anomalies.
    pub fn tolerance(&self, key: &[u8]) -> Tolerance {
        let name = series::label(key, NAME_LABEL).unwrap_or("");
        let filter = Filter { name: Some(name), ..Filter::default() };
        let of_series: Vec<_> =
            self.select(&filter, |record| *record.key == *key && record.feedback.is_some()).collect();
        Tolerance::of(of_series.iter().map(|record| &***record))
    }

    /// Puts a record in the place of the one with its id.
    pub(super) fn put(&mut self, record: Arc<AnomalyRecord>) {
        let (id, place) = (record.id, (record.start_ms, record.id));
        if self.place(id).is_some_and(|known| known != place) {
            self.remove(id);
        }
        Arc::make_mut(&mut self.starts[part(id)]).insert(id, place.0);
        let key = match self.piece_of(&place) {
            Some((key, _)) => key,
            // It comes before all others: the first piece takes it, and begins with it from now on.
            None => {
                let first = self.pieces.pop_first().map(|(_, piece)| piece);
                self.pieces.insert(place, first.unwrap_or_default());
                place
            }
        };
        let piece = Arc::make_mut(self.pieces.entry(key).or_default());
        self.len += usize::from(piece.put(record));
        if piece.len() > PIECE_MAX
            && let Some((later, half)) = piece.split()
        {
            self.pieces.insert(later, Arc::new(half));
        }
    }

    pub(super) fn remove(&mut self, id: AnomalyId) -> Option<Arc<AnomalyRecord>> {
        let place = (Arc::make_mut(&mut self.starts[part(id)]).remove(&id)?, id);
        let (key, _) = self.piece_of(&place)?;
        let piece = Arc::make_mut(self.pieces.get_mut(&key)?);
        let record = piece.remove(&place)?;
        if piece.len() == 0 {
            self.pieces.remove(&key);
        }
        self.len -= 1;
        Some(record)
    }

    /// Lets the earliest go until there are at most `records_max`; how many went.
    pub(super) fn evict(&mut self, records_max: usize) -> u64 {
        let mut gone = 0;
        while self.len() > records_max {
            let Some(id) = self.all().next().map(|record| record.id) else { break };
            self.remove(id);
            gone += 1;
        }
        gone
    }

    /// Those that ended before `before_ms`.
    pub(super) fn over_before(&self, before_ms: i64) -> Vec<AnomalyId> {
        let early = self.all().take_while(|record| record.start_ms < before_ms);
        early.filter(|record| !record.is_open && record.last_ms < before_ms).map(|record| record.id).collect()
    }
}

fn part(id: AnomalyId) -> usize {
    id.bits() as usize % ID_PARTS
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
        assert_eq!(records.evict(0), 2);
        assert!(records.is_empty() && records.starts.iter().all(|ids| ids.is_empty()) && records.pieces.is_empty());
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

    /// Whatever is put and removed in whatever order, the answers are those of a plain list.
    #[test]
    fn many_records_in_many_pieces_are_found_as_in_a_list() {
        let (mut records, mut list) = (Records::default(), Vec::<Arc<AnomalyRecord>>::new());
        let mut state = 7u64;
        let mut random = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let held = records.clone();
        for round in 0..6000u64 {
            if random(5) == 0 && !list.is_empty() {
                let gone = list.swap_remove(random(list.len() as u64) as usize);
                assert_eq!(records.remove(gone.id).map(|record| record.id), Some(gone.id));
                continue;
            }
            let (name, host) = (["cpu", "mem", "disk"][random(3) as usize], format!("h{}", random(40)));
            let mut one = record(name, &host, random(100_000) as i64 * 60_000, 0.6 + random(40) as f64 / 100.0);
            one.is_open = random(4) == 0;
            list.retain(|known| known.id != one.id);
            let one = Arc::new(one);
            list.push(one.clone());
            records.put(one);
            assert_eq!(records.len(), list.len(), "round {round}");
        }
        assert!(held.is_empty(), "who held what was before sees what was before");
        list.sort_by_key(|record| std::cmp::Reverse((record.start_ms, record.id)));
        let grave = [Severity::Critical, Severity::High];
        for name in [None, Some("cpu"), Some("none")] {
            for severities in [None, Some(&grave[..])] {
                for is_open in [None, Some(true)] {
                    for began_ms in [(i64::MIN, i64::MAX), (20_000 * 60_000, 70_000 * 60_000), (5, 4)] {
                        let filter = Filter { name, severities, is_open, began_ms };
                        let is_in = |record: &&Arc<AnomalyRecord>| {
                            name.is_none_or(|name| name == record.name())
                                && severities.is_none_or(|any| any.contains(&record.peak.severity))
                                && is_open.is_none_or(|is_open| is_open == record.is_open)
                                && (began_ms.0..=began_ms.1).contains(&record.start_ms)
                        };
                        let expected: Vec<AnomalyId> = list.iter().filter(is_in).map(|record| record.id).collect();
                        let found: Vec<AnomalyId> = records.select(&filter, |_| true).map(|record| record.id).collect();
                        assert_eq!(found, expected, "{filter:?}");
                        assert_eq!(records.count(&filter), expected.len(), "{filter:?}");
                        for (skip, limit) in [(0, 10), (700, 3), (5000, 5)] {
                            let page: Vec<AnomalyId> =
                                records.page(&filter, skip, limit).into_iter().map(|record| record.id).collect();
                            let wanted: Vec<AnomalyId> = expected.iter().skip(skip).take(limit).copied().collect();
                            assert_eq!(page, wanted, "{skip} {filter:?}");
                        }
                    }
                }
            }
        }
        let stats = records.stats(100_000 * 60_000);
        assert_eq!(stats.by_metric.iter().map(|(_, count)| count).sum::<u64>(), list.len() as u64);
        assert_eq!(stats.by_severity.values().sum::<u64>(), list.len() as u64);
        assert_eq!(records.evict(10), list.len() as u64 - 10);
        assert_eq!(
            records.all().map(|record| record.id).collect::<Vec<_>>(),
            list[..10].iter().rev().map(|r| r.id).collect::<Vec<_>>()
        );
    }
}
