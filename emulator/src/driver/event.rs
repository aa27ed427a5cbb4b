//! The functions that make and record events, wait for them and tell times.

use super::error::{Code, Result};
use super::objects::context::Context;
use super::objects::event::{EVENTS, Event, NO_TIMING};
use super::objects::stream::Stream;
use super::submit;
use super::sys::{Handle, Out};

/// `CU_EVENT_INTERPROCESS`, and all flags.
const INTERPROCESS: u32 = 4;
const FLAGS: u32 = 7;

/// Waits for an event, which is to ask whether its context has failed.
fn synchronize(event: Handle) -> Result {
    let event = Event::by_handle(event)?;
    event.forbid_captured()?;
    Context::by_handle(event.context)?.synchronize()
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
    submit::record(&stream, &event, flags == 1)
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
        event.set(EVENTS.insert(Event::new(context.handle, flags)))
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
        synchronize(event)
    }

    fn cuEventSynchronize(event: Handle) {
        synchronize(event)
    }

    fn cuEventElapsedTime(milliseconds: Out<f32>, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }

    fn cuEventElapsedTime_v2(milliseconds: Out<f32>, start: Handle, end: Handle) {
        elapsed(milliseconds, start, end)
    }
}
