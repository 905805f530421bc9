//! What a monitor finds of each series at a time: pure, the values of its expression are arguments.
//!
//! Not here: since when it is so, and what is told (see `runner`).

use super::bands::{Band, Rhythm, bands};
use super::message::plain;
use super::monitor::{Monitor, MonitorKind, PeerMethod, Side};
use crate::analysis::detectors::{GROUP_MAX, GROUP_MIN, GroupDetector, Options, PeerDbscan, PeerMad, Samples};
use crate::analysis::forecast::{ForecastEngine, Method};
use crate::pull::TrainingSeries;
use std::collections::BTreeMap;

/// A window is judged if it has one in so many of its points: of a few, any share is soon reached.
const POINTS_SHARE: usize = 4;

/// Where a monitor stands with a series, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nothing is wrong.
    Fine,
    /// There is no data.
    NoData,
    /// It warns.
    Warning,
    /// It alerts.
    Alert,
}

impl Standing {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::NoData => "no_data",
            Self::Warning => "warning",
            Self::Alert => "alert",
        }
    }
}

/// What is found of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Finding {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) standing: Standing,
    /// Whether what was wrong is over, as far as the values tell.
    pub(super) is_calm: bool,
    /// The newest value; NaN of none.
    pub(super) value: f64,
    /// What was expected.
    pub(super) expected: Option<Band>,
    /// What is compared with the limits: a share of points, or the furthest value that is forecast.
    pub(super) measure: f64,
    /// On which side, if on one alone.
    pub(super) direction: Option<&'static str>,
    /// In one plain sentence.
    pub(super) says: String,
}

impl Finding {
    fn of(series: &TrainingSeries) -> Self {
        Self {
            labels: series.labels.clone(),
            standing: Standing::Fine,
            is_calm: true,
            value: series.values.last().copied().unwrap_or(f64::NAN),
            expected: None,
            measure: 0.0,
            direction: None,
            says: String::new(),
        }
    }
}

/// What is found of each series of an answer, up to `end_ms`.
pub(super) fn judge(monitor: &Monitor, answer: &[TrainingSeries], end_ms: i64) -> Vec<Finding> {
    let found = match &monitor.kind {
        MonitorKind::Anomaly { .. } => answer.iter().map(|series| anomaly(monitor, series, end_ms)).collect(),
        MonitorKind::Outlier { method, tolerance, by } => outliers(monitor, answer, (*method, *tolerance, by)),
        MonitorKind::Forecast { .. } => answer.iter().map(|series| forecast(monitor, series)).collect(),
    };
    found.into_iter().zip(answer).map(|(finding, series)| without_data(monitor, finding, series, end_ms)).collect()
}

/// The same, or that there has been no data for too long.
fn without_data(monitor: &Monitor, found: Finding, series: &TrainingSeries, end_ms: i64) -> Finding {
    let last_ms = series.times_ms.last().copied().unwrap_or(i64::MIN);
    let silent_ms = end_ms.saturating_sub(last_ms);
    match monitor.no_data_ms {
        Some(most_ms) if silent_ms >= most_ms => {
            let says = format!("no data of {} for {}", of_series(&found.labels, &monitor.query), span(silent_ms));
            Finding { standing: Standing::NoData, is_calm: false, expected: None, says, ..found }
        }
        _ => found,
    }
}

fn anomaly(monitor: &Monitor, series: &TrainingSeries, end_ms: i64) -> Finding {
    let MonitorKind::Anomaly { algorithm, bounds, season_ms } = monitor.kind else { return Finding::of(series) };
    let step_ms = monitor.rollup_ms;
    let window = (monitor.window_ms / step_ms) as usize;
    let from = (monitor.history_ms / step_ms) as usize;
    let mut values = vec![f64::NAN; from + window];
    for (time_ms, value) in series.times_ms.iter().zip(&series.values) {
        let back = (end_ms - time_ms).div_euclid(step_ms);
        let at = usize::try_from(back).ok().and_then(|back| values.len().checked_sub(back + 1));
        if let Some(at) = at {
            values[at] = *value;
        }
    }
    let rhythm = Rhythm { step_ms, season: (season_ms / step_ms) as usize };
    let found = bands(algorithm, &values, from, rhythm, bounds);
    // Whether each point of the window that could be judged is anomalous.
    let flags: Vec<Option<bool>> = values[from..]
        .iter()
        .zip(&found)
        .map(|(value, band)| band.filter(|_| !value.is_nan()).map(|band| is_outside(*value, band, monitor.side)))
        .collect();
    let recovery = ((monitor.recovery_window_ms / step_ms) as usize).clamp(1, window.max(1));
    let (fraction, late) = (share(&flags), share(&flags[window.saturating_sub(recovery)..]));
    let is_whole = values[from..].iter().all(|value| !value.is_nan());
    let mut finding = Finding::of(series);
    finding.is_calm = late.is_none_or(|late| late <= monitor.limits.recovery);
    finding.expected = found.last().copied().flatten();
    let is_enough = flags.iter().flatten().count() * POINTS_SHARE >= window;
    let is_judged = is_whole || is_enough && !monitor.require_full_window;
    let Some(fraction) = fraction.filter(|_| is_judged) else { return finding };
    finding.measure = fraction;
    finding.standing = standing(monitor, |limit| fraction >= limit);
    if let Some(band) = finding.expected {
        finding.direction = match finding.value {
            value if value > band.upper => Some("above"),
            value if value < band.lower => Some("below"),
            _ => None,
        };
    }
    finding.says = format!(
        "{} was unusual for {} % of the last {}: now {}{}",
        of_series(&finding.labels, &monitor.query),
        plain((fraction * 100.0).round()),
        span(monitor.window_ms),
        plain(finding.value),
        finding.expected.map_or_else(String::new, |band| format!(", expected {}", in_words(band))),
    );
    finding
}

fn is_outside(value: f64, band: Band, side: Side) -> bool {
    value > band.upper && side != Side::Below || value < band.lower && side != Side::Above
}

/// The share of those that are so among those that are known.
fn share(flags: &[Option<bool>]) -> Option<f64> {
    let known = flags.iter().flatten().count();
    (known > 0).then(|| flags.iter().flatten().filter(|flag| **flag).count() as f64 / known as f64)
}

fn standing(monitor: &Monitor, reaches: impl Fn(f64) -> bool) -> Standing {
    match () {
        () if reaches(monitor.limits.critical) => Standing::Alert,
        () if monitor.limits.warning.is_some_and(reaches) => Standing::Warning,
        () => Standing::Fine,
    }
}

fn outliers(
    monitor: &Monitor,
    answer: &[TrainingSeries],
    (method, tolerance, by): (PeerMethod, f64, &Vec<String>),
) -> Vec<Finding> {
    let mut groups: BTreeMap<BTreeMap<&str, &str>, Vec<usize>> = BTreeMap::new();
    for (at, series) in answer.iter().enumerate() {
        let others = series.labels.iter().filter(|(name, _)| !by.contains(name));
        groups.entry(others.map(|(name, value)| (name.as_str(), value.as_str())).collect()).or_default().push(at);
    }
    let mut found: Vec<Finding> = answer.iter().map(Finding::of).collect();
    let options = Options { threshold: Some(tolerance), ..Options::default() };
    for members in groups.values().filter(|members| (GROUP_MIN..=GROUP_MAX).contains(&members.len())) {
        let samples: Vec<_> =
            members.iter().map(|at| Samples::new(&answer[*at].times_ms, &answer[*at].values)).collect();
        let judged = match method {
            PeerMethod::Dbscan => PeerDbscan::new(&options).detect(&samples),
            PeerMethod::Mad => PeerMad::new(&options).detect(&samples),
        };
        for (at, judged) in members.iter().zip(&judged) {
            let Some(last) = judged.last().filter(|last| last.is_judged) else { continue };
            let finding = &mut found[*at];
            finding.expected = last.lower.zip(last.upper).map(|(lower, upper)| Band { lower, upper });
            finding.measure = f64::from(last.is_anomaly);
            finding.is_calm = !last.is_anomaly;
            finding.standing = standing(monitor, |limit| limit > 0.0 && finding.measure >= limit);
            finding.says = format!(
                "{} stands apart from the {} others of its group: now {}{}",
                of_series(&finding.labels, &monitor.query),
                members.len() - 1,
                plain(finding.value),
                finding.expected.map_or_else(String::new, |band| format!(", the others {}", in_words(band))),
            );
        }
    }
    found
}

fn forecast(monitor: &Monitor, series: &TrainingSeries) -> Finding {
    let mut finding = Finding::of(series);
    let MonitorKind::Forecast { is_linear, deviations, horizon_ms } = monitor.kind else { return finding };
    let is_below = monitor.side == Side::Below;
    // The share of normal values within so many standard deviations; any level will do where the line alone counts.
    let level = if deviations > 0.0 { within(deviations) * 100.0 } else { 50.0 };
    let horizon = (horizon_ms / monitor.rollup_ms).max(1) as usize;
    let method = is_linear.then(|| Method::named("robust_linear")).flatten();
    let engine = ForecastEngine { horizon, level, method, ..ForecastEngine::default() };
    // With too little to learn from nothing is said.
    let Ok(forecast) = engine.forecast(&series.times_ms, &series.values) else { return finding };
    let edge = |point: &crate::analysis::forecast::ForecastPoint| match (deviations > 0.0, is_below) {
        (false, _) => point.forecast,
        (true, false) => point.upper,
        (true, true) => point.lower,
    };
    let reaches = |value: f64, limit: f64| if is_below { value <= limit } else { value >= limit };
    let last_ms = series.times_ms.last().copied().unwrap_or(0);
    let points: Vec<_> = forecast.points.iter().filter(|point| point.time_ms <= last_ms + horizon_ms).collect();
    let further = |a: f64, b: f64| if is_below { a.min(b) } else { a.max(b) };
    finding.measure = points.iter().map(|point| edge(point)).fold(finding.value, further);
    finding.standing = standing(monitor, |limit| reaches(finding.measure, limit));
    finding.is_calm = finding.standing == Standing::Fine;
    finding.expected = points.last().map(|point| Band { lower: point.lower, upper: point.upper });
    finding.direction = Some(monitor.direction());
    let limit = if finding.standing == Standing::Warning { monitor.limits.warning } else { None };
    let limit = limit.unwrap_or(monitor.limits.critical);
    let when_ms = points.iter().find(|point| reaches(edge(point), limit)).map(|point| point.time_ms - last_ms);
    let when = when_ms
        .filter(|_| !reaches(finding.value, limit))
        .map_or("by now".to_owned(), |ms| format!("within {}", span(ms)));
    finding.says = format!(
        "{} reaches {} {when}: now {}",
        of_series(&finding.labels, &monitor.query),
        plain(limit),
        plain(finding.value),
    );
    finding
}

/// The share of normal values within so many standard deviations of their mean (Abramowitz and Stegun 7.1.26).
fn within(deviations: f64) -> f64 {
    let x = deviations / std::f64::consts::SQRT_2;
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let sum =
        t * (0.254_829_592 + t * (-0.284_496_736 + t * (1.421_413_741 + t * (-1.453_152_027 + t * 1.061_405_429))));
    1.0 - sum * (-x * x).exp()
}

/// A series as people name it: its name, or the expression, and its labels.
fn of_series(labels: &BTreeMap<String, String>, query: &str) -> String {
    let name = labels.get("__name__").map_or(query, String::as_str);
    let others: Vec<_> =
        labels.iter().filter(|(name, _)| *name != "__name__").map(|(name, value)| format!("{name}={value}")).collect();
    if others.is_empty() { name.to_owned() } else { format!("{name} of {}", others.join(", ")) }
}

pub(super) fn in_words(band: Band) -> String {
    format!("{} to {}", plain(band.lower), plain(band.upper))
}

/// A time as people say it: the two largest units.
fn span(ms: i64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let (mut rest, mut text, mut left) = (ms.max(0), String::new(), 2);
    for (unit, length) in units {
        let count = rest / length;
        rest %= length;
        if count > 0 && left > 0 {
            text.push_str(&format!("{count}{unit}"));
            left -= 1;
        } else if !text.is_empty() {
            left = 0;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}
