//! One group: its rules are evaluated one after the other, each seeing what those before it wrote.
//!
//! Not here: when that is (see `server`), alerts (see `alerting`).
//!
//! Invariants: a series that a rule no longer gives ends with a staleness marker; a rule that fails says so and holds up
//! none of the others.

use super::alerting::{Alerts, OUTAGE_MS};
use super::board::{GroupView, Health, RuleView};
use super::file::{Group, Rule, RuleKind};
use crate::alert::Signal;
use crate::clock;
use crate::query;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use storage::sample::STALE_NAN_BITS;

/// Labels by name.
pub(super) type Labels = BTreeMap<String, String>;

/// Series by their labels, as an expression gives them.
pub type Answer = Vec<(BTreeMap<String, String>, f64)>;

/// A sample to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The series' labels, its name among them.
    pub labels: BTreeMap<String, String>,
    /// Milliseconds since 1970 UTC.
    pub time_ms: i64,
    /// The value, or the staleness marker.
    pub value: f64,
}

/// What holds for all rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RuleSettings {
    /// Labels that every alert has beside its own.
    pub external_labels: BTreeMap<String, String>,
    /// Where people find the server, without a slash at its end.
    pub external_url: String,
}

/// Evaluates an expression at a time, looking back as far as said, in milliseconds, or as set.
pub type Query<'a> = &'a dyn Fn(&str, i64, Option<i64>) -> Result<Answer, String>;

/// What rules need of the world.
pub struct Means<'a> {
    /// Evaluates expressions.
    pub query: Query<'a>,
    /// Writes samples.
    pub write: &'a dyn Fn(&[Recorded]) -> Result<(), String>,
    /// Tells the book of alerts.
    pub tell: &'a dyn Fn(Signal),
    /// What holds for all rules.
    pub settings: &'a RuleSettings,
}

/// What is known of a rule between two evaluations.
#[derive(Debug, Default)]
struct State {
    /// Series that it gave last.
    given: BTreeSet<Labels>,
    alerts: Alerts,
    health: Health,
    took_s: f64,
    last_ms: Option<i64>,
}

/// A group and what is known of its rules.
#[derive(Debug)]
pub struct GroupRunner {
    group: Arc<Group>,
    states: Vec<State>,
    /// Of rules that are gone: series that end with the next evaluation, and alerts that are over.
    gone: Vec<State>,
    is_restored: bool,
    view: GroupView,
}

impl GroupRunner {
    /// Of a group that was not evaluated yet.
    pub fn new(group: Group) -> Self {
        let group = Arc::new(group);
        let states = group.rules.iter().map(|_| State::default()).collect();
        let view = GroupView::new(&group);
        Self { group, states, gone: Vec::new(), is_restored: false, view }
    }

    /// The group.
    pub fn group(&self) -> &Group {
        &self.group
    }

    /// How it stands.
    pub fn view(&self) -> &GroupView {
        &self.view
    }

    /// Takes over from the group that stood in its place: rules that stayed as they were go on, those that are gone end.
    pub fn go_on_from(&mut self, before: Self) {
        let mut old: Vec<(Rule, State)> = before.group.rules.iter().cloned().zip(before.states).collect();
        for (rule, state) in self.group.rules.iter().zip(&mut self.states) {
            let is_same = |(known, _): &(Rule, State)| Rule { line: rule.line, ..known.clone() } == *rule;
            if let Some(at) = old.iter().position(is_same) {
                *state = old.remove(at).1;
            }
        }
        self.gone = old.into_iter().map(|(_, state)| state).chain(before.gone).collect();
        self.is_restored = before.is_restored;
    }

    /// Evaluates every rule at a time.
    pub fn evaluate(&mut self, time_ms: i64, means: &Means<'_>) {
        let began = clock::monotonic();
        let at_ms = time_ms - self.group.offset_ms;
        for state in std::mem::take(&mut self.gone) {
            state.end(at_ms, means);
        }
        for (rule, state) in self.group.rules.iter().zip(&mut self.states) {
            let began = clock::monotonic();
            let done = state.evaluate(&self.group, rule, (at_ms, !self.is_restored), means);
            state.took_s = began.elapsed().as_secs_f64();
            state.last_ms = Some(time_ms);
            if let Err(error) = &done {
                let group = self.group.name.as_str();
                tracing::warn!(group, rule = rule.name, error, "a rule could not be evaluated");
            }
            state.health = done.map_or_else(Health::Failing, |()| Health::Good);
        }
        self.is_restored = true;
        self.show(time_ms, began.elapsed().as_secs_f64());
    }

    /// The group is gone: its series end, and its alerts are over.
    pub fn end(self, time_ms: i64, means: &Means<'_>) {
        self.states.into_iter().chain(self.gone).for_each(|state| state.end(time_ms, means));
    }

    fn show(&mut self, time_ms: i64, took_s: f64) {
        self.view.evaluations += 1;
        self.view.failures +=
            self.states.iter().filter(|state| matches!(state.health, Health::Failing(_))).count() as u64;
        (self.view.last_ms, self.view.took_s) = (Some(time_ms), took_s);
        let shown = |state: &State| RuleView {
            health: state.health.clone(),
            took_s: state.took_s,
            last_ms: state.last_ms,
            alerts: state.alerts.0.values().cloned().collect(),
        };
        self.view.rules = self.states.iter().map(shown).collect();
    }
}

impl State {
    fn evaluate(&mut self, group: &Group, rule: &Rule, at: (i64, bool), means: &Means<'_>) -> Result<(), String> {
        let (time_ms, is_first) = at;
        let answer = (means.query)(&rule.expression, time_ms, None)?;
        if group.limit > 0 && answer.len() > group.limit {
            return Err(format!("{} series, more than the group's limit of {}", answer.len(), group.limit));
        }
        let series = match &rule.kind {
            RuleKind::Recording(labels) => recorded(&rule.name, labels, answer)?,
            RuleKind::Alerting(alerting) => {
                if is_first {
                    // What is found active is not told before it is known since when it is.
                    let silent = Means { tell: &|_| {}, ..*means };
                    self.alerts.take((rule, alerting), answer, time_ms, &silent)?;
                    self.alerts.0.values_mut().for_each(|active| active.start_over());
                    self.alerts.restore(&before(rule, time_ms, means)?, alerting.for_ms, time_ms);
                    self.alerts.fire(alerting, time_ms, means)
                } else {
                    self.alerts.take((rule, alerting), answer, time_ms, means)?
                }
            }
        };
        self.write(series, time_ms, means)
    }

    /// Writes series, and a marker for each that is no longer among them.
    fn write(&mut self, series: Vec<(Labels, f64)>, time_ms: i64, means: &Means<'_>) -> Result<(), String> {
        let given: BTreeSet<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        let mut samples: Vec<_> =
            series.into_iter().map(|(labels, value)| Recorded { labels, time_ms, value }).collect();
        samples.extend(self.given.difference(&given).map(|labels| ended(labels, time_ms)));
        if !samples.is_empty() {
            (means.write)(&samples)?;
        }
        self.given = given;
        Ok(())
    }

    fn end(self, time_ms: i64, means: &Means<'_>) {
        self.alerts.end(time_ms, means);
        let samples: Vec<_> = self.given.iter().map(|labels| ended(labels, time_ms)).collect();
        if let Err(error) = (means.write)(&samples) {
            tracing::warn!(error, "series of rules that are gone could not be ended");
        }
    }
}

/// The answer of an instant query as rules take it.
///
/// # Errors
/// When it is no vector and no number.
pub fn of_answer(answer: query::Answer) -> Result<Answer, String> {
    match answer {
        query::Answer::Scalar(_, value) => Ok(vec![(Labels::new(), value)]),
        query::Answer::Vector(_, series) => {
            let texts = |labels: query::Labels| {
                labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
            };
            Ok(series.into_iter().map(|(labels, value)| (texts(labels), value)).collect())
        }
        _ => Err("the expression gives neither a vector nor a number".to_owned()),
    }
}

fn ended(labels: &Labels, time_ms: i64) -> Recorded {
    Recorded { labels: labels.clone(), time_ms, value: f64::from_bits(STALE_NAN_BITS) }
}

/// The result of a recording rule under its name.
fn recorded(name: &str, of_rule: &Labels, answer: Answer) -> Result<Vec<(Labels, f64)>, String> {
    let mut seen = BTreeMap::new();
    for (mut labels, value) in answer {
        labels.insert("__name__".to_owned(), name.to_owned());
        labels.extend(of_rule.clone());
        labels.retain(|_, value| !value.is_empty());
        if seen.insert(labels, value).is_some() {
            return Err("vector contains metrics with the same labelset after applying rule labels".to_owned());
        }
    }
    Ok(seen.into_iter().collect())
}

/// The alerts of a rule as they were before a stop: when they were seen last, and since when they held.
fn before(rule: &Rule, time_ms: i64, means: &Means<'_>) -> Result<BTreeMap<Labels, (i64, i64)>, String> {
    let selector = format!("ALERTS_FOR_STATE{{alertname={:?}}}", rule.name);
    // The evaluation before this one, so that nothing of this one counts.
    let ask = |expression: &str| (means.query)(expression, time_ms - 1, Some(OUTAGE_MS));
    let mut since: BTreeMap<Labels, i64> = BTreeMap::new();
    for (mut labels, value) in ask(&selector)? {
        labels.remove("__name__");
        since.insert(labels, (value * 1000.0).round() as i64);
    }
    let mut found = BTreeMap::new();
    for (labels, value) in if since.is_empty() { Answer::new() } else { ask(&format!("timestamp({selector})"))? } {
        if let Some(since_ms) = since.get(&labels) {
            found.insert(labels, ((value * 1000.0).round() as i64, *since_ms));
        }
    }
    Ok(found)
}
