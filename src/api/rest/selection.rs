//! The series of one name: at most so many a call.
//!
//! Not here: their samples.

use super::Shared;
use super::answer::ApiError;
use axum::extract::Path;
use axum::extract::rejection::PathRejection;
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::series::{self, NAME_LABEL};

/// Series that one call may be about.
const SERIES_MAX: usize = 100;

/// The last part of a path, percent-decoded once; it may contain slashes.
pub(super) fn name_of(path: Result<Path<String>, PathRejection>) -> Result<String, ApiError> {
    match path {
        Ok(Path(name)) => Ok(name),
        Err(error) => Err(ApiError::bad(error.body_text())),
    }
}

/// The series of `name` that satisfy any one set of matchers, or all of them if there is none; sorted by labels.
pub(super) fn select(shared: &Shared, name: &str, sets: &[Vec<Matcher>]) -> Result<Vec<SelectedSeries>, ApiError> {
    let store = &shared.api.store;
    let with = |set: &[Matcher]| {
        let matchers: Vec<_> = set.iter().cloned().chain([Matcher::equal(NAME_LABEL, name)]).collect();
        store.select(&matchers, i64::MIN, i64::MAX)
    };
    let all = with(&[])?;
    if all.is_empty() {
        return Err(ApiError::unknown(format!("no metric is called {name:?}")));
    }
    let mut found = match sets {
        [] => all,
        sets => sets.iter().map(|set| with(set)).collect::<Result<Vec<_>, _>>()?.concat(),
    };
    // Not by key: there the length of a value comes before the value.
    found.sort_unstable_by(|a, b| series::labels(&a.key).cmp(series::labels(&b.key)));
    found.dedup_by(|a, b| a.key == b.key);
    if found.len() > SERIES_MAX {
        let count = found.len();
        let message =
            format!("{count} series, more than {SERIES_MAX} at a time; choose some with match={{label=\"value\"}}");
        return Err(ApiError::unprocessable(message).with("field", "match").with("count", count));
    }
    Ok(found)
}

/// The newest time of any of these series that has a sample.
pub(super) fn newest_ms(shared: &Shared, series: &[SelectedSeries]) -> Result<Option<i64>, ApiError> {
    let mut newest = None;
    for one in series {
        newest = newest.max(shared.api.store.newest(one.series)?.map(|(time_ms, _)| time_ms));
    }
    Ok(newest)
}
