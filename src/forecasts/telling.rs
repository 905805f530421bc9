//! What a rule tells of a series, as a run that is kept like that of any other anomaly.
//!
//! The run's key is that of the series with the label `forecast_rule` beside its own: so a rule's word on a series is never
//! taken for another's, or for that of the detectors, and alerts can be routed by it.
//!
//! Not here: keeping runs (see `anomaly::book`).

use super::rule_file::PredictiveRule;
use super::standing::{Prediction, Standing};
use crate::analysis::Severity;
use crate::analysis::forecast::Direction;
use crate::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side, VoteRecord};
use std::borrow::Cow;
use std::sync::Arc;
use storage::series::{self, KeyBuilder, NAME_LABEL};

/// The label that says which rule tells it.
pub const RULE_LABEL: &str = "forecast_rule";
/// Who tells it.
const FORECAST: &str = "forecast";

/// The key of what a rule says of a series; none of a series that has such a label itself.
pub(super) fn key_of(rule: &str, series_key: &[u8]) -> Option<Arc<[u8]>> {
    let mut builder = KeyBuilder::default();
    series::labels(series_key).for_each(|(name, value)| builder.push(name, value));
    builder.push(RULE_LABEL, rule);
    builder.finish().ok().map(Arc::from)
}

/// The key of the series that a rule's key is about.
pub(super) fn series_key_of(key: &[u8]) -> Option<Arc<[u8]>> {
    let mut builder = KeyBuilder::default();
    series::labels(key).filter(|(name, _)| *name != RULE_LABEL).for_each(|(name, value)| builder.push(name, value));
    builder.finish().ok().map(Arc::from)
}

/// The run as it stands.
pub(super) fn run_of(
    rule: &PredictiveRule,
    key: Arc<[u8]>,
    standing: &Standing,
    seen: &Prediction,
    is_open: bool,
) -> AnomalyRun {
    let name = series::label(&key, NAME_LABEL).unwrap_or("").to_owned();
    let score = score_of(rule.severity);
    let vote =
        VoteRecord { detector: Cow::Borrowed(FORECAST), score, anomalous: true, abstained: false, contribution: score };
    let peak = Peak {
        time_ms: seen.current_ms,
        value: seen.current,
        expected: seen.expected,
        lower: seen.lower,
        upper: seen.upper,
        score,
        severity: rule.severity,
        direction: if rule.threshold.direction == Direction::Above { Side::Above } else { Side::Below },
        kind: AnomalyKind::Drift,
        votes: vec![vote],
        summary: sentence(rule, &name, seen, is_open),
    };
    let last_ms = seen.current_ms.max(standing.since_ms);
    AnomalyRun { key, start_ms: standing.since_ms, last_ms, is_open, samples: 1, peak }
}

/// The score in the middle of a severity's range.
fn score_of(severity: Severity) -> f64 {
    match severity {
        Severity::None => 0.0,
        Severity::Low => 0.65,
        Severity::Medium => 0.75,
        Severity::High => 0.85,
        Severity::Critical => 0.95,
    }
}

fn sentence(rule: &PredictiveRule, name: &str, seen: &Prediction, is_open: bool) -> String {
    let limit = rule.threshold.value;
    let way = if rule.threshold.direction == Direction::Above { "reach" } else { "fall to" };
    if !is_open {
        return format!("{name} is no longer expected to {way} {limit} within {}", span(rule.within_ms));
    }
    let current = short(seen.current);
    if seen.at_ms <= seen.current_ms {
        return format!("{name} is at {current} and has reached its limit of {limit}");
    }
    let percent = (100.0 * seen.probability).round();
    let sure = if seen.is_sure { "" } else { " at the edge of its band" };
    let ahead = span(seen.at_ms.saturating_sub(seen.current_ms));
    format!(
        "{name} is at {current} and predicted to {way} {limit}{sure} at {}, in {ahead} (probability {percent} %, by {})",
        time(seen.at_ms),
        seen.method
    )
}

/// RFC 3339 to the second.
fn time(time_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(time_ms).map_or_else(|_| "no time".to_owned(), |time| format!("{time:.0}"))
}

/// A span in the greatest unit of which there are two at least.
fn span(span_ms: i64) -> String {
    let minutes = span_ms.max(0) / 60_000;
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// Three digits are enough to see where it is.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) };
    format!("{value:.*}", digits as usize)
}

#[cfg(test)]
mod tests {
    use super::super::rule_file::tests::rules;
    use super::*;

    fn key() -> Arc<[u8]> {
        let mut builder = KeyBuilder::default();
        builder.push("__name__", "disk_used_percent");
        builder.push("host", "a");
        Arc::from(builder.finish().unwrap())
    }

    #[test]
    fn a_rule_has_a_word_of_its_own_on_a_series() {
        let of_rule = key_of("full", &key()).unwrap();
        assert_eq!(series::label(&of_rule, RULE_LABEL), Some("full"));
        assert_eq!(series_key_of(&of_rule), Some(key()));
        assert_eq!(key_of("other", &of_rule), None);
    }

    #[test]
    fn the_sentence_says_when_how_sure_and_by_what() {
        let rule = &rules("[[rule]]\nname = \"full\"\nmatch = \"d\"\nthreshold = 90\nwithin = \"24h\"\n").unwrap()[0];
        let mut seen = Prediction {
            probability: 0.873,
            is_sure: true,
            at_ms: 1_767_615_600_000,
            expected: 90.1,
            lower: 88.0,
            upper: 92.0,
            current: 71.234,
            current_ms: 1_767_571_200_000,
            method: "theta".to_owned(),
        };
        let standing = Standing::adopted(5);
        let told = |seen: &Prediction, is_open| run_of(rule, key(), &standing, seen, is_open);
        let run = told(&seen, true);
        let said = "disk_used_percent is at 71.2 and predicted to reach 90 at 2026-01-05T12:20:00Z, in 12 h \
                    (probability 87 %, by theta)";
        assert_eq!((run.peak.summary.as_str(), run.start_ms, run.is_open), (said, 5, true));
        assert_eq!(
            (run.peak.kind, run.peak.severity, run.peak.direction),
            (AnomalyKind::Drift, Severity::Medium, Side::Above)
        );
        assert_eq!(Severity::of(run.peak.score), Severity::Medium);
        let over = told(&seen, false).peak.summary;
        assert_eq!(over, "disk_used_percent is no longer expected to reach 90 within 24 h");
        seen.at_ms = seen.current_ms;
        assert_eq!(told(&seen, true).peak.summary, "disk_used_percent is at 71.2 and has reached its limit of 90");
    }
}
