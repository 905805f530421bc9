//! Rows of the interface tables become samples: counters, their rates, status, speed and who the interface is.
//!
//! Not here: walking (see `device`), what two readings mean (see `protocols::snmp::counter`).
//!
//! Invariants: an interface is known by its name where that is its own on the device, so a changed ifIndex is the same
//! series and a changed name another; two rows never give the same series; a rate that could be wrong is not stored but
//! counted with its reason; a row whose name or discontinuity time changed while its counters were read gives nothing.

use super::interface_table::{COUNTERS, Field};
use super::keys::{Emitted, Series, tail, whole};
use protocols::snmp::counter::{AgentClock, NoRate, Passed, Reading, rate};
use protocols::snmp::{Value, index_numbers};
use std::collections::HashMap;
use storage::series::{KeyBuilder, hash};

/// An Ethernet frame's least size; packets are bounded by as many of them as the line's octets make.
const PACKET_OCTETS_MIN: f64 = 64.0;

/// ifSpeed of a line it cannot express.
const SPEED_UNKNOWN: u32 = u32::MAX;

/// Interfaces of a device that are kept; one that has more is cut.
pub(super) const ROWS_MAX: usize = 10_000;

/// Longer descriptions are cut; a series key holds 4096 bytes in all.
const TEXT_BYTES_MAX: usize = 255;

/// Series of an interface beside its counters and their rates, behind them in order.
const ADMIN_STATUS: usize = 2 * COUNTERS.len();
const OPER_STATUS: usize = ADMIN_STATUS + 1;
const SPEED: usize = ADMIN_STATUS + 2;
const IN_UTILIZATION: usize = ADMIN_STATUS + 3;
const OUT_UTILIZATION: usize = ADMIN_STATUS + 4;
const OTHERS: [&str; 5] = [
    "ifAdminStatus",
    "ifOperStatus",
    "interface_speed_bits_per_second",
    "interface_in_utilization_ratio",
    "interface_out_utilization_ratio",
];

/// Names of all series of an interface but its information, in order of their places.
pub(super) fn names() -> impl Iterator<Item = String> {
    let raw = COUNTERS.iter().map(|counter| counter.name.to_owned());
    let rates = COUNTERS.iter().map(|counter| format!("{}:rate", counter.name));
    raw.chain(rates).chain(OTHERS.map(str::to_owned))
}

/// What of a row was read a second time, behind its counters.
const NAME_SEEN: u8 = 1;
const DESCRIPTION_SEEN: u8 = 2;
const DISCONTINUITY_SEEN: u8 = 4;

/// A row as it was read in one cycle.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    index: u32,
    name: String,
    description: String,
    alias: String,
    kind: Option<f64>,
    speed: u32,
    high_speed: u32,
    admin_status: Option<f64>,
    oper_status: Option<f64>,
    discontinuity: Option<u32>,
    counters: [Option<(Reading, AgentClock)>; COUNTERS.len()],
    seen_again: u8,
    differs: bool,
}

/// The rows of one cycle, in order of their index.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    /// Where the last value went: the next is of the same row most often, or of the one behind.
    last: usize,
}

/// What an interface was at the cycle before.
#[derive(Debug, Clone)]
struct Known {
    discontinuity: Option<u32>,
    counters: [Option<(Reading, AgentClock)>; COUNTERS.len()],
    cycle: u64,
    /// Of its keys, behind the names.
    tail: Box<[u8]>,
    /// The key of its information series, and what that was made from.
    info: Box<[u8]>,
    info_hash: u64,
}

/// Interfaces by their identity.
#[derive(Debug, Default)]
pub(super) struct KnownInterfaces {
    known: HashMap<String, Known>,
    cycle: u64,
}

/// Rates that were not stored, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Unrated {
    pub(super) reset: u64,
    pub(super) ambiguous: u64,
    pub(super) implausible: u64,
    /// Interfaces that changed hands while they were read.
    pub(super) moved: u64,
}

impl Rows {
    pub(super) fn clear(&mut self) {
        // The memory of a large device is not kept between its cycles.
        *self = Self::default();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether some row is not what it was when its counters were read.
    pub(super) fn have_moved(&self) -> bool {
        self.rows.iter().any(|row| !row.is_believed())
    }

    fn place(&mut self, index: u32) -> Option<usize> {
        let at = |rows: &[Row], place: usize| rows.get(place).is_some_and(|row| row.index == index);
        for place in [self.last, self.last + 1, 0] {
            if at(&self.rows, place) {
                return Some(place);
            }
        }
        match self.rows.binary_search_by_key(&index, |row| row.index) {
            Ok(place) => Some(place),
            Err(_) if self.rows.len() >= ROWS_MAX => None,
            Err(place) => {
                self.rows.insert(place, Row { index, ..Row::default() });
                Some(place)
            }
        }
    }

    /// Takes a value of the row whose encoded index this is; a row of several numbers is none of these tables'. False
    /// when there is no room for more rows.
    pub(super) fn take(&mut self, field: Field, index: &[u8], value: Value<'_>, clock: AgentClock) -> bool {
        let mut numbers = index_numbers(index);
        let (Some(index), None) = (numbers.next(), numbers.next()) else { return true };
        let Some(place) = self.place(index) else { return false };
        self.last = place;
        let row = &mut self.rows[place];
        let count = || value.count().and_then(|count| u32::try_from(count).ok());
        match field {
            Field::Description => row.description = text(value),
            Field::Name => row.name = text(value),
            Field::Alias => row.alias = text(value),
            Field::Type => row.kind = value.number(),
            Field::Speed => row.speed = count().unwrap_or(0),
            Field::HighSpeed => row.high_speed = count().unwrap_or(0),
            Field::AdminStatus => row.admin_status = value.number(),
            Field::OperStatus => row.oper_status = value.number(),
            Field::Discontinuity => row.discontinuity = count(),
            Field::Counter(counter) => row.counters[counter] = reading(value).map(|reading| (reading, clock)),
            Field::NameAgain => row.again(NAME_SEEN, text(value) == row.name),
            Field::DescriptionAgain => row.again(DESCRIPTION_SEEN, text(value) == row.description),
            Field::DiscontinuityAgain => row.again(DISCONTINUITY_SEEN, count() == row.discontinuity),
        }
        true
    }

    /// Gives the samples of a whole cycle of a device and remembers its interfaces for the next.
    pub(super) fn emit(
        &self,
        device: &str,
        known: &mut KnownInterfaces,
        unrated: &mut Unrated,
        mut emit: impl FnMut(Emitted<'_>),
    ) {
        known.cycle += 1;
        let cycle = known.cycle;
        let mut builder = KeyBuilder::default();
        let mut moved = 0;
        for (row, identity) in self.rows.iter().zip(identities(&self.rows)) {
            if !row.is_believed() {
                moved += 1;
                continue;
            }
            let interface = known.known.entry(identity);
            let labels = [("device", device), ("interface", interface.key().as_str())];
            let info_hash = row.info_hash();
            let make = |builder: &mut KeyBuilder| (tail(builder, &labels), row.info(builder, &labels), info_hash);
            let made = match &interface {
                std::collections::hash_map::Entry::Occupied(old) if old.get().info_hash == info_hash => None,
                _ => Some(make(&mut builder)),
            };
            let interface = interface.or_insert_with(|| Known {
                discontinuity: row.discontinuity,
                counters: [None; COUNTERS.len()],
                cycle,
                tail: Box::default(),
                info: Box::default(),
                info_hash,
            });
            if let Some((tail, info, info_hash)) = made {
                (interface.tail, interface.info, interface.info_hash) = (tail, info, info_hash);
            }
            row.emit(interface, unrated, &mut emit);
            (interface.discontinuity, interface.counters, interface.cycle) = (row.discontinuity, row.counters, cycle);
        }
        unrated.moved += moved;
        // One that was not read whole may be any of those that are missing; they are remembered for one cycle more.
        let patience = if moved > 0 { 1 } else { 0 };
        known.known.retain(|_, known| cycle - known.cycle <= patience);
    }
}

impl Row {
    fn again(&mut self, seen: u8, is_same: bool) {
        self.seen_again |= seen;
        self.differs |= !is_same;
    }

    /// Whether it was the same interface, counting from the same beginning, before and after its counters were read.
    fn is_believed(&self) -> bool {
        let again = |is_known: bool, seen: u8| !is_known || self.seen_again & seen != 0;
        !self.differs
            && again(!self.name.is_empty(), NAME_SEEN)
            && again(!self.description.is_empty(), DESCRIPTION_SEEN)
            && again(self.discontinuity.is_some(), DISCONTINUITY_SEEN)
    }

    /// Bits a second the line carries at most, if the device says.
    fn bits_per_second(&self) -> Option<f64> {
        match (self.high_speed, self.speed) {
            (0, 0 | SPEED_UNKNOWN) => None,
            (0, speed) => Some(f64::from(speed)),
            // In units of a million: a slower line, or one that was rounded down, is said better by ifSpeed.
            (high, speed) if speed != SPEED_UNKNOWN && f64::from(speed) > f64::from(high) * 1e6 => {
                Some(f64::from(speed))
            }
            (high, _) => Some(f64::from(high) * 1e6),
        }
    }

    fn limit(&self, octets: bool) -> Option<f64> {
        let per_second = self.bits_per_second()? / 8.0;
        Some(if octets { per_second } else { per_second / PACKET_OCTETS_MIN })
    }

    fn emit(&self, before: &Known, unrated: &mut Unrated, emit: &mut impl FnMut(Emitted<'_>)) {
        let mut line = |place, value| emit(Emitted { series: Series::Line(place, &before.tail), value });
        let gauges = [(ADMIN_STATUS, self.admin_status), (OPER_STATUS, self.oper_status)];
        for (place, value) in gauges.into_iter().filter_map(|(place, value)| Some((place, value?))) {
            line(place, value);
        }
        let bits_per_second = self.bits_per_second();
        if let Some(bits) = bits_per_second {
            line(SPEED, bits);
        }
        let same_count = before.discontinuity == self.discontinuity;
        for (at, counter) in COUNTERS.iter().enumerate() {
            let Some((now, clock)) = self.counters[at].filter(|_| self.is_chosen(at, before)) else { continue };
            line(at, now.value() as f64);
            let Some((then, then_clock)) = before.counters[at] else { continue };
            let passed = clock.passed_since(&then_clock);
            let seconds = match passed {
                Passed::Seconds(seconds) if same_count => seconds,
                Passed::Nothing => continue,
                Passed::Rebooted | Passed::Seconds(_) => {
                    unrated.reset += 1;
                    continue;
                }
            };
            match rate(then, now, seconds, self.limit(counter.octets)) {
                Ok(rate) => {
                    line(COUNTERS.len() + at, rate);
                    let place = match counter.name {
                        "ifHCInOctets" | "ifInOctets" => Some(IN_UTILIZATION),
                        "ifHCOutOctets" | "ifOutOctets" => Some(OUT_UTILIZATION),
                        _ => None,
                    };
                    if let Some((place, bits)) = place.zip(bits_per_second) {
                        line(place, rate * 8.0 / bits);
                    }
                }
                Err(NoRate::Reset | NoRate::SizeChanged) => unrated.reset += 1,
                Err(NoRate::Ambiguous) => unrated.ambiguous += 1,
                Err(NoRate::Implausible) => unrated.implausible += 1,
            }
        }
        emit(Emitted { series: Series::Key(&before.info), value: 1.0 });
    }

    /// Whether a counter is the one to take: of two sizes the wide one, unless it stands still while the narrow one
    /// counts, as some devices have it.
    fn is_chosen(&self, at: usize, before: &Known) -> bool {
        let value = |at: usize| self.counters[at].map(|(reading, _)| reading.value());
        let value_before = |at: usize| before.counters[at].map(|(reading, _)| reading.value());
        let wide_is_dead = |wide: usize, narrow: usize| {
            let stands_still = value_before(wide).is_some() && value(wide) == value_before(wide);
            let counts = value_before(narrow).is_some() && value(narrow) != value_before(narrow);
            value(wide) == Some(0) && value(narrow).is_some_and(|narrow| narrow > 0) || stands_still && counts
        };
        match (COUNTERS[at].wide, COUNTERS[at].narrow) {
            (Some(wide), _) => value(wide).is_none() || wide_is_dead(wide, at),
            (None, Some(narrow)) => !wide_is_dead(at, narrow),
            (None, None) => true,
        }
    }

    /// Of all that stands on the information series.
    fn info_hash(&self) -> u64 {
        let parts = [self.description.as_str(), &self.name, &self.alias];
        let kind = self.kind.unwrap_or(-1.0).to_bits() ^ u64::from(self.index) << 32;
        parts.iter().fold(kind, |mixed, part| mixed.rotate_left(17) ^ hash(part.as_bytes()))
    }

    fn info(&self, builder: &mut KeyBuilder, labels: &[(&str, &str); 2]) -> Box<[u8]> {
        let index = self.index.to_string();
        let kind = self.kind.map(|kind| kind.to_string()).unwrap_or_default();
        let labels = [
            labels[0],
            labels[1],
            ("ifIndex", index.as_str()),
            ("ifDescr", self.description.as_str()),
            ("ifName", self.name.as_str()),
            ("ifAlias", self.alias.as_str()),
            ("ifType", kind.as_str()),
        ];
        whole(builder, "snmp_interface_info", &labels)
    }
}

/// A name for each row that no other row of the device has: ifName, else ifDescr, else the index.
fn identities(rows: &[Row]) -> Vec<String> {
    let count = |of: fn(&Row) -> &str| {
        let mut counts: HashMap<&str, usize> = HashMap::new();
        rows.iter().for_each(|row| *counts.entry(of(row)).or_default() += 1);
        counts
    };
    let (names, descriptions) = (count(|row| &row.name), count(|row| &row.description));
    let is_own = |counts: &HashMap<&str, usize>, text: &str| !text.is_empty() && counts.get(text) == Some(&1);
    let mut taken: HashMap<String, usize> = HashMap::new();
    rows.iter()
        .map(|row| {
            let chosen = if is_own(&names, &row.name) {
                row.name.clone()
            } else if is_own(&descriptions, &row.description) && !names.contains_key(row.description.as_str()) {
                row.description.clone()
            } else {
                format!("ifIndex-{}", row.index)
            };
            let times = taken.entry(chosen.clone()).or_default();
            *times += 1;
            if *times == 1 { chosen } else { format!("ifIndex-{}", row.index) }
        })
        .collect()
}

/// The counter that a value is.
pub(super) fn reading(value: Value<'_>) -> Option<Reading> {
    match value {
        Value::Counter64(value) => Some(Reading::Bits64(value)),
        Value::Counter32(value) | Value::Gauge32(value) => Some(Reading::Bits32(value)),
        _ => None,
    }
}

/// Text of an agent as a label: valid UTF-8 without control characters, as long as labels should be.
pub(super) fn text(value: Value<'_>) -> String {
    let Value::OctetString(bytes) = value else { return String::new() };
    let bytes = &bytes[..bytes.len().min(TEXT_BYTES_MAX)];
    String::from_utf8_lossy(bytes).chars().filter(|char| !char.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
#[path = "interfaces_tests.rs"]
mod tests;
