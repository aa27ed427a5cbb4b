//! Contexts: which one is current in a thread, its errors and what belongs to it.

use super::device::{Device, driver};
use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::stream::{STREAMS, Stream};
use super::sys::{Handle, In, Ordinal, Out};
use super::{capture, event, memory, module, profile};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

/// A context.
pub struct Context {
    pub handle: Handle,
    pub ordinal: Ordinal,
    pub flags: AtomicU32,
    error: Mutex<Errors>,
    /// The default stream, and those that `_ptsz` variants use in its place.
    legacy: Arc<Stream>,
    per_thread: Mutex<HashMap<ThreadId, Arc<Stream>>>,
    limits: Mutex<[usize; LIMITS]>,
    cache: AtomicI32,
    shared_config: AtomicI32,
}

/// `CU_LIMIT_MAX`.
const LIMITS: usize = 7;
/// Stack, printf buffer, heap, two of device runtimes, granularity, persisting cache.
const DEFAULT_LIMITS: [usize; LIMITS] = [1024, 1 << 20, 8 << 20, 2, 2048, 128, 0];

/// A fault of a kernel: first nobody knows, then everybody is told.
#[derive(Default)]
struct Errors {
    pending: Option<Code>,
    sticky: Option<Code>,
}

pub static CONTEXTS: Registry<Context> = Registry::new(1);

thread_local! {
    static STACK: RefCell<Vec<Handle>> = const { RefCell::new(Vec::new()) };
}

impl Context {
    /// A new context, entered in the registry.
    pub fn create(ordinal: Ordinal, flags: u32) -> Arc<Context> {
        let handle = CONTEXTS.reserve();
        let context = Arc::new(Context {
            handle,
            ordinal,
            flags: AtomicU32::new(flags),
            error: Mutex::default(),
            legacy: Arc::new(Stream::legacy(handle)),
            per_thread: Mutex::default(),
            limits: Mutex::new(DEFAULT_LIMITS),
            cache: AtomicI32::new(0),
            shared_config: AtomicI32::new(0),
        });
        CONTEXTS.enter(handle, context.clone());
        context
    }

    /// The calling thread's current context, if it has not failed.
    pub fn current() -> Result<Arc<Context>> {
        let context = Context::current_even_if_failed()?;
        context.check()?;
        Ok(context)
    }

    /// The calling thread's current context.
    pub fn current_even_if_failed() -> Result<Arc<Context>> {
        driver()?;
        let Some(handle) = current_handle() else {
            return Err(Code::INVALID_CONTEXT.because("no context is current in this thread"));
        };
        CONTEXTS
            .get(handle)
            .ok_or_else(|| Code::CONTEXT_IS_DESTROYED.because("the current context was destroyed"))
    }

    /// A context by its handle.
    pub fn by_handle(handle: Handle) -> Result<Arc<Context>> {
        driver()?;
        CONTEXTS
            .get(handle)
            .ok_or_else(|| Code::INVALID_CONTEXT.because(format!("{handle:#x} is not a context")))
    }

    pub fn device(&self) -> Result<&'static Device> {
        driver()?.device(self.ordinal)
    }

    /// The error that was already told to somebody, if there is one.
    pub fn check(&self) -> Result {
        match lock(&self.error).sticky {
            None => Ok(()),
            Some(code) => Err(code.into()),
        }
    }

    /// What a call that waits for the device learns.
    pub fn synchronize(&self) -> Result {
        let mut errors = lock(&self.error);
        if let Some(code) = errors.pending.take() {
            errors.sticky.get_or_insert(code);
        }
        drop(errors);
        self.check()
    }

    /// A kernel failed; the next call that waits will learn of it.
    pub fn fail(&self, code: Code) {
        lock(&self.error).pending.get_or_insert(code);
    }

    /// Whether a kernel failed.
    pub fn has_failed(&self) -> bool {
        let errors = lock(&self.error);
        errors.pending.is_some() || errors.sticky.is_some()
    }

    /// Its default stream: the legacy one.
    pub fn legacy_stream(&self) -> Arc<Stream> {
        self.legacy.clone()
    }

    /// The calling thread's own default stream.
    pub fn per_thread_stream(&self) -> Arc<Stream> {
        let thread = std::thread::current().id();
        lock(&self.per_thread)
            .entry(thread)
            .or_insert_with(|| Arc::new(Stream::per_thread(self.handle)))
            .clone()
    }

    /// Frees what belongs to it; what the program should have freed is told, unless a fault kept it from doing so.
    pub fn release_resources(&self) {
        memory::release(self.handle, !self.has_failed());
        module::release(self.handle);
        STREAMS.remove_where(|s| s.context == self.handle);
        event::EVENTS.remove_where(|e| e.context == self.handle);
        lock(&self.per_thread).clear();
        *lock(&self.error) = Errors::default();
        *lock(&self.limits) = DEFAULT_LIMITS;
        profile::write();
    }

    /// Ends it.
    pub fn destroy(&self) {
        self.release_resources();
        CONTEXTS.remove(self.handle);
    }
}

fn current_handle() -> Option<Handle> {
    STACK.with_borrow(|stack| stack.last().copied()).filter(|&handle| handle != 0)
}

/// Makes a context (or none: 0) the current one in place of what is.
fn set_current(handle: Handle) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        if handle != 0 || !stack.is_empty() {
            stack.push(handle);
        }
    });
}

fn push(handle: Handle) {
    STACK.with_borrow_mut(|stack| stack.push(handle));
}

/// Runs something with a context current, whatever is current outside.
pub fn with_current<T>(context: Handle, body: impl FnOnce() -> Result<T>) -> Result<T> {
    push(context);
    let result = body();
    STACK.with_borrow_mut(Vec::pop);
    result
}

fn create(place: Out<Handle>, flags: u32, ordinal: Ordinal) -> Result {
    driver()?.device(ordinal)?;
    if flags & !0x1ff != 0 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    capture::forbid_unsafe_call()?;
    let context = Context::create(ordinal, flags);
    if let Err(failure) = place.set(context.handle) {
        context.destroy();
        return Err(failure);
    }
    push(context.handle);
    Ok(())
}

fn limit_index(id: i32) -> Result<usize> {
    usize::try_from(id)
        .ok()
        .filter(|&i| i < LIMITS)
        .ok_or_else(|| Code::UNSUPPORTED_LIMIT.because(format!("there is no limit {id}")))
}

api! {
    fn cuCtxCreate_v2(context: Out<Handle>, flags: u32, device: Ordinal) {
        create(context, flags, device)
    }

    /// With execution affinities, which no device supports.
    fn cuCtxCreate_v3(context: Out<Handle>, affinities: In<u8>, count: i32, flags: u32, device: Ordinal) {
        if count != 0 || !affinities.is_null() {
            return Err(Code::UNSUPPORTED_EXEC_AFFINITY.because("execution affinity is not supported"));
        }
        create(context, flags, device)
    }

    /// With parameters, of which only null (none) is supported.
    fn cuCtxCreate_v4(context: Out<Handle>, parameters: In<[usize; 3]>, flags: u32, device: Ordinal) {
        if !parameters.is_null() && parameters.get()? != [0; 3] {
            return Err(Code::NOT_SUPPORTED.because("context parameters are not supported"));
        }
        create(context, flags, device)
    }

    fn cuCtxDestroy_v2(context: Handle) {
        let context = Context::by_handle(context)?;
        if driver()?.devices.iter().any(|d| lock(&d.primary).is(&context)) {
            return Err(Code::INVALID_CONTEXT.because("a primary context is released, not destroyed"));
        }
        context.destroy();
        if current_handle() == Some(context.handle) {
            STACK.with_borrow_mut(Vec::pop);
        }
        Ok(())
    }

    fn cuCtxPushCurrent_v2(context: Handle) {
        let context = Context::by_handle(context)?;
        push(context.handle);
        Ok(())
    }

    fn cuCtxPopCurrent_v2(context: Out<Handle>) {
        driver()?;
        match STACK.with_borrow_mut(Vec::pop) {
            Some(handle) => {
                context.set_if_wanted(handle);
                Ok(())
            }
            None => Err(Code::INVALID_CONTEXT.because("no context is current in this thread")),
        }
    }

    fn cuCtxSetCurrent(context: Handle) {
        driver()?;
        if context != 0 {
            Context::by_handle(context)?;
        }
        set_current(context);
        Ok(())
    }

    fn cuCtxGetCurrent(context: Out<Handle>) {
        driver()?;
        context.set(current_handle().unwrap_or(0))
    }

    fn cuCtxGetDevice(device: Out<Ordinal>) {
        device.set(Context::current_even_if_failed()?.ordinal)
    }

    fn cuCtxGetDevice_v2(device: Out<Ordinal>, context: Handle) {
        let context = if context == 0 { Context::current_even_if_failed()? } else { Context::by_handle(context)? };
        device.set(context.ordinal)
    }

    fn cuCtxGetFlags(flags: Out<u32>) {
        flags.set(Context::current_even_if_failed()?.flags.load(Ordering::Relaxed))
    }

    fn cuCtxSetFlags(flags: u32) {
        let context = Context::current()?;
        if flags & !0x1ff != 0 {
            return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
        }
        context.flags.store(flags, Ordering::Relaxed);
        Ok(())
    }

    fn cuCtxGetId(context: Handle, id: Out<u64>) {
        let context = if context == 0 { Context::current_even_if_failed()? } else { Context::by_handle(context)? };
        id.set(context.handle as u64)
    }

    fn cuCtxGetApiVersion(context: Handle, version: Out<u32>) {
        if context != 0 {
            Context::by_handle(context)?;
        } else {
            Context::current_even_if_failed()?;
        }
        version.set(3020)
    }

    fn cuCtxSynchronize() {
        let context = Context::current()?;
        capture::forbid_synchronizing(&context)?;
        context.synchronize()
    }

    fn cuCtxSynchronize_v2(context: Handle) {
        let context = if context == 0 { Context::current()? } else { Context::by_handle(context)? };
        capture::forbid_synchronizing(&context)?;
        context.synchronize()
    }

    fn cuCtxGetLimit(value: Out<usize>, id: i32) {
        let context = Context::current()?;
        let limit = lock(&context.limits)[limit_index(id)?];
        value.set(limit)
    }

    fn cuCtxSetLimit(id: i32, value: usize) {
        let context = Context::current()?;
        lock(&context.limits)[limit_index(id)?] = value;
        Ok(())
    }

    fn cuCtxGetCacheConfig(config: Out<i32>) {
        config.set(Context::current()?.cache.load(Ordering::Relaxed))
    }

    fn cuCtxSetCacheConfig(config: i32) {
        let context = Context::current()?;
        if !(0..=3).contains(&config) {
            return Err(Code::INVALID_VALUE.because(format!("no cache configuration {config}")));
        }
        context.cache.store(config, Ordering::Relaxed);
        Ok(())
    }

    fn cuCtxGetSharedMemConfig(config: Out<i32>) {
        config.set(Context::current()?.shared_config.load(Ordering::Relaxed))
    }

    fn cuCtxSetSharedMemConfig(config: i32) {
        let context = Context::current()?;
        if !(0..=2).contains(&config) {
            return Err(Code::INVALID_VALUE.because(format!("no bank configuration {config}")));
        }
        context.shared_config.store(config, Ordering::Relaxed);
        Ok(())
    }

    /// Priorities are accepted, and change nothing.
    fn cuCtxGetStreamPriorityRange(least: Out<i32>, greatest: Out<i32>) {
        Context::current()?;
        least.set_if_wanted(0);
        greatest.set_if_wanted(super::stream::GREATEST_PRIORITY);
        Ok(())
    }

    fn cuCtxResetPersistingL2Cache() {
        Context::current().map(|_| ())
    }

    fn cuCtxEnablePeerAccess(peer: Handle, flags: u32) {
        let (own, peer) = (Context::current()?, Context::by_handle(peer)?);
        match flags == 0 && own.handle != peer.handle {
            true => Err(Code::PEER_ACCESS_UNSUPPORTED.because("devices do not access each other's memory")),
            false => Err(Code::INVALID_VALUE.because("flags, or a context as its own peer")),
        }
    }

    fn cuCtxDisablePeerAccess(peer: Handle) {
        Context::current()?;
        Context::by_handle(peer)?;
        Err(Code::PEER_ACCESS_NOT_ENABLED.because("devices do not access each other's memory"))
    }
}
