//! Occupancy: how many blocks a multiprocessor holds at once.

use super::device::driver;
use super::error::{Code, Result};
use super::limits::{Limits, MAX_THREADS, REGISTERS, limits};
use super::objects::context::Context;
use super::objects::function::{Function, info, max_threads, registers};
use super::sys::{Handle, In, LaunchConfig, Out};
use crate::exec::KernelInfo;

/// Registers are handed out to a warp in steps of 256, shared memory to a block in steps of 128 bytes.
const REGISTER_STEP: u32 = 256;
const SHARED_STEP: u32 = 128;

/// What a block takes.
#[derive(Clone, Copy, Debug)]
pub struct Demand {
    pub threads: u32,
    pub registers: u32,
    /// Static and dynamic.
    pub shared: u32,
}

/// Blocks per multiprocessor.
pub fn blocks(limits: &Limits, demand: Demand) -> u32 {
    let warps = demand.threads.div_ceil(32).max(1);
    let warp_registers = (demand.registers.max(1) * 32).next_multiple_of(REGISTER_STEP);
    let by_registers = REGISTERS / warp_registers / warps;
    let taken = demand.shared.saturating_add(limits.shared_reserved);
    let shared = taken.checked_next_multiple_of(SHARED_STEP).unwrap_or(u32::MAX);
    let by_shared = limits.shared_per_multiprocessor.checked_div(shared).unwrap_or(u32::MAX);
    (limits.threads_per_multiprocessor / (32 * warps))
        .min(limits.blocks_per_multiprocessor)
        .min(by_registers)
        .min(by_shared)
}

/// Runs something with a function's kernel and the device's limits.
fn with<T>(function: Handle, body: impl FnOnce(&KernelInfo, &Limits) -> Result<T>) -> Result<T> {
    let context = Context::current()?;
    let function = Function::resolve(function, &context)?;
    info(&function, |_, info| body(info, &limits(driver()?.config.compute)))
}

fn demand(info: &KernelInfo, threads: u32, dynamic: usize) -> Demand {
    let dynamic = u32::try_from(dynamic).unwrap_or(u32::MAX);
    Demand { threads, registers: registers(info), shared: info.static_shared.saturating_add(dynamic) }
}

fn max_active(count: Out<i32>, function: Handle, threads: i32, dynamic: usize, flags: u32) -> Result {
    if flags > 1 {
        return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
    }
    let Some(threads) = u32::try_from(threads).ok().filter(|&t| t > 0) else {
        return Err(Code::INVALID_VALUE.because(format!("blocks of {threads} threads")));
    };
    let found = with(function, |info, limits| {
        let fits = threads <= max_threads(info);
        Ok(if fits { blocks(limits, demand(info, threads, dynamic)) } else { 0 })
    })?;
    count.set(found as i32)
}

/// `CUoccupancyB2DSize`: dynamic shared memory of a block of so many threads.
type SharedOfBlock = Option<unsafe extern "C" fn(i32) -> usize>;

fn potential(
    grid: Out<i32>,
    block: Out<i32>,
    function: Handle,
    shared_of: SharedOfBlock,
    dynamic: usize,
    limit: i32,
) -> Result {
    let (best, count, processors) = with(function, |info, limits| {
        let most = max_threads(info).min(u32::try_from(limit).ok().filter(|&l| l > 0).unwrap_or(MAX_THREADS));
        let mut best = (0, 0, 0);
        for threads in (1..=most.div_ceil(32)).rev().map(|warps| (32 * warps).min(most)) {
            // SAFETY: a function of the program, called as cuOccupancyMaxPotentialBlockSize says that it is.
            let dynamic = shared_of.map_or(dynamic, |f| unsafe { f(threads as i32) });
            let count = blocks(limits, demand(info, threads, dynamic));
            if count * threads > best.0 {
                best = (count * threads, threads, count);
            }
        }
        Ok((best.1, best.2, limits.multiprocessors))
    })?;
    grid.set((count * processors) as i32)?;
    block.set(best as i32)
}

api! {
    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        count: Out<i32>,
        function: Handle,
        threads: i32,
        dynamic: usize,
    ) {
        max_active(count, function, threads, dynamic, 0)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        count: Out<i32>,
        function: Handle,
        threads: i32,
        dynamic: usize,
        flags: u32,
    ) {
        max_active(count, function, threads, dynamic, flags)
    }

    fn cuOccupancyMaxPotentialBlockSize(
        grid: Out<i32>,
        block: Out<i32>,
        function: Handle,
        shared_of: SharedOfBlock,
        dynamic: usize,
        limit: i32,
    ) {
        potential(grid, block, function, shared_of, dynamic, limit)
    }

    fn cuOccupancyMaxPotentialBlockSizeWithFlags(
        grid: Out<i32>,
        block: Out<i32>,
        function: Handle,
        shared_of: SharedOfBlock,
        dynamic: usize,
        limit: i32,
        flags: u32,
    ) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE.because(format!("unknown flags {flags:#x}")));
        }
        potential(grid, block, function, shared_of, dynamic, limit)
    }

    fn cuOccupancyAvailableDynamicSMemPerBlock(bytes: Out<usize>, function: Handle, count: i32, threads: i32) {
        let (Ok(wanted @ 1..), Ok(threads @ 1..)) = (u32::try_from(count), u32::try_from(threads)) else {
            return Err(Code::INVALID_VALUE.because(format!("{count} blocks of {threads} threads")));
        };
        let found = with(function, |info, limits| {
            let share = limits.shared_per_multiprocessor / wanted / SHARED_STEP * SHARED_STEP;
            let free = share.saturating_sub(limits.shared_reserved).min(limits.shared_opt_in);
            let fits = blocks(limits, demand(info, threads, 0)) >= wanted;
            Ok(if fits { free.saturating_sub(info.static_shared) } else { 0 })
        })?;
        bytes.set(found as usize)
    }

    fn cuOccupancyMaxPotentialClusterSize(_size: Out<i32>, _function: Handle, _config: In<LaunchConfig>) {
        Err(Code::NOT_SUPPORTED.because("clusters are not supported"))
    }

    fn cuOccupancyMaxActiveClusters(_count: Out<i32>, _function: Handle, _config: In<LaunchConfig>) {
        Err(Code::NOT_SUPPORTED.because("clusters are not supported"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_sm_80() {
        let limits = limits((8, 0));
        let of = |threads, registers, shared| blocks(&limits, Demand { threads, registers, shared });
        assert_eq!(of(1024, 32, 0), 2);
        assert_eq!(of(256, 32, 0), 8);
        assert_eq!(of(256, 33, 0), 6); // 40 · 32 = 1280 registers per warp: 51 warps
        assert_eq!(of(32, 16, 0), 32);
        assert_eq!(of(128, 255, 0), 2);
        assert_eq!(of(128, 32, 48 << 10), 3);
        assert_eq!(of(128, 32, 163 << 10), 1);
        assert_eq!(of(128, 32, 200 << 10), 0);
        assert_eq!(of(1, 1, u32::MAX), 0);
    }
}
