//! Launches of kernels.

use super::context::Context;
use super::device::{MAX_BLOCK, MAX_GRID, MAX_THREADS};
use super::error::{Code, Result};
use super::function::{Function, info, max_threads};
use super::operation::Operation;
use super::stream::Stream;
use super::sys::{Handle, In, KernelParamsV1, LaunchConfig, Out};
use super::{host, profile};
use crate::exec::{self, KernelInfo, LaunchError, OnFault};
use crate::fault::FaultKind;
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

/// `CU_LAUNCH_ATTRIBUTE_…`.
const COOPERATIVE: i32 = 2;
const CLUSTER: i32 = 4;

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

    /// Runs it. A fault is left for the next call that waits.
    pub fn run(&self, context: &Context) -> Result {
        if self.function.context() != context.handle {
            return Err(Code::INVALID_HANDLE.because("function and stream belong to different contexts"));
        }
        let module = self.function.module()?;
        let Some(kernel) = module.code.kernel(&self.function.name) else {
            return Err(Code::INVALID_HANDLE.because("the module has no such kernel"));
        };
        let config = exec::LaunchConfig {
            grid: self.grid,
            block: self.block,
            dynamic_shared: self.shared,
            cooperative: self.cooperative,
        };
        let result = kernel.launch(&config, &self.parameters.bytes);
        flush_printed();
        profile::count(&module, kernel.info(), self, &result);
        match result {
            Ok(_) => Ok(()),
            Err(LaunchError::Faults { faults, dropped, .. }) => {
                for fault in &faults {
                    eprintln!("cuda-emulator: {fault}");
                }
                if dropped > 0 {
                    eprintln!("cuda-emulator: {}: {dropped} more faults", self.function.name);
                }
                let first = faults.first().map_or(FaultKind::Undefined, |f| f.kind);
                let asserted = faults.first().is_some_and(|f| f.detail.contains("assert"));
                if super::device::driver()?.config.report == OnFault::Abort {
                    context.fail(code_of(first, asserted));
                }
                Ok(())
            }
            Err(error @ LaunchError::TooManyBlocks { .. }) => {
                Err(Code::COOPERATIVE_LAUNCH_TOO_LARGE.because(error.to_string()))
            }
            Err(error @ LaunchError::Resources { .. }) => {
                Err(Code::LAUNCH_OUT_OF_RESOURCES.because(error.to_string()))
            }
            Err(error) => Err(Code::INVALID_VALUE.because(error.to_string())),
        }
    }
}

/// What the kernel printed appears before what the program prints next.
fn flush_printed() {
    use std::io::Write;
    let _ = std::io::stdout().flush();
}

/// The driver's code for a fault.
fn code_of(kind: FaultKind, asserted: bool) -> Code {
    match kind {
        FaultKind::OutOfBounds | FaultKind::UseAfterFree | FaultKind::ReadOnly => Code::ILLEGAL_ADDRESS,
        FaultKind::Misaligned => Code::MISALIGNED_ADDRESS,
        FaultKind::Trap if asserted => Code::ASSERT,
        FaultKind::BadCall => Code::INVALID_PC,
        FaultKind::Deadlock | FaultKind::Timeout => Code::LAUNCH_TIMEOUT,
        _ => Code::LAUNCH_FAILED,
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

/// The parts of `cuLaunchKernel`.
struct Call {
    function: Handle,
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    parameters: In<In<u8>>,
    extra: In<usize>,
    cooperative: bool,
}

fn launch(call: Call) -> Result {
    let stream = Stream::resolve(call.stream)?;
    let function = Function::resolve(call.function, &*stream.context()?)?;
    let launch = Launch::new(
        function,
        call.function,
        call.grid,
        call.block,
        call.shared,
        call.parameters,
        call.extra,
        call.cooperative,
    )?;
    stream.submit(Operation::Kernel(launch))
}

api! {
    per_thread cuLaunchKernel_ptsz
    fn cuLaunchKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        parameters: In<In<u8>>,
        extra: In<usize>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(Call { function, grid, block, shared, stream, parameters, extra, cooperative: false })
    }

    per_thread cuLaunchCooperativeKernel_ptsz
    fn cuLaunchCooperativeKernel(
        function: Handle,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared: u32,
        stream: Handle,
        parameters: In<In<u8>>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(Call { function, grid, block, shared, stream, parameters, extra: In::null(), cooperative: true })
    }

    /// Attributes that ask for clusters are refused; those that give hints change nothing.
    per_thread cuLaunchKernelEx_ptsz
    fn cuLaunchKernelEx(
        config: In<LaunchConfig>,
        function: Handle,
        parameters: In<In<u8>>,
        extra: In<usize>,
    ) {
        let config = config.get()?;
        let mut cooperative = false;
        for attribute in config.attributes.array(config.attribute_count as usize)? {
            match attribute.id {
                COOPERATIVE => cooperative = attribute.value.0[0] != 0,
                CLUSTER if attribute.value.0[..3].iter().any(|&n| n > 1) => {
                    return Err(Code::NOT_SUPPORTED.because("clusters are not supported"));
                }
                0..=18 => {}
                id => return Err(Code::INVALID_VALUE.because(format!("there is no launch attribute {id}"))),
            }
        }
        let LaunchConfig { grid, block, shared, stream, .. } = config;
        launch(Call { function, grid, block, shared, stream, parameters, extra, cooperative })
    }

    /// Nothing profiles through these calls.
    fn cuProfilerStart() {
        Context::current().map(|_| ())
    }

    fn cuProfilerStop() {
        Context::current().map(|_| ())
    }

    /// Private tables of the driver: there are none.
    fn cuGetExportTable(table: Out<usize>, _id: In<[u8; 16]>) {
        table.set_if_wanted(0);
        Err(Code::NOT_FOUND.into())
    }
}
