//! Modules: code that is loaded into a context.

use super::function::{FUNCTIONS, Function};
use crate::driver::device::driver;
use crate::driver::error::{Code, Result};
use crate::driver::handles::{Registry, lock};
use crate::driver::sys::Handle;
use crate::exec;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

/// A module that may be gone.
pub type Unloaded = Weak<Module>;

/// A loaded module.
pub struct Module {
    pub context: Handle,
    pub code: exec::Module,
    /// The texts it came from.
    pub texts: Arc<Vec<String>>,
    functions: Mutex<BTreeMap<String, Handle>>,
}

pub static MODULES: Registry<Module> = Registry::new(7);

impl Module {
    /// Code in a context, not yet entered in the registry.
    pub fn new(context: Handle, code: exec::Module, texts: Arc<Vec<String>>) -> Module {
        Module { context, code, texts, functions: Mutex::default() }
    }

    pub fn by_handle(handle: Handle) -> Result<Arc<Module>> {
        driver()?;
        MODULES
            .get(handle)
            .ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a module")))
    }

    /// The handle of a kernel, always the same.
    pub fn function(self: &Arc<Module>, own: Handle, name: &str) -> Result<Handle> {
        if self.code.kernel(name).is_none() {
            return Err(Code::NOT_FOUND.because(format!("the module has no kernel {name}")));
        }
        let mut functions = lock(&self.functions);
        if let Some(&handle) = functions.get(name) {
            return Ok(handle);
        }
        let handle = FUNCTIONS.insert(Function::new(Arc::downgrade(self), own, self.context, name));
        functions.insert(name.to_string(), handle);
        Ok(handle)
    }

    /// Address and bytes of a variable.
    pub fn variable(&self, name: &str) -> Result<(u64, u64)> {
        match self.code.global(name) {
            Some(global) => Ok((global.address, global.bytes)),
            None => Err(Code::NOT_FOUND.because(format!("the module has no variable {name}"))),
        }
    }

    /// Makes its functions invalid.
    pub fn forget_functions(&self) {
        for &handle in lock(&self.functions).values() {
            FUNCTIONS.remove(handle);
        }
    }
}
