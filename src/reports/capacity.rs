//! Which series have a limit, and a line for each: when it is reached, how fast it goes there, and what sets it back.
//!
//! A series has a limit by its name (a percentage and a ratio, of which 95 % count as full), by a predictive rule, or
//! because somebody asks for one.
//!
//! Not here: how a forecast is made (see `analysis::forecast`).

use super::shapes::{Exhaustion, Sawtooth, Trend};
use crate::analysis::forecast::{Direction, ForecastEngine, Threshold, most_of};
use crate::forecasts::{ForecastDesk, Made, NoForecast, RuleBoard};
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use storage::label_index::Matcher;
use storage::sample::Samples;
use storage::series::{self, NAME_LABEL};
use storage::{SelectedSeries, Store, StoreError};

/// The share of the most a value can be at which a series counts as full.
const FULL: f64 = 0.95;
/// Names whose values have a limit by themselves.
const LIMITED: &str = ".*_(percent|pct|percentage|ratio)";

/// A series and its limit.
pub type Limited = (SelectedSeries, Threshold);

/// A series with a limit, as reports and answers have it.
#[derive(Debug, Serialize)]
pub struct CapacityLine {
    metric_name: String,
    labels: BTreeMap<String, String>,
    limit: f64,
    days_to_exhaustion: Option<f64>,
    exhaustion: Option<Exhaustion>,
    current: f64,
    /// Probability, 0 to 1, that the limit is reached within the coming week.
    sla_risk_score: f64,
    trend: Trend,
    sawtooth: Option<Sawtooth>,
    #[serde(skip)]
    earliest_ms: Option<i64>,
    #[serde(skip)]
    is_leak: bool,
}

/// The series of these sets of matchers that have a limit, in the order of their keys: the limit that was asked for, or
/// the one by their name. No sets are all series that have one by their name.
///
/// # Errors
/// When a matcher is too long, or the store cannot be read.
pub fn limited(store: &Store, sets: &[Vec<Matcher>], asked: Option<Threshold>) -> Result<Vec<Limited>, StoreError> {
    let by_name = [vec![Matcher::regex(NAME_LABEL, LIMITED)?]];
    let mut found = Vec::new();
    for set in if sets.is_empty() { &by_name[..] } else { sets } {
        found.extend(store.select(set, i64::MIN, i64::MAX)?);
    }
    found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    found.dedup_by(|a, b| a.key == b.key);
    let usual =
        |name: &str| most_of(name, None).map(|most| Threshold { value: FULL * most, direction: Direction::Above });
    let with_limit = |one: SelectedSeries| {
        let threshold = asked.or_else(|| usual(series::label(&one.key, NAME_LABEL).unwrap_or("")))?;
        Some((one, threshold))
    };
    Ok(found.into_iter().filter_map(with_limit).collect())
}

/// The series that predictive rules name, with the rule's limit, in the order of their keys; of several rules that name
/// one, the first by name counts.
///
/// # Errors
/// When the store cannot be read.
pub fn of_rules(store: &Store, rules: &RuleBoard) -> Result<Vec<Limited>, StoreError> {
    let mut found: Vec<Limited> = Vec::new();
    for rule in rules.all().into_iter().filter_map(|(_, figures)| figures.rule) {
        let series = store.select(&rule.matchers, i64::MIN, i64::MAX)?;
        found.extend(series.into_iter().map(|one| (one, rule.threshold)));
    }
    // Stable, so that the order of rules stays.
    found.sort_by(|a, b| a.0.key.cmp(&b.0.key));
    found.dedup_by(|a, b| a.0.key == b.0.key);
    Ok(found)
}

impl CapacityLine {
    /// The line of a series, by the forecast that is kept of it or one made for this; whether one that had to be made is
    /// kept, is said by `is_kept`. None of a series that is too short to say anything; `samples` is room to read in.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn of(
        desk: &ForecastDesk,
        (one, threshold): &Limited,
        is_kept: bool,
        samples: &mut Samples,
    ) -> Result<Option<Self>, StoreError> {
        let engine = ForecastEngine { threshold: Some(*threshold), ..ForecastEngine::default() };
        let made = if is_kept { desk.of(one, engine, None, samples) } else { desk.once(one, engine, None, samples) };
        match made {
            Ok(made) => Ok(Some(Self::new(one, threshold.value, made))),
            Err(NoForecast::Series(_)) => Ok(None),
            Err(NoForecast::Store(error)) => Err(error),
        }
    }

    fn new(one: &SelectedSeries, limit: f64, Made { forecast, current, .. }: Made) -> Self {
        let labels = series::labels(&one.key).filter(|(name, _)| *name != NAME_LABEL);
        Self {
            metric_name: series::label(&one.key, NAME_LABEL).unwrap_or("").to_owned(),
            labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            limit,
            days_to_exhaustion: forecast.days_to_exhaustion,
            earliest_ms: forecast.exhaustion.map(|found| found.earliest_ms),
            exhaustion: forecast.exhaustion.map(Exhaustion::of),
            current,
            sla_risk_score: forecast.sla_risk,
            trend: Trend::of(forecast.trend),
            is_leak: forecast.sawtooth.as_ref().is_some_and(|saw| saw.is_leak()),
            sawtooth: forecast.sawtooth.as_ref().map(Sawtooth::of),
        }
    }

    /// Which of two has the fewest days left; those that never reach their limit come last.
    pub fn fewest_days(&self, other: &Self) -> Ordering {
        let days = |line: &Self| line.days_to_exhaustion.unwrap_or(f64::INFINITY);
        days(self).total_cmp(&days(other)).then_with(|| self.metric_name.cmp(&other.metric_name))
    }

    /// Which of two may reach its limit first, though it need not be the likelier one.
    pub(super) fn may_be_first(&self, other: &Self) -> Ordering {
        let earliest = |line: &Self| line.earliest_ms.unwrap_or(i64::MAX);
        earliest(self).cmp(&earliest(other)).then_with(|| self.fewest_days(other))
    }

    /// When it may reach its limit at the earliest, in milliseconds since 1970.
    pub(super) fn earliest_ms(&self) -> Option<i64> {
        self.earliest_ms
    }

    /// Whether each reset frees less than the one before.
    pub(super) fn is_leak(&self) -> bool {
        self.is_leak
    }

    /// The series and its limit, in words.
    pub(super) fn subject(&self) -> String {
        let labels: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        format!("{}{labels} (limit {})", self.metric_name, self.limit)
    }
}
