//! The functions that ask and set what is known of kernels.

use super::error::{Code, Result};
use super::objects::context::Context;
use super::objects::function::{Function, attribute, info, parameter, set_attribute};
use super::sys::{Handle, Out};
use std::ffi::c_char;
use std::sync::Arc;

fn resolve(handle: Handle) -> Result<Arc<Function>> {
    Function::resolve(handle, &*Context::current_even_if_failed()?)
}

api! {
    fn cuFuncGetAttribute(value: Out<i32>, id: i32, function: Handle) {
        let function = resolve(function)?;
        value.set(info(&function, |module, info| attribute(id, module, info, &function.settings))?)
    }

    fn cuFuncSetAttribute(function: Handle, id: i32, value: i32) {
        let function = resolve(function)?;
        info(&function, |_, info| set_attribute(id, value, info, &function.settings))
    }

    /// There is no cache to divide.
    fn cuFuncSetCacheConfig(function: Handle, config: i32) {
        resolve(function)?;
        match (0..=3).contains(&config) {
            true => Ok(()),
            false => Err(Code::INVALID_VALUE.because(format!("no cache configuration {config}"))),
        }
    }

    fn cuFuncSetSharedMemConfig(function: Handle, config: i32) {
        resolve(function)?;
        match (0..=2).contains(&config) {
            true => Ok(()),
            false => Err(Code::INVALID_VALUE.because(format!("no bank configuration {config}"))),
        }
    }

    fn cuFuncGetModule(module: Out<Handle>, function: Handle) {
        module.set(resolve(function)?.module_handle)
    }

    /// The text lives as long as the function.
    fn cuFuncGetName(name: Out<*const c_char>, function: Handle) {
        name.set(resolve(function)?.c_name.as_ptr())
    }

    fn cuFuncGetParamInfo(function: Handle, index: usize, offset: Out<usize>, size: Out<usize>) {
        info(&*resolve(function)?, |_, info| parameter(info, index, offset, size))
    }

    fn cuFuncGetParamCount(function: Handle, count: Out<usize>) {
        count.set(info(&*resolve(function)?, |_, info| Ok(info.parameters.len()))?)
    }

    fn cuFuncIsLoaded(state: Out<i32>, function: Handle) {
        resolve(function)?;
        state.set(1)
    }

    fn cuFuncLoad(function: Handle) {
        resolve(function).map(|_| ())
    }
}
