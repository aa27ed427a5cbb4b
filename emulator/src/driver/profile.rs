//! What kernels did, as JSON: `CUDA_EMULATOR_PROFILE=file.json`.
//!
//! The file is written whole, to a temporary name first, whenever a context ends and when the program does.

use super::device::driver_if_initialized;
use super::handles::lock;
use super::limits::{MAX_THREADS, limits};
use super::objects::function::registers;
use super::objects::launch::Launch;
use super::objects::module::Module;
use super::occupancy::{Demand, blocks};
use crate::counters::Counters;
use crate::exec::{KernelInfo, LaunchError};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Goes up when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    emulator: &'static str,
    compute: String,
    kernels: Vec<Entry<'a>>,
}

/// One kernel; launches with the same block and dynamic shared memory share an entry of `shapes`.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    launches: u64,
    faults: u64,
    registers: u32,
    /// `ptxas`, or `estimate`: registers that are alive at once.
    registers_from: &'static str,
    spill_bytes: Option<u32>,
    static_shared: u32,
    local_bytes: u64,
    shapes: Vec<ShapeEntry>,
    counters: &'a Counters,
}

#[derive(Serialize)]
struct ShapeEntry {
    block: [u32; 3],
    dynamic_shared: u32,
    launches: u64,
    blocks: u64,
    /// Blocks that a multiprocessor can hold at once, and the part of its warps that they are.
    possible_blocks_per_multiprocessor: u32,
    possible_occupancy: f64,
    /// The same of the average launch, which may have fewer blocks than the device could hold.
    achieved_occupancy: f64,
}

struct Record {
    module: Arc<Vec<String>>,
    info: KernelInfo,
    launches: u64,
    faults: u64,
    shapes: BTreeMap<([u32; 3], u32), Shape>,
    counters: Counters,
}

#[derive(Default)]
struct Shape {
    launches: u64,
    blocks: u64,
    /// Sum over the launches of the blocks that were resident at once, device-wide, at most `limit`.
    resident: f64,
}

/// Kernels by name and by a number of their text.
static RECORDS: Mutex<BTreeMap<(String, usize), Record>> = Mutex::new(BTreeMap::new());

/// Counts a launch.
pub fn count(module: &Module, info: &KernelInfo, launch: &Launch, result: &Result<Counters, LaunchError>) {
    let Some(driver) = driver_if_initialized().filter(|d| d.config.profile.is_some()) else { return };
    let (counters, faults) = match result {
        Ok(counters) => (counters, 0),
        Err(LaunchError::Faults { faults, dropped, counters }) => {
            (&**counters, faults.len() as u64 + dropped)
        }
        Err(_) => return,
    };
    let mut records = lock(&RECORDS);
    // The same name may come from different texts: equal texts are one kernel.
    let number = (0..).find(|&n| {
        records
            .get(&(info.name.clone(), n))
            .is_none_or(|r| Arc::ptr_eq(&r.module, &module.texts) || r.module == module.texts)
    });
    let record = records.entry((info.name.clone(), number.unwrap_or(0))).or_insert_with(|| Record {
        module: module.texts.clone(),
        info: info.clone(),
        launches: 0,
        faults: 0,
        shapes: BTreeMap::new(),
        counters: Counters::default(),
    });
    record.launches += 1;
    record.faults += faults;
    record.counters.merge(counters);
    let shape = record.shapes.entry((launch.block, launch.shared)).or_default();
    let count = launch.grid.iter().map(|&n| u64::from(n)).product::<u64>();
    shape.launches += 1;
    shape.blocks += count;
    shape.resident += count as f64 / f64::from(limits(driver.config.compute).multiprocessors);
}

/// Writes the file, if one is asked for.
pub fn write() {
    let Some(driver) = driver_if_initialized() else { return };
    let Some(path) = &driver.config.profile else { return };
    let records = lock(&RECORDS);
    let limits = limits(driver.config.compute);
    let (major, minor) = driver.config.compute;
    let mut measured: BTreeMap<*const Vec<String>, BTreeMap<String, Assembled>> = BTreeMap::new();
    let kernels = records
        .iter()
        .map(|((name, _), record)| {
            let of_module = measured.entry(Arc::as_ptr(&record.module)).or_insert_with(|| {
                assemble(driver.config.ptxas.as_deref(), &record.module, major * 10 + minor)
            });
            let assembled = of_module.get(name);
            let registers = assembled.map_or(registers(&record.info), |a| a.registers);
            let shapes = record.shapes.iter().map(|(&(block, dynamic_shared), shape)| {
                let threads = block.iter().product::<u32>().min(MAX_THREADS);
                let shared = record.info.static_shared.saturating_add(dynamic_shared);
                let possible = blocks(&limits, Demand { threads, registers, shared });
                let part = |blocks: f64| {
                    blocks * f64::from(threads.div_ceil(32) * 32)
                        / f64::from(limits.threads_per_multiprocessor)
                };
                let average = shape.resident / shape.launches.max(1) as f64;
                ShapeEntry {
                    block,
                    dynamic_shared,
                    launches: shape.launches,
                    blocks: shape.blocks,
                    possible_blocks_per_multiprocessor: possible,
                    possible_occupancy: part(possible.into()),
                    achieved_occupancy: part(average.min(possible.into())),
                }
            });
            Entry {
                name,
                launches: record.launches,
                faults: record.faults,
                registers,
                registers_from: if assembled.is_some() { "ptxas" } else { "estimate" },
                spill_bytes: assembled.map(|a| a.spills),
                static_shared: record.info.static_shared,
                local_bytes: record.info.local_bytes,
                shapes: shapes.collect(),
                counters: &record.counters,
            }
        })
        .collect();
    let report = Report {
        schema: SCHEMA,
        emulator: env!("CARGO_PKG_VERSION"),
        compute: format!("{major}.{minor}"),
        kernels,
    };
    if let Err(error) = save(path, &report) {
        eprintln!("cuda-emulator: the profile {} cannot be written: {error}", path.display());
    }
}

fn save(path: &Path, report: &Report<'_>) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    std::fs::write(&temporary, text)?;
    std::fs::rename(&temporary, path)
}

/// What ptxas says of a kernel.
struct Assembled {
    registers: u32,
    /// Bytes stored and loaded.
    spills: u32,
}

/// Assembles texts and reads what `ptxas -v` says; nothing where there is no ptxas.
fn assemble(ptxas: Option<&Path>, texts: &[String], target: u32) -> BTreeMap<String, Assembled> {
    let mut found = BTreeMap::new();
    let Some(ptxas) = ptxas.map(Path::to_path_buf).or_else(find_ptxas) else { return found };
    for (number, text) in texts.iter().enumerate() {
        let file = std::env::temp_dir().join(format!("cuda-emulator-{}-{number}.ptx", std::process::id()));
        if std::fs::write(&file, text).is_err() {
            continue;
        }
        let output = Command::new(&ptxas)
            .args(["-v", "-c", &format!("-arch=sm_{target}"), "-o", "/dev/null"])
            .arg(&file)
            .env_remove("LD_LIBRARY_PATH")
            .output();
        let _ = std::fs::remove_file(&file);
        if let Ok(output) = output {
            read_ptxas(&String::from_utf8_lossy(&output.stderr), &mut found);
        }
    }
    found
}

/// ptxas on PATH, or in a toolchain that was installed with pip into `.cuda` here or above.
fn find_ptxas() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .and_then(|path| std::env::split_paths(&path).map(|d| d.join("ptxas")).find(|p| p.is_file()));
    on_path.or_else(|| {
        let here = std::env::current_dir().ok()?;
        here.ancestors().find_map(|above| {
            let pythons = std::fs::read_dir(above.join(".cuda/lib")).ok()?;
            pythons
                .flatten()
                .map(|python| python.path().join("site-packages/nvidia/cu13/bin/ptxas"))
                .find(|p| p.is_file())
        })
    })
}

fn read_ptxas(text: &str, found: &mut BTreeMap<String, Assembled>) {
    let mut current: Option<String> = None;
    let mut spills = 0;
    let before = |line: &str, words: &str| -> Option<u32> {
        line.split(words).next()?.split_whitespace().next_back()?.parse().ok()
    };
    for line in text.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            current = rest.split('\'').next().map(str::to_string);
            spills = 0;
        } else if line.contains("bytes spill stores") {
            let loads =
                line.split("bytes spill stores,").nth(1).and_then(|l| before(l, " bytes spill loads"));
            spills = before(line, " bytes spill stores").unwrap_or(0) + loads.unwrap_or(0);
        } else if let Some((_, rest)) = line.split_once("Used ")
            && let Some(registers) = rest.split(' ').next().and_then(|n| n.parse().ok())
            && let Some(name) = current.take()
        {
            found.insert(name, Assembled { registers, spills });
        }
    }
}

/// Runs when the program ends.
extern "C" fn at_exit() {
    let _ = std::panic::catch_unwind(write);
}

#[used]
#[unsafe(link_section = ".fini_array")]
static AT_EXIT: extern "C" fn() = at_exit;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_ptxas_says() {
        let text = "ptxas info    : 0 bytes gmem\n\
            ptxas info    : Compiling entry function 'add' for 'sm_80'\n\
            ptxas info    : Function properties for add\n    \
            0 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n\
            ptxas info    : Used 10 registers, used 0 barriers, 380 bytes cmem[0]\n\
            ptxas info    : Compiling entry function 'mul' for 'sm_80'\n\
            ptxas info    : Used 32 registers\n";
        let mut found = BTreeMap::new();
        read_ptxas(text, &mut found);
        assert_eq!((found["add"].registers, found["add"].spills), (10, 20));
        assert_eq!((found["mul"].registers, found["mul"].spills), (32, 0));
    }
}
