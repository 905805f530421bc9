//! Writes samples of many series as one Parquet file that other programs read: a row a sample, a column a label.
//!
//! ```text
//! timestamp  int64, TIMESTAMP_MILLIS in UTC, delta encoded        value  double, plain: every bit as it was stored
//! <label>    string, by dictionary; null where a series does not have the label
//! ```
//!
//! Rows stand series by series, each in order of time, in row groups of [`GROUP_ROWS`]; all columns are compressed by
//! snappy. Values go by no dictionary: the library's takes zero and minus zero for one where their hashes meet.
//!
//! Not here: which series there are, staleness markers (the caller leaves them out), reading such files.
//!
//! Invariant: memory for one row group, 16 MiB and what it is encoded to, however long the file; of each group before only
//! what its end says of it, some 300 bytes a column.

use crate::sample::Samples;
use crate::series::label;
use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};
use std::io::{self, Write};
use std::sync::Arc;

/// Rows of a group: readers take one at a time, and its end is kept in memory to the end of the file.
const GROUP_ROWS: usize = 1 << 20;
/// Rows of a label handed to the encoder at once.
const LABEL_ROWS: usize = 4096;
/// Columns before those of labels.
const FIXED: [&str; 2] = ["timestamp", "value"];

/// A Parquet file in the making.
pub struct ParquetFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    labels: Vec<String>,
    times: Vec<i64>,
    values: Vec<f64>,
    /// Whose the rows are: a key, and how many follow one another.
    runs: Vec<(Arc<[u8]>, usize)>,
}

impl<W: Write + Send> ParquetFile<W> {
    /// Begins a file with these labels, each with the name of its column; columns must differ in name.
    ///
    /// # Errors
    /// When `out` fails.
    pub fn begin(out: W, labels: &[(&str, &str)]) -> io::Result<Self> {
        let columns: Vec<&str> = labels.iter().map(|(_, column)| *column).collect();
        let schema = schema(&columns).map_err(failed)?;
        let path = |column: &str| ColumnPath::new(vec![column.to_owned()]);
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_column_encoding(path(FIXED[0]), Encoding::DELTA_BINARY_PACKED);
        for column in FIXED {
            properties = properties.set_column_dictionary_enabled(path(column), false);
        }
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties.build())).map_err(failed)?;
        let labels = labels.iter().map(|(label, _)| (*label).to_owned()).collect();
        Ok(Self { file, labels, times: Vec::new(), values: Vec::new(), runs: Vec::new() })
    }

    /// Adds the samples of the series with this key.
    ///
    /// # Errors
    /// When `out` fails; the file is of no use then.
    pub fn add(&mut self, key: &Arc<[u8]>, samples: &Samples) -> io::Result<()> {
        let (mut times, mut values) = (samples.times.as_slice(), samples.values.as_slice());
        while !times.is_empty() {
            let len = times.len().min(GROUP_ROWS - self.times.len());
            self.times.extend_from_slice(&times[..len]);
            self.values.extend_from_slice(&values[..len]);
            self.runs.push((Arc::clone(key), len));
            (times, values) = (&times[len..], &values[len..]);
            if self.times.len() == GROUP_ROWS {
                self.write_group().map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Writes what is left and the file's end, without which it is none.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn finish(mut self) -> io::Result<W> {
        self.write_group().and_then(|()| self.file.into_inner()).map_err(failed)
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.times.is_empty() {
            return Ok(());
        }
        let mut group = self.file.next_row_group()?;
        let mut at = 0;
        while let Some(mut column) = group.next_column()? {
            match at {
                0 => _ = column.typed::<Int64Type>().write_batch(&self.times, None, None)?,
                1 => _ = column.typed::<DoubleType>().write_batch(&self.values, None, None)?,
                label => write_label(&mut column, &self.labels[label - FIXED.len()], &self.runs)?,
            }
            column.close()?;
            at += 1;
        }
        group.close()?;
        self.times.clear();
        self.values.clear();
        self.runs.clear();
        Ok(())
    }
}

fn schema(labels: &[&str]) -> Result<TypePtr, ParquetError> {
    let of = |column: &str, physical, repetition, logical| {
        let built = Type::primitive_type_builder(column, physical).with_repetition(repetition);
        built.with_logical_type(logical).build().map(Arc::new)
    };
    let time = Some(LogicalType::timestamp(true, TimeUnit::MILLIS));
    let mut fields = vec![
        of(FIXED[0], Physical::INT64, Repetition::REQUIRED, time)?,
        of(FIXED[1], Physical::DOUBLE, Repetition::REQUIRED, None)?,
    ];
    for label in labels {
        fields.push(of(label, Physical::BYTE_ARRAY, Repetition::OPTIONAL, Some(LogicalType::String))?);
    }
    Type::group_type_builder("samples").with_fields(fields).build().map(Arc::new)
}

/// Writes a label of all rows; a definition level of 0 is a null.
fn write_label(
    column: &mut SerializedColumnWriter<'_>,
    name: &str,
    runs: &[(Arc<[u8]>, usize)],
) -> Result<(), ParquetError> {
    let writer = column.typed::<ByteArrayType>();
    let (mut values, mut levels): (Vec<ByteArray>, Vec<i16>) = (Vec::new(), Vec::new());
    for (key, rows) in runs {
        let value = label(key, name).map(ByteArray::from);
        let mut left = *rows;
        while left > 0 {
            let len = left.min(LABEL_ROWS - levels.len());
            levels.resize(levels.len() + len, i16::from(value.is_some()));
            if let Some(value) = &value {
                values.resize(values.len() + len, value.clone());
            }
            left -= len;
            if levels.len() == LABEL_ROWS {
                writer.write_batch(&values, Some(&levels), None)?;
                values.clear();
                levels.clear();
            }
        }
    }
    writer.write_batch(&values, Some(&levels), None).map(drop)
}

fn failed(error: ParquetError) -> io::Error {
    io::Error::other(error.to_string())
}
