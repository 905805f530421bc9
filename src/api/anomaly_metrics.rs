//! Scores and anomalies on `/metrics`, to be scraped like any other metric.
//!
//! `anomaly_score` is the greatest of a name's series by its newest sample, for each detector and for all together;
//! `anomaly_detected_total` counts anomalies once for every severity they reach, under every detector that agrees.
//!
//! Cost: 10 ms of a core a scrape with 100 000 series of 500 names, off the async threads.
//!
//! Not here: the rest of the page (see `metrics_page`).

use super::metrics_page::{Exposition, MetricsPage};
use crate::analysis::{detector_names, detectors};
use crate::anomaly::ENSEMBLE;
use crate::pull::Judged;
use crate::self_metrics::Distribution;
use crate::shard::questions::ModelBoard;
use crate::watch::Watched;
use std::sync::atomic::{AtomicU64, Ordering};
use storage::Store;
use storage::series::NAME_LABEL;

/// The greatest scores of the series of one name: of all detectors together, and of each.
#[derive(Debug, PartialEq)]
struct Scores {
    name: String,
    all: f64,
    each: Vec<(&'static str, f64)>,
}

/// Writes the lines.
pub(super) fn write(page: &MetricsPage, out: &mut Exposition) {
    out.gauge("infrawatch_models", "Series with a model.");
    out.sample("infrawatch_models", &[], page.board.models_loaded());
    book(page, out);
    let watched = page.watched.all();
    // A watched expression that is called like a metric stands for it, or there would be two lines of one series.
    let is_watched = |name: &str| watched.iter().any(|(watched, _)| watched == name);
    let mut scores = most_unusual(&page.store, &page.board, page.names_max);
    scores.retain(|scores| !is_watched(&scores.name));
    out.gauge("anomaly_score", "How unusual the newest samples are, 0 to 1: the most of a metric's series.");
    for scores in &scores {
        for (detector, score) in [(ENSEMBLE, scores.all)].iter().chain(&scores.each) {
            out.sample("anomaly_score", &[("metric_name", &scores.name), ("detector_type", detector)], score);
        }
    }
    for (name, one) in &watched {
        if let Some(score) = one.score {
            out.sample("anomaly_score", &[("metric_name", name), ("detector_type", &one.detector)], score);
        }
    }
    for (name, score) in page.grouped.scores() {
        out.sample("anomaly_score", &[("metric_name", &name), ("detector_type", ENSEMBLE)], score);
    }
    groups(page, out);
    out.gauge("anomaly_detection_latency_seconds", "What a detector takes for one sample, as measured last.");
    let timed = detector_names().into_iter().chain([ENSEMBLE]).zip(&page.metrics.scoring.detector_ps);
    for (detector, ps) in timed {
        let seconds = ps.load(Ordering::Relaxed) as f64 * 1e-12;
        out.sample("anomaly_detection_latency_seconds", &[("detector_type", detector)], seconds);
    }
    distributions(page, out);
    out.counter(
        "infrawatch_detector_errors_total",
        "Times a detector failed; it abstained, or its series learns anew.",
    );
    let failed = detectors::failures() + page.metrics.scoring.panics.load(Ordering::Relaxed);
    out.sample("infrawatch_detector_errors_total", &[], failed);
    out.counter("anomaly_detected_total", "Anomalies by the severities they reached and the detectors that agreed.");
    let detected = page.book.detected();
    for (name, count) in detected.iter().filter(|(name, _)| !is_watched(name)) {
        let labels =
            [("metric_name", name), ("detector_type", &*count.detector), ("severity", count.severity.as_str())];
        out.sample("anomaly_detected_total", &labels, count.count);
    }
    for (name, one) in &watched {
        for (severity, count) in [("high", one.high), ("medium", one.medium)] {
            let labels = [("metric_name", name.as_str()), ("detector_type", &one.detector), ("severity", severity)];
            out.sample("anomaly_detected_total", &labels, count);
        }
    }
    expressions(&watched, out);
    pull(page, out);
    windows(page, out);
    rests(page, out);
    accuracy(page, out);
}

/// How often what was told was right, as people said.
fn accuracy(page: &MetricsPage, out: &mut Exposition) {
    let accuracy = page.accuracy.read().clone();
    out.gauge("infrawatch_feedback_anomalies", "Anomalies on record that people judged, by their verdict.");
    for (name, said) in &accuracy.metrics {
        for (verdict, count) in [("true_alarm", said.true_alarms), ("false_alarm", said.false_alarms)] {
            out.sample("infrawatch_feedback_anomalies", &[("metric_name", name), ("verdict", verdict)], count);
        }
    }
    out.gauge("infrawatch_feedback_precision", "Share of a metric's judged anomalies that people called true.");
    for (name, share) in accuracy.metrics.iter().filter_map(|(name, said)| Some((name, said.precision()?))) {
        out.sample("infrawatch_feedback_precision", &[("metric_name", name)], share);
    }
    out.gauge(
        "infrawatch_model_precision",
        "Share of the judged anomalies that people called true: of all, and of those a detector agreed to.",
    );
    let all = accuracy.all.precision().map(|share| (ENSEMBLE, share));
    let each = accuracy.detectors.iter().filter_map(|(name, said)| Some((name.as_str(), said.precision()?)));
    // Whoever tells by a rule of their own is called like it.
    for (model, share) in all.into_iter().chain(each.filter(|(name, _)| *name != ENSEMBLE)) {
        out.sample("infrawatch_model_precision", &[("model", model)], share);
    }
    out.counter("infrawatch_calibrations_total", "Times calibration.every was over and its event was told.");
    out.sample("infrawatch_calibrations_total", &[], page.metrics.scoring.calibrations.load(Ordering::Relaxed));
}

/// What planned trouble kept from being learned.
fn rests(page: &MetricsPage, out: &mut Exposition) {
    let scoring = &page.metrics.scoring;
    let counters = [
        ("infrawatch_training_excluded_total", "Samples judged and not learned because of maintenance.", &scoring.held),
        ("infrawatch_recalibrations_total", "Models that went on learning after maintenance.", &scoring.recalibrated),
    ];
    for (name, help, value) in counters {
        out.counter(name, help);
        out.sample(name, &[], value.load(Ordering::Relaxed));
    }
}

/// How groups of series are judged.
fn groups(page: &MetricsPage, out: &mut Exposition) {
    let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    out.gauge("infrawatch_groups", "Groups of series with a model.");
    out.sample("infrawatch_groups", &[], read(&page.grouped.groups));
    out.gauge("infrawatch_groups_refused", "Groups for which groups.max leaves no room.");
    out.sample("infrawatch_groups_refused", &[], read(&page.grouped.refused));
    out.counter("infrawatch_group_rows_total", "Rows of groups judged and learned.");
    out.sample("infrawatch_group_rows_total", &[], read(&page.grouped.rows));
}

/// How the time that scoring takes and the scores are distributed.
fn distributions(page: &MetricsPage, out: &mut Exposition) {
    let scoring = &page.metrics.scoring;
    let one = |out: &mut Exposition, name: &str, labels: &[(&str, &str)], told: &Distribution| {
        let (counts, sum) = told.counts();
        out.buckets(name, labels, told.bounds, (&counts, sum));
    };
    let name = "infrawatch_detection_latency_seconds";
    out.heading(
        name,
        "histogram",
        "What a detector takes for one sample, as measured every ten seconds; ensemble: all.",
    );
    for (detector, told) in detector_names().into_iter().chain([ENSEMBLE]).zip(&scoring.detector_seconds) {
        one(out, name, &[("detector_type", detector)], told);
    }
    let name = "infrawatch_inference_seconds";
    out.heading(
        name,
        "histogram",
        "What judging took: of a sample by its series' model, of a row by its group's forest.",
    );
    one(out, name, &[("model", ENSEMBLE)], &scoring.inference_seconds);
    one(out, name, &[("model", "isolation_forest")], &scoring.inference_forest);
    let name = "infrawatch_score";
    out.heading(name, "histogram", "Newest scores of the series that had samples, tick by tick.");
    one(out, name, &[], &scoring.scores);
    let name = "infrawatch_calibration_drift";
    out.gauge(
        name,
        "Population stability of the scores of the last hour against the day before; above 0.2 they drifted.",
    );
    out.sample(name, &[], scoring.drift.index());
}

/// How watching expressions goes.
fn expressions(watched: &[(String, Watched)], out: &mut Exposition) {
    let took = "infrawatch_watch_evaluation_seconds";
    out.gauge(took, "How long evaluating and judging a watched expression took last.");
    for (metric, one) in watched {
        out.sample(took, &[("metric_name", metric)], one.latency_s);
    }
    let mut counter = |name: &str, help: &str, value: fn(&Watched) -> u64| {
        out.counter(name, help);
        for (metric, one) in watched {
            out.sample(name, &[("metric_name", metric)], value(one));
        }
    };
    counter("infrawatch_watch_evaluations_total", "Times a watched expression was evaluated.", |one| one.evaluations);
    counter("infrawatch_watch_errors_total", "Times a watched expression could not be evaluated.", |one| one.errors);
}

/// What models trained on request last said, under the names that the service they stand in for had.
fn pull(page: &MetricsPage, out: &mut Exposition) {
    let judged = page.pull.judged();
    let labels = |one: &Judged| {
        let Judged { metric_name, instance, job, .. } = one.clone();
        [("metric_name", metric_name), ("instance", instance), ("job", job)]
    };
    let mut gauge = |name: &str, help: &str, value: fn(&Judged) -> f64| {
        out.gauge(name, help);
        for one in &judged {
            let labels = labels(one);
            out.sample(name, &labels.each_ref().map(|(name, text)| (*name, text.as_str())), value(one));
        }
    };
    gauge("ml_anomaly_score", "ML anomaly score for metric", |one| one.score);
    gauge("ml_anomaly_flag", "ML anomaly flag for metric: 1 anomalous, 0 not", |one| {
        f64::from(u8::from(one.is_anomaly))
    });
    out.gauge("ml_model_last_training_timestamp", "When the model was trained, in seconds since 1970.");
    let trained = page.pull.trained();
    for (name, time_s) in &trained {
        out.sample("ml_model_last_training_timestamp", &[("metric_name", name)], time_s);
    }
    out.gauge("infrawatch_model_age_seconds", "How long ago the model was trained.");
    for (name, time_s) in &trained {
        let age_s = (page.now_ms)() as f64 / 1000.0 - time_s;
        out.sample("infrawatch_model_age_seconds", &[("metric_name", name)], age_s.max(0.0));
    }
    let drift = "infrawatch_model_drift";
    out.gauge(drift, "How far the values a model judged last are from those of its training, by the test.");
    for (model, found) in page.pull.drifts() {
        for (test, value) in [("psi", found.psi), ("ks", found.ks)] {
            out.sample(drift, &[("model_name", &model), ("test", test)], value);
        }
    }
    let sweeps = page.pull.sweeps();
    let counters = [
        (
            "infrawatch_model_sweeps_total",
            "Times all models trained on request were asked by themselves.",
            sweeps.sweeps,
        ),
        ("infrawatch_model_sweep_errors_total", "Models that could not be asked or trained then.", sweeps.errors),
        (
            "infrawatch_model_drift_trainings_total",
            "Models trained again because their values had drifted.",
            sweeps.retrained,
        ),
    ];
    for (name, help, value) in counters {
        out.counter(name, help);
        out.sample(name, &[], value);
    }
    out.counter("infrawatch_pull_gauges_left_total", "Gauges of models trained on request that left for want of room.");
    out.sample("infrawatch_pull_gauges_left_total", &[], page.pull.left());
}

/// What judging chosen series by windows came to.
fn windows(page: &MetricsPage, out: &mut Exposition) {
    let figures = page.windowed.figures();
    let gauges = [
        ("infrawatch_pipeline_series", "Series judged window by window.", figures.series as f64),
        ("infrawatch_pipeline_series_left_out", "Chosen series beyond pipeline.max_series.", figures.left_out as f64),
        ("infrawatch_pipeline_tick_seconds", "How long judging new windows took last.", figures.tick_s),
        ("infrawatch_pipeline_limit_max", "The greatest limit of a series' scores.", figures.limit_max),
    ];
    for (name, help, value) in gauges {
        out.gauge(name, help);
        out.sample(name, &[], value);
    }
    let counters = [
        ("infrawatch_pipeline_windows_total", "Windows judged.", figures.windows),
        ("infrawatch_pipeline_anomalous_windows_total", "Windows beyond their series' limit.", figures.anomalous),
        ("infrawatch_pipeline_drifts_total", "Times a series' past was forgotten because of drift.", figures.drifts),
        ("infrawatch_pipeline_model_errors_total", "Windows the model could not judge.", figures.model_errors),
        ("infrawatch_pipeline_errors_total", "Times windows could not be judged.", figures.errors),
    ];
    for (name, help, value) in counters {
        out.counter(name, help);
        out.sample(name, &[], value);
    }
    out.gauge(
        "infrawatch_pipeline_late_samples",
        "Samples of the judged series that came after their window was told.",
    );
    out.sample("infrawatch_pipeline_late_samples", &[], figures.late);
}

fn book(page: &MetricsPage, out: &mut Exposition) {
    let figures = page.book.figures();
    out.gauge("infrawatch_anomaly_records", "Anomalies on record.");
    out.sample("infrawatch_anomaly_records", &[], figures.records);
    out.gauge("infrawatch_anomaly_log_writing", "1 while the log of anomalies can be written.");
    out.sample("infrawatch_anomaly_log_writing", &[], u64::from(figures.failing.is_none()));
    let counters = [
        ("infrawatch_anomaly_records_evicted_total", "Anomalies that left for want of room.", figures.evicted),
        ("infrawatch_anomaly_records_expired_total", "Anomalies that left because of their age.", figures.expired),
        (
            "infrawatch_anomalies_tolerated_total",
            "Anomalies not told because people had said that the like are none.",
            figures.tolerated,
        ),
        (
            "infrawatch_anomaly_names_beyond_total",
            "Counts of anomaly_detected_total left out because of metrics.names_max.",
            page.book.detected().beyond(),
        ),
    ];
    for (name, help, value) in counters {
        out.counter(name, help);
        out.sample(name, &[], value);
    }
}

/// The names with the greatest scores, these first; names without a model are none.
fn most_unusual(store: &Store, board: &ModelBoard, names_max: usize) -> Vec<Scores> {
    // An index that cannot be asked gives no names; the store's own figures say what is wrong with it.
    let names = store.label_values(NAME_LABEL, &[]).unwrap_or_default();
    let mut found: Vec<Scores> = names
        .into_iter()
        .filter_map(|name| {
            let series = store.series_with(NAME_LABEL, &name);
            let mut summaries = series.into_iter().filter_map(|series| board.of(series)).peekable();
            summaries.peek()?;
            let mut all = 0.0f64;
            let mut each = detector_names().map(|detector| (detector, None));
            for summary in summaries {
                all = all.max(summary.score());
                for ((_, greatest), score) in each.iter_mut().zip(summary.scores()) {
                    *greatest = match (*greatest, score) {
                        (Some(a), Some(b)) => Some(f64::max(a, b)),
                        (a, b) => a.or(b),
                    };
                }
            }
            // A detector that abstains everywhere has no score.
            let each = each.into_iter().filter_map(|(detector, score)| Some((detector, score?))).collect();
            Some(Scores { name, all, each })
        })
        .collect();
    // Stable, so that equal scores stay in order of names.
    found.sort_by(|a, b| b.all.total_cmp(&a.all));
    found.truncate(names_max);
    found
}
