//! From images and options to modules: how modules, libraries and links load code.

use super::device::driver;
use super::error::{Code, Failure, Result};
use super::merge::merge;
use super::objects::context::Context;
use super::objects::module::Module;
use super::sys::{In, Out, Text};
use super::{host, image};
use crate::exec::{self, LoadError};
use crate::ptx::ast::Module as Tree;
use std::sync::Arc;

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
    let mut tree = merge(trees).map_err(|message| Code::INVALID_PTX.because(message))?;
    if let Some(most) = max_registers.or(named) {
        for function in tree.functions.iter_mut().filter(|f| f.is_kernel) {
            function.directives.max_registers.get_or_insert(most);
        }
    }
    Ok(tree)
}

/// Loads a tree into a context.
pub fn load_tree(context: &Context, tree: &Tree, texts: &Arc<Vec<String>>) -> Result<Arc<Module>> {
    let compute = driver()?.config.compute;
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
    Ok(Arc::new(Module::new(context.handle, code, texts.clone())))
}

/// The texts of a file.
pub fn file(name: Text) -> Result<Vec<String>> {
    let name = name.get()?;
    let bytes = std::fs::read(&name).map_err(|e| Code::FILE_NOT_FOUND.because(format!("{name}: {e}")))?;
    image::of(&bytes)
}
