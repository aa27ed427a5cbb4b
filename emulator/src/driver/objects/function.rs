//! Kernels as functions of a context, and their attributes.

use super::module::{Module, Unloaded};
use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::handles::Registry;
use crate::driver::limits::{MAX_THREADS, SHARED_PER_BLOCK, limits};
use crate::driver::sys::{Handle, Out};
use crate::exec::KernelInfo;
use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// A kernel.
pub struct Function {
    module: Unloaded,
    pub module_handle: Handle,
    context: Handle,
    pub name: String,
    pub c_name: CString,
    pub settings: Settings,
}

/// What can be set.
pub struct Settings {
    /// Dynamic shared memory that it may have; below 0 is what needs no asking.
    max_dynamic: AtomicI32,
    carveout: AtomicI32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { max_dynamic: AtomicI32::new(-1), carveout: AtomicI32::new(-1) }
    }
}

pub static FUNCTIONS: Registry<Function> = Registry::new(8);

/// Numbers of `CUfunction_attribute`.
const MAX_DYNAMIC: i32 = 8;
const CARVEOUT: i32 = 9;

impl Function {
    pub fn new(module: Unloaded, module_handle: Handle, context: Handle, name: &str) -> Function {
        Function {
            module,
            module_handle,
            context,
            name: name.to_string(),
            c_name: CString::new(name).unwrap_or_default(),
            settings: Settings::default(),
        }
    }

    /// The context it belongs to.
    pub fn context(&self) -> Handle {
        self.context
    }

    pub fn module(&self) -> Result<Arc<Module>> {
        self.module.upgrade().ok_or_else(|| Code::INVALID_HANDLE.because("the module was unloaded"))
    }

    /// Dynamic shared memory that a launch may have.
    pub fn max_dynamic(&self, info: &KernelInfo) -> Result<u32> {
        allowed_dynamic(&self.settings, info)
    }
}

fn allowed_dynamic(settings: &Settings, info: &KernelInfo) -> Result<u32> {
    let asked = u32::try_from(settings.max_dynamic.load(Ordering::Relaxed)).unwrap_or(0);
    let opt_in = limits(driver()?.config.compute).shared_opt_in;
    let free = SHARED_PER_BLOCK.saturating_sub(info.static_shared);
    Ok(asked.max(free).min(opt_in.saturating_sub(info.static_shared)))
}

/// Threads that a block may have at most, as the code declares.
pub fn max_threads(info: &KernelInfo) -> u32 {
    let declared = info.required_threads.or(info.max_threads);
    let threads = declared.map(|d| d.iter().map(|&n| u64::from(n.max(1))).product::<u64>());
    threads.map_or(MAX_THREADS, |t| t.min(MAX_THREADS.into()) as u32)
}

/// The value of an attribute.
pub fn attribute(id: i32, module: &Module, info: &KernelInfo, settings: &Settings) -> Result<i32> {
    let compute = driver()?.config.compute;
    let value = match id {
        0 => max_threads(info),
        1 => info.static_shared,
        2 => module.code.constant_bytes(),
        3 => info.local_bytes as u32,
        4 => registers(info),
        5 => info.ptx_version,
        6 => compute.0 * 10 + compute.1,
        7 => 0,
        MAX_DYNAMIC => allowed_dynamic(settings, info)?,
        CARVEOUT => return Ok(settings.carveout.load(Ordering::Relaxed)),
        // Clusters: none is set, none is required.
        10..=15 => 0,
        _ => return Err(Code::INVALID_VALUE.because(format!("there is no function attribute {id}"))),
    };
    Ok(i32::try_from(value).unwrap_or(i32::MAX))
}

/// Registers per thread: the number that is alive at once, as no machine code says more.
pub fn registers(info: &KernelInfo) -> u32 {
    let most = info.max_registers.unwrap_or(255).clamp(16, 255);
    (info.live_registers + 8).clamp(16, most)
}

/// Sets an attribute.
pub fn set_attribute(id: i32, value: i32, info: &KernelInfo, settings: &Settings) -> Result {
    match id {
        MAX_DYNAMIC => {
            let opt_in = limits(driver()?.config.compute).shared_opt_in;
            let most = opt_in.saturating_sub(info.static_shared);
            if !u32::try_from(value).is_ok_and(|v| v <= most) {
                return Err(
                    Code::INVALID_VALUE.because(format!("{value} bytes of dynamic shared memory, of {most}"))
                );
            }
            settings.max_dynamic.store(value, Ordering::Relaxed);
            Ok(())
        }
        CARVEOUT if (-1..=100).contains(&value) => {
            settings.carveout.store(value, Ordering::Relaxed);
            Ok(())
        }
        _ => Err(Code::INVALID_VALUE.because(format!("attribute {id} cannot be set to {value}"))),
    }
}

/// What is known of a function's kernel.
pub fn info<T>(function: &Function, body: impl FnOnce(&Module, &KernelInfo) -> Result<T>) -> Result<T> {
    let module = function.module()?;
    match module.code.kernel(&function.name) {
        Some(kernel) => body(&module, kernel.info()),
        None => Err(Code::INVALID_HANDLE.because("the module has no such kernel")),
    }
}

/// Offset and size of a parameter.
pub fn parameter(info: &KernelInfo, index: usize, offset: Out<usize>, size: Out<usize>) -> Result {
    let Some(&(at, bytes)) = info.parameters.get(index) else {
        return Err(Code::INVALID_VALUE.because(format!("there is no parameter {index}")));
    };
    offset.set(at as usize)?;
    size.set_if_wanted(bytes as usize);
    Ok(())
}
