//! How unfamiliar the way is in which a series has come to its newest value.
//!
//! Values become symbols: eighths of the range that the series' first samples had (a day of them, 256 at most), and beyond
//! that range eighths of its doublings. A sample's words are its symbol alone and together with those of one, two and three
//! samples before it, each read by eighths, by quarters and by halves: twelve words. A word can tell something if it was
//! familiar up to its last symbol; how unfamiliar a sample is is the share of new ones among the words that can.
//!
//! A context that is known and is not followed by what it used to be followed by is the idea of Smirnov's contextual
//! anomaly detector (CAD OSE, 2016), which makes its contexts up from what it meets; words are the plainest form of them.
//! Which words were seen is kept in one bit each, found by a hash (Bloom 1970, Communications of the ACM 13); where half of
//! the bits are set one of them is forgotten by chance for each new one (Deng and Rafiei 2006, SIGMOD), so that memory
//! neither grows nor fills up.
//!
//! Not here: what unfamiliarity counts for (see `model_patterns`); values that are far off (see `detect`).
//!
//! Invariants: a sample is judged before it is learned; the same samples give the same numbers, in whatever unit; where all
//! samples have become one symbol the range is learned anew.
//!
//! Cost: 1.1 KB; twelve words a sample, each one multiplication a symbol and one bit.

use super::array;
use serde::{Deserialize, Serialize};

/// Symbols a range, read by eighths.
const SYMBOLS: f32 = 8.0;

/// By eighths, quarters and halves.
const READINGS: usize = 3;

/// Symbols of a word at most.
const SYMBOLS_MAX: usize = 4;

/// Samples from which the range is learned: a day of them, within these bounds.
const FIRST: (f64, f64) = (32.0, WORDS as f64);

/// Words of memory, of 32 bits each; before the range is known they hold the first samples.
const WORDS: usize = 256;
const BITS: u32 = 32 * WORDS as u32;

/// Symbols on either side of the range's least value: 8 doublings below and 15 above it.
const SYMBOL: (f32, f32) = (-64.0, 127.0);

/// What a sample is beside its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Beat {
    /// Samples a day.
    pub(crate) per_day: f64,
    /// Whether the sample before was one step ago.
    pub(crate) has_neighbour: bool,
    /// Smallest deviation that matters, in the value's unit.
    pub(crate) deviation_min: f64,
}

/// Which ways a series has moved.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Pattern {
    /// The first samples, and once the range is known the bits of the words that were seen.
    #[serde(with = "array")]
    memory: [u32; WORDS],
    /// The first value: all others are taken from there on, so that 32 bits are enough.
    origin: f64,
    /// Least value of the range, and its width; 0 while it is not known.
    least: f32,
    width: f32,
    /// Samples that are held, and once the range is known bits that are set.
    count: u16,
    /// The newest symbols, the last one first, and how many of them follow each other without a gap.
    symbols: [u8; SYMBOLS_MAX],
    linked: u8,
    /// A bit for each word of the sample before that was familiar then.
    familiar: u16,
    /// For how many samples the symbol has been the same, and what values were among them.
    same: u16,
    same_values: (f32, f32),
    /// What chance is drawn from.
    chance: u64,
}

impl Default for Pattern {
    fn default() -> Self {
        Self {
            memory: [0; WORDS],
            origin: 0.0,
            least: 0.0,
            width: 0.0,
            count: 0,
            symbols: [0; SYMBOLS_MAX],
            linked: 0,
            familiar: 0,
            same: 0,
            same_values: (0.0, 0.0),
            chance: 0,
        }
    }
}

impl Pattern {
    /// How unfamiliar a sample is, from 0 to 1, by those before it; then learns it. `None` until the range is known.
    pub(crate) fn observe(&mut self, value: f64, beat: &Beat) -> Option<f32> {
        let first = beat.per_day.clamp(FIRST.0, FIRST.1);
        if self.width == 0.0 {
            self.hold(value);
            if f64::from(self.count) >= first {
                self.begin(beat.deviation_min);
            }
            return None;
        }
        if !beat.has_neighbour {
            (self.linked, self.familiar) = (0, 0);
        }
        let value = (value - self.origin) as f32;
        let symbol = self.symbol(value);
        let unfamiliar = self.read(symbol);
        self.follow(symbol, value);
        let (least, most) = self.same_values;
        if f64::from(self.same) >= first && f64::from(most - least) > beat.deviation_min {
            *self = Self::default();
        }
        Some(unfamiliar)
    }

    /// Keeps one of the first samples.
    fn hold(&mut self, value: f64) {
        if self.count == 0 {
            self.origin = value;
        }
        self.memory[usize::from(self.count)] = ((value - self.origin) as f32).to_bits();
        self.count += 1;
    }

    /// Takes the range from the samples that were kept, and learns their words. Gaps among them are passed over.
    fn begin(&mut self, deviation_min: f64) {
        let held = std::mem::replace(&mut self.memory, [0; WORDS]);
        let held = held.into_iter().take(usize::from(std::mem::take(&mut self.count))).map(f32::from_bits);
        let (least, most) =
            held.clone().fold((f32::MAX, f32::MIN), |(least, most), value| (least.min(value), most.max(value)));
        let width_min = (f64::from(SYMBOLS) * deviation_min) as f32;
        (self.least, self.width) = (least, (most - least).max(width_min).max(f32::MIN_POSITIVE));
        for value in held {
            let symbol = self.symbol(value);
            self.read(symbol);
        }
    }

    /// The symbol of a value that is told from the origin on.
    fn symbol(&self, value: f32) -> u8 {
        let place = (value - self.least) / self.width;
        let symbol = match place {
            below if below < 0.0 => -1.0 - (SYMBOLS * (1.0 - below).log2()).floor(),
            within if within < 1.0 => (SYMBOLS * within).floor(),
            beyond => SYMBOLS + (SYMBOLS * beyond.log2()).floor(),
        };
        (symbol.clamp(SYMBOL.0, SYMBOL.1) - SYMBOL.0) as u8
    }

    /// The share of new words among those of the next symbol that can tell something; all of them are familiar afterwards.
    fn read(&mut self, symbol: u8) -> f32 {
        self.symbols.rotate_right(1);
        self.symbols[0] = symbol;
        let before = std::mem::take(&mut self.familiar);
        let (mut telling, mut new) = (0u8, 0u8);
        for reading in 0..READINGS {
            let mut word = reading as u64;
            for length in 0..=usize::from(self.linked) {
                word = mixed(word, 1 + (u64::from(self.symbols[length]) >> reading));
                let is_familiar = self.learn(word);
                let at = reading * SYMBOLS_MAX + length;
                let tells = length == 0 || before & 1 << (at - 1) != 0;
                telling += u8::from(tells);
                new += u8::from(tells && !is_familiar);
                self.familiar |= u16::from(is_familiar) << at;
            }
        }
        self.linked = (self.linked + 1).min(SYMBOLS_MAX as u8 - 1);
        f32::from(new) / f32::from(telling)
    }

    /// Whether a word was seen before; it was from now on.
    fn learn(&mut self, word: u64) -> bool {
        let is_familiar = self.is_set(word);
        if !is_familiar {
            self.memory[place(word)] |= bit(word);
            self.count += 1;
            if u32::from(self.count) > BITS / 2 {
                self.forget();
            }
        }
        is_familiar
    }

    /// Clears the bits of two places drawn by chance: of those of a memory that is half full one is set.
    fn forget(&mut self) {
        for _ in 0..2 {
            self.chance = mixed(self.chance, 1);
            let drawn = self.chance;
            self.count -= u16::from(self.is_set(drawn));
            self.memory[place(drawn)] &= !bit(drawn);
        }
    }

    fn is_set(&self, word: u64) -> bool {
        self.memory[place(word)] & bit(word) != 0
    }

    /// Counts for how long the symbol has been the same.
    fn follow(&mut self, symbol: u8, value: f32) {
        let (least, most) = self.same_values;
        let goes_on = self.same > 0 && self.symbols[1] == symbol;
        (self.same, self.same_values) = match goes_on {
            true => (self.same.saturating_add(1), (least.min(value), most.max(value))),
            false => (1, (value, value)),
        };
    }
}

/// One more number in a hash, by the golden ratio's digits (Knuth, volume 3, 6.4).
fn mixed(hash: u64, number: u64) -> u64 {
    let hash = (hash ^ number).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash ^ hash >> 29
}

/// Where in memory a word's bit is.
fn place(word: u64) -> usize {
    (word >> 25) as usize % WORDS
}

fn bit(word: u64) -> u32 {
    1 << (word >> 20 & 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEAT: Beat = Beat { per_day: 96.0, has_neighbour: true, deviation_min: 1e-9 };

    /// What is told of each value; nothing counts as familiar.
    fn told(pattern: &mut Pattern, values: impl IntoIterator<Item = f64>) -> Vec<f32> {
        values.into_iter().map(|value| pattern.observe(value, &BEAT).unwrap_or(0.0)).collect()
    }

    /// Three up, five down.
    fn saw(at: u32) -> f64 {
        [0.0, 3.0, 6.0, 9.0, 7.2, 5.4, 3.6, 1.8][at as usize % 8]
    }

    #[test]
    fn nothing_is_said_before_the_range_is_known_and_what_repeats_is_familiar() {
        let mut pattern = Pattern::default();
        assert!((0..96).all(|at| pattern.observe(saw(at), &BEAT).is_none()));
        assert!(told(&mut pattern, (96..900).map(saw)).iter().all(|unfamiliar| *unfamiliar == 0.0));
    }

    #[test]
    fn the_same_values_in_another_order_are_unfamiliar() {
        let mut pattern = Pattern::default();
        told(&mut pattern, (0..800).map(saw));
        let backwards = told(&mut pattern, (0..16).map(|at| saw(15 - at)));
        assert!(backwards.iter().filter(|unfamiliar| **unfamiliar >= 0.4).count() >= 2, "{backwards:?}");
        let again = told(&mut pattern, (0..16).map(|at| saw(15 - at)));
        assert!(again[4..].iter().all(|unfamiliar| *unfamiliar == 0.0), "{again:?}");
    }

    #[test]
    fn a_value_that_never_was_is_wholly_unfamiliar_once() {
        let mut pattern = Pattern::default();
        told(&mut pattern, (0..800).map(saw));
        assert_eq!(told(&mut pattern, [90.0])[0], 1.0);
        told(&mut pattern, (0..8).map(saw));
        assert!(told(&mut pattern, [90.0])[0] < 0.8);
    }

    #[test]
    fn after_a_gap_only_the_value_itself_tells() {
        let mut pattern = Pattern::default();
        told(&mut pattern, (0..800).map(saw));
        let after_gap = Beat { has_neighbour: false, ..BEAT };
        assert_eq!(pattern.observe(saw(5), &after_gap), Some(0.0));
        assert_eq!(pattern.observe(saw(6), &BEAT), Some(0.0));
    }

    #[test]
    fn units_and_origins_change_nothing() {
        let noise = |at: u32| f64::from(at.wrapping_mul(2_654_435_761) >> 20) / 64.0;
        let plain = told(&mut Pattern::default(), (0..3000).map(noise));
        let scaled = told(&mut Pattern::default(), (0..3000).map(|at| 1024.0 * noise(at)));
        let moved = told(&mut Pattern::default(), (0..3000).map(|at| noise(at) + 4096.0));
        assert!(plain == scaled && plain == moved && plain.iter().any(|unfamiliar| *unfamiliar > 0.0));
    }

    #[test]
    fn memory_never_fills_up() {
        let mut pattern = Pattern::default();
        let mut state = 1;
        for _ in 0..200_000 {
            state = mixed(state, 7);
            pattern.observe((state >> 40) as f64, &BEAT);
        }
        let set: u32 = pattern.memory.iter().map(|word| word.count_ones()).sum();
        assert_eq!(set, u32::from(pattern.count));
        assert!((BITS / 2 - 64..=BITS / 2 + 160).contains(&set), "{set}");
    }

    #[test]
    fn a_range_that_has_become_useless_is_learned_anew() {
        let mut pattern = Pattern::default();
        told(&mut pattern, (0..96).map(|at| if at == 50 { 10_000.0 } else { saw(at) }));
        told(&mut pattern, (0..800).map(saw));
        assert!(pattern.width < 10.0, "{}", pattern.width);
        assert!(told(&mut pattern, (0..16).map(|at| saw(15 - at))).iter().any(|unfamiliar| *unfamiliar > 0.4));
    }

    #[test]
    fn a_constant_is_familiar() {
        let mut pattern = Pattern::default();
        assert!(told(&mut pattern, [42.5; 1000]).iter().all(|unfamiliar| *unfamiliar == 0.0));
        assert_eq!(told(&mut pattern, [43.5])[0], 1.0);
    }
}
