//! Two answers of the HTTP API side by side: the same status, the same kind, the same series, the same values.
//!
//! Values are compared as numbers: equal bits, both NaN, or apart by at most 1e-12 of the larger, because sums of
//! series depend on the order of addition, which is no other store's to know. Errors are compared by status and type.

use crate::support::http::{Answer, get};
use serde_json::Value;
use std::collections::BTreeMap;

/// Sums of series of opposite signs lose digits; what is left may differ by this much of the terms.
const RELATIVE: f64 = 1e-12;
const ABSOLUTE: f64 = 1e-9;

/// When to evaluate, in seconds as text.
#[derive(Debug, Clone)]
pub(crate) enum When {
    At(String),
    Over { start: String, end: String, step: String },
}

/// The two servers.
#[derive(Debug)]
pub(crate) struct Sides {
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

impl Sides {
    /// What differs between the answers to an expression, in words; nothing when they agree.
    pub(crate) fn difference(&self, expression: &str, when: &When) -> Option<String> {
        let ask = |base: &str| {
            let answer = match when {
                When::At(time) => get(&format!("{base}/api/v1/query"), &[("query", expression), ("time", time)]),
                When::Over { start, end, step } => get(
                    &format!("{base}/api/v1/query_range"),
                    &[("query", expression), ("start", start), ("end", end), ("step", step)],
                ),
            };
            answer.unwrap_or_else(|error| panic!("{base} {expression}: {error}"))
        };
        differing(expression, &ask(&self.theirs), &ask(&self.ours))
    }
}

fn differing(expression: &str, theirs: &Answer, ours: &Answer) -> Option<String> {
    let parse = |answer: &Answer| serde_json::from_str::<Value>(&answer.body).unwrap_or(Value::Null);
    let (a, b) = (parse(theirs), parse(ours));
    if theirs.status != ours.status || a["status"] != b["status"] || a["errorType"] != b["errorType"] {
        let short = |body: &str| body.chars().take(300).collect::<String>();
        return Some(format!(
            "{} {}\n   ours {} {}",
            theirs.status,
            short(&theirs.body),
            ours.status,
            short(&ours.body)
        ));
    }
    if a["status"] == "error" {
        // What the parser says is its own; what the data are to blame for is said in the same words.
        let differs = a["errorType"] == "execution" && said(&a) != said(&b);
        return differs.then(|| format!("{}\n   ours {}", a["error"], b["error"]));
    }
    let (a, b) = (&a["data"], &b["data"]);
    if a["resultType"] != b["resultType"] {
        return Some(format!("type {}, ours {}", a["resultType"], b["resultType"]));
    }
    match a["resultType"].as_str() {
        Some("vector" | "matrix") => differing_series(expression, a, b),
        _ => {
            let same = a["result"][0] == b["result"][0] && alike(text(&a["result"][1]), text(&b["result"][1]));
            (!same).then(|| format!("{}, ours {}", a["result"], b["result"]))
        }
    }
}

/// The words of an error, without the two series that it names of many that clash.
fn said(answer: &Value) -> &str {
    let words = text(&answer["error"]);
    words.split_once(" hand-side of the operation: [").map_or(words, |(before, _)| before)
}

fn differing_series(expression: &str, theirs: &Value, ours: &Value) -> Option<String> {
    let list = |data: &Value| data["result"].as_array().cloned().unwrap_or_default();
    let (theirs, ours) = (list(theirs), list(ours));
    let by_labels = |list: &[Value]| list.iter().map(|one| (one["metric"].to_string(), points(one))).collect();
    let (a, b): (BTreeMap<_, _>, BTreeMap<_, _>) = (by_labels(&theirs), by_labels(&ours));
    if a.len() != theirs.len() || b.len() != ours.len() {
        return Some("a series comes twice".to_owned());
    }
    if let Some(labels) = a.keys().find(|labels| !b.contains_key(*labels)) {
        return Some(format!("missing {labels} of {} series, ours {}: {:?}", a.len(), b.len(), b.keys().next()));
    }
    if let Some(labels) = b.keys().find(|labels| !a.contains_key(*labels)) {
        return Some(format!("invented {labels}, {} series, ours {}", a.len(), b.len()));
    }
    for (labels, theirs) in &a {
        let ours = &b[labels];
        let same = |(x, y): (&(String, String), &(String, String))| x.0 == y.0 && alike(&x.1, &y.1);
        if let Some((x, y)) = theirs.iter().zip(ours).find(|(x, y)| !same((x, y))) {
            return Some(format!("{labels}: {x:?}, ours {y:?}"));
        }
        if theirs.len() != ours.len() {
            return Some(format!("{labels}: {} points, ours {}", theirs.len(), ours.len()));
        }
    }
    // Equal values may stand in any order, and groups too, so the values of one group are what is compared.
    let is_ordered = ["sort(", "sort_desc(", "topk(", "bottomk("].iter().any(|word| expression.starts_with(word));
    if is_ordered && theirs.iter().any(|one| !one["value"].is_null()) {
        let values = |list: &[Value]| list.iter().map(|one| text(&one["value"][1]).to_owned()).collect::<Vec<_>>();
        let (x, y) = (values(&theirs), values(&ours));
        let same = x.iter().zip(&y).all(|(x, y)| alike(x, y));
        return (!same).then(|| format!("order {x:?}, ours {y:?}"));
    }
    None
}

fn points(series: &Value) -> Vec<(String, String)> {
    let point = |pair: &Value| (pair[0].to_string(), text(&pair[1]).to_owned());
    match series["values"].as_array() {
        Some(values) => values.iter().map(point).collect(),
        None => vec![point(&series["value"])],
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("not a text")
}

fn alike(theirs: &str, ours: &str) -> bool {
    let number = |text: &str| text.replace("Inf", "inf").parse::<f64>();
    match (number(theirs), number(ours)) {
        _ if theirs == ours => true,
        (Ok(a), Ok(b)) => (a - b).abs() <= RELATIVE * a.abs().max(b.abs()) || near_zero(a, b),
        _ => false,
    }
}

/// What is left of sums that cancel out.
fn near_zero(a: f64, b: f64) -> bool {
    a.abs() < ABSOLUTE && b.abs() < ABSOLUTE && (a - b).abs() < RELATIVE
}
