//! One file of monitors: YAML, every mistake with its line.
//!
//! ```yaml
//! monitors:
//!   - name: Web latency
//!     type: anomaly
//!     query: avg by (service) (web_latency_ms)
//!     algorithm: agile
//!     bounds: 2
//!     window: 4h
//!     thresholds: {critical: 1.0, warning: 0.5}
//!     recovery_window: 15m
//!     tags: ["team:web"]
//!     message: "{{#is_alert}}{{service.name}} is at {{value}} @slack-ops{{/is_alert}}"
//! ```
//!
//! Not here: which files there are (see `keeper`).
//!
//! Invariant: of a monitor that was read the expression and the message were understood, and every number is in its range.

use super::message::Message;
use super::monitor::{Algorithm, Limits, Monitor, MonitorKind, PeerMethod, Side};
use crate::config::parse_span;
use crate::query::{QueryLimits, check_rule};
use crate::yaml::{self, Node, Value};
use std::collections::BTreeMap;

/// Monitors of one file.
const MONITORS_MAX: usize = 1000;
/// Points of one series that one look reads.
pub(super) const POINTS_MAX: i64 = 50_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A mistake and its line.
pub(super) type Mistake = (usize, String);

/// Reads a file's text; monitors look every `interval_ms` unless they say otherwise.
///
/// # Errors
/// Every mistake with its line, counted from 1.
pub(super) fn parse(
    text: &str,
    file: &str,
    interval_ms: i64,
    limits: &QueryLimits,
) -> Result<Vec<Monitor>, Vec<Mistake>> {
    if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
        return Ok(Vec::new());
    }
    let root = yaml::parse(text).map_err(|what| vec![placed(&what)])?;
    let mut reader = Reader { mistakes: Vec::new() };
    reader.known(&root, "a file of monitors", &["monitors"]);
    let listed = match root.get("monitors").map(|node| &node.value) {
        Some(Value::List(items)) => items.as_slice(),
        _ => {
            reader.wrong(root.line, "monitors: expected a list");
            &[]
        }
    };
    if listed.len() > MONITORS_MAX {
        reader.wrong(root.line, format!("more than {MONITORS_MAX} monitors in one file"));
    }
    let monitors: Vec<Monitor> =
        listed.iter().filter_map(|node| reader.monitor(node, file, interval_ms, limits)).collect();
    if reader.mistakes.is_empty() { Ok(monitors) } else { Err(reader.mistakes) }
}

/// `line 3: what` as its parts.
fn placed(text: &str) -> Mistake {
    let parts = text.strip_prefix("line ").and_then(|rest| rest.split_once(": "));
    parts.and_then(|(line, what)| Some((line.parse().ok()?, what.to_owned()))).unwrap_or((1, text.to_owned()))
}

const COMMON: [&str; 14] = [
    "name",
    "type",
    "query",
    "message",
    "tags",
    "interval",
    "rollup",
    "window",
    "thresholds",
    "require_full_window",
    "notify_no_data",
    "no_data_timeframe",
    "renotify_interval",
    "notify_audit",
];

struct Reader {
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn wrong(&mut self, line: usize, what: impl Into<String>) {
        self.mistakes.push((line, what.into()));
    }

    fn known(&mut self, node: &Node, what: &str, known: &[&str]) {
        let Value::Map(fields) = &node.value else {
            return self.wrong(node.line, format!("expected {what} with {}", known.join(", ")));
        };
        for (name, field) in fields.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            self.wrong(field.line, format!("{what} has no {name}; it has {}", known.join(", ")));
        }
    }

    fn monitor(&mut self, node: &Node, file: &str, interval_ms: i64, limits: &QueryLimits) -> Option<Monitor> {
        let text = |name: &str| node.get(name).and_then(Node::text).map(str::trim).unwrap_or_default();
        let (name, query) = (text("name").to_owned(), text("query").to_owned());
        if name.is_empty() {
            self.wrong(node.line, "a monitor has a name");
        }
        let at = node.get("query").map_or(node.line, |node| node.line);
        if let Err(error) = check_rule(&query, limits) {
            self.wrong(at, format!("query: {error}"));
        }
        let own: &[&str] = match text("type") {
            "anomaly" => &["algorithm", "bounds", "seasonality", "history", "direction", "recovery_window"],
            "outlier" => &["algorithm", "tolerance", "by", "recovery_window"],
            "forecast" => &["algorithm", "deviations", "horizon", "history", "direction", "recovery_window"],
            other => {
                self.wrong(node.line, format!("type: {other:?} is none of anomaly, outlier, forecast"));
                return None;
            }
        };
        self.known(node, &format!("a monitor of type {}", text("type")), &[&COMMON[..], own].concat());
        let message = Message::parse(text("message")).unwrap_or_else(|what| {
            self.wrong(node.get("message").map_or(node.line, |node| node.line), format!("message: {what}"));
            Message::default()
        });
        if self.switch(node, "notify_audit") {
            self.wrong(node.line, "notify_audit: nobody is told of changes of monitors; the log has them");
        }
        let rollup_ms = self.span(node, "rollup", if text("type") == "forecast" { HOUR_MS } else { MINUTE_MS });
        let kind = self.kind(node, text("type"));
        let side = self.side(node, &kind);
        let window_ms = self.window(node, &kind);
        let history_ms = self.history(node, &kind, window_ms);
        let no_data_ms = self.span(node, "no_data_timeframe", (2 * rollup_ms).max(10 * MINUTE_MS));
        let recovery = if matches!(kind, MonitorKind::Anomaly { .. }) { (15 * MINUTE_MS).min(window_ms) } else { 0 };
        let monitor = Monitor {
            interval_ms: self.span(node, "interval", interval_ms).max(1),
            limits: self.limits(node, &kind),
            recovery_window_ms: self.span(node, "recovery_window", recovery),
            require_full_window: self.switch(node, "require_full_window"),
            no_data_ms: self.switch(node, "notify_no_data").then_some(no_data_ms),
            renotify_ms: self.renotify(node),
            tags: self.tags(node),
            text: text("message").to_owned(),
            name,
            query,
            file: file.to_owned(),
            line: node.line,
            kind,
            rollup_ms,
            window_ms,
            history_ms,
            side,
            message,
        };
        self.check_sizes(node, &monitor);
        Some(monitor)
    }

    fn check_sizes(&mut self, node: &Node, monitor: &Monitor) {
        let Monitor { rollup_ms, window_ms, history_ms, recovery_window_ms, .. } = *monitor;
        match &monitor.kind {
            _ if rollup_ms < 1000 => self.wrong(node.line, "rollup: at least 1s"),
            MonitorKind::Forecast { .. } if history_ms < 2 * rollup_ms => {
                self.wrong(node.line, "history: at least two of rollup");
            }
            MonitorKind::Anomaly { .. } | MonitorKind::Outlier { .. } if window_ms < rollup_ms => {
                self.wrong(node.line, "window: at least one of rollup");
            }
            MonitorKind::Anomaly { .. } if recovery_window_ms > window_ms => {
                self.wrong(node.line, "recovery_window: at most as long as window");
            }
            MonitorKind::Anomaly { season_ms, .. } if season_ms % rollup_ms != 0 => {
                self.wrong(node.line, "rollup: seasonality is no multiple of it");
            }
            MonitorKind::Outlier { .. } if !(HOUR_MS / 2..=HOUR_MS).contains(&window_ms) => {
                self.wrong(node.line, "window: members are compared over half an hour to an hour");
            }
            _ => {}
        }
        if rollup_ms >= 1000 && (window_ms + history_ms) / rollup_ms > POINTS_MAX {
            self.wrong(node.line, format!("more than {POINTS_MAX} points a series: less history, or a longer rollup"));
        }
    }

    fn kind(&mut self, node: &Node, word: &str) -> MonitorKind {
        let season = [("hourly", HOUR_MS), ("daily", DAY_MS), ("weekly", 7 * DAY_MS)];
        match word {
            "anomaly" => MonitorKind::Anomaly {
                algorithm: self.word(
                    node,
                    "algorithm",
                    &[("basic", Algorithm::Basic), ("agile", Algorithm::Agile), ("robust", Algorithm::Robust)],
                ),
                bounds: self.number(node, "bounds", 2.0, 0.1..=100.0),
                season_ms: if node.get("seasonality").is_some() {
                    self.word(node, "seasonality", &season)
                } else {
                    DAY_MS
                },
            },
            "outlier" => MonitorKind::Outlier {
                method: self.word(node, "algorithm", &[("dbscan", PeerMethod::Dbscan), ("mad", PeerMethod::Mad)]),
                tolerance: self.number(node, "tolerance", 3.0, 0.1..=100.0),
                by: self.by(node),
            },
            _ => MonitorKind::Forecast {
                is_linear: self.word(node, "algorithm", &[("linear", true), ("seasonal", false)]),
                deviations: self.number(node, "deviations", 1.0, 0.0..=5.0),
                horizon_ms: self.span(node, "horizon", DAY_MS),
            },
        }
    }

    fn side(&mut self, node: &Node, kind: &MonitorKind) -> Side {
        let sides = [("both", Side::Both), ("above", Side::Above), ("below", Side::Below)];
        match kind {
            MonitorKind::Anomaly { .. } => self.word(node, "direction", &sides),
            MonitorKind::Outlier { .. } => Side::Both,
            MonitorKind::Forecast { .. } => self.word(node, "direction", &sides[1..]),
        }
    }

    fn window(&mut self, node: &Node, kind: &MonitorKind) -> i64 {
        let usual = match kind {
            MonitorKind::Anomaly { .. } => 4 * HOUR_MS,
            MonitorKind::Outlier { .. } => HOUR_MS,
            MonitorKind::Forecast { .. } => 0,
        };
        if matches!(kind, MonitorKind::Forecast { .. }) && node.get("window").is_some() {
            self.wrong(node.line, "window: a forecast is made of history");
        }
        self.span(node, "window", usual)
    }

    fn history(&mut self, node: &Node, kind: &MonitorKind, window_ms: i64) -> i64 {
        let usual = match kind {
            MonitorKind::Anomaly { algorithm: Algorithm::Basic, .. } => (6 * window_ms).max(DAY_MS),
            MonitorKind::Anomaly { season_ms, .. } => (4 * season_ms).max(6 * window_ms),
            MonitorKind::Outlier { .. } => 0,
            MonitorKind::Forecast { .. } => 7 * DAY_MS,
        };
        self.span(node, "history", usual)
    }

    fn limits(&mut self, node: &Node, kind: &MonitorKind) -> Limits {
        let Some(given) = node.get("thresholds") else {
            if matches!(kind, MonitorKind::Forecast { .. }) {
                self.wrong(node.line, "thresholds: a forecast has a critical one");
            }
            let warning = matches!(kind, MonitorKind::Anomaly { .. }).then_some(0.5);
            return Limits { critical: 1.0, warning, recovery: 0.0 };
        };
        self.known(given, "thresholds", &["critical", "warning", "recovery"]);
        let range = match kind {
            MonitorKind::Forecast { .. } => f64::MIN..=f64::MAX,
            _ => 0.0..=1.0,
        };
        let critical = self.number(given, "critical", 1.0, range.clone());
        let warning = given.get("warning").is_some().then(|| self.number(given, "warning", 0.5, range.clone()));
        let recovery = self.number(given, "recovery", 0.0, range);
        let is_below =
            matches!(kind, MonitorKind::Forecast { .. }) && node.get("direction").and_then(Node::text) == Some("below");
        if warning.is_some_and(|warning| if is_below { warning < critical } else { warning > critical }) {
            self.wrong(given.line, "thresholds: it warns before it alerts");
        }
        Limits { critical, warning, recovery }
    }

    /// `renotify_interval` in minutes, as Datadog has it, or with a unit; 0 for never.
    fn renotify(&mut self, node: &Node) -> Option<i64> {
        let field = node.get("renotify_interval")?;
        let text = field.text().unwrap_or_default();
        let minutes = text.parse::<u32>().ok().map(|minutes| i64::from(minutes) * MINUTE_MS);
        let found = minutes.or_else(|| parse_span(text).ok().map(|span| span.as_millis() as i64));
        if found.is_none() {
            self.wrong(
                field.line,
                format!("renotify_interval: {text:?} is no number of minutes, and no time such as 1h"),
            );
        }
        found.filter(|ms| *ms > 0)
    }

    /// `team:web` as labels.
    fn tags(&mut self, node: &Node) -> BTreeMap<String, String> {
        let Some(field) = node.get("tags") else { return BTreeMap::new() };
        let mut tags = BTreeMap::new();
        for item in field.items() {
            let pair = item.text().and_then(|text| text.split_once(':'));
            let pair = pair.map(|(name, value)| (name.trim(), value.trim()));
            let is_name = |name: &str| {
                let first = name.bytes().next();
                first.is_some_and(|first| !first.is_ascii_digit())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            };
            match pair.filter(|(name, value)| is_name(name) && !value.is_empty()) {
                Some((name, value)) => drop(tags.insert(name.to_owned(), value.to_owned())),
                None => self.wrong(item.line, "tags: expected a name and a value, such as team:web"),
            }
        }
        tags
    }

    fn by(&mut self, node: &Node) -> Vec<String> {
        let by: Vec<String> =
            node.get("by").map_or(&[][..], Node::items).iter().filter_map(Node::text).map(str::to_owned).collect();
        if by.is_empty() || by.iter().any(String::is_empty) {
            self.wrong(node.line, "by: an outlier monitor has the labels that tell members apart, such as host");
        }
        by
    }

    fn span(&mut self, node: &Node, name: &str, usual: i64) -> i64 {
        let Some(field) = node.get(name) else { return usual };
        let text = field.text().unwrap_or_default();
        parse_span(text).map(|span| span.as_millis() as i64).unwrap_or_else(|form| {
            self.wrong(field.line, format!("{name} = {text:?}: {form}"));
            usual
        })
    }

    fn number(&mut self, node: &Node, name: &str, usual: f64, range: std::ops::RangeInclusive<f64>) -> f64 {
        let Some(field) = node.get(name) else { return usual };
        let found = field.text().and_then(|text| text.trim().parse().ok()).filter(|value| range.contains(value));
        found.unwrap_or_else(|| {
            let (least, most) = (range.start(), range.end());
            let bounds =
                if most.is_finite() && *most < f64::MAX { format!(" from {least} to {most}") } else { String::new() };
            self.wrong(field.line, format!("{name}: expected a number{bounds}"));
            usual
        })
    }

    fn switch(&mut self, node: &Node, name: &str) -> bool {
        let Some(field) = node.get(name) else { return false };
        match field.text() {
            Some("true") => true,
            Some("false") => false,
            _ => {
                self.wrong(field.line, format!("{name}: expected true or false"));
                false
            }
        }
    }

    /// One of some words, the first where there is none.
    fn word<T: Copy>(&mut self, node: &Node, name: &str, words: &[(&str, T)]) -> T {
        let usual = words[0].1;
        let Some(field) = node.get(name) else { return usual };
        let text = field.text().unwrap_or_default();
        let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
        found.unwrap_or_else(|| {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.wrong(field.line, format!("{name}: {text:?} is none of {}", names.join(", ")));
            usual
        })
    }
}
