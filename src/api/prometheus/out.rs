//! Where the text of an answer goes: into memory while it is short, and piece by piece to the connection once it is
//! long, so that an answer of any length takes a few pieces of memory.
//!
//! Not here: what is written (see `envelope`).
//!
//! Invariants: at most `PIECES_MAX + 1` pieces exist at a time; a reader that takes none for `STALL` is given up, sooner
//! while others wait for its place, and one that has made the answer wait for longer than a query may take; an answer that was not finished ends its connection
//! with an error, so that nobody takes it for whole.

use crate::api::pieces::{self, Piece};
use crate::clock;
use crate::query::Keeping;
use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// A text is cut into pieces of about this length, in bytes.
const PIECE_BYTES: usize = 64 << 10;
/// Pieces that wait for the connection.
const PIECES_MAX: usize = 4;
/// How long a connection may take none.
const STALL: Duration = Duration::from_secs(10);
/// The same while no place among the writers is free: a thousand stuck readers shall not keep all others waiting.
const STALL_IN_CROWD: Duration = Duration::from_secs(2);

/// How an answer begins, and for most how it ends too.
#[derive(Debug)]
pub(super) enum Begun {
    /// All of a short one.
    Whole(Bytes),
    /// The pieces of a long one.
    Pieces(mpsc::Receiver<Piece>),
}

/// A text under way.
#[derive(Debug)]
pub(super) struct Out {
    text: String,
    /// Who waits for the beginning; none once it has begun, or if the text stays in memory.
    begin: Option<oneshot::Sender<Begun>>,
    pieces: Option<mpsc::Sender<Piece>>,
    is_gone: bool,
    /// Places among those that write; none if the text stays in memory.
    places: Option<Arc<Semaphore>>,
    /// How much longer the connection may make the answer wait.
    patience: Duration,
    /// Takes the text too, to be kept.
    keeping: Option<Keeping>,
}

impl Deref for Out {
    type Target = String;

    fn deref(&self) -> &String {
        &self.text
    }
}

impl DerefMut for Out {
    fn deref_mut(&mut self) -> &mut String {
        &mut self.text
    }
}

impl Out {
    /// A text that stays in memory, for answers known to be short.
    pub(super) fn whole() -> Self {
        let (text, patience) = (String::new(), Duration::ZERO);
        Self { text, begin: None, pieces: None, is_gone: false, places: None, patience, keeping: None }
    }

    /// A text whose beginning goes to `begin`, and whose rest may wait so long for the connection; it holds one of the
    /// `places`.
    pub(super) fn to(begin: oneshot::Sender<Begun>, patience: Duration, places: Arc<Semaphore>) -> Self {
        Self { begin: Some(begin), patience, places: Some(places), ..Self::whole() }
    }

    /// Has the text kept once it is whole.
    pub(super) fn keep(&mut self, keeping: Keeping) {
        self.keeping = Some(keeping);
    }

    /// The text, which is whole and has stayed in memory.
    pub(super) fn into_text(mut self) -> Bytes {
        let text = Bytes::from(std::mem::take(&mut self.text));
        self.kept_with(&text);
        text
    }

    /// Has the whole text kept, of which this is the last piece.
    fn kept_with(&mut self, last: &Bytes) {
        if let Some(mut keeping) = self.keeping.take() {
            keeping.add(last);
            keeping.finish();
        }
    }

    /// Hands on what is written once it is a piece; false when nobody takes it any more.
    #[inline]
    pub(super) fn breathe(&mut self) -> bool {
        if self.text.len() >= PIECE_BYTES && (self.begin.is_some() || self.pieces.is_some()) {
            self.hand_on();
        }
        !self.is_gone
    }

    fn hand_on(&mut self) {
        if let Some(begin) = self.begin.take() {
            let (sender, receiver) = mpsc::channel(PIECES_MAX);
            self.is_gone = begin.send(Begun::Pieces(receiver)).is_err();
            self.pieces = Some(sender);
        }
        let text = std::mem::replace(&mut self.text, String::with_capacity(PIECE_BYTES + PIECE_BYTES / 8));
        let text = Bytes::from(text);
        if let Some(keeping) = &mut self.keeping {
            keeping.add(&text);
        }
        self.send(Piece::Bytes(text));
    }

    fn send(&mut self, piece: Piece) {
        let Some(pieces) = self.pieces.as_ref().filter(|_| !self.is_gone) else { return };
        let before = clock::monotonic();
        let most = STALL.min(self.patience);
        let room = Handle::current().block_on(async {
            loop {
                let step = STALL_IN_CROWD.min(most.saturating_sub(before.elapsed()));
                match tokio::time::timeout(step, pieces.reserve()).await {
                    Ok(room) => break room.ok(),
                    Err(_) if before.elapsed() >= most || self.is_crowded() => break None,
                    Err(_) => {}
                }
            }
        });
        self.is_gone = room.is_none();
        if let Some(room) = room {
            room.send(piece);
        }
        self.patience = self.patience.saturating_sub(before.elapsed());
    }

    /// Whether others may be waiting for a place to write from.
    fn is_crowded(&self) -> bool {
        self.places.as_ref().is_some_and(|places| places.available_permits() == 0)
    }

    /// Ends the answer.
    pub(super) fn finish(mut self) {
        match self.begin.take() {
            // Whoever asked may have left; then nothing remains to be done.
            Some(begin) => drop(begin.send(Begun::Whole(self.into_text()))),
            None => {
                self.hand_on();
                // Before its end is told, so that whoever has read it and asks again is given it; of what nobody took the
                // rest was not written.
                if !self.is_gone {
                    self.kept_with(&Bytes::new());
                }
                self.send(Piece::End);
            }
        }
    }
}

/// The response of an answer that has begun; `guard` lives until its last piece is sent or the reader is gone.
pub(super) fn response<G: Send + Unpin + 'static>(begun: Begun, guard: G) -> Response {
    let body = match begun {
        Begun::Whole(text) => Body::from(text),
        Begun::Pieces(pieces) => pieces::body(pieces, guard),
    };
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
