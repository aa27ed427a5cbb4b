//! Where and in which number format is computed.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::format::NumberFormat;
use synfilter::backend::open::{OnDevice, on_cuda};
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
    #[arg(long, value_name = "DTYPE", value_parser = number_format(), default_value = NumberFormat::F32.name())]
    pub dtype: NumberFormat,
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
    /// Does `job` on the device. `spread`: see [`Cpu::spread`].
    ///
    /// # Errors
    /// [`Error::Device`] if it is not there, a usage error if it lacks the number format; those of the job.
    pub fn run<J: OnDevice>(&self, spread: bool, job: J) -> Result<J::Output> {
        self.set_threads()?;
        if let Device::Cuda(ordinal) = self.device {
            return on_cuda(ordinal, self.dtype, job);
        }
        if self.dtype != NumberFormat::F32 {
            let dtype = self.dtype.name();
            return Err(Error::usage(format!("--dtype {dtype}: the CPU computes in f32; expected f32")));
        }
        let conv = match self.conv {
            Conv::Direct => ConvMode::Direct,
            Conv::Auto => ConvMode::Auto,
        };
        let cpu = Cpu::new(conv, spread);
        let threads = rayon::current_num_threads();
        job.run(&cpu, format!("cpu, {}, {threads} threads", level_name(cpu.level)))
    }

    /// Makes the thread pool, once: before anything computes or decodes images.
    ///
    /// # Errors
    /// [`Error::Failed`] where there is one already.
    pub fn set_threads(&self) -> Result<()> {
        static MADE: AtomicBool = AtomicBool::new(false);
        let Some(threads) = self.threads.filter(|_| !MADE.swap(true, Ordering::Relaxed)) else {
            return Ok(());
        };
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .map_err(|error| Error::Failed(format!("--threads {threads}: {error}")))
    }

    /// The same in f32, in which all training runs.
    pub fn in_f32(&self) -> Compute {
        Compute { dtype: NumberFormat::F32, ..self.clone() }
    }

    /// The flags that results depend on, where they are not left at their defaults.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if self.device != Device::Cpu {
            words.extend(["--device".to_owned(), self.device.to_string()]);
        }
        if self.dtype != NumberFormat::F32 {
            words.extend(["--dtype".to_owned(), self.dtype.name().to_owned()]);
        }
        if self.conv == Conv::Direct {
            words.extend(["--conv", "direct"].map(str::to_owned));
        }
        words
    }

    /// The kind of backend, as results record it: what counts may depend on in the last bit, such as how
    /// convolutions are computed.
    pub fn backend_name(&self) -> &'static str {
        match (self.device, self.conv) {
            (Device::Cuda(_), _) => "cuda",
            (Device::Cpu, Conv::Direct) => "cpu-direct",
            (Device::Cpu, Conv::Auto) => "cpu",
        }
    }
}

/// Reads the name of a number format.
fn number_format() -> impl TypedValueParser<Value = NumberFormat> {
    let of = |name: String| NumberFormat::ALL.into_iter().find(|format| format.name() == name);
    PossibleValuesParser::new(NumberFormat::ALL.map(NumberFormat::name))
        .map(move |name| of(name).unwrap_or(NumberFormat::F32))
}

/// The name of an instruction set.
pub fn level_name(level: Level) -> &'static str {
    match level {
        Level::Portable => "portable",
        Level::Avx2 => "avx2",
        Level::Avx512 => "avx512",
    }
}
