//! A Parquet file says of every sample what was given, to the bit, in columns of the types that other programs expect.
//!
//! Debian has no program that reads Parquet, so the library's own reader does it here, row by row.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use parquet::basic::{LogicalType, Repetition, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use storage::ParquetFile;
use storage::sample::{STALE_NAN_BITS, Samples};
use storage::series::KeyBuilder;

/// Labels of the files here, with the names of their columns.
const LABELS: [(&str, &str); 3] = [("__name__", "name"), ("host", "host"), ("value", "exported_value")];

fn key(labels: &[(&str, &str)]) -> Arc<[u8]> {
    let mut builder = KeyBuilder::default();
    labels.iter().for_each(|(name, value)| builder.push(name, value));
    builder.finish().unwrap().into()
}

fn written(series: &[(Arc<[u8]>, Samples)]) -> SerializedFileReader<File> {
    let mut file = ParquetFile::begin(tempfile::tempfile().unwrap(), &LABELS).unwrap();
    for (key, samples) in series {
        file.add(key, samples).unwrap();
    }
    SerializedFileReader::new(file.finish().unwrap()).unwrap()
}

/// Time, bits of the value, and the labels' values.
type Read = (i64, u64, Vec<Option<String>>);

fn read(row: &Row) -> Read {
    let mut columns = row.get_column_iter().map(|(_, field)| field);
    let Some(Field::TimestampMillis(time_ms)) = columns.next() else { panic!("{row}") };
    let Some(Field::Double(value)) = columns.next() else { panic!("{row}") };
    let label = |field: &Field| match field {
        Field::Str(text) => Some(text.clone()),
        Field::Null => None,
        _ => panic!("{row}"),
    };
    (*time_ms, value.to_bits(), columns.map(label).collect())
}

fn texts(labels: [Option<&str>; 3]) -> Vec<Option<String>> {
    labels.map(|text| text.map(str::to_owned)).into()
}

#[test]
fn every_sample_comes_back_to_the_bit_with_its_labels() {
    let bits = [
        0.1_f64.to_bits(),
        0,
        (-0.0_f64).to_bits(),
        f64::INFINITY.to_bits(),
        f64::NEG_INFINITY.to_bits(),
        f64::NAN.to_bits(),
        STALE_NAN_BITS,
        0x7ff8_dead_beef_0001,
        1,
        f64::MAX.to_bits(),
    ];
    let times =
        [i64::MIN, -1, 0, 1, 1_700_000_000_000, 1_700_000_000_001, 1_700_000_015_000, 1 << 50, 1 << 60, i64::MAX];
    let odd = Samples { times: times.into(), values: bits.map(f64::from_bits).into() };
    let plain = Samples { times: vec![5, 7], values: vec![1.5, 2.5] };
    let reader = written(&[
        (key(&[("__name__", "cpu"), ("host", "a,\"ü\n")]), odd),
        (key(&[("__name__", "cpu")]), Samples::default()),
        (key(&[("__name__", "cpu"), ("value", "x")]), plain),
    ]);
    let rows: Vec<Read> = reader.get_row_iter(None).unwrap().map(|row| read(&row.unwrap())).collect();
    let first = texts([Some("cpu"), Some("a,\"ü\n"), None]);
    let mut expected: Vec<Read> = times.into_iter().zip(bits).map(|(time, bits)| (time, bits, first.clone())).collect();
    for (time_ms, value) in [(5, 1.5_f64), (7, 2.5)] {
        expected.push((time_ms, value.to_bits(), texts([Some("cpu"), None, Some("x")])));
    }
    assert_eq!(rows, expected);
}

#[test]
fn the_columns_are_what_other_programs_expect() {
    let reader = written(&[(key(&[("__name__", "cpu")]), Samples { times: vec![1], values: vec![1.0] })]);
    let columns = reader.metadata().file_metadata().schema_descr().columns();
    let names: Vec<_> = columns.iter().map(|column| column.name().to_owned()).collect();
    assert_eq!(names, ["timestamp", "value", "name", "host", "exported_value"]);
    assert_eq!(columns[0].logical_type_ref(), Some(&LogicalType::timestamp(true, TimeUnit::MILLIS)));
    assert_eq!(columns[3].logical_type_ref(), Some(&LogicalType::String));
    assert_eq!(columns[3].self_type().get_basic_info().repetition(), Repetition::OPTIONAL);
}

/// More rows than a group takes, of a series that lies across its end and of many that do not.
#[test]
fn groups_are_of_bounded_size_and_lose_nothing_between_them() {
    let long = Samples { times: (0..1_500_000).collect(), values: (0..1_500_000).map(f64::from).collect() };
    let short = Samples { times: vec![1, 2, 3], values: vec![1.0, 2.0, 3.0] };
    let mut series = vec![(key(&[("__name__", "long")]), long)];
    series.extend((0..10_000).map(|i| (key(&[("__name__", "short"), ("host", &i.to_string())]), short.clone())));
    let reader = written(&series);
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(groups, [1 << 20, 1_530_000 - (1 << 20)]);
    let mut rows = reader.get_row_iter(None).unwrap().map(|row| read(&row.unwrap()));
    for i in 0..1_500_000_u32 {
        let (time_ms, bits, labels) = rows.next().unwrap();
        assert_eq!((time_ms, bits), (i64::from(i), f64::from(i).to_bits()));
        assert_eq!(labels[0].as_deref(), Some("long"));
    }
    for i in 0..10_000 {
        for time_ms in 1..=3 {
            let expected = texts([Some("short"), Some(&i.to_string()), None]);
            assert_eq!(rows.next(), Some((time_ms, (time_ms as f64).to_bits(), expected)));
        }
    }
    assert_eq!(rows.next(), None);
}

#[test]
fn a_file_of_no_samples_is_a_file() {
    let reader = written(&[]);
    assert_eq!((reader.num_row_groups(), reader.get_row_iter(None).unwrap().count()), (0, 0));
}

/// Takes so many bytes and no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| io::Error::other("no space is left"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let samples = Samples { times: (0..1000).collect(), values: vec![0.1; 1000] };
    let told = ["begin", "finish"].map(|when| {
        let room = if when == "begin" { 0 } else { 100 };
        let mut file = ParquetFile::begin(Full(room), &LABELS)?;
        file.add(&key(&[("__name__", "cpu")]), &samples)?;
        file.finish().map(drop)
    });
    for outcome in told {
        assert!(outcome.unwrap_err().to_string().contains("no space is left"));
    }
}
