//! Looks at every group once a tick: new rows from the store, the verdict on each, and the runs they make.
//!
//! A group that is new sees what the store has of the last week first, so that it knows what is usual at once; of that only
//! runs that began in the last hour are told.
//!
//! Not here: when a tick is (see `server`).
//!
//! A row with a value that came while trouble was planned for its series is judged and not learned.
//!
//! Invariants: a group that cannot be read holds up no other; there are never more groups than the settings allow.
//!
//! Cost: some 10 us a row of three metrics; 600 KiB a group, and 10 000 rows of it when it is new.

use super::board::GroupBoard;
use super::rows::{Column, LOOKBACK_MS, heard_ms, row_at};
use crate::analysis::group::{GroupModel, GroupVerdict, MEMBERS};
use crate::analysis::{Settings, Severity};
use crate::anomaly::run::{AnomalyKind, AnomalyRun, Peak, Side, VoteRecord};
use crate::clock;
use crate::self_metrics::SelfMetrics;
use crate::shard::rests::{RestPlans, rest_of};
use crossbeam_channel::{Sender, TrySendError};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use storage::Store;
use storage::sample::Samples;
use storage::series::{KeyBuilder, NAME_LABEL, SeriesRef, label};

/// What a new group sees first, and how far back it may tell.
const WARM_UP_MS: i64 = 7 * 86_400_000;
const TELL_MS: i64 = 3_600_000;
/// Series of one metric in a group; further ones are left out.
const SERIES_MAX: usize = 64;
/// Who judges rows.
const FOREST: &str = "isolation_forest";
const DISTANCE: &str = "mahalanobis";

/// Which series are judged together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// The label whose value a group has in common.
    pub by: String,
    /// The metrics of a group; two at least. Several lists make several groups of each label value.
    pub metrics: Vec<Vec<String>>,
    /// Distance of rows in milliseconds.
    pub step_ms: i64,
    /// Groups with a model, at most.
    pub groups_max: usize,
}

/// One group.
#[derive(Debug)]
struct Group {
    model: GroupModel,
    /// Names of the metrics it has.
    names: Vec<String>,
    key: Arc<[u8]>,
    /// Time of the newest row.
    seen_ms: i64,
    tell_from_ms: i64,
    score: f64,
    /// Whether the newest row taught nothing.
    rests: bool,
    open: Option<AnomalyRun>,
}

/// All groups.
#[derive(Debug)]
pub struct GroupRunner {
    store: Store,
    rests: Arc<dyn RestPlans>,
    settings: GroupSettings,
    judging: Arc<Settings>,
    runs: Sender<AnomalyRun>,
    board: Arc<GroupBoard>,
    metrics: Arc<SelfMetrics>,
    /// By list of metrics and label value.
    groups: BTreeMap<(usize, String), Group>,
    untold: Vec<AnomalyRun>,
}

/// Series of each metric of a group, by label value.
type Found = BTreeMap<String, BTreeMap<usize, Vec<SeriesRef>>>;

impl GroupRunner {
    /// Groups of the store's series, for which trouble may be planned.
    pub fn new(
        (store, rests): (Store, Arc<dyn RestPlans>),
        settings: GroupSettings,
        judging: Arc<Settings>,
        runs: Sender<AnomalyRun>,
        (board, metrics): (Arc<GroupBoard>, Arc<SelfMetrics>),
    ) -> Self {
        Self { store, rests, settings, judging, runs, board, metrics, groups: BTreeMap::new(), untold: Vec::new() }
    }

    /// Judges what is new of every group. Blocks.
    pub fn tick(&mut self) {
        let (mut refused, mut rows, mut alive) = (0, 0, Vec::new());
        let mut scores: BTreeMap<String, f64> = BTreeMap::new();
        for at in 0..self.settings.metrics.len() {
            for (value, of_metric) in self.find(at) {
                if of_metric.len() < MEMBERS.0 {
                    continue;
                }
                let id = (at, value);
                if !self.groups.contains_key(&id) && self.groups.len() >= self.settings.groups_max {
                    refused += 1;
                    continue;
                }
                rows += self.look(&id, &of_metric);
                if let Some(group) = self.groups.get(&id) {
                    let score = scores.entry(group.names.join("+")).or_default();
                    *score = score.max(group.score);
                }
                alive.push(id);
            }
        }
        alive.sort_unstable();
        let gone: Vec<_> = self.groups.extract_if(.., |id, _| alive.binary_search(id).is_err()).collect();
        self.untold.extend(gone.into_iter().filter_map(|(_, group)| group.open).map(closed));
        self.tell();
        self.board.show(scores, self.groups.len(), refused, rows);
    }

    /// The series of a list of metrics by the value of the label.
    fn find(&self, at: usize) -> Found {
        let mut found = Found::new();
        for (number, name) in self.settings.metrics[at].iter().enumerate().take(MEMBERS.1) {
            for series in self.store.series_with(NAME_LABEL, name) {
                let Some(key) = self.store.key(series) else { continue };
                if let Some(value) = label(&key, &self.settings.by) {
                    let of_metric = found.entry(value.to_owned()).or_default().entry(number).or_default();
                    if of_metric.len() < SERIES_MAX {
                        of_metric.push(series);
                    }
                }
            }
        }
        found
    }

    /// Judges the rows of one group that are new; how many there were.
    fn look(&mut self, id: &(usize, String), of_metric: &BTreeMap<usize, Vec<SeriesRef>>) -> u64 {
        let names: Vec<String> = of_metric.keys().map(|at| self.settings.metrics[id.0][*at].clone()).collect();
        let newest_ms = self.store.newest_ms().unwrap_or(i64::MIN);
        let is_same = |group: &Group| group.names == names;
        if !self.groups.get(id).is_some_and(is_same) {
            // Other members than before are another group.
            let before = self.groups.remove(id);
            self.untold.extend(before.and_then(|group| group.open).map(closed));
            let group = self.new_group(&id.1, names, newest_ms);
            self.groups.insert(id.clone(), group);
        }
        let Some(group) = self.groups.get_mut(id) else { return 0 };
        let step_ms = self.settings.step_ms;
        let columns = match read((&self.store, &*self.rests), of_metric, group.seen_ms.saturating_sub(LOOKBACK_MS)) {
            Ok(columns) => columns,
            Err(error) => {
                tracing::error!(%error, group = id.1, "the series of a group cannot be read");
                return 0;
            }
        };
        let Some(heard_ms) = heard_ms(&columns) else { return 0 };
        let (began, mut rows) = (clock::monotonic(), 0);
        let mut time_ms = group.seen_ms.saturating_add(step_ms);
        while time_ms <= heard_ms {
            let (row, rests) = row_at(&columns, time_ms);
            if !rests && std::mem::replace(&mut group.rests, rests) {
                group.model.go_on();
                self.untold.extend(group.open.take().map(closed).filter(|run| run.start_ms >= group.tell_from_ms));
            }
            group.rests = rests;
            let verdict = match rests {
                true => group.model.observe_held(time_ms, &row),
                false => group.model.observe(time_ms, &row),
            };
            group.seen_ms = time_ms;
            group.score = verdict.score;
            self.untold.extend(group.follow(time_ms, &verdict));
            (rows, time_ms) = (rows + 1, time_ms.saturating_add(step_ms));
        }
        self.metrics.scoring.inference_forest.add_many(began.elapsed().as_secs_f64(), rows);
        rows
    }

    fn new_group(&self, value: &str, names: Vec<String>, newest_ms: i64) -> Group {
        let step_ms = self.settings.step_ms;
        let mut key = KeyBuilder::default();
        key.push(NAME_LABEL, &names.join("+"));
        key.push(&self.settings.by, value);
        let from_ms = newest_ms.saturating_sub(WARM_UP_MS);
        Group {
            model: GroupModel::new(names.len(), &self.judging, step_ms),
            names,
            // No label is there twice unless groups are made by the name, which is none then.
            key: Arc::from(key.finish().unwrap_or_default()),
            // Rows stand at whole steps, so that a restart gives the same ones.
            seen_ms: from_ms - from_ms.rem_euclid(step_ms),
            tell_from_ms: newest_ms.saturating_sub(TELL_MS),
            score: 0.0,
            rests: false,
            open: None,
        }
    }

    fn tell(&mut self) {
        let mut told = 0;
        for run in &self.untold {
            match self.runs.try_send(run.clone()) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => told += 1,
                Err(TrySendError::Full(_)) => break,
            }
        }
        self.untold.drain(..told);
    }
}

fn closed(run: AnomalyRun) -> AnomalyRun {
    AnomalyRun { is_open: false, ..run }
}

/// The samples of each metric's series from a time on.
fn read(
    (store, rests): (&Store, &dyn RestPlans),
    of_metric: &BTreeMap<usize, Vec<SeriesRef>>,
    from_ms: i64,
) -> Result<Vec<Vec<Column>>, storage::StoreError> {
    let column = |series: &SeriesRef| {
        let mut samples = Samples::default();
        store.read(*series, from_ms, i64::MAX, &mut samples)?;
        let rest = store.key(*series).and_then(|key| rest_of(rests, &key));
        Ok(Column::new(samples, rest))
    };
    of_metric.values().map(|series| series.iter().map(column).collect()).collect()
}

impl Group {
    /// Takes the verdict on the next row; the run as it stands, if that is news.
    fn follow(&mut self, time_ms: i64, verdict: &GroupVerdict) -> Option<AnomalyRun> {
        let mut is_news = false;
        if verdict.is_anomaly {
            let is_new = self.open.is_none();
            let peak = self.peak(time_ms, verdict);
            let (key, start_ms) = (self.key.clone(), time_ms);
            let run = self.open.get_or_insert_with(|| {
                let peak = peak.clone();
                AnomalyRun { key, start_ms, last_ms: time_ms, is_open: true, samples: 0, peak }
            });
            is_news = is_new || peak.score > run.peak.score;
            (run.last_ms, run.samples) = (time_ms, run.samples.saturating_add(1));
            if is_news {
                run.peak = peak;
            }
        }
        let told = if verdict.goes_on {
            self.open.as_ref().filter(|_| is_news).cloned()
        } else {
            self.open.take().map(closed)
        };
        told.filter(|run| run.start_ms >= self.tell_from_ms)
    }

    fn peak(&self, time_ms: i64, verdict: &GroupVerdict) -> Peak {
        let mut members: Vec<_> = self.names.iter().zip(&verdict.members).collect();
        members.sort_by(|left, right| right.1.share.total_cmp(&left.1.share));
        let says = |(name, member): &(&String, &crate::analysis::group::MemberVerdict)| {
            format!(
                "{name} {} instead of {} ({:.0} %)",
                short(member.value),
                short(member.expected),
                100.0 * member.share
            )
        };
        let said: Vec<String> = members.iter().map(says).collect();
        let all = self.names.join(", ");
        let first = members.first().map(|(_, member)| **member);
        let (value, expected) = first.map_or((f64::NAN, f64::NAN), |member| (member.value, member.expected));
        let score = verdict.score;
        // The distance says how rare the row is; the forest only agrees.
        let vote = |(detector, contribution): (&'static str, f64)| VoteRecord {
            detector: Cow::Borrowed(detector),
            score,
            anomalous: true,
            abstained: false,
            contribution,
        };
        let votes = [(DISTANCE, score), (FOREST, 0.0)].map(vote).to_vec();
        Peak {
            time_ms,
            value,
            expected,
            lower: f64::NAN,
            upper: f64::NAN,
            score,
            severity: Severity::of(score),
            direction: if value < expected { Side::Below } else { Side::Above },
            kind: AnomalyKind::Collective,
            votes,
            summary: format!("{all} are unusual together: {}", said.join(", ")),
        }
    }
}

/// Three digits are enough to see by how much.
fn short(value: f64) -> String {
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).clamp(0, 9) };
    format!("{value:.*}", digits as usize)
}
