//! Rows of tables and single values that profiles name become samples: gauges as they are, counters with their rates.
//!
//! Not here: interfaces, which have rules of their own (see `interfaces`); walking (see `device`).
//!
//! Invariants: a row is known by its label's text where no other row has it, else by its index, so two rows never give
//! the same series; what the agent calls a counter is one, and its rate is stored only where two readings mean one thing.

use super::interfaces::{Unrated, reading, text};
use super::keys::{Emitted, Series};
use super::profile::{Profiles, Scalar, Table};
use protocols::snmp::counter::{AgentClock, NoRate, Passed, Reading, rate};
use protocols::snmp::{Value, index_numbers};
use std::collections::{BTreeMap, HashMap};

/// Rows of one table that are kept; a device that has more is cut.
pub(super) const ROWS_MAX: usize = 10_000;

/// Powers of ten that ENTITY-SENSOR-MIB's scale stands for: 9 is units, each step a thousand.
const SCALE_UNITS: f64 = 9.0;

/// What an agent answered for one object.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Number(f64),
    Counter(Reading, AgentClock),
    Text(String),
}

type Known = HashMap<(String, usize), (Reading, AgentClock)>;

/// The rows of one table in one cycle, and its counters of the cycle before.
#[derive(Debug, Default)]
pub(super) struct TableRows {
    /// Cells by place, under the encoded index.
    rows: BTreeMap<Vec<u8>, Vec<Option<Cell>>>,
    known: Known,
}

impl TableRows {
    /// Begins a cycle.
    pub(super) fn clear(&mut self) {
        self.rows.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Takes a value of a row; false when there is no room for more rows.
    pub(super) fn take(
        &mut self,
        table: &Table,
        place: usize,
        index: &[u8],
        value: Value<'_>,
        clock: AgentClock,
    ) -> bool {
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(index) {
            return false;
        }
        let is_label = table.label_place == Some(place);
        let cell = match (is_label, reading(value)) {
            (true, _) => Some(Cell::Text(match value {
                Value::OctetString(_) => text(value),
                other => other.number().map(|number| number.to_string()).unwrap_or_default(),
            })),
            (false, Some(Reading::Bits32(_))) if matches!(value, Value::Gauge32(_)) => value.number().map(Cell::Number),
            (false, Some(reading)) => Some(Cell::Counter(reading, clock)),
            (false, None) => value.number().map(Cell::Number),
        };
        let places = table.oids.len();
        // Asked before, so that a row does not need a copy of its index for every value.
        if let Some(row) = self.rows.get_mut(index) {
            row[place] = cell;
        } else {
            let mut row = vec![None; places];
            row[place] = cell;
            self.rows.insert(index.to_vec(), row);
        }
        true
    }

    /// Gives the samples of a cycle and remembers its counters for the next.
    pub(super) fn emit(&mut self, table: &Table, unrated: &mut Unrated, emit: &mut impl FnMut(Emitted<'_>)) {
        let mut now = Known::new();
        let labels = self.labels(table);
        for (row, label) in self.rows.values().zip(labels) {
            let labels = [(table.label.as_str(), label.as_str())];
            for column in &table.columns {
                let mut give = |suffix: &str, value: f64| {
                    emit(Emitted { series: Series::Labelled(&column.name, suffix, &labels), value });
                };
                match &row[column.place] {
                    Some(Cell::Number(number)) => {
                        let number_at = |place: usize| match &row[place] {
                            Some(Cell::Number(number)) => Some(*number),
                            _ => None,
                        };
                        let scale = match column.scale {
                            None => Some(1.0),
                            Some((scale, precision)) => number_at(scale)
                                .zip(number_at(precision))
                                .map(|(scale, precision)| sensor_factor(scale, precision)),
                        };
                        scale.into_iter().for_each(|scale| give("", number * scale * column.factor));
                    }
                    Some(Cell::Counter(reading, clock)) => {
                        give("", reading.value() as f64 * column.factor);
                        let key = (label.clone(), column.place);
                        let before = self.known.get(&key).copied();
                        if let Some(rate) = rate_since(before, (*reading, *clock), unrated) {
                            give(":rate", rate * column.factor);
                        }
                        now.insert(key, (*reading, *clock));
                    }
                    Some(Cell::Text(_)) | None => {}
                }
            }
        }
        self.known = now;
        self.rows.clear();
    }

    /// A label's value for every row that no other row of the table has.
    fn labels(&self, table: &Table) -> Vec<String> {
        let text = |row: &Vec<Option<Cell>>| match table.label_place.and_then(|place| row[place].clone()) {
            Some(Cell::Text(text)) => text,
            _ => String::new(),
        };
        let mut counts: HashMap<String, usize> = HashMap::new();
        self.rows.values().for_each(|row| *counts.entry(text(row)).or_default() += 1);
        let of_index = |index: &[u8]| {
            let numbers: Vec<String> = index_numbers(index).map(|number| number.to_string()).collect();
            format!("index-{}", numbers.join("."))
        };
        let named = |(index, row): (&Vec<u8>, &Vec<Option<Cell>>)| {
            let text = text(row);
            match table.label_place {
                None => of_index(index).trim_start_matches("index-").to_owned(),
                Some(_) if text.is_empty() || counts.get(&text) != Some(&1) || text.starts_with("index-") => {
                    of_index(index)
                }
                Some(_) => text,
            }
        };
        self.rows.iter().map(named).collect()
    }
}

/// What a sensor's number is to be multiplied by (RFC 3433, EntitySensorDataScale and EntitySensorPrecision).
fn sensor_factor(scale: f64, precision: f64) -> f64 {
    10f64.powf(3.0 * (scale - SCALE_UNITS) - precision)
}

/// Single values of a cycle.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    now: Vec<(usize, Cell)>,
    known: HashMap<usize, (Reading, AgentClock)>,
}

impl Scalars {
    /// Begins a cycle.
    pub(super) fn clear(&mut self) {
        self.now.clear();
    }

    /// Takes the value of the scalar at a place.
    pub(super) fn take(&mut self, place: usize, value: Value<'_>, clock: AgentClock) {
        let cell = match (value, reading(value)) {
            (Value::Gauge32(_), _) | (_, None) => value.number().map(Cell::Number),
            (_, Some(reading)) => Some(Cell::Counter(reading, clock)),
        };
        self.now.extend(cell.map(|cell| (place, cell)));
    }

    /// Gives the samples of a cycle and remembers its counters for the next.
    pub(super) fn emit(&mut self, profiles: &Profiles, unrated: &mut Unrated, emit: &mut impl FnMut(Emitted<'_>)) {
        for (place, cell) in self.now.drain(..) {
            let Some(Scalar { name, factor, .. }) = profiles.scalars.get(place) else { continue };
            let mut give =
                |suffix: &str, value: f64| emit(Emitted { series: Series::Labelled(name, suffix, &[]), value });
            match cell {
                Cell::Number(number) => give("", number * factor),
                Cell::Counter(reading, clock) => {
                    give("", reading.value() as f64 * factor);
                    let before = self.known.insert(place, (reading, clock));
                    if let Some(rate) = rate_since(before, (reading, clock), unrated) {
                        give(":rate", rate * factor);
                    }
                }
                Cell::Text(_) => {}
            }
        }
    }
}

/// The rate of a counter no line bounds.
fn rate_since(
    before: Option<(Reading, AgentClock)>,
    (now, clock): (Reading, AgentClock),
    unrated: &mut Unrated,
) -> Option<f64> {
    let (then, then_clock) = before?;
    let seconds = match clock.passed_since(&then_clock) {
        Passed::Seconds(seconds) => seconds,
        Passed::Nothing => return None,
        Passed::Rebooted => {
            unrated.reset += 1;
            return None;
        }
    };
    match rate(then, now, seconds, None) {
        Ok(rate) => Some(rate),
        Err(NoRate::Reset | NoRate::SizeChanged) => {
            unrated.reset += 1;
            None
        }
        Err(NoRate::Ambiguous) => {
            unrated.ambiguous += 1;
            None
        }
        Err(NoRate::Implausible) => {
            unrated.implausible += 1;
            None
        }
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
