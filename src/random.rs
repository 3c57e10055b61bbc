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

    /// Standard normal: the quantile of one uniform number, with arithmetic that gives the same
    /// bits on every machine.
    pub fn normal(&mut self) -> f64 {
        normal_quantile(self.open())
    }

    /// The next `n` standard normal numbers, as [`Stream::normal`] would give them, in blocks:
    /// `take` gets the index of a block's first number and the block.
    pub fn normals(&mut self, n: usize, mut take: impl FnMut(usize, &[f64])) {
        const BLOCK: usize = 64;
        let (mut p, mut x) = ([0.0; BLOCK], [0.0; BLOCK]);
        for start in (0..n).step_by(BLOCK) {
            let len = BLOCK.min(n - start);
            p.iter_mut().take(len).for_each(|p| *p = self.open());
            // Without branches, for the compiler to vectorise; then the few in the tails.
            x.iter_mut().zip(&p).for_each(|(x, p)| *x = centre(p - 0.5));
            for (x, p) in x.iter_mut().zip(&p).take(len).filter(|(_, p)| (**p - 0.5).abs() > CENTRE) {
                *x = tail(*p);
            }
            take(start, &x[..len]);
        }
    }

    /// Passes over `n` draws of [`Stream::bits`], [`Stream::uniform`] or [`Stream::normal`].
    pub fn skip(&mut self, n: usize) {
        self.counter = self.counter.wrapping_add(n as u64);
    }

    /// Uniform in (0, 1), symmetric about a half.
    fn open(&mut self) -> f64 {
        ((self.bits() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
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

/// Half width of the probabilities that [`centre`] serves.
const CENTRE: f64 = 0.425;

fn polynomial<const N: usize>(x: f64, coefficients: [f64; N]) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

/// The normal quantile of `p` in (0, 1), accurate to about 1e-16 (Wichura, "Algorithm AS 241: the
/// percentage points of the normal distribution", Applied Statistics 37, 1988).
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= CENTRE { centre(q) } else { tail(p) }
}

#[inline]
fn centre(q: f64) -> f64 {
    let r = 0.180625 - q * q;
    let above = polynomial(
        r,
        [
            2.509_080_928_730_122_6e3,
            3.343_057_558_358_813e4,
            6.726_577_092_700_87e4,
            4.592_195_393_154_987e4,
            1.373_169_376_550_946e4,
            1.971_590_950_306_551_3e3,
            1.331_416_678_917_843_8e2,
            3.387_132_872_796_366_5,
        ],
    );
    let below = polynomial(
        r,
        [
            5.226_495_278_852_854e3,
            2.872_908_573_572_194_3e4,
            3.930_789_580_009_271e4,
            2.121_379_430_158_659_7e4,
            5.394_196_021_424_751e3,
            6.871_870_074_920_579e2,
            4.231_333_070_160_091e1,
            1.0,
        ],
    );
    above * q / below
}

fn tail(p: f64) -> f64 {
    let r = (-libm::log(p.min(1.0 - p))).sqrt();
    let x = if r <= 5.0 { near(r - 1.6) } else { far(r - 5.0) };
    if p < 0.5 { -x } else { x }
}

fn near(r: f64) -> f64 {
    let above = [
        7.745_450_142_783_414e-4,
        2.272_384_498_926_918_4e-2,
        2.417_807_251_774_506e-1,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ];
    let below = [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        1.519_866_656_361_645_7e-2,
        1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ];
    polynomial(r, above) / polynomial(r, below)
}

fn far(r: f64) -> f64 {
    let above = [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        1.242_660_947_388_078_4e-3,
        2.653_218_952_657_612_3e-2,
        2.965_605_718_285_048_9e-1,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ];
    let below = [
        2.044_263_103_389_939_8e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        7.868_691_311_456_133e-4,
        1.487_536_129_085_061_5e-2,
        1.369_298_809_227_358e-1,
        5.998_322_065_558_88e-1,
        1.0,
    ];
    polynomial(r, above) / polynomial(r, below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_normal_distribution() {
        // Python's statistics.NormalDist().inv_cdf.
        let known = [
            (0.975, 1.959_963_984_540_053_6),
            (0.3, -0.524_400_512_708_040_7),
            (1e-10, -6.361_340_902_404_056),
            (0.05, -1.644_853_626_951_472_6),
            (1e-15, -7.941_345_326_170_997),
        ];
        for (p, x) in known {
            assert!((normal_quantile(p) - x).abs() < 1e-14, "{p}: {}", normal_quantile(p));
        }
    }

    #[test]
    fn blocks_and_skips_give_what_single_draws_give() {
        let mut one = Stream::new(5, "blocks");
        let single: Vec<f64> = (0..200).map(|_| one.normal()).collect();
        let mut many = Vec::new();
        Stream::new(5, "blocks").normals(200, |at, block| {
            assert_eq!(at, many.len());
            many.extend_from_slice(block);
        });
        assert_eq!(single, many);
        let mut later = Stream::new(5, "blocks");
        later.skip(77);
        assert_eq!(later.normal(), single[77]);
    }

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
