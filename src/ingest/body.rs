//! Takes request bodies in, within the room that all write requests share.
//!
//! Not here: what a body holds.
//!
//! Invariant: the bodies in work at a time never claim more than `in_flight_bytes` together.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How long a sender may take to send a body, and how long a request waits for room.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of a request, and of all requests in work at a time.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Compressed, of one request.
    pub body_bytes: usize,
    /// Decompressed, of one request.
    pub decompressed_bytes: usize,
    /// Compressed and decompressed, of all requests together.
    pub in_flight_bytes: usize,
}

/// The room for bodies; one for all sources.
#[derive(Debug)]
pub struct Bodies {
    limits: BodyLimits,
    room_kib: Semaphore,
}

/// Why a body was not taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BodyError {
    TooLarge(usize),
    Slow,
    NoRoom,
}

impl Bodies {
    /// Room within these limits.
    pub fn new(limits: BodyLimits) -> Self {
        Self { limits, room_kib: Semaphore::new(limits.in_flight_bytes.div_ceil(1024)) }
    }

    pub(super) fn limits(&self) -> BodyLimits {
        self.limits
    }

    /// Reads a body whole; the permit is to be held as long as the body or what was decoded from it.
    pub(super) async fn read(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(Bytes, SemaphorePermit<'_>), BodyError> {
        let limits = self.limits;
        let claimed_bytes = content_length(headers).unwrap_or(limits.body_bytes);
        if claimed_bytes > limits.body_bytes {
            return Err(BodyError::TooLarge(limits.body_bytes));
        }
        // Room for the body and, since snappy seldom does better, for four times as much decompressed.
        let kib = (claimed_bytes * 5).clamp(1024, limits.in_flight_bytes).div_ceil(1024) as u32;
        let room = tokio::time::timeout(PATIENCE, self.room_kib.acquire_many(kib)).await;
        let room = room.map_err(|_| BodyError::NoRoom)?.map_err(|_| BodyError::NoRoom)?;
        let body = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, limits.body_bytes)).await;
        let body = body.map_err(|_| BodyError::Slow)?.map_err(|_| BodyError::TooLarge(limits.body_bytes))?;
        Ok((body, room))
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
