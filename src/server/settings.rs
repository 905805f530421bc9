//! From the settings to what each part of the server takes.
//!
//! Not here: the settings themselves (see `config`).

use crate::analysis::drift::DriftLimit;
use crate::analysis::group::MEMBERS;
use crate::analysis::prepare::WindowConfig;
use crate::analysis::{self, EnsembleConfig, LocalClock, QuietHours, VotingMode, Weights, Zone, ZonedSettings};
use crate::anomaly::book;
use crate::config::{self, Config, DriftTest, QuerySemantics, Voting};
use crate::groups::GroupSettings;
use crate::ingest::BodyLimits;
use crate::ingest::statsd_listener::StatsdSettings;
use crate::query::{QueryLimits, Semantics};
use crate::shard::{Quantiles, WindowSettings};
use crate::windowed::{self, Normalization};
use anyhow::{Context, Result, ensure};
use storage::Settings;
use storage::series::NAME_LABEL;

/// How series are judged, live and when somebody asks.
///
/// # Errors
/// When `models.timezone` names no zone.
pub(super) fn model_settings(config: &Config) -> Result<ZonedSettings> {
    let anomalies_per_month = config.budget.anomalies_per_series_month;
    let clock = LocalClock::of(&Zone::named(&config.models.timezone).context("models.timezone")?);
    let ensemble = ensemble(&config.ensemble);
    let quiet = &config.quiet_hours;
    let quiet_hours = QuietHours::parse(&quiet.hours, quiet.factor, quiet.rises).context("quiet_hours.hours")?;
    let patterns = config.models.patterns;
    let usual =
        analysis::Settings { anomalies_per_month, ensemble, clock, quiet_hours, patterns, ..Default::default() };
    Ok(ZonedSettings::new(usual, &config.models.timezone_label))
}

fn ensemble(ensemble: &config::Ensemble) -> EnsembleConfig {
    let mode = match ensemble.mode {
        Voting::Majority => VotingMode::Majority,
        Voting::Unanimous => VotingMode::Unanimous,
        Voting::Weighted => VotingMode::Weighted,
        Voting::Any => VotingMode::Any,
        Voting::Seed003 => VotingMode::Seed003,
    };
    let weights = Weights {
        zscore: ensemble.weight_zscore,
        ema: ensemble.weight_ema,
        seasonal: ensemble.weight_seasonal,
        isolation_forest: ensemble.weight_isolation_forest,
        others: ensemble.weight_others,
    };
    let (agreement_threshold, score_threshold) = (ensemble.agreement_threshold, ensemble.score_threshold);
    EnsembleConfig { mode, weights, agreement_threshold, score_threshold }
}

/// When values count as others than those that were learned.
pub(super) fn drift_limit(config: &Config) -> DriftLimit {
    let threshold = config.drift.threshold;
    match config.drift.test {
        DriftTest::Psi => DriftLimit::Psi(threshold),
        DriftTest::Ks => DriftLimit::Ks(threshold),
        DriftTest::Off => DriftLimit::Off,
    }
}

/// How chosen series are judged window by window.
pub(super) fn windowed_settings(config: &Config) -> windowed::Settings {
    let pipeline = &config.pipeline;
    let window = WindowConfig {
        window_size_ms: pipeline.window_size.as_millis() as i64,
        step_ms: pipeline.window_step.as_millis() as i64,
        min_samples: pipeline.min_samples,
        ..WindowConfig::default()
    };
    windowed::Settings {
        window,
        normalization: match pipeline.normalization {
            config::Scaling::PerMetricFamily => Normalization::PerMetricFamily,
            config::Scaling::Off => Normalization::Off,
        },
        update_points: pipeline.update_points as u32,
        calibration_window: pipeline.calibration_window,
        std_multiplier: pipeline.std_multiplier,
        warning_ratio: pipeline.warning_ratio,
        critical_ratio: pipeline.critical_ratio,
        drift: drift_limit(config),
        series_max: pipeline.max_series,
    }
}

/// Which series are judged together; `None` if none are.
pub(super) fn group_settings(groups: &config::Groups) -> Result<Option<GroupSettings>> {
    let (by, metrics) = (groups.by.trim(), groups.metrics.trim());
    if by.is_empty() && metrics.is_empty() {
        return Ok(None);
    }
    ensure!(!by.is_empty() && !metrics.is_empty(), "groups.by and groups.metrics are set together");
    ensure!(by != NAME_LABEL, "groups.by: the series of a group have another label in common than their name");
    let list = |list: &str| -> Vec<String> { list.split(',').map(|name| name.trim().to_owned()).collect() };
    let metrics: Vec<Vec<String>> = metrics.split(';').map(list).collect();
    let (least, most) = MEMBERS;
    for list in &metrics {
        let is_right = (least..=most).contains(&list.len()) && !list.iter().any(String::is_empty);
        ensure!(is_right, "groups.metrics: a group has {least} to {most} metrics, {:?} is none", list.join(","));
    }
    let step_ms = groups.step.as_millis() as i64;
    Ok(Some(GroupSettings { by: by.to_owned(), metrics, step_ms, groups_max: groups.max }))
}

pub(super) fn book_settings(config: &Config) -> book::Settings {
    book::Settings {
        folder: config.storage.data_dir.join("anomalies"),
        records_max: config.anomalies.max_records,
        retention_ms: config.storage.retention_ms().unwrap_or(0),
        names_max: config.metrics.names_max,
    }
}

pub(super) fn window_settings(statsd: &config::StatsD) -> WindowSettings {
    WindowSettings {
        window_ms: statsd.window.as_millis() as i64,
        idle_ms: statsd.idle.as_millis() as i64,
        quantiles: Quantiles::of(&statsd.quantiles),
    }
}

pub(super) fn statsd_settings(statsd: &config::StatsD, dialect: config::Dialect) -> StatsdSettings {
    StatsdSettings {
        window_ms: statsd.window.as_millis() as i64,
        idle_ms: statsd.idle.as_millis() as i64,
        series_max: statsd.max_series as u64,
        signs_change_gauges: dialect == config::Dialect::Etsy,
        keep_containers: statsd.containers == config::Containers::Label,
    }
}

pub(super) fn query_limits(query: &config::Query) -> QueryLimits {
    QueryLimits {
        max_points: query.max_points,
        max_samples: query.max_samples as u64,
        lookback_ms: query.lookback.as_millis() as i64,
        max_concurrent: query.max_concurrent,
        timeout_ms: query.timeout.as_millis() as u64,
        memory_max_bytes: query.memory_max,
        semantics: match query.semantics {
            QuerySemantics::Two => Semantics::Closed,
            QuerySemantics::Three => Semantics::LeftOpen,
        },
        ..QueryLimits::default()
    }
}

pub(super) fn store_settings(config: &Config, shards: usize) -> Settings {
    let storage = &config.storage;
    Settings {
        journal_dir: storage.journal_dir.clone(),
        journal_mirror_dir: storage.journal_mirror_dir.clone(),
        retention_ms: storage.retention_ms().unwrap_or(0),
        rollups: storage.rollups,
        rollup_5m_retention_ms: storage.rollup_5m_retention.as_millis() as i64,
        rollup_1h_retention_ms: storage.rollup_1h_retention.as_millis() as i64,
        max_bytes: storage.max_bytes,
        out_of_order_ms: storage.out_of_order.as_millis() as i64,
        future_ms: storage.future.as_millis() as i64,
        max_series: storage.max_series as u64,
        cache_bytes: storage.cache_bytes,
        journal_group: storage.journal_group,
        checkpoint_bytes: storage.checkpoint_bytes,
        shards,
        ..Settings::new(&storage.data_dir)
    }
}

pub(super) fn body_limits(http: &config::Http) -> BodyLimits {
    BodyLimits {
        body_bytes: http.max_body_bytes as usize,
        decompressed_bytes: http.max_decompressed_bytes as usize,
        in_flight_bytes: http.max_in_flight_bytes as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_that_nobody_set_are_those_of_the_documents() {
        assert_eq!(windowed_settings(&Config::default()), windowed::Settings::default());
    }

    #[test]
    fn the_ensemble_that_nobody_set_is_that_of_analysis() {
        assert_eq!(ensemble(&Config::default().ensemble), EnsembleConfig::default());
    }

    #[test]
    fn groups_have_a_label_and_two_metrics_at_least() {
        let of = |by: &str, metrics: &str| {
            let (by, metrics) = (by.to_owned(), metrics.to_owned());
            group_settings(&config::Groups { by, metrics, ..Config::default().groups })
                .map_err(|error| error.to_string())
        };
        assert_eq!(of("", ""), Ok(None));
        let two = of("host", "cpu, memory; in,out").unwrap().unwrap();
        assert_eq!((two.metrics.len(), two.metrics[0][1].as_str(), two.step_ms), (2, "memory", 60_000));
        for (by, metrics) in
            [("host", ""), ("", "cpu,memory"), ("__name__", "a,b"), ("host", "cpu"), ("host", "cpu,,memory")]
        {
            assert!(of(by, metrics).is_err(), "{by:?} {metrics:?}");
        }
    }
}
