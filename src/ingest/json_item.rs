//! One item of a JSON push: name, value, labels and time, or which field is wrong and why.
//!
//! Not here: bodies and answers (see `json_push`), conflicts with what is stored.

use crate::self_metrics::Rejection;
use crate::series_file::{JsonFields, parse_time_ms};
use serde_json::value::RawValue;
use storage::series::{KEY_BYTES_MAX, KeyBuilder, KeyError, NAME_LABEL};

/// Between which times samples are taken.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// The time of an item without one.
    pub(super) now_ms: i64,
    /// How far ahead of now an item may be.
    pub(super) future_ms: i64,
}

/// An item as a sample of a series.
#[derive(Debug, PartialEq)]
pub(super) struct Sample<'a> {
    pub(super) key: &'a [u8],
    pub(super) time_ms: i64,
    pub(super) value: f64,
}

/// What is wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {what}")]
pub(super) struct ItemFault {
    pub(super) field: String,
    pub(super) what: String,
    pub(super) reason: Rejection,
}

impl ItemFault {
    fn new(field: &str, what: impl Into<String>, reason: Rejection) -> Self {
        Self { field: field.to_owned(), what: what.into(), reason }
    }

    fn malformed(field: &str, what: impl Into<String>) -> Self {
        Self::new(field, what, Rejection::Malformed)
    }
}

/// Reads an item; the sample's key lies in `keys`.
pub(super) fn read_item<'k>(
    item: &RawValue,
    bounds: &Bounds,
    keys: &'k mut KeyBuilder,
) -> Result<Sample<'k>, ItemFault> {
    let not_an_object = |_| ItemFault::malformed("", "expected an object with name and value");
    let JsonFields(fields) = serde_json::from_str(item.get()).map_err(not_an_object)?;
    let [mut name, mut value, mut timestamp, mut labels] = [None; 4];
    for (field, raw) in &fields {
        let slot = match field.as_ref() {
            "name" => &mut name,
            "value" => &mut value,
            "timestamp" => &mut timestamp,
            "labels" => &mut labels,
            unknown => return Err(ItemFault::malformed(unknown, "unknown field")),
        };
        if slot.replace(*raw).is_some() {
            return Err(ItemFault::malformed(field, "stands twice"));
        }
    }
    keys.clear();
    push_name(present(name), keys)?;
    let value = read_value(present(value))?;
    let time_ms = present(timestamp).map_or(Ok(bounds.now_ms), |text| read_time(text, bounds))?;
    if let Some(labels) = present(labels) {
        push_labels(labels, keys)?;
    }
    let key = keys.finish().map_err(|error| match error {
        KeyError::DuplicateLabel => ItemFault::new("labels", "a label name stands twice", Rejection::DuplicateLabel),
        other => ItemFault::new("labels", other.to_string(), Rejection::BadSeries),
    })?;
    if key.len() > KEY_BYTES_MAX {
        return Err(ItemFault::new("labels", Rejection::BadSeries.explained(), Rejection::BadSeries));
    }
    Ok(Sample { key, time_ms, value })
}

/// A field's text, unless it is missing or `null`.
fn present(field: Option<&RawValue>) -> Option<&str> {
    field.map(RawValue::get).filter(|text| *text != "null")
}

fn push_name(text: Option<&str>, keys: &mut KeyBuilder) -> Result<(), ItemFault> {
    let missing = || ItemFault::new("name", "expected a string that is not empty", Rejection::NoName);
    let name: String = text.and_then(|text| serde_json::from_str(text).ok()).ok_or_else(missing)?;
    if name.is_empty() {
        return Err(missing());
    }
    keys.push(NAME_LABEL, &name);
    Ok(())
}

fn read_value(text: Option<&str>) -> Result<f64, ItemFault> {
    // Text that begins as a string, an object and so on is no number for Rust either.
    let value = text.and_then(|text| text.parse::<f64>().ok()).filter(|value| value.is_finite());
    value.ok_or_else(|| ItemFault::malformed("value", "expected a finite number"))
}

fn read_time(text: &str, bounds: &Bounds) -> Result<i64, ItemFault> {
    let time_ms = match serde_json::from_str::<String>(text) {
        Ok(string) => parse_time_ms(&string),
        Err(_) => parse_time_ms(text),
    };
    let form = "expected RFC 3339 or a number of seconds or milliseconds since 1970";
    let time_ms = time_ms.ok_or_else(|| ItemFault::malformed("timestamp", form))?;
    let refused = |reason: Rejection| Err(ItemFault::new("timestamp", reason.explained(), reason));
    match time_ms {
        ..0 => refused(Rejection::TooOld),
        _ if time_ms > bounds.now_ms.saturating_add(bounds.future_ms) => refused(Rejection::InFuture),
        _ => Ok(time_ms),
    }
}

fn push_labels(text: &str, keys: &mut KeyBuilder) -> Result<(), ItemFault> {
    let not_strings = || ItemFault::malformed("labels", "expected an object of strings");
    let JsonFields(labels) = serde_json::from_str(text).map_err(|_| not_strings())?;
    for (name, value) in &labels {
        let value: String = serde_json::from_str(value.get()).map_err(|_| not_strings())?;
        if name.is_empty() {
            return Err(ItemFault::new("labels", "a label without a name", Rejection::BadSeries));
        }
        keys.push(name, &value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use storage::series::labels;

    const BOUNDS: Bounds = Bounds { now_ms: 1_700_000_000_000, future_ms: 600_000 };

    fn raw(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn accepts(text: &str, time_ms: i64, value: f64, key: &[(&str, &str)]) {
        let mut keys = KeyBuilder::default();
        let item = raw(text);
        let sample = read_item(&item, &BOUNDS, &mut keys).unwrap_or_else(|fault| panic!("{text}: {fault}"));
        assert_eq!((sample.time_ms, sample.value), (time_ms, value), "{text}");
        assert_eq!(labels(sample.key).collect::<Vec<_>>(), key, "{text}");
    }

    fn rejects(text: &str, field: &str, reason: Rejection) {
        let fault = read_item(&raw(text), &BOUNDS, &mut KeyBuilder::default()).expect_err(text);
        assert_eq!((fault.field.as_str(), fault.reason), (field, reason), "{text}: {fault}");
    }

    #[test]
    fn a_sample_has_a_name_and_a_value_and_may_have_more() {
        let named = [("__name__", "a")];
        accepts(r#"{"name":"a","value":1}"#, BOUNDS.now_ms, 1.0, &named);
        accepts(r#"{"value":-1.5e3,"name":"a","timestamp":1600000000}"#, 1_600_000_000_000, -1500.0, &named);
        accepts(r#"{"name":"a","value":1,"timestamp":"1970-01-01T00:00:01Z","labels":null}"#, 1000, 1.0, &named);
        accepts(r#"{"name":"a","value":1,"timestamp":null,"labels":{"n":""}}"#, BOUNDS.now_ms, 1.0, &named);
        let labelled = [("__name__", "\u{e9}"), ("h", "x\"y")];
        accepts(
            r#"{"name":"\u00e9","value":1,"timestamp":1700000600000,"labels":{"h":"x\"y"}}"#,
            1_700_000_600_000,
            1.0,
            &labelled,
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_field() {
        rejects("7", "", Rejection::Malformed);
        rejects("[]", "", Rejection::Malformed);
        rejects("{}", "name", Rejection::NoName);
        rejects(r#"{"name":"","value":1}"#, "name", Rejection::NoName);
        rejects(r#"{"name":7,"value":1}"#, "name", Rejection::NoName);
        for value in ["null", "\"1\"", "true", "[1]", "1e999", "{}"] {
            rejects(&format!(r#"{{"name":"a","value":{value}}}"#), "value", Rejection::Malformed);
        }
        rejects(r#"{"name":"a"}"#, "value", Rejection::Malformed);
        rejects(r#"{"name":"a","value":1,"value":2}"#, "value", Rejection::Malformed);
        rejects(r#"{"name":"a","value":1,"time":2}"#, "time", Rejection::Malformed);
        for time in ["\"now\"", "[]", "true", "1e300"] {
            rejects(&format!(r#"{{"name":"a","value":1,"timestamp":{time}}}"#), "timestamp", Rejection::Malformed);
        }
        rejects(r#"{"name":"a","value":1,"timestamp":-1}"#, "timestamp", Rejection::TooOld);
        rejects(r#"{"name":"a","value":1,"timestamp":1700000600.001}"#, "timestamp", Rejection::InFuture);
        rejects(r#"{"name":"a","value":1,"labels":[]}"#, "labels", Rejection::Malformed);
        rejects(r#"{"name":"a","value":1,"labels":{"x":1}}"#, "labels", Rejection::Malformed);
        rejects(r#"{"name":"a","value":1,"labels":{"":"x"}}"#, "labels", Rejection::BadSeries);
        rejects(r#"{"name":"a","value":1,"labels":{"x":"1","x":"1"}}"#, "labels", Rejection::DuplicateLabel);
        rejects(r#"{"name":"a","value":1,"labels":{"__name__":"b"}}"#, "labels", Rejection::DuplicateLabel);
        let long = format!(r#"{{"name":"a","value":1,"labels":{{"x":"{}"}}}}"#, "y".repeat(4096));
        rejects(&long, "labels", Rejection::BadSeries);
    }
}
