//! Whole chunks: columns in, bytes out, and back.
//!
//! Cost: encoding takes about 15 ns a sample, 25 where times jitter, most of it the search for the cheapest packing;
//! decoding takes 2 to 4 ns. The samples themselves are 16 bytes and pass through the cache once each way. Measured
//! on one core of a 2023 server by `cargo bench --bench chunk`.
//!
//! Not here: the parts (see the neighbouring files).

use super::cursor::{ChunkError, Cursor};
use super::head::Head;
use super::stats::Stats;
use super::{MAX_SAMPLES, timestamps, values};
use crate::sample::STALE_NAN_BITS;

/// Encodes chunks; keeps its working memory, so that a warm one allocates nothing.
#[derive(Debug, Default)]
pub struct Encoder {
    integers: Vec<i64>,
    scratch: values::Scratch,
    value_column: Vec<u8>,
}

impl Encoder {
    /// Appends one chunk of these samples to `out`.
    ///
    /// # Panics
    /// When the columns differ in length, hold no sample or more than [`MAX_SAMPLES`], or times (milliseconds) do not
    /// strictly ascend: sealing sorts and cuts before it comes here.
    pub fn encode(&mut self, times: &[i64], values: &[f64], out: &mut Vec<u8>) {
        assert_eq!(times.len(), values.len(), "columns of a chunk have one length");
        assert!((1..=MAX_SAMPLES).contains(&times.len()), "a chunk holds 1 to {MAX_SAMPLES} samples");
        let step_ms = timestamps::even_step(times);
        let stats = Stats::of(times, values);
        let shape = values::encode(values, stats.first, &mut self.scratch, &mut self.value_column);
        Head { stats, step_ms, shape }.write(out);
        if step_ms.is_none() {
            timestamps::encode(times, &mut self.integers, out);
        }
        out.extend_from_slice(&self.value_column);
    }
}

/// Appends one chunk to `out`, as [`Encoder::encode`] does, with working memory of its own: for single chunks.
///
/// # Panics
/// As [`Encoder::encode`].
pub fn encode(times: &[i64], values: &[f64], out: &mut Vec<u8>) {
    Encoder::default().encode(times, values, out);
}

/// Appends the samples of one chunk, which takes up all of `bytes`. On an error nothing is appended.
///
/// Times (milliseconds) of a chunk that decodes strictly ascend; there are at most [`MAX_SAMPLES`].
pub fn decode(bytes: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), ChunkError> {
    let before = (times.len(), values.len());
    decode_columns(bytes, times, values).inspect_err(|_| {
        times.truncate(before.0);
        values.truncate(before.1);
    })
}

fn decode_columns(bytes: &[u8], times: &mut Vec<i64>, values: &mut Vec<f64>) -> Result<(), ChunkError> {
    let mut cursor = Cursor::new(bytes);
    let (Head { stats, step_ms, shape }, origin) = Head::read(&mut cursor)?;
    let count = stats.count as usize;
    times.reserve(count);
    values.reserve(count);
    timestamps::decode(&mut cursor, count, (stats.start_ms, stats.end_ms), step_ms, times)?;
    let first = if stats.stale == stats.count { f64::from_bits(STALE_NAN_BITS) } else { stats.first };
    values::decode(&mut cursor, count, shape, (first, origin), values)?;
    cursor.finish()
}

/// The statistics of the chunk at the start of `bytes`, from its head alone.
pub fn stats(bytes: &[u8]) -> Result<Stats, ChunkError> {
    Head::read(&mut Cursor::new(bytes)).map(|(head, _)| head.stats)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "one length")]
    fn columns_of_different_lengths_are_the_callers_mistake() {
        encode(&[1, 2], &[1.0], &mut Vec::new());
    }

    #[test]
    #[should_panic(expected = "1 to 8192 samples")]
    fn an_empty_chunk_is_the_callers_mistake() {
        encode(&[], &[], &mut Vec::new());
    }

    #[test]
    fn chunks_are_appended_and_samples_are_too() {
        let (mut out, mut times, mut values) = (vec![9], vec![1], vec![0.5]);
        encode(&[5, 6], &[2.0, 3.0], &mut out);
        assert_eq!(stats(&out[1..]).map(|stats| stats.sum), Ok(5.0));
        decode(&out[1..], &mut times, &mut values).unwrap();
        assert_eq!((times, values), (vec![1, 5, 6], vec![0.5, 2.0, 3.0]));
    }

    #[test]
    fn an_error_in_the_last_byte_leaves_no_samples_behind() {
        let mut out = Vec::new();
        encode(&[5, 6, 8], &[2.0, 3.0, 3.5], &mut out);
        let (mut times, mut values) = (vec![1], vec![0.5]);
        let cut = &out[..out.len() - 1];
        assert_eq!(decode(cut, &mut times, &mut values), Err(ChunkError::Truncated));
        assert_eq!((times, values), (vec![1], vec![0.5]));
    }

    #[test]
    fn the_longest_chunk_comes_back() {
        let times: Vec<i64> = (0..MAX_SAMPLES as i64).map(|i| i * i).collect();
        let sent: Vec<f64> = times.iter().map(|time| *time as f64 / 8.0).collect();
        let (mut out, mut read_times, mut read) = (Vec::new(), Vec::new(), Vec::new());
        encode(&times, &sent, &mut out);
        decode(&out, &mut read_times, &mut read).unwrap();
        assert_eq!((read_times, read), (times, sent));
    }
}
