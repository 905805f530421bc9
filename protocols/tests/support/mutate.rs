//! Random changes to a committed corpus, for as long as is asked: `INFRAWATCH_MUTATE_SECONDS`, 5 unless set.
//!
//! The seed is printed, so that what broke can be repeated: `INFRAWATCH_MUTATE_SEED`.

use std::time::{Duration, Instant};

/// Numbers and bytes that parsers stumble over.
const ODD: [&[u8]; 10] =
    [b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80", b"\0", b"\n", b"|", b":", b"@", b"1e309", b"-", b"\x7f"];

/// A generator of numbers (xorshift, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// Gives changed items of a corpus to a parser until the time is over; how many.
pub(crate) fn mutate(name: &str, corpus: &[Vec<u8>], mut parse: impl FnMut(&[u8])) -> u64 {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("INFRAWATCH_MUTATE_SECONDS").unwrap_or(5));
    #[expect(clippy::disallowed_methods, reason = "the clock says for how long to go on, and chooses a seed")]
    let began = Instant::now();
    let chosen = || u64::from(std::process::id()) << 32 | 0x9e37_79b9;
    let seed = number("INFRAWATCH_MUTATE_SEED").unwrap_or_else(chosen);
    println!("{name}: INFRAWATCH_MUTATE_SEED={seed}");
    let (mut random, mut item, mut count) = (Random(seed | 1), Vec::new(), 0);
    while count % 1024 != 0 || began.elapsed() < time {
        item.clear();
        item.extend_from_slice(&corpus[random.below(corpus.len())]);
        for _ in 0..=random.below(4) {
            change(&mut item, corpus, &mut random);
        }
        parse(&item);
        count += 1;
    }
    println!("{name}: {count} mutations in {:?}", began.elapsed());
    count
}

fn change(item: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(item.len() + 1);
    match random.below(7) {
        0 if at < item.len() => item[at] ^= 1 << random.below(8),
        1 if at < item.len() => item[at] = random.below(256) as u8,
        2 => item.truncate(at),
        3 => drop(item.splice(at..at, ODD[random.below(ODD.len())].iter().copied())),
        4 => {
            let end = (at + 1 + random.below(8)).min(item.len());
            item.drain(at.min(end)..end);
        }
        5 => {
            let end = (at + 1 + random.below(32)).min(item.len());
            let again = item[at.min(end)..end].to_vec();
            drop(item.splice(at..at, again));
        }
        _ => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len() + 1);
            item.truncate(at);
            item.extend_from_slice(&other[from..]);
        }
    }
}
