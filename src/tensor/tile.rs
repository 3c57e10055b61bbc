//! Turning small square tiles of matrices, in registers where the machine can, and writing past the caches.

/// Side of a tile.
pub const TILE: usize = 8;

/// Turns a tile whose rows are `far` apart into one whose rows are `distance` apart.
pub type Turn<T> = unsafe fn(x: *const T, far: usize, y: *mut T, distance: usize);

/// The function that turns a tile on this machine. What it is given may be read, and written, for
/// [`TILE`] rows of as many elements.
pub fn turn<T: Copy>() -> Turn<T> {
    #[cfg(target_arch = "x86_64")]
    if size_of::<T>() == 4 && super::simd::level() >= 3 {
        // SAFETY: elements are four bytes that are only moved, the machine has AVX2; the rest is the caller's.
        return |x, far, y, distance| unsafe { turn_avx(x.cast(), far, y.cast(), distance) };
    }
    turn_any::<T>
}

/// # Safety
/// As for [`turn`].
unsafe fn turn_any<T: Copy>(x: *const T, far: usize, y: *mut T, distance: usize) {
    for i in 0..TILE {
        for j in 0..TILE {
            // SAFETY: the caller's.
            unsafe { *y.add(j * distance + i) = *x.add(i * far + j) };
        }
    }
}

/// # Safety
/// As for [`turn`], on a machine with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn turn_avx(x: *const f32, far: usize, y: *mut f32, distance: usize) {
    use std::arch::x86_64::*;
    // SAFETY: the caller's.
    let row = |i: usize| unsafe { _mm256_loadu_ps(x.add(i * far)) };
    // Pairs of rows, then fours, then halves of all.
    let pair = |i: usize| {
        let (a, b) = (row(i), row(i + 1));
        (_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b))
    };
    let four = |i: usize| {
        let ((a, b), (c, d)) = (pair(i), pair(i + 2));
        [
            _mm256_shuffle_ps::<0x44>(a, c),
            _mm256_shuffle_ps::<0xEE>(a, c),
            _mm256_shuffle_ps::<0x44>(b, d),
            _mm256_shuffle_ps::<0xEE>(b, d),
        ]
    };
    let (upper, lower) = (four(0), four(4));
    for i in 0..4 {
        // SAFETY: the caller's.
        unsafe {
            _mm256_storeu_ps(y.add(i * distance), _mm256_permute2f128_ps::<0x20>(upper[i], lower[i]));
            _mm256_storeu_ps(y.add((i + 4) * distance), _mm256_permute2f128_ps::<0x31>(upper[i], lower[i]));
        }
    }
}

/// Copies what is not read again soon, past the caches where the machine can.
pub fn stream<T: Copy>(to: &mut [T], from: &[T]) {
    assert_eq!(to.len(), from.len(), "a copy of equal length");
    #[cfg(target_arch = "x86_64")]
    if size_of_val(to) >= 4096 && 16 % size_of::<T>() == 0 && to.as_ptr().align_offset(16) < to.len() {
        // SAFETY: all within the slices; the destination's middle is aligned.
        return unsafe { stream_sse(to, from) };
    }
    to.copy_from_slice(from);
}

/// # Safety
/// Elements divide 16 bytes, and some element of `to` is aligned to as many.
#[cfg(target_arch = "x86_64")]
unsafe fn stream_sse<T: Copy>(to: &mut [T], from: &[T]) {
    use std::arch::x86_64::{_mm_loadu_si128, _mm_sfence, _mm_stream_si128};
    let lane = 16 / size_of::<T>();
    let head = to.as_ptr().align_offset(16);
    let lanes = (to.len() - head) / lane;
    let tail = head + lanes * lane;
    to[..head].copy_from_slice(&from[..head]);
    to[tail..].copy_from_slice(&from[tail..]);
    for i in 0..lanes {
        let at = head + i * lane;
        // SAFETY: `at + lane` is inside of both, and aligned in `to`.
        unsafe {
            _mm_stream_si128(to.as_mut_ptr().add(at).cast(), _mm_loadu_si128(from.as_ptr().add(at).cast()))
        };
    }
    // SAFETY: every x86-64 has it. Others see what was written before they are told that it is there.
    unsafe { _mm_sfence() };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turned<T: Copy + PartialEq>(of: impl Fn(usize) -> T) {
        let x: Vec<T> = (0..TILE * 11).map(&of).collect();
        let mut y = vec![of(0); TILE * 13];
        // SAFETY: both hold a tile.
        unsafe { turn()(x.as_ptr(), 11, y.as_mut_ptr(), 13) };
        for i in 0..TILE {
            for j in 0..TILE {
                assert!(y[j * 13 + i] == x[i * 11 + j], "{i} {j}");
            }
        }
    }

    #[test]
    fn rows_become_columns() {
        turned(|i| i as f32);
        turned(|i| i as f64);
        turned(|i| i as u16);
    }

    #[test]
    fn streams_copy_everything() {
        for (n, skip) in [(0, 0), (5, 1), (5000, 0), (5000, 3), (4099, 1)] {
            let from: Vec<f32> = (0..n + skip).map(|i| i as f32).collect();
            let mut to = vec![-1.0; n + skip];
            stream(&mut to[skip..], &from[skip..]);
            assert!(to[..skip].iter().all(|&x| x == -1.0) && to[skip..] == from[skip..], "{n} {skip}");
            let from: Vec<f64> = from.iter().map(|&x| x.into()).collect();
            let mut to = vec![0.0; n + skip];
            stream(&mut to, &from);
            assert_eq!(to, from);
        }
    }
}
