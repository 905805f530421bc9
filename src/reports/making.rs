//! A report on capacity while it is made: a series at a time, so that nobody waits for it.
//!
//! Not here: when it is made (see `reporter`), where it is kept (see `shelf`).
//!
//! Invariant: every series that has a limit is counted once: told, too short, unreadable, or beyond the limit of a report.

use super::capacity::{CapacityLine, Limited, limited, of_rules};
use crate::alert::Time;
use crate::forecasts::{ForecastDesk, RuleBoard};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use storage::sample::Samples;
use storage::{Store, StoreError};

/// What a report is by its name.
pub(super) const KIND: &str = "capacity_report";

/// A report without its lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Always `capacity_report`, which tells it from what else a receiver is sent.
    pub kind: String,
    /// The moment it was due, as 20261123T070000Z; no two reports have the same.
    pub id: String,
    /// The whole in one line.
    pub title: String,
    /// The moment it was due, RFC 3339.
    pub due: String,
    /// When it was done, RFC 3339.
    pub made_at: String,
    /// Seconds of one core it took.
    pub work_s: f64,
    /// Series that have a limit and of which something can be said.
    pub total: usize,
    /// Those that may reach it.
    pub may_reach: usize,
    /// Those of which each reset frees less than the one before.
    pub leaks: usize,
    /// Series that have a limit and are too short to say anything.
    pub too_short: usize,
    /// Series that have a limit and could not be read or forecast; the log says why. Not in reports of before it was counted.
    #[serde(default)]
    pub unreadable: usize,
    /// Series that a report has no room to look at.
    pub beyond_limit: usize,
}

/// A whole report.
#[derive(Debug, Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    items: &'a [CapacityLine],
}

/// A report on its way.
#[derive(Debug)]
pub(super) struct Making {
    due_ms: i64,
    queue: VecDeque<Limited>,
    beyond_limit: usize,
    top: usize,
    /// The first `top`, and some more until they are sorted.
    lines: Vec<CapacityLine>,
    total: usize,
    may_reach: usize,
    leaks: usize,
    too_short: usize,
    unreadable: usize,
    worked: Duration,
    samples: Samples,
}

impl Making {
    /// Of all series that have a limit now, at most `series_max`; the first `top` will be shown.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(super) fn begin(
        store: &Store,
        rules: &RuleBoard,
        due_ms: i64,
        (series_max, top): (usize, usize),
    ) -> Result<Self, StoreError> {
        let mut found = of_rules(store, rules)?;
        // A rule's limit counts more than the one by name.
        found.extend(limited(store, &[], None)?);
        found.sort_by(|a, b| a.0.key.cmp(&b.0.key));
        found.dedup_by(|a, b| a.0.key == b.0.key);
        let beyond_limit = found.len().saturating_sub(series_max);
        found.truncate(series_max);
        Ok(Self {
            due_ms,
            queue: found.into(),
            beyond_limit,
            top,
            lines: Vec::new(),
            total: 0,
            may_reach: 0,
            leaks: 0,
            too_short: 0,
            unreadable: 0,
            worked: Duration::ZERO,
            samples: Samples::default(),
        })
    }

    /// When it was due, in milliseconds since 1970.
    pub(super) fn due_ms(&self) -> i64 {
        self.due_ms
    }

    /// Series that wait to be looked at.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Looks at the next series; whether there was one.
    pub(super) fn look(&mut self, desk: &ForecastDesk) -> bool {
        let Some(one) = self.queue.pop_front() else { return false };
        let samples = &mut self.samples;
        let looked = catch_unwind(AssertUnwindSafe(|| CapacityLine::of(desk, &one, false, samples)));
        match looked {
            Ok(Ok(Some(line))) => self.take(line),
            Ok(Ok(None)) => self.too_short += 1,
            Ok(Err(error)) => self.leave_out(&error),
            Err(_) => self.leave_out(&"forecasting it panicked"),
        }
        true
    }

    fn take(&mut self, line: CapacityLine) {
        self.total += 1;
        self.may_reach += usize::from(line.earliest_ms().is_some());
        self.leaks += usize::from(line.is_leak());
        self.lines.push(line);
        if self.lines.len() >= 2 * self.top.max(1) {
            self.sort();
        }
    }

    fn leave_out(&mut self, why: &dyn Display) {
        tracing::warn!(%why, "a series is left out of the report on capacity");
        self.unreadable += 1;
    }

    fn sort(&mut self) {
        self.lines.sort_by(CapacityLine::may_be_first);
        self.lines.truncate(self.top);
    }

    /// Counts work that was done for it.
    pub(super) fn worked(&mut self, took: Duration) {
        self.worked += took;
    }

    /// The finished report and its document, JSON.
    pub(super) fn finish(mut self, now_ms: i64) -> (Summary, String) {
        self.sort();
        let summary = Summary {
            kind: KIND.to_owned(),
            id: id_of(self.due_ms),
            title: self.title(),
            due: text(self.due_ms),
            made_at: text(now_ms),
            work_s: self.worked.as_secs_f64(),
            total: self.total,
            may_reach: self.may_reach,
            leaks: self.leaks,
            too_short: self.too_short,
            unreadable: self.unreadable,
            beyond_limit: self.beyond_limit,
        };
        let document = Document { summary: &summary, items: &self.lines };
        let body = serde_json::to_string(&document).expect("maps have keys of text, and nothing else can fail");
        (summary, body)
    }

    fn title(&self) -> String {
        let (total, may_reach) = (self.total, self.may_reach);
        let leaks = if self.leaks > 0 { format!(", {} leak", self.leaks) } else { String::new() };
        let first = self.lines.first().and_then(|line| Some((line.subject(), line.earliest_ms()?)));
        let first = first.map_or_else(String::new, |(subject, earliest_ms)| {
            format!("; first {subject}, at the earliest on {}", text(earliest_ms).get(..10).unwrap_or(""))
        });
        let unread = if self.unreadable > 0 { format!(", {} not read", self.unreadable) } else { String::new() };
        format!("Capacity: {may_reach} of {total} series with a limit may reach it{leaks}{unread}{first}")
    }
}

/// RFC 3339 with milliseconds, as answers have times.
pub(super) fn text(time_ms: i64) -> String {
    match serde_json::to_value(Time(time_ms)) {
        Ok(serde_json::Value::String(text)) => text,
        _ => String::new(),
    }
}

/// The id of a report that was due at a time.
pub(super) fn id_of(due_ms: i64) -> String {
    let due = jiff::Timestamp::from_millisecond(due_ms);
    due.map_or_else(|_| due_ms.to_string(), |due| due.strftime("%Y%m%dT%H%M%SZ").to_string())
}

/// When a report of this id was due, in milliseconds since 1970; none of what is no id.
pub(super) fn due_of(id: &str) -> Option<i64> {
    let due = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", id).ok()?;
    let due = due.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    (id_of(due) == id).then_some(due)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_neither_told_nor_too_short() {
        let folder = tempfile::TempDir::new().unwrap();
        let opened = storage::open(storage::Settings::new(folder.path())).unwrap();
        let mut making = Making::begin(&opened.store, &RuleBoard::default(), 0, (10, 10)).unwrap();
        making.leave_out(&"the disk is gone");
        let (summary, document) = making.finish(0);
        assert_eq!((summary.total, summary.too_short, summary.unreadable), (0, 0, 1));
        assert!(summary.title.contains("1 not read"), "{}", summary.title);
        let mut older: serde_json::Value = serde_json::from_str(&document).unwrap();
        older.as_object_mut().unwrap().remove("unreadable").unwrap();
        assert_eq!(serde_json::from_value::<Summary>(older).unwrap().unreadable, 0);
    }
}
