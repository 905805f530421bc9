//! Some hundred anomalies that began one after the other, with what filters ask of them side by side.
//!
//! Not here: which pieces there are (see `records`).
//!
//! Invariants: records stand in order of time; the brief of each stands at the same position; the counts are those of the
//! briefs.

use super::record::{AnomalyId, AnomalyRecord};
use super::records::Filter;
use crate::analysis::Severity;
use std::sync::Arc;
use storage::series;

/// Records of a piece, beyond which it is split. A change costs the more the more there are, a search the fewer.
pub(super) const PIECE_MAX: usize = 512;

/// A record's place in time.
pub(super) type Place = (i64, AnomalyId);

/// The severities in the order of their counts.
const SEVERITIES: [Severity; 5] = [Severity::None, Severity::Low, Severity::Medium, Severity::High, Severity::Critical];

/// What filters ask of a record.
#[derive(Debug, Clone, Copy)]
struct Brief {
    /// Which of the piece's names.
    name: u16,
    severity: Severity,
    is_open: bool,
}

/// The records of a span of time.
#[derive(Debug, Clone, Default)]
pub(super) struct Piece {
    records: Vec<Arc<AnomalyRecord>>,
    /// When each began.
    times: Vec<i64>,
    briefs: Vec<Brief>,
    /// Names and how many records have each; those that none has any more may be left.
    names: Vec<(Box<str>, u32)>,
    /// The names' hashes, so that one that is not here costs no look at any name.
    hashes: Vec<u64>,
    severities: [u32; SEVERITIES.len()],
    open: u32,
}

/// The hash by which names are looked for.
pub(super) fn name_hash(name: &str) -> u64 {
    series::hash(name.as_bytes())
}

fn place_of(record: &AnomalyRecord) -> Place {
    (record.start_ms, record.id)
}

impl Piece {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    pub(super) fn records(&self) -> impl DoubleEndedIterator<Item = &Arc<AnomalyRecord>> {
        self.records.iter()
    }

    /// The place of the latest record.
    pub(super) fn last(&self) -> Option<Place> {
        self.records.last().map(|record| place_of(record))
    }

    fn search(&self, place: &Place) -> Result<usize, usize> {
        self.records.binary_search_by(|record| place_of(record).cmp(place))
    }

    pub(super) fn get(&self, place: &Place) -> Option<&Arc<AnomalyRecord>> {
        self.search(place).ok().map(|at| &self.records[at])
    }

    /// When the records began, in milliseconds since 1970 UTC.
    pub(super) fn starts(&self) -> impl Iterator<Item = i64> {
        self.times.iter().copied()
    }

    /// Names and how many records have each.
    pub(super) fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.names.iter().filter(|(_, count)| *count > 0).map(|(name, count)| (&**name, u64::from(*count)))
    }

    /// Severities and how many records have each.
    pub(super) fn severities(&self) -> impl Iterator<Item = (Severity, u64)> {
        let counted = SEVERITIES.into_iter().zip(self.severities);
        counted.filter(|(_, count)| *count > 0).map(|(severity, count)| (severity, u64::from(count)))
    }

    /// Puts a record at its place; whether there was none.
    pub(super) fn put(&mut self, record: Arc<AnomalyRecord>) -> bool {
        let at = self.search(&place_of(&record));
        let brief = self.brief(&record);
        self.count_in(brief);
        match at {
            Ok(at) => {
                let before = std::mem::replace(&mut self.briefs[at], brief);
                self.count_out(before);
                self.records[at] = record;
                false
            }
            Err(at) => {
                self.times.insert(at, record.start_ms);
                self.briefs.insert(at, brief);
                self.records.insert(at, record);
                true
            }
        }
    }

    pub(super) fn remove(&mut self, place: &Place) -> Option<Arc<AnomalyRecord>> {
        let at = self.search(place).ok()?;
        let brief = self.briefs.remove(at);
        self.count_out(brief);
        self.times.remove(at);
        Some(self.records.remove(at))
    }

    /// Gives away its later half, with the place from which that holds.
    pub(super) fn split(&mut self) -> Option<(Place, Self)> {
        let later = self.records.split_off(self.records.len() / 2);
        let first = place_of(later.first()?);
        let (mut earlier, mut half) = (Self::default(), Self::default());
        for record in std::mem::take(&mut self.records) {
            earlier.put(record);
        }
        for record in later {
            half.put(record);
        }
        *self = earlier;
        Some((first, half))
    }

    fn brief(&mut self, record: &AnomalyRecord) -> Brief {
        let hash = name_hash(record.name());
        let name = match self.number_of(record.name(), hash) {
            Some(at) => at,
            None => {
                let unused = self.names.iter().position(|(_, count)| *count == 0);
                let at = unused.unwrap_or(self.names.len());
                if at == self.names.len() {
                    self.names.push(Default::default());
                    self.hashes.push(0);
                }
                (self.names[at], self.hashes[at]) = ((record.name().into(), 0), hash);
                at
            }
        };
        Brief { name: name as u16, severity: record.peak.severity, is_open: record.is_open }
    }

    fn count_in(&mut self, brief: Brief) {
        self.names[usize::from(brief.name)].1 += 1;
        self.severities[brief.severity as usize] += 1;
        self.open += u32::from(brief.is_open);
    }

    fn count_out(&mut self, brief: Brief) {
        self.names[usize::from(brief.name)].1 -= 1;
        self.severities[brief.severity as usize] -= 1;
        self.open -= u32::from(brief.is_open);
    }

    /// Which of its names this is.
    fn number_of(&self, name: &str, hash: u64) -> Option<usize> {
        // More than one name of a hash hardly ever stands here, and is told apart by the names themselves.
        let alike = self.hashes.iter().enumerate().filter(|(_, known)| **known == hash);
        alike.map(|(at, _)| at).find(|at| *self.names[*at].0 == *name)
    }

    /// Which of its records began within the filter's times.
    fn within(&self, filter: &Filter<'_>) -> std::ops::Range<usize> {
        let (from_ms, to_ms) = filter.began_ms;
        if self.times.first().is_some_and(|first| *first >= from_ms)
            && self.times.last().is_some_and(|last| *last <= to_ms)
        {
            return 0..self.times.len();
        }
        let start = self.times.partition_point(|start_ms| *start_ms < from_ms);
        let end = self.times.partition_point(|start_ms| *start_ms <= to_ms);
        start..end.max(start)
    }

    /// The number of the name a filter asks for, if it asks for one; nothing if no record here can be admitted.
    fn name_of(&self, filter: &Filter<'_>, hash: Option<u64>) -> Option<Option<u16>> {
        let has = |severity: &Severity| self.severities[*severity as usize] > 0;
        let open = self.open as usize;
        let is_state_here = filter.is_open.is_none_or(|is_open| if is_open { open > 0 } else { open < self.len() });
        if !is_state_here || filter.severities.is_some_and(|any| !any.iter().any(has)) {
            return None;
        }
        let Some((wanted, hash)) = filter.name.zip(hash) else { return Some(None) };
        let at = self.number_of(wanted, hash).filter(|at| self.names[*at].1 > 0)?;
        Some(Some(at as u16))
    }

    /// Records that a filter admits, the latest first; `hash` is that of the filter's name.
    pub(super) fn select<'a>(
        &'a self,
        filter: &'a Filter<'_>,
        hash: Option<u64>,
    ) -> impl Iterator<Item = &'a Arc<AnomalyRecord>> {
        let named = self.name_of(filter, hash);
        let within = if named.is_some() { self.within(filter) } else { 0..0 };
        let name = named.flatten();
        within.rev().filter(move |at| admits(self.briefs[*at], name, filter)).map(|at| &self.records[at])
    }

    /// How many records a filter admits.
    pub(super) fn count(&self, filter: &Filter<'_>, hash: Option<u64>) -> usize {
        let Some(name) = self.name_of(filter, hash) else { return 0 };
        let within = self.within(filter);
        let is_whole = within.len() == self.len();
        match (name, filter.severities, filter.is_open) {
            (None, None, None) => within.len(),
            (Some(name), None, None) if is_whole => self.names[usize::from(name)].1 as usize,
            (None, Some(any), None) if is_whole => {
                let wanted = SEVERITIES.iter().filter(|severity| any.contains(severity));
                wanted.map(|severity| self.severities[*severity as usize] as usize).sum()
            }
            (None, None, Some(true)) if is_whole => self.open as usize,
            (name, ..) => self.briefs[within].iter().filter(|brief| admits(**brief, name, filter)).count(),
        }
    }
}

fn admits(brief: Brief, name: Option<u16>, filter: &Filter<'_>) -> bool {
    name.is_none_or(|name| name == brief.name)
        && filter.severities.is_none_or(|any| any.contains(&brief.severity))
        && filter.is_open.is_none_or(|is_open| is_open == brief.is_open)
}
