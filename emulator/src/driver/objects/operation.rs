//! What a stream does and a graph holds.

use super::copy::Copy;
use super::event::Event;
use super::fill::Fill;
use super::graph::Graph;
use super::launch::Launch;
use crate::driver::sys::{HostFunction, HostParams};
use std::ffi::c_void;
use std::sync::Arc;

/// One piece of work.
#[derive(Clone)]
pub enum Operation {
    Kernel(Launch),
    Copy(Copy),
    Fill(Fill),
    Host(HostCall),
    Empty,
    Record(Arc<Event>),
    Wait(Arc<Event>),
    Graph(Arc<Graph>),
}

/// A function of the program.
#[derive(Clone, Copy)]
pub struct HostCall {
    pub function: unsafe extern "C" fn(*mut c_void),
    pub data: *mut c_void,
}

// SAFETY: the emulator only hands `data` to `function`; that this may happen in any thread is part of the contract of
// cuLaunchHostFunc.
unsafe impl Send for HostCall {}
// SAFETY: as above.
unsafe impl Sync for HostCall {}

impl HostCall {
    /// `None` for a null function.
    pub fn new(function: HostFunction, data: *mut c_void) -> Option<HostCall> {
        Some(HostCall { function: function?, data })
    }

    pub fn params(&self) -> HostParams {
        HostParams { function: Some(self.function), data: self.data }
    }
}

impl Operation {
    /// The `CUgraphNodeType`.
    pub fn kind(&self) -> i32 {
        match self {
            Operation::Kernel(_) => 0,
            Operation::Copy(_) => 1,
            Operation::Fill(_) => 2,
            Operation::Host(_) => 3,
            Operation::Graph(_) => 4,
            Operation::Empty => 5,
            Operation::Wait(_) => 6,
            Operation::Record(_) => 7,
        }
    }
}
