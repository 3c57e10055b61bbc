//! Remarks to the person at the terminal. Where standard error is gone nobody can be told, and the work
//! goes on.

use std::io::Write;

/// Writes to standard error.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// Writes a line to standard error.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cli::say::tell(&(format!($($text)*) + "\n"))
    };
}
pub(crate) use say;
