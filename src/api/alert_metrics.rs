//! Alerts and notifications on `/metrics`.
//!
//! At every moment raised = pending + grouped + notified + failed + deduplicated + silenced + suppressed + inhibited.
//!
//! Not here: the rest of the page (see `metrics_page`), anomalies (see `anomaly_metrics`).

use super::metrics_page::Exposition;
use crate::alert::book::{AlertBook, View};
use crate::alert::{AlertSeverity, AlertState};
use crate::monitors::MonitorKeeper;
use crate::rules::RuleKeeper;

/// Writes the lines.
pub(super) fn write(book: &AlertBook, rules: &RuleKeeper, monitors: &MonitorKeeper, out: &mut Exposition) {
    of_rules(rules, out);
    of_monitors(monitors, out);
    let view = book.view();
    out.gauge("infrawatch_alerts", "Alerts by state and severity.");
    for (state, severity) in AlertState::ALL.into_iter().flat_map(|state| AlertSeverity::ALL.map(|s| (state, s))) {
        let is_one =
            |alert: &&std::sync::Arc<crate::alert::Alert>| alert.state() == state && alert.severity == severity;
        let count = view.alerts.values().filter(is_one).count();
        out.sample("infrawatch_alerts", &[("state", state.as_str()), ("severity", severity.as_str())], count);
    }
    let counts = view.counts;
    let counters = [
        ("infrawatch_alerts_raised_total", "Alerts that began, became worse or came free of a silence.", counts.raised),
        ("infrawatch_alerts_notified_total", "Raised alerts told to at least one receiver.", counts.notified),
        ("infrawatch_alerts_failed_total", "Raised alerts that could be told to no receiver.", counts.failed),
        ("infrawatch_alerts_deduplicated_total", "Raised alerts told lately already.", counts.deduplicated),
        ("infrawatch_alerts_silenced_total", "Raised alerts not told because of a silence.", counts.silenced),
        (
            "infrawatch_alerts_suppressed_total",
            "Raised alerts not told because of maintenance or their slightness.",
            counts.suppressed,
        ),
        (
            "infrawatch_alerts_inhibited_total",
            "Raised alerts not told because another alert stands for them.",
            counts.inhibited,
        ),
        (
            "infrawatch_alerts_ignored_total",
            "Anomalies that raised nothing: of history that was read in, or for want of room.",
            counts.ignored,
        ),
        (
            "infrawatch_alerts_would_notify_total",
            "Notifications that were not sent because of alerts.dry_run.",
            view.would_notify,
        ),
        ("infrawatch_notification_retries_total", "Tries of notifications beyond the first.", view.retries),
    ];
    for (name, help, value) in counters {
        out.counter(name, help);
        out.sample(name, &[], value);
    }
    underway(&view, out);
    out.counter("infrawatch_notifications_total", "Notifications by receiver and outcome.");
    for (receiver, [delivered, failed]) in &view.sent {
        for (outcome, count) in [("delivered", delivered), ("failed", failed)] {
            out.sample("infrawatch_notifications_total", &[("receiver", receiver), ("outcome", outcome)], count);
        }
    }
    out.gauge("infrawatch_notifications_waiting", "Notifications that wait for their receiver.");
    for (receiver, waiting) in &view.waiting {
        out.sample("infrawatch_notifications_waiting", &[("receiver", receiver)], waiting);
    }
    let gauges = [
        ("infrawatch_notification_budget_used", "Notifications of the last 7 days that count.", view.budget_used),
        ("infrawatch_silences", "Silences.", view.silences.len() as u64),
        ("infrawatch_maintenance_windows", "Maintenance windows.", view.windows.len() as u64),
        (
            "infrawatch_alert_log_writing",
            "1 while the log of alerts can be written.",
            u64::from(book.failing().is_none()),
        ),
    ];
    for (name, help, value) in gauges {
        out.gauge(name, help);
        out.sample(name, &[], value);
    }
}

/// What was raised and is neither told nor given up yet.
fn underway(view: &View, out: &mut Exposition) {
    out.gauge("infrawatch_alerts_pending", "Raised alerts that were handed to receivers, without an answer yet.");
    out.sample("infrawatch_alerts_pending", &[], view.pending);
    out.gauge("infrawatch_alerts_grouped", "Raised alerts that wait in groups for their time.");
    out.sample("infrawatch_alerts_grouped", &[], view.grouped);
}

fn of_monitors(monitors: &MonitorKeeper, out: &mut Exposition) {
    let views = monitors.views();
    out.gauge("infrawatch_monitors", "Monitors in force.");
    out.sample("infrawatch_monitors", &[], views.len() as u64);
    out.counter("infrawatch_monitor_looks_total", "Times that monitors looked.");
    out.sample("infrawatch_monitor_looks_total", &[], views.iter().map(|view| view.looks).sum::<u64>());
    out.counter("infrawatch_monitor_failures_total", "Times that a monitor could not look.");
    out.sample("infrawatch_monitor_failures_total", &[], views.iter().map(|view| view.failures).sum::<u64>());
    out.gauge("infrawatch_monitor_series_held", "Series that monitors do not find well.");
    out.sample("infrawatch_monitor_series_held", &[], views.iter().map(|view| view.held.len() as u64).sum::<u64>());
    out.gauge("infrawatch_monitors_reading", "1 while the files of monitors can be read.");
    out.sample("infrawatch_monitors_reading", &[], u64::from(monitors.files.failing().is_none()));
}

fn of_rules(rules: &RuleKeeper, out: &mut Exposition) {
    let groups = rules.board.groups();
    let all = |of: fn(&crate::rules::board::GroupView) -> u64| groups.iter().map(of).sum::<u64>();
    out.gauge("infrawatch_rules", "Rules in force.");
    out.sample("infrawatch_rules", &[], all(|view| view.group.rules.len() as u64));
    out.counter("infrawatch_rule_evaluations_total", "Evaluations of rules.");
    out.sample("infrawatch_rule_evaluations_total", &[], all(|view| view.evaluations * view.group.rules.len() as u64));
    out.counter("infrawatch_rule_evaluation_failures_total", "Evaluations of rules that failed.");
    out.sample("infrawatch_rule_evaluation_failures_total", &[], all(|view| view.failures));
    out.gauge("infrawatch_rule_group_last_duration_seconds", "How long a group's last evaluation took.");
    for view in groups.iter() {
        let labels = [("rule_group", view.group.name.as_str()), ("file", &view.group.file)];
        out.sample("infrawatch_rule_group_last_duration_seconds", &labels, view.took_s);
    }
    out.gauge("infrawatch_rules_reading", "1 while the rule files can be read.");
    out.sample("infrawatch_rules_reading", &[], u64::from(rules.files.failing().is_none()));
}
