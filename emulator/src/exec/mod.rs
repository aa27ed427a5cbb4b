//! Running: modules become code, and warps, blocks and grids run it.
//!
//! [`Device`], [`Module`] and [`Kernel`] are the library's interface.

mod allocate;
mod barrier;
mod block;
mod builtin;
mod call;
mod code;
mod control;
mod device;
mod flow;
mod frames;
mod grid;
mod group;
mod launch;
mod liveness;
mod lower;
mod lowering;
mod module;
mod print;
mod special;
mod stack;
mod turns;
mod wait;
mod warp;

pub use crate::state::{cx, registers};
pub use device::{Device, OnFault, Settings, limits};
pub use launch::{Kernel, LaunchConfig, LaunchError};
pub use module::{Global, KernelInfo, LoadError, Module};
