//! One thing that a device is asked in a stage of its cycle, in as many requests as it takes.
//!
//! Not here: the order of stages, what becomes of answers (see the module above).
//!
//! Invariant: at most one request of a job is on its way.

use crate::ingest::snmp::questions::Questions;
use protocols::snmp::{Expected, Repetitions, Walk};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// Single values: the device's time alone, or what is to be asked of a cycle.
    Singles,
    /// A group of columns of the interface tables.
    Group(usize),
    /// A table of the profiles.
    Table(usize),
}

/// One thing and how far it has come.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) target: Target,
    pub(super) walk: Walk,
    /// What the request on its way asks for.
    pub(super) asked: Repetitions,
    pub(super) is_on_way: bool,
    pub(super) is_done: bool,
    /// Whether it was sent while there was room for one request only.
    pub(super) was_alone: bool,
    /// Whether an answer had a value of it.
    pub(super) has_values: bool,
    /// Requests in order that went unanswered, that taught who the agent is, and that brought nothing on.
    pub(super) tries: u32,
    pub(super) learned: u32,
    pub(super) stalled: u32,
    pub(super) sent_ms: i64,
}

impl Job {
    /// A job of which nothing was asked yet.
    pub(super) fn new(target: Target, questions: &Questions, expected: Expected) -> Self {
        let mut walk = Walk::default();
        match target {
            Target::Singles => {}
            Target::Group(group) => walk.start_expecting(&questions.groups[group], expected),
            Target::Table(table) => walk.start_expecting(&questions.profiles.tables[table].oids, expected),
        }
        Self {
            target,
            walk,
            asked: Repetitions::default(),
            is_on_way: false,
            is_done: false,
            was_alone: false,
            has_values: false,
            tries: 0,
            learned: 0,
            stalled: 0,
            sent_ms: 0,
        }
    }
}
