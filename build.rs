//! Compiles kernels/*.cu to PTX and embeds it. Does nothing unless the feature `cuda` is on.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for name in ["NVCC", "CUDA_HOME", "CUDA_PATH", "PATH", "SYNFILTER_CUDA_ARCH"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=kernels");
    if let Err(message) = build() {
        for line in message.lines() {
            println!("cargo:warning={line}");
        }
        eprintln!("{message}");
        std::process::exit(1);
    }
}

const NO_NVCC: &str = "\
feature `cuda`: no CUDA compiler (nvcc) in NVCC, CUDA_HOME, CUDA_PATH, PATH or .cuda/. These commands install one:
  python3 -m venv .cuda
  .cuda/bin/pip install --no-deps nvidia-cuda-nvcc==13.0.88 nvidia-nvvm==13.0.88 nvidia-cuda-crt==13.0.88 \
nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85";

/// Compiles what changed, and writes `kernels.rs`: name and PTX of every file, and what compiled them.
fn build() -> Result<(), String> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("no CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("no OUT_DIR")?);
    let nvcc = find_nvcc(&root).ok_or(NO_NVCC)?;
    let version = version(&nvcc)?;
    let arch = env::var("SYNFILTER_CUDA_ARCH").unwrap_or_else(|_| "compute_80".into());
    let (mut sources, mut headers) = (Vec::new(), Vec::new());
    let folder = root.join("kernels");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        match path.extension().and_then(|e| e.to_str()) {
            Some("cu") => sources.push(path),
            Some("cuh") => headers.push(path),
            _ => {}
        }
    }
    sources.sort();
    headers.sort();
    let mut common = DefaultHasher::new();
    (&version, &arch).hash(&mut common);
    for header in &headers {
        read(header)?.hash(&mut common);
    }
    let common = common.finish();
    let compiled: Vec<Result<PathBuf, String>> = thread::scope(|scope| {
        let jobs: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(|| compile(&nvcc, &arch, source, common, &out)))
            .collect();
        jobs.into_iter()
            .map(|job| job.join().unwrap_or_else(|_| Err("nvcc: a thread panicked".into())))
            .collect()
    });
    let mut text = format!(
        "/// The compiler of the kernels.\npub const NVCC: &str = {version:?};\n\
         /// The virtual architecture that they are compiled for.\npub const ARCH: &str = {arch:?};\n\
         /// Name and PTX of every kernel file.\npub const MODULES: &[(&str, &str)] = &[\n"
    );
    for (source, ptx) in sources.iter().zip(compiled) {
        let stem = source.file_stem().unwrap_or_default().to_string_lossy();
        text += &format!("    ({stem:?}, include_str!({:?})),\n", ptx?.display().to_string());
    }
    text += "];\n";
    fs::write(out.join("kernels.rs"), text).map_err(|error| format!("kernels.rs: {error}"))
}

/// The PTX of a source, from an earlier build where nothing that it depends on has changed.
fn compile(nvcc: &Path, arch: &str, source: &Path, common: u64, out: &Path) -> Result<PathBuf, String> {
    let mut hash = DefaultHasher::new();
    (common, read(source)?).hash(&mut hash);
    let stem = source.file_stem().unwrap_or_default().to_string_lossy();
    let ptx = out.join(format!("{stem}-{:016x}.ptx", hash.finish()));
    if ptx.exists() {
        return Ok(ptx);
    }
    let unfinished = ptx.with_extension("new");
    let output = Command::new(nvcc)
        .args(["-ptx", "-O3", "-std=c++17", "-lineinfo", "-arch", arch, "-o"])
        .arg(&unfinished)
        .arg(source)
        .output()
        .map_err(|error| format!("{}: {error}", nvcc.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{} failed on {}:\n{words}", nvcc.display(), source.display()));
    }
    fs::rename(&unfinished, &ptx).map_err(|error| format!("{}: {error}", ptx.display()))?;
    Ok(ptx)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What `nvcc --version` calls itself, such as `13.0.88`.
fn version(nvcc: &Path) -> Result<String, String> {
    let output = Command::new(nvcc).arg("--version").output();
    let output = output.map_err(|error| format!("{}: {error}", nvcc.display()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.split(", V").nth(1).and_then(|rest| rest.split_whitespace().next());
    found.map(str::to_owned).ok_or_else(|| format!("{}: does not tell its version", nvcc.display()))
}

fn find_nvcc(root: &Path) -> Option<PathBuf> {
    let named = env::var_os("NVCC").map(PathBuf::from);
    let homes =
        ["CUDA_HOME", "CUDA_PATH"].map(|name| Some(PathBuf::from(env::var_os(name)?).join("bin/nvcc")));
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path = env::split_paths(&path).map(|folder| folder.join("nvcc")).collect::<Vec<_>>();
    let installed = fs::read_dir(root.join(".cuda/lib"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("site-packages/nvidia/cu13/bin/nvcc")));
    let candidates = named.into_iter().chain(homes.into_iter().flatten()).chain(on_path).chain(installed);
    candidates.into_iter().find(|path| path.is_file())
}
