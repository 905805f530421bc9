//! `infrawatch query EXPR`: asks a server for the value of an expression, now or over a range.
//!
//! Not here: evaluation (the server's).

use super::ask::ServerFlag;
use super::output::{Rows, write_text};
use super::{CliError, Format, Global};
use crate::clock;
use clap::Args;
use serde_json::Value;
use std::time::Duration;

/// Beyond what the server allows itself by default, so that its own words reach the user.
const TIMEOUT: Duration = Duration::from_secs(150);
/// Points of a range when no step is given: the width of a chart.
const POINTS: i64 = 60;
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

#[derive(Debug, Args)]
pub(super) struct Query {
    /// Expression in PromQL, such as 'sum by (instance) (rate(node_cpu_seconds_total[5m]))'
    #[arg(value_name = "EXPR")]
    expression: String,
    /// Instant: RFC 3339, seconds since 1970, or back from now such as -5m [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, conflicts_with_all = ["start", "end", "step"])]
    time: Option<String>,
    /// First instant of a range
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    start: Option<String>,
    /// Last instant of a range [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, requires = "start")]
    end: Option<String>,
    /// From one instant to the next, such as 30s [default: a sixtieth of the range]
    #[arg(long, value_name = "DURATION", requires = "start")]
    step: Option<String>,
    #[command(flatten)]
    server: ServerFlag,
}

/// A page of the API and its parameters.
type Page = (&'static str, Vec<(&'static str, String)>);

impl Query {
    pub(super) fn run(&self, global: &Global) -> Result<(), CliError> {
        let place = self.server.place(global)?;
        let server = &place.url;
        let (path, parameters) = self.request(clock::now_ms())?;
        let url = format!("{server}/prometheus/api/v1/{path}");
        let answer = place.client(TIMEOUT)?.get_with(&url, &parameters);
        let answer = answer.map_err(|what| CliError::Failed(format!("no answer from {server}: {what}")))?;
        let body: Value = serde_json::from_str(&answer.body)
            .map_err(|_| CliError::Failed(format!("{url} answered {} and no JSON", answer.status)))?;
        if body["status"] != "success" {
            return Err(CliError::Failed(body["error"].as_str().unwrap_or("the server gave no reason").to_owned()));
        }
        if !global.quiet {
            let warnings = body["warnings"].as_array().into_iter().flatten();
            warnings.filter_map(Value::as_str).for_each(|warning| eprintln!("warning: {warning}"));
        }
        match global.format() {
            Format::Json => write_text(global, &format!("{:#}\n", body["data"])),
            Format::Csv => points(&body["data"]).write(global),
            Format::Table if body["data"]["resultType"] == "matrix" => charts(&body["data"]).write(global),
            Format::Table => points(&body["data"]).write(global),
        }
    }

    /// The page to ask and its parameters.
    fn request(&self, now_ms: i64) -> Result<Page, CliError> {
        let query = ("query", self.expression.clone());
        let Some(start) = &self.start else {
            let time = self.time.as_deref().map(|text| instant(text, now_ms)).transpose()?;
            return Ok(("query", [Some(query), time.map(|time| ("time", time))].into_iter().flatten().collect()));
        };
        let start = instant(start, now_ms)?;
        let end = instant(self.end.as_deref().unwrap_or("-0s"), now_ms)?;
        let step = match &self.step {
            Some(step) => step.clone(),
            None => default_step(&start, &end),
        };
        Ok(("query_range", vec![query, ("start", start), ("end", end), ("step", step)]))
    }
}

/// A time as the server reads it; one that begins with a minus and ends with a unit counts back from now.
fn instant(text: &str, now_ms: i64) -> Result<String, CliError> {
    let Some(back) = text.strip_prefix('-').filter(|back| back.ends_with(|c: char| c.is_ascii_alphabetic())) else {
        return Ok(text.to_owned());
    };
    let usage = || CliError::Failed(format!("{text:?} is no time: say RFC 3339, seconds since 1970, or such as -5m"));
    let digits = back.find(|c: char| !c.is_ascii_digit()).ok_or_else(usage)?;
    let number: i64 = back[..digits].parse().map_err(|_| usage())?;
    let unit_ms = match &back[digits..] {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return Err(usage()),
    };
    let time_ms = number.checked_mul(unit_ms).and_then(|back_ms| now_ms.checked_sub(back_ms)).ok_or_else(usage)?;
    Ok(format!("{}", time_ms as f64 / 1000.0))
}

/// A sixtieth of the range in whole seconds; times that are no plain seconds leave the server's own pace of a minute.
fn default_step(start: &str, end: &str) -> String {
    let seconds = |text: &str| {
        text.parse::<f64>().ok().or_else(|| text.parse::<jiff::Timestamp>().ok().map(|time| time.as_second() as f64))
    };
    match (seconds(start), seconds(end)) {
        (Some(start), Some(end)) => format!("{}s", (((end - start) as i64) / POINTS).max(1)),
        _ => "60s".to_owned(),
    }
}

/// A row for every value.
fn points(data: &Value) -> Rows {
    let mut rows = Rows::new(&["series", "time", "value"]);
    let mut push = |series: &str, pair: &Value| {
        rows.push(vec![Value::from(series), pair[0].clone(), pair[1].clone()]);
    };
    match data["resultType"].as_str() {
        Some("vector" | "matrix") => {
            for one in data["result"].as_array().into_iter().flatten() {
                let name = name_of(&one["metric"]);
                match one["values"].as_array() {
                    Some(values) => values.iter().for_each(|pair| push(&name, pair)),
                    None => push(&name, &one["value"]),
                }
            }
        }
        _ => push("", &data["result"]),
    }
    rows
}

/// A row for every series of a range: its course at a glance.
fn charts(data: &Value) -> Rows {
    let mut rows = Rows::new(&["series", "points", "min", "max", "last", "course"]);
    for one in data["result"].as_array().into_iter().flatten() {
        let texts = one["values"].as_array().into_iter().flatten().filter_map(|pair| pair[1].as_str());
        let values: Vec<f64> = texts.map(number).collect();
        let (least, most) = values
            .iter()
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), &value| (least.min(value), most.max(value)));
        let last =
            one["values"].as_array().and_then(|values| values.last()).map_or(Value::Null, |pair| pair[1].clone());
        let edge = |value: f64| if value.is_finite() { Value::from(value) } else { Value::Null };
        rows.push(vec![
            Value::from(name_of(&one["metric"])),
            Value::from(values.len()),
            edge(least),
            edge(most),
            last,
            Value::from(course(&values, least, most)),
        ]);
    }
    rows
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NAN)
}

/// One character for each of at most [`POINTS`] values, each the mean of its neighbours; a blank where there is none.
fn course(values: &[f64], least: f64, most: f64) -> String {
    let group = values.len().div_ceil(POINTS as usize).max(1);
    let mean = |group: &[f64]| {
        let finite: Vec<f64> = group.iter().copied().filter(|value| value.is_finite()).collect();
        (!finite.is_empty()).then(|| finite.iter().map(|value| value / finite.len() as f64).sum::<f64>())
    };
    let level = |mean: f64| match most - least {
        range if range > 0.0 => ((mean - least) / range * (LEVELS.len() - 1) as f64).round() as usize,
        _ => 0,
    };
    let character = |mean: f64| LEVELS[level(mean).min(LEVELS.len() - 1)];
    values.chunks(group).map(|group| mean(group).map_or(' ', character)).collect()
}

/// A series as PromQL writes it.
fn name_of(metric: &Value) -> String {
    let pairs = metric.as_object().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut name = String::new();
    let mut labels = Vec::new();
    for (label, value) in pairs {
        if label == "__name__" {
            name = text(value);
        } else {
            labels.push(format!("{label}={:?}", text(value)));
        }
    }
    if labels.is_empty() && !name.is_empty() { name } else { format!("{name}{{{}}}", labels.join(",")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn times_may_count_back_from_now() {
        let at = |text: &str| instant(text, 1_000_000_000).map_err(|error| error.to_string());
        assert_eq!(at("-5m").unwrap(), "999700");
        assert_eq!(at("-0s").unwrap(), "1000000");
        assert_eq!(at("-5").unwrap(), "-5", "seconds before 1970");
        assert_eq!(at("2024-01-01T00:00:00Z").unwrap(), "2024-01-01T00:00:00Z");
        assert!(
            at("-5x").unwrap_err().contains("no time") && at("-m").is_err() && at("-99999999999999999999d").is_err()
        );
    }

    #[test]
    fn a_range_without_a_step_has_sixty_points() {
        assert_eq!(default_step("0", "3600"), "60s");
        assert_eq!(default_step("2024-01-01T00:00:00Z", "2024-01-01T01:00:00Z"), "60s");
        assert_eq!(default_step("0", "5"), "1s");
    }

    #[test]
    fn every_kind_of_result_becomes_rows() {
        let vector = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "job": "a\"b"}, "value": [5, "1"]},
            {"metric": {}, "value": [5, "NaN"]}]});
        assert_eq!(
            points(&vector).table(),
            "series          time  value\nup{job=\"a\\\"b\"}  5     1\n{}              5     NaN\n"
        );
        let scalar = json!({"resultType": "scalar", "result": [5, "2"]});
        assert_eq!(points(&scalar).table().lines().count(), 2);
        let matrix = json!({"resultType": "matrix", "result": [
            {"metric": {"__name__": "up"}, "values": [[1, "0"], [2, "7"], [3, "+Inf"], [4, "3.5"]]}]});
        assert!(
            charts(&matrix).table().ends_with("up      4       0.0  7.0  3.5   ▁█ ▅\n"),
            "{}",
            charts(&matrix).table()
        );
        assert_eq!(points(&matrix).table().lines().count(), 5);
    }

    #[test]
    fn a_long_course_is_drawn_in_sixty_characters() {
        let values: Vec<f64> = (0..601).map(f64::from).collect();
        let drawn = course(&values, 0.0, 600.0);
        assert!(drawn.chars().count() <= 60 && drawn.starts_with('▁') && drawn.ends_with('█'), "{drawn}");
        assert_eq!(course(&[2.0, 2.0], 2.0, 2.0), "▁▁");
    }
}
