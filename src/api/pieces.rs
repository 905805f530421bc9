//! The body of an answer that is handed over in pieces while it is written.
//!
//! Not here: writing the pieces (see `prometheus::out`, `rest::export`).
//!
//! Invariant: an answer that was not finished ends its connection with an error, so that nobody takes it for whole.

use axum::body::{Body, Bytes};
use hyper::body::Frame;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// A part of an answer, or the mark that it is whole.
#[derive(Debug)]
pub(super) enum Piece {
    Bytes(Bytes),
    End,
}

/// The answer ended before it was whole.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
struct CutOff;

struct PieceBody<G> {
    pieces: mpsc::Receiver<Piece>,
    is_whole: bool,
    _guard: G,
}

/// A body of these pieces; `guard` lives until the last one is sent or the reader is gone.
pub(super) fn body<G: Send + Unpin + 'static>(pieces: mpsc::Receiver<Piece>, guard: G) -> Body {
    Body::new(PieceBody { pieces, is_whole: false, _guard: guard })
}

impl<G: Unpin> hyper::body::Body for PieceBody<G> {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        if self.is_whole {
            return Poll::Ready(None);
        }
        self.pieces.poll_recv(context).map(|piece| match piece {
            Some(Piece::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Piece::End) => {
                self.is_whole = true;
                None
            }
            None => Some(Err(CutOff)),
        })
    }
}
