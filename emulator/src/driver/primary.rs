//! The primary context of a device: counted, and shared by all who retain it.

use super::capture;
use super::context::Context;
use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::sys::{Handle, Ordinal, Out};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The state of a device's primary context.
#[derive(Default)]
pub struct Primary {
    context: Option<Arc<Context>>,
    retained: u32,
    flags: u32,
}

impl Primary {
    pub fn is(&self, context: &Arc<Context>) -> bool {
        self.context.as_ref().is_some_and(|c| Arc::ptr_eq(c, context))
    }
}

/// The device's primary context, if it is active.
pub fn active(ordinal: Ordinal) -> Result<Option<Arc<Context>>> {
    Ok(lock(&driver()?.device(ordinal)?.primary).context.clone())
}

fn set_flags(device: Ordinal, flags: u32) -> Result {
    let device = driver()?.device(device)?;
    if flags & !0x1ff != 0 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    let mut primary = lock(&device.primary);
    primary.flags = flags;
    if let Some(context) = &primary.context {
        context.flags.store(flags, Ordering::Relaxed);
    }
    Ok(())
}

fn release(ordinal: Ordinal) -> Result {
    let device = driver()?.device(ordinal)?;
    let last = {
        let mut primary = lock(&device.primary);
        if primary.retained == 0 {
            return Err(Code::INVALID_CONTEXT.because("the primary context is not retained"));
        }
        primary.retained -= 1;
        if primary.retained == 0 { primary.context.take() } else { None }
    };
    if let Some(context) = last {
        context.destroy();
    }
    Ok(())
}

fn reset(ordinal: Ordinal) -> Result {
    if let Some(context) = active(ordinal)? {
        context.release_resources();
    }
    Ok(())
}

api! {
    fn cuDevicePrimaryCtxRetain(place: Out<Handle>, device: Ordinal) {
        let found = driver()?.device(device)?;
        capture::forbid_unsafe_call()?;
        let mut primary = lock(&found.primary);
        let flags = primary.flags;
        let context = primary.context.get_or_insert_with(|| Context::create(device, flags)).handle;
        place.set(context)?;
        primary.retained += 1;
        Ok(())
    }

    fn cuDevicePrimaryCtxRelease(device: Ordinal) {
        release(device)
    }

    fn cuDevicePrimaryCtxRelease_v2(device: Ordinal) {
        release(device)
    }

    fn cuDevicePrimaryCtxReset(device: Ordinal) {
        reset(device)
    }

    fn cuDevicePrimaryCtxReset_v2(device: Ordinal) {
        reset(device)
    }

    fn cuDevicePrimaryCtxSetFlags(device: Ordinal, flags: u32) {
        set_flags(device, flags)
    }

    fn cuDevicePrimaryCtxSetFlags_v2(device: Ordinal, flags: u32) {
        set_flags(device, flags)
    }

    fn cuDevicePrimaryCtxGetState(device: Ordinal, flags: Out<u32>, is_active: Out<i32>) {
        let primary = lock(&driver()?.device(device)?.primary);
        flags.set(primary.flags)?;
        is_active.set(i32::from(primary.context.is_some()))
    }
}
