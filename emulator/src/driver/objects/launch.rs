//! A launch of a kernel: what it is launched with, checked.

use super::function::{Function, info, max_threads};
use crate::driver::error::{Code, Result};
use crate::driver::host;
use crate::driver::limits::{MAX_BLOCK, MAX_GRID, MAX_THREADS};
use crate::driver::sys::{Handle, In, KernelParamsV1};
use crate::exec::{self, KernelInfo};
use std::sync::Arc;

/// A kernel with everything it is launched with.
#[derive(Clone)]
pub struct Launch {
    pub function: Arc<Function>,
    /// What the caller named it by.
    handle: Handle,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    cooperative: bool,
    parameters: Arc<Parameters>,
}

/// Parameters as the kernel reads them, and pointers to each for those who ask the driver for them.
struct Parameters {
    bytes: Box<[u8]>,
    pointers: Box<[usize]>,
}

/// Words of the `extra` list.
const END: usize = 0;
const BUFFER: usize = 1;
const BUFFER_BYTES: usize = 2;
/// Most words that are read of it.
const MOST_EXTRA: usize = 16;

impl Launch {
    /// Copies the parameters and checks everything that can be before the launch.
    #[expect(clippy::too_many_arguments, reason = "the arguments of cuLaunchKernel")]
    pub fn new(
        function: Arc<Function>,
        handle: Handle,
        grid: [u32; 3],
        block: [u32; 3],
        shared: u32,
        parameters: In<In<u8>>,
        extra: In<usize>,
        cooperative: bool,
    ) -> Result<Launch> {
        let parameters = info(&function, |_, info| {
            check_shape(info, grid, block)?;
            let most = function.max_dynamic(info)?;
            if shared > most {
                let detail = format!(
                    "{}: {shared} bytes of dynamic shared memory, of {most} (cuFuncSetAttribute can allow more)",
                    function.name
                );
                return Err(Code::INVALID_VALUE.because(detail));
            }
            Parameters::read(info, parameters, extra)
        })?;
        Ok(Launch { function, handle, grid, block, shared, cooperative, parameters: Arc::new(parameters) })
    }

    /// The structure that describes it; its pointers are good as long as the launch is.
    pub fn params(&self) -> KernelParamsV1 {
        KernelParamsV1 {
            function: self.handle,
            grid: self.grid,
            block: self.block,
            shared: self.shared,
            parameters: In::to(&self.parameters.pointers),
            extra: In::null(),
        }
    }

    /// As the device takes it.
    pub fn config(&self) -> exec::LaunchConfig {
        exec::LaunchConfig {
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.shared,
            cooperative: self.cooperative,
        }
    }

    /// The parameters as the kernel reads them.
    pub fn parameters(&self) -> &[u8] {
        &self.parameters.bytes
    }
}

fn check_shape(info: &KernelInfo, grid: [u32; 3], block: [u32; 3]) -> Result {
    let name = &info.name;
    for axis in 0..3 {
        if grid[axis] == 0 || grid[axis] > MAX_GRID[axis] {
            return Err(Code::INVALID_VALUE.because(format!("{name}: a grid of {grid:?} blocks")));
        }
        if block[axis] == 0 || block[axis] > MAX_BLOCK[axis] {
            return Err(Code::INVALID_VALUE.because(format!("{name}: blocks of {block:?} threads")));
        }
    }
    let threads = block.iter().map(|&n| u64::from(n)).product::<u64>();
    if threads > u64::from(MAX_THREADS.min(max_threads(info))) {
        let most = MAX_THREADS.min(max_threads(info));
        return Err(Code::INVALID_VALUE.because(format!("{name}: blocks of {threads} threads, of {most}")));
    }
    Ok(())
}

impl Parameters {
    fn read(info: &KernelInfo, parameters: In<In<u8>>, extra: In<usize>) -> Result<Parameters> {
        let mut bytes = vec![0; info.parameter_bytes as usize].into_boxed_slice();
        if !extra.is_null() {
            if !parameters.is_null() {
                return Err(Code::INVALID_VALUE.because("parameters both as a list and as a buffer"));
            }
            let (address, length) = buffer(extra)?;
            if length as u64 != info.parameter_bytes {
                let wanted = info.parameter_bytes;
                let detail = format!("{}: {length} bytes of parameters where it takes {wanted}", info.name);
                return Err(Code::INVALID_VALUE.because(detail));
            }
            host::read(address, &mut bytes)?;
        } else if !info.parameters.is_empty() {
            for (&(offset, size), pointer) in
                info.parameters.iter().zip(parameters.array(info.parameters.len())?)
            {
                if pointer.is_null() {
                    return Err(Code::INVALID_VALUE.because(format!("{}: a parameter is null", info.name)));
                }
                let end = (offset + size) as usize;
                if let Some(place) = bytes.get_mut(offset as usize..end) {
                    host::read(pointer.address(), place)?;
                }
            }
        }
        let start = bytes.as_ptr() as usize;
        let pointers = info.parameters.iter().map(|p| start + p.0 as usize).collect();
        Ok(Parameters { bytes, pointers })
    }
}

/// The buffer that the `extra` list names, and its length.
fn buffer(extra: In<usize>) -> Result<(u64, usize)> {
    let (mut address, mut length) = (0, 0);
    for i in (0..MOST_EXTRA).step_by(2) {
        let word = extra.at(i).get()?;
        match word {
            END => return Ok((address, length)),
            BUFFER => address = extra.at(i + 1).get()? as u64,
            BUFFER_BYTES => {
                let mut bytes = [0; size_of::<usize>()];
                host::read(extra.at(i + 1).get()? as u64, &mut bytes)?;
                length = usize::from_ne_bytes(bytes);
            }
            _ => return Err(Code::INVALID_VALUE.because(format!("there is no extra word {word}"))),
        }
    }
    Err(Code::INVALID_VALUE.because("the list of extra words has no end"))
}
