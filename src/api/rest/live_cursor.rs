//! How far a reader of the live stream has come, as a word that it gives back when it comes again.
//!
//! ```text
//! <newest time of all>~<16 hexadecimal digits of a series><how much earlier its own last one was>.<another series> ...
//! ```
//!
//! Times are milliseconds in base 36. Not here: what is sent (see `live`).
//!
//! Invariant: what was written is read back; a word of anybody else's is refused or does no harm.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Series of one stream.
pub(super) const SERIES_MAX: usize = 100;
const HASH_DIGITS: usize = 16;

/// The time of the last sample that was sent, for each series by the hash of its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cursor(pub(super) BTreeMap<u64, i64>);

impl Cursor {
    pub(super) fn word(&self) -> String {
        let newest_ms = self.0.values().copied().max().unwrap_or(0);
        let mut word = base36(newest_ms.max(0) as u64);
        for (at, (hash, time_ms)) in self.0.iter().enumerate() {
            word.push(if at == 0 { '~' } else { '.' });
            // Writing to a string cannot fail.
            let _ = write!(word, "{hash:016x}");
            word.push_str(&base36(newest_ms.saturating_sub(*time_ms).max(0) as u64));
        }
        word
    }

    /// Nothing if the word is none of ours.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let (newest, series) = word.split_once('~').unwrap_or((word, ""));
        let newest_ms = number(newest)?;
        let mut times = BTreeMap::new();
        for one in series.split('.').filter(|one| !one.is_empty()).take(SERIES_MAX) {
            let (hash, earlier) = one.split_at_checked(HASH_DIGITS)?;
            times.insert(u64::from_str_radix(hash, 16).ok()?, newest_ms.checked_sub(number(earlier)?)?);
        }
        Some(Self(times))
    }
}

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[(number % 36) as usize]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().map(|digit| char::from(*digit)).collect()
}

fn number(text: &str) -> Option<i64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_plain.then(|| i64::from_str_radix(text, 36).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_back() {
        for times in
            [vec![], vec![(7, 1_700_000_000_000)], vec![(1, 1_700_000_000_000), (u64::MAX, 1_600_000_000_123), (2, 0)]]
        {
            let cursor = Cursor(times.into_iter().collect());
            assert_eq!(Cursor::parse(&cursor.word()), Some(cursor));
        }
        let all = Cursor((0..SERIES_MAX as u64).map(|at| (at << 40, 1_700_000_000_000 + at as i64)).collect());
        assert!(all.word().len() < 2000, "{}", all.word().len());
        assert_eq!(Cursor::parse(&all.word()), Some(all));
    }

    #[test]
    fn a_word_of_anybody_elses_is_refused() {
        for word in ["", "~", "-1", "1~x", "1~00000000000000zz1", "1~0000000000000001", "zzzzzzzzzzzzzzzzzzzz", "1~é"]
        {
            assert_eq!(Cursor::parse(word), None, "{word}");
        }
    }
}
