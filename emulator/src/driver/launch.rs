//! The functions that launch kernels.

use super::error::{Code, Result};
use super::objects::context::Context;
use super::objects::function::Function;
use super::objects::launch::Launch;
use super::objects::operation::Operation;
use super::objects::stream::Stream;
use super::sys::{Handle, In, LaunchConfig, Out};

/// `CU_LAUNCH_ATTRIBUTE_…`.
const COOPERATIVE: i32 = 2;
const CLUSTER: i32 = 4;

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
