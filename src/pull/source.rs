//! Where the pull service finds samples: in our own store, or at a Prometheus that is named in the settings.
//!
//! Not here: what is made of them (see `trained`).
//!
//! Invariant: values that are no finite numbers are left out; a series has its times in order.

use super::trained::TrainingSeries;
use crate::http_client::tls_for;
use crate::query::{self, Answer, Cancel, QueryError, QueryLimits, RangeTimes, Room};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;

/// Bytes of another server's answer.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Points of a series that another server is asked for at once.
const PART_POINTS: i64 = 10_000;

/// Why there are no samples.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The expression, or the store.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// The other server.
    #[error("no answer from {url}: {what}")]
    Remote {
        /// Where it was asked for.
        url: String,
        /// What went wrong.
        what: String,
    },
}

/// Series of an answer.
pub type Answered = Vec<TrainingSeries>;

/// Where to ask.
#[derive(Debug, Clone)]
pub struct Source {
    /// Our own store.
    pub store: Store,
    /// The memory that all queries share.
    pub room: Arc<Room>,
    /// What a query may cost.
    pub limits: QueryLimits,
    /// A Prometheus to ask instead, without a slash at its end; empty for our own store.
    pub prometheus_url: String,
}

impl Source {
    /// The values of an expression over a range. Blocks.
    ///
    /// # Errors
    /// When the expression cannot be understood or costs too much, or the other server gives no answer.
    pub fn range(&self, promql: &str, times: RangeTimes, cancel: &Cancel) -> Result<Answered, SourceError> {
        match self.prometheus_url.as_str() {
            "" => self.own(promql, times, cancel),
            url => in_parts(times, |part| remote(url, promql, part, Duration::from_millis(self.limits.timeout_ms))),
        }
    }

    fn own(&self, promql: &str, times: RangeTimes, cancel: &Cancel) -> Result<Answered, SourceError> {
        let share = self.room.share();
        let bounds = (cancel, &share);
        let prepared = query::range(&self.store, promql, times, &self.limits, bounds)?;
        let answered = prepared.evaluate(&self.store, &self.limits, bounds)?;
        let Answer::Columns(columns) = answered.answer else { return Ok(Vec::new()) };
        let times_ms = columns.times_ms.clone();
        let series = columns.into_series().map(|(labels, values)| {
            let labels = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            finite(labels, times_ms.iter().copied().zip(values))
        });
        Ok(series.filter(|one| !one.values.is_empty()).collect())
    }
}

fn finite(labels: BTreeMap<String, String>, samples: impl Iterator<Item = (i64, f64)>) -> TrainingSeries {
    let (times_ms, values) = samples.filter(|(_, value)| value.is_finite()).unzip();
    TrainingSeries { labels, times_ms, values }
}

#[derive(Debug, Deserialize)]
struct Envelope {
    #[serde(default)]
    data: Matrix,
    #[serde(default)]
    error: String,
}

#[derive(Debug, Default, Deserialize)]
struct Matrix {
    #[serde(default)]
    result: Vec<MatrixSeries>,
}

#[derive(Debug, Deserialize)]
struct MatrixSeries {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

/// Asks for a range part by part, as no Prometheus gives more than 11 000 points of a series at once, and joins the answers.
fn in_parts(
    times: RangeTimes,
    mut ask: impl FnMut(RangeTimes) -> Result<Answered, SourceError>,
) -> Result<Answered, SourceError> {
    let step_ms = times.step_ms.max(1);
    let span_ms = step_ms.saturating_mul(PART_POINTS - 1);
    let mut joined: BTreeMap<BTreeMap<String, String>, TrainingSeries> = BTreeMap::new();
    let mut start_ms = times.start_ms;
    while start_ms <= times.end_ms {
        let end_ms = start_ms.saturating_add(span_ms).min(times.end_ms);
        for series in ask(RangeTimes { start_ms, end_ms, step_ms })? {
            match joined.get_mut(&series.labels) {
                Some(known) => {
                    known.times_ms.extend(series.times_ms);
                    known.values.extend(series.values);
                }
                None => drop(joined.insert(series.labels.clone(), series)),
            }
        }
        start_ms = end_ms.saturating_add(step_ms);
    }
    Ok(joined.into_values().collect())
}

fn remote(base: &str, promql: &str, times: RangeTimes, timeout: Duration) -> Result<Answered, SourceError> {
    let url = format!("{base}/api/v1/query_range");
    let failed = |what: String| SourceError::Remote { url: url.clone(), what };
    let seconds = |ms: i64| format!("{}", ms as f64 / 1000.0);
    let pairs = [
        ("query", promql.to_owned()),
        ("start", seconds(times.start_ms)),
        ("end", seconds(times.end_ms)),
        ("step", seconds(times.step_ms)),
    ];
    let tls = tls_for(base, None).map_err(|error| failed(error.to_string()))?;
    let settings = ureq::Agent::config_builder().timeout_global(Some(timeout)).http_status_as_error(false);
    let settings = settings.tls_config(tls);
    let agent = settings.build().new_agent();
    let asked = agent.get(&url).query_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).call();
    let mut answer = asked.map_err(|error| failed(error.to_string()))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_string();
    let body = body.map_err(|error| failed(error.to_string()))?;
    parsed(status, &body).map_err(failed)
}

fn parsed(status: u16, body: &str) -> Result<Answered, String> {
    let envelope: Envelope =
        serde_json::from_str(body).map_err(|error| format!("status {status}, not Prometheus' form: {error}"))?;
    if status != 200 {
        return Err(format!("status {status}: {}", envelope.error));
    }
    let series = envelope.data.result.into_iter().map(|one| {
        let samples = one
            .values
            .iter()
            .filter_map(|(time_s, text)| Some(((time_s * 1000.0).round() as i64, text.parse::<f64>().ok()?)));
        finite(one.metric, samples)
    });
    Ok(series.filter(|one| !one.values.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_prometheus_becomes_series_without_what_is_no_number() {
        let body = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"job":"a"},"values":[[1700000000.5,"1.5"],[1700000001,"NaN"],[1700000002,"+Inf"]]},
            {"metric":{},"values":[[1,"NaN"]]}]}}"#;
        let series = parsed(200, body).unwrap();
        assert_eq!(series.len(), 1);
        assert_eq!((&series[0].times_ms[..], &series[0].values[..]), (&[1_700_000_000_500][..], &[1.5][..]));
    }

    #[test]
    fn a_long_range_is_asked_for_in_parts_that_meet() {
        let mut asked = Vec::new();
        let times = RangeTimes { start_ms: 0, end_ms: 25_000 * 60_000, step_ms: 60_000 };
        let joined = in_parts(times, |part| {
            asked.push((part.start_ms / 60_000, part.end_ms / 60_000));
            let times_ms: Vec<i64> = (part.start_ms..=part.end_ms).step_by(60_000).collect();
            Ok(vec![TrainingSeries { labels: BTreeMap::new(), values: vec![1.0; times_ms.len()], times_ms }])
        });
        let series = &joined.unwrap()[0];
        assert_eq!(asked, [(0, 9_999), (10_000, 19_999), (20_000, 25_000)]);
        assert!(series.times_ms.len() == 25_001 && series.times_ms.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_another_server_complains_of_is_passed_on() {
        assert_eq!(parsed(400, r#"{"status":"error","error":"bad"}"#).unwrap_err(), "status 400: bad");
        assert!(parsed(200, "<html>").unwrap_err().starts_with("status 200, not Prometheus' form"));
    }
}
