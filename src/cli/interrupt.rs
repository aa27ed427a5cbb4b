//! Ctrl-C and termination: the first asks the work to stop at the next safe point, the second ends the process.

use std::sync::atomic::{AtomicBool, Ordering};
use synfilter::{Error, Result};

/// Whether the user asked to stop.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Starts to listen.
///
/// # Errors
/// [`Error::Failed`] if the system refuses.
pub fn install() -> Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Error::Failed(format!("signal handler: {error}")))
}

/// Fails with [`Error::Interrupted`] if the user asked to stop.
///
/// # Errors
/// That one.
pub fn check() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
}
