//! On `/metrics`: requests, what was denied, queues, the budget, and how reading the settings again went.
//!
//! Not here: the rest of the page (see `metrics_page`).

use super::metrics_page::{Exposition, MetricsPage};
use crate::anomaly::Filter;
use crate::self_metrics::HttpCounters;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A queue, what waits in it, and how much may.
pub type Waiting = (&'static str, (usize, usize));

/// How much waits in each queue, and the most that may.
#[derive(Clone)]
pub struct Queues {
    /// Batches of each shard.
    pub shards: Arc<dyn Fn() -> Vec<(usize, usize)> + Send + Sync>,
    /// The others, by name.
    pub others: Arc<dyn Fn() -> Vec<Waiting> + Send + Sync>,
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Queues { .. }")
    }
}

/// Writes the lines.
pub(super) fn write(page: &MetricsPage, out: &mut Exposition) {
    requests(page, out);
    queues(page, out);
    budget(page, out);
    if let Some(guard) = &page.guard {
        let denied = "infrawatch_access_denied_total";
        out.counter(denied, "Requests that were not allowed, by the reason.");
        let counters = &guard.counters;
        let reasons = [
            ("missing", &counters.missing),
            ("wrong", &counters.wrong),
            ("forbidden", &counters.forbidden),
            ("limited", &counters.limited),
        ];
        for (reason, counter) in reasons {
            out.sample(denied, &[("reason", reason)], counter.load(Ordering::Relaxed));
        }
        out.gauge("infrawatch_access_configured", "1 while users are configured, so that everybody must say who asks.");
        out.sample("infrawatch_access_configured", &[], u64::from(guard.is_configured()));
    }
    let streams = &page.metrics.streams;
    out.counter("infrawatch_stream_samples_total", "Samples sent by live streams.");
    out.sample("infrawatch_stream_samples_total", &[], streams.events.load(Ordering::Relaxed));
    out.counter("infrawatch_stream_dropped_samples_total", "Samples that live streams passed over for slow readers.");
    out.sample("infrawatch_stream_dropped_samples_total", &[], streams.dropped.load(Ordering::Relaxed));
    let reloads = &page.metrics.reloads;
    let total = "infrawatch_config_reloads_total";
    out.counter(total, "Times the settings were read again, by the result.");
    out.sample(total, &[("result", "success")], reloads.succeeded.load(Ordering::Relaxed));
    out.sample(total, &[("result", "failure")], reloads.failed.load(Ordering::Relaxed));
    let last = "infrawatch_config_last_reload_successful";
    out.gauge(last, "0 after settings were refused, so that those before are still in force.");
    out.sample(last, &[], u64::from(!reloads.last_failed.load(Ordering::Relaxed)));
    let time = "infrawatch_config_last_reload_success_timestamp_seconds";
    out.gauge(time, "When settings were last put in force, in seconds since 1970.");
    out.sample(time, &[], reloads.last_success_ms.load(Ordering::Relaxed) as f64 / 1000.0);
    let waiting = "infrawatch_config_waiting_for_restart";
    let names = reloads.waiting.lock().clone();
    out.gauge(waiting, "Settings that were changed and are not in force before a restart.");
    out.sample(waiting, &[], names.len());
    let each = "infrawatch_config_restart_needed";
    out.gauge(each, "1 for every setting that was changed and is not in force before a restart.");
    for key in names {
        out.sample(each, &[("key", key)], 1);
    }
    health(page, out);
}

fn requests(page: &MetricsPage, out: &mut Exposition) {
    let http = &page.metrics.http;
    let name = "infrawatch_http_requests_total";
    out.counter(name, "Requests answered, by the class of their status.");
    for (class, count) in ["1xx", "2xx", "3xx", "4xx", "5xx"].iter().zip(http.classes()) {
        out.sample(name, &[("class", class)], count);
    }
    let (counts, sum_s) = http.durations();
    let help = "Time until an answer began, in seconds.";
    out.heading("infrawatch_http_request_seconds", "histogram", help);
    out.buckets("infrawatch_http_request_seconds", &[], &HttpCounters::SECONDS, (&counts, sum_s));
}

fn queues(page: &MetricsPage, out: &mut Exposition) {
    let others = (page.queues.others)();
    let (length, most) = ("infrawatch_queue_length", "infrawatch_queue_length_max");
    out.gauge(length, "What waits in a queue, or is in work where only so much may be.");
    for (queue, (waiting, _)) in &others {
        out.sample(length, &[("queue", queue)], waiting);
    }
    out.gauge(most, "How much may wait in a queue, or be in work; beyond that whoever gives waits or is refused.");
    for (queue, (_, waiting_max)) in &others {
        out.sample(most, &[("queue", queue)], waiting_max);
    }
    let waiting = (page.queues.shards)();
    let (length, most) = ("infrawatch_shard_queue_batches", "infrawatch_shard_queue_batches_max");
    out.gauge(length, "Batches that wait for a shard.");
    for (shard, (batches, _)) in waiting.iter().enumerate() {
        out.sample(length, &[("shard", &shard.to_string())], batches);
    }
    out.gauge(most, "Batches that may wait for a shard; beyond them a request is answered 503.");
    for (shard, (_, batches_max)) in waiting.iter().enumerate() {
        out.sample(most, &[("shard", &shard.to_string())], batches_max);
    }
    let lag = "infrawatch_shard_scoring_lag_seconds";
    out.gauge(lag, "Age of the oldest sample of a shard that waits to be scored.");
    for (shard, lag_ms) in page.metrics.scoring.lags_ms().take(waiting.len()).enumerate() {
        out.sample(lag, &[("shard", &shard.to_string())], lag_ms as f64 / 1000.0);
    }
}

/// How the parts were when the server last looked at itself.
fn health(page: &MetricsPage, out: &mut Exposition) {
    let (name, checks) = ("infrawatch_health", "infrawatch_health_checks_total");
    out.gauge(name, "How a part of the server is: 1 healthy, 0.5 degraded, 0 failing.");
    for (component, status) in page.health.components() {
        let value = match status {
            "healthy" => 1.0,
            "degraded" => 0.5,
            _ => 0.0,
        };
        out.sample(name, &[("component", component)], value);
    }
    out.counter(checks, "Times the server looked at its parts.");
    out.sample(checks, &[], page.health.checks());
}

/// The anomalies that normal data may have, beside those there were.
fn budget(page: &MetricsPage, out: &mut Exposition) {
    let allowed = "infrawatch_budget_anomalies_per_series_month";
    out.gauge(allowed, "Anomalies that a series may have in 30 days of normal data.");
    out.sample(allowed, &[], page.budget);
    let began_ms = ((page.now_ms)().saturating_sub(7 * 86_400_000), i64::MAX);
    let week = page.book.records().count(&Filter { began_ms, ..Filter::default() }) as f64;
    let series = page.board.models_loaded().max(1) as f64;
    let found = "infrawatch_anomalies_per_series_month";
    out.gauge(found, "Anomalies of a series in 30 days, at the rate of the last 7.");
    out.sample(found, &[], week / series * 30.0 / 7.0);
}
