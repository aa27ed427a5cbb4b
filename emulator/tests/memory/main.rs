//! Memory as kernels see it: instructions, checks, counters. Kernels are given as the body of
//! `k(.param .u64 p)`, where `p` is the address of a buffer.

mod atomics;
mod copies;
mod counters;
mod faults;
mod instructions;
mod races;

use cuda_emulator::counters::Counters;
use cuda_emulator::exec::cx::Checks;
use cuda_emulator::exec::{Device, LaunchConfig, LaunchError, Module, OnFault, Settings};
use cuda_emulator::fault::{Fault, FaultKind};
use std::sync::Arc;

/// A device with 16 MiB.
fn device(on_fault: OnFault) -> Arc<Device> {
    let checks = Checks { uninitialized: true, races: true, async_copies: true };
    Device::new(Settings { memory_bytes: 16 << 20, threads: 2, on_fault, checks, ..Settings::default() })
        .unwrap()
}

/// A kernel: `head` stands at module level.
struct Test {
    head: &'static str,
    body: String,
    grid: u32,
    block: u32,
    dynamic_shared: u32,
    on_fault: OnFault,
}

/// The line of the body's first line in kernels without a head.
const FIRST: u32 = 7;

impl Test {
    fn new(body: &str) -> Test {
        Test {
            head: "",
            body: body.to_string(),
            grid: 1,
            block: 32,
            dynamic_shared: 0,
            on_fault: OnFault::Abort,
        }
    }

    fn head(self, head: &'static str) -> Test {
        Test { head, ..self }
    }

    fn block(self, block: u32) -> Test {
        Test { block, ..self }
    }

    fn grid(self, grid: u32) -> Test {
        Test { grid, ..self }
    }

    fn collect(self) -> Test {
        Test { on_fault: OnFault::Collect, ..self }
    }

    fn text(&self) -> String {
        format!(
            ".version 8.0\n.target sm_80\n.address_size 64\n{}\
             .visible .entry k(.param .u64 p) {{\n\
             .reg .b64 %p, %a, %b, %c, %d; .reg .b32 %t, %x, %y, %z, %w; .reg .b16 %h, %g; .reg .f32 %f, %e; \
             .reg .f64 %fd; .reg .pred %q, %r; .reg .b8 %c8;\n\
             ld.param.u64 %p, [p]; mov.u32 %t, %tid.x;\n{}\nret;\n}}\n",
            self.head, self.body
        )
    }

    /// Runs it on a buffer, and gives what the buffer holds then.
    fn run(&self, data: &[u8]) -> Result<(Vec<u8>, Counters), LaunchError> {
        let device = device(self.on_fault);
        let buffer = device.memory().allocate(data.len() as u64).unwrap();
        assert!(device.memory().write(buffer, data));
        let counters = self.run_on(&device, buffer)?;
        let mut out = vec![0; data.len()];
        assert!(device.memory().read(buffer, &mut out));
        Ok((out, counters))
    }

    fn run_on(&self, device: &Arc<Device>, buffer: u64) -> Result<Counters, LaunchError> {
        let module =
            Module::load(device, &self.text()).unwrap_or_else(|why| panic!("{why}\n{}", self.text()));
        let config = LaunchConfig {
            grid: [self.grid, 1, 1],
            block: [self.block, 1, 1],
            dynamic_shared: self.dynamic_shared,
            cooperative: false,
        };
        module.kernel("k").unwrap().launch(&config, &buffer.to_le_bytes())
    }

    /// The words of the buffer after it ran on words.
    fn words(&self, data: &[u32]) -> Vec<u32> {
        let bytes: Vec<u8> = data.iter().flat_map(|w| w.to_le_bytes()).collect();
        let (out, _) = self.run(&bytes).unwrap_or_else(|why| panic!("{why}\n{}", self.text()));
        out.as_chunks().0.iter().map(|&w| u32::from_le_bytes(w)).collect()
    }

    /// Runs it on a buffer of zeros.
    fn counts(&self, bytes: usize) -> Counters {
        self.run(&vec![0; bytes]).unwrap_or_else(|why| panic!("{why}\n{}", self.text())).1
    }

    /// The faults of a run on a buffer of zeros.
    fn faults(&self, bytes: usize) -> Vec<Fault> {
        match self.run(&vec![0; bytes]) {
            Err(LaunchError::Faults { faults, .. }) => faults,
            Err(why) => panic!("{why}"),
            Ok(_) => Vec::new(),
        }
    }

    /// The fault of a run on a buffer of zeros, which must be the first: its kind, line of the body (from 0), and thread.
    fn fault(&self, bytes: usize) -> (FaultKind, u32, u32, Option<u64>) {
        let faults = self.faults(bytes);
        let Some(fault) = faults.first() else { panic!("no fault in\n{}", self.text()) };
        assert_eq!(fault.kernel, "k");
        (fault.kind, fault.line - FIRST, fault.thread[0], fault.address)
    }
}
