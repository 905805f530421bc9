//! One device and one cycle of asking it, stage by stage: the clock and single values, its interfaces, the tables it has.
//!
//! ```text
//! start ─▶ next ─▶ request ─▶ answer ─▶ Go ... ─▶ Done(Polled)
//!                     └─▶ timed_out ─▶ Go, with less ─▶ Done(Silent)
//!
//! singles ─┬─ interfaces anew: who ─ counters ─ who again ─┬─ tables
//!          └─ as they were: counters ─ still the same? ────┘
//! ```
//!
//! Not here: sockets, when a cycle starts, how long an answer may take (see `poller`); rows (see `interfaces`, `tables`).
//!
//! Invariants: a cycle ends after finitely many requests and with finitely many rows, whatever the device answers; a
//! device that does not answer is given up at its first silent job; interfaces and tables are stored only whole; jobs
//! of one stage do not depend on each other, so that several requests may be on their way.

mod answers;
mod job;
mod stages;

use super::devices::DeviceSettings;
use super::interface_table::GROUPS;
use super::interfaces::{Rows, Unrated};
use super::keys::{Emitted, Series};
use super::known_interfaces::KnownInterfaces;
use super::questions::{Ask, IDENTITY, Questions};
use super::tables::{Scalars, TableRows};
use job::{Job, Target};
use protocols::snmp::counter::{AgentClock, Passed};
use protocols::snmp::usm::Report;
use protocols::snmp::{
    Answer, ErrorStatus, Expected, PduBuilder, PduKind, Repetitions, Session, Value, VarBind, Version,
};

/// Times an engine may be learned anew in one cycle.
const LEARNED_MAX: u32 = 3;
/// Answers without any progress that end a table.
const STALLED_MAX: u32 = 16;
/// Cycles after which a device is asked again for what it did not have.
const DISCOVER_CYCLES: u64 = 120;
/// Cycles after a restart of a device after which it is asked once more for everything.
const SETTLE_CYCLES: u64 = 4;
/// Cycles after which a device is asked again who it is, and everything about its interfaces.
const IDENTITY_CYCLES: u64 = 10;
/// Single values asked for in one request.
const SCALARS_AT_ONCE: usize = 24;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Go on waiting.
    Ignored,
    /// Send what there is to send.
    Go,
    /// The cycle is over.
    Done(Outcome),
}

/// How a cycle ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Everything was answered.
    Polled,
    /// No answer in time, again and again.
    Silent,
    /// The device says why it does not answer.
    Refused(Report),
    /// The device answers with an error.
    Failed(ErrorStatus),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A device that was silent is asked for its time alone.
    Probe,
    Singles,
    /// Who the interfaces are, when they are read anew.
    Who,
    Counters,
    /// Counters of 32 bits, where one of 64 stands still.
    Narrow,
    /// Whether the interfaces still are who they were.
    Still,
    Tables,
}

/// What walks met that is the device's fault, since the device is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct WalkFaults {
    pub(super) not_increasing: u64,
    pub(super) stalled: u64,
    pub(super) cut: u64,
}

impl WalkFaults {
    pub(super) fn total(self) -> u64 {
        self.not_increasing + self.stalled + self.cut
    }
}

/// A device with all that is known of it.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) settings: DeviceSettings,
    session: Session,
    repetitions: Repetitions,
    /// As they were before a job went unanswered.
    repetitions_before: Option<Repetitions>,
    scalars_at_once: usize,
    /// Requests that may be on their way at a time, as far as is known.
    window: usize,
    window_max: usize,
    stage: Stage,
    jobs: Vec<Job>,
    cycle: u64,
    discovers: bool,
    reads_anew: bool,
    was_read_again: bool,
    had_timeout: bool,
    /// What is still to be asked of single values, and what was asked last.
    to_ask: Vec<Ask>,
    asked: usize,
    engine_time: Option<u32>,
    host_uptime: Option<u32>,
    clock: Option<AgentClock>,
    /// Of the last cycle in which it told its time.
    clock_before: Option<AgentClock>,
    boots: Option<u32>,
    pub(super) description: String,
    pub(super) system_name: String,
    pub(super) object_id: String,
    has_scalar: Vec<bool>,
    has_engine_time: bool,
    has_host_uptime: bool,
    has_interfaces: bool,
    has_group: [bool; GROUPS.len()],
    has_table: Vec<bool>,
    /// Bytes of a variable binding, and rows, by group and behind the groups by table.
    met: Vec<(usize, usize)>,
    scalars: Scalars,
    rows: Rows,
    /// Whether the rows say who the interfaces are, and whether they were read to their end in this cycle.
    rows_are_known: bool,
    rows_are_whole: bool,
    pub(super) has_answered: bool,
    pub(super) known: KnownInterfaces,
    tables: Vec<TableRows>,
    table_is_whole: Vec<bool>,
    pub(super) interfaces: usize,
    pub(super) faults: WalkFaults,
    told_faults: u64,
}

impl Device {
    /// A device nothing is known of; `random` starts its salts and says in which cycles it is read anew. At most
    /// `window_max` requests are on their way at a time.
    pub(super) fn new(settings: DeviceSettings, random: u64, window_max: usize, questions: &Questions) -> Self {
        let session = Session::new(settings.credentials.clone(), random);
        let (scalars, tables) = (questions.profiles.scalars.len(), questions.profiles.tables.len());
        Self {
            settings,
            session,
            repetitions: Repetitions::default(),
            repetitions_before: None,
            scalars_at_once: SCALARS_AT_ONCE,
            window: 1,
            window_max: window_max.max(1),
            stage: Stage::Singles,
            jobs: Vec::new(),
            cycle: random % DISCOVER_CYCLES,
            discovers: true,
            reads_anew: true,
            was_read_again: false,
            had_timeout: false,
            to_ask: Vec::new(),
            asked: 0,
            engine_time: None,
            host_uptime: None,
            clock: None,
            clock_before: None,
            boots: None,
            description: String::new(),
            system_name: String::new(),
            object_id: String::new(),
            has_scalar: vec![true; scalars],
            has_engine_time: true,
            has_host_uptime: true,
            has_interfaces: true,
            has_group: [true; GROUPS.len()],
            has_table: vec![true; tables],
            met: vec![(0, 0); GROUPS.len() + tables],
            scalars: Scalars::default(),
            rows: Rows::default(),
            rows_are_known: false,
            rows_are_whole: false,
            has_answered: false,
            known: KnownInterfaces::default(),
            tables: (0..tables).map(|_| TableRows::default()).collect(),
            table_is_whole: vec![false; tables],
            interfaces: 0,
            faults: WalkFaults::default(),
            told_faults: 0,
        }
    }

    /// Begins a cycle; one of a device that was silent asks for its time first.
    pub(super) fn start(&mut self, was_silent: bool, questions: &Questions) {
        self.cycle += 1;
        self.stage = if was_silent { Stage::Probe } else { Stage::Singles };
        self.jobs.clear();
        self.jobs.push(Job::new(Target::Singles, questions, Expected::default()));
        (self.engine_time, self.host_uptime, self.was_read_again, self.had_timeout) = (None, None, false, false);
        self.clock_before = self.clock.take().or(self.clock_before);
        self.repetitions_before = None;
        self.tables.iter_mut().for_each(TableRows::clear);
        self.table_is_whole.fill(false);
        self.discovers |= self.cycle.is_multiple_of(DISCOVER_CYCLES);
        self.reads_anew = self.discovers || !self.rows_are_known || self.cycle.is_multiple_of(IDENTITY_CYCLES);
        (self.rows_are_whole, self.has_answered) = (false, false);
        self.begin_asking();
    }

    /// Gathers what is to be asked of single values, and makes room for the rest.
    fn begin_asking(&mut self) {
        if self.discovers {
            self.has_scalar.fill(true);
            self.has_table.fill(true);
            (self.has_interfaces, self.has_engine_time, self.has_host_uptime) = (true, true, true);
        }
        self.scalars.clear();
        self.to_ask.clear();
        self.to_ask.extend(self.has_engine_time.then_some(Ask::EngineTime));
        self.to_ask.extend(self.has_host_uptime.then_some(Ask::HostUptime));
        if self.reads_anew {
            self.has_group.fill(true);
            self.to_ask.extend(IDENTITY.map(|(ask, _)| ask));
        }
        let known = (0..self.has_scalar.len()).filter(|place| self.has_scalar[*place]);
        self.to_ask.extend(known.map(Ask::Profile));
        if self.reads_anew { self.read_anew() } else { self.rows.keep() }
    }

    /// Forgets who the interfaces were; what is not read to its end may be anything.
    fn read_anew(&mut self) {
        (self.reads_anew, self.rows_are_known) = (true, false);
        self.rows.clear();
    }

    fn is_v1(&self) -> bool {
        self.session.version() == Version::V1
    }

    /// A job that has something to ask, while there is room for its request.
    pub(super) fn next(&self) -> Option<usize> {
        let on_way = self.jobs.iter().filter(|job| job.is_on_way).count();
        // Who the agent is has to be learned once.
        let room = if self.session.is_discovering() { 1 } else { self.window };
        let waits = |job: &Job| !job.is_on_way && !job.is_done;
        if on_way < room { self.jobs.iter().position(waits) } else { None }
    }

    /// The datagram that asks for a job.
    pub(super) fn request(
        &mut self,
        at: usize,
        id: i32,
        now_ms: i64,
        questions: &Questions,
        buffer: Vec<u8>,
    ) -> Vec<u8> {
        let (is_v1, stage) = (self.is_v1(), self.stage);
        let job = &mut self.jobs[at];
        (job.sent_ms, job.is_on_way, job.asked, job.was_alone) = (now_ms, true, self.repetitions, self.window == 1);
        let null = |oid| VarBind { name: oid, value: Value::Null };
        if job.target == Target::Singles {
            self.asked = if stage == Stage::Probe { 0 } else { self.to_ask.len().min(self.scalars_at_once) };
            let asked = self.to_ask[..self.asked].iter().map(|ask| null(questions.of(*ask).as_ref()));
            let names: Vec<_> = std::iter::once(null(questions.uptime.as_ref())).chain(asked).collect();
            return self.session.request(id, &PduBuilder::request(PduKind::Get, id, &names), now_ms, buffer);
        }
        let names = job.walk.names(&questions.uptime_column, job.asked);
        let pdu = job.walk.request(&names, 1, job.asked, !is_v1);
        self.session.request(id, &pdu, now_ms, buffer)
    }

    /// Takes a datagram from the device's address that may answer the job's request with this id.
    pub(super) fn answer(
        &mut self,
        (at, id): (usize, i32),
        datagram: &[u8],
        now_ms: i64,
        questions: &Questions,
        scratch: &mut Vec<u8>,
    ) -> Progress {
        let answer = self.session.accept(datagram, id, now_ms, scratch);
        if matches!(answer, Answer::NotOurs) {
            return Progress::Ignored;
        }
        self.jobs[at].is_on_way = false;
        match answer {
            Answer::NotOurs => Progress::Ignored,
            Answer::Refused(Report::UnknownEngineId) => {
                self.session.forget();
                self.learn(at, Report::UnknownEngineId)
            }
            Answer::Refused(report) => Progress::Done(Outcome::Refused(report)),
            Answer::Again => self.learn(at, Report::NotInTimeWindow),
            Answer::Response(pdu) => {
                self.has_answered = true;
                (self.jobs[at].tries, self.repetitions_before) = (0, None);
                match (self.stage, self.jobs[at].target) {
                    (Stage::Probe, _) => {
                        self.stage = Stage::Singles;
                        Progress::Go
                    }
                    (_, Target::Singles) => self.take_scalars(at, &pdu, now_ms, questions),
                    (_, Target::Group(_) | Target::Table(_)) => self.take_rows(at, &pdu, now_ms, questions),
                }
            }
        }
    }

    fn learn(&mut self, at: usize, why: Report) -> Progress {
        self.jobs[at].learned += 1;
        if self.jobs[at].learned > LEARNED_MAX { Progress::Done(Outcome::Refused(why)) } else { Progress::Go }
    }

    /// No answer to a job's request in time: fewer at a time, and then less in each. A device that answers none of them
    /// has taught nothing.
    pub(super) fn timed_out(&mut self, at: usize, retries: u32) -> Progress {
        let job = &mut self.jobs[at];
        (job.tries, job.is_on_way) = (job.tries + 1, false);
        if job.tries > retries {
            // One that answered some of the cycle has taught how much is too much.
            if let Some(before) = self.repetitions_before.take().filter(|_| !self.has_answered) {
                self.repetitions = before;
            }
            // An agent that lost its boots is heard again only when it is discovered anew.
            self.session.forget();
            return Progress::Done(Outcome::Silent);
        }
        let is_walk = job.target != Target::Singles;
        // Several at a time may have been too many, whatever each asked for.
        self.window = 1;
        if job.was_alone && is_walk {
            self.repetitions_before.get_or_insert(self.repetitions);
            self.repetitions.unanswered();
        }
        self.had_timeout = true;
        Progress::Go
    }

    /// Whether the device, or its agent, has started again since the cycle before, or reads another configuration: then it
    /// may have other tables and interfaces.
    fn is_another(&mut self, clock: &AgentClock) -> bool {
        let boots = self.session.engine().map(|engine| engine.clock(clock.at_ms).0);
        let rose = self.boots.zip(boots).is_some_and(|(before, now)| now > before);
        self.boots = boots.or(self.boots);
        rose || self.clock_before.is_some_and(|before| clock.passed_since(&before) == Passed::Rebooted)
    }

    fn lacks(&mut self, ask: Ask) {
        match ask {
            Ask::Profile(place) => self.has_scalar[place] = false,
            Ask::EngineTime => self.has_engine_time = false,
            Ask::HostUptime => self.has_host_uptime = false,
            _ => {}
        }
    }

    /// Faults of walks that were not told yet.
    pub(super) fn new_faults(&mut self) -> u64 {
        let told = std::mem::replace(&mut self.told_faults, self.faults.total());
        self.faults.total() - told
    }

    /// The samples of a cycle.
    pub(super) fn emit(&mut self, questions: &Questions, mut emit: impl FnMut(Emitted<'_>)) -> Unrated {
        let mut unrated = Unrated::default();
        let mut plain = |name, value| emit(Emitted { series: Series::Labelled(name, "", &[]), value });
        if let Some(clock) = self.clock {
            let seconds = |ticks: u32| f64::from(ticks) / 100.0;
            plain("sysUpTime", seconds(clock.uptime));
            // The engine's own time goes on where sysUpTime begins again after 497 days, the machine's where its agent did.
            let others = [self.engine_time.map(f64::from), self.host_uptime.map(seconds)];
            let longest = others.into_iter().flatten().fold(seconds(clock.uptime), f64::max);
            plain("snmp_device_uptime_seconds", longest);
            let labels = [
                ("sysName", self.system_name.as_str()),
                ("sysDescr", self.description.as_str()),
                ("sysObjectID", self.object_id.as_str()),
            ];
            emit(Emitted { series: Series::Labelled("snmp_device_info", "", &labels), value: 1.0 });
        }
        self.scalars.emit(&questions.profiles, &mut unrated, &mut emit);
        if self.rows_are_whole {
            self.interfaces = self.rows.len();
            self.rows.emit(&self.settings.name, &mut self.known, &mut unrated, &mut emit);
            // Who changed hands while it was read is read anew at once.
            self.rows_are_known = unrated.moved == 0;
        }
        let whole = self.tables.iter_mut().zip(&self.table_is_whole).zip(&questions.profiles.tables);
        for ((rows, _), table) in whole.filter(|((_, is_whole), _)| **is_whole) {
            rows.emit(table, &mut unrated, &mut emit);
        }
        unrated
    }
}

#[cfg(test)]
mod tests;
