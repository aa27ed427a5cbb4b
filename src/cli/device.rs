//! Where and in which number format is computed.

use clap::ValueEnum;
use std::fmt;
use std::str::FromStr;
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;
use synfilter::{Error, Result};

/// A device as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Device {
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match text {
            "cpu" => Ok(Device::Cpu),
            "cuda" => Ok(Device::Cuda(0)),
            _ => number(text).map(Device::Cuda).ok_or_else(|| {
                Error::usage(format!("unknown device \"{text}\": expected cpu, cuda or cuda:N"))
            }),
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Cpu => f.write_str("cpu"),
            Device::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

/// A number format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Dtype {
    /// 32-bit floating point.
    F32,
    /// 16-bit floating point, sums in 32 bits.
    F16,
    /// bfloat16, sums in 32 bits.
    Bf16,
}

impl Dtype {
    /// Its name, as on the command line and in results.
    pub fn name(self) -> &'static str {
        match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        }
    }
}

/// How convolutions are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Conv {
    /// The direct method everywhere.
    Direct,
    /// What measured fastest for each shape (Winograd, Karatsuba, direct …).
    Auto,
}

/// Device, number format and threads: common to all commands that compute.
#[derive(clap::Args, Clone, Debug)]
pub struct Compute {
    /// Where to compute: cpu, cuda or cuda:N.
    #[arg(long, value_name = "DEVICE", default_value_t = Device::Cpu)]
    device: Device,
    /// Number format of the computation; the CPU has f32 alone.
    #[arg(long, value_enum, default_value_t = Dtype::F32)]
    pub dtype: Dtype,
    /// Threads; all that the machine has if left out. No result depends on it.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    threads: Option<u16>,
    /// Seed of everything random.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
    /// How convolutions are computed.
    #[arg(long, value_enum, default_value_t = Conv::Auto)]
    conv: Conv,
}

impl Compute {
    /// Opens the device and makes the thread pool; to be called once. `spread`: see [`Cpu::spread`].
    ///
    /// # Errors
    /// [`Error::Device`] if it is not there, a usage error if it lacks the number format.
    pub fn open(&self, spread: bool) -> Result<Cpu> {
        if let Device::Cuda(_) = self.device {
            return Err(Error::Device(format!(
                "--device {}: this synfilter is built without CUDA; expected --device cpu",
                self.device
            )));
        }
        if self.dtype != Dtype::F32 {
            let dtype = self.dtype.name();
            return Err(Error::usage(format!("--dtype {dtype}: the CPU computes in f32; expected f32")));
        }
        if let Some(threads) = self.threads {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads.into())
                .build_global()
                .map_err(|error| Error::Failed(format!("--threads {threads}: {error}")))?;
        }
        let conv = match self.conv {
            Conv::Direct => ConvMode::Direct,
            Conv::Auto => ConvMode::Auto,
        };
        Ok(Cpu::new(conv, spread))
    }

    /// The kind of backend, as results record it: what counts may depend on in the last bit, such as how
    /// convolutions are computed.
    pub fn backend_name(&self) -> &'static str {
        match self.conv {
            Conv::Direct => "cpu-direct",
            Conv::Auto => "cpu",
        }
    }
}

/// The name of an instruction set.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Portable => "portable",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
    }
}

/// The device in words, for the record.
pub fn describe(cpu: &Cpu) -> String {
    format!("cpu, {}, {} threads", level_name(cpu.level), rayon::current_num_threads())
}
