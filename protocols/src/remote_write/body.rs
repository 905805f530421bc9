//! A remote write body becomes protobuf bytes: a snappy block (not framed), or a frame of zstd as VictoriaMetrics' agent
//! sends it; never more than the limit allows.
//!
//! Not here: how many compressed bytes a server accepts, which it knows before it has read them.
//!
//! The claimed length is the only thing a few hostile bytes can inflate, so it is judged before memory is touched:
//! against the caller's limit, and against what a block of this size can hold at all.
//!
//! Cost: about 0.2 ns a byte of output (`cargo bench --bench parse`, case `floor`), of which zeroing memory is next to
//! none when the caller lends the same buffer again. zstd costs several times as much and is for senders that pay for
//! their traffic.

use crate::ParseError;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::FrameDecoderError;
use std::io::Read;

/// The best that snappy can do: a copy element of three bytes stands for at most 64 bytes of output.
const BYTES_PER_COPY: u64 = 64;
const COPY_ELEMENT_BYTES: u64 = 3;
/// The window that every decoder of zstd should support (RFC 8878, 3.1.1.1.2).
const LEAST_WINDOW_BYTES: u64 = 8 << 20;

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

/// The same for a body that is one frame of zstd (RFC 8878). Its checksum, if it has one, is not compared.
///
/// Errors: [`ParseError::BodyTooLarge`] when it holds more than `limit_bytes`, or wants to look back further;
/// [`ParseError::NotZstd`] when it is not one whole frame. `out` grows with what was decoded, not with what was claimed.
pub fn decompress_zstd(body: &[u8], limit_bytes: usize, out: &mut Vec<u8>) -> Result<(), ParseError> {
    out.clear();
    let too_large = |bytes: u64| ParseError::BodyTooLarge { claimed_bytes: bytes };
    let mut rest = body;
    // What the decoder keeps to look back on is no larger than what it may give, or than the least it has to accept.
    let window_max = (limit_bytes as u64).max(LEAST_WINDOW_BYTES);
    let decoder = StreamingDecoder::new_with_max_window_size(&mut rest, window_max).map_err(|error| match error {
        FrameDecoderError::WindowSizeTooBig { requested, .. } => too_large(requested),
        _ => ParseError::NotZstd,
    })?;
    decoder.take(limit_bytes as u64 + 1).read_to_end(out).map_err(|_| ParseError::NotZstd)?;
    match out.len() > limit_bytes {
        true => Err(too_large(out.len() as u64)),
        false if !rest.is_empty() => Err(ParseError::NotZstd),
        false => Ok(()),
    }
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

    /// "some bytes, then the same, " eight times, by the zstd command of Debian 12 at level 19, read from a pipe.
    const ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x68, 0x15, 0x01, 0x00, 0xd8, 0x73, 0x6f, 0x6d, 0x65, 0x20, 0x62, 0x79, 0x74,
        0x65, 0x73, 0x2c, 0x20, 0x74, 0x68, 0x65, 0x6e, 0x20, 0x74, 0x68, 0x65, 0x20, 0x73, 0x61, 0x6d, 0x65, 0x2c,
        0x20, 0x01, 0x00, 0xeb, 0x9c, 0x9a, 0x63,
    ];

    #[test]
    fn a_frame_of_another_implementation_is_read_and_no_more_than_is_allowed() {
        let expected = b"some bytes, then the same, ".repeat(8);
        let mut out = b"what was here before".to_vec();
        assert_eq!(decompress_zstd(ZSTD, expected.len(), &mut out), Ok(()));
        assert_eq!(out, expected);
        let refused = decompress_zstd(ZSTD, expected.len() - 1, &mut out);
        assert_eq!(refused, Err(ParseError::BodyTooLarge { claimed_bytes: expected.len() as u64 }));
        for len in 0..ZSTD.len() {
            assert_eq!(decompress_zstd(&ZSTD[..len], 1 << 10, &mut out), Err(ParseError::NotZstd), "cut to {len}");
        }
        assert_eq!(decompress_zstd(&[ZSTD, b"x"].concat(), 1 << 10, &mut out), Err(ParseError::NotZstd));
        assert_eq!(decompress_zstd(&compress(b"snappy"), 1 << 10, &mut out), Err(ParseError::NotZstd));
    }

    #[test]
    fn a_few_bytes_of_zstd_cannot_fill_the_memory() {
        // Magic, one segment, a content of 2^40 bytes, then a block that repeats one byte.
        let bomb = [&[0x28, 0xb5, 0x2f, 0xfd, 0xe0][..], &(1u64 << 40).to_le_bytes(), &[0x03, 0x00, 0x10, 0]].concat();
        let mut out = Vec::new();
        assert_eq!(decompress_zstd(&bomb, 1 << 20, &mut out), Err(ParseError::BodyTooLarge { claimed_bytes: 1 << 40 }));
        assert_eq!(out.capacity(), 0);
        // Blocks of 128 KiB of one byte in four bytes each, a thousand of them.
        let window = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x38];
        let blocks = [0x02, 0x00, 0x10, b'x'].repeat(1000);
        let bomb = [&window[..], &blocks, &[0x03, 0x00, 0x10, b'x']].concat();
        let refused = decompress_zstd(&bomb, 1 << 20, &mut out);
        assert_eq!(refused, Err(ParseError::BodyTooLarge { claimed_bytes: (1 << 20) + 1 }));
        assert!(out.capacity() <= 4 << 20, "{}", out.capacity());
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
