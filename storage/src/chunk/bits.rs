//! Packing up to 128 numbers of one width, 0 to 64 bits, without gaps.
//!
//! Number `i` of width `w` occupies bits `i * w ..` of the packed bytes, counted from the least significant bit of
//! the first byte; the last byte is filled up with zeros.
//!
//! Cost: eight numbers of width `w` fill exactly `w` bytes, so unpacking goes in groups of eight with every byte
//! offset and shift known to the compiler: one unaligned load, one shift and one mask a number, no branch, about
//! 0.5 ns a number (`cargo bench --bench chunk`). The price is one small function for each width.
//!
//! Not here: which width to take (see `plan`), what the numbers mean (see `integers`).

/// The most numbers packed together.
pub(super) const BLOCK: usize = 128;

/// The widest number.
const WIDTH_MAX: usize = 64;
/// Loads reach up to this many bytes past the number that they fetch.
const OVERREAD: usize = 8;

/// How many bytes `count` numbers of `width` bits take.
#[inline]
pub(super) fn packed_bytes(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Appends numbers below 2^`width`, at most [`BLOCK`] of them.
pub(super) fn pack(numbers: &[u64], width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mut buffer = [0; BLOCK * WIDTH_MAX / 8 + OVERREAD];
    let (mut word, mut filled, mut at) = (0, 0, 0);
    for &number in numbers {
        word |= number << filled;
        filled += width;
        if filled >= u64::BITS {
            buffer[at..at + 8].copy_from_slice(&word.to_le_bytes());
            at += 8;
            filled -= u64::BITS;
            // The shift is by 64 when nothing of the number is left over.
            word = number.checked_shr(width - filled).unwrap_or(0);
        }
    }
    buffer[at..at + 8].copy_from_slice(&word.to_le_bytes());
    out.extend_from_slice(&buffer[..packed_bytes(numbers.len(), width)]);
}

/// Fetches `count` numbers of `width` bits from the start of `bytes`, which may go on behind them; entries of
/// `numbers` from `count` on are unspecified. The caller has made sure that `packed_bytes` bytes are there.
pub(super) fn unpack(bytes: &[u8], count: usize, width: u32, numbers: &mut [u64; BLOCK]) {
    let groups = count.div_ceil(8);
    let unpack = UNPACK[width as usize];
    if bytes.len() >= groups * width as usize + OVERREAD {
        return unpack(bytes, groups, numbers);
    }
    // Only the last column of a chunk comes here: behind it there is nothing to overread.
    let mut padded = [0; BLOCK * WIDTH_MAX / 8 + OVERREAD];
    let used = packed_bytes(count, width);
    padded[..used].copy_from_slice(&bytes[..used]);
    unpack(&padded, groups, numbers);
}

type Unpack = fn(&[u8], usize, &mut [u64; BLOCK]);

fn unpack_width<const W: usize>(bytes: &[u8], groups: usize, numbers: &mut [u64; BLOCK]) {
    let mask = if W == WIDTH_MAX { u64::MAX } else { (1 << W) - 1 };
    for (group, numbers) in numbers.chunks_exact_mut(8).take(groups).enumerate() {
        let bytes = &bytes[group * W..][..W + OVERREAD];
        for (i, number) in numbers.iter_mut().enumerate() {
            let (offset, shift) = (i * W / 8, i * W % 8);
            let bytes = &bytes[offset..];
            let mut word = u64::from_le_bytes(*bytes.first_chunk().expect("the group was cut with room to overread"));
            word >>= shift;
            if W + shift > WIDTH_MAX {
                word |= u64::from(bytes[8]) << (WIDTH_MAX - shift);
            }
            *number = word & mask;
        }
    }
}

macro_rules! unpack_by_width {
    ($($width:literal)*) => { [$(unpack_width::<$width>),*] };
}

#[rustfmt::skip]
static UNPACK: [Unpack; WIDTH_MAX + 1] = unpack_by_width!(
     0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
    32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers with both ends of every bit pattern: all ones, all zeros and a scrambled count.
    fn numbers(count: usize, width: u32) -> Vec<u64> {
        let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
        (0..count as u64)
            .map(|i| match i % 3 {
                0 => mask,
                1 => 0,
                _ => i.wrapping_mul(0x9e37_79b9_7f4a_7c15) & mask,
            })
            .collect()
    }

    #[test]
    fn every_width_and_count_comes_back_with_and_without_bytes_behind() {
        for width in 0..=64 {
            for count in [0, 1, 7, 8, 9, 63, 127, 128] {
                let numbers = numbers(count, width);
                let mut packed = Vec::new();
                pack(&numbers, width, &mut packed);
                assert_eq!(packed.len(), packed_bytes(count, width));
                for behind in [0, 3, 100] {
                    packed.resize(packed_bytes(count, width) + behind, 0xff);
                    let mut read = [u64::MAX; BLOCK];
                    unpack(&packed, count, width, &mut read);
                    assert_eq!(read[..count], numbers, "width {width}, {count} numbers, {behind} bytes behind");
                }
            }
        }
    }

    #[test]
    fn bits_lie_as_the_format_draws_them() {
        let mut packed = Vec::new();
        pack(&[0b001, 0b010, 0b111], 3, &mut packed);
        assert_eq!(packed, [0b1101_0001, 0b1]);
    }
}
