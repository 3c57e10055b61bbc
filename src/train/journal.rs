//! A journal of finished trainings: a line each, on disk before the next is told of. A line that a
//! killed process left half-written is dropped.

use super::TrainError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// One finished training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// Which architecture.
    pub architecture: usize,
    /// Which seed, from 0.
    pub seed: usize,
    /// Loss on the evaluation text; none where it diverged.
    pub loss: Option<f64>,
    /// Mean training loss of the last tenth of the steps.
    pub train_loss: Option<f64>,
    /// Why there is no loss.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// An open journal.
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens the journal, or begins one; what it holds already comes back.
    ///
    /// # Errors
    /// A journal that was begun for something else; one that cannot be read or written.
    pub fn open(path: &Path, identity: &Value) -> Result<(Self, Vec<Done>), TrainError> {
        let io = |e: std::io::Error| TrainError::new(format!("cannot write {}: {e}", path.display()));
        let begun = std::fs::read_to_string(path).unwrap_or_default();
        let whole = &begun[..begun.rfind('\n').map_or(0, |at| at + 1)];
        let mut lines = whole.lines();
        let first = lines.next().map(serde_json::from_str::<Value>);
        match first {
            Some(Ok(was)) if was == *identity => {}
            None => {
                let mut file = File::create(path).map_err(io)?;
                writeln!(file, "{identity}").and_then(|()| file.sync_data()).map_err(io)?;
                return Ok((Journal { path: path.to_owned(), file }, Vec::new()));
            }
            Some(_) => {
                return Err(TrainError::new(format!(
                    "{} was begun for other settings, architectures or text",
                    path.display()
                ))
                .help("finish it with what it was begun with, or delete it to start over"));
            }
        }
        let done = lines.map(serde_json::from_str).collect::<Result<Vec<Done>, _>>();
        let done = done.map_err(|e| TrainError::new(format!("{}: {e}", path.display())))?;
        let file = OpenOptions::new().append(true).open(path).map_err(io)?;
        file.set_len(whole.len() as u64).map_err(io)?;
        Ok((Journal { path: path.to_owned(), file }, done))
    }

    /// Adds a finished training.
    ///
    /// # Errors
    /// A full disk.
    pub fn add(&mut self, done: &Done) -> Result<(), TrainError> {
        let line = serde_json::to_string(done).map_err(|e| TrainError::new(e.to_string()))? + "\n";
        self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data()).map_err(|e| {
            TrainError::new(format!("cannot write {}: {e}", self.path.display()))
                .help("free space and run the same command again; finished trainings are kept")
        })
    }
}
