//! Where matrix products may run besides this CPU. The tape and the models do not know: `gemm` asks
//! here first, and computes what is declined.
//!
//! What is handed over depends on sizes alone, never on measured times, so that a score has the same
//! bits in every run on a device.

use super::gemm::{Into, View};
use super::real::Real;
use std::any::TypeId;
use std::sync::OnceLock;

/// Products in step: product `i` is at the views' offsets plus `i` times the strides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// Destination, left and right factor of the first product.
    pub views: [View; 3],
    /// Distances of successive products.
    pub strides: [usize; 3],
    /// Number of products.
    pub count: usize,
}

/// The elements that products read and write.
pub enum Elements<'a> {
    /// Destination, left and right factors in single precision.
    F32(&'a mut [f32], &'a [f32], &'a [f32]),
    /// In double precision.
    F64(&'a mut [f64], &'a [f64], &'a [f64]),
}

/// A device that computes products.
pub trait Products: Send + Sync {
    /// `dst = alpha a b` or `dst += alpha a b` for every group. False when it did not: `dst` is then
    /// as it was.
    fn products(&self, elements: Elements<'_>, groups: &[Group], alpha: f64, into: Into) -> bool;
}

static DEVICE: OnceLock<Box<dyn Products>> = OnceLock::new();

/// Makes `device` compute large products from now on; false when there is one already.
pub fn install(device: Box<dyn Products>) -> bool {
    DEVICE.set(device).is_ok()
}

/// Is there a device?
pub(super) fn installed() -> bool {
    DEVICE.get().is_some()
}

/// Operations (an addition or a product) under which a copy to a device is not worth its while.
const LEAST: f64 = 16e6;
/// Operations per byte copied under which it is not either.
const INTENSITY: f64 = 16.0;

/// Groups of products of `count` views: those that follow each other in equal steps are one.
pub(super) fn groups(count: usize, views: impl Fn(usize) -> [View; 3]) -> Vec<Group> {
    let mut out: Vec<Group> = Vec::new();
    for i in 0..count {
        let next = views(i);
        if !out.last_mut().is_some_and(|g| g.extend(next)) {
            out.push(Group { views: next, strides: [0; 3], count: 1 });
        }
    }
    out
}

impl Group {
    /// Takes one more product in, where it is a step further.
    fn extend(&mut self, next: [View; 3]) -> bool {
        let mut strides = [0; 3];
        for (k, (a, b)) in self.views.iter().zip(next).enumerate() {
            let same = (a.rows, a.cols, a.rs, a.cs) == (b.rows, b.cols, b.rs, b.cs);
            let Some(distance) = b.offset.checked_sub(a.offset).filter(|_| same) else { return false };
            if distance % self.count != 0 {
                return false;
            }
            strides[k] = distance / self.count;
        }
        if self.count > 1 && strides != self.strides {
            return false;
        }
        self.strides = strides;
        self.count += 1;
        true
    }

    fn operations(&self) -> f64 {
        let [d, a, _] = self.views;
        2.0 * (self.count * d.rows) as f64 * d.cols as f64 * a.cols as f64
    }
}

/// Hands products over, where there is a device and it is worth it. True when they are done.
pub(super) fn offered<R: Real>(
    dst: &mut [R],
    a: &[R],
    b: &[R],
    groups: &[Group],
    alpha: f64,
    into: Into,
) -> bool {
    let Some(device) = DEVICE.get() else { return false };
    let operations: f64 = groups.iter().map(Group::operations).sum();
    let bytes = ((dst.len() + a.len() + b.len()) * size_of::<R>()) as f64;
    if operations < LEAST || operations < INTENSITY * bytes {
        return false;
    }
    if R::PARTS == 1 {
        elements(dst, a, b).is_some_and(|e| device.products(e, groups, alpha, into))
    } else {
        dual(device.as_ref(), dst, [a, b], groups, alpha, into)
    }
}

/// Products of dual numbers as three of plain ones, by the product rule; their parts lie between one
/// another and are taken apart first.
fn dual<R: Real>(
    device: &dyn Products,
    dst: &mut [R],
    [a, b]: [&[R]; 2],
    groups: &[Group],
    alpha: f64,
    into: Into,
) -> bool {
    let values = |x: &[R]| x.iter().map(|x| x.value()).collect::<Vec<R::Base>>();
    let tangents = |x: &[R]| x.iter().map(|x| x.tangent()).collect::<Vec<R::Base>>();
    let (av, ad, bv, bd) = (values(a), tangents(a), values(b), tangents(b));
    let (mut v, mut d) = (values(dst), tangents(dst));
    let run = |to: &mut [R::Base], a: &[R::Base], b: &[R::Base], into| {
        elements(to, a, b).is_some_and(|e| device.products(e, groups, alpha, into))
    };
    let done = run(&mut v, &av, &bv, into) && run(&mut d, &av, &bd, into) && run(&mut d, &ad, &bv, Into::Add);
    if done {
        for (x, (&v, &d)) in dst.iter_mut().zip(v.iter().zip(&d)) {
            *x = R::dual(v, d);
        }
    }
    done
}

/// Plain numbers as what they are.
fn elements<'a, R: Real>(dst: &'a mut [R], a: &'a [R], b: &'a [R]) -> Option<Elements<'a>> {
    let of = TypeId::of::<R>();
    if of == TypeId::of::<f32>() {
        // SAFETY: `R` is `f32`.
        unsafe { Some(Elements::F32(cast_mut(dst), cast(a), cast(b))) }
    } else if of == TypeId::of::<f64>() {
        // SAFETY: `R` is `f64`.
        unsafe { Some(Elements::F64(cast_mut(dst), cast(a), cast(b))) }
    } else {
        None
    }
}

/// # Safety
/// `R` and `T` are one type.
unsafe fn cast<R, T>(x: &[R]) -> &[T] {
    // SAFETY: the same elements, by the caller's word.
    unsafe { std::slice::from_raw_parts(x.as_ptr().cast(), x.len()) }
}

/// # Safety
/// `R` and `T` are one type.
unsafe fn cast_mut<R, T>(x: &mut [R]) -> &mut [T] {
    // SAFETY: the same elements, by the caller's word.
    unsafe { std::slice::from_raw_parts_mut(x.as_mut_ptr().cast(), x.len()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::gemm::product;
    use crate::tensor::real::Dual;

    /// Computes in the obvious way, and says so.
    struct Plain;

    impl Products for Plain {
        fn products(&self, elements: Elements<'_>, groups: &[Group], alpha: f64, into: Into) -> bool {
            let Elements::F64(dst, a, b) = elements else { return false };
            for (g, i) in groups.iter().flat_map(|g| (0..g.count).map(move |i| (g, i))) {
                let mut views = g.views;
                for (v, s) in views.iter_mut().zip(g.strides) {
                    v.offset += i * s;
                }
                product(dst, a, b, views, alpha, into);
            }
            true
        }
    }

    #[test]
    fn dual_products_are_three_plain_ones() {
        let (m, k, n) = (3, 4, 5);
        let make = |len: usize, s: usize| -> Vec<Dual<f64>> {
            (0..len).map(|i| Dual { v: ((i * 7 + s) % 11) as f64, d: ((i * 5 + s) % 13) as f64 }).collect()
        };
        let (a, b) = (make(m * k, 1), make(k * n, 2));
        let views = [View::new(m, n), View::new(m, k), View::new(k, n)];
        let group = [Group { views, strides: [0; 3], count: 1 }];
        for into in [Into::Set, Into::Add] {
            let (mut want, mut got) = (make(m * n, 3), make(m * n, 3));
            product(&mut want, &a, &b, views, 0.5, into);
            assert!(dual(&Plain, &mut got, [&a, &b], &group, 0.5, into));
            for (x, y) in got.iter().zip(&want) {
                assert!((x.v - y.v).abs() < 1e-12 && (x.d - y.d).abs() < 1e-12, "{x:?} {y:?}");
            }
        }
    }

    #[test]
    fn products_in_equal_steps_are_one_group() {
        // Four heads of width 8 in two sequences of 5 rows of 32 features.
        let head = |i: usize| View { offset: i / 4 * 160 + i % 4 * 8, rows: 5, cols: 8, rs: 32, cs: 1 };
        let views = |i: usize| [head(i), View::new(5, 5).at(25 * i), head(i)];
        let found = groups(8, views);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].count, found[0].strides), (4, [8, 25, 8]));
        assert_eq!((found[1].views[0].offset, found[1].views[1].offset), (160, 100));
        assert_eq!(groups(3, |i| [View::new(2, 2).at(i); 3]).len(), 1);
        // Steps back, and steps of another size, begin a group.
        let odd = [0usize, 4, 9, 2];
        assert_eq!(groups(4, |i| [View::new(2, 2).at(odd[i]); 3]).len(), 3);
    }
}
