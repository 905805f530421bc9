//! A seeded source of chance: SplitMix64 (Steele, Lea, Flood 2014), whose whole state is one counter.
//!
//! Not here: anything secret; the sequence is known to whoever knows the seed.

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A sequence of numbers that follows from its seed.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The sequence of a seed and a path: different paths give sequences that do not resemble each other.
    pub(super) fn of(seed: u64, path: &[u64]) -> Self {
        path.iter().fold(Self(seed), |state, part| Self(mix(state.0.wrapping_add(GOLDEN)) ^ mix(part ^ GOLDEN)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Evenly from 0 to below 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Evenly from `least` to below `most`.
    pub(super) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// A whole number below `end`, which must not be 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.unit() * end as f64) as usize
    }

    /// Normally distributed with mean 0 and deviation 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// Poisson distributed with this mean, which should be small (Knuth, TAOCP 2, 3.4.1).
    pub(super) fn poisson(&mut self, mean: f64) -> f64 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0.0);
        while product > limit {
            product *= self.unit();
            count += 1.0;
        }
        count
    }
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_of_seed_0_is_the_published_one() {
        let mut random = Random(0);
        assert_eq!([random.next(), random.next()], [0xE220_A839_7B1D_CDAF, 0x6E78_9E6A_A1B9_65F4]);
    }

    #[test]
    fn distributions_have_their_mean_and_deviation() {
        let mut random = Random::of(7, &[]);
        let moments = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64)
        };
        let normal: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let (mean, variance) = moments(&normal);
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let poisson: Vec<f64> = (0..100_000).map(|_| random.poisson(2.0)).collect();
        let (mean, variance) = moments(&poisson);
        assert!((mean - 2.0).abs() < 0.03 && (variance - 2.0).abs() < 0.06, "{mean} {variance}");
    }

    #[test]
    fn paths_part_from_each_other() {
        let first = |path: &[u64]| Random::of(1, path).next();
        assert_ne!(first(&[0, 1]), first(&[1, 0]));
        assert_ne!(first(&[0]), first(&[0, 0]));
    }
}
