//! What a simulated device holds: interfaces whose every counter rises by a constant number each hundredth of a second.
//!
//! So the true rate of a counter is one number for the whole run, whatever happens to the counter: any other stored rate
//! is wrong. Not here: messages (see `agent`), what goes wrong and when (see `fault`).
//!
//! Invariant: all values of one answer are those of one instant, which is the one that sysUpTime tells.

use std::sync::Arc;

use protocols::snmp::{Oid, OidRef, Value};

use super::fault::Random;

const IF_ENTRY: &str = "1.3.6.1.2.1.2.2.1";
const IF_X_ENTRY: &str = "1.3.6.1.2.1.31.1.1.1";
/// Columns of ifTable but the deprecated ones, and all of ifXTable: with ifNumber, 1777 variables for 48 interfaces.
const IF_COLUMNS: [u32; 18] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 19, 20];
const IF_X_COLUMNS: [u32; 19] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19];

/// An object that a device has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Object {
    Description,
    Identity,
    Uptime,
    Name,
    InterfaceCount,
    EngineBoots,
    EngineTime,
    /// A column of ifTable, and which line.
    Interface(u32, u32),
    /// A column of ifXTable, and which line.
    Extended(u32, u32),
}

/// All objects in order of their names; the same for all devices with the same indexes.
#[derive(Debug)]
pub(super) struct Layout(Vec<(Oid, Object)>);

impl Layout {
    /// `indexes` holds the ifIndex of each line, in order of the lines.
    pub(super) fn new(indexes: &[u32], has_wide: bool) -> Layout {
        let oid = |text: &str| text.parse::<Oid>().expect("an identifier");
        let mut objects = vec![
            (oid("1.3.6.1.2.1.1.1.0"), Object::Description),
            (oid("1.3.6.1.2.1.1.2.0"), Object::Identity),
            (oid("1.3.6.1.2.1.1.3.0"), Object::Uptime),
            (oid("1.3.6.1.2.1.1.5.0"), Object::Name),
            (oid("1.3.6.1.2.1.2.1.0"), Object::InterfaceCount),
            (oid("1.3.6.1.6.3.10.2.1.2.0"), Object::EngineBoots),
            (oid("1.3.6.1.6.3.10.2.1.3.0"), Object::EngineTime),
        ];
        let row = |table: &str, column: u32, index: u32| oid(table).with(&[column, index]).expect("short");
        for (line, index) in indexes.iter().enumerate() {
            let line = line as u32;
            let narrow = IF_COLUMNS.iter().map(|c| (row(IF_ENTRY, *c, *index), Object::Interface(*c, line)));
            objects.extend(narrow);
            let columns = IF_X_COLUMNS.iter().filter(|column| has_wide || !(6..=13).contains(*column));
            objects.extend(columns.map(|c| (row(IF_X_ENTRY, *c, *index), Object::Extended(*c, line))));
        }
        objects.sort_by(|(a, _), (b, _)| a.cmp(b));
        Layout(objects)
    }

    /// Where an object of this name stands.
    pub(super) fn find(&self, name: OidRef<'_>) -> Option<usize> {
        self.0.binary_search_by(|(known, _)| known.as_ref().cmp(&name)).ok()
    }

    /// Where the first object behind this name stands; the length when there is none.
    pub(super) fn after(&self, name: OidRef<'_>) -> usize {
        self.0.partition_point(|(known, _)| known.as_ref() <= name)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of one.
    pub(super) fn name(&self, at: usize) -> OidRef<'_> {
        self.0[at].0.as_ref()
    }

    /// Whether two objects are of one column.
    pub(super) fn same_column(&self, a: usize, b: usize) -> bool {
        match (self.0[a].1, self.0[b].1) {
            (Object::Interface(x, _), Object::Interface(y, _)) | (Object::Extended(x, _), Object::Extended(y, _)) => {
                x == y
            }
            _ => false,
        }
    }
}

/// One interface.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) name: String,
    description: String,
    alias: String,
    /// Per hundredth of a second, in and out.
    octets: [u64; 2],
    unicast: [u64; 2],
    errors: [u64; 2],
    discards: [u64; 2],
    /// What the counters begin from, and when that was, in hundredths of a second of the run.
    base: u64,
    since: u64,
    discontinuity: u64,
}

/// A device with all its objects.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) name: String,
    description: String,
    object_id: Oid,
    pub(super) lines: Vec<Line>,
    /// The ifIndex of each line.
    pub(super) indexes: Vec<u32>,
    layout: Arc<Layout>,
    pub(super) mbit: u32,
    pub(super) has_wide: bool,
    /// Whether the 64-bit counters stand at 0 for ever.
    pub(super) wide_is_stuck: bool,
    /// sysUpTime at `booted`, in hundredths of a second.
    uptime: u64,
    booted: u64,
    pub(super) boots: u32,
}

impl Device {
    /// A device of so many lines. `base` is what all its counters start from, `uptime` its age in hundredths of a second.
    pub(super) fn new(number: usize, layout: Arc<Layout>, has_wide: bool, lines: u32, seed: u64) -> Device {
        let mut random = Random::new(seed ^ (number as u64) << 20);
        let mbit = if has_wide { 1000 } else { 100 };
        let most = u64::from(mbit) * 1000;
        let lines = (1..=lines)
            .map(|line| {
                let octets = [1 + random.below(most), 1 + random.below(most)];
                Line {
                    name: format!("ge-0/0/{line}"),
                    description: format!("GigabitEthernet 0/0/{line}"),
                    alias: format!("customer {}", random.below(10_000)),
                    octets,
                    unicast: octets.map(|octets| 1 + octets / 1000),
                    errors: [random.below(2), random.below(2)],
                    discards: [random.below(3), 0],
                    base: random.below(1 << 30),
                    since: 0,
                    discontinuity: 0,
                }
            })
            .collect::<Vec<_>>();
        Device {
            name: format!("device-{number}"),
            description: format!("Simulated switch {number}, {} lines", lines.len()),
            object_id: "1.3.6.1.4.1.99999.1".parse().expect("an identifier"),
            indexes: (1..=lines.len() as u32).collect(),
            lines,
            layout,
            mbit,
            has_wide,
            wide_is_stuck: false,
            uptime: 1_000_000 + random.below(100_000_000),
            booted: 0,
            boots: 1,
        }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the fastest counter of a line rises by in a hundredth of a second.
    pub(super) fn octets_most(&self, line: usize) -> u64 {
        self.lines[line].octets[0].max(self.lines[line].octets[1])
    }

    /// Seconds the engine has been up.
    pub(super) fn engine_time(&self, ticks: u64) -> u32 {
        ((self.uptime + ticks - self.booted) / 100) as u32
    }

    /// Every counter of a line goes on from `base`.
    pub(super) fn set_counters(&mut self, line: usize, base: u64, ticks: u64) {
        (self.lines[line].base, self.lines[line].since) = (base, ticks);
    }

    /// A line's counters begin again; a device that `tells` changes ifCounterDiscontinuityTime.
    pub(super) fn reset(&mut self, line: usize, ticks: u64, tells: bool) {
        self.set_counters(line, 0, ticks);
        if tells {
            self.lines[line].discontinuity = self.uptime + ticks - self.booted;
        }
    }

    /// The device starts again.
    pub(super) fn reboot(&mut self, ticks: u64) {
        (self.uptime, self.booted) = (0, ticks);
        self.boots += 1;
        (0..self.lines.len()).for_each(|line| self.reset(line, ticks, false));
    }

    pub(super) fn set_uptime(&mut self, uptime: u64, ticks: u64) {
        (self.uptime, self.booted) = (uptime, ticks);
    }

    /// Lines get other indexes.
    pub(super) fn renumber(&mut self, indexes: Vec<u32>) {
        self.layout = Arc::new(Layout::new(&indexes, self.has_wide));
        self.indexes = indexes;
    }

    /// The value of the object that stands there, at an instant of the run.
    pub(super) fn value(&self, at: usize, ticks: u64) -> Value<'_> {
        let uptime = self.uptime + ticks - self.booted;
        match self.layout.0[at].1 {
            Object::Description => Value::OctetString(self.description.as_bytes()),
            Object::Identity => Value::Oid(self.object_id.as_ref()),
            Object::Uptime => Value::TimeTicks(uptime as u32),
            Object::Name => Value::OctetString(self.name.as_bytes()),
            Object::InterfaceCount => Value::Integer(self.lines.len() as i32),
            Object::EngineBoots => Value::Integer(self.boots as i32),
            Object::EngineTime => Value::Integer(self.engine_time(ticks) as i32),
            Object::Interface(column, line) => self.interface(column, line as usize, ticks),
            Object::Extended(column, line) => self.extended(column, line as usize, ticks),
        }
    }

    fn interface(&self, column: u32, at: usize, ticks: u64) -> Value<'_> {
        let line = &self.lines[at];
        let counter = |rate: u64| Value::Counter32(line.count(rate, ticks) as u32);
        match column {
            1 => Value::Integer(self.indexes[at] as i32),
            2 => Value::OctetString(line.description.as_bytes()),
            3 => Value::Integer(6),
            4 => Value::Integer(1500),
            5 => Value::Gauge32(self.mbit * 1_000_000),
            6 => Value::OctetString(&[2, 0, 0, 0, 0, 1]),
            7 | 8 => Value::Integer(1),
            9 => Value::TimeTicks(0),
            10 => counter(line.octets[0]),
            11 => counter(line.unicast[0]),
            13 => counter(line.discards[0]),
            14 => counter(line.errors[0]),
            16 => counter(line.octets[1]),
            17 => counter(line.unicast[1]),
            19 => counter(line.discards[1]),
            20 => counter(line.errors[1]),
            _ => Value::Counter32(0),
        }
    }

    fn extended(&self, column: u32, at: usize, ticks: u64) -> Value<'_> {
        let line = &self.lines[at];
        let narrow = |rate: u64| Value::Counter32(line.count(rate, ticks) as u32);
        let wide = |rate: u64| Value::Counter64(if self.wide_is_stuck { 0 } else { line.count(rate, ticks) });
        match column {
            1 => Value::OctetString(line.name.as_bytes()),
            2..=5 => narrow(1),
            6 => wide(line.octets[0]),
            7 => wide(line.unicast[0]),
            10 => wide(line.octets[1]),
            11 => wide(line.unicast[1]),
            8 | 9 | 12 | 13 => wide(1),
            14 | 17 => Value::Integer(1),
            15 => Value::Gauge32(self.mbit),
            16 => Value::Integer(2),
            18 => Value::OctetString(line.alias.as_bytes()),
            _ => Value::TimeTicks(line.discontinuity as u32),
        }
    }

    /// The rate per second that a series of this name must have, if it is one that a line's counter has.
    pub(super) fn true_rate(&self, interface: &str, name: &str) -> Option<f64> {
        let line = self.lines.iter().find(|line| line.name == interface)?;
        let speed = f64::from(self.mbit) * 1e6;
        let per_second = |ticks: u64| ticks as f64 * 100.0;
        Some(match name {
            "ifHCInOctets:rate" | "ifInOctets:rate" => per_second(line.octets[0]),
            "ifHCOutOctets:rate" | "ifOutOctets:rate" => per_second(line.octets[1]),
            "ifHCInUcastPkts:rate" | "ifInUcastPkts:rate" => per_second(line.unicast[0]),
            "ifHCOutUcastPkts:rate" | "ifOutUcastPkts:rate" => per_second(line.unicast[1]),
            "ifInErrors:rate" => per_second(line.errors[0]),
            "ifOutErrors:rate" => per_second(line.errors[1]),
            "ifInDiscards:rate" => per_second(line.discards[0]),
            "ifOutDiscards:rate" => per_second(line.discards[1]),
            "ifInMulticastPkts:rate"
            | "ifInBroadcastPkts:rate"
            | "ifOutMulticastPkts:rate"
            | "ifOutBroadcastPkts:rate" => 100.0,
            "interface_in_utilization_ratio" => per_second(line.octets[0]) * 8.0 / speed,
            "interface_out_utilization_ratio" => per_second(line.octets[1]) * 8.0 / speed,
            _ => return None,
        })
    }
}

impl Line {
    fn count(&self, rate: u64, ticks: u64) -> u64 {
        self.base.wrapping_add(rate.wrapping_mul(ticks - self.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> Device {
        let indexes: Vec<u32> = (1..=48).collect();
        Device::new(7, Arc::new(Layout::new(&indexes, true)), true, 48, 1)
    }

    #[test]
    fn forty_eight_lines_are_1777_variables_beside_the_system_group() {
        assert_eq!(device().layout().len(), 1777 + 6);
    }

    #[test]
    fn a_counter_rises_at_its_true_rate_and_names_ascend() {
        let device = device();
        let layout = device.layout();
        assert!((1..layout.len()).all(|at| layout.name(at - 1) < layout.name(at)));
        let column: Oid = "1.3.6.1.2.1.31.1.1.1.6".parse().unwrap();
        let at = layout.after(column.as_ref());
        let count = |ticks| device.value(at, ticks).count().unwrap();
        let rate = device.true_rate("ge-0/0/1", "ifHCInOctets:rate").unwrap();
        assert_eq!((count(1100) - count(100)) as f64, rate * 10.0);
        assert_eq!(layout.find(layout.name(at)), Some(at));
        assert!(layout.same_column(at, at + 47) && !layout.same_column(at, at + 48));
    }

    #[test]
    fn a_renumbered_line_keeps_its_counters_and_its_name() {
        let mut device = device();
        let column: Oid = "1.3.6.1.2.1.31.1.1.1.6".parse().unwrap();
        let of = |device: &Device, index: u32| {
            let name = column.with(&[index]).unwrap();
            device.value(device.layout().find(name.as_ref()).unwrap(), 50).count()
        };
        let before = of(&device, 1);
        device.renumber((101..=148).collect());
        assert_eq!(of(&device, 101), before);
    }
}
