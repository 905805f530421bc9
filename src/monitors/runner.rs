//! Monitors at work: each looks in its rhythm, remembers where it stands with each series, and tells the book of alerts.
//!
//! Not here: what is found at a time (see `judge`), the thread that looks (see `server`).
//!
//! Invariants: what went wrong stays so until its recovery window was calm; after a start each series goes on where the book of
//! alerts has it; an expression that fails changes nothing and holds up none of the others.

use super::judge::{Finding, Standing, in_words, judge};
use super::keeper::{MonitorView, SeriesView};
use super::message::{Words, handles, plain};
use super::monitor::Monitor;
use crate::alert::{AlertSeverity, Fingerprint, Origin, Signal};
use crate::clock;
use crate::pull::TrainingSeries;
use crate::query::RangeTimes;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::series;

/// Series that one monitor looks at.
const SERIES_MAX: usize = 10_000;

/// Values of an expression over a range.
pub type Values<'a> = &'a dyn Fn(&str, RangeTimes) -> Result<Vec<TrainingSeries>, String>;

/// What monitors need of the world.
pub struct Means<'a> {
    /// Evaluates an expression.
    pub values: Values<'a>,
    /// Tells the book of alerts.
    pub tell: &'a dyn Fn(Signal),
    /// An alert that goes on, as the book has it: its severity and since when, in milliseconds since 1970 UTC.
    pub known: &'a dyn Fn(Fingerprint) -> Option<(AlertSeverity, i64)>,
}

/// A series that is not well.
#[derive(Debug, Clone)]
struct Held {
    standing: Standing,
    since_ms: i64,
    /// Since when it is calm, if it is.
    calm_since_ms: Option<i64>,
    looks: u64,
    found: Finding,
}

/// One monitor and what it remembers.
#[derive(Debug)]
struct Watched {
    monitor: Arc<Monitor>,
    due_ms: i64,
    held: BTreeMap<Fingerprint, Held>,
    view: MonitorView,
}

/// All monitors.
#[derive(Debug, Default)]
pub struct MonitorRunner {
    watched: Vec<Watched>,
    /// Of monitors that are gone: alerts that are over.
    gone: Vec<(Arc<Monitor>, Held)>,
}

impl MonitorRunner {
    /// Other monitors from now on: those that stayed as they were go on, the alerts of those that are gone end.
    pub fn replace(&mut self, monitors: Vec<Monitor>, now_ms: i64) {
        let mut old = std::mem::take(&mut self.watched);
        for monitor in monitors {
            let is_same = |one: &Watched| Monitor { line: monitor.line, ..Monitor::clone(&one.monitor) } == monitor;
            let before = old.iter().position(is_same).map(|at| old.remove(at));
            let monitor = Arc::new(monitor);
            let due_ms = next_due(&monitor, now_ms);
            let view = MonitorView::new(&monitor);
            let new = Watched { monitor: monitor.clone(), due_ms, held: BTreeMap::new(), view };
            self.watched.push(before.map_or(new, |before| Watched {
                view: MonitorView { monitor: monitor.clone(), ..before.view },
                monitor,
                ..before
            }));
        }
        for watched in old {
            self.gone.extend(watched.held.into_values().map(|held| (watched.monitor.clone(), held)));
        }
    }

    /// When the next one looks, in milliseconds since 1970 UTC.
    pub fn next_ms(&self) -> Option<i64> {
        let gone = (!self.gone.is_empty()).then_some(i64::MIN);
        gone.or_else(|| self.watched.iter().map(|one| one.due_ms).min())
    }

    /// Has those look whose time has come; whether any did. Blocks.
    pub fn tick(&mut self, now_ms: i64, means: &Means<'_>) -> bool {
        for (monitor, held) in std::mem::take(&mut self.gone) {
            (means.tell)(signal(&monitor, &held, now_ms, false));
        }
        let mut looked = false;
        for watched in self.watched.iter_mut().filter(|one| one.due_ms <= now_ms) {
            looked = true;
            let interval_ms = watched.monitor.interval_ms;
            watched.due_ms += (now_ms - watched.due_ms) / interval_ms * interval_ms + interval_ms;
            watched.look(now_ms, means);
        }
        looked
    }

    /// How all stand, in the order of their files.
    pub fn views(&self) -> Vec<MonitorView> {
        self.watched.iter().map(|one| one.view.clone()).collect()
    }

    /// The alerts that go on, once every monitor has looked after a start: others of monitors in the book are over.
    pub fn active(&self) -> Option<Vec<Fingerprint>> {
        let has_looked = self.watched.iter().all(|one| one.view.looks > 0);
        has_looked.then(|| self.watched.iter().flat_map(|one| one.held.keys().copied()).collect())
    }
}

/// The first moment after `now_ms`; each monitor has its own, so that not all look at once.
fn next_due(monitor: &Monitor, now_ms: i64) -> i64 {
    let name = format!("{};{}", monitor.file, monitor.name);
    let interval_ms = monitor.interval_ms;
    let offset_ms = (series::hash(name.as_bytes()) % interval_ms.unsigned_abs().max(1)) as i64;
    (now_ms - offset_ms).div_euclid(interval_ms) * interval_ms + offset_ms + interval_ms
}

impl Watched {
    fn look(&mut self, now_ms: i64, means: &Means<'_>) {
        let began = clock::monotonic();
        let monitor = self.monitor.clone();
        let step_ms = monitor.rollup_ms;
        let end_ms = now_ms.div_euclid(step_ms) * step_ms;
        let start_ms = end_ms - monitor.window_ms - monitor.history_ms + step_ms;
        let found = (means.values)(&monitor.query, RangeTimes { start_ms, end_ms, step_ms });
        let found = found.and_then(|found| match found.len() {
            count if count > SERIES_MAX => Err(format!("{count} series, more than {SERIES_MAX}")),
            _ => Ok(found),
        });
        let first = self.view.looks == 0;
        self.view.looks += 1;
        self.view.last_ms = Some(now_ms);
        match found {
            Err(error) => {
                if self.view.error.as_ref() != Some(&error) {
                    tracing::warn!(monitor = monitor.name, error, "a monitor could not look; the others go on");
                }
                self.view.failures += 1;
                self.view.error = Some(error);
            }
            Ok(answer) => {
                self.view.error = None;
                self.view.series = answer.len();
                self.take(judge(&monitor, &answer, end_ms), (now_ms, first), means);
            }
        }
        self.view.took_s = began.elapsed().as_secs_f64();
        let shown = |held: &Held| SeriesView {
            labels: held.found.labels.clone(),
            standing: held.standing,
            since_ms: held.since_ms,
            measure: held.found.measure,
            says: held.found.says.clone(),
        };
        self.view.held = self.held.values().map(shown).collect();
    }

    fn take(&mut self, found: Vec<Finding>, (now_ms, is_first): (i64, bool), means: &Means<'_>) {
        let monitor = self.monitor.clone();
        let mut seen: BTreeMap<Fingerprint, Finding> = BTreeMap::new();
        for finding in found {
            seen.insert(fingerprint(&monitor, &finding.labels), finding);
        }
        if is_first {
            for (print, finding) in &seen {
                let Some((severity, since_ms)) = (means.known)(*print) else { continue };
                let standing = if severity == AlertSeverity::Critical { Standing::Alert } else { Standing::Warning };
                let held = Held { standing, since_ms, calm_since_ms: None, looks: 0, found: finding.clone() };
                self.held.insert(*print, held);
            }
        }
        let gone: Vec<_> = self.held.keys().filter(|print| !seen.contains_key(print)).copied().collect();
        for held in gone.iter().filter_map(|print| self.held.remove(print)) {
            let says = format!("{}: there are no values any more", held.found.says);
            let held = Held { standing: Standing::Fine, found: Finding { says, ..held.found.clone() }, ..held };
            (means.tell)(signal(&monitor, &held, now_ms, false));
        }
        for (print, finding) in seen {
            self.step(print, finding, now_ms, means);
        }
    }

    fn step(&mut self, print: Fingerprint, finding: Finding, now_ms: i64, means: &Means<'_>) {
        let monitor = self.monitor.clone();
        let Some(held) = self.held.get_mut(&print) else {
            // What was wrong before a calm recovery window is no news.
            if finding.standing == Standing::Fine || finding.is_calm {
                return;
            }
            let standing = finding.standing;
            let held = Held { standing, since_ms: now_ms, calm_since_ms: None, looks: 1, found: finding };
            (means.tell)(signal(&monitor, &held, now_ms, true));
            self.held.insert(print, held);
            return;
        };
        let is_fine = finding.standing == Standing::Fine;
        let calm_since_ms = (finding.is_calm).then(|| held.calm_since_ms.unwrap_or(now_ms));
        // A share of points has its recovery window in the finding; what is a verdict of now has to stay calm for as long.
        let is_verdict_of_now = !matches!(monitor.kind, super::monitor::MonitorKind::Anomaly { .. });
        let wait_ms = if is_verdict_of_now { monitor.recovery_window_ms } else { 0 };
        // Data that came back is all that silence lacked.
        let is_over = match held.standing {
            Standing::NoData => is_fine,
            _ => calm_since_ms.is_some_and(|since_ms| now_ms - since_ms >= wait_ms),
        };
        if is_over {
            if let Some(held) = self.held.remove(&print) {
                let held = Held { standing: Standing::Fine, found: finding, ..held };
                (means.tell)(signal(&monitor, &held, now_ms, false));
            }
            return;
        }
        held.standing = match held.standing {
            Standing::NoData => finding.standing,
            known => known.max(finding.standing),
        };
        held.calm_since_ms = calm_since_ms;
        held.looks += 1;
        if is_fine {
            // What was said of it last stays, with the newest value.
            held.found.value = finding.value;
        } else {
            held.found = finding;
        }
        (means.tell)(signal(&monitor, held, now_ms, true));
    }
}

/// The alert's identity: the monitor and the series.
fn fingerprint(monitor: &Monitor, labels: &BTreeMap<String, String>) -> Fingerprint {
    let text: Vec<String> = labels.iter().map(|(name, value)| format!("{name}\u{ff}{value}\u{ff}")).collect();
    Fingerprint::of(&format!("monitor {}", monitor.name), text.concat().as_bytes())
}

fn signal(monitor: &Monitor, held: &Held, now_ms: i64, is_open: bool) -> Signal {
    let found = &held.found;
    let standing = if is_open { held.standing } else { Standing::Fine };
    let mut labels = found.labels.clone();
    if let Some(name) = labels.remove("__name__") {
        labels.insert("metric_name".to_owned(), name);
    }
    for (name, value) in &monitor.tags {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    labels.entry("alert_type".to_owned()).or_insert_with(|| monitor.kind_word().to_owned());
    labels.insert("alertname".to_owned(), monitor.name.clone());
    let expected = found.expected.map(in_words);
    let warning = monitor.limits.warning.map(plain);
    let words = [
        ("value", Some(plain(found.value))),
        ("expected_bounds", expected.clone()),
        ("threshold", Some(plain(monitor.limits.critical))),
        ("warn_threshold", warning),
        ("fraction", Some(plain(found.measure))),
        ("monitor", Some(monitor.name.clone())),
    ];
    let of = words.into_iter().filter_map(|(word, text)| Some((word, text?))).collect();
    let message = monitor.message.render(standing, &Words { of, labels: found.labels.clone() });
    let says = if is_open { found.says.clone() } else { format!("recovered: {}", found.says) };
    let first = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or(&says).to_owned();
    let handles = handles(&message).join(",");
    let annotations = [
        ("message", message),
        ("handles", handles),
        ("expected_bounds", expected.unwrap_or_default()),
        ("monitor_says", says),
        ("monitor_state", standing.as_str().to_owned()),
        ("direction", found.direction.unwrap_or_default().to_owned()),
    ];
    let annotations = annotations.into_iter().filter(|(_, text)| !text.is_empty());
    let severity = if held.standing == Standing::Alert { AlertSeverity::Critical } else { AlertSeverity::Warning };
    Signal {
        fingerprint: fingerprint(monitor, &found.labels),
        origin: Origin::Monitor,
        occurrence_ms: held.since_ms,
        name: monitor.name.clone(),
        labels,
        annotations: annotations.map(|(name, text)| (name.to_owned(), text)).collect(),
        severity,
        start_ms: held.since_ms,
        last_ms: now_ms,
        is_open,
        count: held.looks.max(1),
        value: found.value,
        score: 0.0,
        summary: first,
        anomaly_id: None,
        renotify_ms: monitor.renotify_ms,
    }
}
