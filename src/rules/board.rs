//! Groups as they stand, for whoever asks: what Prometheus shows under `rules` and `alerts`.
//!
//! Not here: JSON (see `api::prometheus`), evaluating (see `group`).
//!
//! Invariant: readers see a group as it was after one evaluation, never in the middle of one.

pub use super::alerting::ActiveAlert;
use super::file::Group;
use parking_lot::RwLock;
use std::sync::Arc;

/// How the last evaluation went.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Health {
    /// There was none.
    #[default]
    Unknown,
    /// Well.
    Good,
    /// It failed, for this reason.
    Failing(String),
}

/// One rule as it stands, in the order of its group's rules.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleView {
    /// How the last evaluation went.
    pub health: Health,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// When it was, in milliseconds since 1970 UTC.
    pub last_ms: Option<i64>,
    /// What is active.
    pub alerts: Vec<ActiveAlert>,
}

/// One group as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupView {
    /// The group.
    pub group: Arc<Group>,
    /// Its rules, none before the first evaluation.
    pub rules: Vec<RuleView>,
    /// When it was evaluated last, in milliseconds since 1970 UTC.
    pub last_ms: Option<i64>,
    /// How long that took, in seconds.
    pub took_s: f64,
    /// Evaluations so far.
    pub evaluations: u64,
    /// Evaluations of rules that failed.
    pub failures: u64,
}

impl GroupView {
    pub(super) fn new(group: &Arc<Group>) -> Self {
        let group = group.clone();
        Self { group, rules: Vec::new(), last_ms: None, took_s: 0.0, evaluations: 0, failures: 0 }
    }
}

/// All groups by their place in the files.
#[derive(Debug, Default)]
pub struct RuleBoard(RwLock<Arc<Vec<GroupView>>>);

impl RuleBoard {
    /// All groups as they stand.
    pub fn groups(&self) -> Arc<Vec<GroupView>> {
        self.0.read().clone()
    }

    /// Shows these from now on.
    pub fn replace(&self, groups: Vec<GroupView>) {
        *self.0.write() = Arc::new(groups);
    }

    /// Shows a group as it became.
    pub fn update(&self, view: &GroupView) {
        let mut groups = self.0.write();
        let known =
            groups.iter().position(|one| one.group.name == view.group.name && one.group.file == view.group.file);
        if let Some(at) = known {
            Arc::make_mut(&mut groups)[at] = view.clone();
        }
    }
}
