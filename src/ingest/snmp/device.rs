//! One device and one cycle of asking it: the clock and single values, then its interfaces, then the tables it has.
//!
//! ```text
//! start ─▶ request ─▶ answer ─▶ Send ... ─▶ Done(Polled)
//!                └─▶ timed_out ─▶ Send again, with less ─▶ Done(Silent)
//! ```
//!
//! Not here: sockets, when a cycle starts, how long an answer may take (see `poller`).
//!
//! Invariants: a cycle ends after finitely many requests and with finitely many rows, whatever the device answers; a
//! device that does not answer is given up at its first silent step; interfaces and tables are stored only whole.

use super::devices::DeviceSettings;
use super::interface_table::GROUPS;
use super::interfaces::{KnownInterfaces, Rows, Unrated, text};
use super::keys::{Emitted, Series};
use super::questions::{Ask, IDENTITY, Questions};
use super::tables::{Scalars, TableRows};
use protocols::snmp::counter::AgentClock;
use protocols::snmp::usm::Report;
use protocols::snmp::{
    Answer, ErrorStatus, Pdu, PduBuilder, PduKind, Repetitions, Session, Value, VarBind, Version, Walk,
};

/// Times an engine may be learned anew in one cycle.
const LEARNED_MAX: u32 = 3;
/// Answers without any progress that end a table.
const STALLED_MAX: u32 = 16;
/// Cycles after which a device is asked again for what it did not have.
const DISCOVER_CYCLES: u64 = 120;
/// Cycles after which a device is asked again who it is.
const IDENTITY_CYCLES: u64 = 10;
/// Single values asked for in one request.
const SCALARS_AT_ONCE: usize = 24;

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Go on waiting.
    Ignored,
    /// Send the next request.
    Send,
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
enum Step {
    /// A device that was silent is asked for its time alone.
    Probe,
    Scalars,
    Interfaces(usize),
    Table(usize),
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
    /// As they were before the step went unanswered.
    repetitions_before: Option<Repetitions>,
    scalars_at_once: usize,
    step: Step,
    walk: Walk,
    tries: u32,
    learned: u32,
    stalled: u32,
    cycle: u64,
    discovers: bool,
    was_read_again: bool,
    /// What is still to be asked of single values, and what was asked last.
    to_ask: Vec<Ask>,
    asked: usize,
    sent_ms: i64,
    engine_time: Option<u32>,
    uptime: Option<u32>,
    pub(super) description: String,
    pub(super) system_name: String,
    pub(super) object_id: String,
    has_scalar: Vec<bool>,
    has_engine_time: bool,
    has_interfaces: bool,
    has_table: Vec<bool>,
    scalars: Scalars,
    rows: Rows,
    rows_are_whole: bool,
    known: KnownInterfaces,
    tables: Vec<TableRows>,
    table_is_whole: Vec<bool>,
    pub(super) interfaces: usize,
    pub(super) faults: WalkFaults,
    told_faults: u64,
}

impl Device {
    /// A device nothing is known of; `random` starts its salts.
    pub(super) fn new(settings: DeviceSettings, random: u64, questions: &Questions) -> Self {
        let session = Session::new(settings.credentials.clone(), random);
        let (scalars, tables) = (questions.profiles.scalars.len(), questions.profiles.tables.len());
        Self {
            settings,
            session,
            repetitions: Repetitions::default(),
            repetitions_before: None,
            scalars_at_once: SCALARS_AT_ONCE,
            step: Step::Scalars,
            walk: Walk::default(),
            tries: 0,
            learned: 0,
            stalled: 0,
            cycle: 0,
            discovers: true,
            was_read_again: false,
            to_ask: Vec::new(),
            asked: 0,
            sent_ms: 0,
            engine_time: None,
            uptime: None,
            description: String::new(),
            system_name: String::new(),
            object_id: String::new(),
            has_scalar: vec![true; scalars],
            has_engine_time: true,
            has_interfaces: true,
            has_table: vec![true; tables],
            scalars: Scalars::default(),
            rows: Rows::default(),
            rows_are_whole: false,
            known: KnownInterfaces::default(),
            tables: (0..tables).map(|_| TableRows::default()).collect(),
            table_is_whole: vec![false; tables],
            interfaces: 0,
            faults: WalkFaults::default(),
            told_faults: 0,
        }
    }

    /// Begins a cycle; one of a device that was silent asks for its time first.
    pub(super) fn start(&mut self, was_silent: bool) {
        self.cycle += 1;
        self.step = if was_silent { Step::Probe } else { Step::Scalars };
        (self.tries, self.learned, self.stalled) = (0, 0, 0);
        (self.engine_time, self.uptime, self.was_read_again) = (None, None, false);
        self.repetitions_before = None;
        self.scalars.clear();
        self.rows.clear();
        self.rows_are_whole = false;
        self.tables.iter_mut().for_each(TableRows::clear);
        self.table_is_whole.fill(false);
        self.discovers |= self.cycle.is_multiple_of(DISCOVER_CYCLES);
        if self.discovers {
            self.has_scalar.fill(true);
            self.has_table.fill(true);
            (self.has_interfaces, self.has_engine_time) = (true, true);
        }
        self.to_ask.clear();
        self.to_ask.extend(self.has_engine_time.then_some(Ask::EngineTime));
        if self.discovers || self.cycle.is_multiple_of(IDENTITY_CYCLES) {
            self.to_ask.extend(IDENTITY.map(|(ask, _)| ask));
        }
        let known = (0..self.has_scalar.len()).filter(|place| self.has_scalar[*place]);
        self.to_ask.extend(known.map(Ask::Profile));
    }

    fn is_v1(&self) -> bool {
        self.session.version() == Version::V1
    }

    /// The datagram to send next.
    pub(super) fn request(&mut self, id: i32, now_ms: i64, questions: &Questions, buffer: Vec<u8>) -> Vec<u8> {
        self.sent_ms = now_ms;
        let null = |oid| VarBind { name: oid, value: Value::Null };
        let names: Vec<VarBind<'_>> = match self.step {
            Step::Probe => vec![null(questions.uptime.as_ref())],
            Step::Scalars => {
                self.asked = self.to_ask.len().min(self.scalars_at_once);
                let asked = self.to_ask[..self.asked].iter().map(|ask| null(questions.of(*ask).as_ref()));
                std::iter::once(null(questions.uptime.as_ref())).chain(asked).collect()
            }
            Step::Interfaces(_) | Step::Table(_) => self.walk.names(&questions.uptime_column, self.repetitions),
        };
        let pdu = match self.step {
            Step::Probe | Step::Scalars => PduBuilder::request(PduKind::Get, id, &names),
            _ => Walk::request(&names, 1, self.repetitions, !self.is_v1()),
        };
        self.session.request(id, &pdu, now_ms, buffer)
    }

    /// Takes a datagram from the device's address that may answer the request with this id.
    pub(super) fn answer(
        &mut self,
        datagram: &[u8],
        id: i32,
        now_ms: i64,
        questions: &Questions,
        scratch: &mut Vec<u8>,
    ) -> Progress {
        match self.session.accept(datagram, id, now_ms, scratch) {
            Answer::NotOurs => Progress::Ignored,
            Answer::Refused(Report::UnknownEngineId) => {
                self.session.forget();
                self.learn(Report::UnknownEngineId)
            }
            Answer::Refused(report) => Progress::Done(Outcome::Refused(report)),
            Answer::Again => self.learn(Report::NotInTimeWindow),
            Answer::Response(pdu) => {
                (self.tries, self.repetitions_before) = (0, None);
                match self.step {
                    Step::Probe => {
                        self.step = Step::Scalars;
                        Progress::Send
                    }
                    Step::Scalars => self.take_scalars(&pdu, now_ms, questions),
                    Step::Interfaces(_) | Step::Table(_) => self.take_rows(&pdu, now_ms, questions),
                }
            }
        }
    }

    fn learn(&mut self, why: Report) -> Progress {
        self.learned += 1;
        if self.learned > LEARNED_MAX { Progress::Done(Outcome::Refused(why)) } else { Progress::Send }
    }

    /// No answer in time: the next request asks for less. A device that answers none of them has taught nothing.
    pub(super) fn timed_out(&mut self, retries: u32) -> Progress {
        self.tries += 1;
        if self.tries > retries {
            if let Some(before) = self.repetitions_before.take() {
                self.repetitions = before;
            }
            // An agent that lost its boots is heard again only when it is discovered anew.
            self.session.forget();
            return Progress::Done(Outcome::Silent);
        }
        if matches!(self.step, Step::Interfaces(_) | Step::Table(_)) {
            self.repetitions_before.get_or_insert(self.repetitions);
            self.repetitions.failed();
        }
        Progress::Send
    }

    fn clock(&self, uptime: Value<'_>, now_ms: i64) -> Option<AgentClock> {
        let Value::TimeTicks(uptime) = uptime else { return None };
        Some(AgentClock { uptime, engine_time: self.engine_time, at_ms: now_ms, took_ms: now_ms - self.sent_ms })
    }

    fn take_scalars(&mut self, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> Progress {
        match pdu.error_status() {
            ErrorStatus::None => {}
            ErrorStatus::NoSuchName if (2..=self.asked + 1).contains(&pdu.error_index()) => {
                // Version 1 refuses a whole request for one unknown name; the next goes without it.
                let ask = self.to_ask.remove(pdu.error_index() - 2);
                self.lacks(ask);
                return Progress::Send;
            }
            ErrorStatus::TooBig if self.scalars_at_once > 1 => {
                self.scalars_at_once /= 2;
                return Progress::Send;
            }
            error => return Progress::Done(Outcome::Failed(error)),
        }
        let mut var_binds = pdu.var_binds();
        let uptime = var_binds.next().filter(|var_bind| var_bind.name == questions.uptime.as_ref());
        let clock = uptime.and_then(|uptime| self.clock(uptime.value, now_ms));
        if let Some(clock) = clock {
            self.uptime = Some(clock.uptime);
        }
        let asked: Vec<Ask> = self.to_ask.drain(..self.asked).collect();
        for (ask, var_bind) in asked.into_iter().zip(var_binds) {
            if var_bind.name != questions.of(ask).as_ref() || var_bind.value.is_absent() {
                self.lacks(ask);
                continue;
            }
            match ask {
                Ask::EngineTime => {
                    self.engine_time = var_bind.value.count().and_then(|seconds| u32::try_from(seconds).ok());
                }
                Ask::Description => self.description = text(var_bind.value),
                Ask::SystemName => self.system_name = text(var_bind.value),
                Ask::ObjectId => {
                    if let Value::Oid(oid) = var_bind.value {
                        self.object_id = oid.to_string();
                    }
                }
                Ask::Profile(place) => {
                    let clock = clock.map(|clock| AgentClock { engine_time: self.engine_time, ..clock });
                    clock.into_iter().for_each(|clock| self.scalars.take(place, var_bind.value, clock));
                }
            }
        }
        if self.to_ask.is_empty() { self.go_on(Step::Scalars, questions) } else { Progress::Send }
    }

    fn lacks(&mut self, ask: Ask) {
        match ask {
            Ask::Profile(place) => self.has_scalar[place] = false,
            Ask::EngineTime => self.has_engine_time = false,
            _ => {}
        }
    }

    /// The step behind one that is done.
    fn go_on(&mut self, done: Step, questions: &Questions) -> Progress {
        let next_table = |from: usize| (from..self.has_table.len()).find(|table| self.has_table[*table]);
        let next = match done {
            Step::Probe | Step::Scalars if self.has_interfaces => Some(Step::Interfaces(0)),
            Step::Probe | Step::Scalars => next_table(0).map(Step::Table),
            // A device without any name or description of interfaces has none.
            Step::Interfaces(0) if self.rows.is_empty() => next_table(0).map(Step::Table),
            Step::Interfaces(group) if group + 1 < questions.groups.len() => Some(Step::Interfaces(group + 1)),
            Step::Interfaces(_) if self.rows.have_moved() && !self.was_read_again => {
                self.was_read_again = true;
                self.rows.clear();
                Some(Step::Interfaces(0))
            }
            Step::Interfaces(_) => {
                self.rows_are_whole = true;
                next_table(0).map(Step::Table)
            }
            Step::Table(table) => {
                self.table_is_whole[table] = true;
                next_table(table + 1).map(Step::Table)
            }
        };
        self.stalled = 0;
        match next {
            Some(step) => {
                self.step = step;
                match step {
                    Step::Interfaces(group) => self.walk.start(&questions.groups[group]),
                    Step::Table(table) => self.walk.start(&questions.profiles.tables[table].oids),
                    Step::Probe | Step::Scalars => {}
                }
                Progress::Send
            }
            None => {
                self.has_interfaces &= !self.rows.is_empty();
                for (has, rows) in self.has_table.iter_mut().zip(&self.tables) {
                    *has &= !rows.is_empty();
                }
                self.discovers = false;
                Progress::Done(Outcome::Polled)
            }
        }
    }

    fn take_rows(&mut self, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> Progress {
        let values = match pdu.error_status() {
            ErrorStatus::None => self.take_values(pdu, now_ms, questions),
            ErrorStatus::TooBig => 0,
            // Version 1: nothing follows this name.
            ErrorStatus::NoSuchName if pdu.error_index() > 1 => {
                self.walk.end_column(pdu.error_index() - 2);
                1
            }
            error => return Progress::Done(Outcome::Failed(error)),
        };
        if values > 0 {
            self.stalled = 0;
            self.repetitions.succeeded();
        } else if !self.walk.is_done() {
            self.stalled += 1;
            self.repetitions.failed();
            if self.stalled >= STALLED_MAX {
                self.faults.stalled += 1;
                self.walk.stop();
            }
        }
        if self.walk.is_done() { self.go_on(self.step, questions) } else { Progress::Send }
    }

    fn take_values(&mut self, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> usize {
        let lead = pdu.var_binds().next().filter(|lead| lead.name == questions.uptime.as_ref());
        // Without its time a counter has no meaning: the agent is asked again, for less.
        let Some(clock) = lead.and_then(|lead| self.clock(lead.value, now_ms)) else { return 0 };
        let mut has_room = true;
        let (rows, tables, step) = (&mut self.rows, &mut self.tables, self.step);
        let taken = self.walk.take(pdu, 1, self.repetitions, |at, index, value| {
            has_room &= match step {
                Step::Interfaces(group) => rows.take(GROUPS[group][at].0, index, value, clock),
                Step::Table(table) => tables[table].take(&questions.profiles.tables[table], at, index, value, clock),
                Step::Probe | Step::Scalars => true,
            };
        });
        self.faults.not_increasing += taken.not_increasing as u64;
        if !has_room {
            self.faults.cut += 1;
            self.walk.stop();
        }
        taken.values
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
        if let Some(uptime) = self.uptime {
            let seconds = f64::from(uptime) / 100.0;
            plain("sysUpTime", seconds);
            // The engine's own time goes on where sysUpTime begins again after 497 days.
            plain("snmp_device_uptime_seconds", self.engine_time.map_or(seconds, |time| seconds.max(f64::from(time))));
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
        }
        self.rows.clear();
        let whole = self.tables.iter_mut().zip(&self.table_is_whole).zip(&questions.profiles.tables);
        for ((rows, _), table) in whole.filter(|((_, is_whole), _)| **is_whole) {
            rows.emit(table, &mut unrated, &mut emit);
        }
        unrated
    }
}
