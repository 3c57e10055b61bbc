//! Work that can be stopped: it runs on a thread of its own while the prompt's thread watches for an
//! interrupt. A run that does not stop soon is left behind, and the prompt lives on.

use super::resident::Interrupted;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Stack of the working thread; programs nest within checked limits.
const STACK: usize = 128 << 20;
/// How often the interrupt is looked at.
const TICK: Duration = Duration::from_millis(20);
/// How long an interrupted run may take to stop before it is left behind.
const PATIENCE: Duration = Duration::from_millis(700);

/// Why there is no result.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    /// Interrupted.
    Interrupted,
    /// A fault of the program itself; its message.
    Fault(String),
}

/// Runs `work`, which should stop when the flag it is given is set. `stop` interrupts it.
///
/// # Errors
/// When it was interrupted, or failed in a way that it should not.
pub fn run<T: Send + 'static>(
    stop: &AtomicBool,
    work: impl FnOnce(Arc<AtomicBool>) -> T + Send + 'static,
) -> Result<T, Ended> {
    let cancel = Arc::new(AtomicBool::new(false));
    let (send, receive) = channel();
    let inner = cancel.clone();
    let body = move || {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(inner)));
        let _ = send.send(result);
    };
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(body)
        .map_err(|e| Ended::Fault(format!("cannot start a thread: {e}")))?;
    let mut since = None;
    loop {
        match receive.recv_timeout(TICK) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(payload)) if payload.is::<Interrupted>() => return Err(Ended::Interrupted),
            Ok(Err(payload)) => return Err(Ended::Fault(message(payload.as_ref()))),
            Err(RecvTimeoutError::Disconnected) => return Err(Ended::Fault("the thread ended".into())),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if stop.load(Ordering::Relaxed) {
            cancel.store(true, Ordering::Relaxed);
            if since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
                return Err(Ended::Interrupted);
            }
        }
    }
}

fn message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|s| (*s).to_string());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_interrupts_and_faults() {
        let stop = AtomicBool::new(false);
        assert_eq!(run(&stop, |_| 7), Ok(7));
        let fault = run(&stop, |_| -> u8 { std::panic::resume_unwind(Box::new("broken")) });
        assert_eq!(fault, Err(Ended::Fault("broken".into())));
        stop.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let polite = run(&stop, |cancel| {
            while !cancel.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::panic::resume_unwind(Box::new(Interrupted))
        });
        assert_eq!(polite, Err::<u8, _>(Ended::Interrupted));
        assert!(start.elapsed() < PATIENCE);
        let stubborn = run(&stop, |_| std::thread::sleep(Duration::from_secs(3)));
        assert_eq!(stubborn, Err(Ended::Interrupted));
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}
