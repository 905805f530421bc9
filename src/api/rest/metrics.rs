//! `GET /api/v1/metrics`: which series there are, with their newest sample and how far their models have come.
//!
//! Not here: their samples (see `metric`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::parameters::{Page, Parameters};
use super::run::{check, run};
use super::shapes::{Labels, List, Time, kind_word, series_id};
use crate::analysis::Stage;
use crate::query::Cancel;
use axum::extract::State;
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;
use storage::SelectedSeries;
use storage::label_index::Matcher;
use storage::series::{self, NAME_LABEL};

const PAGE: usize = 100;

/// Endings of names and the units they stand for, as Prometheus' naming conventions have them.
const UNITS: [(&str, &str); 12] = [
    ("_seconds", "seconds"),
    ("_milliseconds", "milliseconds"),
    ("_ms", "milliseconds"),
    ("_bytes", "bytes"),
    ("_bits", "bits"),
    ("_ratio", "ratio"),
    ("_percent", "percent"),
    ("_celsius", "celsius"),
    ("_volts", "volts"),
    ("_amperes", "amperes"),
    ("_watts", "watts"),
    ("_joules", "joules"),
];

#[derive(Debug, Serialize)]
struct Item<'a> {
    id: String,
    name: &'a str,
    labels: Labels<'a>,
    kind: Option<&'static str>,
    unit: Option<&'static str>,
    last_value: Option<f64>,
    last_time: Option<Time>,
    state: &'static str,
    samples: u32,
}

/// Lists series.
pub(super) async fn list(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Text, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let page = parameters.page(PAGE)?;
    let sets = parameters.matchers(&shared.api.query)?;
    let search = parameters.text("search").map(str::to_lowercase);
    run(shared, move |shared, cancel| {
        let mut found = series(shared, &sets, search.as_deref(), cancel)?;
        let total = found.len();
        let items = items(shared, in_order(&mut found, page))?;
        Text::of(&List { total, items })
    })
    .await
}

/// Series that satisfy any one set of matchers and hold the text searched for, by name.
fn series(
    shared: &Shared,
    sets: &[Vec<Matcher>],
    search: Option<&str>,
    cancel: &Cancel,
) -> Result<Vec<SelectedSeries>, ApiError> {
    let all = [vec![Matcher::not_equal(NAME_LABEL, "")]];
    let mut found = Vec::new();
    for set in if sets.is_empty() { &all[..] } else { sets } {
        check(cancel)?;
        found.extend(shared.api.store.select(set, i64::MIN, i64::MAX)?);
    }
    if let Some(search) = search {
        found.retain(|one| series::labels(&one.key).any(|(_, value)| value.to_lowercase().contains(search)));
    }
    if sets.len() > 1 {
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        found.dedup_by(|a, b| a.key == b.key);
    }
    check(cancel)?;
    Ok(found)
}

/// A page of series by name and labels; the others are not sorted, for there may be a million.
fn in_order(found: &mut [SelectedSeries], page: Page) -> &[SelectedSeries] {
    let by_name = |a: &SelectedSeries, b: &SelectedSeries| {
        name_of(a).cmp(name_of(b)).then_with(|| series::labels(&a.key).cmp(series::labels(&b.key)))
    };
    let end = page.skip.saturating_add(page.limit).min(found.len());
    let begin = page.skip.min(end);
    if end < found.len() {
        found.select_nth_unstable_by(end, by_name);
    }
    let found = &mut found[..end];
    if 0 < begin && begin < end {
        found.select_nth_unstable_by(begin, by_name);
    }
    let shown = &mut found[begin..];
    shown.sort_unstable_by(by_name);
    shown
}

fn name_of(one: &SelectedSeries) -> &str {
    series::label(&one.key, NAME_LABEL).unwrap_or("")
}

fn items<'a>(shared: &Shared, shown: &'a [SelectedSeries]) -> Result<Vec<Item<'a>>, ApiError> {
    let item = |one: &'a SelectedSeries| {
        let newest = shared.api.store.newest(one.series)?;
        let model = shared.api.board.of(one.series);
        Ok(Item {
            id: series_id(&one.key),
            name: name_of(one),
            labels: Labels(&one.key),
            kind: model.map(|model| kind_word(model.kind)),
            unit: unit_of(name_of(one)),
            last_value: newest.map(|(_, value)| value),
            last_time: newest.map(|(time_ms, _)| Time(time_ms)),
            state: model.map_or(Stage::Warming, |model| model.stage).as_str(),
            samples: model.map_or(0, |model| model.samples),
        })
    };
    shown.iter().map(item).collect()
}

/// The unit that a name tells.
fn unit_of(name: &str) -> Option<&'static str> {
    let name = name.strip_suffix("_total").unwrap_or(name);
    UNITS.iter().find(|(ending, _)| name.ends_with(ending)).map(|(_, unit)| *unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_the_part_of_the_whole_list_that_it_should_be() {
        let key = |number: usize| {
            let mut keys = storage::series::KeyBuilder::default();
            keys.push(NAME_LABEL, ["load", "cpu_percent", "a"][number % 3]);
            keys.push("host", &format!("{}", number * 37 % 101));
            SelectedSeries { series: storage::series::SeriesRef(number as u32), key: keys.finish().unwrap().into() }
        };
        let all: Vec<_> = (0..50).map(key).collect();
        let page = |skip, limit| {
            let mut found = all.clone();
            in_order(&mut found, Page { skip, limit }).iter().map(|one| one.series).collect::<Vec<_>>()
        };
        let whole = page(0, 1000);
        assert_eq!(whole.len(), 50);
        for (skip, limit) in [(0, 1), (0, 50), (7, 10), (49, 1), (49, 5), (50, 5), (90, 5), (10, 40)] {
            assert_eq!(page(skip, limit), whole[skip.min(50)..(skip + limit).min(50)], "{skip} {limit}");
        }
        let name = |at: usize| name_of(&all[whole[at].0 as usize]).to_owned();
        assert!((0..50).map(name).is_sorted());
    }

    #[test]
    fn units_follow_from_names() {
        assert_eq!(unit_of("http_request_duration_seconds"), Some("seconds"));
        assert_eq!(unit_of("node_network_receive_bytes_total"), Some("bytes"));
        assert_eq!(unit_of("requests_total"), None);
    }
}
