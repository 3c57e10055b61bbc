//! Reading safetensors files: memory-mapped, checked on opening, errors that name file and key.
//!
//! Files that this crate wrote carry a checksum for every tensor (metadata key `checksums`); a
//! tensor is verified when it is read. Files from elsewhere are read as they are.

use crate::site::SourceError;
use crate::tensor::{Dtype, Element, Shared, Tensor};
use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::SafeTensors;
use safetensors::tensor::Metadata;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// An open safetensors file.
pub struct TensorFile {
    path: PathBuf,
    map: Arc<Mmap>,
    data_start: usize,
    header: Metadata,
    checksums: HashMap<String, u64>,
}

/// Metadata key under which checksums are kept: `{"key": "16 hex digits"}`.
pub const CHECKSUMS: &str = "checksums";

impl TensorFile {
    /// Opens and checks a file: header, offsets and length.
    ///
    /// # Errors
    /// Missing, truncated or malformed files, by name.
    pub fn open(path: &Path) -> Result<Self, SourceError> {
        let fail = |what: String, help: Option<&str>| SourceError {
            message: format!("{}: {what}", path.display()),
            help: help.map(str::to_owned),
        };
        let file = File::open(path).map_err(|e| fail(format!("cannot be opened: {e}"), None))?;
        if path.is_dir() {
            return Err(fail("is a folder".to_owned(), Some("give the path of a safetensors file")));
        }
        // SAFETY: the map is read only; a file that another process cuts short while it is mapped
        // is outside of what can be guarded against, as with every memory-mapped reader.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| fail(format!("cannot be mapped: {e}"), None))?;
        let (header_len, header) = SafeTensors::read_metadata(&map).map_err(|e| {
            fail(
                format!("is not a complete safetensors file ({e})"),
                Some("it may be cut short; write or fetch it again"),
            )
        })?;
        let map = Arc::new(map);
        let data_start = header_len + 8;
        let end = header.offset_keys().iter().filter_map(|k| header.info(k)).map(|i| i.data_offsets.1).max();
        if data_start + end.unwrap_or(0) != map.len() {
            let want = data_start + end.unwrap_or(0);
            return Err(fail(
                format!("has {} bytes where its header says {want}", map.len()),
                Some("it may be cut short; write or fetch it again"),
            ));
        }
        let checksums = read_checksums(&header).map_err(|what| fail(what, None))?;
        Ok(TensorFile { path: path.to_owned(), map, data_start, header, checksums })
    }

    /// Where it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keys in the order of the data.
    pub fn keys(&self) -> Vec<String> {
        self.header.offset_keys()
    }

    /// Free-form metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.header.metadata().as_ref().and_then(|m| m.get(key)).map(String::as_str)
    }

    /// Bytes of the file.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    /// Is the file empty? It never is: it has a header.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    /// Sizes of a tensor.
    pub fn dims(&self, key: &str) -> Option<&[usize]> {
        self.header.info(key).map(|i| i.shape.as_slice())
    }

    fn bytes(&self, key: &str) -> Result<(&safetensors::tensor::TensorInfo, &[u8]), SourceError> {
        let info = self.header.info(key).ok_or_else(|| self.error(key, "is not in the file"))?;
        let (from, to) = info.data_offsets;
        let bytes = &self.map[self.data_start + from..self.data_start + to];
        match self.checksums.get(key) {
            Some(&sum) if sum != xxh3_64(bytes) => {
                Err(self.error(key, "does not match its checksum: the file was altered or damaged"))
            }
            _ => Ok((info, bytes)),
        }
    }

    /// A floating-point tensor, over the mapped file where its elements are aligned there.
    ///
    /// # Errors
    /// A missing key, a checksum that does not match, another element type.
    pub fn tensor(&self, key: &str) -> Result<Tensor, SourceError> {
        use safetensors::Dtype as D;
        let (info, bytes) = self.bytes(key)?;
        Ok(match info.dtype {
            D::F64 => self.elements(info, bytes, f64::from_le_bytes),
            D::F32 => self.elements(info, bytes, f32::from_le_bytes),
            D::F16 => self.elements(info, bytes, f16::from_le_bytes),
            D::BF16 => self.elements(info, bytes, bf16::from_le_bytes),
            other => {
                return Err(
                    self.error(key, &format!("has element type {other:?}; F64, F32, F16 or BF16 is needed"))
                );
            }
        })
    }

    fn elements<const N: usize, T: Element>(
        &self,
        info: &safetensors::tensor::TensorInfo,
        bytes: &[u8],
        read: impl Fn([u8; N]) -> T,
    ) -> Tensor {
        let (from, to) = info.data_offsets;
        match Shared::mapped(&self.map, self.data_start + from..self.data_start + to) {
            Some(mapped) => Tensor::shared::<T>(&info.shape, mapped),
            None => Tensor::new::<T>(&info.shape, elements(bytes, read)),
        }
    }

    /// An integer tensor (token ids).
    ///
    /// # Errors
    /// As [`TensorFile::tensor`].
    pub fn integers(&self, key: &str) -> Result<(Vec<usize>, Vec<i64>), SourceError> {
        use safetensors::Dtype as D;
        let (info, bytes) = self.bytes(key)?;
        let data = match info.dtype {
            D::I64 => elements(bytes, i64::from_le_bytes),
            D::I32 => elements(bytes, |b| i64::from(i32::from_le_bytes(b))),
            other => {
                return Err(self.error(key, &format!("has element type {other:?}; I64 or I32 is needed")));
            }
        };
        Ok((info.shape.clone(), data))
    }

    fn error(&self, key: &str, what: &str) -> SourceError {
        SourceError { message: format!("{}: tensor \"{key}\" {what}", self.path.display()), help: None }
    }
}

fn elements<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (chunks, _) = bytes.as_chunks::<N>();
    chunks.iter().map(|&b| read(b)).collect()
}

fn read_checksums(header: &Metadata) -> Result<HashMap<String, u64>, String> {
    let Some(text) = header.metadata().as_ref().and_then(|m| m.get(CHECKSUMS)) else {
        return Ok(HashMap::new());
    };
    let sums: HashMap<String, String> =
        serde_json::from_str(text).map_err(|e| format!("its checksums cannot be read ({e})"))?;
    let parse = |(k, v): (String, String)| {
        u64::from_str_radix(&v, 16).map(|s| (k.clone(), s)).map_err(|_| format!("bad checksum of \"{k}\""))
    };
    sums.into_iter().map(parse).collect()
}

/// Name of an element type in safetensors.
pub(super) fn dtype_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F64 => "F64",
        Dtype::F32 => "F32",
        Dtype::F16 => "F16",
        Dtype::Bf16 => "BF16",
    }
}
