//! Devices by name: the one place that knows which backends the program was built with.

use super::Backend;
use super::format::NumberFormat;
use crate::error::Result;

/// Something to be done on a device, whatever its kind.
pub trait OnDevice {
    /// What comes of it.
    type Output;
    /// Does it; `description` is the device in words, for the record.
    ///
    /// # Errors
    /// Its own, and those of the device.
    fn run<B: Backend>(self, backend: &B, description: String) -> Result<Self::Output>;
}

/// A CUDA device, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaDevice {
    /// Its number.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Compute capability, such as 8.0.
    pub compute: String,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes that nothing uses.
    pub free: usize,
    /// CUDA version of the driver, such as 13.0.
    pub driver: String,
    /// Why it cannot run this program's kernels, if it cannot.
    pub unfit: Option<String>,
}

/// The CUDA backend of this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CudaBuild {
    /// Version of the compiler of its kernels.
    pub nvcc: &'static str,
    /// What they are compiled for.
    pub arch: &'static str,
}

#[cfg(feature = "cuda")]
mod built {
    use super::{CudaBuild, CudaDevice, NumberFormat, OnDevice};
    use crate::backend::cuda::context::{Facts, count};
    use crate::backend::cuda::device::Cuda;
    use crate::backend::cuda::format::Format;
    use crate::backend::cuda::kernels;
    use crate::error::Result;
    use half::{bf16, f16};

    pub fn build() -> Option<CudaBuild> {
        Some(CudaBuild { nvcc: kernels::NVCC, arch: kernels::ARCH })
    }

    pub fn devices() -> Result<Vec<CudaDevice>> {
        (0..count()?).map(|ordinal| Facts::of(ordinal).map(described)).collect()
    }

    fn described(facts: Facts) -> CudaDevice {
        let (major, minor) = facts.compute;
        let unfit = facts.unfit(kernels::NVCC, kernels::ARCH);
        CudaDevice {
            ordinal: facts.ordinal,
            name: facts.name,
            compute: format!("{major}.{minor}"),
            multiprocessors: facts.multiprocessors,
            memory: facts.memory,
            free: facts.free,
            driver: format!("{}.{}", facts.driver / 1000, facts.driver % 1000 / 10),
            unfit,
        }
    }

    pub fn on_cuda<J: OnDevice>(ordinal: usize, format: NumberFormat, job: J) -> Result<J::Output> {
        match format {
            NumberFormat::F32 => on::<f32, J>(ordinal, job),
            NumberFormat::F16 => on::<f16, J>(ordinal, job),
            NumberFormat::Bf16 => on::<bf16, J>(ordinal, job),
        }
    }

    fn on<T: Format, J: OnDevice>(ordinal: usize, job: J) -> Result<J::Output> {
        let device = Cuda::<T>::open(ordinal)?;
        let CudaDevice { name, compute, driver, .. } = described(device.context().facts()?);
        job.run(&device, format!("cuda:{ordinal}, {name}, compute capability {compute}, driver {driver}"))
    }
}

#[cfg(not(feature = "cuda"))]
mod built {
    use super::{CudaBuild, CudaDevice, NumberFormat, OnDevice};
    use crate::error::{Error, Result};

    pub fn build() -> Option<CudaBuild> {
        None
    }

    pub fn devices() -> Result<Vec<CudaDevice>> {
        Err(Error::Device("this synfilter is built without CUDA".into()))
    }

    pub fn on_cuda<J: OnDevice>(ordinal: usize, _: NumberFormat, _: J) -> Result<J::Output> {
        let what =
            "this synfilter is built without CUDA; expected --device cpu, or cargo build --features cuda";
        Err(Error::Device(format!("--device cuda:{ordinal}: {what}")))
    }
}

/// The CUDA backend, if the program was built with it.
pub fn cuda_build() -> Option<CudaBuild> {
    built::build()
}

/// The CUDA devices of this machine.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if the program was built without CUDA, or there is no driver.
pub fn cuda_devices() -> Result<Vec<CudaDevice>> {
    built::devices()
}

/// Does `job` on CUDA device `ordinal`.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if it cannot be opened; those of the job.
pub fn on_cuda<J: OnDevice>(ordinal: usize, format: NumberFormat, job: J) -> Result<J::Output> {
    built::on_cuda(ordinal, format, job)
}
