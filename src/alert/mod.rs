//! Alerts: what is made of anomalies so that people are told once, with reasons, and not while they know already.
//!
//! ```text
//! anomaly book ─ signal ═queue═▶ book: ledger ─ groups ─ notification ═queue═▶ notify: receiver
//!                                  │     ▲                                        │
//!                                  │     └──────────────── told or failed ◀═queue═┘
//!                                  └── view ──▶ api
//! ```
//!
//! `signal` is what is said of a series; `ledger` decides what becomes of it, with `silence` and `maintenance` (whose
//! `recurrence` may be cron or RRULE), `groups` and `budget`; `incident` which alerts have one cause; `routing` says who is told; `notify` tells them; `log`
//! writes everything down; `book` is the thread that owns it all.
//!
//! Not here: what is anomalous (see `analysis`), pages (see `api`).

mod conditions;
mod record;

mod maintenance;
mod recurrence;
mod silence;

mod alertmanager_file;
mod routing;
pub mod routing_file;
mod signal;

mod incident;

mod budget;
mod groups;
mod notification;
mod shape;

mod ledger;
mod log;
mod notify;

pub mod book;
mod replay;

pub use conditions::Conditions;
pub use incident::{Candidate, Cause, Correlation, Incident, IncidentId, Member, Topology, correlate};
pub use ledger::{AlertCounts, Settings};
pub use maintenance::{Coverage, LENGTH_MS_MAX, Standing, Window};
pub use notify::report::{ReportText, Untold, takes_reports, tell_report};
pub use record::{Alert, AlertSeverity, AlertState, Change, Fingerprint, NoFingerprint, Origin, Said};
pub use recurrence::{NoRecurrence, Recurrence};
pub use replay::{AlertReplay, Planned, Telling, ToldAlert};
pub use routing::{Receiver, Routing, Target, Timing};
pub use shape::{AlertShape, Time};
pub use signal::Signal;
pub use silence::Silence;
