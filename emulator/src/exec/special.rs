//! Special registers.

use crate::ptx::types::Type;
use crate::state::cx::{Compute, LaunchState};
use crate::state::registers::{LANES, Slot};

/// One that keeps its value while a warp runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Special {
    Thread(u8),
    Threads(u8),
    Block(u8),
    Blocks(u8),
    Lane,
    Warp,
    Warps,
    Processor,
    Processors,
    Grid,
    LaneMask(Lanes),
    DynamicShared,
    TotalShared,
    Constant(u32),
}

/// Which lanes a `%lanemask_…` holds, seen from a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lanes {
    Same,
    Before,
    UpTo,
    After,
    From,
}

/// One that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changing {
    /// `%clock`, `%clock64`.
    Clock,
    ClockHigh,
    /// `%globaltimer`, `%globaltimer_lo`.
    Timer,
    TimerHigh,
}

/// What `name` stands for; `None` if this device has no such register.
pub fn special(name: &str, component: Option<u8>) -> Option<Special> {
    let c = component.unwrap_or(0);
    if c > 3 {
        return None;
    }
    Some(match name {
        "tid" => Special::Thread(c),
        "ntid" => Special::Threads(c),
        "ctaid" | "clusterid" => Special::Block(c),
        "nctaid" | "nclusterid" => Special::Blocks(c),
        // A cluster is one block.
        "cluster_ctaid" => Special::Constant(0),
        "cluster_nctaid" => Special::Constant(u32::from(c < 3)),
        _ if component.is_some() => return None,
        "cluster_ctarank" => Special::Constant(0),
        "cluster_nctarank" => Special::Constant(1),
        "laneid" => Special::Lane,
        "warpid" => Special::Warp,
        "nwarpid" => Special::Warps,
        "smid" => Special::Processor,
        "nsmid" => Special::Processors,
        "gridid" => Special::Grid,
        "lanemask_eq" => Special::LaneMask(Lanes::Same),
        "lanemask_lt" => Special::LaneMask(Lanes::Before),
        "lanemask_le" => Special::LaneMask(Lanes::UpTo),
        "lanemask_gt" => Special::LaneMask(Lanes::After),
        "lanemask_ge" => Special::LaneMask(Lanes::From),
        "dynamic_smem_size" => Special::DynamicShared,
        "total_smem_size" | "aggr_smem_size" => Special::TotalShared,
        "WARP_SZ" => Special::Constant(LANES as u32),
        "current_graph_exec" => Special::Constant(0),
        _ => {
            let numbered = |prefix: &str, count: u32| {
                name.strip_prefix(prefix).and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| n < count)
            };
            let is_counter =
                numbered("pm", 8) || name.strip_suffix("_64").is_some_and(|n| n.starts_with("pm"));
            let is_reserved = name.starts_with("reserved_smem_offset_");
            if is_counter || numbered("envreg", 32) || is_reserved {
                Special::Constant(0)
            } else {
                return None;
            }
        }
    })
}

/// The changing register `name`.
pub fn changing(name: &str) -> Option<Changing> {
    Some(match name {
        "clock" | "clock64" => Changing::Clock,
        "clock_hi" => Changing::ClockHigh,
        "globaltimer" | "globaltimer_lo" => Changing::Timer,
        "globaltimer_hi" => Changing::TimerHigh,
        _ => return None,
    })
}

impl Special {
    /// Its value in a lane of a warp.
    pub fn value(self, launch: &LaunchState<'_>, block: [u32; 3], warp: u32, lane: usize) -> u64 {
        let pick = |v: [u32; 3]| move |c: u8| v.get(usize::from(c)).copied().unwrap_or(0);
        let linear_block = || {
            let [x, y, z] = block.map(u64::from);
            x + u64::from(launch.grid[0]) * (y + u64::from(launch.grid[1]) * z)
        };
        let threads = launch.block.iter().product::<u32>();
        u64::from(match self {
            Special::Thread(c) => pick(launch.thread(warp, lane))(c),
            Special::Threads(c) => pick(launch.block)(c),
            Special::Block(c) => pick(block)(c),
            Special::Blocks(c) => pick(launch.grid)(c),
            Special::Lane => lane as u32,
            Special::Warp => warp,
            Special::Warps => threads.div_ceil(LANES as u32),
            Special::Processor => (linear_block() % u64::from(launch.processors.max(1))) as u32,
            Special::Processors => launch.processors,
            Special::Grid => return launch.id,
            Special::LaneMask(lanes) => {
                let own = 1u32 << lane;
                match lanes {
                    Lanes::Same => own,
                    Lanes::Before => own - 1,
                    Lanes::UpTo => own | (own - 1),
                    Lanes::After => !(own | (own - 1)),
                    Lanes::From => !(own - 1),
                }
            }
            Special::DynamicShared => launch.dynamic_shared,
            Special::TotalShared => launch.static_shared + launch.dynamic_shared,
            Special::Constant(value) => value,
        })
    }
}

impl Changing {
    /// A `mov` that reads it into the row of a register.
    pub fn read(self, row: u32, ty: Type) -> Compute {
        Box::new(move |cx, mask| {
            let value = match self {
                Changing::Clock => cx.warp.clock,
                Changing::ClockHigh => cx.warp.clock >> 32,
                Changing::Timer => cx.launch.nanoseconds(cx.warp.clock),
                Changing::TimerHigh => cx.launch.nanoseconds(cx.warp.clock) >> 32,
            };
            if ty.bits() == 64 {
                cx.registers.write(Slot::<u64>::new(row), &[value; LANES], mask);
            } else {
                cx.registers.write(Slot::<u32>::new(row), &[value as u32; LANES], mask);
            }
            Ok(())
        })
    }
}
