//! Folders of stored captures, as `rank` and `evolve` read them.

use super::error::CliError;
use super::model_args::{DataArgs, Precision};
use crate::bench::Record;
use crate::capture::store::Identity;
use crate::capture::stored::StoreSource;
use crate::data::Tokens;
use crate::model::Config;
use crate::site::SourceError;
use std::path::{Path, PathBuf};

/// A folder with a file per architecture.
#[derive(Clone, Debug)]
pub struct Captures {
    dir: PathBuf,
}

/// Longest name of a file, in bytes, before its ending.
const LONGEST: usize = 180;

impl Captures {
    /// The captures in `dir`.
    pub fn new(dir: &Path) -> Self {
        Captures { dir: dir.to_owned() }
    }

    /// The file of an architecture: its id, with everything but letters, digits, `-`, `_` and inner
    /// dots as `%XX`.
    pub fn path(&self, id: &str) -> PathBuf {
        let mut name = String::new();
        for (i, b) in id.bytes().enumerate() {
            match b {
                b'.' if i > 0 => name.push('.'),
                b if b.is_ascii_alphanumeric() || b == b'-' || b == b'_' => name.push(char::from(b)),
                b => name += &format!("%{b:02X}"),
            }
        }
        if name.len() > LONGEST {
            name.truncate(LONGEST);
            name += &format!("-{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes()));
        }
        self.dir.join(name + ".safetensors")
    }

    /// Keeps the architectures that are captured. Returns how many were left out.
    ///
    /// # Errors
    /// A folder that is not there; none of them is captured.
    pub fn keep(&self, records: &mut Vec<Record>) -> Result<usize, CliError> {
        let before = records.len();
        if !self.dir.is_dir() {
            return Err(CliError::new(format!("{} is not a folder of captures", self.dir.display()))
                .help("`lpz capture --bench X --out DIR` makes one"));
        }
        records.retain(|r| self.path(&r.id).is_file());
        match records.is_empty() {
            true => Err(CliError::new(format!(
                "{}: none of the {before} architectures is captured here",
                self.dir.display()
            ))
            .help("`lpz capture --bench X --out DIR` captures them; give it the same --limit and --sample")),
            false => Ok(before - records.len()),
        }
    }

    /// The capture of an architecture.
    ///
    /// # Errors
    /// A file that is missing, damaged, or captured with other options.
    pub fn open(
        &self,
        id: &str,
        key: &str,
        config: &Config,
        (data, tokens, seed): (&DataArgs, &Tokens, u64),
    ) -> Result<StoreSource, SourceError> {
        let identity = identity(data, config, key, tokens, seed)?;
        StoreSource::open(&self.path(id), &identity, data.objective.first().copied())
    }
}

/// A remark on architectures that are left out.
pub fn left_out(n: usize, dir: &Path) -> Option<String> {
    (n > 0).then(|| format!("note: {n} architectures are not in {} and are left out", dir.display()))
}

/// The identity of an architecture's capture; `key` is its family and config as text.
///
/// # Errors
/// Data that does not fit the architecture.
pub fn identity(
    data: &DataArgs,
    config: &Config,
    key: &str,
    tokens: &Tokens,
    seed: u64,
) -> Result<Identity, SourceError> {
    let batches = data.batches(config, tokens, 1, seed)?;
    let precision = match data.precision {
        Precision::F32 => "f32",
        Precision::F64 => "f64",
        Precision::Bf16 => "bf16",
        Precision::F16 => "f16",
    };
    let none = || SourceError { message: "no batch".to_owned(), help: None };
    Ok(Identity::new(key, batches.first().ok_or_else(none)?, seed, precision))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_become_names_that_cannot_leave_the_folder_or_meet() {
        let c = Captures::new(Path::new("d"));
        assert_eq!(c.path("flexibert-12"), Path::new("d/flexibert-12.safetensors"));
        assert_eq!(c.path("../a/b"), Path::new("d/%2E.%2Fa%2Fb.safetensors"));
        let long = "x".repeat(500);
        assert!(c.path(&long).file_name().unwrap().len() < 255);
        assert_ne!(c.path(&long), c.path(&(long.clone() + "y")));
    }
}
