//! Tables and single values as agents answer them, and the samples that must come of them.

use super::super::mib::Mibs;
use super::*;

const PROFILE: &str = "[[profile]]\nname = \"p\"\n[[profile.scalar]]\nname = \"interrupts\"\nobject = \"1.3.1.0\"\n\
    [[profile.scalar]]\nname = \"tenths\"\nobject = \"1.3.2.0\"\nfactor = 0.1\n\
    [[profile.table]]\nlabel = \"disk\"\nlabel_object = \"1.3.6.1\"\n\
    column = [{ name = \"reads\", object = \"1.3.6.2\" }, { name = \"heat\", object = \"1.3.6.3\", \
    scale_object = \"1.3.6.4\", precision_object = \"1.3.6.5\" }]\n";

fn profiles() -> Profiles {
    let mut profiles = Profiles::default();
    profiles.add(PROFILE, &Mibs::default()).unwrap();
    profiles
}

fn clock(seconds: u32) -> AgentClock {
    AgentClock { uptime: seconds * 100, engine_time: None, at_ms: i64::from(seconds) * 1000, took_ms: 0 }
}

fn collected(emit: impl FnOnce(&mut dyn FnMut(Emitted<'_>))) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    emit(&mut |emitted| {
        let Series::Labelled(name, suffix, labels) = emitted.series else { panic!("labelled") };
        let label = labels.first().map_or(String::new(), |(_, value)| format!(" {value}"));
        assert_eq!(samples.insert(format!("{name}{suffix}{label}"), emitted.value), None, "a series comes once");
    });
    samples
}

/// One cycle of rows of name and reads.
fn cycle(rows: &mut TableRows, lines: &[(u8, &[u8], u64)], at: AgentClock) -> (BTreeMap<String, f64>, Unrated) {
    let profiles = profiles();
    let table = &profiles.tables[0];
    rows.clear();
    for (index, name, reads) in lines {
        assert!(rows.take(table, 0, &[*index], Value::OctetString(name), at));
        assert!(rows.take(table, table.columns[0].place, &[*index], Value::Counter64(*reads), at));
    }
    let mut unrated = Unrated::default();
    (collected(|mut emit| rows.emit(table, &mut unrated, &mut emit)), unrated)
}

#[test]
fn a_row_is_known_by_its_text_or_else_by_its_index() {
    let mut rows = TableRows::default();
    let (samples, _) = cycle(&mut rows, &[(1, b"sda", 5), (2, b"sdb", 6), (3, b"sdb", 7), (4, b"", 8)], clock(10));
    let names: Vec<_> = samples.keys().map(String::as_str).collect();
    assert_eq!(names, ["reads index-2", "reads index-3", "reads index-4", "reads sda"]);
    let (samples, _) = cycle(&mut rows, &[(9, b"sda", 25)], clock(20));
    assert_eq!(samples["reads:rate sda"], 2.0, "another index is the same row");
    let (samples, unrated) = cycle(&mut rows, &[(9, b"sda", 3)], clock(30));
    assert_eq!((samples.get("reads:rate sda"), unrated.reset), (None, 1));
    let (samples, unrated) = cycle(&mut rows, &[(9, b"sda", 4)], AgentClock { at_ms: 40_000, ..clock(2) });
    assert_eq!((samples.get("reads:rate sda"), unrated.reset), (None, 1), "it started again");
}

#[test]
fn a_sensor_has_the_value_that_scale_and_precision_say() {
    let profiles = profiles();
    let table = &profiles.tables[0];
    let heat = &table.columns[1];
    let (scale, precision) = heat.scale.unwrap();
    let mut rows = TableRows::default();
    for (place, number) in [(heat.place, 3215), (scale, 9), (precision, 2)] {
        rows.take(table, place, &[1], Value::Integer(number), clock(1));
    }
    // Without its scale nothing is known of it.
    rows.take(table, heat.place, &[2], Value::Integer(7), clock(1));
    let samples = collected(|mut emit| rows.emit(table, &mut Unrated::default(), &mut emit));
    assert_eq!(samples.len(), 1);
    assert!((samples["heat index-1"] - 32.15).abs() < 1e-9);
}

#[test]
fn scalars_are_gauges_or_counters_as_the_agent_says() {
    let profiles = profiles();
    let mut scalars = Scalars::default();
    let mut cycle = |count: u32, at: AgentClock| {
        scalars.clear();
        scalars.take(0, Value::Counter32(count), at);
        scalars.take(1, Value::Gauge32(215), at);
        scalars.take(1, Value::NoSuchInstance, at);
        collected(|mut emit| scalars.emit(&profiles, &mut Unrated::default(), &mut emit))
    };
    assert_eq!(cycle(100, clock(10)), BTreeMap::from([("interrupts".to_owned(), 100.0), ("tenths".to_owned(), 21.5)]));
    assert_eq!(cycle(200, clock(20))["interrupts:rate"], 10.0);
}

#[test]
fn a_table_without_end_is_cut() {
    let profiles = profiles();
    let table = &profiles.tables[0];
    let mut rows = TableRows::default();
    for number in 0..ROWS_MAX as u32 {
        assert!(rows.take(table, 0, &number.to_be_bytes(), Value::Null, clock(1)));
    }
    assert!(!rows.take(table, 0, &[9], Value::Null, clock(1)));
    assert!(rows.take(table, 1, &0u32.to_be_bytes(), Value::Null, clock(1)), "a row that is known");
}
