//! Files that are whole or absent: written to a temporary name, synced and renamed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `path` atomically: readers see the old file or the new one, never a part.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full; nothing is left behind.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if path.metadata().is_ok_and(|m| !m.is_file()) {
        // A device or pipe (`/dev/stdout`) is written to, never replaced.
        return fs::OpenOptions::new().write(true).open(path)?.write_all(bytes);
    }
    let temporary = temporary(path);
    let result = write_synced(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    result
}

/// Sees whether [`write_atomic`] could write to `path`: for what is computed long before it is written.
///
/// # Errors
/// When the folder is missing or not writable, or `path` is one itself.
pub fn check_writable(path: &Path) -> io::Result<()> {
    match path.metadata() {
        Ok(m) if m.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(m) if !m.is_file() => Ok(()),
        _ => {
            let temporary = temporary(path);
            File::create(&temporary)?;
            fs::remove_file(&temporary)
        }
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// A name beside `path` that no other process uses.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

/// Removes what killed processes left half-written in a folder. Files of processes that may still run
/// stay: another one may be writing there.
pub fn remove_abandoned(folder: &Path) {
    let abandoned = |path: &Path| {
        let name = path.file_name()?.to_str()?;
        let (_, process) = name.strip_suffix(".tmp")?.rsplit_once('.')?;
        let process: u32 = process.parse().ok()?;
        let own = process == std::process::id();
        Some(!own && Path::new("/proc/self").exists() && !Path::new(&format!("/proc/{process}")).exists())
    };
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if abandoned(&entry.path()) == Some(true) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn only_what_dead_processes_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        // Process numbers end at 2^22.
        let left = ["a.json.4200000.tmp", "b.safetensors.4199999.tmp"];
        let own = format!("a.json.{}.tmp", std::process::id());
        let others = [own.as_str(), "a.json.1.tmp", "a.json", "notes.tmp", "a.x.tmp"];
        left.iter().chain(&others).for_each(|n| fs::write(dir.path().join(n), b"x").unwrap());
        remove_abandoned(dir.path());
        assert!(left.iter().all(|n| !dir.path().join(n).exists()));
        assert!(others.iter().all(|n| dir.path().join(n).exists()));
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("missing/out.json");
        assert!(write_atomic(&path, b"x").is_err());
        assert!(check_writable(&path).is_err() && check_writable(dir.path()).is_err());
        let path = dir.path().join("out.json");
        check_writable(&path).unwrap();
        assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
