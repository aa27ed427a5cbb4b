//! A device with a module of textbook kernels.

use cuda_emulator::counters::Counters;
use cuda_emulator::exec::{Device, LaunchConfig, LaunchError, Module, Settings};
use std::sync::Arc;

/// A value that is copied to and from the device byte by byte.
pub trait Plain: Copy {
    fn bytes(self) -> Vec<u8>;
    fn of(bytes: &[u8]) -> Self;
}

macro_rules! plain {
    ($($t:ty)*) => {$(
        impl Plain for $t {
            fn bytes(self) -> Vec<u8> {
                self.to_le_bytes().to_vec()
            }
            fn of(bytes: &[u8]) -> Self {
                <$t>::from_le_bytes(bytes.try_into().unwrap())
            }
        }
    )*};
}

plain! { u8 i8 u16 u32 i32 u64 i64 f32 f64 half::f16 half::bf16 }

/// The arguments of a launch, one after the other as bytes.
#[macro_export]
macro_rules! arguments {
    ($($value:expr),* $(,)?) => { &[$($crate::gpu::Plain::bytes($value)),*] };
}

pub struct Gpu {
    pub device: Arc<Device>,
    pub module: Module,
}

impl Gpu {
    /// Loads `tests/ptx/{name}.ptx` (or that of another compiler, from the folder that `CUDA_EMULATOR_TEST_PTX` names).
    pub fn with(name: &str, settings: Settings) -> Gpu {
        let folder = std::env::var("CUDA_EMULATOR_TEST_PTX");
        let folder = folder.unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ptx").to_string());
        let path = format!("{folder}/{name}.ptx");
        let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let device = Device::new(Settings { memory_bytes: 1 << 30, ..settings }).unwrap();
        let module = Module::load(&device, &text).unwrap_or_else(|e| panic!("{name}: {e}"));
        Gpu { device, module }
    }

    /// Memory of so many bytes that nothing has written.
    pub fn allocate(&self, bytes: usize) -> u64 {
        self.device.memory().allocate(bytes as u64).expect("memory")
    }

    pub fn upload<T: Plain>(&self, values: &[T]) -> u64 {
        let address = self.allocate(size_of_val(values));
        self.write(address, values);
        address
    }

    pub fn write<T: Plain>(&self, address: u64, values: &[T]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.bytes()).collect();
        assert!(self.device.memory().write(address, &bytes));
    }

    pub fn download<T: Plain>(&self, address: u64, count: usize) -> Vec<T> {
        let mut bytes = vec![0; count * size_of::<T>()];
        assert!(self.device.memory().read(address, &mut bytes));
        bytes.chunks(size_of::<T>()).map(T::of).collect()
    }

    pub fn try_launch(
        &self,
        kernel: &str,
        config: &LaunchConfig,
        arguments: &[Vec<u8>],
    ) -> Result<Counters, LaunchError> {
        let kernel = self.module.kernel(kernel).unwrap_or_else(|| panic!("no kernel {kernel}"));
        let info = kernel.info();
        assert_eq!(info.parameters.len(), arguments.len(), "{}", info.name);
        let mut parameters = vec![0; info.parameter_bytes as usize];
        for (&(offset, size), argument) in info.parameters.iter().zip(arguments) {
            assert_eq!(size as usize, argument.len(), "{}", info.name);
            parameters[offset as usize..][..argument.len()].copy_from_slice(argument);
        }
        kernel.launch(config, &parameters)
    }

    /// Runs a kernel that must not be reported for anything.
    pub fn launch(&self, kernel: &str, grid: u32, block: u32, arguments: &[Vec<u8>]) -> Counters {
        self.launch_as(kernel, &shape([grid, 1, 1], [block, 1, 1]), arguments)
    }

    pub fn launch_as(&self, kernel: &str, config: &LaunchConfig, arguments: &[Vec<u8>]) -> Counters {
        self.try_launch(kernel, config, arguments).unwrap_or_else(|e| panic!("{e}"))
    }
}

pub fn shape(grid: [u32; 3], block: [u32; 3]) -> LaunchConfig {
    LaunchConfig { grid, block, ..LaunchConfig::default() }
}

/// Random numbers that are the same every time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    /// In −1..1.
    pub fn real(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn list<T>(&mut self, count: usize, mut one: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }
}

/// Whether a sum of floats is what it should be, but for rounding: `bound` is the sum of the magnitudes, times how much of
/// it may be lost.
#[track_caller]
pub fn near(got: f32, want: f64, bound: f64, what: impl std::fmt::Display) {
    assert!((f64::from(got) - want).abs() <= bound, "{what}: {got} instead of {want} ± {bound}");
}
