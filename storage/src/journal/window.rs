//! A window that slides over a segment and finds whole records in it, in bounded memory.
//!
//! Not here: what is made of damage (see `replay`).
//!
//! Invariant: the buffer never holds more than one record of the maximal length and one read.

use super::record::{HEADER_BYTES, Header, MARKER};
use std::fs::File;
use std::io::{self, Read};

/// How much is read at once.
const READ_BYTES: usize = 256 << 10;

/// Bytes of a file from an offset that only grows.
#[derive(Debug)]
pub(super) struct Window {
    file: File,
    /// Where in the file reading stops.
    end: u64,
    /// Where in the file the buffer begins.
    buffer_at: u64,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are behind the window.
    consumed: usize,
}

impl Window {
    /// A window at the beginning of `file`, which ends at `end`.
    pub(super) fn new(file: File, end: u64) -> Self {
        Self { file, end, buffer_at: 0, buffer: Vec::new(), consumed: 0 }
    }

    /// Moves the end forward, before anything was read.
    pub(super) fn end_at(&mut self, end: u64) {
        self.end = end;
    }

    /// Where in the file the window is.
    pub(super) fn offset(&self) -> u64 {
        self.buffer_at + self.consumed as u64
    }

    /// The next `bytes` bytes or, near the end, as many as there are.
    pub(super) fn peek(&mut self, bytes: usize) -> io::Result<&[u8]> {
        if self.buffer.len() - self.consumed < bytes {
            self.read(bytes)?;
        }
        let ahead = &self.buffer[self.consumed..];
        Ok(&ahead[..bytes.min(ahead.len())])
    }

    /// Steps over bytes that were peeked at.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.consumed += bytes;
        debug_assert!(self.consumed <= self.buffer.len());
    }

    /// Moves to the next whole record and returns its header; `None` at the end.
    pub(super) fn find_record(&mut self) -> io::Result<Option<Header>> {
        while !self.peek(1)?.is_empty() {
            if let Some(header) = Header::read(self.peek(HEADER_BYTES)?)
                && header.checks(self.peek(header.record_bytes())?)
            {
                return Ok(Some(header));
            }
            self.skip_to_marker();
        }
        Ok(None)
    }

    /// Steps to the next byte in the buffer that a record could begin with; at least over one.
    fn skip_to_marker(&mut self) {
        let ahead = &self.buffer[self.consumed + 1..];
        self.consumed += 1 + ahead.iter().position(|byte| *byte == MARKER[0]).unwrap_or(ahead.len());
    }

    /// Reads until `bytes` lie ahead, or the end.
    fn read(&mut self, bytes: usize) -> io::Result<()> {
        self.buffer.drain(..self.consumed);
        self.buffer_at += self.consumed as u64;
        self.consumed = 0;
        let unread = self.end - self.buffer_at - self.buffer.len() as u64;
        let wanted = (bytes - self.buffer.len()).max(READ_BYTES) as u64;
        (&self.file).take(wanted.min(unread)).read_to_end(&mut self.buffer)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{self, Kind};
    use super::*;
    use std::io::Write;

    fn window(bytes: &[u8]) -> Window {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        io::Seek::rewind(&mut file).unwrap();
        Window::new(file, bytes.len() as u64)
    }

    fn push_record(out: &mut Vec<u8>, seq: u64, payload_bytes: usize) {
        let start = record::begin(out);
        out.resize(out.len() + payload_bytes, MARKER[0]);
        record::finish(out, start, Kind::Samples, seq);
    }

    fn offsets(bytes: &[u8]) -> Vec<(u64, u64)> {
        let mut window = window(bytes);
        let mut found = Vec::new();
        while let Some(header) = window.find_record().unwrap() {
            found.push((window.offset(), header.seq));
            window.consume(header.record_bytes());
        }
        found
    }

    #[test]
    fn records_longer_than_a_read_and_on_its_edges_are_found() {
        let mut bytes = Vec::new();
        for (seq, payload) in [READ_BYTES - HEADER_BYTES - 3, 0, 5, 3 * READ_BYTES, 1].into_iter().enumerate() {
            push_record(&mut bytes, seq as u64, payload);
        }
        assert_eq!(offsets(&bytes).iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_record_behind_rubbish_is_found_wherever_it_begins() {
        for rubbish in [0, 1, 20, READ_BYTES - 30, READ_BYTES - 3, READ_BYTES, READ_BYTES + 1] {
            let mut bytes = MARKER.iter().copied().cycle().take(rubbish).collect();
            push_record(&mut bytes, 9, 40);
            assert_eq!(offsets(&bytes), [(rubbish as u64, 9)], "{rubbish} bytes of rubbish");
        }
    }

    #[test]
    fn a_record_that_reaches_beyond_the_end_is_none() {
        let mut bytes = Vec::new();
        push_record(&mut bytes, 9, 40);
        let mut window = window(&bytes);
        window.end_at(bytes.len() as u64 - 1);
        assert!(window.find_record().unwrap().is_none());
    }

    #[test]
    fn memory_stays_bounded_however_long_the_file() {
        let mut bytes = vec![0; 20 * READ_BYTES];
        push_record(&mut bytes, 1, 100);
        let mut window = window(&bytes);
        assert!(window.find_record().unwrap().is_some());
        assert!(window.buffer.capacity() <= 3 * READ_BYTES, "{} bytes", window.buffer.capacity());
    }
}
