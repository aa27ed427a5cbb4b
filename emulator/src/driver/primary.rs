//! The functions that retain, release and set primary contexts.

use super::error::{Code, Result};
use super::objects::capture;
use super::objects::context::Context;
use super::objects::primary::{active, with};
use super::sys::{Handle, Ordinal, Out};
use super::{device, teardown};
use std::sync::atomic::Ordering;

fn set_flags(device: Ordinal, flags: u32) -> Result {
    with(device, |primary| {
        if flags & !0x1ff != 0 {
            return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
        }
        primary.flags = flags;
        if let Some(context) = &primary.context {
            context.flags.store(flags, Ordering::Relaxed);
        }
        Ok(())
    })
}

fn release(device: Ordinal) -> Result {
    let last = with(device, |primary| {
        if primary.retained == 0 {
            return Err(Code::INVALID_CONTEXT.because("the primary context is not retained"));
        }
        primary.retained -= 1;
        Ok(if primary.retained == 0 { primary.context.take() } else { None })
    })?;
    if let Some(context) = last {
        teardown::destroy(&context);
    }
    Ok(())
}

fn reset(device: Ordinal) -> Result {
    if let Some(context) = active(device)? {
        teardown::release_resources(&context);
    }
    Ok(())
}

api! {
    fn cuDevicePrimaryCtxRetain(place: Out<Handle>, ordinal: Ordinal) {
        device::driver()?.device(ordinal)?;
        capture::forbid_unsafe_call()?;
        with(ordinal, |primary| {
            let flags = primary.flags;
            let context = primary.context.get_or_insert_with(|| Context::create(ordinal, flags)).handle;
            place.set(context)?;
            primary.retained += 1;
            Ok(())
        })
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
        with(device, |primary| {
            flags.set(primary.flags)?;
            is_active.set(i32::from(primary.context.is_some()))
        })
    }
}
