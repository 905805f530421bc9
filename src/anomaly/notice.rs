//! What is told of a series beside its values, as runs that are kept like all others: flat lines, drifts, silence.
//!
//! Not here: when that is told (see `analysis::watch` and `shard::silence`), keeping runs (see `book`).
//!
//! Invariant: a run begins where what it tells began, not where it was told, so that telling it again gives the same run.

use super::run::{AnomalyKind, AnomalyRun, Peak, Side, VoteRecord};
use crate::analysis::{Notice, Severity};
use std::borrow::Cow;
use std::sync::Arc;
use storage::series::{KeyBuilder, NAME_LABEL};

/// Who tells a flat line, a drift and a silence: the names of the detectors with the same ideas.
const FLAT_LINE: &str = "flat_line";
const DRIFT: &str = "drift";
const SILENCE: &str = "silence";

/// The run that a notice begins; `None` of one that ends a flat line.
pub fn run_of(notice: &Notice, key: &Arc<[u8]>, name: &str) -> Option<AnomalyRun> {
    let (start_ms, last_ms, is_open, peak) = match *notice {
        Notice::Moved { .. } => return None,
        Notice::Flat { since_ms, now_ms, value, score } => {
            let summary = format!(
                "{name} has stayed at {value} for {}, longer than it ever does by chance",
                span(now_ms.saturating_sub(since_ms))
            );
            (since_ms, now_ms, true, peak(FLAT_LINE, (now_ms, value), score, AnomalyKind::Flat, summary))
        }
        Notice::Drift { since_ms, now_ms, value, first, per_day, days, score } => {
            let way = if per_day < 0.0 { "fallen" } else { "risen" };
            let summary = format!(
                "{name} has {way} for {days} days by about {} a day: the mean of a day went from {} to {}",
                short(per_day.abs()),
                short(first),
                short(value)
            );
            let mut peak = peak(DRIFT, (now_ms, value), score, AnomalyKind::Drift, summary);
            peak.expected = first;
            peak.direction = if per_day < 0.0 { Side::Below } else { Side::Above };
            (since_ms, now_ms, false, peak)
        }
    };
    Some(AnomalyRun { key: key.clone(), start_ms, last_ms, is_open, samples: 1, peak })
}

/// A series that has stopped: its last sample, its usual step, and how far others have gone on, all in milliseconds.
pub fn silence(key: &Arc<[u8]>, name: &str, last_ms: i64, step_ms: i64, event_ms: i64) -> AnomalyRun {
    let passed_ms = event_ms.saturating_sub(last_ms);
    let summary = format!(
        "{name} has sent nothing for {}, usually it sends every {}; other series go on",
        span(passed_ms),
        span(step_ms)
    );
    let peak = peak(SILENCE, (event_ms, f64::NAN), 1.0, AnomalyKind::Silence, summary);
    let start_ms = last_ms.saturating_add(step_ms);
    AnomalyRun { key: key.clone(), start_ms, last_ms: event_ms, is_open: true, samples: 1, peak }
}

/// The end of a silence with the first sample after it; `is_late` where that fills the gap, so that nothing is missing.
pub fn end_of_silence(mut run: AnomalyRun, name: &str, back_ms: i64, is_late: bool) -> AnomalyRun {
    let passed = span(back_ms.saturating_sub(run.start_ms));
    let late = span(run.last_ms.saturating_sub(run.start_ms));
    run.peak.summary = match is_late {
        true => format!("{name} was late by {late} at least; what was sent then goes on where it had stopped"),
        false => format!("{name} sent nothing for {passed} and is back"),
    };
    (run.last_ms, run.is_open) = (run.last_ms.max(back_ms), false);
    run
}

/// The metric that a notice of all series bears, which no series has.
const ALL_SERIES: &str = "all_series";

/// Nothing comes at all: of so many series, since the store's newest sample; for how long by the clock, and how long a pause
/// usually is, in milliseconds.
pub fn stillness(series: u64, newest_ms: i64, (passed_ms, step_ms): (i64, Option<i64>), now_ms: i64) -> AnomalyRun {
    let mut key = KeyBuilder::default();
    key.push(NAME_LABEL, ALL_SERIES);
    let usually =
        step_ms.map_or_else(String::new, |step_ms| format!(", usually something comes every {}", span(step_ms)));
    let summary = format!("none of {series} series has sent anything for {}{usually}", span(passed_ms));
    let peak = peak(SILENCE, (now_ms, f64::NAN), 1.0, AnomalyKind::Silence, summary);
    let key = Arc::from(key.finish().unwrap_or_default());
    AnomalyRun { key, start_ms: newest_ms, last_ms: now_ms.max(newest_ms), is_open: true, samples: 1, peak }
}

/// Something has come again.
pub fn end_of_stillness(mut run: AnomalyRun, now_ms: i64) -> AnomalyRun {
    let passed = span(now_ms.saturating_sub(run.start_ms));
    run.peak.summary = format!("no series sent anything for {passed}; samples come again");
    (run.last_ms, run.is_open) = (run.last_ms.max(now_ms), false);
    run
}

fn peak(by: &'static str, (time_ms, value): (i64, f64), score: f64, kind: AnomalyKind, summary: String) -> Peak {
    let (expected, lower, upper, direction) = (f64::NAN, f64::NAN, f64::NAN, Side::Below);
    let vote =
        VoteRecord { detector: Cow::Borrowed(by), score, anomalous: true, abstained: false, contribution: score };
    let (severity, votes) = (Severity::of(score), vec![vote]);
    Peak { time_ms, value, expected, lower, upper, score, severity, direction, kind, votes, summary }
}

/// A span in the greatest unit of which there are two at least.
fn span(span_ms: i64) -> String {
    let seconds = span_ms.max(0) / 1000;
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Three digits are enough to see by how much.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) };
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::key;
    use super::*;

    #[test]
    fn a_drift_says_how_far_and_for_how_long() {
        let notice = Notice::Drift {
            since_ms: 0,
            now_ms: 5 * 86_400_000,
            value: 70.714,
            first: 62.0,
            per_day: 2.143,
            days: 5,
            score: 0.7,
        };
        let run = run_of(&notice, &key("cpu", "a"), "cpu").unwrap();
        let said = "cpu has risen for 5 days by about 2.14 a day: the mean of a day went from 62.0 to 70.7";
        assert_eq!((run.peak.summary.as_str(), run.is_open, run.peak.direction), (said, false, Side::Above));
        assert_eq!((run.start_ms, run.peak.severity), (0, Severity::Medium));
    }

    #[test]
    fn a_silence_and_late_data_are_told_apart() {
        let run = silence(&key("cpu", "a"), "cpu", 1_000_000, 15_000, 1_300_000);
        assert_eq!((run.start_ms, run.is_open, run.peak.kind.as_str()), (1_015_000, true, "silence"));
        assert_eq!(run.peak.summary, "cpu has sent nothing for 5 min, usually it sends every 15 s; other series go on");
        let back = end_of_silence(run.clone(), "cpu", 4_615_000, false);
        assert_eq!((back.peak.summary.as_str(), back.is_open), ("cpu sent nothing for 60 min and is back", false));
        let late = end_of_silence(run, "cpu", 1_015_000, true);
        assert!(late.peak.summary.starts_with("cpu was late by 4 min"), "{}", late.peak.summary);
    }

    #[test]
    fn a_stillness_is_told_alike_after_a_restart_and_ends_with_the_next_sample() {
        let run = stillness(1200, 50_000, (300_000, Some(10_000)), 350_000);
        let said = "none of 1200 series has sent anything for 5 min, usually something comes every 10 s";
        assert_eq!((run.peak.summary.as_str(), run.start_ms, run.is_open), (said, 50_000, true));
        let again = stillness(1200, 50_000, (600_000, None), 950_000);
        assert_eq!((again.key.clone(), again.start_ms), (run.key.clone(), run.start_ms));
        let over = end_of_stillness(run, 1_250_000);
        assert!(!over.is_open && over.peak.summary.starts_with("no series sent anything for 20 min"), "{over:?}");
    }

    #[test]
    fn the_end_of_a_flat_line_begins_no_run() {
        assert_eq!(run_of(&Notice::Moved { since_ms: 0, last_ms: 1 }, &key("cpu", "a"), "cpu"), None);
    }
}
