//! `GET /api/v1/metrics/{name}/rollups`: what the samples of a name's series amount to, in buckets of 5 minutes or hours.
//!
//! Not here: how buckets are made (see `storage`).

use super::Shared;
use super::answer::{ApiError, Text};
use super::metric::POINTS_MAX;
use super::parameters::Parameters;
use super::run::{check, run};
use super::selection::{name_of, newest_ms, select};
use super::shapes::{Labels, Time};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use std::sync::Arc;
use storage::{Resolution, Rollup};

/// Buckets that are shown unless a range is asked for, up to the newest sample.
const BUCKETS: i64 = 288;
const RESOLUTIONS: [(&str, Resolution); 2] = [("5m", Resolution::Minutes5), ("1h", Resolution::Hour)];

#[derive(Debug, Serialize)]
struct Outcome<'a> {
    name: &'a str,
    resolution: &'static str,
    series: Vec<OutcomeSeries<'a>>,
}

#[derive(Debug, Serialize)]
struct OutcomeSeries<'a> {
    labels: Labels<'a>,
    buckets: Vec<Bucket>,
}

/// A bucket; not finite numbers become null.
#[derive(Debug, Serialize)]
struct Bucket {
    timestamp: Time,
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
    first: f64,
    last: f64,
    /// From the last value before, where that is known, to the last here; null where the series is no counter.
    increase: f64,
}

pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Text, ApiError> {
    let name = name_of(path)?;
    let parameters = Parameters::read(&uri)?;
    let resolution = parameters.word("resolution", &RESOLUTIONS)?.unwrap_or(Resolution::Hour);
    let (start_ms, end_ms) = (parameters.time_ms("start")?, parameters.time_ms("end")?);
    let sets = parameters.matchers(&shared.api.query)?;
    run(shared, move |shared, cancel| {
        let found = select(shared, &name, &sets)?;
        let to_ms = match end_ms {
            Some(end_ms) => end_ms,
            None => newest_ms(shared, &found)?.unwrap_or(0),
        };
        let from_ms = start_ms.unwrap_or_else(|| to_ms.saturating_sub(BUCKETS * resolution.ms()));
        let (mut series, mut count) = (Vec::with_capacity(found.len()), 0);
        for one in &found {
            check(cancel)?;
            let mut buckets = Vec::new();
            shared.api.store.rollups(one.series, resolution, from_ms, to_ms, &mut buckets)?;
            count += buckets.len();
            if count > POINTS_MAX {
                let message =
                    format!("more than {POINTS_MAX} buckets; ask for fewer series, less time or resolution=1h");
                return Err(ApiError::unprocessable(message).with("field", "start"));
            }
            series.push(OutcomeSeries { labels: Labels(&one.key), buckets: shown(&buckets) });
        }
        Text::of(&Outcome { name: &name, resolution: resolution.name(), series })
    })
    .await
}

fn shown(buckets: &[Rollup]) -> Vec<Bucket> {
    let mut before = None;
    let show = |bucket: &Rollup| {
        let with_before: Vec<Rollup> = before.replace(*bucket).into_iter().chain([*bucket]).collect();
        let within = |bucket: &Rollup| storage::increase(std::slice::from_ref(bucket));
        // What both rose by, less what the first did.
        let increase = match with_before.as_slice() {
            [first, _] => storage::increase(&with_before) - within(first),
            _ => within(bucket),
        };
        let Rollup { start_ms, count, sum, min, max, first, last, .. } = *bucket;
        Bucket { timestamp: Time(start_ms), count, sum, min, max, first, last, increase }
    };
    buckets.iter().map(show).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_increase_of_a_bucket_begins_where_the_one_before_ended() {
        let bucket = |start_ms, first: f64, last: f64, drops| Rollup {
            start_ms,
            count: 2,
            sum: first + last,
            min: first.min(last),
            max: first.max(last),
            first,
            last,
            drops,
        };
        let buckets = [bucket(0, 10.0, 14.0, 0.0), bucket(1, 15.0, 3.0, 15.0), bucket(2, 1.0, 2.0, 0.0)];
        let increases: Vec<f64> = shown(&buckets).iter().map(|bucket| bucket.increase).collect();
        assert_eq!(increases, [4.0, 1.0 + 3.0, 1.0 + 1.0]);
        assert!(shown(&[bucket(0, 1.0, 2.0, f64::NAN)])[0].increase.is_nan());
    }
}
