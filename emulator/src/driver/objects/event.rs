//! Events. Work is done when it was submitted, so an event has happened as soon as it was recorded.

use super::capture::Capture;
use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::handles::{Registry, lock};
use crate::driver::sys::Handle;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// `CU_EVENT_DISABLE_TIMING`.
pub const NO_TIMING: u32 = 2;

/// What an event knows.
#[derive(Clone)]
pub enum State {
    Never,
    At(Instant),
    /// Recorded in a stream that is being captured: after these nodes.
    Captured {
        capture: Arc<Capture>,
        after: Vec<Handle>,
    },
}

/// An event.
pub struct Event {
    pub context: Handle,
    flags: u32,
    pub state: Mutex<State>,
}

pub static EVENTS: Registry<Event> = Registry::new(3);

impl Event {
    /// An event that was never recorded, not yet entered in the registry.
    pub fn new(context: Handle, flags: u32) -> Event {
        Event { context, flags, state: Mutex::new(State::Never) }
    }

    pub fn by_handle(handle: Handle) -> Result<Arc<Event>> {
        driver()?;
        EVENTS.get(handle).ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not an event")))
    }

    /// Marks it as happened.
    pub fn record_now(&self) {
        *lock(&self.state) = State::At(Instant::now());
    }

    /// When it was recorded; an error if it takes no times.
    pub fn time(&self) -> Result<Instant> {
        if self.flags & NO_TIMING != 0 {
            return Err(Code::INVALID_HANDLE.because("the event was created without timing"));
        }
        match *lock(&self.state) {
            State::At(time) => Ok(time),
            State::Never => Err(Code::INVALID_HANDLE.because("the event was never recorded")),
            State::Captured { .. } => {
                Err(Code::CAPTURED_EVENT.because("the event was recorded in a capture"))
            }
        }
    }

    /// Waiting for or asking after an event of a capture ends the capture.
    pub fn forbid_captured(&self) -> Result {
        let capture = match &*lock(&self.state) {
            State::Captured { capture, .. } => capture.clone(),
            _ => return Ok(()),
        };
        capture.invalidate();
        Err(Code::CAPTURED_EVENT.because("the event was recorded in a capture"))
    }
}
