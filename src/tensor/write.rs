//! Writing safetensors files one tensor at a time, so that a capture never holds a model's tensors
//! together. Shapes are known beforehand, so the header goes first; the checksums in it are patched
//! when the data is there. The file appears under its name only when it is whole.

use super::file::{CHECKSUMS, dtype_name};
use crate::files::temporary;
use crate::tensor::{Data, Dtype, Tensor};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// A tensor that will be written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Key in the file.
    pub key: String,
    /// Element type in the file; tensors are converted.
    pub dtype: Dtype,
    /// Sizes.
    pub dims: Vec<usize>,
}

/// A file being written.
pub struct TensorWriter {
    path: PathBuf,
    temporary: PathBuf,
    out: BufWriter<File>,
    data_start: u64,
    places: HashMap<String, (u64, Entry)>,
    checksums: Map<String, Value>,
    metadata: Map<String, Value>,
    header_len: usize,
    finished: bool,
}

/// Placeholder of a checksum, as long as one.
const NO_SUM: &str = "0000000000000000";

impl TensorWriter {
    /// Starts a file with these entries and metadata.
    ///
    /// # Errors
    /// When the folder is missing or not writable, or the disk is full.
    pub fn create(path: &Path, entries: &[Entry], metadata: &[(&str, String)]) -> io::Result<Self> {
        let mut metadata: Map<String, Value> =
            metadata.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let checksums: Map<String, Value> = entries.iter().map(|e| (e.key.clone(), json!(NO_SUM))).collect();
        metadata.insert(CHECKSUMS.to_owned(), json!(serde_json::to_string(&checksums)?));
        let (header, places) = header(entries, &metadata)?;
        let temporary = temporary(path);
        let mut out = BufWriter::with_capacity(1 << 20, File::create(&temporary)?);
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        let (data_start, header_len) = (header.len() as u64 + 8, header.len());
        Ok(TensorWriter {
            path: path.to_owned(),
            temporary,
            out,
            data_start,
            places,
            checksums,
            metadata,
            header_len,
            finished: false,
        })
    }

    /// Writes a tensor under one of the announced keys.
    ///
    /// # Errors
    /// A key or shape that was not announced; a full disk.
    pub fn write(&mut self, key: &str, tensor: &Tensor) -> io::Result<()> {
        let (offset, entry) =
            self.places.get(key).filter(|(_, e)| e.dims == tensor.dims()).ok_or_else(|| {
                io::Error::other(format!("tensor \"{key}\" {:?} was not announced", tensor.dims()))
            })?;
        let bytes = encode(tensor, entry.dtype);
        self.checksums.insert(key.to_owned(), json!(format!("{:016x}", xxh3_64(&bytes))));
        self.out.seek(SeekFrom::Start(self.data_start + offset))?;
        self.out.write_all(&bytes)
    }

    /// Patches the checksums, syncs, and gives the file its name.
    ///
    /// # Errors
    /// A tensor that was announced and not written; a full disk.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some((key, _)) = self.checksums.iter().find(|(_, v)| v.as_str() == Some(NO_SUM)) {
            return Err(io::Error::other(format!("tensor \"{key}\" was announced and not written")));
        }
        self.metadata.insert(CHECKSUMS.to_owned(), json!(serde_json::to_string(&self.checksums)?));
        let entries: Vec<Entry> = {
            let mut e: Vec<_> = self.places.values().cloned().collect();
            e.sort_by_key(|(offset, e)| (*offset, e.key.clone()));
            e.into_iter().map(|(_, e)| e).collect()
        };
        let (header, _) = header(&entries, &self.metadata)?;
        debug_assert_eq!(header.len(), self.header_len);
        self.out.seek(SeekFrom::Start(8))?;
        self.out.write_all(&header)?;
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.finished = true;
        Ok(())
    }
}

impl Drop for TensorWriter {
    fn drop(&mut self) {
        if !self.finished {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

type Places = HashMap<String, (u64, Entry)>;

fn header(entries: &[Entry], metadata: &Map<String, Value>) -> io::Result<(Vec<u8>, Places)> {
    let mut object = Map::new();
    object.insert("__metadata__".to_owned(), Value::Object(metadata.clone()));
    let mut places = HashMap::new();
    let mut offset = 0u64;
    for entry in entries {
        let size = entry.dims.iter().product::<usize>() as u64 * width(entry.dtype);
        let info = json!({"dtype": dtype_name(entry.dtype), "shape": entry.dims, "data_offsets": [offset, offset + size]});
        object.insert(entry.key.clone(), info);
        places.insert(entry.key.clone(), (offset, entry.clone()));
        offset += size;
    }
    let mut text = serde_json::to_vec(&Value::Object(object))?;
    text.resize(text.len().next_multiple_of(8), b' ');
    Ok((text, places))
}

fn width(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::F64 => 8,
        Dtype::F32 => 4,
        Dtype::F16 | Dtype::Bf16 => 2,
    }
}

fn encode(tensor: &Tensor, dtype: Dtype) -> Vec<u8> {
    use half::{bf16, f16};
    match (tensor.data(), dtype) {
        (Data::F32(d), Dtype::F32) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::Bf16(d), Dtype::Bf16) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::F16(d), Dtype::F16) => d.iter().flat_map(|x| x.to_le_bytes()).collect(),
        (Data::F32(d), Dtype::Bf16) => d.iter().flat_map(|&x| bf16::from_f32(x).to_le_bytes()).collect(),
        (Data::F32(d), Dtype::F16) => d.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect(),
        (_, Dtype::F64) => tensor.to_f64().iter().flat_map(|x| x.to_le_bytes()).collect(),
        (_, Dtype::F32) => tensor.to_f64().iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
        (_, Dtype::F16) => tensor.to_f64().iter().flat_map(|&x| f16::from_f64(x).to_le_bytes()).collect(),
        (_, Dtype::Bf16) => tensor.to_f64().iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect(),
    }
}
