//! A remote write body becomes protobuf bytes: snappy block format (not framed), never more than the limit allows.
//!
//! Not here: how many compressed bytes a server accepts, which it knows before it has read them.
//!
//! The claimed length is the only thing a few hostile bytes can inflate, so it is judged before memory is touched:
//! against the caller's limit, and against what a block of this size can hold at all.
//!
//! Cost: about 0.2 ns a byte of output (`cargo bench --bench parse`, case `floor`), of which zeroing memory is next to
//! none when the caller lends the same buffer again.

use crate::ParseError;

/// The best that snappy can do: a copy element of three bytes stands for at most 64 bytes of output.
const BYTES_PER_COPY: u64 = 64;
const COPY_ELEMENT_BYTES: u64 = 3;

/// Replaces the contents of `out` by the decompressed body.
///
/// Hand in the same `out` each time, uncleared: what it still holds need not be zeroed again. After an error its
/// contents are unspecified.
///
/// Errors: [`ParseError::BodyTooLarge`] when the body claims more than `limit_bytes`, [`ParseError::NotSnappy`] when
/// it is not one whole snappy block. `out` has not grown in the first case, nor where the claim is impossible.
pub fn decompress(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), ParseError> {
    let claimed_bytes = snap::raw::decompress_len(body).map_err(|_| ParseError::NotSnappy)?;
    if claimed_bytes > limit_bytes {
        return Err(ParseError::BodyTooLarge { claimed_bytes: claimed_bytes as u64 });
    }
    if claimed_bytes as u64 * COPY_ELEMENT_BYTES > body.len() as u64 * BYTES_PER_COPY {
        return Err(ParseError::NotSnappy);
    }
    out.resize(claimed_bytes, 0);
    // The decoder fails unless it fills `out` exactly.
    snap::raw::Decoder::new().decompress(body, out).map_err(|_| ParseError::NotSnappy)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(bytes: &[u8]) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(bytes).unwrap()
    }

    #[test]
    fn a_body_replaces_what_the_buffer_held() {
        let mut out = b"longer than what follows".to_vec();
        decompress(&compress(b"short"), 5, &mut out).unwrap();
        assert_eq!(out, b"short");
        decompress(&compress(b""), 5, &mut out).unwrap();
        assert_eq!(out, b"");
    }

    #[test]
    fn a_claim_above_the_limit_is_refused_before_memory_is_touched() {
        let mut out = Vec::new();
        let four_gib = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0];
        let refused = decompress(&four_gib, 1 << 20, &mut out);
        assert_eq!(refused, Err(ParseError::BodyTooLarge { claimed_bytes: u64::from(u32::MAX) }));
        let body = compress(&[b'x'; 101]);
        assert_eq!(decompress(&body, 100, &mut out), Err(ParseError::BodyTooLarge { claimed_bytes: 101 }));
        assert_eq!(out.capacity(), 0);
        assert_eq!(decompress(&body, 101, &mut out), Ok(()));
    }

    #[test]
    fn a_claim_no_block_of_this_size_can_hold_is_refused_before_memory_is_touched() {
        let mut out = Vec::new();
        let one_gib = [0x80, 0x80, 0x80, 0x80, 0x04, 0, 0];
        assert_eq!(decompress(&one_gib, usize::MAX, &mut out), Err(ParseError::NotSnappy));
        assert_eq!(out.capacity(), 0);
        let zeros = vec![0; 1 << 20];
        decompress(&compress(&zeros), 1 << 20, &mut out).unwrap();
        assert_eq!(out, zeros, "the best compression there is stays legal");
    }

    #[test]
    fn what_is_not_one_whole_block_is_refused() {
        let mut out = Vec::new();
        let body = compress(b"some bytes, then the same, some bytes, then the same, some bytes");
        for len in 0..body.len() {
            assert_eq!(decompress(&body[..len], 1 << 10, &mut out), Err(ParseError::NotSnappy), "cut to {len}");
        }
        let framed = b"\xff\x06\x00\x00sNaPpY";
        assert_eq!(decompress(framed, 1 << 10, &mut out), Err(ParseError::NotSnappy));
        assert_eq!(decompress(b"\x01\x04ab", 1 << 10, &mut out), Err(ParseError::NotSnappy), "more than claimed");
    }
}
