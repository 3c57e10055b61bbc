//! Changes of element type, dispatched on the instruction set. Every element stands for itself, so none changes
//! a bit.

#[cfg(target_arch = "x86_64")]
use super::kernel::{Isa, isa};
use half::bf16;

/// Writes `f` of the elements of `from`, as many as there are places in both.
pub fn convert<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the features were detected on this machine.
    match isa() {
        Isa::Avx512 => return unsafe { widest(from, to, f) },
        Isa::Avx2 => return unsafe { wide(from, to, f) },
        Isa::Base => {}
    }
    plain(from, to, f);
}

/// The number that a bfloat16 stands for, exactly.
#[inline(always)]
pub fn widen_bf16(x: bf16) -> f32 {
    f32::from_bits(u32::from(x.to_bits()) << 16)
}

#[inline(always)]
fn plain<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    for (to, &from) in to.iter_mut().zip(from) {
        *to = f(from);
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn wide<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    plain(from, to, f);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
fn widest<A: Copy, B>(from: &[A], to: &mut [B], f: impl Fn(A) -> B) {
    plain(from, to, f);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bfloat16_is_widened_exactly() {
        let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
        let mut out = vec![0.0f32; all.len()];
        convert(&all, &mut out, widen_bf16);
        for (x, got) in all.iter().zip(out) {
            assert!(x.to_f32().to_bits() == got.to_bits() || (x.is_nan() && got.is_nan()), "{x:?}");
        }
    }
}
