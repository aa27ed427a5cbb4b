//! Modules: code that is loaded into a context.

use super::capture;
use super::context::Context;
use super::error::{Code, Failure, Result};
use super::function::{FUNCTIONS, Function};
use super::handles::{Registry, lock};
use super::image;
use super::sys::{DevicePointer, Handle, In, Out, Text};
use super::{host, link};
use crate::exec::{self, LoadError};
use crate::ptx::ast::Module as Tree;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

/// A loaded module.
pub struct Module {
    pub context: Handle,
    pub code: exec::Module,
    /// The texts it came from.
    pub texts: Arc<Vec<String>>,
    functions: Mutex<BTreeMap<String, Handle>>,
}

pub static MODULES: Registry<Module> = Registry::new(7);

/// Numbers of `CUjit_option`.
const MAX_REGISTERS: i32 = 0;
const INFO_LOG: i32 = 3;
const INFO_LOG_BYTES: i32 = 4;
const ERROR_LOG: i32 = 5;
const ERROR_LOG_BYTES: i32 = 6;
/// Options that exist; those of code generation have nothing to act on.
const KNOWN_OPTIONS: std::ops::RangeInclusive<i32> = 0..=35;

/// What options ask for: above all, where the caller wants to read what went wrong.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions {
    /// Registers that a thread may have.
    pub max_registers: Option<u32>,
    info: Option<(u64, usize)>,
    error: Option<(u64, usize)>,
    /// Where the options hold the lengths, which become the lengths used.
    info_length: Option<Out<usize>>,
    error_length: Option<Out<usize>>,
}

impl LoadOptions {
    /// Of options and their values (numbers, or addresses, as each option has it).
    pub fn from_options(count: u32, options: In<i32>, values: Out<usize>) -> Result<LoadOptions> {
        let mut load_options = LoadOptions::default();
        let (mut info, mut error) = ((0, 0), (0, 0));
        for (i, option) in options.array(count as usize)?.into_iter().enumerate() {
            let place = values.at(i);
            let value = place.get()?;
            match option {
                MAX_REGISTERS => load_options.max_registers = Some(value as u32).filter(|&n| n > 0),
                INFO_LOG => info.0 = value as u64,
                INFO_LOG_BYTES => {
                    info.1 = value as u32 as usize;
                    load_options.info_length = Some(place);
                }
                ERROR_LOG => error.0 = value as u64,
                ERROR_LOG_BYTES => {
                    error.1 = value as u32 as usize;
                    load_options.error_length = Some(place);
                }
                _ if KNOWN_OPTIONS.contains(&option) => {}
                _ => return Err(Code::INVALID_VALUE.because(format!("there is no option {option}"))),
            }
        }
        load_options.info = (info.0 != 0 && info.1 > 0).then_some(info);
        load_options.error = (error.0 != 0 && error.1 > 0).then_some(error);
        Ok(load_options)
    }

    /// Writes the error, or nothing, to the buffers.
    pub fn finish(&self, failure: Option<&Failure>) -> Result {
        let text = failure.and_then(|f| f.detail.as_deref()).unwrap_or("");
        for (buffer, length, text) in
            [(self.info, self.info_length, ""), (self.error, self.error_length, text)]
        {
            let Some((address, room)) = buffer else { continue };
            let mut bytes = text.as_bytes()[..text.len().min(room - 1)].to_vec();
            bytes.push(0);
            host::write(address, &bytes)?;
            if let Some(place) = length {
                place.set(bytes.len() - 1)?;
            }
        }
        Ok(())
    }
}

/// Texts as one tree, with a limit on the registers of its kernels: one that is given, or that the first text names.
pub fn parse(texts: &[String], max_registers: Option<u32>) -> Result<Tree> {
    let named =
        texts.first().and_then(|t| t.strip_prefix(image::REGISTERS)?.split('\n').next()?.trim().parse().ok());
    let mut trees = Vec::with_capacity(texts.len());
    for text in texts {
        let tree = crate::ptx::parse(text).map_err(|e| Code::INVALID_PTX.because(e.to_string()))?;
        trees.push(tree);
    }
    let mut tree = link::merge(trees).map_err(|message| Code::INVALID_PTX.because(message))?;
    if let Some(most) = max_registers.or(named) {
        for function in tree.functions.iter_mut().filter(|f| f.is_kernel) {
            function.directives.max_registers.get_or_insert(most);
        }
    }
    Ok(tree)
}

/// Loads a tree into a context.
pub fn load_tree(context: &Context, tree: &Tree, texts: &Arc<Vec<String>>) -> Result<Arc<Module>> {
    let compute = super::device::driver()?.config.compute;
    if tree.target > compute.0 * 10 + compute.1 {
        let detail = format!(
            "the code is for sm_{}, the device is sm_{}{} (CUDA_EMULATOR_COMPUTE sets that)",
            tree.target, compute.0, compute.1
        );
        return Err(Code::NO_BINARY_FOR_GPU.because(detail));
    }
    let code = exec::Module::from_tree(&context.device()?.machine, tree).map_err(|error| {
        let code = match error {
            LoadError::OutOfMemory(_) => Code::OUT_OF_MEMORY,
            _ => Code::INVALID_PTX,
        };
        code.because(error.to_string())
    })?;
    Ok(Arc::new(Module { context: context.handle, code, texts: texts.clone(), functions: Mutex::default() }))
}

impl Module {
    pub fn by_handle(handle: Handle) -> Result<Arc<Module>> {
        super::device::driver()?;
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

/// Unloads the modules of a context.
pub fn release(context: Handle) {
    for (handle, module) in MODULES.select(|m| m.context == context) {
        module.forget_functions();
        MODULES.remove(handle);
    }
    super::library::release(context);
}

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

/// The texts of a file.
pub fn file(name: Text) -> Result<Vec<String>> {
    let name = name.get()?;
    let bytes = std::fs::read(&name).map_err(|e| Code::FILE_NOT_FOUND.because(format!("{name}: {e}")))?;
    image::of(&bytes)
}

/// A module that may be gone.
pub type Unloaded = Weak<Module>;

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
