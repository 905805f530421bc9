//! `GET /api/v1/export`: every stored sample of some series in a range, as CSV or Parquet, in an answer of any length.
//!
//! ```text
//! timestamp,value,name,<label>,<label>,...       labels are those of all series that were chosen, by name
//! 2023-11-14T22:13:20.000Z,1.5,cpu,host-a,
//! ```
//!
//! Rows come series by series, each in order of time; values in the shortest form that reads back to the same double.
//! Staleness markers, which are no values, are left out. `infrawatch collect` reads such a file. A Parquet file has the
//! same rows and columns.
//!
//! Not here: which series there are, the bytes of Parquet (see `storage::ParquetFile`).
//!
//! Invariants: memory for the compressed samples of a few series and a few pieces of the answer, however long that is; a
//! peer that is gone or takes nothing for a while ends the work; an answer that was not finished ends its connection with
//! an error, so that nobody takes it for whole.

use super::Shared;
use super::answer::ApiError;
use super::parameters::Parameters;
use crate::api::pieces::{self, Piece};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;
use storage::label_index::Matcher;
use storage::sample::{Samples, is_stale};
use storage::series::{NAME_LABEL, SeriesRef, label, labels};
use storage::{ReadBuffers, SelectedSeries, Store};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// The answer is handed over in pieces of about this length, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the connection.
const PIECES_MAX: usize = 4;
/// How long a connection may take none.
const STALL: Duration = Duration::from_secs(30);
/// Series whose compressed samples are read together.
const SERIES_SLICE: usize = 16;
/// Columns that every file has.
const COLUMNS: [&str; 3] = ["timestamp", "value", "name"];

/// What the answer is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FileFormat {
    Csv,
    #[cfg(feature = "parquet")]
    Parquet,
}

impl FileFormat {
    fn read(parameters: &Parameters) -> Result<Self, ApiError> {
        #[cfg(feature = "parquet")]
        let parquet = Ok(Self::Parquet);
        #[cfg(not(feature = "parquet"))]
        let parquet = Err("this server was built without the feature parquet (cargo build --features parquet)");
        let word = parameters.word("format", &[("csv", Ok(Self::Csv)), ("parquet", parquet)])?;
        word.unwrap_or(Ok(Self::Csv)).map_err(|what: &str| ApiError::field("format", what))
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            #[cfg(feature = "parquet")]
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

pub(super) async fn export(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let format = FileFormat::read(&parameters)?;
    let sets = parameters.matchers(&shared.api.query)?;
    if sets.is_empty() {
        return Err(ApiError::field("match", "say which series, such as {__name__=~\"cpu.*\"}"));
    }
    let from_ms = parameters.time_ms("start")?.unwrap_or(i64::MIN);
    let to_ms = parameters.time_ms("end")?.unwrap_or(i64::MAX);
    let permit = Arc::clone(&shared.exports).acquire_owned().await.map_err(|error| ApiError::internal(&error))?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _held_until_done = permit;
        let mut out = Out { bytes: Vec::new(), pieces: sender, runtime };
        let written = Chosen::find(&shared.api.store, &sets, (from_ms, to_ms), &out).and_then(|chosen| match format {
            FileFormat::Csv => chosen.write_csv(&mut out),
            #[cfg(feature = "parquet")]
            FileFormat::Parquet => chosen.write_parquet(&mut out),
        });
        match written.and_then(|()| out.finish()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => tracing::debug!("nobody takes an export any more"),
            // The connection ends without the mark that the answer is whole.
            Err(error) => tracing::error!(%error, "an export ended early"),
            Ok(()) => {}
        }
    });
    Ok(([(header::CONTENT_TYPE, format.content_type())], pieces::body(pieces, ())).into_response())
}

/// What was asked for.
struct Chosen<'a> {
    store: &'a Store,
    found: Vec<SelectedSeries>,
    from_ms: i64,
    to_ms: i64,
}

impl<'a> Chosen<'a> {
    fn find(store: &'a Store, sets: &[Vec<Matcher>], (from_ms, to_ms): (i64, i64), out: &Out) -> io::Result<Self> {
        let mut found: Vec<SelectedSeries> = Vec::new();
        for set in sets {
            found.extend(store.find(set, from_ms, to_ms, &|| out.pieces.is_closed()).map_err(io::Error::other)?);
        }
        found.sort_unstable_by_key(|one| one.series.0);
        found.dedup_by_key(|one| one.series.0);
        Ok(Self { store, found, from_ms, to_ms })
    }

    /// The labels of all, each with the name of its column; the metric's name first.
    fn columns(&self) -> Vec<(&str, Cow<'_, str>)> {
        let names: BTreeSet<&str> = self.found.iter().flat_map(|one| labels(&one.key)).map(|(name, _)| name).collect();
        let others = names.into_iter().filter(|name| *name != NAME_LABEL);
        let others = others.map(|name| match COLUMNS.contains(&name) {
            // A column of a name that every file has would be read as that.
            true => (name, Cow::Owned(format!("exported_{name}"))),
            false => (name, Cow::Borrowed(name)),
        });
        std::iter::once((NAME_LABEL, Cow::Borrowed(COLUMNS[2]))).chain(others).collect()
    }

    /// Gives `each` the key and the samples of every series until it fails.
    fn each_series(&self, mut each: impl FnMut(&Arc<[u8]>, &Samples) -> io::Result<()>) -> io::Result<()> {
        let (mut buffers, mut samples) = (ReadBuffers::default(), Samples::default());
        let mut outcome = Ok(());
        for partition in self.found.chunk_by(|a, b| a.series.partition() == b.series.partition()) {
            for slice in partition.chunks(SERIES_SLICE) {
                let refs: Vec<SeriesRef> = slice.iter().map(|one| one.series).collect();
                let read = self.store.read_many(&refs, self.from_ms, self.to_ms, &mut buffers, &mut |index, pieces| {
                    if outcome.is_ok() {
                        pieces.read(self.from_ms, self.to_ms, &mut samples);
                        leave_out_stale(&mut samples);
                        outcome = each(&slice[index].key, &samples);
                    }
                });
                read.map_err(io::Error::other)?;
                std::mem::replace(&mut outcome, Ok(()))?;
            }
        }
        Ok(())
    }

    fn write_csv(&self, out: &mut Out) -> io::Result<()> {
        let columns = self.columns();
        let mut text = COLUMNS[..2].join(",");
        for (_, column) in &columns {
            text.push(',');
            field(column, &mut text);
        }
        text.push('\n');
        out.write_all(text.as_bytes())?;
        self.each_series(|key, samples| {
            let mut ending = String::new();
            for (name, _) in &columns {
                ending.push(',');
                field(label(key, name).unwrap_or_default(), &mut ending);
            }
            ending.push('\n');
            for (time_ms, value) in samples.times.iter().zip(&samples.values) {
                row(*time_ms, *value, out)?;
                out.write_all(ending.as_bytes())?;
            }
            Ok(())
        })
    }

    #[cfg(feature = "parquet")]
    fn write_parquet(&self, out: &mut Out) -> io::Result<()> {
        let columns = self.columns();
        let columns: Vec<(&str, &str)> = columns.iter().map(|(label, column)| (*label, column.as_ref())).collect();
        let mut file = storage::ParquetFile::begin(out, &columns)?;
        self.each_series(|key, samples| file.add(key, samples))?;
        file.finish().map(drop)
    }
}

fn leave_out_stale(samples: &mut Samples) {
    if samples.values.iter().any(|value| is_stale(*value)) {
        let kept = samples.times.iter().zip(&samples.values).filter(|(_, value)| !is_stale(**value));
        let (times, values) = kept.map(|(time_ms, value)| (*time_ms, *value)).unzip();
        *samples = Samples { times, values };
    }
}

/// The answer under way to the connection.
struct Out {
    bytes: Vec<u8>,
    pieces: mpsc::Sender<Piece>,
    runtime: Handle,
}

impl Out {
    /// Hands a piece over; waits while the connection is slow, and gives it up when it takes nothing.
    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let sent = self.runtime.block_on(self.pieces.send_timeout(piece, STALL));
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    }

    /// Hands over what is left, and the mark that it is all.
    fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Piece::End)
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.bytes, Vec::with_capacity(PIECE_BYTES + 1024));
        self.send(Piece::Bytes(Bytes::from(piece)))
    }
}

fn row(time_ms: i64, value: f64, out: &mut impl Write) -> io::Result<()> {
    match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(time) => write!(out, "{time:.3}")?,
        // No calendar has it.
        Err(_) => write!(out, "{time_ms}")?,
    }
    match value {
        value if value == f64::INFINITY => write!(out, ",+Inf"),
        value if value == f64::NEG_INFINITY => write!(out, ",-Inf"),
        value => write!(out, ",{value}"),
    }
}

/// A field as RFC 4180 has it.
fn field(text: &str, out: &mut String) {
    if !text.contains([',', '"', '\n', '\r']) {
        return out.push_str(text);
    }
    out.push('"');
    out.push_str(&text.replace('"', "\"\""));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_rows_are_written_as_csv_has_them() {
        let mut out = String::new();
        field("plain", &mut out);
        field("a,\"b\"", &mut out);
        assert_eq!(out, "plain\"a,\"\"b\"\"\"");
        let mut rows = Vec::new();
        for value in [1.5, f64::NAN, f64::NEG_INFINITY, -0.0, 0.1 + 0.2] {
            row(1_700_000_000_001, value, &mut rows).unwrap();
            rows.push(b'\n');
        }
        let out = String::from_utf8(rows).unwrap();
        let values: Vec<&str> = out.lines().map(|line| line.split_once(',').unwrap().1).collect();
        assert_eq!(values, ["1.5", "NaN", "-Inf", "-0", "0.30000000000000004"]);
        assert!(out.starts_with("2023-11-14T22:13:20.001Z,"), "{out}");
    }
}
