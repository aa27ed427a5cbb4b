//! Events. Work is done when it was submitted, so an event has happened as soon as it was recorded.

use super::capture::{self, Capture};
use super::context::Context;
use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::stream::Stream;
use super::sys::{Handle, Out};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// `CU_EVENT_DISABLE_TIMING`, `CU_EVENT_INTERPROCESS`.
const NO_TIMING: u32 = 2;
const INTERPROCESS: u32 = 4;
const FLAGS: u32 = 7;

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
    pub fn by_handle(handle: Handle) -> Result<Arc<Event>> {
        super::device::driver()?;
        EVENTS.get(handle).ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not an event")))
    }

    /// Marks it as happened.
    pub fn record_now(&self) {
        *lock(&self.state) = State::At(Instant::now());
    }

    /// When it was recorded; an error if it takes no times.
    fn time(&self) -> Result<Instant> {
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
    fn forbid_captured(&self) -> Result {
        let capture = match &*lock(&self.state) {
            State::Captured { capture, .. } => capture.clone(),
            _ => return Ok(()),
        };
        capture.invalidate();
        Err(Code::CAPTURED_EVENT.because("the event was recorded in a capture"))
    }

    fn synchronize(&self) -> Result {
        self.forbid_captured()?;
        Context::by_handle(self.context)?.synchronize()
    }
}

fn elapsed(place: Out<f32>, start: Handle, end: Handle) -> Result {
    let (start, end) = (Event::by_handle(start)?, Event::by_handle(end)?);
    let (start, end) = (start.time()?, end.time()?);
    let forward = end.saturating_duration_since(start).as_secs_f64();
    let backward = start.saturating_duration_since(end).as_secs_f64();
    place.set(((forward - backward) * 1e3) as f32)
}

fn record(event: Handle, stream: Handle, flags: u32) -> Result {
    let (event, stream) = (Event::by_handle(event)?, Stream::resolve(stream)?);
    if flags > 1 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    if event.context != stream.context {
        return Err(Code::INVALID_HANDLE.because("event and stream belong to different contexts"));
    }
    capture::record(&stream, &event, flags == 1)
}

api! {
    fn cuEventCreate(event: Out<Handle>, flags: u32) {
        let context = Context::current()?;
        if flags & !FLAGS != 0 || flags & INTERPROCESS != 0 && flags & NO_TIMING == 0 {
            return Err(Code::INVALID_VALUE.because(format!("flags {flags:#x}")));
        }
        if flags & INTERPROCESS != 0 {
            return Err(Code::NOT_SUPPORTED.because("events between processes are not supported"));
        }
        if event.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        event.set(EVENTS.insert(Event { context: context.handle, flags, state: Mutex::new(State::Never) }))
    }

    fn cuEventDestroy_v2(event: Handle) {
        Event::by_handle(event)?;
        EVENTS.remove(event);
        Ok(())
    }

    per_thread cuEventRecord_ptsz
    fn cuEventRecord(event: Handle, stream: Handle) {
        record(event, stream, 0)
    }

    per_thread cuEventRecordWithFlags_ptsz
    fn cuEventRecordWithFlags(event: Handle, stream: Handle, flags: u32) {
        record(event, stream, flags)
    }

    /// Never `CUDA_ERROR_NOT_READY`.
    fn cuEventQuery(event: Handle) {
        Event::by_handle(event)?.synchronize()
    }

    fn cuEventSynchronize(event: Handle) {
        Event::by_handle(event)?.synchronize()
    }

    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }

    fn cuEventElapsedTime_v2(milliseconds: Out<f32>, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }
}
