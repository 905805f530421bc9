//! `GET /api/v1/export`: every stored sample of some series in a range, as CSV, in an answer of any length.
//!
//! ```text
//! timestamp,value,name,<label>,<label>,...       labels are those of all series that were chosen, by name
//! 2023-11-14T22:13:20.000Z,1.5,cpu,host-a,
//! ```
//!
//! Rows come series by series, each in order of time; values in the shortest form that reads back to the same double.
//! Staleness markers, which are no values, are left out. `infrawatch collect` reads such a file.
//!
//! Not here: which series there are.
//!
//! Invariants: memory for the compressed samples of a few series and a few pieces of text, however long the answer; a
//! peer that is gone or takes nothing for a while ends the work; an answer that was not finished ends its connection with
//! an error, so that nobody takes it for whole.

use super::Shared;
use super::answer::ApiError;
use super::parameters::Parameters;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Uri, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Frame;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use storage::sample::{Samples, is_stale};
use storage::series::{NAME_LABEL, SeriesRef, label, labels};
use storage::{ReadBuffers, SelectedSeries};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Text is handed over in pieces of about this length, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the connection.
const PIECES_MAX: usize = 4;
/// How long a connection may take none.
const STALL: Duration = Duration::from_secs(30);
/// Series whose compressed samples are read together.
const SERIES_SLICE: usize = 16;
/// Columns that every file has.
const COLUMNS: [&str; 3] = ["timestamp", "value", "name"];

/// A piece of the answer, or that it is whole.
type Piece = Option<Bytes>;

pub(super) async fn export(State(shared): State<Arc<Shared>>, uri: Uri) -> Result<Response, ApiError> {
    let parameters = Parameters::read(&uri)?;
    let sets = parameters.matchers(&shared.api.query)?;
    if sets.is_empty() {
        return Err(ApiError::field("match", "say which series, such as {__name__=~\"cpu.*\"}"));
    }
    let from_ms = parameters.time_ms("start")?.unwrap_or(i64::MIN);
    let to_ms = parameters.time_ms("end")?.unwrap_or(i64::MAX);
    let permit = Arc::clone(&shared.permits).acquire_owned().await.map_err(|error| ApiError::internal(&error))?;
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _held_until_done = permit;
        let mut out = Out { text: String::new(), pieces: sender, runtime, is_gone: false };
        let written = write(&shared, &sets, (from_ms, to_ms), &mut out);
        match written {
            Ok(()) => out.finish(),
            // The connection ends without the mark that the answer is whole.
            Err(error) => tracing::error!(%error, "an export ended early"),
        }
    });
    let body = Body::new(PieceBody { pieces, is_whole: false });
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], body).into_response())
}

fn write(
    shared: &Shared,
    sets: &[Vec<storage::label_index::Matcher>],
    (from_ms, to_ms): (i64, i64),
    out: &mut Out,
) -> Result<(), storage::StoreError> {
    let store = &shared.api.store;
    let mut found: Vec<SelectedSeries> = Vec::new();
    for set in sets {
        found.extend(store.find(set, from_ms, to_ms, &|| out.pieces.is_closed())?);
    }
    found.sort_unstable_by_key(|one| one.series.0);
    found.dedup_by_key(|one| one.series.0);
    let names: BTreeSet<&str> = found
        .iter()
        .flat_map(|one| labels(&one.key))
        .map(|(name, _)| name)
        .filter(|name| *name != NAME_LABEL)
        .collect();
    let names: Vec<&str> = names.into_iter().collect();
    out.header(&names);
    let (mut buffers, mut samples) = (ReadBuffers::default(), Samples::default());
    for partition in found.chunk_by(|a, b| a.series.partition() == b.series.partition()) {
        for slice in partition.chunks(SERIES_SLICE) {
            if out.is_gone {
                return Ok(());
            }
            let refs: Vec<SeriesRef> = slice.iter().map(|one| one.series).collect();
            store.read_many(&refs, from_ms, to_ms, &mut buffers, &mut |index, pieces| {
                pieces.read(from_ms, to_ms, &mut samples);
                out.series(&slice[index].key, &names, &samples);
            })?;
        }
    }
    Ok(())
}

/// The text under way to the connection.
struct Out {
    text: String,
    pieces: mpsc::Sender<Piece>,
    runtime: Handle,
    is_gone: bool,
}

impl Out {
    fn header(&mut self, names: &[&str]) {
        self.text.push_str(&COLUMNS.join(","));
        for name in names {
            self.text.push(',');
            // A column of a name that every file has would be read as that.
            let prefix = if COLUMNS.contains(name) { "exported_" } else { "" };
            field(&format!("{prefix}{name}"), &mut self.text);
        }
        self.text.push('\n');
    }

    fn series(&mut self, key: &[u8], names: &[&str], samples: &Samples) {
        let mut ending = ",".to_owned();
        field(label(key, NAME_LABEL).unwrap_or_default(), &mut ending);
        for name in names {
            ending.push(',');
            field(label(key, name).unwrap_or_default(), &mut ending);
        }
        ending.push('\n');
        for (time_ms, value) in samples.times.iter().zip(&samples.values).filter(|(_, value)| !is_stale(**value)) {
            row(*time_ms, *value, &mut self.text);
            self.text.push_str(&ending);
            if self.text.len() >= PIECE_BYTES && !self.is_gone {
                self.send();
            }
        }
    }

    /// Hands a piece over; waits while the connection is slow, and gives it up when it takes nothing.
    fn send(&mut self) {
        let piece = Bytes::from(std::mem::replace(&mut self.text, String::with_capacity(PIECE_BYTES + 1024)));
        let sending = self.pieces.send_timeout(Some(piece), STALL);
        self.is_gone |= self.runtime.block_on(sending).is_err();
    }

    fn finish(mut self) {
        if !self.is_gone {
            self.send();
        }
        if !self.is_gone {
            // Whoever is gone needs no mark.
            let _ = self.runtime.block_on(self.pieces.send_timeout(None, STALL));
        }
    }
}

fn row(time_ms: i64, value: f64, out: &mut String) {
    let written = match jiff::Timestamp::from_millisecond(time_ms) {
        Ok(time) => write!(out, "{time:.3}"),
        // No calendar has it.
        Err(_) => write!(out, "{time_ms}"),
    };
    let written = written.and_then(|()| match value {
        value if value == f64::INFINITY => write!(out, ",+Inf"),
        value if value == f64::NEG_INFINITY => write!(out, ",-Inf"),
        value => write!(out, ",{value}"),
    });
    written.expect("writing to a string cannot fail");
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

/// The answer ended before it was whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct CutOff;

struct PieceBody {
    pieces: mpsc::Receiver<Piece>,
    is_whole: bool,
}

impl hyper::body::Body for PieceBody {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Some(text)) => Some(Ok(Frame::data(text))),
            Some(None) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(CutOff)),
        })
    }
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
        out.clear();
        for value in [1.5, f64::NAN, f64::NEG_INFINITY, -0.0, 0.1 + 0.2] {
            row(1_700_000_000_001, value, &mut out);
            out.push('\n');
        }
        let values: Vec<&str> = out.lines().map(|line| line.split_once(',').unwrap().1).collect();
        assert_eq!(values, ["1.5", "NaN", "-Inf", "-0", "0.30000000000000004"]);
        assert!(out.starts_with("2023-11-14T22:13:20.001Z,"), "{out}");
    }
}
