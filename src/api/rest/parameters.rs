//! Parameters in the query string, and how times, durations, words and pages are spelled.
//!
//! Not here: bodies (see `body`).

use super::answer::ApiError;
use crate::api::prometheus::parse_duration_ms;
use crate::query::{QueryLimits, matchers};
use crate::series_file::parse_time_ms;
use axum::extract::Query;
use axum::http::Uri;
use storage::label_index::Matcher;

/// Most items of a page.
const PAGE_MAX: usize = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    pub(super) skip: usize,
    pub(super) limit: usize,
}

/// Names and values in the order given.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Of a request's query string.
    pub(super) fn read(uri: &Uri) -> Result<Self, ApiError> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri);
        pairs.map(|Query(pairs)| Self(pairs)).map_err(|error| ApiError::bad(error.to_string()))
    }

    /// The first value of a parameter; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, value)| known == name && !value.is_empty());
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of a parameter that is not empty.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds since 1970 UTC.
    pub(super) fn time_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.text(name).map(|text| time_ms_of(name, text)).transpose()
    }

    /// A duration in milliseconds.
    pub(super) fn duration_ms(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.text(name).map(|text| duration_ms_of(name, text)).transpose()
    }

    /// A finite number.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Some).ok_or_else(|| ApiError::field(name, "expected a finite number"))
    }

    /// `true` or `false`, the latter when absent.
    pub(super) fn is_set(&self, name: &str) -> Result<bool, ApiError> {
        let words = [("true", true), ("1", true), ("false", false), ("0", false)];
        self.text(name).map_or(Ok(false), |text| word_of(name, text, &words))
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| word_of(name, text, words)).transpose()
    }

    /// Some of some words, separated by commas or in several parameters.
    pub(super) fn words<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Vec<T>, ApiError> {
        self.all(name).flat_map(|text| text.split(',')).map(|text| word_of(name, text.trim(), words)).collect()
    }

    /// Which part of a list is wanted; `limit` items unless said otherwise.
    pub(super) fn page(&self, limit: usize) -> Result<Page, ApiError> {
        let number = |name: &str, absent: usize| {
            let parse =
                |text: &str| text.parse().map_err(|_| ApiError::field(name, "expected a whole number of at least 0"));
            self.text(name).map_or(Ok(absent), parse)
        };
        let page = Page { skip: number("skip", 0)?, limit: number("limit", limit)? };
        match page.limit {
            1..=PAGE_MAX => Ok(page),
            limit => Err(ApiError::field("limit", format!("{limit} is not between 1 and {PAGE_MAX}"))),
        }
    }

    /// The sets of matchers of every `match`; a series need satisfy only one set.
    pub(super) fn matchers(&self, limits: &QueryLimits) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match").map(|text| matchers_of(text, limits)).collect()
    }
}

/// The matchers of `{host="a",env=~"p.*"}`.
pub(super) fn matchers_of(text: &str, limits: &QueryLimits) -> Result<Vec<Matcher>, ApiError> {
    Ok(matchers(text, limits)?)
}

/// A time as it is spelled everywhere.
pub(super) fn time_ms_of(name: &str, text: &str) -> Result<i64, ApiError> {
    let form = "expected RFC 3339 or a number of seconds or milliseconds since 1970";
    parse_time_ms(text).ok_or_else(|| ApiError::field(name, form))
}

/// Seconds, or numbers with units.
pub(super) fn duration_ms_of(name: &str, text: &str) -> Result<i64, ApiError> {
    let duration_ms = parse_duration_ms(text).filter(|duration_ms| *duration_ms > 0);
    duration_ms.ok_or_else(|| ApiError::field(name, "expected a duration of more than 0 such as 60, 5m or 1h30m"))
}

/// One of some words.
pub(super) fn word_of<T: Copy>(name: &str, text: &str, words: &[(&str, T)]) -> Result<T, ApiError> {
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning);
    let known = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| ApiError::field(name, format!("{text:?} is none of {}", known())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Parameters {
        Parameters::read(&format!("/x?{query}").parse().unwrap()).unwrap()
    }

    #[test]
    fn a_page_has_bounds() {
        assert_eq!(read("").page(10).unwrap(), Page { skip: 0, limit: 10 });
        assert_eq!(read("skip=5&limit=1000").page(10).unwrap(), Page { skip: 5, limit: 1000 });
        for wrong in ["limit=0", "limit=1001", "limit=-1", "skip=-1", "skip=x", "limit=1.5"] {
            assert!(read(wrong).page(10).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_decoded_and_words_are_known() {
        let parameters = read("a=x%20y&b=&time=2023-11-14T22:13:20Z&all=true&color=red,green&color=red&step=5m");
        assert_eq!((parameters.text("a"), parameters.text("b")), (Some("x y"), None));
        assert_eq!(parameters.time_ms("time").unwrap(), Some(1_700_000_000_000));
        assert!(parameters.is_set("all").unwrap() && !parameters.is_set("other").unwrap());
        let colors = [("red", 1), ("green", 2)];
        assert_eq!(parameters.words("color", &colors).unwrap(), [1, 2, 1]);
        assert!(parameters.word("color", &colors).is_err() && parameters.is_set("step").is_err());
        assert_eq!(parameters.duration_ms("step").unwrap(), Some(300_000));
        assert!(read("step=0").duration_ms("step").is_err() && read("t=now").time_ms("t").is_err());
    }

    #[test]
    fn matchers_stand_in_braces() {
        let limits = QueryLimits::default();
        let two = "match=%7Ba=%221%22,b=~%22x.*%22%7D&match=%7Bc!=%22%22%7D";
        assert_eq!(read(two).matchers(&limits).unwrap().len(), 2);
        assert!(read("match=sum(x)").matchers(&limits).is_err() && read("match=%7Ba=").matchers(&limits).is_err());
    }
}
