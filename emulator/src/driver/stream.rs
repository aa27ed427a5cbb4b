//! Streams. Work is done when it is submitted, so a stream holds nothing but its capture.

use super::capture::{self, Membership};
use super::context::Context;
use super::error::{Code, Result, per_thread_default_stream};
use super::event::Event;
use super::handles::{Registry, lock};
use super::operation::{HostCall, Operation};
use super::sys::{Handle, HostFunction, In, LaunchAttributeValue, Ordinal, Out, StreamCallback};
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Priorities run from 0 down to this.
pub const GREATEST_PRIORITY: i32 = -5;
/// `CU_LAUNCH_ATTRIBUTE_PRIORITY`.
const PRIORITY: i32 = 8;
/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: u32 = 1;

/// A stream.
pub struct Stream {
    pub context: Handle,
    pub flags: u32,
    pub priority: i32,
    pub id: u64,
    pub is_legacy: bool,
    pub capture: Mutex<Option<Membership>>,
}

pub static STREAMS: Registry<Stream> = Registry::new(2);
static ID: AtomicU64 = AtomicU64::new(1);

impl Stream {
    fn new(context: Handle, flags: u32, priority: i32, is_legacy: bool) -> Stream {
        let id = ID.fetch_add(1, Ordering::Relaxed);
        Stream { context, flags, priority, id, is_legacy, capture: Mutex::new(None) }
    }

    /// A context's legacy default stream.
    pub fn legacy(context: Handle) -> Stream {
        Stream::new(context, 0, 0, true)
    }

    /// A thread's own default stream.
    pub fn per_thread(context: Handle) -> Stream {
        Stream::new(context, 0, 0, false)
    }

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
                super::device::driver()?;
                let found = STREAMS.get(handle);
                found.ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a stream")))
            }
        }
    }

    pub fn context(&self) -> Result<Arc<Context>> {
        Context::by_handle(self.context)
            .map_err(|_| Code::CONTEXT_IS_DESTROYED.because("the stream's context is gone"))
    }

    /// Whether the legacy stream waits for it, and it for the legacy stream.
    pub fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }

    /// Does an operation, or adds it to the graph that is being captured.
    pub fn submit(&self, operation: Operation) -> Result {
        let context = self.context()?;
        context.check()?;
        if capture::add(self, &operation)? {
            return Ok(());
        }
        self.forbid_implicit(&context)?;
        operation.run(&context)
    }

    /// The legacy stream waits for blocking streams, which cannot be while they are being captured.
    fn forbid_implicit(&self, context: &Context) -> Result {
        if self.is_legacy { capture::forbid_legacy(context) } else { Ok(()) }
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

fn create(place: Out<Handle>, flags: u32, priority: i32) -> Result {
    let context = Context::current()?;
    if flags & !NON_BLOCKING != 0 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    let priority = priority.clamp(GREATEST_PRIORITY, 0);
    place.set(STREAMS.insert(Stream::new(context.handle, flags, priority, false)))
}

/// Of those that streams have: the window of the cache, the way of waiting, priority, memory synchronisation.
fn check_attribute(id: i32) -> Result {
    match id {
        1 | 3 | PRIORITY | 9 | 10 => Ok(()),
        _ => Err(Code::INVALID_VALUE.because(format!("streams have no attribute {id}"))),
    }
}

fn destroy(handle: Handle) -> Result {
    if handle <= 2 {
        return Err(Code::INVALID_HANDLE.because("a default stream cannot be destroyed"));
    }
    super::device::driver()?;
    let Some(stream) = STREAMS.remove(handle) else {
        return Err(Code::INVALID_HANDLE.because(format!("{handle:#x} is not a stream")));
    };
    if let Some(membership) = lock(&stream.capture).take() {
        membership.capture.invalidate();
    }
    Ok(())
}

api! {
    fn cuStreamCreate(stream: Out<Handle>, flags: u32) {
        create(stream, flags, 0)
    }

    fn cuStreamCreateWithPriority(stream: Out<Handle>, flags: u32, priority: i32) {
        create(stream, flags, priority)
    }

    fn cuStreamDestroy_v2(stream: Handle) {
        destroy(stream)
    }

    per_thread cuStreamGetPriority_ptsz
    fn cuStreamGetPriority(stream: Handle, priority: Out<i32>) {
        priority.set(Stream::resolve(stream)?.priority)
    }

    per_thread cuStreamGetFlags_ptsz
    fn cuStreamGetFlags(stream: Handle, flags: Out<u32>) {
        flags.set(Stream::resolve(stream)?.flags)
    }

    per_thread cuStreamGetId_ptsz
    fn cuStreamGetId(stream: Handle, id: Out<u64>) {
        id.set(Stream::resolve(stream)?.id)
    }

    per_thread cuStreamGetCtx_ptsz
    fn cuStreamGetCtx(stream: Handle, context: Out<Handle>) {
        context.set(Stream::resolve(stream)?.context)
    }

    per_thread cuStreamGetCtx_v2_ptsz
    fn cuStreamGetCtx_v2(stream: Handle, context: Out<Handle>, green: Out<Handle>) {
        green.set_if_wanted(0);
        context.set(Stream::resolve(stream)?.context)
    }

    per_thread cuStreamGetDevice_ptsz
    fn cuStreamGetDevice(stream: Handle, device: Out<Ordinal>) {
        device.set(Stream::resolve(stream)?.context()?.ordinal)
    }

    per_thread cuStreamSynchronize_ptsz
    fn cuStreamSynchronize(stream: Handle) {
        let stream = Stream::resolve(stream)?;
        stream.forbid_capturing("waiting")?;
        stream.context()?.synchronize()
    }

    /// Work is done when it was submitted: the answer is never `CUDA_ERROR_NOT_READY`.
    per_thread cuStreamQuery_ptsz
    fn cuStreamQuery(stream: Handle) {
        let stream = Stream::resolve(stream)?;
        stream.forbid_capturing("a query")?;
        stream.context()?.synchronize()
    }

    per_thread cuStreamWaitEvent_ptsz
    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: u32) {
        let (stream, event) = (Stream::resolve(stream)?, Event::by_handle(event)?);
        if flags > 1 {
            return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
        }
        capture::wait(&stream, &event, flags == 1)
    }

    /// The callback runs before the call returns, in the calling thread.
    per_thread cuStreamAddCallback_ptsz
    fn cuStreamAddCallback(
        stream: Handle,
        callback: StreamCallback,
        data: *mut c_void,
        flags: u32,
    ) {
        let found = Stream::resolve(stream)?;
        found.forbid_capturing("a callback")?;
        match callback {
            Some(callback) if flags == 0 => {
                // SAFETY: a function of the program, called with what it gave and the stream it named, as it asked.
                unsafe { callback(stream, 0, data) };
                Ok(())
            }
            _ => Err(Code::INVALID_VALUE.because("a callback that is null, or flags that are not 0")),
        }
    }

    /// The function runs before the call returns, in the calling thread.
    per_thread cuLaunchHostFunc_ptsz
    fn cuLaunchHostFunc(stream: Handle, function: HostFunction, data: *mut c_void) {
        let stream = Stream::resolve(stream)?;
        match HostCall::new(function, data) {
            Some(call) => stream.submit(Operation::Host(call)),
            None => Err(Code::INVALID_VALUE.because("the function is null")),
        }
    }

    /// Attributes steer caches, which do not exist: they are accepted, and read as zero but for the priority.
    per_thread cuStreamSetAttribute_ptsz
    fn cuStreamSetAttribute(stream: Handle, id: i32, value: In<LaunchAttributeValue>) {
        Stream::resolve(stream)?;
        value.get()?;
        check_attribute(id)
    }

    per_thread cuStreamGetAttribute_ptsz
    fn cuStreamGetAttribute(stream: Handle, id: i32, value: Out<LaunchAttributeValue>) {
        let stream = Stream::resolve(stream)?;
        check_attribute(id)?;
        let mut words = [0; 16];
        if id == PRIORITY {
            words[0] = stream.priority as u32;
        }
        value.set(LaunchAttributeValue(words))
    }

    /// Attributes steer caches, which do not exist.
    per_thread cuStreamCopyAttributes_ptsz
    fn cuStreamCopyAttributes(to: Handle, from: Handle) {
        Stream::resolve(to)?;
        Stream::resolve(from).map(|_| ())
    }
}
