//! Work that is given to a stream: it is done at once, or becomes part of the graph that is being captured.

use super::device::driver;
use super::error::{Code, Result, per_thread_default_stream};
use super::handles::lock;
use super::objects::capture::{self, Membership};
use super::objects::context::Context;
use super::objects::event::{Event, State};
use super::objects::operation::Operation;
use super::objects::stream::{STREAMS, Stream};
use super::run;
use super::sys::Handle;
use std::sync::Arc;

impl Stream {
    /// The stream of a handle: 0 is the default stream, 1 the legacy one, 2 the thread's own. Its context has not
    /// failed.
    pub fn resolve(handle: Handle) -> Result<Arc<Stream>> {
        let stream = Stream::resolve_even_if_failed(handle)?;
        stream.context()?.check()?;
        Ok(stream)
    }

    fn resolve_even_if_failed(handle: Handle) -> Result<Arc<Stream>> {
        match handle {
            0 if per_thread_default_stream() => Ok(Context::current_even_if_failed()?.per_thread_stream()),
            0 | 1 => Ok(Context::current_even_if_failed()?.legacy_stream()),
            2 => Ok(Context::current_even_if_failed()?.per_thread_stream()),
            _ => {
                driver()?;
                let found = STREAMS.get(handle);
                found.ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a stream")))
            }
        }
    }

    pub fn context(&self) -> Result<Arc<Context>> {
        Context::by_handle(self.context)
            .map_err(|_| Code::CONTEXT_IS_DESTROYED.because("the stream's context is gone"))
    }

    /// Does an operation, or adds it to the graph that is being captured.
    pub fn submit(&self, operation: Operation) -> Result {
        let context = self.context()?;
        context.check()?;
        if capture::add(self, &operation)? {
            return Ok(());
        }
        self.forbid_implicit(&context)?;
        run::operation(&operation, &context)
    }

    /// The legacy stream waits for blocking streams, which cannot be while they are being captured.
    fn forbid_implicit(&self, context: &Context) -> Result {
        if self.is_legacy { capture::forbid_legacy(context.handle) } else { Ok(()) }
    }

    /// Refuses, and ends the capture, if it is being captured.
    pub fn forbid_capturing(&self, what: &str) -> Result {
        let capturing = lock(&self.capture).as_ref().map(|m| m.capture.clone());
        match capturing {
            None => self.forbid_implicit(&*self.context()?),
            Some(capture) => {
                capture.invalidate();
                let detail = format!("{what}: not while the stream is being captured");
                Err(Code::STREAM_CAPTURE_UNSUPPORTED.because(detail))
            }
        }
    }
}

/// Records an event: in a capture, where the stream is; else now. An external event of a capture becomes a node.
pub fn record(stream: &Stream, event: &Arc<Event>, external: bool) -> Result {
    let captured = lock(&stream.capture).as_ref().map(|m| (m.capture.clone(), m.after.clone()));
    match captured {
        Some((capture, after)) if !external => {
            capture.check()?;
            *lock(&event.state) = State::Captured { capture, after };
            Ok(())
        }
        _ => stream.submit(Operation::Record(event.clone())),
    }
}

/// Makes a stream wait for an event: one of a capture draws the stream into it.
pub fn wait(stream: &Arc<Stream>, event: &Arc<Event>, external: bool) -> Result {
    let state = lock(&event.state).clone();
    let mut membership = lock(&stream.capture);
    match (state, membership.as_mut()) {
        (State::Captured { capture, after }, Some(own)) if own.capture.id == capture.id => {
            capture.check()?;
            own.after.extend(after);
            own.after.sort_unstable();
            own.after.dedup();
            Ok(())
        }
        (State::Captured { capture, .. }, Some(own)) => {
            capture.invalidate();
            own.capture.fail(Code::STREAM_CAPTURE_MERGE.because("two captures would become one"))
        }
        (State::Captured { capture, after }, None) => {
            if !capture.is_active() {
                return Ok(()); // of a capture that is over
            }
            capture.check()?;
            if stream.is_legacy {
                let detail = "the legacy default stream cannot take part in a capture";
                return capture.fail(Code::STREAM_CAPTURE_ISOLATION.because(detail));
            }
            capture.draw_in(stream);
            *membership = Some(Membership { capture, after });
            Ok(())
        }
        (_, Some(_)) if external => {
            drop(membership);
            stream.submit(Operation::Wait(event.clone()))
        }
        (_, Some(own)) => own
            .capture
            .fail(Code::STREAM_CAPTURE_ISOLATION.because("the event was recorded outside the capture")),
        (_, None) => Ok(()),
    }
}
