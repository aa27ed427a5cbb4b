//! Libraries: code that is loaded once and used in any context.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::image;
use super::load::{LoadOptions, file, load_tree, parse};
use super::objects::context::Context;
use super::objects::function::{FUNCTIONS, Function, Settings, attribute, info, parameter, set_attribute};
use super::objects::module::{MODULES, Module};
use super::objects::primary;
use super::sys::{DevicePointer, Handle, In, Ordinal, Out, Text};
use crate::exec::KernelInfo;
use crate::ptx::ast::Module as Tree;
use std::collections::BTreeMap;
use std::ffi::{CString, c_char};
use std::sync::{Arc, Mutex, Weak};

/// A library.
pub struct Library {
    tree: Tree,
    texts: Arc<Vec<String>>,
    /// Its module in each context that used it, with the module's handle.
    modules: Mutex<BTreeMap<Handle, (Handle, Arc<Module>)>>,
    kernels: Mutex<BTreeMap<String, Handle>>,
}

/// A kernel of a library.
pub struct Kernel {
    library: Weak<Library>,
    library_handle: Handle,
    name: String,
    c_name: CString,
}

pub static LIBRARIES: Registry<Library> = Registry::new(9);
pub static KERNELS: Registry<Kernel> = Registry::new(10);

impl Library {
    fn by_handle(handle: Handle) -> Result<Arc<Library>> {
        driver()?;
        LIBRARIES
            .get(handle)
            .ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a library")))
    }

    /// Its module in a context, loaded when it is first asked for.
    fn module(&self, context: &Context) -> Result<(Handle, Arc<Module>)> {
        let mut modules = lock(&self.modules);
        if let Some((handle, module)) = modules.get(&context.handle) {
            return Ok((*handle, module.clone()));
        }
        let module = load_tree(context, &self.tree, &self.texts)?;
        let handle = MODULES.reserve();
        MODULES.enter(handle, module.clone());
        modules.insert(context.handle, (handle, module.clone()));
        Ok((handle, module))
    }

    /// The handle of a kernel, always the same.
    fn kernel(self: &Arc<Library>, own: Handle, name: &str) -> Result<Handle> {
        let exists = self.tree.functions.iter().any(|f| f.is_kernel && f.body.is_some() && f.name == name);
        if !exists {
            return Err(Code::NOT_FOUND.because(format!("the library has no kernel {name}")));
        }
        let mut kernels = lock(&self.kernels);
        if let Some(&handle) = kernels.get(name) {
            return Ok(handle);
        }
        let handle = KERNELS.insert(Kernel {
            library: Arc::downgrade(self),
            library_handle: own,
            name: name.to_string(),
            c_name: CString::new(name).unwrap_or_default(),
        });
        kernels.insert(name.to_string(), handle);
        Ok(handle)
    }

    fn kernel_names(&self) -> impl Iterator<Item = &str> {
        self.tree.functions.iter().filter(|f| f.is_kernel && f.body.is_some()).map(|f| f.name.as_str())
    }
}

impl Kernel {
    fn by_handle(handle: Handle) -> Result<Arc<Kernel>> {
        driver()?;
        KERNELS
            .get(handle)
            .ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a kernel")))
    }

    fn library(&self) -> Result<Arc<Library>> {
        self.library.upgrade().ok_or_else(|| Code::INVALID_HANDLE.because("the library was unloaded"))
    }

    /// Its function in a context.
    pub fn function(&self, context: &Context) -> Result<Handle> {
        let (handle, module) = self.library()?.module(context)?;
        module.function(handle, &self.name)
    }

    /// What is known of it on a device.
    fn with_info<T>(
        &self,
        device: Ordinal,
        body: impl FnOnce(&Module, &KernelInfo, &Settings) -> Result<T>,
    ) -> Result<T> {
        let current = Context::current().ok().filter(|c| c.ordinal == device);
        let context = match current {
            Some(context) => context,
            None => primary::active(device)?
                .ok_or_else(|| Code::INVALID_CONTEXT.because(format!("device {device} has no context")))?,
        };
        let function = Function::resolve(self.function(&context)?, &context)?;
        info(&function, |module, info| body(module, info, &function.settings))
    }
}

impl Function {
    /// The function of a handle; a kernel of a library stands for its function in the context.
    pub fn resolve(handle: Handle, context: &Context) -> Result<Arc<Function>> {
        if let Some(function) = FUNCTIONS.get(handle) {
            return Ok(function);
        }
        match KERNELS.get(handle) {
            Some(kernel) => {
                let function = kernel.function(context)?;
                FUNCTIONS
                    .get(function)
                    .ok_or_else(|| Code::INVALID_HANDLE.because("the library was unloaded"))
            }
            None => Err(Code::INVALID_HANDLE.because(format!("{handle:#x} is not a function"))),
        }
    }
}

/// Forgets the modules of a context; libraries stay.
pub fn release(context: Handle) {
    for (_, library) in LIBRARIES.select(|_| true) {
        lock(&library.modules).remove(&context);
    }
}

fn load(place: Out<Handle>, options: LoadOptions, image: impl FnOnce() -> Result<Vec<String>>) -> Result {
    driver()?;
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    let loaded = image().and_then(|texts| Ok((parse(&texts, options.max_registers)?, Arc::new(texts))));
    // Refusals are told now, not when a kernel is first used: loaded for a trial where a context is current.
    let loaded = loaded.and_then(|(tree, texts)| {
        let library = Library { tree, texts, modules: Mutex::default(), kernels: Mutex::default() };
        if let Ok(context) = Context::current() {
            library.module(&context)?;
        }
        Ok(library)
    });
    options.finish(loaded.as_ref().err())?;
    place.set(LIBRARIES.insert(loaded?))
}

fn variable(place: Out<DevicePointer>, bytes: Out<usize>, library: Handle, name: Text) -> Result {
    let library = Library::by_handle(library)?;
    let (_, module) = library.module(&*Context::current()?)?;
    let (address, length) = module.variable(&name.get()?)?;
    place.set_if_wanted(address);
    bytes.set_if_wanted(length as usize);
    Ok(())
}

api! {
    fn cuLibraryLoadData(
        library: Out<Handle>,
        code: In<u8>,
        options: In<i32>,
        values: Out<usize>,
        count: u32,
        _library_options: In<i32>,
        _library_values: In<usize>,
        _library_count: u32,
    ) {
        load(library, LoadOptions::from_options(count, options, values)?, || image::at(code.address()))
    }

    fn cuLibraryLoadFromFile(
        library: Out<Handle>,
        name: Text,
        options: In<i32>,
        values: Out<usize>,
        count: u32,
        _library_options: In<i32>,
        _library_values: In<usize>,
        _library_count: u32,
    ) {
        load(library, LoadOptions::from_options(count, options, values)?, || file(name))
    }

    fn cuLibraryUnload(library: Handle) {
        let found = Library::by_handle(library)?;
        LIBRARIES.remove(library);
        for &kernel in lock(&found.kernels).values() {
            KERNELS.remove(kernel);
        }
        for (handle, module) in lock(&found.modules).values() {
            module.forget_functions();
            MODULES.remove(*handle);
        }
        Ok(())
    }

    fn cuLibraryGetKernel(kernel: Out<Handle>, library: Handle, name: Text) {
        kernel.set(Library::by_handle(library)?.kernel(library, &name.get()?)?)
    }

    fn cuLibraryGetKernelCount(count: Out<u32>, library: Handle) {
        count.set(Library::by_handle(library)?.kernel_names().count() as u32)
    }

    fn cuLibraryEnumerateKernels(kernels: Out<Handle>, room: u32, library: Handle) {
        let found = Library::by_handle(library)?;
        let handles: Result<Vec<Handle>> =
            found.kernel_names().take(room as usize).map(|name| found.kernel(library, name)).collect();
        kernels.fill(handles?)
    }

    fn cuLibraryGetModule(module: Out<Handle>, library: Handle) {
        module.set(Library::by_handle(library)?.module(&*Context::current()?)?.0)
    }

    fn cuLibraryGetGlobal(pointer: Out<DevicePointer>, bytes: Out<usize>, library: Handle, name: Text) {
        variable(pointer, bytes, library, name)
    }

    fn cuLibraryGetManaged(pointer: Out<DevicePointer>, bytes: Out<usize>, library: Handle, name: Text) {
        variable(pointer, bytes, library, name)
    }

    fn cuKernelGetFunction(function: Out<Handle>, kernel: Handle) {
        function.set(Kernel::by_handle(kernel)?.function(&*Context::current()?)?)
    }

    fn cuKernelGetLibrary(library: Out<Handle>, kernel: Handle) {
        library.set(Kernel::by_handle(kernel)?.library_handle)
    }

    /// The text lives as long as the library.
    fn cuKernelGetName(name: Out<*const c_char>, kernel: Handle) {
        name.set(Kernel::by_handle(kernel)?.c_name.as_ptr())
    }

    fn cuKernelGetAttribute(value: Out<i32>, id: i32, kernel: Handle, device: Ordinal) {
        let kernel = Kernel::by_handle(kernel)?;
        value.set(kernel.with_info(device, |module, info, settings| attribute(id, module, info, settings))?)
    }

    fn cuKernelSetAttribute(id: i32, value: i32, kernel: Handle, device: Ordinal) {
        Kernel::by_handle(kernel)?.with_info(device, |_, info, settings| set_attribute(id, value, info, settings))
    }

    /// There is no cache to divide.
    fn cuKernelSetCacheConfig(kernel: Handle, config: i32, device: Ordinal) {
        Kernel::by_handle(kernel)?;
        driver()?.device(device)?;
        match (0..=3).contains(&config) {
            true => Ok(()),
            false => Err(Code::INVALID_VALUE.because(format!("no cache configuration {config}"))),
        }
    }

    fn cuKernelGetParamInfo(kernel: Handle, index: usize, offset: Out<usize>, size: Out<usize>) {
        let device = Context::current()?.ordinal;
        Kernel::by_handle(kernel)?.with_info(device, |_, info, _| parameter(info, index, offset, size))
    }

    fn cuKernelGetParamCount(kernel: Handle, count: Out<usize>) {
        let device = Context::current()?.ordinal;
        count.set(Kernel::by_handle(kernel)?.with_info(device, |_, info, _| Ok(info.parameters.len()))?)
    }
}
