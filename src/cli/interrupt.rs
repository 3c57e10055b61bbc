//! Ctrl-C. Commands that keep what is done ask a [`flag`]: the first Ctrl-C asks them to stop with everything
//! written, the second ends the process at once. A session has one [`line`] at a time to interrupt.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

static STOP: AtomicBool = AtomicBool::new(false);

/// From now on Ctrl-C sets the flag that comes back.
pub fn flag() -> &'static AtomicBool {
    // A process has one handler; where one is set already, it sets the same flag.
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            end();
        }
    });
    &STOP
}

/// From now on Ctrl-C at a prompt sets the flag that comes back, which ends the line that is evaluated; in a
/// pipe it ends everything.
pub fn line(terminal: bool) -> Arc<AtomicBool> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    let _ = ctrlc::set_handler(move || match terminal {
        true => flag.store(true, Ordering::Relaxed),
        false => end(),
    });
    stop
}

fn end() {
    std::process::exit(130);
}
