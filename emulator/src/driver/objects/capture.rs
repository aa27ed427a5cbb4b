//! Captures: streams whose work becomes a graph instead of being done.

use super::graph::{GRAPHS, Graph};
use super::operation::Operation;
use super::stream::Stream;
use crate::driver::error::{Code, Failure, Result};
use crate::driver::handles::lock;
use crate::driver::sys::Handle;
use std::cell::Cell;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::ThreadId;

/// `CUstreamCaptureMode`: which threads may not make unsafe calls meanwhile.
pub const GLOBAL: i32 = 0;
pub const THREAD_LOCAL: i32 = 1;
pub const RELAXED: i32 = 2;

/// A capture under way.
pub struct Capture {
    pub id: u64,
    pub graph: Arc<Graph>,
    /// Nodes that were in the graph before.
    given: HashSet<Handle>,
    mode: i32,
    thread: ThreadId,
    context: Handle,
    /// The stream where it began.
    origin: u64,
    valid: AtomicBool,
    streams: Mutex<Vec<Weak<Stream>>>,
}

/// A stream's part in a capture: the nodes that its next one comes after.
pub struct Membership {
    pub capture: Arc<Capture>,
    pub after: Vec<Handle>,
}

static ACTIVE: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());
static ID: AtomicU64 = AtomicU64::new(1);

thread_local! {
    static MODE: Cell<i32> = const { Cell::new(GLOBAL) };
}

/// Sets how the calling thread minds captures; the old way.
pub fn exchange_mode(mode: i32) -> i32 {
    MODE.replace(mode)
}

impl Capture {
    /// From now on everything that belongs to it fails, until it is ended.
    pub fn invalidate(&self) {
        self.valid.store(false, Ordering::Relaxed);
    }

    pub fn is_valid(&self) -> bool {
        self.valid.load(Ordering::Relaxed)
    }

    pub fn check(&self) -> Result {
        match self.is_valid() {
            true => Ok(()),
            false => Err(Code::STREAM_CAPTURE_INVALIDATED.because("an earlier error ended the capture")),
        }
    }

    /// Ends it with a failure.
    pub fn fail(&self, failure: Failure) -> Result {
        self.invalidate();
        Err(failure)
    }

    /// Whether it is still under way.
    pub fn is_active(&self) -> bool {
        lock(&ACTIVE).iter().any(|c| c.id == self.id)
    }

    /// Draws a stream into it.
    pub fn draw_in(&self, stream: &Arc<Stream>) {
        lock(&self.streams).push(Arc::downgrade(stream));
    }
}

/// Begins to capture a stream, into a graph of the caller's or a new one.
pub fn begin(stream: &Arc<Stream>, mode: i32, into: Option<(Arc<Graph>, Vec<Handle>)>) -> Result {
    if !(GLOBAL..=RELAXED).contains(&mode) {
        return Err(Code::INVALID_VALUE.because(format!("there is no capture mode {mode}")));
    }
    if stream.is_legacy {
        return Err(Code::STREAM_CAPTURE_UNSUPPORTED.because("the legacy default stream cannot be captured"));
    }
    let mut membership = lock(&stream.capture);
    if membership.is_some() {
        return Err(Code::ILLEGAL_STATE.because("the stream is being captured already"));
    }
    let (graph, after) = into.unwrap_or_else(|| (Graph::create(), Vec::new()));
    let capture = Arc::new(Capture {
        id: ID.fetch_add(1, Ordering::Relaxed),
        given: graph.handles().into_iter().collect(),
        graph,
        mode,
        thread: std::thread::current().id(),
        context: stream.context,
        origin: stream.id,
        valid: AtomicBool::new(true),
        streams: Mutex::new(vec![Arc::downgrade(stream)]),
    });
    lock(&ACTIVE).push(capture.clone());
    *membership = Some(Membership { capture, after });
    Ok(())
}

/// Ends a capture; its graph.
pub fn end(stream: &Stream) -> Result<Arc<Graph>> {
    let found = lock(&stream.capture).as_ref().map(|m| (m.capture.clone(), m.after.clone()));
    let Some((capture, after)) = found else {
        return Err(Code::ILLEGAL_STATE.because("the stream is not being captured"));
    };
    if capture.origin != stream.id {
        capture.invalidate();
        return Err(Code::STREAM_CAPTURE_UNMATCHED.because("the capture began in another stream"));
    }
    if capture.mode != RELAXED && capture.thread != std::thread::current().id() {
        return Err(Code::STREAM_CAPTURE_WRONG_THREAD.because("the capture began in another thread"));
    }
    for member in lock(&capture.streams).iter().filter_map(Weak::upgrade) {
        *lock(&member.capture) = None;
    }
    *lock(&stream.capture) = None;
    lock(&ACTIVE).retain(|c| c.id != capture.id);
    let result = capture.check().and_then(|()| {
        let joined = capture.graph.reach(&after);
        let all_joined =
            capture.graph.handles().iter().all(|n| joined.contains(n) || capture.given.contains(n));
        match all_joined {
            true => Ok(()),
            false => Err(Code::STREAM_CAPTURE_UNJOINED.because("a forked stream was not joined by an event")),
        }
    });
    match result {
        Ok(()) => Ok(capture.graph.clone()),
        Err(failure) => {
            if capture.given.is_empty() {
                GRAPHS.remove(capture.graph.handle);
            }
            Err(failure)
        }
    }
}

/// Adds an operation to the capture of a stream; whether there is one.
pub fn add(stream: &Stream, operation: &Operation) -> Result<bool> {
    let mut membership = lock(&stream.capture);
    let Some(membership) = membership.as_mut() else { return Ok(false) };
    membership.capture.check()?;
    let node = membership.capture.graph.add(operation.clone(), membership.after.clone());
    membership.after = vec![node];
    Ok(true)
}

fn invalidate_where(condition: impl Fn(&Capture) -> bool) -> bool {
    let mut any = false;
    for capture in lock(&ACTIVE).iter().filter(|c| condition(c)) {
        capture.invalidate();
        any = true;
    }
    any
}

/// Refuses calls that may wait for a device while captures that mind them are under way.
pub fn forbid_unsafe_call() -> Result {
    let thread = std::thread::current().id();
    let minds = |c: &Capture| match MODE.get() {
        GLOBAL => c.mode == GLOBAL || c.mode == THREAD_LOCAL && c.thread == thread,
        THREAD_LOCAL => c.mode != RELAXED && c.thread == thread,
        _ => false,
    };
    match invalidate_where(minds) {
        true => Err(Code::STREAM_CAPTURE_UNSUPPORTED.because("not while a stream is being captured")),
        false => Ok(()),
    }
}

/// Refuses to wait for a whole context while one of its streams is being captured.
pub fn forbid_synchronizing(context: Handle) -> Result {
    match invalidate_where(|c| c.context == context) {
        true => Err(Code::STREAM_CAPTURE_UNSUPPORTED.because("not while a stream is being captured")),
        false => Ok(()),
    }
}

/// Refuses work in the legacy stream while a blocking stream of the context is being captured.
pub fn forbid_legacy(context: Handle) -> Result {
    let blocking = |c: &Capture| {
        c.context == context && lock(&c.streams).iter().filter_map(Weak::upgrade).any(|s| s.is_blocking())
    };
    match invalidate_where(blocking) {
        true => Err(Code::STREAM_CAPTURE_IMPLICIT.because("the legacy stream would wait for a capture")),
        false => Ok(()),
    }
}
