//! Seeded random streams, the same on every machine and with any number of threads.
//!
//! A [`Stream`] is keyed by a seed and names: what is drawn for `("init", "wte")` does not depend on
//! what else is drawn, or in which order. The generator is counter based (SplitMix64: Steele, Lea,
//! Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014).

use rand::TryRng;
use std::convert::Infallible;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stream of random numbers. Implements `rand`'s generator trait.
#[derive(Clone, Debug)]
pub struct Stream {
    key: u64,
    counter: u64,
}

impl Stream {
    /// The stream of `seed` and `name`; different names give independent streams.
    pub fn new(seed: u64, name: &str) -> Self {
        let mut key = mix(seed.wrapping_add(GOLDEN));
        for chunk in name.as_bytes().chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            key = mix(key.wrapping_add(GOLDEN) ^ u64::from_le_bytes(word)).wrapping_add(chunk.len() as u64);
        }
        Stream { key, counter: 0 }
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.counter = self.counter.wrapping_add(1);
        mix(self.key.wrapping_add(self.counter.wrapping_mul(GOLDEN)))
    }

    /// Uniform in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller, through `libm`, so that every machine gives the same bits).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }

    /// Uniform below `n` (0 where `n` is 0), without bias.
    pub fn below(&mut self, n: usize) -> usize {
        let n = n as u64;
        if n == 0 {
            return 0;
        }
        // Reject the last, incomplete run of n values.
        let limit = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let bits = self.bits();
            if bits <= limit {
                return (bits % n) as usize;
            }
        }
    }

    /// Puts `items` into random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }

    /// `k` of the numbers `0..n`, each set equally likely, ascending; all of them where `k >= n`.
    pub fn sample(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        self.shuffle(&mut all);
        all.truncate(k);
        all.sort_unstable();
        all
    }
}

impl TryRng for Stream {
    type Error = Infallible;
    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.bits() >> 32) as u32)
    }
    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.bits())
    }
    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        for chunk in dst.chunks_mut(8) {
            let bytes = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_depend_on_seed_and_name_only() {
        let first = |seed, name| Stream::new(seed, name).bits();
        assert_eq!(first(0, "init/wte"), first(0, "init/wte"));
        let all = [
            first(0, ""),
            first(1, ""),
            first(0, "a"),
            first(0, "a\0"),
            first(0, "b"),
            first(0, "abcdefgha"),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn moments_and_bounds() {
        let mut s = Stream::new(3, "moments");
        let draws: Vec<f64> = (0..20_000).map(|_| s.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 2e4;
        let var = draws.iter().map(|x| x * x).sum::<f64>() / 2e4;
        assert!(mean.abs() < 0.03 && (var - 1.0).abs() < 0.05, "{mean} {var}");
        assert!((0..1000).all(|_| s.below(7) < 7));
        assert_eq!(s.sample(5, 9), [0, 1, 2, 3, 4]);
        assert_eq!(s.sample(100, 10).len(), 10);
    }
}
