//! 128-bit structural keys: equal expressions have equal keys in every batch of programs, so that
//! the reduction cache outlives a [`Dag`](super::Dag). Keys are stable within one build of the
//! crate; they are not written to files.

use std::hash::Hasher;

/// The identity of an expression, and of its value on one architecture once sites are mixed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u128);

const K1: u64 = 0x9e37_79b9_7f4a_7c15;
const K2: u64 = 0xd6e8_feb8_6659_fd93;
const K3: u64 = 0xa076_1d64_78bd_642f;

fn folded(a: u64, b: u64) -> u64 {
    let p = u128::from(a) * u128::from(b);
    (p as u64) ^ ((p >> 64) as u64)
}

impl Key {
    /// Mixes a word in; the order of words matters.
    #[must_use]
    pub fn mix(self, word: u64) -> Key {
        let (lo, hi) = (self.0 as u64, (self.0 >> 64) as u64);
        let new_lo = folded(lo ^ word ^ K3, K1).wrapping_add(hi);
        let new_hi = folded(hi.rotate_left(29) ^ word ^ K1, K2) ^ lo.rotate_left(17);
        Key(u128::from(new_lo) | (u128::from(new_hi) << 64))
    }

    /// Mixes another key in.
    #[must_use]
    pub fn join(self, other: Key) -> Key {
        self.mix(other.0 as u64).mix((other.0 >> 64) as u64)
    }
}

/// Lets everything that implements `Hash` be mixed into a key.
#[derive(Default)]
pub struct KeyHasher(pub Key);

impl Hasher for KeyHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.mix(u64::from_le_bytes(word));
        }
        self.0 = self.0.mix(bytes.len() as u64);
    }
    fn write_u64(&mut self, x: u64) {
        self.0 = self.0.mix(x);
    }
    fn write_usize(&mut self, x: usize) {
        self.0 = self.0.mix(x as u64);
    }
    fn finish(&self) -> u64 {
        self.0.0 as u64
    }
}

/// The key of a value.
pub fn key_of<T: std::hash::Hash + ?Sized>(value: &T) -> Key {
    let mut h = KeyHasher::default();
    value.hash(&mut h);
    h.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_content_matter() {
        let a = Key::default().mix(1).mix(2);
        assert_ne!(a, Key::default().mix(2).mix(1));
        assert_eq!(a, Key::default().mix(1).mix(2));
        let keys: std::collections::HashSet<_> = (0..100_000u64).map(|x| key_of(&(x, x / 7))).collect();
        assert_eq!(keys.len(), 100_000);
    }
}
