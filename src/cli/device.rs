//! Where and in which number format is computed.

use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::format::NumberFormat;
use synfilter::{Device, Error, Result};

/// A device as the user names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The processor.
    Cpu,
    /// The CUDA device of this number.
    Cuda(usize),
}

impl FromStr for Named {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match text {
            "cpu" => Ok(Named::Cpu),
            "cuda" => Ok(Named::Cuda(0)),
            _ => number(text).map(Named::Cuda).ok_or_else(|| {
                Error::usage(format!("unknown device \"{text}\": expected cpu, cuda or cuda:N"))
            }),
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Named::Cpu => f.write_str("cpu"),
            Named::Cuda(number) => write!(f, "cuda:{number}"),
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
    #[arg(long, value_name = "DEVICE", default_value_t = Named::Cpu)]
    device: Named,
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
    /// Opens the device, with its threads.
    ///
    /// # Errors
    /// [`Error::Device`] if it is not there, a usage error if it lacks the number format.
    pub fn open(&self) -> Result<Device> {
        self.set_threads()?;
        match self.device {
            Named::Cuda(ordinal) => Device::cuda(ordinal, self.dtype),
            Named::Cpu if self.dtype != NumberFormat::F32 => {
                let dtype = self.dtype.name();
                Err(Error::usage(format!("--dtype {dtype}: the CPU computes in f32; expected f32")))
            }
            Named::Cpu => Ok(Device::cpu_with(match self.conv {
                Conv::Direct => ConvMode::Direct,
                Conv::Auto => ConvMode::Auto,
            })),
        }
    }

    /// Makes the thread pool, once: before anything computes or decodes images.
    ///
    /// # Errors
    /// [`Error::Failed`] where there is one already.
    fn set_threads(&self) -> Result<()> {
        static MADE: AtomicBool = AtomicBool::new(false);
        let Some(threads) = self.threads.filter(|_| !MADE.swap(true, Ordering::Relaxed)) else {
            return Ok(());
        };
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads.into())
            .build_global()
            .map_err(|error| Error::Failed(format!("--threads {threads}: {error}")))
    }
}

/// Reads the name of a number format.
fn number_format() -> impl TypedValueParser<Value = NumberFormat> {
    let of = |name: String| NumberFormat::ALL.into_iter().find(|format| format.name() == name);
    PossibleValuesParser::new(NumberFormat::ALL.map(NumberFormat::name))
        .map(move |name| of(name).unwrap_or(NumberFormat::F32))
}
