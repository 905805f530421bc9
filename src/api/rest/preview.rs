//! `POST /api/v1/metrics/{name}/preview`: how many alerts other settings would have raised on what is stored, before anybody
//! sets them.
//!
//! Not here: judging by windows (see `windowed`) and by the ensemble (see `replay`).
//!
//! Cost: one pass over the range for each setting asked for; all passes together judge at most ten million samples.

use super::Shared;
use super::answer::{ApiError, Text};
use super::body::Fields;
use super::parameters::matchers_of;
use super::replay::{Replay, SAMPLES_MAX};
use super::run::{check, run};
use super::selection::{name_of, newest_ms, select};
use super::shapes::Time;
use crate::windowed::{Settings, preview};
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use serde::Serialize;
use std::sync::Arc;
use storage::sample::Samples;
use storage::series::{NAME_LABEL, label};

/// How far back it looks from the newest sample unless it is asked for another range.
const RANGE_MS: i64 = 14 * 86_400_000;
/// Settings of one kind in a call.
const TRIED_MAX: usize = 20;
const DAY_MS: f64 = 86_400_000.0;

#[derive(Debug, Serialize)]
struct Shown<'a> {
    name: &'a str,
    start: Time,
    end: Time,
    series: usize,
    windows: Vec<Windows>,
    budgets: Vec<Budget>,
}

/// What windows beyond a limit would have told.
#[derive(Debug, Serialize)]
struct Windows {
    std_multiplier: f64,
    calibration_window: usize,
    is_current: bool,
    windows: u64,
    anomalous_windows: u64,
    alerts: u64,
    alerts_per_day: f64,
}

/// What the ensemble would have told with another budget.
#[derive(Debug, Serialize)]
struct Budget {
    anomalies_per_series_month: f64,
    is_current: bool,
    samples: usize,
    alerts: usize,
    alerts_per_day: f64,
}

/// What a request asks.
#[derive(Debug)]
struct Asked {
    start_ms: Option<i64>,
    end_ms: Option<i64>,
    sets: Vec<Vec<storage::label_index::Matcher>>,
    multipliers: Vec<f64>,
    calibration_window: usize,
    budgets: Vec<f64>,
}

impl Asked {
    async fn read(shared: &Shared, body: Body) -> Result<Self, ApiError> {
        let usual = &shared.api.windows;
        let mut fields = Fields::read(body).await?;
        let (start_ms, end_ms) = (fields.time_ms("start")?, fields.time_ms("end")?);
        if start_ms.zip(end_ms).is_some_and(|(start_ms, end_ms)| end_ms < start_ms) {
            return Err(ApiError::field("end", "before start"));
        }
        let sets =
            fields.texts("match")?.iter().map(|text| matchers_of(text, &shared.api.query)).collect::<Result<_, _>>()?;
        let multipliers = numbers(&mut fields, "std_multiplier", (0.1, 100.0))?;
        let budgets = numbers(&mut fields, "anomalies_per_series_month", (0.001, 10_000.0))?;
        let calibration_window = fields.count("calibration_window")?.unwrap_or(usual.calibration_window);
        if !(30..=10_000).contains(&calibration_window) {
            return Err(ApiError::field("calibration_window", "expected 30 to 10000"));
        }
        fields.finish()?;
        Ok(Self { start_ms, end_ms, sets, multipliers, calibration_window, budgets })
    }
}

/// A list of numbers within bounds; empty where there is none.
fn numbers(fields: &mut Fields, name: &str, (least, most): (f64, f64)) -> Result<Vec<f64>, ApiError> {
    let all = fields.array(name)?.unwrap_or_default();
    if all.len() > TRIED_MAX {
        return Err(ApiError::field(name, format!("more than {TRIED_MAX}")));
    }
    let number = |value: &serde_json::Value| value.as_f64().filter(|number| (least..=most).contains(number));
    let wrong = || ApiError::field(name, format!("expected a list of numbers between {least} and {most}"));
    all.iter().map(|value| number(value).ok_or_else(wrong)).collect()
}

/// Tries settings on what is stored.
pub(super) async fn try_out(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    body: Body,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let asked = Asked::read(&shared, body).await?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &asked.sets)?;
        let end_ms = asked.end_ms.or(newest_ms(shared, &found)?).unwrap_or_else(shared.api.now_ms);
        let start_ms = asked.start_ms.unwrap_or_else(|| end_ms.saturating_sub(RANGE_MS));
        let usual = shared.api.windows;
        let tried = |multiplier: &f64| Settings {
            std_multiplier: *multiplier,
            calibration_window: asked.calibration_window,
            ..usual
        };
        let changed: Vec<Settings> = asked.multipliers.iter().map(tried).collect();
        let wanted = [vec![usual], changed].concat();
        let mut windows: Vec<Windows> = wanted.iter().map(|settings| Windows::of(settings, &usual)).collect();
        let (mut samples, mut left, mut first_ms) = (Samples::default(), SAMPLES_MAX, end_ms);
        for one in &found {
            shared.api.store.read(one.series, start_ms, end_ms, &mut samples)?;
            let Some(rest) = left.checked_sub(samples.times.len() * wanted.len()) else {
                let message = format!("more than {SAMPLES_MAX} samples to judge; ask for less time or fewer settings");
                return Err(ApiError::unprocessable(message).with("field", "start"));
            };
            left = rest;
            first_ms = samples.times.first().map_or(first_ms, |time_ms| first_ms.min(*time_ms));
            for (settings, sum) in wanted.iter().zip(&mut windows) {
                check(cancel)?;
                let family = label(&one.key, NAME_LABEL).unwrap_or("");
                let told = preview(&one.key, family, &samples, settings);
                sum.windows += told.windows;
                sum.anomalous_windows += told.anomalous;
                sum.alerts += told.alerts;
            }
        }
        let days = (end_ms.saturating_sub(first_ms) as f64 / DAY_MS).max(1.0 / 1440.0);
        windows.iter_mut().for_each(|one| one.alerts_per_day = one.alerts as f64 / days);
        let current = shared.api.settings.usual().anomalies_per_month;
        let mut budgets = Vec::new();
        for budget in [current].iter().chain(&asked.budgets) {
            let mut replay = Replay::new(shared, cancel, found.len()).budgeting(*budget);
            let (mut samples, mut alerts) = (0, 0);
            for one in &found {
                let replayed = replay.series(one, (start_ms, end_ms), SAMPLES_MAX, |_, _, _| {})?;
                (samples, alerts) = (samples + replayed.samples, alerts + replayed.anomalies.len());
            }
            let is_current = *budget == current;
            let alerts_per_day = alerts as f64 / days;
            budgets.push(Budget { anomalies_per_series_month: *budget, is_current, samples, alerts, alerts_per_day });
        }
        Text::of(&Shown {
            name: &name,
            start: Time(start_ms),
            end: Time(end_ms),
            series: found.len(),
            windows,
            budgets,
        })
    })
    .await
}

impl Windows {
    fn of(settings: &Settings, usual: &Settings) -> Self {
        Self {
            std_multiplier: settings.std_multiplier,
            calibration_window: settings.calibration_window,
            is_current: settings == usual,
            windows: 0,
            anomalous_windows: 0,
            alerts: 0,
            alerts_per_day: 0.0,
        }
    }
}
