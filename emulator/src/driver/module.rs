//! The functions that load modules and tell what is in them.

use super::error::{Code, Result};
use super::image;
use super::load::{LoadOptions, file, load_tree, parse};
use super::objects::capture;
use super::objects::context::Context;
use super::objects::module::{MODULES, Module};
use super::sys::{DevicePointer, Handle, In, Out, Text};
use std::sync::Arc;

/// Loads an image and hands the module over.
fn load(
    place: Out<Handle>,
    load_options: LoadOptions,
    image: impl FnOnce() -> Result<Vec<String>>,
) -> Result {
    let context = Context::current()?;
    capture::forbid_unsafe_call()?;
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    let loaded = image().and_then(|texts| {
        let texts = Arc::new(texts);
        load_tree(&context, &parse(&texts, load_options.max_registers)?, &texts)
    });
    load_options.finish(loaded.as_ref().err())?;
    let handle = MODULES.reserve();
    MODULES.enter(handle, loaded?);
    place.set(handle)
}

api! {
    fn cuModuleLoad(module: Out<Handle>, name: Text) {
        load(module, LoadOptions::default(), || file(name))
    }

    fn cuModuleLoadData(module: Out<Handle>, code: In<u8>) {
        load(module, LoadOptions::default(), || image::at(code.address()))
    }

    fn cuModuleLoadDataEx(
        module: Out<Handle>,
        code: In<u8>,
        count: u32,
        options: In<i32>,
        values: Out<usize>,
    ) {
        load(module, LoadOptions::from_options(count, options, values)?, || image::at(code.address()))
    }

    fn cuModuleLoadFatBinary(module: Out<Handle>, code: In<u8>) {
        load(module, LoadOptions::default(), || image::at(code.address()))
    }

    fn cuModuleUnload(module: Handle) {
        Module::by_handle(module)?.forget_functions();
        MODULES.remove(module);
        Ok(())
    }

    fn cuModuleGetFunction(function: Out<Handle>, module: Handle, name: Text) {
        let found = Module::by_handle(module)?;
        Context::by_handle(found.context)?.check()?;
        function.set(found.function(module, &name.get()?)?)
    }

    fn cuModuleGetFunctionCount(count: Out<u32>, module: Handle) {
        count.set(Module::by_handle(module)?.code.kernels().len() as u32)
    }

    fn cuModuleEnumerateFunctions(functions: Out<Handle>, room: u32, module: Handle) {
        let found = Module::by_handle(module)?;
        let handles: Result<Vec<Handle>> =
            found.code.kernels().iter().take(room as usize).map(|k| found.function(module, &k.name)).collect();
        functions.fill(handles?)
    }

    fn cuModuleGetGlobal_v2(pointer: Out<DevicePointer>, bytes: Out<usize>, module: Handle, name: Text) {
        let (address, length) = Module::by_handle(module)?.variable(&name.get()?)?;
        pointer.set_if_wanted(address);
        bytes.set_if_wanted(length as usize);
        Ok(())
    }

    /// Eager.
    fn cuModuleGetLoadingMode(mode: Out<i32>) {
        mode.set(1)
    }
}
