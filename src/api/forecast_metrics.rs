//! On `/metrics`: forecasts that are kept, how predictive rules do, and the reports on capacity.
//!
//! Not here: the rest of the page (see `metrics_page`).

use super::metrics_page::{Exposition, MetricsPage};
use crate::forecasts::RuleFigures;
use crate::reports::ReportFigures;

/// Writes the lines.
pub(super) fn write(page: &MetricsPage, out: &mut Exposition) {
    let figures = page.desk.figures();
    out.gauge("infrawatch_forecasts_kept", "Forecasts that are kept up to date.");
    out.sample("infrawatch_forecasts_kept", &[], figures.kept);
    out.gauge("infrawatch_forecasts_kept_bytes", "What they take.");
    out.sample("infrawatch_forecasts_kept_bytes", &[], figures.bytes);
    let counters = [
        ("learned", "Times a history was read to learn a forecast from.", figures.learned),
        ("updated", "Times a kept forecast took in what came since instead.", figures.updated),
        ("restored", "Forecasts that were taken over from before the last start.", figures.restored),
    ];
    for (name, help, value) in counters {
        let name = format!("infrawatch_forecasts_{name}_total");
        out.counter(&name, help);
        out.sample(&name, &[], value);
    }
    rules(&page.forecast_rules.all(), out);
    reports(&page.reports.figures(), out);
}

fn reports(figures: &ReportFigures, out: &mut Exposition) {
    let counters = [
        ("made", "Reports on capacity made since the start.", figures.made),
        ("failures", "Times one could not be begun or kept; it is tried again.", figures.failed),
        ("told", "Times a receiver was told of one.", figures.told),
        ("untold", "Times a receiver could not be told of one, and that was given up.", figures.untold),
    ];
    for (name, help, value) in counters {
        let name = format!("infrawatch_capacity_reports_{name}_total");
        out.counter(&name, help);
        out.sample(&name, &[], value);
    }
    let seconds = |time_ms: Option<i64>| time_ms.map(|time_ms| time_ms as f64 / 1000.0);
    let gauges = [
        ("receivers_waiting", "Receivers still to be told of the newest.", Some(figures.waiting as f64)),
        ("series_queued", "Series to be looked at in the report that is being made.", Some(figures.queued as f64)),
        ("last_due_timestamp_seconds", "When the newest was due, in seconds since 1970.", seconds(figures.due_ms)),
        ("last_timestamp_seconds", "When the newest was done, in seconds since 1970.", seconds(figures.made_ms)),
        ("last_work_seconds", "How much work it was.", figures.made_ms.map(|_| figures.work_s)),
        ("next_timestamp_seconds", "When the next is due, in seconds since 1970.", seconds(figures.next_ms)),
    ];
    for (name, help, value) in gauges {
        let name = format!("infrawatch_capacity_report_{name}");
        out.gauge(&name, help);
        if let Some(value) = value {
            out.sample(&name, &[], value);
        }
    }
}

fn rules(rules: &[(String, RuleFigures)], out: &mut Exposition) {
    let mut counter = |name: &str, help: &str, value: fn(&RuleFigures) -> u64| {
        let name = format!("infrawatch_forecast_rule_{name}_total");
        out.counter(&name, help);
        for (rule, figures) in rules {
            out.sample(&name, &[("rule", rule)], value(figures));
        }
    };
    counter("runs", "Runs of a predictive rule that are done.", |rule| rule.runs);
    counter("series_looked_at", "Series that a rule looked at.", |rule| rule.looked);
    counter("series_failed", "Series of which nothing could be said, as they are too short.", |rule| rule.failed);
    counter("series_stale", "Series passed over because nothing came from them for long.", |rule| rule.stale);
    counter("series_beyond_limit", "Times a series had to wait for a later run: forecasts.rule_series_max.", |rule| {
        rule.beyond
    });
    counter("late_runs", "Runs that began late because the one before was not done: forecasts.cpu_share.", |rule| {
        rule.late
    });
    let mut gauge = |name: &str, help: &str, value: fn(&RuleFigures) -> Option<f64>| {
        let name = format!("infrawatch_forecast_rule_{name}");
        out.gauge(&name, help);
        for (rule, figures) in rules {
            if let Some(value) = value(figures) {
                out.sample(&name, &[("rule", rule)], value);
            }
        }
    };
    gauge("series_matched", "Series that matched when the last run began.", |rule| Some(rule.matched as f64));
    gauge("series_queued", "Series that wait to be looked at in the run that goes on.", |rule| {
        Some(rule.queued as f64)
    });
    gauge("holds", "Series for which a rule holds.", |rule| Some(rule.holds.len() as f64));
    gauge("failing", "1 while the last run could not choose its series.", |rule| {
        Some(f64::from(u8::from(rule.error.is_some())))
    });
    gauge("last_run_timestamp_seconds", "When the last run ended, in seconds since 1970.", |rule| {
        rule.ended_ms.map(|ended_ms| ended_ms as f64 / 1000.0)
    });
    gauge("last_run_seconds", "How long the last run took, rests included.", |rule| rule.ended_ms.map(|_| rule.took_s));
    gauge("last_run_work_seconds", "What of that was work.", |rule| rule.ended_ms.map(|_| rule.worked_s));
}
