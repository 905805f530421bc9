//! `infrawatch forecast FILE`: what the series of a file will do next, and when they reach a limit.
//!
//! CSV has one row a step and nothing else; the table is a summary for people; JSON has the fields of the API's
//! forecast, times in the notation of the file.
//!
//! Not here: how a forecast is made (see `analysis::forecast`), how files are read (see `series_file`).

use super::output::{Rows, csv_cell, write_text};
use super::settings::load;
use super::{CliError, Format, Global, forecast_words};
use crate::analysis::forecast::{
    Direction, Envelope, Forecast as Outcome, ForecastEngine, ForecastError, Limits, Method, Threshold, most_of,
};
use crate::analysis::pretrained::use_model;
use crate::plot::{Chart, EnvelopePoint, FanPoint};
use crate::series_file::{self, FileRow, SeriesFile, TimeNotation};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::PathBuf;

const DAY_MS: f64 = 86_400_000.0;
/// Rows a table shows of a forecast; CSV and JSON have all.
const TABLE_ROWS: usize = 24;
/// Steps of history in a picture for every step of forecast, so that the fan is not squeezed to the edge.
const HISTORY_STEPS: usize = 6;

#[derive(Debug, Args)]
pub(super) struct Forecast {
    /// CSV with the columns timestamp and value, a JSON array, or NDJSON; other columns are labels
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Steps ahead; a step is the usual distance of the samples
    #[arg(long, value_name = "N", default_value_t = 168)]
    horizon: usize,
    /// Percentage of values that the band shall hold
    #[arg(long, value_name = "PERCENT", default_value_t = 80.0)]
    level: f64,
    /// Limit to watch: adds days to exhaustion and SLA risk
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    capacity_threshold: Option<f64>,
    /// Which way the limit is exceeded: above or below
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    direction: Way,
    /// Limit from above to report on: whether and when it will be broken within the horizon
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    upper_threshold: Option<f64>,
    /// Limit from below to report on
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true)]
    lower_threshold: Option<f64>,
    /// Unit of the values; % means that they stay within 0 and 100
    #[arg(long, value_name = "UNIT", default_value = "", hide_default_value = true)]
    unit: String,
    /// Print only so many series, those with the fewest days to exhaustion, a line each
    #[arg(long, value_name = "N", requires = "capacity_threshold")]
    top: Option<usize>,
    /// The one forecaster to use, by its name; without it the best are combined
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Name of the metric
    #[arg(long, value_name = "NAME", default_value = "value")]
    metric: String,
    /// Draw history and forecast as a picture; only for a file with one series
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Way {
    #[default]
    Above,
    Below,
}

/// Names and values of labels, as a row has them.
type Labels = [(Box<str>, Box<str>)];

/// The samples of one label set, and how their times are written.
struct Series<'a> {
    labels: &'a Labels,
    times_ms: Vec<i64>,
    values: Vec<f64>,
    notation: TimeNotation,
}

impl Forecast {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let engine = self.engine()?;
        if let Some(folder) = load(global, Vec::new())?.config.foundation.model {
            use_model(&folder).map_err(|error| CliError::Failed(format!("foundation.model: {error}")))?;
        }
        let file = series_file::read(&self.file).map_err(|error| CliError::Failed(error.to_string()))?;
        let series = series_of(&file);
        let unusable = file.rows.len() - series.iter().map(|series| series.values.len()).sum::<usize>();
        if unusable > 0 && !global.quiet {
            eprintln!("{unusable} of {} rows have no usable timestamp and value", file.rows.len());
        }
        if series.is_empty() {
            return Err(self.failed("", &ForecastError::TooShort { usable: 0 }));
        }
        if self.plot.is_some() && series.len() > 1 {
            let count = series.len();
            return Err(CliError::Usage(format!("--plot draws one series, {} has {count}", self.file.display())));
        }
        let mut outcomes = Vec::with_capacity(series.len());
        for series in &series {
            let engine = ForecastEngine { most: self.most(series), ..engine };
            let outcome = engine.forecast(&series.times_ms, &series.values);
            outcomes.push(outcome.map_err(|error| self.failed(&series.name(&self.metric), &error))?);
        }
        if let (Some(path), Some(series), Some(outcome)) = (&self.plot, series.first(), outcomes.first()) {
            let svg = self.chart(series, outcome).to_svg();
            std::fs::write(path, svg).map_err(|source| CliError::Output { path: path.clone(), source })?;
        }
        let results: Vec<(&Series<'_>, &Outcome)> = series.iter().zip(&outcomes).collect();
        let text = match global.format() {
            Format::Csv => csv(&file.label_names, &results),
            Format::Json => self.json(&results),
            Format::Table if self.top.is_some() => self.report(results),
            Format::Table => results.iter().map(|(series, outcome)| self.table(series, outcome)).collect(),
        };
        write_text(global, &text)
    }

    /// The engine, with its settings tried out, so that a wrong one is wrong usage whatever is in the file.
    fn engine(&self) -> Result<ForecastEngine, CliError> {
        let direction = match self.direction {
            Way::Above => Direction::Above,
            Way::Below => Direction::Below,
        };
        let threshold = self.capacity_threshold.map(|value| Threshold { value, direction });
        let method = self.method.as_deref().map(method).transpose()?;
        let engine = ForecastEngine { horizon: self.horizon, level: self.level, threshold, method, most: None };
        let limits = [self.upper_threshold, self.lower_threshold];
        if let Some(limit) = limits.into_iter().flatten().find(|limit| !limit.is_finite()) {
            return Err(CliError::Usage(format!("the threshold {limit} is not finite")));
        }
        match engine.check_settings() {
            Ok(()) => Ok(engine),
            Err(error) => Err(CliError::Usage(format!("{error}: see --horizon, --level and --capacity-threshold"))),
        }
    }

    /// The most a value of this series can be.
    fn most(&self, series: &Series<'_>) -> Option<f64> {
        let name = series.labels.iter().find(|(name, _)| &**name == "name").map_or(&*self.metric, |(_, value)| value);
        most_of(name, Some(&self.unit))
    }

    /// The limits to report on: those given, else the capacity.
    fn limits(&self) -> Limits {
        if self.upper_threshold.is_some() || self.lower_threshold.is_some() {
            return Limits { upper: self.upper_threshold, lower: self.lower_threshold };
        }
        match self.direction {
            Way::Above => Limits { upper: self.capacity_threshold, lower: None },
            Way::Below => Limits { upper: None, lower: self.capacity_threshold },
        }
    }

    /// The series with the fewest days left, a line each.
    fn report(&self, mut results: Vec<(&Series<'_>, &Outcome)>) -> String {
        let days = |outcome: &Outcome| outcome.days_to_exhaustion.unwrap_or(f64::INFINITY);
        results.sort_by(|(_, a), (_, b)| days(a).total_cmp(&days(b)));
        let mut rows = Rows::new(&["series", "days left", "earliest", "likely", "latest", "SLA risk %"]);
        for (series, outcome) in results.into_iter().take(self.top.unwrap_or(usize::MAX)) {
            let time = |time_ms: Option<i64>| {
                time_ms.map_or_else(|| "never".to_owned(), |time_ms| series.notation.format(time_ms))
            };
            let found = outcome.exhaustion;
            rows.push(vec![
                series.name(&self.metric).into(),
                outcome.days_to_exhaustion.map_or("none".to_owned(), |days| format!("{days:.1}")).into(),
                time(found.map(|found| found.earliest_ms)).into(),
                time(found.and_then(|found| found.likely_ms)).into(),
                time(found.and_then(|found| found.latest_ms)).into(),
                short(100.0 * outcome.sla_risk),
            ]);
        }
        rows.table()
    }

    fn failed(&self, series: &str, error: &ForecastError) -> CliError {
        let series = if series.is_empty() { String::new() } else { format!(" {series}:") };
        CliError::Failed(format!("{}:{series} {error}", self.file.display()))
    }

    fn json(&self, results: &[(&Series<'_>, &Outcome)]) -> String {
        let one = |(series, outcome): &(&Series<'_>, &Outcome)| {
            let time = |time_ms: i64| match series.notation {
                TimeNotation::Seconds if time_ms % 1000 == 0 => json!(time_ms / 1000),
                TimeNotation::Seconds => json!(time_ms as f64 / 1000.0),
                TimeNotation::Milliseconds => json!(time_ms),
                notation => json!(notation.format(time_ms)),
            };
            let column = |value: &dyn Fn(usize) -> Value| (0..outcome.points.len()).map(value).collect::<Value>();
            let points = &outcome.points;
            let seasons = outcome.seasons.iter();
            let seasons = seasons.map(|s| json!({"period_s": s.period_ms as f64 / 1000.0, "strength": s.strength}));
            let exhaustion = outcome.exhaustion.map(|found| {
                json!({
                    "earliest": time(found.earliest_ms), "likely": found.likely_ms.map(time),
                    "latest": found.latest_ms.map(time), "probability": found.probability,
                })
            });
            let error = outcome.held_out_error.map(|error| json!({"mase": error.mase, "coverage": error.coverage}));
            let labels: serde_json::Map<_, _> =
                series.labels.iter().map(|(name, value)| (name.to_string(), json!(value))).collect();
            let mut object = json!({
                "labels": labels, "method": outcome.method,
                "timestamps": column(&|i| time(points[i].time_ms)),
                "predicted_values": column(&|i| json!(points[i].forecast)),
                "lower_bound": column(&|i| json!(points[i].lower)),
                "upper_bound": column(&|i| json!(points[i].upper)),
                "trend_per_day": outcome.trend.slope, "trend": forecast_words::trend_report(outcome.trend), "seasons": seasons.collect::<Value>(),
                "days_to_exhaustion": outcome.days_to_exhaustion, "exhaustion": exhaustion,
                "sla_risk_score": outcome.sla_risk, "sla_time_share": outcome.time_beyond, "held_out_error": error,
                "sawtooth": outcome.sawtooth.as_ref().map(forecast_words::sawtooth_report),
            });
            if self.upper_threshold.is_some() || self.lower_threshold.is_some() {
                object["breach"] = forecast_words::breach_report(outcome, self.limits(), time);
            }
            object
        };
        let series: Value = results.iter().map(one).collect();
        format!("{:#}\n", json!({"metric": self.metric, "series": series}))
    }

    fn table(&self, series: &Series<'_>, outcome: &Outcome) -> String {
        let mut lines = Rows::new(&["forecast", ""]);
        let mut line = |name: &str, text: String| lines.push(vec![name.into(), text.into()]);
        line("series", series.name(&self.metric));
        line("method", outcome.method.clone());
        line("trend", trend(outcome, self.level));
        line("seasonality", seasonality(outcome));
        if let Some(saw) = &outcome.sawtooth {
            line("sawtooth", forecast_words::sawtooth(saw, significant, span));
        }
        if self.capacity_threshold.is_some() {
            line("days to exhaustion", days_to_exhaustion(series, outcome));
        }
        line("SLA risk", self.sla_risk(outcome));
        line("held-out error", held_out_error(outcome, self.level));
        let every = outcome.points.len().div_ceil(TABLE_ROWS).max(1);
        let mut rows = Rows::new(&["timestamp", "forecast", "lower", "upper"]);
        for point in outcome.points.iter().step_by(every) {
            let time = series.notation.format(point.time_ms);
            rows.push(vec![time.into(), short(point.forecast), short(point.lower), short(point.upper)]);
        }
        let mut text = format!("{}\n{}", lines.table(), rows.table());
        if every > 1 {
            let shown = outcome.points.len().div_ceil(every);
            let _ = writeln!(text, "({shown} of {} rows; --format csv has all)", outcome.points.len());
        }
        let breaches = outcome.breaches(self.limits());
        let time = |time_ms| series.notation.format(time_ms);
        for warning in forecast_words::warnings(&series.name(&self.metric), &self.unit, &breaches, time) {
            let _ = writeln!(text, "{warning}");
        }
        text.push('\n');
        text
    }

    fn sla_risk(&self, outcome: &Outcome) -> String {
        let Some(limit) = self.capacity_threshold else {
            return "unknown without --capacity-threshold".to_owned();
        };
        let percent = 100.0 * outcome.sla_risk;
        let within = span(outcome.points.len() as f64 * outcome.step_ms as f64);
        let beyond = 100.0 * outcome.time_beyond;
        format!("{percent:.1} % to reach {limit} within {within}, {beyond:.1} % of that time beyond it")
    }

    fn chart(&self, series: &Series<'_>, outcome: &Outcome) -> Chart {
        let mut values: Vec<(i64, f64)> = series.times_ms.iter().copied().zip(series.values.iter().copied()).collect();
        values.sort_by_key(|(time_ms, _)| *time_ms);
        let history_ms = outcome.step_ms.saturating_mul((outcome.points.len() * HISTORY_STEPS) as i64);
        let from_ms = values.last().map_or(0, |(time_ms, _)| time_ms.saturating_sub(history_ms));
        values.retain(|(time_ms, _)| *time_ms >= from_ms);
        let fan = |p: &crate::analysis::forecast::ForecastPoint| FanPoint {
            time_ms: p.time_ms,
            value: p.forecast,
            lower: p.lower,
            upper: p.upper,
        };
        let edge = |p: Envelope| EnvelopePoint { time_ms: p.time_ms, floor: p.floor, peak: p.peak };
        let mut description = format!("Trend {}. Seasonality: {}.", trend(outcome, self.level), seasonality(outcome));
        if let Some(saw) = &outcome.sawtooth {
            let _ = write!(description, " Sawtooth: {}.", forecast_words::sawtooth(saw, significant, span));
        }
        if self.capacity_threshold.is_some() {
            let (days, risk) = (days_to_exhaustion(series, outcome), self.sla_risk(outcome));
            let _ = write!(description, " Days to exhaustion: {days}. SLA risk: {risk}.");
        }
        Chart {
            title: series.name(&self.metric),
            description,
            values,
            forecast: outcome.points.iter().map(fan).collect(),
            envelope: outcome.sawtooth.iter().flat_map(|saw| saw.envelope).map(edge).collect(),
            limit: self.capacity_threshold,
            ..Chart::default()
        }
    }
}

impl Series<'_> {
    /// The metric's name with the labels in braces.
    fn name(&self, metric: &str) -> String {
        let labels: Vec<_> = self.labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if labels.is_empty() { metric.to_owned() } else { format!("{metric}{{{}}}", labels.join(",")) }
    }
}

/// The usable rows, by label set in order of first appearance.
fn series_of(file: &SeriesFile) -> Vec<Series<'_>> {
    let mut places: HashMap<&Labels, usize> = HashMap::new();
    let mut found: Vec<Series<'_>> = Vec::new();
    for FileRow { time_ms, value, timestamp_text, labels, .. } in &file.rows {
        let (Some(time_ms), Some(value)) = (time_ms, value) else { continue };
        let place = *places.entry(labels).or_insert_with(|| {
            let notation = TimeNotation::of(timestamp_text).unwrap_or(TimeNotation::Milliseconds);
            found.push(Series { labels, times_ms: Vec::new(), values: Vec::new(), notation });
            found.len() - 1
        });
        found[place].times_ms.push(*time_ms);
        found[place].values.push(*value);
    }
    found
}

/// The forecaster of that name.
fn method(name: &str) -> Result<Method, CliError> {
    let known = || Method::all().map(Method::name).collect::<Vec<_>>().join(", ");
    Method::named(name).ok_or_else(|| CliError::Usage(format!("--method {name} is not one of {}", known())))
}

fn csv(label_names: &[String], results: &[(&Series<'_>, &Outcome)]) -> String {
    let mut out = String::from("timestamp,forecast,lower,upper");
    label_names.iter().for_each(|name| out.extend([",", &csv_cell(name)]));
    out.push('\n');
    for (series, outcome) in results {
        let value = |name: &String| series.labels.iter().find(|(known, _)| **known == **name);
        let cells =
            label_names.iter().map(|name| value(name).map_or(String::new(), |(_, value)| csv_cell(value).into_owned()));
        let labels: String = cells.map(|cell| format!(",{cell}")).collect();
        for point in &outcome.points {
            let time = series.notation.format(point.time_ms);
            out += &format!("{time},{},{},{}{labels}\n", point.forecast, point.lower, point.upper);
        }
    }
    out
}

fn trend(outcome: &Outcome, level: f64) -> String {
    let trend = outcome.trend;
    let (slope, lower, upper) = (significant(trend.slope), significant(trend.lower), significant(trend.upper));
    let clear = if trend.lower <= 0.0 && trend.upper >= 0.0 { ", no clear direction" } else { "" };
    format!("{slope} per day ({level} % sure: {lower} to {upper}{clear})")
}

fn seasonality(outcome: &Outcome) -> String {
    let season = |season: &crate::analysis::forecast::Season| {
        format!("every {} (strength {:.2})", span(season.period_ms as f64), season.strength)
    };
    let seasons: Vec<_> = outcome.seasons.iter().map(season).collect();
    if seasons.is_empty() { "none".to_owned() } else { seasons.join(", ") }
}

fn days_to_exhaustion(series: &Series<'_>, outcome: &Outcome) -> String {
    let days = outcome.days_to_exhaustion.map_or("none".to_owned(), |days| format!("{days:.1}"));
    let Some(found) = outcome.exhaustion else { return days };
    let time = |time_ms: i64| series.notation.format(time_ms);
    let latest = found.latest_ms.map_or("never".to_owned(), time);
    let percent = 100.0 * found.probability;
    format!("{days} (earliest {}, latest {latest}, probability {percent:.0} %)", time(found.earliest_ms))
}

fn held_out_error(outcome: &Outcome, level: f64) -> String {
    let Some(error) = outcome.held_out_error else { return "unknown, too few samples".to_owned() };
    let coverage = error
        .coverage
        .map_or("of unknown coverage".to_owned(), |share| format!("held {:.0} % of what came", 100.0 * share));
    format!("MASE {:.2}, the {level} % band {coverage}", error.mase)
}

/// A span in its largest fitting unit.
fn span(ms: f64) -> String {
    const UNITS: [(f64, &str); 5] = [(DAY_MS, "d"), (3_600_000.0, "h"), (60_000.0, "min"), (1_000.0, "s"), (1.0, "ms")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| ms >= *unit).unwrap_or((1.0, "ms"));
    let count = format!("{:.1}", ms / unit);
    format!("{} {name}", count.trim_end_matches(".0"))
}

/// Four significant digits, for people.
fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let exponent = value.abs().log10().floor();
    if !(-5.0..15.0).contains(&exponent) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - exponent).max(0.0) as usize;
    let text = format!("{value:.decimals$}");
    let trimmed = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if trimmed == "-0" { "0".to_owned() } else { trimmed.to_owned() }
}

fn short(value: f64) -> Value {
    significant(value).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_short() {
        for (value, text) in [(0.0, "0"), (1234.56, "1235"), (-0.012_345, "-0.01235"), (1e20, "1.000e20"), (2.5, "2.5")]
        {
            assert_eq!(significant(value), text);
        }
        for (ms, text) in [(86_400_000.0, "1 d"), (5_400_000.0, "1.5 h"), (300_000.0, "5 min"), (20.0, "20 ms")] {
            assert_eq!(span(ms), text);
        }
    }
}
