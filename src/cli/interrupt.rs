//! Ctrl-C: the first asks a command to stop with everything written, the second ends the process at
//! once.

use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C sets the flag that comes back.
pub fn flag() -> &'static AtomicBool {
    // A process has one handler; where one is set already, it sets the same flag.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    &STOP
}
