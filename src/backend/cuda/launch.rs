//! Starting kernels: every kernel takes one structure by value.

use super::context::Context;
use bytemuck::Pod;
use cudarc::driver::{result, sys};
use std::ffi::c_void;

/// How many threads run a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks, in three dimensions.
    pub blocks: [usize; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

/// Dynamic shared memory that every kernel may use.
const FREE_SHARED: u32 = 48 << 10;
/// The most blocks in each dimension.
const MOST_BLOCKS: [usize; 3] = [(1 << 31) - 1, 65_535, 65_535];

impl Grid {
    /// Blocks in one dimension, without dynamic shared memory.
    pub fn line(blocks: usize, threads: u32) -> Grid {
        Grid { blocks: [blocks, 1, 1], threads, shared: 0 }
    }

    /// Enough blocks of `threads` for `items`.
    pub fn over(items: usize, threads: u32) -> Grid {
        Grid::line(items.div_ceil(threads as usize), threads)
    }
}

impl Context {
    /// Runs kernel `name` of kernels/`module`.cu with `parameters`. A grid without blocks does nothing.
    ///
    /// # Safety
    /// `parameters` is the kernel's own structure; the addresses in it are those of buffers with as many elements as the
    /// kernel reads and writes for the sizes in it, and no buffer that it writes is one that it reads otherwise.
    pub unsafe fn launch<P: Pod>(&self, module: &'static str, name: &str, grid: Grid, parameters: &P) {
        if grid.blocks.contains(&0) {
            return;
        }
        if grid.blocks.iter().zip(MOST_BLOCKS).any(|(blocks, most)| *blocks > most) {
            self.fail(format!("{name}: a grid of {:?} blocks is more than a launch can have", grid.blocks));
            return;
        }
        let Some(function) = self.kernel(module, name) else { return };
        let [x, y, z] = grid.blocks.map(|blocks| blocks as u32);
        self.attempt(name, || {
            if grid.shared > FREE_SHARED {
                use sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
                function
                    .set_attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, grid.shared as i32)?;
            }
            let mut list = [std::ptr::from_ref(parameters).cast_mut().cast::<c_void>()];
            let (stream, threads) = (self.stream().cu_stream(), (grid.threads, 1, 1));
            // SAFETY: the kernel takes one structure of this size, which the driver copies before it returns; what it
            // points to is as the caller promises.
            unsafe {
                result::launch_kernel(
                    function.cu_function(),
                    (x, y, z),
                    threads,
                    grid.shared,
                    stream,
                    &mut list,
                )
            }
        });
        self.launched(grid.blocks.iter().product(), || {
            function.occupancy_max_active_blocks_per_multiprocessor(grid.threads, grid.shared as usize, None)
        });
    }
}
