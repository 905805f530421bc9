//! Incidents: alerts that have one cause, found by labels, time, topology and how series move.
//!
//! ```text
//! alert ─ related to one that began lately? ─ incident ─ cause: ranked by onset, topology and lagged correlation
//! ```
//!
//! Not here: who is told (see `ledger`), where values of series come from (see `server`).
//!
//! Invariants: an alert is in one incident at most; an incident's id is made of its first alert alone, so that the same alerts
//! make the same incident whenever they are gone through; a storm costs a bounded number of looks an alert.

mod cause;
mod correlation;
mod related;
mod topology;

pub use cause::{Candidate, Cause};
pub use correlation::{Correlation, correlate};
pub use topology::Topology;

use super::record::{Alert, AlertSeverity, Fingerprint, METRIC_LABEL};
use crate::anomaly::{AnomalyId, Source};
use related::{About, ENOUGH, evidence};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Identity of an incident: a UUID.
pub type IncidentId = AnomalyId;

/// Alerts that began lately, with which a new one is compared.
const RECENT_MAX: usize = 256;
/// Alerts that an incident lists; further ones are counted.
const MEMBERS_MAX: usize = 1000;
/// Incidents; of more, those that ended first leave.
const INCIDENTS_MAX: usize = 2000;
/// Pairs of series of which it is known how they move.
const PAIRS_MAX: usize = 20_000;
/// Slight alerts of different metrics that together are worth telling.
const JOINT_MIN: usize = 3;

/// An alert of an incident, and why it is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// The alert.
    pub alert: Fingerprint,
    /// The alert by which it came in; none of the first.
    pub with: Option<Fingerprint>,
    /// How sure that is, 0 to 1.
    pub score: f64,
    /// Why, in words.
    pub why: String,
}

/// One incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Its identity.
    pub id: IncidentId,
    /// Its alerts, the first that came in first.
    pub members: Vec<Member>,
    /// Alerts beyond those that are listed.
    pub more: u64,
    /// Their services.
    pub services: BTreeSet<String>,
    /// The greatest severity.
    pub severity: AlertSeverity,
    /// When the first of them began, milliseconds since 1970 UTC.
    pub start_ms: i64,
    /// When the last of them ended, if all did.
    pub end_ms: Option<i64>,
    /// What the others follow from.
    pub cause: Option<Cause>,
    /// Whether it was told as one because its alerts are slight.
    pub is_joint: bool,
}

impl Incident {
    /// The likeliest cause in a sentence, by what its alert says; nothing as long as none is known.
    pub(super) fn cause_in_words(&self, alerts: &BTreeMap<Fingerprint, Arc<Alert>>) -> Option<String> {
        let cause = self.cause.as_ref()?;
        let first = cause.candidates.first()?;
        let alert = alerts.get(&first.alert)?;
        let doubt = if cause.is_sure { String::new() } else { format!(", unsure: {}", cause.doubt) };
        let likely = if cause.is_sure { "the cause" } else { "likeliest" };
        Some(format!("{likely}: {} ({}{doubt})", alert.summary, first.why))
    }

    /// How many alerts it has.
    pub fn alert_count(&self) -> u64 {
        self.members.len() as u64 + self.more
    }
}

/// How pairs of series move.
#[derive(Debug, Clone, Default)]
pub(super) struct Pairs(BTreeMap<(Fingerprint, Fingerprint), Correlation>);

impl Pairs {
    fn of(&self, a: Fingerprint, b: Fingerprint) -> Option<Correlation> {
        match a <= b {
            true => self.0.get(&(a, b)).copied(),
            false => self.0.get(&(b, a)).map(|known| known.reversed()),
        }
    }

    fn put(&mut self, a: Fingerprint, b: Fingerprint, known: Correlation) {
        if self.0.len() >= PAIRS_MAX {
            self.0.pop_first();
        }
        if a <= b {
            self.0.insert((a, b), known)
        } else {
            self.0.insert((b, a), known.reversed())
        };
    }
}

/// An alert that began lately.
#[derive(Debug, Clone)]
struct Recent {
    alert: Fingerprint,
    service: Option<String>,
    instance: Option<String>,
    prefix: Option<String>,
    onset_ms: i64,
}

impl Recent {
    fn of(alert: &Alert) -> Self {
        let about = About::of(alert);
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let (service, instance, prefix) = (owned(about.service), owned(about.instance), owned(about.prefix));
        Self { alert: alert.fingerprint, service, instance, prefix, onset_ms: about.onset_ms }
    }

    fn about(&self) -> About<'_> {
        let (service, instance, prefix) = (self.service.as_deref(), self.instance.as_deref(), self.prefix.as_deref());
        About { service, instance, prefix, onset_ms: self.onset_ms }
    }
}

/// All incidents.
#[derive(Debug, Default)]
pub(super) struct Incidents {
    pub(super) all: BTreeMap<IncidentId, Arc<Incident>>,
    pub(super) topology: Topology,
    pairs: Pairs,
    recent: VecDeque<Recent>,
    /// Those whose cause has to be ranked anew.
    stirred: BTreeSet<IncidentId>,
    /// What changed and is not written down.
    pub(super) changed: BTreeSet<IncidentId>,
}

/// Which incident alerts belong to from now on.
pub(super) type Moves = Vec<(Fingerprint, IncidentId)>;

/// All alerts.
type Alerts = BTreeMap<Fingerprint, Arc<Alert>>;

impl Incidents {
    /// An alert begins: the incidents that alerts belong to by that, its own included.
    pub(super) fn take(&mut self, alert: &Alert, alerts: &Alerts, window_ms: i64) -> Moves {
        let own = Recent::of(alert);
        if let Some(service) = &own.service {
            self.topology.learn(service, &alert.labels);
        }
        self.recent.retain(|one| one.alert != own.alert);
        let topology = &self.topology;
        let of = |one: &Recent| {
            let correlation = self.pairs.of(one.alert, own.alert);
            evidence(&one.about(), &own.about(), topology, correlation.as_ref(), window_ms)
        };
        let related = self.recent.iter().map(|one| (one.alert, of(one))).filter(|(_, found)| found.score >= ENOUGH);
        let mut related: Vec<_> = related.map(|(other, found)| (other, found.score, found.why)).collect();
        related.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        if self.recent.len() >= RECENT_MAX {
            self.recent.pop_front();
        }
        self.recent.push_back(own);
        let mut moves = Moves::new();
        for (place, (other, score, why)) in related.into_iter().enumerate() {
            // The likeliest says why; further ones may join incidents that were apart.
            let Some(known) = alerts.get(&other) else { continue };
            let into = if place == 0 { None } else { moves.last().map(|(_, id)| *id) };
            self.relate(known, alert, (score, why), into, &mut moves);
        }
        moves
    }

    /// What is newly known of how two alerts' series move.
    pub(super) fn correlated(
        &mut self,
        (a, b): (Fingerprint, Fingerprint),
        known: Correlation,
        alerts: &Alerts,
        window_ms: i64,
    ) -> Moves {
        let mut moves = Moves::new();
        self.pairs.put(a, b, known);
        let (Some(one), Some(other)) = (alerts.get(&a), alerts.get(&b)) else { return moves };
        self.stirred.extend([one, other].into_iter().filter_map(|alert| alert.incident));
        let found = evidence(&About::of(one), &About::of(other), &self.topology, Some(&known), window_ms);
        if found.score >= ENOUGH && one.is_firing() && other.is_firing() {
            self.relate(one, other, (found.score, found.why), None, &mut moves);
        }
        moves
    }

    /// Two alerts belong together.
    fn relate(
        &mut self,
        known: &Alert,
        alert: &Alert,
        (score, why): (f64, String),
        own: Option<IncidentId>,
        moves: &mut Moves,
    ) {
        let is_open = |id: &IncidentId| self.all.get(id).is_some_and(|incident| incident.end_ms.is_none());
        let theirs = known.incident.filter(is_open);
        let own = own.or(alert.incident.filter(is_open));
        match (theirs, own) {
            (Some(theirs), Some(own)) if theirs == own => {}
            (Some(theirs), Some(own)) => self.merge(theirs, own, moves),
            (Some(id), None) => {
                self.add(id, alert, Some(known.fingerprint), (score, why));
                moves.push((alert.fingerprint, id));
            }
            (None, Some(id)) => {
                self.add(id, known, Some(alert.fingerprint), (score, why));
                moves.push((known.fingerprint, id));
            }
            (None, None) if known.is_firing() => {
                let id = self.open(known);
                self.add(id, alert, Some(known.fingerprint), (score, why));
                moves.extend([(known.fingerprint, id), (alert.fingerprint, id)]);
                self.make_room();
            }
            (None, None) => {}
        }
    }

    fn open(&mut self, first: &Alert) -> IncidentId {
        let text = format!("incident {} {}", first.fingerprint, first.starts_at_ms);
        let id = IncidentId::of(text.as_bytes(), first.starts_at_ms, Source::Infrawatch);
        let incident = Incident {
            id,
            members: Vec::new(),
            more: 0,
            services: BTreeSet::new(),
            severity: first.severity,
            start_ms: first.starts_at_ms,
            end_ms: None,
            cause: None,
            is_joint: false,
        };
        self.all.insert(id, Arc::new(incident));
        self.add(id, first, None, (1.0, "began first".to_owned()));
        id
    }

    fn add(&mut self, id: IncidentId, alert: &Alert, with: Option<Fingerprint>, (score, why): (f64, String)) {
        let Some(incident) = self.all.get_mut(&id).map(Arc::make_mut) else { return };
        incident.services.extend(About::of(alert).service.map(str::to_owned));
        incident.severity = incident.severity.max(alert.severity);
        incident.start_ms = incident.start_ms.min(alert.starts_at_ms);
        if incident.members.iter().any(|member| member.alert == alert.fingerprint) {
            return;
        }
        match incident.members.len() < MEMBERS_MAX {
            true => incident.members.push(Member { alert: alert.fingerprint, with, score, why }),
            false => incident.more += 1,
        }
        self.changed.insert(id);
        self.stirred.insert(id);
    }

    /// Two incidents turn out to be one: the one that began first stays.
    fn merge(&mut self, a: IncidentId, b: IncidentId, moves: &mut Moves) {
        let start = |id: &IncidentId| self.all.get(id).map(|incident| incident.start_ms);
        let (stays, goes) = if start(&a) <= start(&b) { (a, b) } else { (b, a) };
        let Some(gone) = self.all.remove(&goes) else { return };
        let Some(incident) = self.all.get_mut(&stays).map(Arc::make_mut) else { return };
        let room = MEMBERS_MAX.saturating_sub(incident.members.len());
        incident.members.extend(gone.members.iter().take(room).cloned());
        incident.more += gone.more + gone.members.len().saturating_sub(room) as u64;
        incident.services.extend(gone.services.iter().cloned());
        incident.severity = incident.severity.max(gone.severity);
        incident.is_joint |= gone.is_joint;
        moves.iter_mut().filter(|(_, id)| *id == goes).for_each(|(_, id)| *id = stays);
        moves.extend(gone.members.iter().map(|member| (member.alert, stays)));
        self.changed.extend([stays, goes]);
        self.stirred.remove(&goes);
        self.stirred.insert(stays);
    }

    /// An alert of an incident became worse, or ended.
    pub(super) fn stir(&mut self, id: IncidentId) {
        self.stirred.insert(id);
    }

    /// Looks at what changed: causes, ends and severities; the incidents that are to be told because their slight alerts are
    /// many.
    pub(super) fn tick(&mut self, alerts: &Alerts, now_ms: i64) -> Vec<Arc<Incident>> {
        let mut joint = Vec::new();
        for id in std::mem::take(&mut self.stirred) {
            let Some(known) = self.all.get(&id) else { continue };
            let members: Vec<&Alert> =
                known.members.iter().filter_map(|member| alerts.get(&member.alert)).map(|alert| &**alert).collect();
            let mut incident = Incident::clone(known);
            incident.cause = cause::rank(&members, &self.topology, &self.pairs);
            let firing = members.iter().any(|alert| alert.is_firing());
            incident.end_ms = if firing { None } else { incident.end_ms.or(Some(now_ms)) };
            incident.severity = members.iter().map(|alert| alert.severity).max().unwrap_or(incident.severity);
            let metrics: BTreeSet<_> = members.iter().filter_map(|alert| alert.labels.get(METRIC_LABEL)).collect();
            let is_slight = incident.severity == AlertSeverity::Info && metrics.len() >= JOINT_MIN;
            if is_slight && firing && !incident.is_joint {
                incident.is_joint = true;
                joint.push(Arc::new(incident.clone()));
            }
            if incident != **known {
                self.changed.insert(id);
                self.all.insert(id, Arc::new(incident));
            }
        }
        joint
    }

    /// Takes an incident that was kept from before a start.
    pub(super) fn take_back(&mut self, incident: Incident) {
        self.all.insert(incident.id, Arc::new(incident));
    }

    /// Alerts that began before a start and go on may be joined by others.
    pub(super) fn take_back_alert(&mut self, alert: &Alert) {
        if alert.is_firing() && self.recent.len() < RECENT_MAX {
            self.recent.push_back(Recent::of(alert));
        }
    }

    /// Those that ended first leave where there are too many.
    fn make_room(&mut self) {
        if self.all.len() <= INCIDENTS_MAX {
            return;
        }
        let ended = self.all.values().filter_map(|one| Some((one.end_ms?, one.id))).min();
        let first = ended.or_else(|| self.all.values().map(|one| (one.start_ms, one.id)).min());
        if let Some((_, id)) = first {
            self.all.remove(&id);
            self.changed.insert(id);
        }
    }

    /// Forgets what ended long ago.
    pub(super) fn forget(&mut self, is_old: impl Fn(i64) -> bool) {
        let changed = &mut self.changed;
        self.all.retain(|id, incident| {
            let keep = !incident.end_ms.is_some_and(&is_old);
            if !keep {
                changed.insert(*id);
            }
            keep
        });
    }
}
