//! `synfilter devices`: what this program can compute on here.

use super::output::Output;
use serde::Serialize;
use std::fs;
use synfilter::Result;
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::format::NumberFormat;
use synfilter::backend::open::{self, cuda_build, cuda_devices};

#[derive(Serialize)]
struct Devices {
    devices: Vec<CpuDevice>,
    cuda: Cuda,
}

#[derive(Serialize)]
struct CpuDevice {
    name: &'static str,
    model: Option<String>,
    /// The instruction set in use.
    simd: &'static str,
    /// Those that the machine has, best last.
    simd_available: Vec<&'static str>,
    threads: usize,
    dtypes: [&'static str; 1],
}

#[derive(Serialize)]
struct Cuda {
    built_in: bool,
    /// Compiler of the kernels.
    nvcc: Option<&'static str>,
    /// What they are compiled for.
    arch: Option<&'static str>,
    devices: Vec<CudaDevice>,
    /// Why there are none.
    missing: Option<String>,
    dtypes: [&'static str; 3],
}

#[derive(Serialize)]
struct CudaDevice {
    name: String,
    model: String,
    compute_capability: String,
    multiprocessors: usize,
    memory_bytes: usize,
    free_bytes: usize,
    driver: String,
    /// Why it cannot run this program's kernels.
    unfit: Option<String>,
}

/// The CUDA devices, or why there are none.
fn cuda() -> Cuda {
    let build = cuda_build();
    let (devices, missing) = match cuda_devices() {
        Ok(devices) => (devices, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let device = |device: open::CudaDevice| CudaDevice {
        name: format!("cuda:{}", device.ordinal),
        model: device.name,
        compute_capability: device.compute,
        multiprocessors: device.multiprocessors,
        memory_bytes: device.memory,
        free_bytes: device.free,
        driver: device.driver,
        unfit: device.unfit,
    };
    Cuda {
        built_in: build.is_some(),
        nvcc: build.as_ref().map(|build| build.nvcc),
        arch: build.as_ref().map(|build| build.arch),
        devices: devices.into_iter().map(device).collect(),
        missing,
        dtypes: NumberFormat::ALL.map(NumberFormat::name),
    }
}

/// The lines of the CUDA devices.
fn cuda_lines(cuda: &Cuda) -> String {
    let Some((nvcc, arch)) = cuda.nvcc.zip(cuda.arch) else { return "cuda  not built in\n".into() };
    let mut text = match &cuda.missing {
        Some(missing) => format!("cuda  {missing}; kernels of nvcc {nvcc} for {arch}\n"),
        None => format!("cuda  kernels of nvcc {nvcc} for {arch}\n"),
    };
    for device in &cuda.devices {
        let gib = |bytes: usize| bytes as f64 / (1u64 << 30) as f64;
        text += &format!(
            "{}  {}, compute capability {}, {} multiprocessors, {:.1} of {:.1} GiB free, driver {}, ",
            device.name,
            device.model,
            device.compute_capability,
            device.multiprocessors,
            gib(device.free_bytes),
            gib(device.memory_bytes),
            device.driver
        );
        text += &match &device.unfit {
            Some(why) => format!("cannot run these kernels: {why}\n"),
            None => format!("{}\n", cuda.dtypes.join(", ")),
        };
    }
    text
}

/// Prints the devices.
///
/// # Errors
/// [`synfilter::Error::Write`] if stdout cannot be written.
pub fn run(output: Output) -> Result<()> {
    let cpu = CpuDevice {
        name: "cpu",
        model: cpu_model(),
        simd: Level::best().name(),
        simd_available: Level::available().into_iter().map(Level::name).collect(),
        threads: rayon::current_num_threads(),
        dtypes: [NumberFormat::F32.name()],
    };
    let document = Devices { devices: vec![cpu], cuda: cuda() };
    output.result(&document, || {
        let cpu = &document.devices[0];
        format!(
            "cpu   {}, {} (of {}), {} threads, f32\n{}",
            cpu.model.as_deref().unwrap_or("unknown model"),
            cpu.simd,
            cpu.simd_available.join(", "),
            cpu.threads,
            cuda_lines(&document.cuda)
        )
    })
}

/// The processor's name, where the system tells it as Linux does.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}
