//! Bodies of requests: a JSON object, taken field by field, so that what is left over can be refused by name.
//!
//! Not here: what the fields mean.

use super::answer::ApiError;
use super::parameters::time_ms_of;
use axum::body::Body;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::time::Duration;

/// The longest body; they hold a few short fields.
const BODY_BYTES_MAX: usize = 64 << 10;
/// The end of the last year that RFC 3339 can write, and so the latest time of what is kept.
pub(super) const TIME_MS_MAX: i64 = 253_402_300_799_999;
/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// All bytes of a body.
pub(super) async fn bytes(body: Body) -> Result<axum::body::Bytes, ApiError> {
    bytes_within(body, BODY_BYTES_MAX).await
}

/// The same with another limit.
async fn bytes_within(body: Body, bytes_max: usize) -> Result<axum::body::Bytes, ApiError> {
    let read = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, bytes_max)).await;
    let read = read.map_err(|_| ApiError::bad("the body did not arrive in time"))?;
    read.map_err(|_| ApiError::too_large(bytes_max))
}

/// The fields of a body that were not taken yet.
#[derive(Debug)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads a body; an empty one has no fields.
    pub(super) async fn read(body: Body) -> Result<Self, ApiError> {
        Self::parse(&bytes(body).await?)
    }

    /// The same of a body that may be as long as this, because samples stand in it.
    pub(super) async fn read_within(body: Body, bytes_max: usize) -> Result<Self, ApiError> {
        Self::parse(&bytes_within(body, bytes_max).await?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, ApiError> {
        if bytes.trim_ascii().is_empty() {
            return Ok(Self(Map::new()));
        }
        let value = serde_json::from_slice(bytes).map_err(|error| ApiError::bad(format!("malformed body: {error}")))?;
        match value {
            Value::Object(fields) => Ok(Self(fields)),
            _ => Err(ApiError::bad("malformed body: expected an object")),
        }
    }

    /// Takes a field; `null` counts as absent.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// A text.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::field(name, "expected a string")),
        }
    }

    /// A text or a list of texts.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let wrong = || ApiError::field(name, "expected a string or an array of strings");
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) => {
                let text = |item: Value| item.as_str().map(str::to_owned).ok_or_else(wrong);
                items.into_iter().map(text).collect()
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A finite number.
    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| number.is_finite());
        number.map(Some).ok_or_else(|| ApiError::field(name, "expected a finite number"))
    }

    /// A number that counts something.
    pub(super) fn count(&mut self, name: &str) -> Result<Option<usize>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        number.map(Some).ok_or_else(|| ApiError::field(name, "expected a whole number of at least 0"))
    }

    /// A time in milliseconds since 1970 UTC.
    pub(super) fn time_ms(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => time_ms_of(name, &text).map(Some),
            Some(Value::Number(number)) => time_ms_of(name, &number.to_string()).map(Some),
            Some(other) => time_ms_of(name, &other.to_string()).map(Some),
        }
    }

    /// A time that a calendar has, from 1970 on.
    pub(super) fn past_or_future_ms(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.time_ms(name)? {
            Some(time_ms) if !(0..=TIME_MS_MAX).contains(&time_ms) => {
                Err(ApiError::field(name, "before 1970 or after the year 9999"))
            }
            time_ms => Ok(time_ms),
        }
    }

    /// A duration in milliseconds: seconds, or a text with units.
    pub(super) fn duration_ms(&mut self, name: &str) -> Result<Option<i64>, ApiError> {
        let text = match self.take(name) {
            None => return Ok(None),
            Some(Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        super::parameters::duration_ms_of(name, &text).map(Some)
    }

    /// An object of texts.
    pub(super) fn labels(&mut self, name: &str) -> Result<BTreeMap<String, String>, ApiError> {
        let wrong = || ApiError::field(name, "expected an object of strings");
        match self.take(name) {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(labels)) => {
                let label = |(name, value): (String, Value)| Some((name, value.as_str()?.to_owned()));
                labels.into_iter().map(label).collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// A list.
    pub(super) fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(_) => Err(ApiError::field(name, "expected an array")),
        }
    }

    /// Any object.
    pub(super) fn object(&mut self, name: &str) -> Result<Map<String, Value>, ApiError> {
        match self.take(name) {
            None => Ok(Map::new()),
            Some(Value::Object(object)) => Ok(object),
            Some(_) => Err(ApiError::field(name, "expected an object")),
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        super::parameters::word_of(name, &text, words).map(Some)
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(unknown) => Err(ApiError::field(unknown, "unknown field")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn accepts() {
        let mut body =
            fields(r#"{"a":"x","b":[1,2],"n":1.5,"c":3,"t":1700000000,"u":"2023-11-14T22:13:20Z","d":"5m","e":60}"#);
        assert_eq!(body.text("a").unwrap().as_deref(), Some("x"));
        assert!(body.texts("b").is_err());
        assert_eq!((body.number("n").unwrap(), body.count("c").unwrap()), (Some(1.5), Some(3)));
        assert_eq!(
            (body.time_ms("t").unwrap(), body.time_ms("u").unwrap()),
            (Some(1_700_000_000_000), Some(1_700_000_000_000))
        );
        assert_eq!((body.duration_ms("d").unwrap(), body.duration_ms("e").unwrap()), (Some(300_000), Some(60_000)));
        assert!(body.finish().is_ok());
        assert!(fields("").finish().is_ok() && fields("{\"a\":null}").text("a").unwrap().is_none());
    }

    #[test]
    fn rejects() {
        assert!(Fields::parse(b"[]").is_err() && Fields::parse(b"{").is_err() && Fields::parse(b"1").is_err());
        let mut body = fields(r#"{"a":1,"n":"1","c":-1,"f":1.5,"t":true,"l":{"x":1},"o":[],"w":"blue"}"#);
        assert!(body.text("a").is_err() && body.number("n").is_err() && body.count("c").is_err());
        assert!(body.count("f").is_err() && body.time_ms("t").is_err() && body.labels("l").is_err());
        assert!(body.object("o").is_err() && body.word("w", &[("red", 1), ("green", 2)]).is_err());
        assert!(fields(r#"{"left":1}"#).finish().is_err());
    }
}
