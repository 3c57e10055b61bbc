//! Shared elements of a tensor: owned, or a part of a memory-mapped file.

use bytemuck::Pod;
use memmap2::Mmap;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Elements that are cheap to clone; reads like a slice.
#[derive(Clone)]
pub struct Shared<T>(Inner<T>);

#[derive(Clone)]
enum Inner<T> {
    Owned(Arc<[T]>),
    /// As a vector, which it costs nothing to take in.
    Buffer(Arc<Vec<T>>),
    /// Bytes of a map that are elements as they lie there.
    Mapped(Arc<Mmap>, std::ops::Range<usize>),
}

impl<T: Pod> Shared<T> {
    /// The little-endian elements at `bytes` of `map` without a copy; `None` where they have to be
    /// copied (not aligned, or a machine of the other byte order).
    pub fn mapped(map: &Arc<Mmap>, bytes: std::ops::Range<usize>) -> Option<Self> {
        let fits = bytemuck::try_cast_slice::<u8, T>(map.get(bytes.clone())?).is_ok();
        (fits && cfg!(target_endian = "little")).then(|| Shared(Inner::Mapped(map.clone(), bytes)))
    }
}

impl<T> From<Arc<[T]>> for Shared<T> {
    fn from(data: Arc<[T]>) -> Self {
        Shared(Inner::Owned(data))
    }
}

impl<T> From<Vec<T>> for Shared<T> {
    fn from(data: Vec<T>) -> Self {
        Shared(Inner::Buffer(Arc::new(data)))
    }
}

impl<T> From<Arc<Vec<T>>> for Shared<T> {
    fn from(data: Arc<Vec<T>>) -> Self {
        Shared(Inner::Buffer(data))
    }
}

impl<T: Pod> Deref for Shared<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        match &self.0 {
            Inner::Owned(data) => data,
            Inner::Buffer(data) => data,
            Inner::Mapped(map, bytes) => bytemuck::cast_slice(&map[bytes.clone()]),
        }
    }
}

impl<T: Pod> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} elements", self.len())
    }
}
