//! Rows as devices give them, faults included, and the samples that must come of them.

use super::*;
use std::collections::BTreeMap;

/// One interface of a simulated device at one cycle.
#[derive(Clone)]
struct Line {
    index: u32,
    name: &'static str,
    description: &'static str,
    mbit: u32,
    discontinuity: u32,
    narrow: Option<u32>,
    wide: Option<u64>,
}

const LINE: Line = Line {
    index: 1,
    name: "eth0",
    description: "Ethernet 0",
    mbit: 100,
    discontinuity: 0,
    narrow: Some(1_000),
    wide: Some(1_000),
};

fn clock(seconds: u32) -> AgentClock {
    AgentClock { uptime: seconds * 100, engine_time: Some(seconds), at_ms: i64::from(seconds) * 1000, took_ms: 0 }
}

fn encoded(index: u32) -> Vec<u8> {
    let oid: protocols::snmp::Oid = format!("1.3.{index}").parse().unwrap();
    oid.as_ref().as_bytes()[1..].to_vec()
}

fn read(lines: &[Line], at: AgentClock) -> Rows {
    let mut rows = Rows::default();
    rows.clear();
    for line in lines {
        let index = encoded(line.index);
        let mut take = |field, value| assert!(rows.take(field, &index, value, at));
        take(Field::Name, Value::OctetString(line.name.as_bytes()));
        take(Field::Description, Value::OctetString(line.description.as_bytes()));
        take(Field::HighSpeed, Value::Gauge32(line.mbit));
        take(Field::Discontinuity, Value::TimeTicks(line.discontinuity));
        if let Some(narrow) = line.narrow {
            take(Field::Counter(0), Value::Counter32(narrow));
        }
        if let Some(wide) = line.wide {
            take(Field::Counter(8), Value::Counter64(wide));
        }
    }
    rows
}

/// Reads once more who the interfaces are.
fn read_again(rows: &mut Rows, lines: &[Line]) {
    for line in lines {
        let index = encoded(line.index);
        let mut take = |field, value| assert!(rows.take(field, &index, value, clock(1)));
        take(Field::NameAgain, Value::OctetString(line.name.as_bytes()));
        take(Field::DescriptionAgain, Value::OctetString(line.description.as_bytes()));
        take(Field::DiscontinuityAgain, Value::TimeTicks(line.discontinuity));
    }
}

type Samples = BTreeMap<(String, String), f64>;

/// The samples of one cycle by name and interface.
fn cycle(lines: &[Line], at: AgentClock, known: &mut KnownInterfaces) -> (Samples, Unrated) {
    let mut rows = read(lines, at);
    read_again(&mut rows, lines);
    emitted(&mut rows, known)
}

fn emitted(rows: &mut Rows, known: &mut KnownInterfaces) -> (Samples, Unrated) {
    let mut keys = super::super::keys::Keys::default();
    let (mut samples, mut unrated) = (BTreeMap::new(), Unrated::default());
    rows.emit("core-1", known, &mut unrated, |emitted| {
        let mut key = Vec::new();
        assert!(keys.add("core-1", emitted.series, &mut key));
        assert_eq!(storage::series::validate(&key), Ok(()));
        let label = |name: &str| storage::series::label(&key, name).unwrap_or_default().to_owned();
        assert_eq!(label("device"), "core-1");
        let key = (label("__name__"), label("interface"));
        assert_eq!(samples.insert(key, emitted.value), None, "a series has one sample a cycle");
    });
    (samples, unrated)
}

/// The rate of received octets after two cycles, and what was withheld.
fn rate_after(before: &Line, now: &Line, at: AgentClock) -> (Option<f64>, Option<f64>, Unrated) {
    let mut known = KnownInterfaces::default();
    let (first, _) = cycle(std::slice::from_ref(before), clock(100), &mut known);
    assert!(first.keys().all(|(name, _)| !name.ends_with(":rate")), "one reading is no rate");
    let (samples, unrated) = cycle(std::slice::from_ref(now), at, &mut known);
    let of = |name: &str| samples.iter().find(|((known, _), _)| known == name).map(|(_, value)| *value);
    (of("ifHCInOctets:rate"), of("ifInOctets:rate"), unrated)
}

#[test]
fn a_rate_is_taken_from_the_wide_counter_by_the_agents_clock() {
    let now = Line { narrow: Some(31_000), wide: Some(31_000), ..LINE };
    assert_eq!(rate_after(&LINE, &now, clock(130)), (Some(1000.0), None, Unrated::default()));
    let mut known = KnownInterfaces::default();
    cycle(&[LINE], clock(100), &mut known);
    let (samples, _) = cycle(&[now], clock(130), &mut known);
    let of = |name: &str| samples[&(name.to_owned(), "eth0".to_owned())];
    assert_eq!(of("ifHCInOctets"), 31_000.0, "the counter itself is kept");
    assert_eq!(of("interface_speed_bits_per_second"), 1e8);
    assert_eq!(of("interface_in_utilization_ratio"), 8_000.0 / 1e8);
    assert_eq!(of("snmp_interface_info"), 1.0);
}

#[test]
fn a_wide_counter_that_stands_still_at_zero_is_not_believed() {
    let before = Line { wide: Some(0), ..LINE };
    let now = Line { narrow: Some(31_000), ..before };
    assert_eq!(rate_after(&before, &now, clock(130)), (None, Some(1000.0), Unrated::default()));
    let quiet = Line { narrow: Some(0), ..before };
    assert_eq!(rate_after(&quiet, &quiet, clock(130)), (Some(0.0), None, Unrated::default()));
}

#[test]
fn no_rate_across_a_reboot_a_discontinuity_or_a_reset() {
    let now = Line { narrow: Some(31_000), wide: Some(31_000), ..LINE };
    let (wide, narrow, unrated) = rate_after(&LINE, &now, AgentClock { at_ms: 130_000, ..clock(5) });
    assert_eq!((wide, narrow, unrated.reset), (None, None, 1));
    let counted_anew = Line { discontinuity: 7, ..now.clone() };
    assert_eq!(rate_after(&LINE, &counted_anew, clock(130)).0, None);
    let (wide, _, unrated) = rate_after(&LINE, &Line { wide: Some(5), narrow: Some(5), ..LINE }, clock(130));
    assert_eq!((wide, unrated.reset), (None, 1));
}

#[test]
fn a_narrow_counter_wraps_once_and_nothing_is_above_line_speed() {
    let before = Line { narrow: Some(u32::MAX - 999), wide: None, ..LINE };
    let now = Line { narrow: Some(2_000), ..before };
    assert_eq!(rate_after(&before, &now, clock(130)), (None, Some(100.0), Unrated::default()));
    let fast = Line { mbit: 10_000, ..before.clone() };
    let (_, narrow, unrated) = rate_after(&fast, &Line { narrow: Some(2_000), ..fast.clone() }, clock(130));
    assert_eq!((narrow, unrated.ambiguous), (None, 1));
    let (wide, _, unrated) = rate_after(&LINE, &Line { wide: Some(1_000_000_000_000), ..LINE }, clock(130));
    assert_eq!((wide, unrated.implausible), (None, 1));
}

#[test]
fn a_renumbered_interface_is_the_same_series_and_a_renamed_one_another() {
    let now = Line { index: 77, narrow: Some(31_000), wide: Some(31_000), ..LINE };
    assert_eq!(rate_after(&LINE, &now, clock(130)).0, Some(1000.0));
    let renamed = Line { index: 1, name: "eth9", ..now };
    assert_eq!(rate_after(&LINE, &renamed, clock(130)).0, None);
}

#[test]
fn a_wide_counter_that_stands_still_while_the_narrow_one_counts_is_not_believed() {
    let now = Line { narrow: Some(31_000), ..LINE };
    assert_eq!(rate_after(&LINE, &now, clock(130)), (None, Some(1000.0), Unrated::default()));
}

#[test]
fn counters_read_while_indexes_change_hands_give_nothing_and_cost_one_cycle() {
    let mut known = KnownInterfaces::default();
    let other = Line { index: 2, name: "eth1", description: "Ethernet 1", ..LINE };
    cycle(&[LINE, other.clone()], clock(100), &mut known);
    let mut rows = read(&[LINE, other.clone()], clock(130));
    read_again(&mut rows, &[Line { index: 2, ..LINE }, Line { index: 1, ..other.clone() }]);
    assert!(rows.have_moved());
    let (samples, unrated) = emitted(&mut rows, &mut known);
    assert_eq!((samples.len(), unrated.moved), (0, 2));
    let later = |line: &Line| Line { narrow: Some(61_000), wide: Some(61_000), ..line.clone() };
    let (samples, _) = cycle(&[later(&LINE), later(&other)], clock(160), &mut known);
    assert_eq!(samples[&("ifHCInOctets:rate".to_owned(), "eth0".to_owned())], 1000.0, "over both cycles");
}

#[test]
fn counters_read_across_a_discontinuity_give_nothing() {
    let mut known = KnownInterfaces::default();
    cycle(&[LINE], clock(100), &mut known);
    let mut rows = read(&[LINE], clock(130));
    read_again(&mut rows, &[Line { discontinuity: 9, ..LINE }]);
    assert_eq!(emitted(&mut rows, &mut known).1.moved, 1);
    let mut rows = read(&[LINE], clock(130));
    read_again(&mut rows, &[]);
    assert!(rows.have_moved(), "it has gone");
}

#[test]
fn interfaces_of_one_name_are_told_apart_and_never_fail_a_poll() {
    let lines = [
        LINE,
        Line { index: 2, description: "other", ..LINE },
        Line { index: 3, name: "", description: "", ..LINE },
        Line { index: 4, name: "", description: "ifIndex-3", ..LINE },
        Line { index: 300, name: "", description: "", ..LINE },
    ];
    let (samples, _) = cycle(&lines, clock(100), &mut KnownInterfaces::default());
    let interfaces: Vec<_> =
        samples.keys().filter(|(name, _)| name == "ifHCInOctets").map(|(_, interface)| interface.as_str()).collect();
    assert_eq!(interfaces, ["Ethernet 0", "ifIndex-3", "ifIndex-300", "ifIndex-4", "other"]);
}

#[test]
fn an_interface_that_left_is_forgotten() {
    let mut known = KnownInterfaces::default();
    cycle(&[LINE], clock(100), &mut known);
    cycle(&[], clock(130), &mut known);
    let now = Line { narrow: Some(31_000), wide: Some(31_000), ..LINE };
    let (samples, _) = cycle(&[now], clock(160), &mut known);
    assert!(samples.keys().all(|(name, _)| !name.ends_with(":rate")));
}

/// Reads the counters of kept rows, and then who they are and what state they are in.
fn read_kept(rows: &mut Rows, lines: &[Line], at: AgentClock) {
    rows.keep();
    for line in lines {
        let index = encoded(line.index);
        let mut take = |field, value| assert!(rows.take(field, &index, value, at));
        if let Some(wide) = line.wide {
            take(Field::Counter(8), Value::Counter64(wide));
        }
        take(Field::NameAgain, Value::OctetString(line.name.as_bytes()));
        take(Field::DiscontinuityAgain, Value::TimeTicks(line.discontinuity));
        take(Field::HighSpeed, Value::Gauge32(line.mbit));
    }
}

fn of(samples: &Samples, name: &str) -> Option<f64> {
    samples.get(&(name.to_owned(), "eth0".to_owned())).copied()
}

#[test]
fn kept_rows_give_rates_and_are_read_anew_when_they_are_others() {
    let mut known = KnownInterfaces::default();
    let mut rows = read(&[LINE], clock(100));
    read_again(&mut rows, &[LINE]);
    emitted(&mut rows, &mut known);
    let now = Line { wide: Some(31_000), ..LINE };
    read_kept(&mut rows, std::slice::from_ref(&now), clock(130));
    assert!(!rows.have_moved() && !rows.asks_narrow(&known) && !rows.asks_description());
    let (samples, unrated) = emitted(&mut rows, &mut known);
    assert_eq!((of(&samples, "ifHCInOctets:rate"), unrated), (Some(1000.0), Unrated::default()));
    assert_eq!(of(&samples, "snmp_interface_info"), Some(1.0));
    let others = [
        vec![Line { name: "eth1", ..now.clone() }],
        vec![Line { discontinuity: 5, ..now.clone() }],
        vec![now.clone(), Line { index: 2, name: "eth1", ..LINE }],
        vec![Line { index: 2, ..now }],
        vec![],
    ];
    for lines in others {
        read_kept(&mut rows, &lines, clock(160));
        assert!(rows.have_moved(), "{:?}", lines.iter().map(|line| (line.index, line.name)).collect::<Vec<_>>());
    }
}

#[test]
fn a_wide_counter_that_stands_still_is_given_out_when_the_narrow_one_says_so() {
    let narrow_after = |narrow: u32, next: u32| {
        let mut known = KnownInterfaces::default();
        let mut rows = read(&[LINE], clock(100));
        read_again(&mut rows, &[LINE]);
        emitted(&mut rows, &mut known);
        let moving = Line { wide: Some(31_000), ..LINE };
        read_kept(&mut rows, std::slice::from_ref(&moving), clock(130));
        emitted(&mut rows, &mut known);
        assert!(!known.asks_narrow);
        let mut still = |narrow: u32, at: u32| {
            read_kept(&mut rows, std::slice::from_ref(&moving), clock(at));
            assert!(rows.asks_narrow(&known), "it stands still");
            assert!(rows.take(Field::Counter(0), &encoded(1), Value::Counter32(narrow), clock(at)));
            let (samples, unrated) = emitted(&mut rows, &mut known);
            (of(&samples, "ifHCInOctets:rate"), of(&samples, "ifInOctets:rate"), unrated.ambiguous)
        };
        (still(narrow, 160), still(next, 190))
    };
    let idle = (Some(0.0), None, 0);
    assert_eq!(narrow_after(31_000, 31_000), (idle, idle), "the same bits");
    let doubtful = (None, None, 1);
    assert_eq!(narrow_after(500, 500), (doubtful, idle), "a device whose counters are apart");
    assert_eq!(narrow_after(500, 30_500), (doubtful, (None, Some(1000.0), 0)), "a wide one that has died");
}

#[test]
fn what_a_series_was_found_to_be_is_kept_with_its_key() {
    let mut known = KnownInterfaces::default();
    cycle(&[LINE], clock(100), &mut known);
    let (generation, series) = (known.generation(), storage::series::SeriesRef(7));
    known.learn(generation, 0, 8, series);
    known.learn(generation, 5, 8, series);
    assert_eq!(known.at(0).and_then(|line| line.series(8)), Some(series));
    let renamed = Line { name: "eth9", ..LINE };
    cycle(&[renamed, Line { index: 2, ..LINE }], clock(130), &mut known);
    let found = |line: u32| known.at(line).and_then(|line| line.series(8));
    assert_eq!((found(0), found(1)), (None, Some(series)), "it went with its interface");
    known.learn(generation, 0, 8, series);
    assert_eq!(known.at(0).and_then(|line| line.series(8)), None, "of another generation");
}
