//! Rows of the interface tables become samples: counters, their rates, status, speed and who the interface is.
//!
//! Not here: walking (see `device`), what two readings mean (see `protocols::snmp::counter`), who an interface was at the
//! cycle before (see `known_interfaces`).
//!
//! Invariants: a rate that could be wrong is not stored but counted with its reason; a row whose name or discontinuity time
//! changed while its counters were read gives nothing, and is read anew.

use super::interface_table::{COUNTERS, Field};
use super::keys::{Emitted, Met, Series, whole};
use super::known_interfaces::{Known, KnownInterfaces};
use protocols::snmp::counter::{AgentClock, NoRate, Passed, Reading, rate};
use protocols::snmp::{Oid, Value, index_numbers};
use std::sync::Arc;
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
const LAST_CHANGE: usize = ADMIN_STATUS + 2;
const SPEED: usize = ADMIN_STATUS + 3;
const IN_UTILIZATION: usize = ADMIN_STATUS + 4;
const OUT_UTILIZATION: usize = ADMIN_STATUS + 5;
/// Behind all names: the information series.
pub(super) const INFO: usize = ADMIN_STATUS + OTHERS.len();
const OTHERS: [&str; 6] = [
    "ifAdminStatus",
    "ifOperStatus",
    "ifLastChange",
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

/// ifOperStatus of a line over which nothing goes: down, notPresent, lowerLayerDown.
const DOWN: [f64; 3] = [2.0, 6.0, 7.0];

/// A counter as it was read, and which of its cycle's clocks was read with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) value: u64,
    pub(super) clock: u16,
    pub(super) is_wide: bool,
}

impl Count {
    fn reading(self) -> Reading {
        // A narrow one was made of 32 bits.
        if self.is_wide { Reading::Bits64(self.value) } else { Reading::Bits32(self.value as u32) }
    }
}

pub(super) type Counts = [Option<Count>; COUNTERS.len()];

/// A row as it was read last.
#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) description: String,
    alias: String,
    kind: Option<f64>,
    speed: u32,
    high_speed: u32,
    admin_status: Option<f64>,
    oper_status: Option<f64>,
    /// Seconds of sysUpTime.
    last_change: Option<f64>,
    was_down: bool,
    pub(super) discontinuity: Option<u32>,
    pub(super) counters: Counts,
    seen_again: u8,
    differs: bool,
    /// Its place among known interfaces; none before it was given out once, or when it was not believed.
    pub(super) known: Option<u32>,
}

/// The rows of a device in order of their index: read anew, or kept from the cycle before with their counters read again.
#[derive(Debug, Default)]
pub(super) struct Rows {
    rows: Vec<Row>,
    clocks: Vec<AgentClock>,
    /// Where the last value went: the next is of the same row most often, or of the one behind.
    last: usize,
    is_kept: bool,
    asks_description: bool,
    /// Whether some interface is not known by its name.
    has_unnamed: bool,
    /// A row came up that was not there.
    has_strangers: bool,
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
    /// Everything is read anew.
    pub(super) fn clear(&mut self) {
        *self = Self { asks_description: true, ..Self::default() };
    }

    /// Who the interfaces are is kept; their counters and states are read again.
    pub(super) fn keep(&mut self) {
        self.clocks.clear();
        (self.is_kept, self.has_strangers, self.last) = (true, false, 0);
        for row in &mut self.rows {
            row.was_down = row.oper_status.is_some_and(|status| DOWN.contains(&status));
            (row.admin_status, row.oper_status, row.last_change) = (None, None, None);
            (row.counters, row.seen_again, row.differs) = ([None; COUNTERS.len()], 0, false);
        }
        self.asks_description = self.has_unnamed || self.rows.iter().any(Row::is_slow);
    }

    /// Whether interfaces are asked for their descriptions again, and their speeds: where names do not tell them apart.
    pub(super) fn asks_description(&self) -> bool {
        self.asks_description
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The index of the last row, encoded.
    pub(super) fn last_index(&self) -> Option<Vec<u8>> {
        let oid = Oid::new(&[1, 3, self.rows.last()?.index]).ok()?;
        Some(oid.as_ref().as_bytes()[1..].to_vec())
    }

    /// Whether some row is not what it was when its counters were read.
    pub(super) fn have_moved(&self) -> bool {
        self.has_strangers || self.rows.iter().any(|row| !self.is_believed(row))
    }

    /// Whether a 64-bit counter stands still, so that only the other says whether it counts. A line that is down has
    /// nothing to count.
    pub(super) fn asks_narrow(&self, known: &KnownInterfaces) -> bool {
        let wide = || (0..COUNTERS.len()).filter_map(|at| COUNTERS[at].narrow.map(|narrow| (at, narrow)));
        let stands_still = |row: &Row| {
            let Some(before) = row.known.and_then(|at| known.at(at)) else { return false };
            let same = |at: usize| row.counters[at].is_some_and(|now| Some(now.value) == before.value(at));
            wide().any(|(at, narrow)| row.counters[narrow].is_none() && same(at))
        };
        self.rows.iter().any(|row| !row.was_down && stands_still(row))
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
            Err(_) if self.is_kept || self.rows.len() >= ROWS_MAX => None,
            Err(place) => {
                self.rows.insert(place, Row { index, ..Row::default() });
                Some(place)
            }
        }
    }

    /// The number of a clock; values of one answer have the same.
    fn clock(&mut self, clock: AgentClock) -> Option<u16> {
        if self.clocks.last() != Some(&clock) {
            self.clocks.push(clock);
        }
        u16::try_from(self.clocks.len() - 1).ok()
    }

    /// Takes a value of the row whose encoded index this is; a row of several numbers is none of these tables'. False
    /// when there is no room for more rows.
    pub(super) fn take(&mut self, field: Field, index: &[u8], value: Value<'_>, clock: AgentClock) -> bool {
        let mut numbers = index_numbers(index);
        let (Some(index), None) = (numbers.next(), numbers.next()) else { return true };
        let Some(place) = self.place(index) else {
            self.has_strangers |= self.is_kept;
            return self.is_kept;
        };
        self.last = place;
        if let Field::Counter(counter) = field {
            let Some(clock) = self.clock(clock) else { return false };
            let count = |reading: Reading| {
                let is_wide = matches!(reading, Reading::Bits64(_));
                Count { value: reading.value(), clock, is_wide }
            };
            self.rows[place].counters[counter] = reading(value).map(count);
            return true;
        }
        let row = &mut self.rows[place];
        let count = || value.count().and_then(|count| u32::try_from(count).ok());
        match field {
            Field::Counter(_) => {}
            Field::Description => row.description = text(value),
            Field::Name => row.name = text(value),
            Field::Alias => row.alias = text(value),
            Field::Type => row.kind = value.number(),
            Field::Speed => row.speed = count().unwrap_or(0),
            Field::HighSpeed => row.high_speed = count().unwrap_or(0),
            Field::AdminStatus => row.admin_status = value.number(),
            Field::OperStatus => row.oper_status = value.number(),
            Field::LastChange => row.last_change = value.number().map(|ticks| ticks / 100.0),
            Field::Discontinuity => row.discontinuity = count(),
            Field::NameAgain => row.again(NAME_SEEN, is_text(value, &row.name)),
            Field::DescriptionAgain => row.again(DESCRIPTION_SEEN, is_text(value, &row.description)),
            Field::DiscontinuityAgain => row.again(DISCONTINUITY_SEEN, count() == row.discontinuity),
        }
        true
    }

    /// Whether it was the same interface, counting from the same beginning, before and after its counters were read.
    fn is_believed(&self, row: &Row) -> bool {
        let again = |is_known: bool, seen: u8| !is_known || row.seen_again & seen != 0;
        !row.differs
            && again(!row.name.is_empty(), NAME_SEEN)
            && again(self.asks_description && !row.description.is_empty(), DESCRIPTION_SEEN)
            && again(row.discontinuity.is_some(), DISCONTINUITY_SEEN)
    }

    /// Gives the samples of a whole cycle of a device and remembers its interfaces for the next.
    pub(super) fn emit(
        &mut self,
        device: &str,
        known: &mut KnownInterfaces,
        unrated: &mut Unrated,
        mut emit: impl FnMut(Emitted<'_>),
    ) {
        if !self.is_kept {
            let believed: Vec<bool> = self.rows.iter().map(|row| self.is_believed(row)).collect();
            unrated.moved += believed.iter().filter(|believed| !**believed).count() as u64;
            known.read_anew(&mut self.rows, &believed, device);
            let is_unnamed =
                |row: &Row| row.known.and_then(|at| known.at(at)).is_some_and(|known| !known.is_named(row));
            self.has_unnamed = self.rows.iter().any(is_unnamed);
        }
        let clocks: Arc<[AgentClock]> = self.clocks.as_slice().into();
        known.asks_narrow = false;
        for row in &self.rows {
            let Some((at, before)) = row.known.and_then(|at| Some((at, known.at(at)?))) else { continue };
            let asks_narrow = row.emit(&clocks, (at, before), unrated, &mut emit);
            known.asks_narrow |= asks_narrow;
            known.remember(at, row, &clocks);
        }
    }
}

/// The 64-bit counter to be taken instead of another, or the other way round, as the device gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    Taken,
    Left,
    /// It stands still, and nothing says yet whether it is one that never counts.
    Doubtful,
}

impl Row {
    fn again(&mut self, seen: u8, is_same: bool) {
        self.seen_again |= seen;
        self.differs |= !is_same;
    }

    /// Whether ifHighSpeed, in units of a million bits, does not say the line's speed.
    fn is_slow(&self) -> bool {
        self.high_speed == 0 || self.speed != SPEED_UNKNOWN && f64::from(self.speed) > f64::from(self.high_speed) * 1e6
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

    /// Gives its samples; whether counters of 32 bits are needed at the next cycle.
    fn emit(
        &self,
        clocks: &[AgentClock],
        (line, before): (u32, &Known),
        unrated: &mut Unrated,
        emit: &mut impl FnMut(Emitted<'_>),
    ) -> bool {
        let met = |place: usize| Met { line, place: place as u32, known: before.series(place) };
        let mut give =
            |place: usize, value: f64| emit(Emitted { series: Series::Line(met(place), &before.tail), value });
        let gauges =
            [(ADMIN_STATUS, self.admin_status), (OPER_STATUS, self.oper_status), (LAST_CHANGE, self.last_change)];
        for (place, value) in gauges.into_iter().filter_map(|(place, value)| Some((place, value?))) {
            give(place, value);
        }
        let bits_per_second = self.bits_per_second();
        if let Some(bits) = bits_per_second {
            give(SPEED, bits);
        }
        let mut asks_narrow = false;
        for (at, counter) in COUNTERS.iter().enumerate() {
            let choice = self.choice(at, before);
            // A wide one that is not taken, or of which that is not sure, is watched by the other.
            asks_narrow |= choice != Choice::Taken && counter.narrow.is_some();
            asks_narrow |= choice == Choice::Taken && counter.wide.is_some() && self.counters[at].is_some();
            let Some(now) = self.counters[at].filter(|_| choice != Choice::Left) else { continue };
            give(at, now.value as f64);
            if choice == Choice::Doubtful {
                unrated.ambiguous += 1;
                continue;
            }
            let Some(rate) = self.rate(at, now, clocks, before, unrated) else { continue };
            give(COUNTERS.len() + at, rate);
            let place = match counter.name {
                "ifHCInOctets" | "ifInOctets" => Some(IN_UTILIZATION),
                "ifHCOutOctets" | "ifOutOctets" => Some(OUT_UTILIZATION),
                _ => None,
            };
            if let Some((place, bits)) = place.zip(bits_per_second) {
                give(place, rate * 8.0 / bits);
            }
        }
        emit(Emitted { series: Series::Info(met(INFO), &before.info), value: 1.0 });
        asks_narrow
    }

    /// The rate of a counter since the cycle before; where there is none, counts why.
    fn rate(&self, at: usize, now: Count, clocks: &[AgentClock], before: &Known, unrated: &mut Unrated) -> Option<f64> {
        let then = before.counters[at]?;
        let (clock, then_clock) = (clocks.get(usize::from(now.clock))?, before.clocks.get(usize::from(then.clock))?);
        let seconds = match clock.passed_since(then_clock) {
            Passed::Seconds(seconds) if before.discontinuity == self.discontinuity => seconds,
            Passed::Nothing => return None,
            Passed::Rebooted | Passed::Seconds(_) => {
                unrated.reset += 1;
                return None;
            }
        };
        match rate(then.reading(), now.reading(), seconds, self.limit(COUNTERS[at].octets)) {
            Ok(rate) => return Some(rate),
            Err(NoRate::Reset | NoRate::SizeChanged) => unrated.reset += 1,
            Err(NoRate::Ambiguous) => unrated.ambiguous += 1,
            Err(NoRate::Implausible) => unrated.implausible += 1,
        }
        None
    }

    /// Whether a counter is the one to take: of two sizes the wide one, unless it stands still while the narrow one
    /// counts, as some devices have it.
    fn choice(&self, at: usize, before: &Known) -> Choice {
        let taken = |is_taken: bool| if is_taken { Choice::Taken } else { Choice::Left };
        match (COUNTERS[at].wide, COUNTERS[at].narrow) {
            (Some(wide), _) => taken(self.counters[wide].is_none() || self.is_dead(wide, at, before) == Some(true)),
            (None, Some(narrow)) => match self.is_dead(at, narrow, before) {
                Some(is_dead) => taken(!is_dead),
                None => Choice::Doubtful,
            },
            (None, None) => Choice::Taken,
        }
    }

    /// Whether a wide counter never counts; none where it stands still and the narrow one was not read before. Devices that
    /// keep to RFC 2863 answer the same bits in both, so that one reading is enough.
    fn is_dead(&self, wide: usize, narrow: usize, before: &Known) -> Option<bool> {
        let value = |at: usize| self.counters[at].map(|count| count.value);
        let Some((now, beside)) = value(wide).zip(value(narrow)) else { return Some(false) };
        if now == 0 && beside > 0 {
            return Some(true);
        }
        if before.value(wide) != Some(now) || beside == now & u64::from(u32::MAX) && before.value(narrow).is_none() {
            return Some(false);
        }
        before.value(narrow).map(|then| then != beside)
    }

    /// Of all that stands on the information series.
    pub(super) fn info_hash(&self) -> u64 {
        let parts = [self.description.as_str(), &self.name, &self.alias];
        let speed = self.bits_per_second().unwrap_or(0.0).to_bits();
        let kind = self.kind.unwrap_or(-1.0).to_bits() ^ u64::from(self.index) << 32 ^ speed.rotate_left(7);
        parts.iter().fold(kind, |mixed, part| mixed.rotate_left(17) ^ hash(part.as_bytes()))
    }

    pub(super) fn info(&self, builder: &mut KeyBuilder, labels: &[(&str, &str); 2]) -> Box<[u8]> {
        let index = self.index.to_string();
        let kind = self.kind.map(|kind| kind.to_string()).unwrap_or_default();
        let speed = self.bits_per_second().map(|bits| bits.to_string()).unwrap_or_default();
        let labels = [
            labels[0],
            labels[1],
            ("ifIndex", index.as_str()),
            ("ifDescr", self.description.as_str()),
            ("ifName", self.name.as_str()),
            ("ifAlias", self.alias.as_str()),
            ("ifType", kind.as_str()),
            ("ifSpeed", speed.as_str()),
        ];
        whole(builder, "snmp_interface_info", &labels)
    }
}

/// The counter that a value is.
pub(super) fn reading(value: Value<'_>) -> Option<Reading> {
    match value {
        Value::Counter64(value) => Some(Reading::Bits64(value)),
        Value::Counter32(value) | Value::Gauge32(value) => Some(Reading::Bits32(value)),
        _ => None,
    }
}

/// Whether a value is this text; most often its very bytes.
fn is_text(value: Value<'_>, known: &str) -> bool {
    value == Value::OctetString(known.as_bytes()) || text(value) == known
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
