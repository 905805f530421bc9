//! The functions of templates: those of Go's own, and those that Prometheus gives to rules.
//!
//! Not here: how numbers are printed (see `format`).

use super::format::{general, humanize, humanize_1024, humanize_duration, humanize_timestamp, plain, printf};
use super::value::Value;
use crate::config::parse_span;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The answer of a query: series by their labels.
pub(crate) type Answered = Vec<(BTreeMap<String, String>, f64)>;

/// What functions may ask.
pub(crate) struct Ground<'a> {
    /// Evaluates an expression at the time of the evaluation.
    pub(crate) query: &'a dyn Fn(&str) -> Result<Answered, String>,
    /// Where people find the server, without a slash at its end.
    pub(crate) external_url: &'a str,
}

const NAMES: &[&str] = &[
    "and",
    "args",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toLower",
    "toUpper",
    "urlquery",
    "value",
];

/// The function of this name.
pub(super) fn known(name: &str) -> Option<&'static str> {
    NAMES.iter().find(|known| **known == name).copied()
}

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Value], ground: &Ground<'_>) -> Result<Value, String> {
    let text = |text: String| Ok(Value::Text(text));
    match (name, arguments) {
        ("and", [_, ..]) => Ok(pick(arguments, |value| !value.is_true())),
        ("or", [_, ..]) => Ok(pick(arguments, Value::is_true)),
        ("not", [value]) => Ok(Value::Flag(!value.is_true())),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => {
            let equal = rest.iter().map(|other| Ok(compared(first, other)? == Some(Ordering::Equal)));
            Ok(Value::Flag(equal.collect::<Result<Vec<_>, String>>()?.contains(&true)))
        }
        ("ne" | "lt" | "le" | "gt" | "ge", [a, b]) => {
            let order = compared(a, b)?;
            Ok(Value::Flag(match name {
                "ne" => order != Some(Ordering::Equal),
                "lt" => order == Some(Ordering::Less),
                "le" => order.is_some_and(Ordering::is_le),
                "gt" => order == Some(Ordering::Greater),
                _ => order.is_some_and(Ordering::is_ge),
            }))
        }
        ("len", [value]) => Ok(Value::Whole(match value {
            Value::Text(text) => text.len() as i64,
            Value::List(items) => items.len() as i64,
            Value::Map(fields) => fields.len() as i64,
            other => return Err(format!("a {} has no length", other.kind())),
        })),
        ("index", [value, rest @ ..]) => rest.iter().try_fold(value.clone(), |value, at| item(&value, at)),
        ("print", _) => text(arguments.iter().map(plain).collect()),
        ("println", _) => text(arguments.iter().map(plain).collect::<Vec<_>>().join(" ") + "\n"),
        ("printf", [format, rest @ ..]) => text(printf(format.text()?, rest)),
        ("args", _) => {
            let named = arguments.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone()));
            Ok(Value::Map(named.collect()))
        }
        ("humanize", [value]) => text(humanize(value.number()?)),
        ("humanize1024", [value]) => text(humanize_1024(value.number()?)),
        ("humanizeDuration", [value]) => text(humanize_duration(value.number()?)),
        ("humanizePercentage", [value]) => text(general(value.number()? * 100.0, 4) + "%"),
        ("humanizeTimestamp", [value]) => text(humanize_timestamp(value.number()?)?),
        ("parseDuration", [value]) => {
            let span = parse_span(value.text()?).map_err(|form| format!("{:?}: {form}", plain(value)))?;
            Ok(Value::Number(span.as_secs_f64()))
        }
        _ => of_texts(name, arguments, ground).unwrap_or_else(|| of_samples(name, arguments, ground)),
    }
}

/// Functions that make a text of texts; nothing for another name.
fn of_texts(name: &str, arguments: &[Value], ground: &Ground<'_>) -> Option<Result<Value, String>> {
    let made = |text: Result<String, String>| Some(text.map(Value::Text));
    let of = |change: fn(&str) -> String, value: &Value| made(value.text().map(change));
    match (name, arguments) {
        ("toUpper", [value]) => of(str::to_uppercase, value),
        ("toLower", [value]) => of(str::to_lowercase, value),
        ("title", [value]) => of(title, value),
        ("stripPort", [value]) => of(strip_port, value),
        ("stripDomain", [value]) => of(strip_domain, value),
        ("html", [value]) => of(html, value),
        ("urlquery", [value]) => of(url_query, value),
        ("safeHtml", [value]) => made(value.text().map(str::to_owned)),
        ("externalURL", []) => made(Ok(ground.external_url.to_owned())),
        ("pathPrefix", []) => {
            let after = ground.external_url.split_once("://").map_or("", |(_, after)| after);
            made(Ok(after.find('/').map_or_else(String::new, |at| after[at..].to_owned())))
        }
        ("graphLink" | "tableLink", [expression]) => {
            let tab = if name == "graphLink" { 0 } else { 1 };
            made(expression.text().map(|text| format!("/graph?g0.expr={}&g0.tab={tab}", url_query(text))))
        }
        ("reReplaceAll", [pattern, replacement, value]) => Some(replaced(pattern, replacement, value)),
        ("match", [pattern, value]) => {
            Some(pattern.text().and_then(regex).and_then(|regex| Ok(Value::Flag(regex.is_match(value.text()?)))))
        }
        _ => None,
    }
}

/// Functions of a query's answer.
fn of_samples(name: &str, arguments: &[Value], ground: &Ground<'_>) -> Result<Value, String> {
    match (name, arguments) {
        ("query", [expression]) => {
            let found = (ground.query)(expression.text()?)?;
            Ok(Value::List(found.iter().map(|(labels, value)| Value::sample(labels, *value)).collect()))
        }
        ("first", [Value::List(items)]) => items.first().cloned().ok_or_else(|| "there is none".to_owned()),
        ("value", [sample]) => sample.field("Value"),
        ("label", [name, sample]) => sample.field("Labels")?.field(name.text()?),
        ("strvalue", [sample]) => sample.field("Labels")?.field("__value__"),
        ("sortByLabel", [name, Value::List(items)]) => {
            let name = name.text()?;
            let mut items = items.clone();
            items
                .sort_by_key(|item| item.field("Labels").and_then(|labels| labels.field(name)).map(|v| plain(&v)).ok());
            Ok(Value::List(items))
        }
        _ => Err(format!("cannot be called with {} such arguments", arguments.len())),
    }
}

/// The first that `stops`, or the last.
fn pick(arguments: &[Value], stops: impl Fn(&Value) -> bool) -> Value {
    let found = arguments.iter().find(|value| stops(value)).or(arguments.last());
    found.cloned().unwrap_or(Value::Nil)
}

/// How two values compare; nothing where neither is less and they are not equal.
fn compared(a: &Value, b: &Value) -> Result<Option<Ordering>, String> {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (Value::Flag(a), Value::Flag(b)) => Ok(Some(a.cmp(b))),
        (Value::Whole(_) | Value::Number(_), Value::Whole(_) | Value::Number(_)) => {
            Ok(a.number()?.partial_cmp(&b.number()?))
        }
        _ => Err(format!("a {} and a {} cannot be compared", a.kind(), b.kind())),
    }
}

fn item(value: &Value, at: &Value) -> Result<Value, String> {
    match (value, at) {
        (Value::List(items), Value::Whole(at)) => {
            let found = usize::try_from(*at).ok().and_then(|at| items.get(at));
            found.cloned().ok_or_else(|| format!("there is no item {at}"))
        }
        (Value::Map(_), at) => value.field(at.text()?),
        _ => Err(format!("a {} has no items", value.kind())),
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, String> {
    regex::Regex::new(pattern).map_err(|_| format!("{pattern:?} is no regular expression"))
}

fn replaced(pattern: &Value, replacement: &Value, value: &Value) -> Result<Value, String> {
    let regex = regex(pattern.text()?)?;
    Ok(Value::Text(regex.replace_all(value.text()?, replacement.text()?).into_owned()))
}

/// The first letter of every word in upper case.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut out = String::new();
    for sign in text.chars() {
        let begins = !(before.is_alphanumeric() || before == '_' || before == '\'');
        match begins {
            true => out.extend(sign.to_uppercase()),
            false => out.push(sign),
        }
        before = sign;
    }
    out
}

fn strip_port(text: &str) -> String {
    match text.rsplit_once(':') {
        Some((host, port))
            if port.bytes().all(|byte| byte.is_ascii_digit()) && (!host.contains(':') || host.ends_with(']')) =>
        {
            host.trim_start_matches('[').trim_end_matches(']').to_owned()
        }
        _ => text.to_owned(),
    }
}

fn strip_domain(text: &str) -> String {
    let host = strip_port(text);
    let port = &text[host.len().min(text.len())..];
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    host.split('.').next().unwrap_or("").to_owned() + port
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&#34;").replace('\'', "&#39;")
}

fn url_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            _ if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
