//! The rows of a table, several columns side by side: what to ask next, and when each column is at its end.
//!
//! Not here: sending (see `session`), what a column means, rows as a whole (a column may have holes).
//!
//! Invariants: a name is taken only when it lies in its column and behind the last one taken there, so a walk ends after
//! finitely many rows whatever an agent answers; every column goes on from its own last row, so an answer that is cut
//! short anywhere loses nothing.

use super::oid::{Oid, OidRef};
use super::pdu::{Pdu, PduBuilder, PduKind, VarBind};
use super::value::Value;

/// What of an answer should fit into one datagram without fragments, beside the message's own fields.
const ANSWER_BYTES: usize = 1300;

/// Bytes of a typical variable binding: an interface counter has about 22.
const VAR_BIND_BYTES: usize = 22;

/// Rows asked for at most; more gains nothing once a datagram is full.
const REPETITIONS_MAX: usize = 50;

/// Answers in order after which more is tried again.
const GOOD_ANSWERS: u32 = 200;

/// Columns asked for side by side at most, whatever a caller has.
const COLUMNS_MAX: usize = 64;

/// How much an agent can be asked for at once: learned, kept for as long as the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetitions {
    limit: usize,
    columns: usize,
    has_bulk: bool,
    good: u32,
}

impl Default for Repetitions {
    fn default() -> Self {
        Self { limit: 25, columns: COLUMNS_MAX, has_bulk: true, good: 0 }
    }
}

impl Repetitions {
    /// Rows to ask for with so many columns.
    pub fn of(&self, columns: usize) -> usize {
        (ANSWER_BYTES / (VAR_BIND_BYTES * columns.max(1))).clamp(1, self.limit)
    }

    /// Columns to ask for side by side at most.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The answer would have been too big, did not come, or was cut short of its first row: fewer rows, then fewer
    /// columns, and last of all no GetBulk.
    pub fn failed(&mut self) {
        self.good = 0;
        if self.limit > 1 {
            self.limit /= 2;
        } else if self.columns > 1 {
            self.columns /= 2;
        } else {
            self.has_bulk = false;
        }
    }

    /// An answer came as it should; after many of them more is tried, in the other order.
    pub fn succeeded(&mut self) {
        self.good += 1;
        if self.good < GOOD_ANSWERS {
            return;
        }
        self.good = 0;
        if !self.has_bulk {
            self.has_bulk = true;
        } else if self.columns < COLUMNS_MAX {
            self.columns *= 2;
        } else {
            self.limit = (self.limit + self.limit.div_ceil(4)).min(REPETITIONS_MAX);
        }
    }
}

/// What one answer gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// Values handed on.
    pub values: usize,
    /// Columns that ended because a name did not rise: the agent is at fault.
    pub not_increasing: usize,
}

#[derive(Debug, Clone)]
struct Column {
    prefix: Oid,
    /// The last name taken, or the column's own.
    last: Vec<u8>,
    is_done: bool,
}

/// A walk through some columns of one table.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    columns: Vec<Column>,
}

impl Walk {
    /// Starts anew with these columns.
    pub fn start<'a>(&mut self, columns: impl IntoIterator<Item = &'a Oid>) {
        self.columns.clear();
        self.columns.extend(columns.into_iter().map(|prefix| Column {
            prefix: prefix.clone(),
            last: prefix.as_ref().as_bytes().to_vec(),
            is_done: false,
        }));
    }

    /// Whether every column is at its end.
    pub fn is_done(&self) -> bool {
        self.columns.iter().all(|column| column.is_done)
    }

    /// Ends the column that stands at this place among those still open: version 1 says so by an error.
    pub fn end_column(&mut self, place: usize) {
        if let Some(column) = self.columns.iter_mut().filter(|column| !column.is_done).nth(place) {
            column.is_done = true;
        }
    }

    /// Ends it where it is.
    pub fn stop(&mut self) {
        self.columns.iter_mut().for_each(|column| column.is_done = true);
    }

    /// The names to ask what follows them, in the order in which an answer has them: first those of `leads`, each asked
    /// once beside every piece of the table (a clock, so that a row is known with its time), then as many columns as the
    /// agent can be asked for.
    pub fn names<'a>(&'a self, leads: &'a [Oid], repetitions: Repetitions) -> Vec<VarBind<'a>> {
        let open = self.columns.iter().filter(|column| !column.is_done).take(repetitions.columns);
        let open = open.map(|column| OidRef::trusted(&column.last));
        leads.iter().map(Oid::as_ref).chain(open).map(|name| VarBind { name, value: Value::Null }).collect()
    }

    /// The next request; without GetBulk (version 1, or an agent that cannot) one row at a time.
    pub fn request<'a>(
        names: &'a [VarBind<'a>],
        leads: usize,
        repetitions: Repetitions,
        has_bulk: bool,
    ) -> PduBuilder<'a> {
        if has_bulk && repetitions.has_bulk {
            PduBuilder::bulk(0, leads as i32, repetitions.of(names.len() - leads) as i32, names)
        } else {
            PduBuilder::request(PduKind::GetNext, 0, names)
        }
    }

    /// Takes an answer to the last request, which was made with these repetitions. One without any variable changes
    /// nothing; it is for the caller to ask for less, or to stop. The first `leads` variables are the caller's own. Calls
    /// `emit` with a column's place among those started with, the row's index as it is encoded, and the value.
    pub fn take<'p>(
        &mut self,
        answer: &Pdu<'p>,
        leads: usize,
        repetitions: Repetitions,
        mut emit: impl FnMut(usize, &'p [u8], Value<'p>),
    ) -> Taken {
        let open = (0..self.columns.len()).filter(|at| !self.columns[*at].is_done).take(repetitions.columns);
        let open: Vec<usize> = open.collect();
        let mut taken = Taken::default();
        if open.is_empty() {
            return taken;
        }
        for (place, var_bind) in answer.var_binds().skip(leads).enumerate() {
            let at = open[place % open.len()];
            let column = &mut self.columns[at];
            if column.is_done {
                continue;
            }
            let Some(index) = var_bind.name.index_under(column.prefix.as_ref()).filter(|_| !var_bind.value.is_absent())
            else {
                column.is_done = true;
                continue;
            };
            if var_bind.name <= OidRef::trusted(&column.last) {
                column.is_done = true;
                taken.not_increasing += 1;
                continue;
            }
            column.last.clear();
            column.last.extend_from_slice(var_bind.name.as_bytes());
            taken.values += 1;
            emit(at, index, var_bind.value);
        }
        taken
    }
}
