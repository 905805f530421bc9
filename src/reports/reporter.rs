//! Makes a report on capacity whenever one is due, keeps it, and has receivers told of it until they were.
//!
//! Work is done in turns, each at most one series or one receiver long; after each the reporter rests for as long as its
//! share of a core demands.
//!
//! Not here: when turns are, and how a receiver is told (the server hands that in).
//!
//! Invariants: what was due while nobody was there is made once, as one report, at the start; no report is made twice,
//! though a receiver may be told of one twice, by the same id, when the process ends between the telling and its note; what
//! was due before the schedule was set is not made.

use super::board::ReportBoard;
use super::making::{Making, Summary, due_of};
use super::shelf::Shelf;
use super::state_file::{self, State};
use crate::alert::{NoRecurrence, Recurrence, ReportText, Untold};
use crate::clock;
use crate::forecasts::{ForecastDesk, RuleBoard};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use storage::Store;

/// How long a turn rests that had nothing to do, and the longest rest between two series, so that a stop is not waited for.
const REST: Duration = Duration::from_secs(1);
/// How long what could not be written is left alone.
const PATIENCE_MS: i64 = 10_000;
/// Waits between two tries to tell a receiver: doubled from the first up to the last.
const WAIT_FIRST_MS: i64 = 60_000;
const WAIT_LAST_MS: i64 = 3_600_000;
/// How long after it was due a report is still told.
const TELL_FOR_MS: i64 = 24 * 3_600_000;
/// A minute, to which the beginning of a schedule is rounded: an RRULE has its seconds from there.
const MINUTE_MS: i64 = 60_000;

/// What the settings say of reports.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// When one is due, as a cron line or an RRULE; empty for never.
    pub schedule: String,
    /// The zone that is in.
    pub timezone: String,
    /// Who is told, by name.
    pub receivers: Vec<String>,
    /// Series that a report shows.
    pub top: usize,
    /// Series that it looks at.
    pub series_max: usize,
    /// Reports that are kept.
    pub keep: usize,
    /// Share of one core that making one may take.
    pub cpu_share: f64,
}

impl Plan {
    /// When reports are due, reckoned from a time in milliseconds since 1970; none for never.
    ///
    /// # Errors
    /// Says what about the schedule or the zone is not understood.
    pub fn recurrence(&self, from_ms: i64) -> Result<Option<Recurrence>, NoRecurrence> {
        if self.schedule.trim().is_empty() {
            return Ok(None);
        }
        Recurrence::parse(&self.schedule, &self.timezone, from_ms - from_ms.rem_euclid(MINUTE_MS)).map(Some)
    }
}

/// A receiver that is still to be told.
#[derive(Debug)]
struct Waiting {
    receiver: String,
    next_ms: i64,
    wait_ms: i64,
}

/// Has a receiver told, by its name.
pub(super) type Tell<'a> = &'a mut dyn FnMut(&str, &ReportText) -> Result<(), Untold>;

/// The one who makes reports.
#[derive(Debug)]
pub struct Reporter {
    store: Store,
    desk: Arc<ForecastDesk>,
    rules: Arc<RuleBoard>,
    board: Arc<ReportBoard>,
    shelf: Shelf,
    state: State,
    state_file: PathBuf,
    /// Whether the state on disk is another; when writing it may be tried.
    is_unwritten: bool,
    write_after_ms: i64,
    recurrence: Option<Recurrence>,
    /// Whether there was a turn.
    is_started: bool,
    /// When the next report is due; none for never.
    next_ms: Option<i64>,
    making: Option<Making>,
    /// A report that could not be written yet.
    unkept: Option<(i64, Summary, String)>,
    waiting: Vec<Waiting>,
}

impl Reporter {
    /// Goes on where the process before this one ended; what of that cannot be read is named in the log.
    ///
    /// # Errors
    /// When the folder of reports is there and cannot be listed.
    pub fn open(
        store: Store,
        desk: Arc<ForecastDesk>,
        rules: Arc<RuleBoard>,
        board: Arc<ReportBoard>,
    ) -> io::Result<Self> {
        let folder = board.folder();
        let state_file = folder.with_file_name("capacity_state.json");
        let shelf = Shelf::open(folder)?;
        let state = state_file::read(&state_file).unwrap_or_else(|error| {
            tracing::warn!(%error, "since when reports are due is not known; it is from now on");
            None
        });
        let reporter = Self {
            store,
            desk,
            rules,
            board,
            shelf,
            state: state.unwrap_or_default(),
            state_file,
            is_unwritten: false,
            write_after_ms: i64::MIN,
            recurrence: None,
            is_started: false,
            next_ms: None,
            making: None,
            unkept: None,
            waiting: Vec::new(),
        };
        reporter.show();
        Ok(reporter)
    }

    /// Does one piece of work at `now_ms`, milliseconds since 1970; how long to rest before the next. Blocks.
    pub fn turn(&mut self, plan: &Plan, now_ms: i64, tell: Tell<'_>) -> Duration {
        self.follow(plan, now_ms);
        let rest = if self.making.is_some() {
            self.make(plan, now_ms)
        } else if self.next_ms.is_some_and(|next_ms| next_ms <= now_ms) && self.unkept.is_none() {
            self.begin(plan, now_ms);
            Duration::ZERO
        } else {
            REST
        };
        self.keep(plan, now_ms);
        self.tell(now_ms, tell);
        if self.is_unwritten && self.write_after_ms <= now_ms {
            self.write(now_ms);
        }
        let (waiting, queued) = (self.waiting.len(), self.making.as_ref().map_or(0, Making::waiting));
        let next_ms = self.next_ms;
        self.board.change(|figures| (figures.waiting, figures.queued, figures.next_ms) = (waiting, queued, next_ms));
        rest
    }

    /// Takes over the schedule; another than before holds from now on.
    fn follow(&mut self, plan: &Plan, now_ms: i64) {
        let is_same = (&self.state.schedule, &self.state.timezone) == (&plan.schedule, &plan.timezone);
        if self.is_started && is_same {
            return;
        }
        if !is_same {
            (self.state.schedule, self.state.timezone) = (plan.schedule.clone(), plan.timezone.clone());
            self.state.since_ms = now_ms;
            self.is_unwritten = true;
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.take_up(plan, now_ms);
        }
        self.recurrence = plan.recurrence(self.state.since_ms).unwrap_or_else(|error| {
            tracing::error!(%error, "no reports are made: the schedule is not understood");
            None
        });
        self.plan_next();
    }

    /// Who is still to be told of the newest report: of one that was kept and not noted, everybody.
    fn take_up(&mut self, plan: &Plan, now_ms: i64) {
        let Some(newest) = self.shelf.summaries().into_iter().next() else { return };
        if newest.id != self.state.report {
            (self.state.report, self.state.untold) = (newest.id, plan.receivers.clone());
            self.is_unwritten = true;
        }
        self.await_all(now_ms);
    }

    fn await_all(&mut self, now_ms: i64) {
        let waiting =
            |receiver: &String| Waiting { receiver: receiver.clone(), next_ms: now_ms, wait_ms: WAIT_FIRST_MS };
        self.waiting = self.state.untold.iter().map(waiting).collect();
    }

    /// The last moment that is done with.
    fn done_ms(&self) -> i64 {
        self.shelf.newest_ms().map_or(self.state.since_ms, |newest_ms| newest_ms.max(self.state.since_ms))
    }

    fn plan_next(&mut self) {
        let done_ms = self.done_ms();
        self.next_ms = self.recurrence.as_ref().and_then(|recurrence| recurrence.next_start(done_ms));
    }

    /// Begins the report that is due: of several that were, the last.
    fn begin(&mut self, plan: &Plan, now_ms: i64) {
        let done_ms = self.done_ms();
        let due_ms = self.recurrence.as_ref().and_then(|recurrence| recurrence.last_start(done_ms, now_ms));
        let Some(due_ms) = due_ms else { return self.plan_next() };
        match Making::begin(&self.store, &self.rules, due_ms, (plan.series_max, plan.top)) {
            Ok(making) => self.making = Some(making),
            Err(error) => {
                tracing::error!(%error, "the report on capacity cannot be begun");
                self.board.change(|figures| figures.failed += 1);
                self.next_ms = Some(now_ms.saturating_add(PATIENCE_MS));
            }
        }
    }

    /// Looks at one more series.
    fn make(&mut self, plan: &Plan, now_ms: i64) -> Duration {
        let Some(mut making) = self.making.take() else { return REST };
        let began = clock::monotonic();
        if !making.look(&self.desk) {
            let due_ms = making.due_ms();
            let (summary, body) = making.finish(now_ms);
            self.unkept = Some((due_ms, summary, body));
            self.write_after_ms = i64::MIN;
            return Duration::ZERO;
        }
        let took = began.elapsed();
        making.worked(took);
        self.making = Some(making);
        took.div_f64(plan.cpu_share.max(1e-3)).saturating_sub(took).min(REST.max(took * 100))
    }

    /// Keeps the report that is done.
    fn keep(&mut self, plan: &Plan, now_ms: i64) {
        if self.write_after_ms > now_ms {
            return;
        }
        let Some((due_ms, summary, body)) = &self.unkept else { return };
        if let Err(error) = self.shelf.keep(*due_ms, summary, body, plan.keep) {
            tracing::error!(%error, "the report on capacity cannot be kept; it is tried again");
            self.board.change(|figures| figures.failed += 1);
            self.write_after_ms = now_ms.saturating_add(PATIENCE_MS);
            return;
        }
        tracing::info!(report = summary.id, "{}", summary.title);
        (self.state.report, self.state.untold) = (summary.id.clone(), plan.receivers.clone());
        self.unkept = None;
        self.is_unwritten = true;
        let missed = self.waiting.len() as u64;
        self.board.change(|figures| (figures.made, figures.untold) = (figures.made + 1, figures.untold + missed));
        self.await_all(now_ms);
        self.plan_next();
        self.show();
    }

    /// Tells the next receiver whose turn it is.
    fn tell(&mut self, now_ms: i64, tell: Tell<'_>) {
        let Some(at) = self.waiting.iter().position(|waiting| waiting.next_ms <= now_ms) else { return };
        let id = self.state.report.clone();
        let due_ms = due_of(&id).unwrap_or(now_ms);
        let report = match self.board.document(&id) {
            Ok(Some(body)) => Ok(ReportText { title: self.title(&id), id, body, made_ms: now_ms }),
            Ok(None) => Err("it is no longer kept".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        let told = match &report {
            Ok(report) => tell(&self.waiting[at].receiver, report),
            Err(what) => Err(Untold { what: what.clone(), may_pass: false }),
        };
        let receiver = self.waiting[at].receiver.clone();
        match told {
            Ok(()) => self.board.change(|figures| figures.told += 1),
            Err(Untold { what, may_pass }) => {
                // One that was due while nobody was there is told for as long.
                let until_ms = due_ms.max(self.made_ms()).saturating_add(TELL_FOR_MS);
                let waiting = &mut self.waiting[at];
                waiting.next_ms = now_ms.saturating_add(waiting.wait_ms);
                waiting.wait_ms = (2 * waiting.wait_ms).min(WAIT_LAST_MS);
                if may_pass && waiting.next_ms <= until_ms {
                    tracing::warn!(receiver, what, "the report on capacity could not be delivered; it is tried again");
                    return;
                }
                tracing::error!(receiver, what, "the report on capacity could not be delivered");
                self.board.change(|figures| figures.untold += 1);
            }
        }
        self.waiting.remove(at);
        self.state.untold.retain(|name| *name != receiver);
        self.is_unwritten = true;
    }

    fn title(&self, id: &str) -> String {
        let kept = self.board.kept();
        kept.iter().find(|one| one.id == id).map_or_else(String::new, |one| one.title.clone())
    }

    fn made_ms(&self) -> i64 {
        self.board.figures().made_ms.unwrap_or(i64::MIN)
    }

    fn write(&mut self, now_ms: i64) {
        match state_file::write(&self.state_file, &self.state) {
            Ok(()) => self.is_unwritten = false,
            Err(error) => {
                tracing::error!(%error, "who was told of the report on capacity cannot be kept; it is tried again");
                self.write_after_ms = now_ms.saturating_add(PATIENCE_MS);
            }
        }
    }

    /// Lets readers see what is kept.
    fn show(&self) {
        let kept = self.shelf.summaries();
        let ms = |text: &str| text.parse().ok().map(|time: jiff::Timestamp| time.as_millisecond());
        let newest = kept.first().map(|one| (ms(&one.due), ms(&one.made_at), one.work_s));
        self.board.show(kept);
        if let Some((due_ms, made_ms, work_s)) = newest {
            self.board.change(|figures| (figures.due_ms, figures.made_ms, figures.work_s) = (due_ms, made_ms, work_s));
        }
    }
}
