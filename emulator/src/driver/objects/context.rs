//! Contexts: which one is current in a thread, and its errors. What belongs to a context names it by its handle.

use super::stream::Stream;
use crate::driver::device::{Device, driver};
use crate::driver::error::{Code, Result};
use crate::driver::handles::{Registry, lock};
use crate::driver::sys::{Handle, Ordinal};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicI32, AtomicU32};
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
    pub limits: Mutex<[usize; LIMITS]>,
    pub cache: AtomicI32,
    pub shared_config: AtomicI32,
}

/// `CU_LIMIT_MAX`.
pub const LIMITS: usize = 7;
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

    /// As it was when it was new, but for its handle and its settings.
    pub fn reset(&self) {
        lock(&self.per_thread).clear();
        *lock(&self.error) = Errors::default();
        *lock(&self.limits) = DEFAULT_LIMITS;
    }
}

/// The context that is current in the calling thread.
pub fn current_handle() -> Option<Handle> {
    STACK.with_borrow(|stack| stack.last().copied()).filter(|&handle| handle != 0)
}

/// Makes a context (or none: 0) the current one in place of what is.
pub fn set_current(handle: Handle) {
    STACK.with_borrow_mut(|stack| {
        stack.pop();
        if handle != 0 || !stack.is_empty() {
            stack.push(handle);
        }
    });
}

/// Makes a context the current one, above what is.
pub fn push(handle: Handle) {
    STACK.with_borrow_mut(|stack| stack.push(handle));
}

/// Takes the current context away; the one below is current then.
pub fn pop() -> Option<Handle> {
    STACK.with_borrow_mut(Vec::pop)
}
