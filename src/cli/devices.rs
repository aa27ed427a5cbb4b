//! `synfilter devices`: what this program can compute on here.

use super::device::level_name;
use super::output::Output;
use serde::Serialize;
use std::fs;
use synfilter::Result;
use synfilter::backend::cpu::simd::Level;

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
}

/// Prints the devices.
///
/// # Errors
/// [`synfilter::Error::Write`] if stdout cannot be written.
pub fn run(output: Output) -> Result<()> {
    let cpu = CpuDevice {
        name: "cpu",
        model: cpu_model(),
        simd: level_name(Level::best()),
        simd_available: Level::available().into_iter().map(level_name).collect(),
        threads: rayon::current_num_threads(),
        dtypes: ["f32"],
    };
    let document = Devices { devices: vec![cpu], cuda: Cuda { built_in: false } };
    output.result(&document, || {
        let cpu = &document.devices[0];
        format!(
            "cpu   {}, {} (of {}), {} threads, f32\ncuda  not built in\n",
            cpu.model.as_deref().unwrap_or("unknown model"),
            cpu.simd,
            cpu.simd_available.join(", "),
            cpu.threads
        )
    })
}

/// The processor's name, where the system tells it as Linux does.
fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    line.split_once(':').map(|(_, name)| name.trim().to_owned())
}
