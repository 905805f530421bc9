//! Bytes that several batches read in place and that go back to a pool when the last of them is done.
//!
//! A request's decompressed body is half a MiB for 2000 samples. Kept and lent again it is neither zeroed nor mapped
//! anew, and the keys in it are looked up where they lie, without a copy for each batch.
//!
//! Not here: how much all requests may hold together (see `ingest::body`).
//!
//! Invariant: the pool keeps at most `buffers_max` buffers of at most [`BUFFER_BYTES_MAX`] each.

use crossbeam_channel::{Receiver, Sender, bounded};
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Larger buffers are freed, not kept: few requests are so large, and all buffers could grow to it.
const BUFFER_BYTES_MAX: usize = 2 << 20;

/// Buffers that wait to be used again, with whatever they held last.
#[derive(Debug, Clone)]
pub struct BytesPool {
    free: Receiver<Vec<u8>>,
    used: Sender<Vec<u8>>,
}

impl BytesPool {
    /// A pool that keeps at most `buffers_max`; more are freed.
    pub fn new(buffers_max: usize) -> Self {
        let (used, free) = bounded(buffers_max);
        Self { free, used }
    }

    /// A buffer with rubbish in it, or an empty one.
    pub fn take(&self) -> Vec<u8> {
        self.free.try_recv().unwrap_or_default()
    }

    /// Makes a buffer readable by many; it comes back when all are done.
    pub fn share(&self, bytes: Vec<u8>) -> SharedBytes {
        SharedBytes(Arc::new(Pooled { bytes, home: self.used.clone() }))
    }
}

/// Bytes that never change, shared by reference.
#[derive(Debug, Clone)]
pub struct SharedBytes(Arc<Pooled>);

#[derive(Debug)]
struct Pooled {
    bytes: Vec<u8>,
    home: Sender<Vec<u8>>,
}

impl SharedBytes {
    /// Where in these bytes `part` lies, when it lies in them; by address, so nothing is compared.
    #[inline]
    pub(super) fn place_of(&self, part: &[u8]) -> Option<Range<u32>> {
        let start = part.as_ptr().addr().wrapping_sub(self.as_ptr().addr());
        let end = start.checked_add(part.len()).filter(|end| *end <= self.len())?;
        Some(u32::try_from(start).ok()?..u32::try_from(end).ok()?)
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if self.bytes.capacity() <= BUFFER_BYTES_MAX {
            // A full pool frees the buffer, which is right: there are enough.
            let _ = self.home.try_send(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_reader_is_done() {
        let pool = BytesPool::new(1);
        let shared = pool.share(b"abc".to_vec());
        let other = shared.clone();
        drop(shared);
        assert_eq!(pool.take(), b"");
        drop(other);
        assert_eq!(pool.take(), b"abc");
        drop(pool.share(vec![0; BUFFER_BYTES_MAX + 1]));
        assert_eq!(pool.take().capacity(), 0, "too large to be kept");
    }

    #[test]
    fn a_part_is_found_by_where_it_lies() {
        let pool = BytesPool::new(1);
        let shared = pool.share(b"abcabc".to_vec());
        assert_eq!(shared.place_of(&shared[3..5]), Some(3..5));
        assert_eq!(shared.place_of(&shared), Some(0..6));
        assert_eq!(shared.place_of(b"abc".to_vec().as_slice()), None);
    }
}
