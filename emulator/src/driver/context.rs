//! The functions that make contexts, make them current, and ask and set what they hold.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::objects::context::{Context, LIMITS, current_handle, pop, push, set_current};
use super::objects::stream::GREATEST_PRIORITY;
use super::objects::{capture, primary};
use super::sys::{Handle, In, Ordinal, Out};
use super::teardown;
use std::sync::atomic::Ordering;

fn create(place: Out<Handle>, flags: u32, ordinal: Ordinal) -> Result {
    driver()?.device(ordinal)?;
    if flags & !0x1ff != 0 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    capture::forbid_unsafe_call()?;
    let context = Context::create(ordinal, flags);
    if let Err(failure) = place.set(context.handle) {
        teardown::destroy(&context);
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
        if primary::is_primary(&context) {
            return Err(Code::INVALID_CONTEXT.because("a primary context is released, not destroyed"));
        }
        teardown::destroy(&context);
        if current_handle() == Some(context.handle) {
            pop();
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
        match pop() {
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
        capture::forbid_synchronizing(context.handle)?;
        context.synchronize()
    }

    fn cuCtxSynchronize_v2(context: Handle) {
        let context = if context == 0 { Context::current()? } else { Context::by_handle(context)? };
        capture::forbid_synchronizing(context.handle)?;
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
        greatest.set_if_wanted(GREATEST_PRIORITY);
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
