//! `infrawatch report capacity`: which series reach their limit, the one that may do so first at the top, for people to read
//! once a week; asked of a running server, or of a store that no server has open.
//!
//! A name at a time is asked for, so that a store of any size is reported on; what had to be left out is named.
//!
//! Not here: how dates are found (see `analysis::forecast`), which series have a limit (see `api::rest::capacity`).

use super::ask::ServerFlag;
use super::client::{Answer, Client, escaped};
use super::offline::open_store;
use super::output::{Rows, write_text};
use super::settings::{flag, load};
use super::{CliError, Format, Global};
use crate::clock;
use crate::config::Config;
use crate::server::Local;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// How long one name may take: a thousand series that are forecast for the first time take about a minute.
const TIMEOUT: Duration = Duration::from_secs(300);
/// Most items that the server gives at a time.
const PAGE: usize = 1000;
/// Names whose values have a limit by themselves.
const LIMITED: &str = "{__name__=~\".*_(percent|pct|percentage|ratio)\"}";

#[derive(Debug, Args)]
pub(super) struct ReportCommand {
    #[command(subcommand)]
    report: Report,
}

#[derive(Debug, Subcommand)]
enum Report {
    /// Which series run full, and when
    Capacity(Capacity),
}

#[derive(Debug, Args)]
struct Capacity {
    /// Series to show, those that may reach their limit first
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Which series, by a selector of PromQL, instead of all percentages and ratios
    #[arg(long = "match", value_name = "MATCHERS")]
    matchers: Option<String>,
    /// The limit of those series, instead of 95 % of the most a percentage or ratio can be
    #[arg(long, value_name = "VALUE", requires = "matchers", allow_negative_numbers = true)]
    threshold: Option<f64>,
    /// Which way it is exceeded: above or below
    #[arg(long, value_name = "WAY", requires = "threshold", value_parser = ["above", "below"])]
    direction: Option<String>,
    /// Show the last report that the server made by itself, instead of making one
    #[arg(long, conflicts_with = "matchers")]
    last: bool,
    #[command(flatten)]
    server: ServerFlag,
    /// Directory of the store, when no server runs on it [default: ./infrawatch-data]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
}

/// Who is asked.
enum Source {
    Server { url: String, client: Client },
    Store(Box<Local>),
}

/// What there is to report.
#[derive(Default)]
struct Found {
    items: Vec<Value>,
    /// Names, or all that was chosen, of which nothing could be said, and why.
    left_out: Vec<(String, String)>,
    /// Of the server's own report all of it, and its first line.
    last: Option<Value>,
    title: Option<String>,
}

impl ReportCommand {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let Report::Capacity(capacity) = &self.report;
        capacity.run(global)
    }
}

impl Capacity {
    fn run(&self, global: &Global) -> Result<(), CliError> {
        let flags = flag("storage.data_dir", "--data-dir", self.data_dir.as_ref());
        let config = load(global, flags.into_iter().collect())?.config;
        let source = self.source(global, &config)?;
        let found = if self.last { last(&source) } else { self.found(&source) };
        if let Source::Store(local) = source {
            local.close().map_err(|error| CliError::Failed(format!("{error:#}")))?;
        }
        let mut found = found?;
        if let Some(report) = found.last.take().filter(|_| global.format() == Format::Json) {
            return write_text(global, &format!("{report:#}\n"));
        }
        let earliest = |item: &Value| item["exhaustion"]["earliest"].as_str().unwrap_or("~").to_owned();
        let days = |item: &Value| item["days_to_exhaustion"].as_f64().unwrap_or(f64::INFINITY);
        found.items.sort_by(|a, b| earliest(a).cmp(&earliest(b)).then(days(a).total_cmp(&days(b))));
        let text = match global.format() {
            Format::Json => self.json(&found),
            Format::Csv => rows(found.items.iter().take(self.top)).render(Format::Csv),
            Format::Table => self.table(&found),
        };
        write_text(global, &text)
    }

    /// The server if one answers, else the store itself.
    fn source(&self, global: &Global, config: &Config) -> Result<Source, CliError> {
        match self.server.that_answers(&config.http)? {
            Some(place) => Ok(Source::Server { client: place.client(TIMEOUT)?, url: place.url }),
            None => Ok(Source::Store(Box::new(open_store(global, config)?))),
        }
    }

    /// All series that have a limit.
    fn found(&self, source: &Source) -> Result<Found, CliError> {
        let mut found = Found::default();
        if let Some(matchers) = &self.matchers {
            let mut parameters = vec![("match", matchers.clone())];
            parameters.extend(self.threshold.map(|value| ("threshold", value.to_string())));
            parameters.extend(self.direction.clone().map(|way| ("direction", way)));
            found.items = source.items(&parameters)?;
            return Ok(found);
        }
        let names = source.get("/api/v1/label/__name__/values", &[("match[]", LIMITED.to_owned())])?;
        for name in names["data"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            match source.items(&[("match", format!("{{__name__={name:?}}}"))]) {
                Ok(items) => found.items.extend(items),
                Err(error) => found.left_out.push((name.to_owned(), error.to_string())),
            }
        }
        Ok(found)
    }

    fn json(&self, found: &Found) -> String {
        let left_out = found.left_out.iter().map(|(name, error)| json!({"metric_name": name, "error": error}));
        let items: Vec<&Value> = found.items.iter().take(self.top).collect();
        let report = json!({
            "made_at": now(), "total": found.items.len(), "items": items, "left_out": left_out.collect::<Value>(),
        });
        format!("{report:#}\n")
    }

    fn table(&self, found: &Found) -> String {
        let ends = found.items.iter().filter(|item| !item["exhaustion"].is_null()).count();
        let leaks = found.items.iter().filter(|item| item["sawtooth"]["is_leak"] == true).count();
        let total = found.items.len();
        let title =
            || format!("Capacity on {}: {total} series have a limit, {ends} may reach it, {leaks} leak.", now());
        let title = found.title.clone().unwrap_or_else(title);
        let mut text = format!("{title}\n\n{}", rows(found.items.iter().take(self.top)).table());
        if total > self.top {
            let _ = writeln!(text, "({} of {total} series; --top {total} shows all)", self.top);
        }
        for (name, error) in &found.left_out {
            let _ = writeln!(text, "left out: {name}: {error}");
        }
        text
    }
}

/// The last report that the server made by itself.
fn last(source: &Source) -> Result<Found, CliError> {
    let report = source.get("/api/v1/reports/capacity/latest", &[])?;
    let text = |name: &str| report[name].as_str().unwrap_or("").to_owned();
    let title = Some(format!("{}: {}", text("made_at"), text("title")));
    let items = report["items"].as_array().cloned().unwrap_or_default();
    Ok(Found { items, left_out: Vec::new(), last: Some(report), title })
}

/// A line each.
fn rows<'a>(items: impl Iterator<Item = &'a Value>) -> Rows {
    let mut rows = Rows::new(&[
        "series",
        "current",
        "limit",
        "days left",
        "earliest",
        "likely",
        "latest",
        "risk in a week %",
        "a day",
        "pattern",
    ]);
    for item in items {
        let exhaustion = &item["exhaustion"];
        let date = |name: &str| match (exhaustion, exhaustion[name].as_str()) {
            (Value::Null, _) | (_, None) => json!("never"),
            // Minutes are more than is known.
            (_, Some(time)) => json!(time.get(..16).unwrap_or(time).replace('T', " ")),
        };
        let days = item["days_to_exhaustion"].as_f64();
        rows.push(vec![
            json!(series(item)),
            short(item["current"].as_f64()),
            item["limit"].clone(),
            days.map_or(json!("none"), |days| json!(format!("{days:.1}"))),
            date("earliest"),
            date("likely"),
            date("latest"),
            short(item["sla_risk_score"].as_f64().map(|risk| 100.0 * risk)),
            short(slope(item)),
            json!(pattern(&item["sawtooth"])),
        ]);
    }
    rows
}

/// How fast it goes there: of a sawtooth its peaks.
fn slope(item: &Value) -> Option<f64> {
    item["sawtooth"]["peak_per_day"]["slope"].as_f64().or(item["trend"]["slope"].as_f64())
}

/// The metric's name with the labels in braces.
fn series(item: &Value) -> String {
    let name = item["metric_name"].as_str().unwrap_or("");
    let labels: Vec<String> =
        item["labels"].as_object().into_iter().flatten().map(|(k, v)| format!("{k}={v}")).collect();
    if labels.is_empty() { name.to_owned() } else { format!("{name}{{{}}}", labels.join(",")) }
}

/// How it is set back, by what, and whether it leaks.
fn pattern(saw: &Value) -> String {
    if saw.is_null() {
        return String::new();
    }
    let number = |value: &Value| short(value.as_f64()).as_str().unwrap_or("?").to_owned();
    let by = match saw["reset_by"].as_str() {
        Some("scheduled") => "on a schedule (rotation, retention, backup)".to_owned(),
        Some("at_level") => format!("at {} (limit of size)", number(&saw["reset_value"])),
        Some("after_rise") => format!("after a rise of {} (garbage collection)", number(&saw["reset_value"])),
        _ => "irregularly".to_owned(),
    };
    let hours = saw["cycle_s"].as_f64().unwrap_or(0.0) / 3600.0;
    let every = if hours < 48.0 { format!("{hours:.1} h") } else { format!("{:.1} d", hours / 24.0) };
    let is_leak = saw["is_leak"] == true;
    let kind =
        if is_leak { format!("LEAK of {} a day; ", number(&saw["floor_per_day"]["slope"])) } else { String::new() };
    format!("{kind}set back every {every} {by}")
}

/// Three digits, for people.
fn short(value: Option<f64>) -> Value {
    let Some(value) = value else { return json!("") };
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) };
    let text = format!("{value:.*}", digits as usize);
    json!(if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text })
}

/// The present to the second.
fn now() -> String {
    jiff::Timestamp::from_millisecond(clock::now_ms()).map_or_else(|_| String::new(), |time| format!("{time:.0}"))
}

impl Source {
    /// All items of the list of capacity.
    fn items(&self, parameters: &[(&str, String)]) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        loop {
            let mut all = parameters.to_vec();
            all.extend([("limit", PAGE.to_string()), ("skip", items.len().to_string())]);
            let page = self.get("/api/v1/capacity", &all)?;
            let before = items.len();
            items.extend(page["items"].as_array().cloned().unwrap_or_default());
            if items.len() == before || items.len() as u64 >= page["total"].as_u64().unwrap_or(0) {
                return Ok(items);
            }
        }
    }

    fn get(&self, path: &str, parameters: &[(&str, String)]) -> Result<Value, CliError> {
        let Answer { status, body } = match self {
            Self::Server { url, client } => {
                let answer = client.get_with(&format!("{url}{path}"), parameters);
                answer.map_err(|what| CliError::Failed(format!("no answer from {url}: {what}")))?
            }
            Self::Store(local) => {
                let answer = local.get(&format!("{path}?{}", encoded(parameters)));
                let (status, body) = answer.map_err(|error| CliError::Failed(format!("{error:#}")))?;
                Answer { status, body }
            }
        };
        let answer: Value = serde_json::from_str(&body).unwrap_or_default();
        match (status, answer["error"].as_str()) {
            (200..300, None) => Ok(answer),
            (_, Some(error)) => Err(CliError::Failed(error.to_owned())),
            (status, None) => Err(CliError::Failed(format!("{path}: status {status}"))),
        }
    }
}

/// Parameters as a query string.
fn encoded(parameters: &[(&str, String)]) -> String {
    parameters.iter().map(|(name, value)| format!("{}={}&", escaped(name), escaped(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_selector_is_one_parameter() {
        let parameters = [("match[]", "{a=\"b&c\"}".to_owned()), ("limit", "5".to_owned())];
        assert_eq!(encoded(&parameters), "match%5B%5D=%7Ba%3D%22b%26c%22%7D&limit=5&");
    }

    #[test]
    fn a_sawtooth_is_told_with_what_resets_it() {
        let saw = json!({
            "cycle_s": 25_200.0, "reset_by": "after_rise", "reset_value": 10.6, "is_leak": true,
            "floor_per_day": {"slope": 2.5},
        });
        let said = "LEAK of 2.5 a day; set back every 7 h after a rise of 10.6 (garbage collection)";
        assert_eq!(pattern(&saw).replace("7.0 h", "7 h"), said);
        assert_eq!(pattern(&Value::Null), "");
        let cache = json!({"cycle_s": 604_800.0, "reset_by": "scheduled", "is_leak": false});
        assert_eq!(pattern(&cache), "set back every 7.0 d on a schedule (rotation, retention, backup)");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in [(Some(0.0), "0"), (Some(1234.5), "1234"), (Some(0.501), "0.501"), (None, "")] {
            assert_eq!(short(value), json!(text));
        }
    }
}
