//! Tables, JSON and progress: where each goes.

use super::Global;
use super::error::CliError;
use super::say::say;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes `value` where `--json` says; returns whether it was asked for.
///
/// # Errors
/// When the file cannot be written.
pub fn json(global: &Global, value: &serde_json::Value) -> Result<bool, CliError> {
    let Some(path) = &global.json else { return Ok(false) };
    let text = serde_json::to_string_pretty(value).map_err(super::error::failed)? + "\n";
    if path.as_os_str() == "-" {
        print(&text)?;
    } else {
        write_atomic(path, text.as_bytes())?;
    }
    Ok(true)
}

/// Writes to standard output; a reader that went away (`| head`) ends the command quietly.
///
/// # Errors
/// When standard output fails otherwise.
pub fn print(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Err(CliError::reported(0)),
        Err(e) => Err(CliError::new(format!("cannot write to standard output: {e}"))),
        Ok(()) => Ok(()),
    }
}

/// Writes a file by way of a temporary one beside it, so that no half-written file is ever seen.
///
/// # Errors
/// When the folder is missing or not writable, or the disk is full.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), CliError> {
    crate::files::write_atomic(path, bytes).map_err(|e| CliError::io("write", path, &e).help(ROOM))
}

/// What to do about a file or folder that cannot be written.
const ROOM: &str = "check the path, permissions and free space";

/// Sees that a file can be written, before anything is computed for it.
///
/// # Errors
/// As [`write_atomic`].
pub fn check_writable(path: &Path) -> Result<(), CliError> {
    crate::files::check_writable(path).map_err(|e| CliError::io("write", path, &e).help(ROOM))
}

/// Makes a folder with those above it, where it is not there.
///
/// # Errors
/// When it cannot be made.
pub fn make_folder(path: &Path) -> Result<(), CliError> {
    std::fs::create_dir_all(path).map_err(|e| CliError::io("make", path, &e).help(ROOM))
}

/// A progress line: a bar on a terminal, a plain line now and then elsewhere, nothing when quiet.
pub struct Progress {
    bar: ProgressBar,
    plain: Option<Plain>,
}

struct Plain {
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    last: Instant,
}

/// Steps of a bar that shows a share.
const SHARES: u64 = 1000;

/// How often a plain progress line is printed where there is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

impl Progress {
    /// Progress as a share of the whole; see [`Progress::reach`].
    pub fn share(global: &Global, label: &str) -> Self {
        let progress = Progress::new(global, label, SHARES);
        let template = "{prefix} {bar:20} {percent} % [{elapsed} < {eta}] {msg}";
        let style = ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar());
        progress.bar.set_style(style);
        progress
    }

    /// Progress over `total` steps.
    pub fn new(global: &Global, label: &str, total: u64) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(total);
        if global.quiet || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "{prefix} {wide_bar} {pos}/{len} [{elapsed} < {eta}] {msg}";
        bar.set_style(ProgressStyle::with_template(template).unwrap_or(ProgressStyle::default_bar()));
        bar.set_prefix(label.to_owned());
        let now = Instant::now();
        let plain = (!global.quiet && !terminal).then(|| Plain {
            label: label.to_owned(),
            total,
            done: 0,
            started: now,
            last: now,
        });
        Progress { bar, plain }
    }

    /// One step is done.
    pub fn step(&mut self, message: &str) {
        self.bar.set_message(message.to_owned());
        self.bar.inc(1);
        if let Some(p) = &mut self.plain {
            p.done += 1;
            if p.last.elapsed() >= PLAIN_EVERY {
                p.last = Instant::now();
                let eta =
                    p.started.elapsed().as_secs_f64() / p.done as f64 * p.total.saturating_sub(p.done) as f64;
                if p.total < p.done {
                    say!("{} {} ({:.0} s) {message}", p.label, p.done, p.started.elapsed().as_secs_f64());
                    return;
                }
                say!("{} {}/{} (about {eta:.0} s left) {message}", p.label, p.done, p.total);
            }
        }
    }

    /// So much of the whole is done (0 to 1): for work that is bounded by several budgets at once.
    pub fn reach(&mut self, share: f64, message: &str) {
        self.bar.set_length(SHARES);
        self.bar.set_position((share.clamp(0.0, 1.0) * SHARES as f64) as u64);
        self.bar.set_message(message.to_owned());
        let Some(p) = self.plain.as_mut().filter(|p| p.last.elapsed() >= PLAIN_EVERY) else { return };
        p.last = Instant::now();
        let left = p.started.elapsed().as_secs_f64() * (1.0 / share.max(1e-9) - 1.0).max(0.0);
        say!("{} {:.0} % (about {left:.0} s left) {message}", p.label, 100.0 * share.min(1.0));
    }

    /// A remark above the bar.
    pub fn note(&self, text: &str) {
        if self.plain.is_some() {
            say!("{text}");
        } else {
            self.bar.println(text);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// An empty table with a header.
pub fn table(header: &[&str]) -> comfy_table::Table {
    let mut t = comfy_table::Table::new();
    t.load_style(comfy_table::presets::NOTHING).set_header(header.iter().copied());
    t
}
