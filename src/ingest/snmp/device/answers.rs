//! What answers mean: single values, and the rows of tables.
//!
//! Not here: whether a datagram is an answer (see the module above), what comes next (see `stages`).
//!
//! Invariant: a counter is taken only with the agent's clock of the same answer.

use super::job::Target;
use super::{DISCOVER_CYCLES, Device, Outcome, Progress, SETTLE_CYCLES, STALLED_MAX, Stage};
use crate::ingest::snmp::interface_table::GROUPS;
use crate::ingest::snmp::interfaces::text;
use crate::ingest::snmp::questions::{Ask, Questions};
use protocols::snmp::counter::AgentClock;
use protocols::snmp::{ErrorStatus, Pdu, Value};

impl Device {
    fn clock_of(&self, at: usize, uptime: Value<'_>, now_ms: i64) -> Option<AgentClock> {
        let Value::TimeTicks(uptime) = uptime else { return None };
        let took_ms = now_ms - self.jobs[at].sent_ms;
        Some(AgentClock { uptime, engine_time: self.engine_time, at_ms: now_ms, took_ms })
    }

    pub(super) fn take_scalars(&mut self, at: usize, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> Progress {
        match pdu.error_status() {
            ErrorStatus::None => {}
            ErrorStatus::NoSuchName if (2..=self.asked + 1).contains(&pdu.error_index()) => {
                // Version 1 refuses a whole request for one unknown name; the next goes without it.
                let ask = self.to_ask.remove(pdu.error_index() - 2);
                self.lacks(ask);
                return Progress::Go;
            }
            ErrorStatus::TooBig if self.scalars_at_once > 1 => {
                self.scalars_at_once /= 2;
                return Progress::Go;
            }
            error => return Progress::Done(Outcome::Failed(error)),
        }
        let mut var_binds = pdu.var_binds();
        let uptime = var_binds.next().filter(|var_bind| var_bind.name == questions.uptime.as_ref());
        let clock = uptime.and_then(|uptime| self.clock_of(at, uptime.value, now_ms));
        let asked: Vec<Ask> = self.to_ask.drain(..self.asked).collect();
        for (ask, var_bind) in asked.into_iter().zip(var_binds) {
            if var_bind.name != questions.of(ask).as_ref() || var_bind.value.is_absent() {
                self.lacks(ask);
                continue;
            }
            self.take_scalar(ask, var_bind.value, clock);
        }
        let clock = clock.map(|clock| AgentClock { engine_time: self.engine_time, ..clock });
        let is_first = self.clock.is_none();
        self.clock = clock.or(self.clock);
        if clock.is_some_and(|clock| is_first && self.is_another(&clock)) {
            // At once, and once more when everything in it has come up.
            self.cycle = DISCOVER_CYCLES - SETTLE_CYCLES;
            (self.discovers, self.reads_anew) = (true, true);
            self.begin_asking();
        }
        self.jobs[at].is_done = self.to_ask.is_empty();
        if self.jobs[at].is_done { self.enter(Stage::Who, questions) } else { Progress::Go }
    }

    fn take_scalar(&mut self, ask: Ask, value: Value<'_>, clock: Option<AgentClock>) {
        let count = || value.count().and_then(|count| u32::try_from(count).ok());
        match ask {
            Ask::EngineTime => self.engine_time = count(),
            Ask::HostUptime => self.host_uptime = count(),
            Ask::Description => self.description = text(value),
            Ask::SystemName => self.system_name = text(value),
            Ask::ObjectId => {
                if let Value::Oid(oid) = value {
                    self.object_id = oid.to_string();
                }
            }
            Ask::Profile(place) => {
                let clock = clock.map(|clock| AgentClock { engine_time: self.engine_time, ..clock });
                clock.into_iter().for_each(|clock| self.scalars.take(place, value, clock));
            }
        }
    }

    pub(super) fn take_rows(&mut self, at: usize, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> Progress {
        let values = match pdu.error_status() {
            ErrorStatus::None => self.take_values(at, pdu, now_ms, questions),
            ErrorStatus::TooBig => 0,
            // Version 1: nothing follows this name.
            ErrorStatus::NoSuchName if pdu.error_index() > 1 => {
                self.jobs[at].walk.end_column(pdu.error_index() - 2);
                1
            }
            error => return Progress::Done(Outcome::Failed(error)),
        };
        let job = &mut self.jobs[at];
        if values > 0 {
            job.stalled = 0;
            self.repetitions.succeeded();
        } else if !job.walk.is_done() {
            job.stalled += 1;
            self.repetitions.failed();
            if job.stalled >= STALLED_MAX {
                self.faults.stalled += 1;
                job.walk.stop();
            }
        }
        if job.walk.is_done() {
            self.finish(at);
        }
        if self.jobs.iter().all(|job| job.is_done) { self.leave(questions) } else { Progress::Go }
    }

    fn take_values(&mut self, at: usize, pdu: &Pdu<'_>, now_ms: i64, questions: &Questions) -> usize {
        let lead = pdu.var_binds().next().filter(|lead| lead.name == questions.uptime.as_ref());
        // Without its time a counter has no meaning: the agent is asked again, for less.
        let Some(clock) = lead.and_then(|lead| self.clock_of(at, lead.value, now_ms)) else { return 0 };
        let mut has_room = true;
        let (rows, tables, job) = (&mut self.rows, &mut self.tables, &mut self.jobs[at]);
        let (target, asked) = (job.target, job.asked);
        let taken = job.walk.take(pdu, 1, asked, |column, index, value| {
            has_room &= match target {
                Target::Group(group) => rows.take(GROUPS[group][column].0, index, value, clock),
                Target::Table(table) => {
                    tables[table].take(&questions.profiles.tables[table], column, index, value, clock)
                }
                Target::Singles => true,
            };
        });
        job.has_values |= taken.values > 0;
        self.faults.not_increasing += taken.not_increasing as u64;
        if !has_room {
            self.faults.cut += 1;
            job.walk.stop();
        }
        taken.values
    }
}
