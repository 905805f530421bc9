//! Looks at all series of every rule on schedule, within a share of the processor, and tells what becomes of them.
//!
//! A run of a rule chooses its series when it begins and looks at them in slices; after each it rests for as long as its
//! share demands. A run has a limit: series beyond it are the first of the next run. A rule whose run is not done when the
//! next is due goes on with it, and counts that.
//!
//! Not here: when slices are (see `server`), what is expected of a series (see `look`).
//!
//! Invariants: no series that matches is passed over without being counted, and every one is looked at in turn; what the
//! book of anomalies has no room for is told with the next slice, in order.

use super::board::RuleBoard;
use super::desk::ForecastDesk;
use super::look::{Seen, look};
use super::rule_file::PredictiveRule;
use super::standing::{Change, Standing};
use super::telling::{RULE_LABEL, key_of, run_of, series_key_of};
use crate::analysis::fan_out::FanOut;
use crate::anomaly::run::AnomalyRun;
use crate::anomaly::{AnomalyRecord, Filter, Records};
use crate::clock;
use crossbeam_channel::{Sender, bounded};
use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::SelectedSeries;
use storage::sample::Samples;
use storage::series;

/// Series that a thread looks at in one slice.
const SLICE: usize = 4;
/// The longest rest between slices, so that a stop and new rules are not waited for.
const REST_MAX: Duration = Duration::from_millis(500);
/// Runs of series that wait for room in the book; a look that would add more waits itself.
const UNTOLD_MAX: usize = 4096;

/// What rules may take.
#[derive(Debug, Clone, Copy)]
pub struct Allowance {
    /// Series that one run of a rule looks at.
    pub series_max: usize,
    /// Share of one core.
    pub cpu_share: f64,
    /// Threads.
    pub threads: usize,
}

/// A rule at work.
#[derive(Debug)]
struct Active {
    rule: Arc<PredictiveRule>,
    due: Instant,
    /// When the run at hand began, and what work it took so far; none between runs.
    began: Option<(Instant, Duration)>,
    queue: VecDeque<SelectedSeries>,
    /// The key after which the next run begins, where this one could not take all.
    after: Option<Arc<[u8]>>,
    standing: HashMap<Arc<[u8]>, Standing>,
    is_late: bool,
}

impl Active {
    fn new(rule: PredictiveRule, due: Instant) -> Self {
        let (rule, queue, standing) = (Arc::new(rule), VecDeque::new(), HashMap::new());
        Self { rule, due, began: None, queue, after: None, standing, is_late: false }
    }
}

/// What one look came to, and how long it took.
type Looked = (usize, SelectedSeries, Option<Seen>, Duration);

/// Every rule.
#[derive(Debug)]
pub struct Runner {
    desk: Arc<ForecastDesk>,
    threads: FanOut,
    allowance: Allowance,
    rules: Vec<Active>,
    board: Arc<RuleBoard>,
    runs: Sender<AnomalyRun>,
    untold: VecDeque<AnomalyRun>,
}

impl Runner {
    /// Watches these rules. `before` is what was told before the last start: what still holds goes on.
    ///
    /// # Errors
    /// When the system gives no threads; in words.
    pub fn new(
        desk: Arc<ForecastDesk>,
        rules: Vec<PredictiveRule>,
        board: Arc<RuleBoard>,
        runs: Sender<AnomalyRun>,
        (allowance, before): (Allowance, &Records),
    ) -> Result<Self, String> {
        let threads = FanOut::named("forecast", allowance.threads.max(1))?;
        let mut runner = Self { desk, threads, allowance, rules: Vec::new(), board, runs, untold: VecDeque::new() };
        runner.replace(rules);
        let open = Filter { is_open: Some(true), ..Filter::default() };
        before.select(&open, |_| true).for_each(|record| runner.adopt(record));
        Ok(runner)
    }

    /// Goes on with what was told before the last start, if its rule is still there.
    fn adopt(&mut self, record: &AnomalyRecord) {
        let Some(name) = series::label(&record.key, RULE_LABEL) else { return };
        let rule = self.rules.iter_mut().find(|active| active.rule.name == name);
        if let (Some(active), Some(key)) = (rule, series_key_of(&record.key)) {
            active.standing.insert(key, Standing::adopted(record.start_ms));
        }
    }

    /// Watches others from now on; those that stay as they are go on, what the others told is over.
    pub fn replace(&mut self, rules: Vec<PredictiveRule>) {
        let now = clock::monotonic();
        let mut before = std::mem::take(&mut self.rules);
        for rule in rules {
            let known = before.iter().position(|active| *active.rule == rule);
            self.rules.push(known.map_or_else(|| Active::new(rule, now), |at| before.swap_remove(at)));
        }
        for mut gone in before {
            let keys: Vec<Arc<[u8]>> = gone.standing.keys().cloned().collect();
            keys.iter().for_each(|key| over(&mut gone, key, &self.board, &mut self.untold));
        }
        let rules = &self.rules;
        self.board.keep(|name| rules.iter().any(|active| active.rule.name == name));
        for active in rules {
            self.board.change(&active.rule.name, |figures| figures.rule = Some(active.rule.clone()));
        }
    }

    /// Does one slice of work at `now_ms`, milliseconds since 1970; how long to rest before the next. Blocks.
    pub fn slice(&mut self, now_ms: i64) -> Duration {
        let began = clock::monotonic();
        self.tell();
        // Event time: what is stored may be of another day than the clock's.
        let event_ms = self.desk.store.newest_ms().unwrap_or(now_ms);
        (0..self.rules.len()).for_each(|at| self.begin(at, began));
        let jobs = self.take_jobs();
        if jobs.is_empty() {
            // A run of no series ends at once.
            (0..self.rules.len()).for_each(|at| self.end(at, now_ms));
            let next = self.rules.iter().map(|active| active.due.saturating_duration_since(began)).min();
            return next.unwrap_or(REST_MAX).clamp(Duration::from_millis(10), REST_MAX);
        }
        let worked = self.look_at(jobs, event_ms);
        (0..self.rules.len()).for_each(|at| self.end(at, now_ms));
        self.tell();
        let rest = worked.div_f64(self.allowance.cpu_share.max(1e-3)).saturating_sub(began.elapsed());
        rest.clamp(Duration::from_millis(1), REST_MAX.max(worked * 100))
    }

    /// Begins a run of a rule that is due.
    fn begin(&mut self, at: usize, now: Instant) {
        let active = &mut self.rules[at];
        if now < active.due {
            return;
        }
        if active.began.is_some() {
            if !std::mem::replace(&mut active.is_late, true) {
                self.board.change(&active.rule.name, |figures| figures.late += 1);
            }
            return;
        }
        active.due = now + Duration::from_millis(active.rule.every_ms.unsigned_abs());
        active.is_late = false;
        let found = self.desk.store.select(&active.rule.matchers, i64::MIN, i64::MAX);
        let mut found = match found {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(rule = active.rule.name, %error, "a predictive rule cannot choose its series");
                self.board.change(&active.rule.name, |figures| figures.error = Some(error.to_string()));
                return;
            }
        };
        active.began = Some((now, Duration::ZERO));
        found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let matched = found.len();
        self.forget_gone(at, &found);
        let active = &mut self.rules[at];
        if let Some(after) = active.after.take() {
            let first = found.partition_point(|one| one.key <= after);
            found.rotate_left(first);
        }
        let beyond = matched.saturating_sub(self.allowance.series_max);
        found.truncate(self.allowance.series_max);
        if beyond > 0 {
            active.after = found.last().map(|one| one.key.clone());
        }
        active.queue = found.into();
        let queued = active.queue.len();
        self.board.change(&active.rule.name, |figures| {
            (figures.matched, figures.queued, figures.error) = (matched, queued, None);
            figures.beyond += beyond as u64;
        });
    }

    /// What was told of series that are no longer stored is over.
    fn forget_gone(&mut self, at: usize, found: &[SelectedSeries]) {
        let active = &mut self.rules[at];
        if active.standing.is_empty() {
            return;
        }
        let there: HashSet<&[u8]> = found.iter().map(|one| &*one.key).collect();
        let gone: Vec<Arc<[u8]>> = active.standing.keys().filter(|key| !there.contains(&***key)).cloned().collect();
        gone.iter().for_each(|key| over(active, key, &self.board, &mut self.untold));
    }

    /// Series of all rules in turn; none while the book has no room for what was found out before.
    fn take_jobs(&mut self) -> Vec<(usize, SelectedSeries)> {
        let most = SLICE * self.allowance.threads.max(1);
        let mut jobs = Vec::with_capacity(most);
        while jobs.len() < most && self.untold.len() + jobs.len() < UNTOLD_MAX {
            let before = jobs.len();
            for (at, active) in self.rules.iter_mut().enumerate() {
                jobs.extend(active.queue.pop_front().map(|one| (at, one)));
            }
            if jobs.len() == before {
                break;
            }
        }
        jobs
    }

    /// Looks at series on all threads; the time that took on each, together.
    fn look_at(&mut self, jobs: Vec<(usize, SelectedSeries)>, event_ms: i64) -> Duration {
        let (back, returned) = bounded::<Looked>(jobs.len());
        let count = jobs.len();
        for (at, one) in jobs {
            let (desk, rule) = (self.desk.clone(), self.rules[at].rule.clone());
            self.threads.lend(&back, move || {
                let began = clock::monotonic();
                let looked =
                    catch_unwind(AssertUnwindSafe(|| look(&desk, &rule, &one, event_ms, &mut Samples::default())));
                let seen = match looked {
                    Ok(Ok(seen)) => Some(seen),
                    Ok(Err(error)) => {
                        tracing::debug!(rule = rule.name, %error, "a series could not be read");
                        None
                    }
                    Err(_) => None,
                };
                (at, one, seen, began.elapsed())
            });
        }
        let mut worked = Duration::ZERO;
        for (at, one, seen, took) in returned.iter().take(count) {
            worked += took;
            if let Some((_, work)) = &mut self.rules[at].began {
                *work += took;
            }
            self.take(at, &one, seen, event_ms);
        }
        worked
    }

    /// Takes in what a look came to.
    fn take(&mut self, at: usize, one: &SelectedSeries, seen: Option<Seen>, event_ms: i64) {
        let active = &mut self.rules[at];
        let (failed, stale) =
            (!matches!(seen, Some(Seen::Expected(_) | Seen::Stale)), matches!(seen, Some(Seen::Stale)));
        let expected = match seen {
            Some(Seen::Expected(expected)) => Some(expected),
            _ => None,
        };
        let mut standing = active.standing.remove(&one.key);
        let change = Standing::look(&mut standing, &active.rule, expected.clone(), event_ms);
        if let Some(standing) = standing {
            if let (Change::Holds, Some(told)) = (&change, &standing.told) {
                let key = key_of(&active.rule.name, &one.key);
                self.untold.extend(key.map(|key| run_of(&active.rule, key, &standing, told, true)));
            }
            let holds = (standing.since_ms, expected.or_else(|| standing.told.clone()));
            active.standing.insert(one.key.clone(), standing);
            self.board.change(&active.rule.name, |figures| drop(figures.holds.insert(one.key.clone(), holds)));
        }
        if change == Change::Over {
            over(active, &one.key, &self.board, &mut self.untold);
        }
        self.board.change(&active.rule.name, |figures| {
            figures.looked += 1;
            figures.failed += u64::from(failed);
            figures.stale += u64::from(stale);
            figures.queued = active.queue.len();
        });
    }

    /// Ends a run that has no series left.
    fn end(&mut self, at: usize, now_ms: i64) {
        let active = &mut self.rules[at];
        if !active.queue.is_empty() {
            return;
        }
        let Some((began, worked)) = active.began.take() else { return };
        self.board.change(&active.rule.name, |figures| {
            figures.runs += 1;
            figures.ended_ms = Some(now_ms);
            (figures.took_s, figures.worked_s) = (began.elapsed().as_secs_f64(), worked.as_secs_f64());
        });
    }

    /// Tells the book as much as it has room for.
    fn tell(&mut self) {
        while let Some(run) = self.untold.pop_front() {
            if let Err(error) = self.runs.try_send(run) {
                self.untold.push_front(error.into_inner());
                return;
            }
        }
    }
}

/// What was told of a series is over.
fn over(active: &mut Active, key: &Arc<[u8]>, board: &RuleBoard, untold: &mut VecDeque<AnomalyRun>) {
    let standing = active.standing.remove(key);
    board.change(&active.rule.name, |figures| drop(figures.holds.remove(key)));
    if let Some(standing) = standing
        && let Some(told) = &standing.told
        && let Some(key) = key_of(&active.rule.name, key)
    {
        untold.push_back(run_of(&active.rule, key, &standing, told, false));
    }
}
