//! The short way through a line of one number: its parts by their separators, with nothing else looked at.
//!
//! A server that has met a series before need not ask again whether its name is UTF-8: bytes that equal those of a name
//! that was checked are as good. So a [`Lines`] offers each line as [`Plain`] first; who knows its name and tags takes
//! it, and who does not reads the same line by [`read`](super::read), which checks everything.
//!
//! ```text
//! NAME ':' [+-]DIGITS[.DIGITS] '|' (c|m|g|kv|ms|h|d) ('|' (@RATE | #TAGS | c:CONTAINER | EXT))* ('\n' | end)
//! ```
//!
//! Not here: sets, several values a line, times, events, service checks and numbers with exponents: none of them is plain.
//!
//! Invariant: what is plain, and has a name and tags that hold, means to [`read`](super::read) exactly the same, as one
//! observation. A name may hold any byte but `:` here, even the end of a line, but such a name never was checked.
//!
//! Cost: 8 bytes of name or tags a step, a byte of number a step; `benches/statsd.rs`, case `plain`.

use super::line::Type;
use super::observation::Measure;
use crate::number::POWERS;

/// A line by its separators.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plain<'a> {
    /// Up to the first colon, unchecked.
    pub name: &'a [u8],
    /// Between `#` and the next `|`, unchecked; empty without tags.
    pub tags: &'a [u8],
    /// After `c:`, unchecked; empty without one.
    pub container: &'a [u8],
    /// The value and what it means; never a member of a set.
    pub measure: Measure<'static>,
    /// As for [`Observation`](super::Observation).
    pub rate: f64,
    /// Extensions that were stepped over.
    pub ignored: u32,
    /// Where the line ends.
    end: usize,
}

/// The lines of a datagram, one after the other.
#[derive(Debug, Clone)]
pub struct Lines<'a> {
    datagram: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// All lines of a datagram.
    #[inline]
    pub fn of(datagram: &'a [u8]) -> Self {
        Self { datagram, at: 0 }
    }

    /// Whether nothing is left.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.at >= self.datagram.len()
    }

    /// The lines from a place on where one starts.
    pub fn starting_at(datagram: &'a [u8], offset: usize) -> Self {
        Self { datagram, at: offset }
    }

    /// Where the next line starts.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next line if it is plain; it stays the next.
    #[inline]
    pub fn plain(&self) -> Option<Plain<'a>> {
        plain(self.datagram, self.at)
    }

    /// Goes on behind a line that [`Self::plain`] gave.
    #[inline]
    pub fn take(&mut self, plain: &Plain<'_>) {
        self.at = plain.end + 1;
    }

    /// The next line without its end, and goes on behind it.
    #[inline]
    pub fn line(&mut self) -> &'a [u8] {
        let rest = self.datagram.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        self.at += end + 1;
        let text = &rest[..end];
        text.strip_suffix(b"\r").unwrap_or(text)
    }
}

#[inline]
fn plain(bytes: &[u8], start: usize) -> Option<Plain<'_>> {
    let colon = find(bytes, start, b':', b':')?;
    let name = &bytes[start..colon];
    // `_e{` and `_sc|` are no names; a name that only begins like them goes the long way.
    if matches!(name.first(), None | Some(b'_')) {
        return None;
    }
    let (value, signed, at) = number(bytes, colon + 1)?;
    let letters = bytes.get(at..)?.strip_prefix(b"|")?;
    let (kind, letters_len) = match letters {
        [b'c', ..] => (Type::Count, 1),
        [b'g', ..] => (Type::Gauge, 1),
        [b'm', b's', ..] => (Type::Timer, 2),
        [b'h' | b'd', ..] => (Type::Timer, 1),
        [b'm', ..] => (Type::Count, 1),
        [b'k', b'v', ..] => (Type::Gauge, 2),
        _ => return None,
    };
    let measure = match kind {
        Type::Count => Measure::Count(value),
        Type::Gauge if signed => Measure::GaugeChange(value),
        Type::Gauge => Measure::Gauge(value),
        Type::Timer | Type::Set => Measure::Timer(value),
    };
    let end = at + 1 + letters_len;
    let plain = Plain { name, tags: &[], container: &[], measure, rate: 1.0, ignored: 0, end };
    match bytes.get(end) {
        None | Some(b'\n') => Some(plain),
        Some(b'|') => with_extensions(bytes, plain, kind),
        Some(_) => None,
    }
}

/// Reads the extensions from the `|` on at which `plain` ends so far.
#[inline]
fn with_extensions<'a>(bytes: &'a [u8], mut plain: Plain<'a>, kind: Type) -> Option<Plain<'a>> {
    loop {
        let start = plain.end + 1;
        match bytes.get(start) {
            Some(b'@') => {
                let (rate, signed, end) = number(bytes, start + 1)?;
                if signed || !(rate > 0.0 && rate <= 1.0) {
                    return None;
                }
                // A gauge has no rate; of one that stands twice the last counts, as in the long way.
                plain.rate = if kind == Type::Gauge { 1.0 } else { rate };
                plain.end = end;
            }
            // Of tags that stand twice the last count, which is the long way's to know.
            Some(b'#') if plain.tags.is_empty() => {
                plain.end = section_end(bytes, start);
                plain.tags = &bytes[start + 1..plain.end];
            }
            Some(b'c') if bytes.get(start + 1) == Some(&b':') => {
                plain.end = section_end(bytes, start);
                plain.container = &bytes[start + 2..plain.end];
            }
            None | Some(b'T' | b'#' | b'\n') => return None,
            Some(_) => {
                plain.end = section_end(bytes, start);
                plain.ignored += 1;
            }
        }
        match bytes.get(plain.end) {
            Some(b'|') => {}
            None | Some(b'\n') if bytes[plain.end - 1] != b'\r' => return Some(plain),
            _ => return None,
        }
    }
}

/// Where an extension ends.
#[inline]
fn section_end(bytes: &[u8], start: usize) -> usize {
    find(bytes, start, b'|', b'\n').unwrap_or(bytes.len())
}

/// The first place from `at` on of either byte, eight at a time.
#[inline]
fn find(bytes: &[u8], mut at: usize, one: u8, other: u8) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (ones, others) = (LOW * u64::from(one), LOW * u64::from(other));
    // The lowest high bit of the result is that of the first byte that is zero (Lamport, 1975).
    let zeros = |word: u64| word.wrapping_sub(LOW) & !word & HIGH;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let word = u64::from_le_bytes(*chunk);
        let found = if one == other { zeros(word ^ ones) } else { zeros(word ^ ones) | zeros(word ^ others) };
        if found != 0 {
            return Some(at + (found.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    bytes.get(at..)?.iter().position(|byte| *byte == one || *byte == other).map(|found| at + found)
}

/// A number of at most 15 digits, which is exact, whether it has a sign, and where it ends.
#[inline]
fn number(bytes: &[u8], start: usize) -> Option<(f64, bool, usize)> {
    let (negative, signed) = match bytes.get(start) {
        Some(b'-') => (true, true),
        Some(b'+') => (false, true),
        _ => (false, false),
    };
    let first = start + usize::from(signed);
    let (whole, mut at) = digits(bytes, first, 0);
    let mut count = at - first;
    let mut size = whole as f64;
    if bytes.get(at) == Some(&b'.') {
        let (mantissa, end) = digits(bytes, at + 1, whole);
        let fraction = end - at - 1;
        count += fraction;
        if count > 15 {
            return None;
        }
        size = mantissa as f64 / POWERS[fraction];
        at = end;
    }
    (1..=15).contains(&count).then_some((if negative { -size } else { size }, signed, at))
}

#[inline]
fn digits(bytes: &[u8], mut at: usize, mut value: u64) -> (u64, usize) {
    while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        at += 1;
    }
    (value, at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_found_wherever_they_stand() {
        for len in 0..40 {
            for at in 0..len {
                let mut bytes = vec![b'x'; len];
                bytes[at] = b':';
                assert_eq!(find(&bytes, 0, b':', b':'), Some(at));
                assert_eq!(find(&bytes, 0, b'|', b':'), Some(at));
                assert_eq!(find(&bytes, at + 1, b':', b':'), None);
            }
        }
        // 0xba and 0x3b differ from ':' by a borrow that must not reach the result.
        assert_eq!(find(b"\xba\x3b\x39\xff\x00;;;:", 0, b':', b':'), Some(8));
    }

    #[test]
    fn numbers_are_those_of_the_long_way_or_none() {
        for text in ["0", "7", "-5", "+3", "0.1", ".5", "5.", "123456.789", "999999999999999", "0.00000000000001"] {
            let (value, signed, end) = number(text.as_bytes(), 0).unwrap();
            let expected = crate::number::finite(text.as_bytes()).unwrap();
            assert_eq!((value.to_bits(), end), (expected.to_bits(), text.len()), "{text}");
            assert_eq!(signed, text.starts_with(['+', '-']));
        }
        for text in ["", "-", ".", "x", "1234567890123456", "1.234567890123456", "99999999999999999999999"] {
            assert_eq!(number(text.as_bytes(), 0), None, "{text}");
        }
    }
}
