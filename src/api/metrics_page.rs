//! `/metrics`: our own counters in the Prometheus text format 0.0.4, or OpenMetrics 1.0 where the scraper asks for it.
//!
//! Not here: the counting (see `self_metrics`), what the process uses (see `process`).

pub use super::service_metrics::{Queues, Waiting};

use super::health::HealthBoard;
use super::{alert_metrics, anomaly_metrics, forecast_metrics, foundation_metrics, process, service_metrics};
use crate::access::Guard;
use crate::alert::book::AlertBook;
use crate::anomaly::accuracy::Accuracy;
use crate::anomaly::book::Book;
use crate::forecasts::{ForecastDesk, RuleBoard};
use crate::groups::GroupBoard;
use crate::metric_metadata::MetricBook;
use crate::monitors::MonitorKeeper;
use crate::pull::PullGauges;
use crate::query::Room;
use crate::reports::ReportBoard;
use crate::rules::RuleKeeper;
use crate::self_metrics::{DropReason, Rejection, SelfMetrics, Source, SourceCounters};
use crate::shard::questions::ModelBoard;
use crate::watch::WatchBoard;
use crate::windowed::WindowedBoard;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::Store;

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the page shows.
#[derive(Debug, Clone)]
pub struct MetricsPage {
    /// The counters.
    pub metrics: Arc<SelfMetrics>,
    /// What senders said of metrics.
    pub told: Arc<MetricBook>,
    /// The store's figures.
    pub store: Store,
    /// The anomalies.
    pub book: Book,
    /// The alerts.
    pub alerts: AlertBook,
    /// The models.
    pub board: Arc<ModelBoard>,
    /// Most names of metrics that are shown by themselves.
    pub names_max: usize,
    /// The queries in flight.
    pub queries: Arc<Room>,
    /// What models trained on request last said.
    pub pull: Arc<PullGauges>,
    /// What watched expressions came to.
    pub watched: Arc<WatchBoard>,
    /// How the parts of the server were lately.
    pub health: Arc<HealthBoard>,
    /// What judging by windows came to.
    pub windowed: Arc<WindowedBoard>,
    /// Rules of files, and how they stand.
    pub rules: Arc<RuleKeeper>,
    /// Monitors of files, and how they stand.
    pub monitors: Arc<MonitorKeeper>,
    /// What makes forecasts.
    pub desk: Arc<ForecastDesk>,
    /// What predictive rules came to.
    pub forecast_rules: Arc<RuleBoard>,
    /// Reports that the server makes by itself.
    pub reports: Arc<ReportBoard>,
    /// What people said of anomalies.
    pub accuracy: Arc<RwLock<Arc<Accuracy>>>,
    /// What groups of series came to.
    pub grouped: Arc<GroupBoard>,
    /// Who may ask, where somebody is kept from it.
    pub guard: Option<Arc<Guard>>,
    /// What waits for the shards.
    pub queues: Queues,
    /// How many anomalies a series may have in 30 days of normal data.
    pub budget: f64,
    /// The clock.
    pub now_ms: fn() -> i64,
}

/// The route, at the root.
pub fn router(page: MetricsPage) -> Router {
    Router::new().route("/metrics", get(show)).with_state(page)
}

async fn show(State(page): State<MetricsPage>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let open_metrics = accept.contains("application/openmetrics-text");
    // Looking for the most unusual scores goes through all series.
    let written = tokio::task::spawn_blocking(move || {
        let mut out = Exposition { text: String::with_capacity(8192), open_metrics, figures: None };
        page.write(&mut out);
        out
    });
    let Ok(mut out) = written.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let content_type = if open_metrics { OPEN_METRICS } else { TEXT };
    if open_metrics {
        out.text.push_str("# EOF\n");
    }
    ([(header::CONTENT_TYPE, content_type)], out.text).into_response()
}

/// Text under construction.
pub(super) struct Exposition {
    text: String,
    open_metrics: bool,
    /// Takes the samples of [`FIGURES`] too.
    figures: Option<Vec<Figure>>,
}

/// What is said of anomalies, for rules that ask for it.
pub const FIGURES: [&str; 2] = ["anomaly_score", "anomaly_detected_total"];

/// Labels with the name among them, and a value.
pub type Figure = (BTreeMap<String, String>, f64);

impl Exposition {
    /// Writes the heading of a counter; `name` ends in `_total`, which OpenMetrics leaves out of the heading.
    pub(super) fn counter(&mut self, name: &str, help: &str) {
        let family = if self.open_metrics { name.strip_suffix("_total").unwrap_or(name) } else { name };
        self.heading(family, "counter", help);
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.heading(name, "gauge", help);
    }

    /// Writes one series of a histogram: how many are within each bound and beyond, and their sum.
    pub(super) fn buckets(&mut self, name: &str, labels: &[(&str, &str)], bounds: &[f64], told: (&[u64], f64)) {
        let (counts, sum) = told;
        let mut all = 0;
        for (at, count) in counts.iter().enumerate() {
            all += count;
            let bound = bounds.get(at).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let labels: Vec<_> = labels.iter().copied().chain([("le", bound.as_str())]).collect();
            self.sample(&format!("{name}_bucket"), &labels, all);
        }
        self.sample(&format!("{name}_sum"), labels, sum);
        self.sample(&format!("{name}_count"), labels, all);
    }

    pub(super) fn heading(&mut self, family: &str, kind: &str, help: &str) {
        // Writing into a string cannot fail, here and below.
        let _ = write!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}\n");
    }

    pub(super) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        if let Some(figures) = self.figures.as_mut().filter(|_| FIGURES.contains(&name)) {
            let pairs = [("__name__", name)].into_iter().chain(labels.iter().copied());
            let labels = pairs.map(|(label, text)| (label.to_owned(), text.to_owned())).collect();
            figures.extend(value.to_string().parse().ok().map(|value| (labels, value)));
        }
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let open = if at == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{open}{label}=\"");
            push_escaped(&mut self.text, text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = writeln!(self.text, " {value}");
    }
}

/// A label's value as the format spells it.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
}

impl MetricsPage {
    /// What is said of anomalies, as the page has it.
    pub fn figures(&self) -> Vec<Figure> {
        let mut out = Exposition { text: String::new(), open_metrics: false, figures: Some(Vec::new()) };
        anomaly_metrics::write(self, &mut out);
        out.figures.unwrap_or_default()
    }

    fn write(&self, out: &mut Exposition) {
        out.gauge("infrawatch_build_info", "Always 1; the version as a label.");
        out.sample("infrawatch_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        self.accounting(out);
        self.requests(out);
        self.queries(out);
        self.statsd(out);
        self.scoring(out);
        self.snmp(out);
        self.store(out);
        service_metrics::write(self, out);
        anomaly_metrics::write(self, out);
        alert_metrics::write(&self.alerts, &self.rules, &self.monitors, out);
        forecast_metrics::write(self, out);
        foundation_metrics::write(self, out);
        process::write(|name, kind, help, value| {
            match kind {
                process::Kind::Counter => out.counter(name, help),
                process::Kind::Gauge => out.gauge(name, help),
            }
            out.sample(name, &[], value);
        });
    }

    fn queries(&self, out: &mut Exposition) {
        out.gauge("infrawatch_queries_in_flight", "Queries being evaluated or written.");
        out.sample("infrawatch_queries_in_flight", &[], self.queries.in_flight());
        out.gauge("infrawatch_query_memory_bytes", "What queries hold in memory, of query.memory_max.");
        out.sample("infrawatch_query_memory_bytes", &[], self.queries.bytes());
        out.counter(
            "infrawatch_queries_crowded_out_total",
            "Attempts to evaluate a query that found no room in memory; they are repeated within its time.",
        );
        out.sample("infrawatch_queries_crowded_out_total", &[], self.queries.crowded_out());
        let kept = self.queries.kept();
        let (hits, misses) = (kept.hits(), kept.misses());
        out.counter("infrawatch_query_cache_hits_total", "Range queries answered with an answer that was kept.");
        out.sample("infrawatch_query_cache_hits_total", &[], hits);
        out.counter("infrawatch_query_cache_misses_total", "Range queries that were evaluated.");
        out.sample("infrawatch_query_cache_misses_total", &[], misses);
        let ratio = "infrawatch_query_cache_hit_ratio";
        out.gauge(ratio, "The share of range queries answered with an answer that was kept, since the start.");
        out.sample(ratio, &[], hits as f64 / (hits + misses).max(1) as f64);
        out.gauge("infrawatch_query_cache_bytes", "What kept answers take, of query.cache_bytes.");
        out.sample("infrawatch_query_cache_bytes", &[], kept.bytes() as u64);
    }

    /// The counters of the law: received = stored + aggregated + rejected + late + duplicate + dropped.
    fn accounting(&self, out: &mut Exposition) {
        type Read = fn(&SourceCounters) -> u64;
        let plain: [(&str, &str, Read); 5] = [
            ("infrawatch_received_total", "Observations received.", SourceCounters::received),
            ("infrawatch_stored_total", "Observations stored as samples.", SourceCounters::stored),
            ("infrawatch_aggregated_total", "Observations that went into a window.", SourceCounters::aggregated),
            ("infrawatch_late_total", "Samples older than the out-of-order window.", SourceCounters::late),
            ("infrawatch_duplicate_total", "Samples stored already with that value.", SourceCounters::duplicate),
        ];
        for (name, help, read) in plain {
            out.counter(name, help);
            for source in Source::ALL {
                out.sample(name, &[("source", source.name())], read(self.metrics.of(source)));
            }
        }
        out.counter("infrawatch_rejected_total", "Observations that were understood and refused.");
        for (source, reason) in Source::ALL.into_iter().flat_map(|s| Rejection::ALL.map(|reason| (s, reason))) {
            let labels = [("source", source.name()), ("reason", reason.name())];
            out.sample("infrawatch_rejected_total", &labels, self.metrics.of(source).rejected(reason));
        }
        out.counter("infrawatch_dropped_total", "Valid observations for which there was no room.");
        for (source, reason) in Source::ALL.into_iter().flat_map(|s| DropReason::ALL.map(|reason| (s, reason))) {
            let labels = [("source", source.name()), ("reason", reason.name())];
            out.sample("infrawatch_dropped_total", &labels, self.metrics.of(source).dropped(reason));
        }
    }

    fn requests(&self, out: &mut Exposition) {
        out.counter("infrawatch_bad_requests_total", "Write requests refused whole, before any sample was seen.");
        out.sample("infrawatch_bad_requests_total", &[], self.metrics.bad_requests.load(Ordering::Relaxed));
        self.known_series(out);
        let told = "infrawatch_metadata_refused_total";
        out.counter(told, "Times what was said of a metric family found no room or was no text.");
        out.sample(told, &[], self.told.refused());
        let created = "infrawatch_created_timestamps_ignored_total";
        out.counter(created, "Times at which counters were made, sent by remote write 2.0 and stepped over.");
        out.sample(created, &[], self.metrics.created_ignored.load(Ordering::Relaxed));
    }

    fn known_series(&self, out: &mut Exposition) {
        let counters = &self.metrics.known_series;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let met = "infrawatch_remote_write_series_total";
        out.counter(met, "Series of requests, known again by their bytes or looked up by their labels.");
        out.sample(met, &[("how", "known")], read(&counters.known));
        out.sample(met, &[("how", "looked_up")], read(&counters.looked_up));
        let refused = "infrawatch_known_series_refused_total";
        out.counter(refused, "Series met for which remote_write.known_series_bytes left no room.");
        out.sample(refused, &[], read(&counters.refused));
        out.gauge("infrawatch_known_series", "Series of remote write senders that would be known again.");
        out.sample("infrawatch_known_series", &[], read(&counters.remembered));
        out.gauge("infrawatch_known_series_key_bytes", "Bytes of their labels.");
        out.sample("infrawatch_known_series_key_bytes", &[], read(&counters.key_bytes));
    }

    fn statsd(&self, out: &mut Exposition) {
        let counters = &self.metrics.statsd;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let drops = "infrawatch_statsd_kernel_drops_total";
        let sockets = counters.sockets();
        out.counter(drops, "Datagrams the kernel had no room for.");
        for socket in &sockets {
            out.sample(drops, &[("socket", socket.name())], read(&socket.kernel_drops));
        }
        let datagrams = "infrawatch_statsd_datagrams_total";
        out.counter(datagrams, "Datagrams received.");
        for socket in &sockets {
            out.sample(datagrams, &[("socket", socket.name())], read(&socket.datagrams));
        }
        let plain = [
            ("infrawatch_statsd_extensions_ignored_total", "Extensions stepped over.", &counters.extensions_ignored),
            ("infrawatch_statsd_tags_joined_total", "Spellings of series with a tag key twice.", &counters.tags_joined),
            ("infrawatch_window_samples_total", "Samples stored when windows closed.", &counters.window_samples),
            (
                "infrawatch_window_samples_refused_total",
                "Samples of closed windows that the store did not take.",
                &counters.window_samples_refused,
            ),
        ];
        for (name, help, counter) in plain {
            out.counter(name, help);
            out.sample(name, &[], read(counter));
        }
        let refused = "infrawatch_statsd_refused_total";
        out.counter(refused, "Observations of new series for which statsd.max_series left no room, by metric name.");
        for (name, count) in counters.refused() {
            out.sample(refused, &[("metric_name", name.as_str())], count);
        }
        out.gauge("infrawatch_statsd_series", "Spellings of series that are gathered.");
        out.sample("infrawatch_statsd_series", &[], read(&counters.window_series));
    }

    fn scoring(&self, out: &mut Exposition) {
        let counters = &self.metrics.scoring;
        let plain = [
            ("infrawatch_scored_total", "Samples scored and learned.", &counters.scored),
            ("infrawatch_scoring_skipped_total", "Samples stored and not scored for want of room.", &counters.skipped),
            ("infrawatch_scoring_steps_down_total", "Times scoring gave up a share of its work.", &counters.steps_down),
            ("infrawatch_scoring_steps_up_total", "Times it took a share back.", &counters.steps_up),
            ("infrawatch_scoring_panics_total", "Series whose model was lost to a failure.", &counters.panics),
            ("infrawatch_anomaly_runs_waited_total", "Times a run found no room at the book.", &counters.runs_waited),
            ("infrawatch_anomaly_runs_lost_total", "Runs that were never told for want of room.", &counters.runs_lost),
            ("infrawatch_models_saves_total", "Times models of a partition were written.", &counters.saves),
            ("infrawatch_models_save_failures_total", "Times they could not be.", &counters.save_failures),
            ("infrawatch_models_files_refused_total", "Files of models not read.", &counters.files_refused),
        ];
        for (name, help, counter) in plain {
            out.counter(name, help);
            out.sample(name, &[], counter.load(Ordering::Relaxed));
        }
        let lag = "infrawatch_scoring_lag_seconds";
        out.gauge(lag, "Age of the oldest stored sample that waits to be scored.");
        out.sample(lag, &[], counters.lag_ms_max() as f64 / 1000.0);
        let step = "infrawatch_scoring_step";
        out.gauge(step, "What scoring leaves out: 0 nothing, 1 writing models, 2 also all but one detector a family.");
        out.sample(step, &[], counters.step_max());
    }

    fn snmp(&self, out: &mut Exposition) {
        let counters = &self.metrics.snmp;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        out.gauge("infrawatch_snmp_devices", "Devices polled.");
        out.sample("infrawatch_snmp_devices", &[], read(&counters.devices));
        let plain = [
            ("infrawatch_snmp_requests_total", "Requests sent.", &counters.requests),
            ("infrawatch_snmp_timeouts_total", "Requests not answered in time.", &counters.timeouts),
            ("infrawatch_snmp_unexpected_total", "Datagrams that answer no request.", &counters.unexpected),
            (
                "infrawatch_snmp_interfaces_moved_total",
                "Interfaces not stored because they changed hands while they were read.",
                &counters.interfaces_moved,
            ),
            ("infrawatch_snmp_walk_faults_total", "Walks that a device's fault ended.", &counters.walk_faults),
        ];
        for (name, help, counter) in plain {
            out.counter(name, help);
            out.sample(name, &[], read(counter));
        }
        out.counter("infrawatch_snmp_cycles_total", "Cycles of devices, by how they ended.");
        for (result, counter) in [("polled", &counters.polled), ("failed", &counters.failed)] {
            out.sample("infrawatch_snmp_cycles_total", &[("result", result)], read(counter));
        }
        out.counter("infrawatch_snmp_rates_withheld_total", "Rates not stored because they could be wrong.");
        let reasons = [
            ("reset", &counters.rates_reset),
            ("ambiguous", &counters.rates_ambiguous),
            ("implausible", &counters.rates_implausible),
        ];
        for (reason, counter) in reasons {
            out.sample("infrawatch_snmp_rates_withheld_total", &[("reason", reason)], read(counter));
        }
        let late = "infrawatch_snmp_late_seconds_max";
        out.gauge(late, "The latest that a cycle began after it was due.");
        out.sample(late, &[], read(&counters.late_ms_max) as f64 / 1000.0);
        out.counter("infrawatch_snmp_events_total", "Traps and informs taken.");
        for (kind, counter) in [("trap", &counters.traps.traps), ("inform", &counters.traps.informs)] {
            out.sample("infrawatch_snmp_events_total", &[("kind", kind)], read(counter));
        }
        let again = "infrawatch_snmp_events_again_total";
        out.counter(again, "Traps and informs that had come before.");
        out.sample(again, &[], read(&counters.traps.again));
        out.counter("infrawatch_snmp_events_rejected_total", "Traps and informs not taken.");
        let reasons = [
            ("malformed", &counters.traps.malformed),
            ("unknown_sender", &counters.traps.unknown_sender),
            ("credentials", &counters.traps.credentials),
        ];
        for (reason, counter) in reasons {
            out.sample("infrawatch_snmp_events_rejected_total", &[("reason", reason)], read(counter));
        }
    }

    fn store(&self, out: &mut Exposition) {
        let figures = self.store.figures();
        let writing = u64::from(figures.journal_failure.is_none());
        let working = figures.journal_sides.iter().filter(|side| side.failing.is_none()).count() as u64;
        let gauges: [(&str, &str, u64); 9] = [
            ("infrawatch_series", "Series in the catalog.", figures.series),
            ("infrawatch_journal_bytes", "Bytes in journal segments.", figures.journal_bytes),
            ("infrawatch_journal_writing", "1 while the journal can be written.", writing),
            ("infrawatch_journal_folders_writing", "Folders of the journal that can be written.", working),
            ("infrawatch_panicked_threads", "Threads of the store that panicked.", figures.panicked.len() as u64),
            ("infrawatch_block_bytes", "Bytes of blocks on disk.", figures.block_bytes),
            ("infrawatch_rollup_bytes", "Bytes of rollups on disk.", figures.rollup_bytes),
            ("infrawatch_checkpoint_bytes", "Bytes of the last checkpoint.", figures.keeper.checkpoint_bytes),
            (
                "infrawatch_damage_findings",
                "Damage found in the store, at opening and since.",
                figures.damage.len() as u64,
            ),
        ];
        for (name, help, value) in gauges {
            out.gauge(name, help);
            out.sample(name, &[], value);
        }
        let keeper = &figures.keeper;
        let failures = figures.journal_sides.iter().map(|side| side.failures).sum();
        let counters = [
            ("infrawatch_checkpoints_total", "Checkpoints written since the start.", keeper.checkpoints),
            (
                "infrawatch_directories_removed_total",
                "Directories of samples removed by retention since the start.",
                keeper.directories_removed,
            ),
            (
                "infrawatch_rollup_directories_removed_total",
                "Directories of rollups removed by retention since the start.",
                keeper.rollup_directories_removed,
            ),
            (
                "infrawatch_journal_folder_failures_total",
                "Operations that failed in a folder of the journal since the start.",
                failures,
            ),
            (
                "infrawatch_rolled_partitions_total",
                "Partitions rolled up since the start, once for each of their days.",
                keeper.rolled_days,
            ),
            ("infrawatch_rolled_samples_total", "Samples in them.", keeper.rolled_samples),
        ];
        for (name, help, value) in counters {
            out.counter(name, help);
            out.sample(name, &[], value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_names_counters_without_total_in_the_heading() {
        let mut out = Exposition { text: String::new(), open_metrics: true, figures: None };
        out.counter("a_total", "Help.");
        out.sample("a_total", &[("x", "1"), ("y", "2")], 7);
        assert_eq!(out.text, "# HELP a Help.\n# TYPE a counter\na_total{x=\"1\",y=\"2\"} 7\n");
        let mut out = Exposition { text: String::new(), open_metrics: false, figures: None };
        out.counter("a_total", "Help.");
        out.sample("a_total", &[], 7);
        assert_eq!(out.text, "# HELP a_total Help.\n# TYPE a_total counter\na_total 7\n");
    }

    #[test]
    fn any_label_value_stands_on_one_line() {
        let mut out = Exposition { text: String::new(), open_metrics: false, figures: None };
        out.sample("a", &[("x", "a\"b\\c\nd")], 1);
        assert_eq!(out.text, "a{x=\"a\\\"b\\\\c\\nd\"} 1\n");
    }
}
