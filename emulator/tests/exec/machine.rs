//! A device with a module on it, for tests.

use cuda_emulator::counters::Counters;
use cuda_emulator::exec::{Device, LaunchConfig, LaunchError, Module, Settings};
use cuda_emulator::fault::{Fault, FaultKind};
use std::sync::{Arc, Mutex};

/// What stands before every text.
const HEADER: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

pub struct Machine {
    pub device: Arc<Device>,
    pub module: Module,
    printed: Arc<Mutex<String>>,
}

impl Machine {
    /// A device of default settings, with the PTX (without its header) loaded.
    pub fn new(ptx: &str) -> Machine {
        Machine::with(Settings::default(), ptx)
    }

    pub fn with(settings: Settings, ptx: &str) -> Machine {
        let device = Device::new(settings).unwrap();
        let module = Module::load(&device, &format!("{HEADER}{ptx}")).unwrap_or_else(|e| panic!("{e}"));
        let printed = Arc::new(Mutex::new(String::new()));
        let sink = printed.clone();
        device.set_print(move |text| sink.lock().unwrap().push_str(text));
        Machine { device, module, printed }
    }

    /// A buffer of zeros.
    pub fn buffer(&self, words: usize) -> u64 {
        let address = self.device.memory().allocate(4 * words as u64).unwrap();
        self.device.memory().write(address, &vec![0; 4 * words]);
        address
    }

    pub fn words(&self, address: u64, count: usize) -> Vec<u32> {
        let mut bytes = vec![0; 4 * count];
        assert!(self.device.memory().read(address, &mut bytes));
        bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect()
    }

    /// What was printed since the last call.
    pub fn printed(&self) -> String {
        std::mem::take(&mut self.printed.lock().unwrap())
    }

    pub fn launch(
        &self,
        kernel: &str,
        grid: u32,
        block: u32,
        arguments: &[u64],
    ) -> Result<Counters, LaunchError> {
        let config =
            LaunchConfig { grid: [grid, 1, 1], block: [block, 1, 1], dynamic_shared: 0, cooperative: false };
        self.launch_as(kernel, &config, arguments)
    }

    pub fn launch_as(
        &self,
        kernel: &str,
        config: &LaunchConfig,
        arguments: &[u64],
    ) -> Result<Counters, LaunchError> {
        let bytes: Vec<u8> = arguments.iter().flat_map(|a| a.to_le_bytes()).collect();
        self.module.kernel(kernel).unwrap().launch(config, &bytes)
    }

    /// Runs a kernel whose only parameter is a buffer of one word per thread, and gives that.
    pub fn run(&self, kernel: &str, grid: u32, block: u32) -> (Vec<u32>, Counters) {
        let count = (grid * block) as usize;
        let out = self.buffer(count);
        let counters = self.launch(kernel, grid, block, &[out]).unwrap_or_else(|e| panic!("{e}"));
        (self.words(out, count), counters)
    }

    /// Runs a kernel that must fail, and gives its first fault.
    pub fn fault(&self, kernel: &str, grid: u32, block: u32) -> Fault {
        let out = self.buffer((grid * block) as usize);
        match self.launch(kernel, grid, block, &[out]) {
            Err(LaunchError::Faults { faults, .. }) => faults[0].clone(),
            other => panic!("no fault: {other:?}"),
        }
    }
}

/// A kernel `name(out)`: `body` leaves its result in `%r0`, which is stored to the word of the thread. `%r1` is the
/// thread's index in its block, `%r2` the block's, `%r3` the threads per block, `%r4` the index in the grid; `%rd0` is
/// `out`, `%rd1` the address of the thread's word.
pub fn kernel(name: &str, body: &str) -> String {
    format!(
        ".visible .entry {name}(.param .u64 out)\n{{\n\
         .reg .pred %p<20>; .reg .b32 %r<60>; .reg .b64 %rd<20>; .reg .f32 %f<10>;\n\
         ld.param.u64 %rd0, [out];\n\
         mov.u32 %r1, %tid.x;\nmov.u32 %r2, %ctaid.x;\nmov.u32 %r3, %ntid.x;\n\
         mad.lo.u32 %r4, %r2, %r3, %r1;\nmad.wide.u32 %rd1, %r4, 4, %rd0;\nmov.u32 %r0, 0;\n\
         {body}\n\
         st.global.u32 [%rd1], %r0;\nret;\n}}\n"
    )
}

/// The fault of a launch must be of this kind.
#[track_caller]
pub fn assert_kind(fault: &Fault, kind: FaultKind) {
    assert_eq!(fault.kind, kind, "{fault}");
}
