//! The functions that make streams, ask after them, wait for them, and have the program's functions called.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::objects::context::Context;
use super::objects::event::Event;
use super::objects::operation::{HostCall, Operation};
use super::objects::stream::{GREATEST_PRIORITY, NON_BLOCKING, STREAMS, Stream};
use super::submit::wait;
use super::sys::{Handle, HostFunction, In, LaunchAttributeValue, Ordinal, Out, StreamCallback};
use std::ffi::c_void;

/// `CU_LAUNCH_ATTRIBUTE_PRIORITY`.
const PRIORITY: i32 = 8;

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
    driver()?;
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
        wait(&stream, &event, flags == 1)
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
