//! Streams. Work is done when it is submitted, so a stream holds nothing but its capture.

use super::capture::Membership;
use crate::driver::handles::Registry;
use crate::driver::sys::Handle;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Priorities run from 0 down to this.
pub const GREATEST_PRIORITY: i32 = -5;
/// `CU_STREAM_NON_BLOCKING`.
pub const NON_BLOCKING: u32 = 1;

/// A stream. What is submitted to it is done in `driver/submit.rs`.
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
    /// A stream of a context, not yet entered in the registry.
    pub fn new(context: Handle, flags: u32, priority: i32, is_legacy: bool) -> Stream {
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

    /// Whether the legacy stream waits for it, and it for the legacy stream.
    pub fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }
}
