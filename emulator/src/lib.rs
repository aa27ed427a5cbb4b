//! A software CUDA device: runs PTX on the CPU, and checks and counts as it runs.
//!
//! Data flows one way: text → [`ptx`] (an abstract syntax tree) → [`isa`] (every instruction becomes a closure over
//! registers) → [`exec`] (warps of 32 lanes, blocks, grids) → results, [`fault`] reports and [`counters`].
//! [`memory`] holds the address spaces with their shadow, [`state`] what an instruction sees of all this; [`driver`] puts the CUDA driver API in front, for programs
//! that load `libcuda.so.1`.
//!
//! ```
//! use cuda_emulator::exec::{Device, LaunchConfig, Module, Settings};
//!
//! let ptx = "
//! .version 8.0
//! .target sm_80
//! .address_size 64
//! .visible .entry squares(.param .u64 out)
//! {
//!     .reg .b32 %r<3>;
//!     .reg .b64 %rd<3>;
//!     ld.param.u64 %rd1, [out];
//!     mov.u32 %r1, %tid.x;
//!     mul.lo.u32 %r2, %r1, %r1;
//!     mad.wide.u32 %rd2, %r1, 4, %rd1;
//!     st.global.u32 [%rd2], %r2;
//!     ret;
//! }";
//! let device = Device::new(Settings::default())?;
//! let module = Module::load(&device, ptx)?;
//! let kernel = module.kernel("squares").ok_or("no such kernel")?;
//! let out = device.memory().allocate(4 * 64).ok_or("out of memory")?;
//! let config = LaunchConfig { grid: [1, 1, 1], block: [64, 1, 1], ..LaunchConfig::default() };
//! let counters = kernel.launch(&config, &out.to_le_bytes())?;
//! assert_eq!(counters.warps, 2);
//! let mut word = [0; 4];
//! assert!(device.memory().read(out + 4 * 9, &mut word));
//! assert_eq!(u32::from_le_bytes(word), 81);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod counters;
pub mod driver;
pub mod exec;
pub mod fault;
pub mod isa;
pub mod memory;
pub mod ptx;
pub mod state;
