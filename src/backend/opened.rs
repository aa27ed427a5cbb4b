//! Devices: the one place that opens them and hands their backend to code that is generic over it.

use super::cpu::device::Cpu;
use super::cpu::select::ConvMode;
use super::format::NumberFormat;
#[cfg(feature = "cuda")]
use super::{cuda::device::Cuda, open::described};
use crate::error::Result;
#[cfg(feature = "cuda")]
use half::{bf16, f16};

/// A device to compute on, with a number format: the processor, or a GPU.
///
/// ```
/// use synfilter::Device;
///
/// let device = Device::cpu();
/// assert_eq!((device.name(), device.dtype()), ("cpu", "f32"));
/// ```
pub struct Device {
    pub(crate) opened: Opened,
    format: NumberFormat,
}

/// A backend, whatever its type.
pub(crate) enum Opened {
    Cpu(Cpu),
    #[cfg(feature = "cuda")]
    F32(Cuda<f32>, usize),
    #[cfg(feature = "cuda")]
    F16(Cuda<f16>, usize),
    #[cfg(feature = "cuda")]
    Bf16(Cuda<bf16>, usize),
}

/// What a device works at, which decides how the processor splits it; no result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Many groups of images at a time, one on each thread.
    Measuring,
    /// One batch at a time, spread over the threads.
    Training,
}

/// Evaluates an expression with the backend of a device: `on_device!(device, Work::Measuring, |backend| …)`. A generic function
/// cannot be handed to a value of a type that is known at run time only; this writes the call out for each.
macro_rules! on_device {
    ($device:expr, $work:expr, |$backend:ident| $body:expr) => {
        match &$device.opened {
            $crate::backend::opened::Opened::Cpu(cpu) => {
                let cpu = (*cpu).at($work == $crate::backend::opened::Work::Training);
                let $backend = &cpu;
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::backend::opened::Opened::F32($backend, _) => $body,
            #[cfg(feature = "cuda")]
            $crate::backend::opened::Opened::F16($backend, _) => $body,
            #[cfg(feature = "cuda")]
            $crate::backend::opened::Opened::Bf16($backend, _) => $body,
        }
    };
}
pub(crate) use on_device;

impl Device {
    /// The processor, in f32, with all threads of the rayon pool; convolutions by what measured fastest for each shape.
    pub fn cpu() -> Device {
        Device::cpu_with(ConvMode::Auto)
    }

    /// The processor, with convolutions as told.
    pub fn cpu_with(conv: ConvMode) -> Device {
        Device { opened: Opened::Cpu(Cpu::new(conv, false)), format: NumberFormat::F32 }
    }

    /// The CUDA device of this number.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if it cannot be opened, or the program was built without CUDA.
    #[cfg(feature = "cuda")]
    pub fn cuda(ordinal: usize, format: NumberFormat) -> Result<Device> {
        let opened = match format {
            NumberFormat::F32 => Opened::F32(Cuda::open(ordinal)?, ordinal),
            NumberFormat::F16 => Opened::F16(Cuda::open(ordinal)?, ordinal),
            NumberFormat::Bf16 => Opened::Bf16(Cuda::open(ordinal)?, ordinal),
        };
        Ok(Device { opened, format })
    }

    /// The CUDA device of this number.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device): the program was built without CUDA.
    #[cfg(not(feature = "cuda"))]
    pub fn cuda(ordinal: usize, _: NumberFormat) -> Result<Device> {
        let what =
            "this synfilter is built without CUDA; expected --device cpu, or cargo build --features cuda";
        Err(crate::Error::Device(format!("--device cuda:{ordinal}: {what}")))
    }

    /// The same device in f32, in which all training runs.
    ///
    /// # Errors
    /// Those of [`Device::cuda`].
    pub fn in_f32(&self) -> Result<Device> {
        match &self.opened {
            Opened::Cpu(cpu) => Ok(Device { opened: Opened::Cpu(*cpu), format: NumberFormat::F32 }),
            #[cfg(feature = "cuda")]
            Opened::F32(_, ordinal) | Opened::F16(_, ordinal) | Opened::Bf16(_, ordinal) => {
                Device::cuda(*ordinal, NumberFormat::F32)
            }
        }
    }

    /// The kind of backend, as results record it: what counts may depend on in the last bit, such as how convolutions are
    /// computed.
    pub fn name(&self) -> &'static str {
        match &self.opened {
            Opened::Cpu(cpu) if cpu.conv == ConvMode::Direct => "cpu-direct",
            Opened::Cpu(_) => "cpu",
            #[cfg(feature = "cuda")]
            _ => "cuda",
        }
    }

    /// The number of a CUDA device.
    pub fn ordinal(&self) -> Option<usize> {
        match &self.opened {
            Opened::Cpu(_) => None,
            #[cfg(feature = "cuda")]
            Opened::F32(_, ordinal) | Opened::F16(_, ordinal) | Opened::Bf16(_, ordinal) => Some(*ordinal),
        }
    }

    /// The number format, as results record it.
    pub fn dtype(&self) -> &'static str {
        self.format.name()
    }

    /// The device in words, for the record.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) where the driver does not answer.
    pub fn description(&self) -> Result<String> {
        match &self.opened {
            Opened::Cpu(cpu) => {
                Ok(format!("cpu, {}, {} threads", cpu.level.name(), rayon::current_num_threads()))
            }
            #[cfg(feature = "cuda")]
            Opened::F32(cuda, _) => Ok(described(cuda.context().facts()?).words()),
            #[cfg(feature = "cuda")]
            Opened::F16(cuda, _) => Ok(described(cuda.context().facts()?).words()),
            #[cfg(feature = "cuda")]
            Opened::Bf16(cuda, _) => Ok(described(cuda.context().facts()?).words()),
        }
    }
}
