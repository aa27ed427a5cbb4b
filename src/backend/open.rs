//! Which backends the program was built with, and the CUDA devices of this machine.

use crate::error::Result;

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

#[cfg(feature = "cuda")]
impl CudaDevice {
    /// In words, for the record of what was computed on it.
    pub(crate) fn words(&self) -> String {
        let CudaDevice { ordinal, name, compute, driver, .. } = self;
        format!("cuda:{ordinal}, {name}, compute capability {compute}, driver {driver}")
    }
}
#[cfg(feature = "cuda")]
pub(crate) use built::described;

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
    use super::{CudaBuild, CudaDevice};
    use crate::backend::cuda::context::{Facts, count};
    use crate::backend::cuda::kernels;
    use crate::error::Result;

    pub fn build() -> Option<CudaBuild> {
        Some(CudaBuild { nvcc: kernels::NVCC, arch: kernels::ARCH })
    }

    pub fn devices() -> Result<Vec<CudaDevice>> {
        (0..count()?).map(|ordinal| Facts::of(ordinal).map(described)).collect()
    }

    pub fn described(facts: Facts) -> CudaDevice {
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
}

#[cfg(not(feature = "cuda"))]
mod built {
    use super::{CudaBuild, CudaDevice};
    use crate::error::{Error, Result};

    pub fn build() -> Option<CudaBuild> {
        None
    }

    pub fn devices() -> Result<Vec<CudaDevice>> {
        Err(Error::Device("this synfilter is built without CUDA".into()))
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
