//! The rows of a table, several columns side by side: what to ask next, and when each column is at its end.
//!
//! Not here: sending (see `session`), what a column means, rows as a whole (a column may have holes).
//!
//! Invariants: a name is taken only when it lies in its column and behind the last one taken there, so a walk ends after
//! finitely many rows whatever an agent answers; every column goes on from its own last row, so an answer that is cut
//! short anywhere loses nothing.

use super::oid::{Oid, OidRef, order};
use super::pdu::{Pdu, PduBuilder, PduKind, VarBind};
use super::value::Value;

/// What of an answer should fit into one datagram without fragments, beside the message's own fields: those are 30 bytes
/// in version 2c and 120 in version 3, and Ethernet carries 1472.
const ANSWER_BYTES: usize = 1340;

/// Bytes of a variable binding of a table that was not walked before: an interface counter has about 22.
const VAR_BIND_BYTES: usize = 22;

/// What is known of a table's bindings is forgotten so slowly: by this part with every shorter answer.
const FORGET_SHARE: usize = 16;

/// Rows asked for at most; more gains nothing once a datagram is full.
const REPETITIONS_MAX: usize = 50;

/// Answers in order after which more is tried again.
const GOOD_ANSWERS: u32 = 200;

/// Silences in order that are no chance any more where as much was answered before; and answers in order after which they
/// were one. A network that loses one datagram in forty would else end at one variable a request.
const SILENCES: u32 = 2;
const GOOD_AFTER_SILENCE: u32 = 20;

/// Columns asked for side by side at most, whatever a caller has.
const COLUMNS_MAX: usize = 64;

/// How much an agent can be asked for at once: learned, kept for as long as the agent is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repetitions {
    limit: usize,
    columns: usize,
    has_bulk: bool,
    good: u32,
    /// Whether as much as this was answered, and how often it was not since then.
    is_proven: bool,
    silences: u32,
    /// Rows, columns and GetBulk of what was answered before silences made it less.
    proven: Option<(usize, usize, bool)>,
}

impl Default for Repetitions {
    fn default() -> Self {
        let (limit, columns, has_bulk) = (25, COLUMNS_MAX, true);
        Self { limit, columns, has_bulk, good: 0, is_proven: false, silences: 0, proven: None }
    }
}

impl Repetitions {
    /// Rows to ask for with so many columns, whose bindings take so many bytes each.
    pub fn of(&self, columns: usize, var_bind_bytes: usize) -> usize {
        (ANSWER_BYTES / (var_bind_bytes * columns).max(1)).clamp(1, self.limit)
    }

    /// Columns to ask for side by side at most.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// No answer came. Where as much was answered before, that may be chance.
    pub fn unanswered(&mut self) {
        self.silences += 1;
        if self.is_proven && self.silences < SILENCES {
            return;
        }
        let proven = if self.is_proven { Some((self.limit, self.columns, self.has_bulk)) } else { self.proven };
        self.failed();
        self.proven = proven;
    }

    /// The answer would have been too big, or was cut short of its first row: fewer rows, then fewer columns, and last of
    /// all no GetBulk.
    pub fn failed(&mut self) {
        (self.good, self.is_proven, self.proven) = (0, false, None);
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
        (self.good, self.is_proven, self.silences) = (self.good + 1, true, 0);
        if self.good >= GOOD_AFTER_SILENCE
            && let Some(proven) = self.proven.take()
        {
            self.good = 0;
            (self.limit, self.columns, self.has_bulk) = proven;
        }
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
    rows: usize,
    is_done: bool,
}

/// What a walk before this one found, so that this one asks for what there is and no more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Rows of the table; 0 when that is not known.
    pub rows: usize,
    /// The encoded index at which every column is to end, so that nobody has to be asked what follows; none to go on to
    /// the true end.
    pub last: Option<Vec<u8>>,
    /// Bytes of a variable binding, as [`Walk::var_bind_bytes`] said; 0 when that is not known.
    pub var_bind_bytes: usize,
}

/// A walk through some columns of one table.
#[derive(Debug, Clone, Default)]
pub struct Walk {
    columns: Vec<Column>,
    expected: Expected,
}

impl Walk {
    /// Starts anew with these columns, of which nothing is expected.
    pub fn start<'a>(&mut self, columns: impl IntoIterator<Item = &'a Oid>) {
        self.start_expecting(columns, Expected::default());
    }

    /// Starts anew with these columns, of which something is known.
    pub fn start_expecting<'a>(&mut self, columns: impl IntoIterator<Item = &'a Oid>, expected: Expected) {
        self.expected = expected;
        self.columns.clear();
        self.columns.extend(columns.into_iter().map(|prefix| Column {
            prefix: prefix.clone(),
            last: prefix.as_ref().as_bytes().to_vec(),
            rows: 0,
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

    /// Bytes that a variable binding of this table takes, by what was answered.
    pub fn var_bind_bytes(&self) -> usize {
        self.expected.var_bind_bytes
    }

    /// The next request, with the names that [`Self::names`] gave; without GetBulk (version 1, or an agent that cannot)
    /// one row at a time.
    pub fn request<'a>(
        &self,
        names: &'a [VarBind<'a>],
        leads: usize,
        repetitions: Repetitions,
        has_bulk: bool,
    ) -> PduBuilder<'a> {
        if has_bulk && repetitions.has_bulk {
            PduBuilder::bulk(0, leads as i32, self.rows_to_ask(names.len() - leads, repetitions) as i32, names)
        } else {
            PduBuilder::request(PduKind::GetNext, 0, names)
        }
    }

    /// As many as fit, and not more than there are; one more shows that there are none, unless nobody wants to know.
    fn rows_to_ask(&self, columns: usize, repetitions: Repetitions) -> usize {
        let bytes = if self.expected.var_bind_bytes == 0 { VAR_BIND_BYTES } else { self.expected.var_bind_bytes };
        let fit = repetitions.of(columns, bytes);
        let open = self.columns.iter().filter(|column| !column.is_done).take(repetitions.columns);
        let taken = open.map(|column| column.rows).min().unwrap_or(0);
        match self.expected.rows.saturating_sub(taken) {
            0 => fit,
            left => fit.min(left + usize::from(self.expected.last.is_none())),
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
        let (mut turn, mut count) = (0, leads);
        for var_bind in answer.var_binds().skip(leads) {
            let at = open[turn];
            turn = if turn + 1 == open.len() { 0 } else { turn + 1 };
            count += 1;
            let column = &mut self.columns[at];
            if column.is_done {
                continue;
            }
            let Some(index) = var_bind.name.index_under(column.prefix.as_ref()).filter(|_| !var_bind.value.is_absent())
            else {
                column.is_done = true;
                continue;
            };
            // Both begin with the column's own name, so their indexes have the order that they have.
            let prefix_len = column.prefix.as_ref().as_bytes().len();
            if order(index, &column.last[prefix_len..]).is_le() {
                column.is_done = true;
                taken.not_increasing += 1;
                continue;
            }
            column.last.truncate(prefix_len);
            column.last.extend_from_slice(index);
            column.rows += 1;
            column.is_done = self.expected.last.as_ref().is_some_and(|last| order(index, last).is_ge());
            taken.values += 1;
            emit(at, index, var_bind.value);
        }
        if taken.values > 0 {
            let bytes = answer.var_binds_bytes().div_ceil(count);
            let before = self.expected.var_bind_bytes;
            self.expected.var_bind_bytes = bytes.max(before - before.div_ceil(FORGET_SHARE));
        }
        taken
    }
}
