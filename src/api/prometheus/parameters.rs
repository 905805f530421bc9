//! What a request asks: the parameters of its query string and of its form, and how times and durations are spelled.
//!
//! Not here: what the parameters mean to a query.

use super::envelope::ApiError;
use crate::query::{QueryLimits, matchers};
use axum::Form;
use axum::extract::{FromRequest, Query, Request};
use axum::http::{Method, header};
use storage::label_index::Matcher;

/// Names and values in the order given; those of a form come before those of the query string, and so count first.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads the query string, and the body of a POST that carries a form.
    pub(super) async fn read(request: Request) -> Result<Self, ApiError> {
        let Query(from_uri) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::bad_data(error.to_string()))?;
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type.is_some_and(|value| value.starts_with("application/x-www-form-urlencoded"));
        let mut pairs = Vec::new();
        if request.method() == Method::POST && is_form {
            let Form(form) = Form::<Vec<(String, String)>>::from_request(request, &())
                .await
                .map_err(|error| ApiError::bad_data(error.to_string()))?;
            pairs = form;
        }
        pairs.extend(from_uri);
        Ok(Self(pairs))
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Every value of a parameter.
    pub(super) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A time in milliseconds, if given.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| {
            parse_time_ms(text)
                .ok_or_else(|| ApiError::bad_parameter(name, format!("cannot parse {text:?} to a valid timestamp")))
        };
        self.get(name).map(parse).transpose()
    }

    /// A time that must be given.
    pub(super) fn required_time_ms(&self, name: &str) -> Result<i64, ApiError> {
        self.time_ms(name)?.ok_or_else(|| ApiError::bad_parameter(name, "it is missing"))
    }

    /// A duration in milliseconds, if given.
    pub(super) fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let parse = |text| {
            parse_duration_ms(text)
                .ok_or_else(|| ApiError::bad_parameter(name, format!("cannot parse {text:?} to a valid duration")))
        };
        self.get(name).map(parse).transpose()
    }

    /// How many items are wanted at most; 0 and nothing mean all.
    pub(super) fn limit(&self) -> Result<usize, ApiError> {
        let parse = |text: &str| {
            text.parse().map_err(|_| ApiError::bad_parameter("limit", "it must be a number of at least 0"))
        };
        match self.get("limit").map(parse).transpose()? {
            None | Some(0) => Ok(usize::MAX),
            Some(limit) => Ok(limit),
        }
    }

    /// The selectors of every `match[]`.
    pub(super) fn matchers(&self, limits: &QueryLimits) -> Result<Vec<Vec<Matcher>>, ApiError> {
        let given = self.0.iter().filter(|(name, _)| name == "match[]");
        given
            .map(|(_, text)| matchers(text, limits).map_err(|error| ApiError::bad_parameter("match[]", error)))
            .collect()
    }
}

/// The ends of time as clients of Prometheus spell them, within what a query may ask for.
const UTMOST: [(&str, i64); 2] =
    [("-292273086-05-16T16:47:06Z", i64::MIN / 1024), ("292277025-08-18T07:12:54.999999999Z", i64::MAX / 1024)];

/// Seconds since the epoch with decimals, or RFC 3339.
fn parse_time_ms(text: &str) -> Option<i64> {
    // What Prometheus' own client sends for the least and the largest time there is; no calendar goes so far.
    if let Some((_, time_ms)) = UTMOST.iter().find(|(known, _)| *known == text) {
        return Some(*time_ms);
    }
    if let Ok(seconds) = text.parse::<f64>() {
        // Beyond this the product no longer fits milliseconds.
        return (seconds.abs() < 9e15).then(|| seconds_to_ms(seconds));
    }
    text.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond())
}

/// Whole seconds and rounded milliseconds apart, so that no digit is lost to a large product.
fn seconds_to_ms(seconds: f64) -> i64 {
    let whole = seconds.trunc();
    whole as i64 * 1000 + ((seconds - whole) * 1000.0).round() as i64
}

/// Seconds with decimals, or numbers with units from years to milliseconds, each at most once, largest first.
pub(in crate::api) fn parse_duration_ms(text: &str) -> Option<i64> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 365 * 86_400_000),
        ("w", 7 * 86_400_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if let Ok(seconds) = text.parse::<f64>() {
        return (seconds.abs() < 9.2e9).then_some((seconds * 1000.0) as i64);
    }
    let mut rest = text;
    let mut total_ms = 0i64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit_length = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS[next_unit..].iter().position(|(name, _)| *name == &rest[..unit_length])?;
        total_ms = total_ms.checked_add(number.checked_mul(UNITS[next_unit + unit].1)?)?;
        next_unit += unit + 1;
        rest = &rest[unit_length..];
    }
    Some(total_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_rfc_3339() {
        for (text, expected) in [
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.123", Some(1_700_000_000_123)),
            ("1435781430.7811", Some(1_435_781_430_781)),
            ("-1.5", Some(-1_500)),
            ("1e3", Some(1_000_000)),
            ("2023-11-14T22:13:20Z", Some(1_700_000_000_000)),
            ("2023-11-14T23:13:20.5+01:00", Some(1_700_000_000_500)),
            ("-292273086-05-16T16:47:06Z", Some(i64::MIN / 1024)),
            ("292277025-08-18T07:12:54.999999999Z", Some(i64::MAX / 1024)),
            ("now", None),
            ("NaN", None),
            ("1e300", None),
            ("2023-11-14", None),
        ] {
            assert_eq!(parse_time_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_seconds_or_units_in_order() {
        for (text, expected) in [
            ("15", Some(15_000)),
            ("0.5", Some(500)),
            ("5m", Some(300_000)),
            ("1h30m", Some(5_400_000)),
            ("1y2w3d4h5m6s7ms", Some(33_019_506_007)),
            ("-5", Some(-5_000)),
            ("5", Some(5_000)),
            ("5x", None),
            ("1m1h", None),
            ("m", None),
            ("5m3", None),
            ("1e30", None),
            ("99999999999y", None),
        ] {
            assert_eq!(parse_duration_ms(text), expected, "{text}");
        }
    }

    #[test]
    fn the_first_value_counts_and_an_empty_one_does_not() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let parameters = Parameters(vec![pair("a", "1"), pair("a", "2"), pair("b", "")]);
        assert_eq!((parameters.get("a"), parameters.get("b"), parameters.get("c")), (Some("1"), None, None));
        assert_eq!(parameters.limit().unwrap(), usize::MAX);
        assert!(Parameters(vec![pair("limit", "-1")]).limit().is_err());
        let selectors = Parameters(vec![pair("match[]", "up"), pair("match[]", "{a=\"b\"}")]);
        assert_eq!(selectors.matchers(&QueryLimits::default()).unwrap().len(), 2);
        assert!(Parameters(vec![pair("match[]", "sum(up)")]).matchers(&QueryLimits::default()).is_err());
    }
}
