//! Prometheus' rule files, evaluated on our own query engine: recording rules write series, alerting rules tell the book
//! of alerts.
//!
//! ```text
//! file ── Group ── GroupRunner: each rule at its time ─┬─ Recorded ──▶ the store, by a lane
//!                    ▲                                 ├─ Signal ────▶ the book of alerts
//!                    └── expressions' answers          └─ GroupView ─▶ board ── /prometheus/api/v1/rules
//! ```
//!
//! What a rule means is what Prometheus 2.42 makes of it: `for`, `keep_firing_for`, labels and annotations as templates
//! (see `go_template`), `ALERTS` and `ALERTS_FOR_STATE`, markers for series that end, an order within a group.
//!
//! Not here: the thread that ticks and the way to the store (see `server`), what becomes of an alert (see `alert`).

mod alerting;
mod file;
mod files;
mod group;
mod keeper;
mod watched_files;

pub mod board;

pub use file::{AlertingRule, Group, Rule, RuleKind};
pub use files::{RuleError, RuleFiles, labels_of, load, text_of};
pub use group::{Answer, GroupRunner, Means, Query, Recorded, RuleSettings, of_answer};
pub use keeper::{NotKept, RuleKeeper};
pub use watched_files::WatchedFiles;

#[cfg(test)]
mod promtool_tests;
#[cfg(test)]
mod tests;
