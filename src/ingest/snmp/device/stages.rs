//! The stages of a cycle: what is asked in each, and which comes behind it.
//!
//! Not here: requests and answers (see the module above).
//!
//! Invariant: a stage in which there is nothing to ask is passed over, and the last one ends the cycle.

use super::job::{Job, Target};
use super::{Device, Outcome, Progress, Stage};
use crate::ingest::snmp::interface_table::{
    AGAIN, CASTS, FAULTS, GROUPS, NARROW, ROW, STILL, STILL_DESCRIBED, WHO, WIDE,
};
use crate::ingest::snmp::questions::Questions;
use protocols::snmp::Expected;

impl Device {
    /// Begins a stage, or the first behind it in which there is something to ask.
    pub(super) fn enter(&mut self, stage: Stage, questions: &Questions) -> Progress {
        self.jobs.clear();
        self.stage = stage;
        let group = |group| vec![Target::Group(group)];
        let targets = match stage {
            Stage::Who if self.has_interfaces && self.reads_anew => group(WHO),
            Stage::Counters if !self.rows.is_empty() => self.counter_groups(),
            Stage::Narrow if self.asks_narrow_late() => group(NARROW),
            Stage::Still if self.rows.is_empty() => Vec::new(),
            Stage::Still if self.reads_anew => group(AGAIN),
            Stage::Still if self.rows.asks_description() => group(STILL_DESCRIBED),
            Stage::Still => group(STILL),
            Stage::Tables => (0..self.has_table.len()).filter(|at| self.has_table[*at]).map(Target::Table).collect(),
            Stage::Probe | Stage::Singles | Stage::Who | Stage::Counters | Stage::Narrow => Vec::new(),
        };
        for target in targets {
            let expected = self.expected(target);
            self.jobs.push(Job::new(target, questions, expected));
        }
        if self.jobs.is_empty() { self.leave(questions) } else { Progress::Go }
    }

    /// Which counters are asked for side by side.
    fn counter_groups(&self) -> Vec<Target> {
        let groups: &[usize] = match self.is_v1() {
            true => &[ROW],
            false if self.reads_anew || self.known.asks_narrow => &[WIDE, FAULTS, CASTS, NARROW],
            false => &[WIDE, FAULTS, CASTS],
        };
        groups.iter().filter(|group| self.has_group[**group]).map(|group| Target::Group(*group)).collect()
    }

    fn asks_narrow_late(&self) -> bool {
        let was_asked = self.is_v1() || self.reads_anew || self.known.asks_narrow;
        !was_asked && self.has_group[NARROW] && self.rows.asks_narrow(&self.known)
    }

    /// What is known of what a job will find. Only counters are asked for up to the last row that is known: whether there
    /// are more, the walk behind them finds out.
    fn expected(&self, target: Target) -> Expected {
        let Some((var_bind_bytes, rows)) = self.place_of(target).map(|place| self.met[place]) else {
            return Expected::default();
        };
        let is_counters = matches!(self.stage, Stage::Counters | Stage::Narrow);
        let last = if is_counters { self.rows.last_index() } else { None };
        let rows = if self.rows.is_empty() || self.stage == Stage::Tables { rows } else { self.rows.len() };
        Expected { rows, last, var_bind_bytes }
    }

    fn place_of(&self, target: Target) -> Option<usize> {
        match target {
            Target::Singles => None,
            Target::Group(group) => Some(group),
            Target::Table(table) => Some(GROUPS.len() + table),
        }
    }

    /// The stage behind one that is done.
    pub(super) fn leave(&mut self, questions: &Questions) -> Progress {
        let next = match self.stage {
            Stage::Probe | Stage::Singles => Stage::Who,
            Stage::Who => Stage::Counters,
            Stage::Counters => Stage::Narrow,
            Stage::Narrow => Stage::Still,
            Stage::Still if self.rows.have_moved() && !(self.reads_anew && self.was_read_again) => {
                self.was_read_again = self.reads_anew;
                self.read_anew();
                Stage::Who
            }
            Stage::Still => {
                self.rows_are_whole = true;
                Stage::Tables
            }
            Stage::Tables => {
                self.end();
                return Progress::Done(Outcome::Polled);
            }
        };
        self.enter(next, questions)
    }

    /// A cycle was answered whole.
    fn end(&mut self) {
        // Only where everything was asked for: what is empty for a while, as an agent starts, is asked for again.
        if std::mem::take(&mut self.discovers) {
            self.has_interfaces = !self.rows.is_empty();
            for (has, rows) in self.has_table.iter_mut().zip(&self.tables) {
                *has = !rows.is_empty();
            }
        }
        if !self.had_timeout {
            self.window = (self.window + 1).min(self.window_max);
        }
    }

    /// A walk is at its end.
    pub(super) fn finish(&mut self, at: usize) {
        let job = &mut self.jobs[at];
        job.is_done = true;
        let (target, has_values, bytes) = (job.target, job.has_values, job.walk.var_bind_bytes());
        if let Target::Table(table) = target {
            self.table_is_whole[table] = true;
        }
        if let Target::Group(group @ (WIDE | FAULTS | CASTS | NARROW)) = target {
            self.has_group[group] &= has_values || !self.reads_anew;
        }
        let Some(place) = self.place_of(target) else { return };
        let rows = match target {
            Target::Table(table) => self.tables[table].len(),
            _ => self.rows.len(),
        };
        self.met[place] = (bytes, rows);
    }
}
