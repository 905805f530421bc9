//! Whether two alerts have to do with each other, and by what evidence.
//!
//! Not here: what is made of it (see `incident`).
//!
//! Invariants: alerts further apart than the window are never related; a label that is absent never equals anything; a name's
//! first word alone relates nothing.

use super::super::record::{Alert, METRIC_LABEL};
use super::correlation::Correlation;
use super::topology::Topology;

/// Labels that name a service, and those that name where it runs; the first that an alert has counts.
const SERVICE_LABELS: [&str; 5] = ["service", "service_name", "app", "application", "component"];
const INSTANCE_LABELS: [&str; 5] = ["instance", "host", "hostname", "node", "device"];
/// How sure evidence has to be that two alerts are related.
pub(super) const ENOUGH: f64 = 0.5;
/// What each kind of evidence counts for, 0 to 1; those together are as sure as the opposite of all being wrong.
const SAME_SERVICE: f64 = 0.8;
const SAME_INSTANCE: f64 = 0.75;
const DEPENDS: f64 = 0.75;
const DEPENDS_FAR: f64 = 0.55;
const MOVES_TOGETHER: f64 = 0.7;
const SAME_PREFIX: f64 = 0.2;
/// From which correlation on series count as moving together.
pub(super) const STRONG: f64 = 0.8;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct About<'a> {
    pub(super) service: Option<&'a str>,
    pub(super) instance: Option<&'a str>,
    pub(super) prefix: Option<&'a str>,
    pub(super) onset_ms: i64,
}

impl<'a> About<'a> {
    pub(super) fn of(alert: &'a Alert) -> Self {
        let first = |names: &[&str]| {
            names.iter().find_map(|name| alert.labels.get(*name)).map(String::as_str).filter(|text| !text.is_empty())
        };
        let metric = alert.labels.get(METRIC_LABEL);
        let prefix = metric.and_then(|name| name.split_once('_')).map(|(first, _)| first);
        Self {
            service: first(&SERVICE_LABELS),
            instance: first(&INSTANCE_LABELS),
            prefix,
            onset_ms: alert.starts_at_ms,
        }
    }
}

/// How sure it is that two alerts are related, 0 to 1, and why.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Evidence {
    pub(super) score: f64,
    pub(super) why: String,
}

/// What speaks for a relation; nothing if they began further apart than `window_ms`.
pub(super) fn evidence(
    a: &About<'_>,
    b: &About<'_>,
    topology: &Topology,
    correlation: Option<&Correlation>,
    window_ms: i64,
) -> Evidence {
    let apart_ms = (a.onset_ms - b.onset_ms).abs();
    if apart_ms > window_ms {
        return Evidence::default();
    }
    let same = |a: Option<&str>, b: Option<&str>| a.is_some() && a == b;
    let mut found: Vec<(f64, String)> = Vec::new();
    if let (Some(service), true) = (a.service, same(a.service, b.service)) {
        found.push((SAME_SERVICE, format!("both of service {service}")));
    } else if let (Some(one), Some(other)) = (a.service, b.service) {
        for (from, to) in [(one, other), (other, one)] {
            match topology.steps(from, to) {
                Some(1) => found.push((DEPENDS, format!("{from} depends on {to}"))),
                Some(steps) => found.push((DEPENDS_FAR, format!("{from} depends on {to}, {steps} steps away"))),
                None => {}
            }
        }
    }
    if let (Some(instance), true) = (a.instance, same(a.instance, b.instance)) {
        found.push((SAME_INSTANCE, format!("both of {instance}")));
    }
    if let Some(correlation) = correlation.filter(|known| known.r.abs() >= STRONG) {
        found.push((MOVES_TOGETHER, format!("they move together, {correlation}")));
    }
    if let (Some(prefix), true) = (a.prefix, same(a.prefix, b.prefix)) {
        found.push((SAME_PREFIX, format!("both names begin with {prefix}_")));
    }
    if found.is_empty() {
        return Evidence::default();
    }
    let wrong: f64 = found.iter().map(|(sure, _)| 1.0 - sure).product();
    // The closer in time the surer, by a sixth at most.
    let near = 1.0 - apart_ms as f64 / window_ms.max(1) as f64 / 6.0;
    let score = (1.0 - wrong) * near;
    let why: Vec<String> = found.into_iter().map(|(_, why)| why).collect();
    Evidence { score, why: format!("{}, {} s apart", why.join(", "), apart_ms / 1000) }
}

#[cfg(test)]
mod tests {
    use super::super::topology::tests::example;
    use super::*;

    const WINDOW: i64 = 300_000;

    fn about<'a>(service: &'a str, instance: &'a str, prefix: &'a str, onset_ms: i64) -> About<'a> {
        let some = |text: &'a str| Some(text).filter(|text| !text.is_empty());
        About { service: some(service), instance: some(instance), prefix: some(prefix), onset_ms }
    }

    #[test]
    fn the_truth_table_of_relatedness() {
        let moves = Correlation { r: 0.95, lag_ms: 60_000, points: 60 };
        let cases = [
            ("same service", about("db", "", "", 0), about("db", "", "", 1), None, true),
            ("needs it", about("web-api", "", "", 0), about("database", "", "", 1), None, true),
            ("is needed by it", about("database", "", "", 0), about("web-api", "", "", 1), None, true),
            ("no dependency", about("cache", "", "", 0), about("fraud-detection", "", "", 1), None, false),
            ("same instance", about("", "h1", "", 0), about("", "h1", "", 1), None, true),
            ("other instance", about("", "h1", "", 0), about("", "h2", "", 1), None, false),
            ("absent labels are not equal", about("", "", "", 0), about("", "", "", 1), None, false),
            ("a first word alone", about("", "h1", "node", 0), about("", "h2", "node", 1), None, false),
            ("moving together", about("", "", "", 0), about("", "", "", 1), Some(&moves), true),
            ("same service at the edge of the window", about("db", "", "", 0), about("db", "", "", WINDOW), None, true),
            ("same service beyond the window", about("db", "", "", 0), about("db", "", "", WINDOW + 1), None, false),
        ];
        for (what, a, b, correlation, expected) in cases {
            let found = evidence(&a, &b, &example(), correlation, WINDOW);
            assert_eq!(found.score >= ENOUGH, expected, "{what}: {found:?}");
            let other = evidence(&b, &a, &example(), correlation, WINDOW);
            assert!((found.score - other.score).abs() < 1e-12, "{what}: it is mutual");
        }
    }
}
