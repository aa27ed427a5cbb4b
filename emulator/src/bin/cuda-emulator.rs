//! `cuda-emulator`: starts programs on the software device.

use clap::{Parser, Subcommand};
use cuda_emulator::exec::{Device, Module, Settings};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Runs CUDA programs on the CPU.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run a program with the emulator in the place of the NVIDIA driver: `cuda-emulator run -- PROGRAM ARGS…`
    Run {
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        program: Vec<OsString>,
    },
    /// Print the directory that holds libcuda.so.1, for LD_LIBRARY_PATH
    Dir,
    /// Load PTX files and say what is refused
    Check {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    let result = match Arguments::parse().action {
        Action::Run { program } => run(&program),
        Action::Dir => directory().map(|d| println!("{}", d.display())),
        Action::Check { files } => check(&files),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("cuda-emulator: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The shared library: beside this program, or where cargo leaves it during tests; the newest, as cargo does not
/// refresh the one beside when it builds tests.
fn library() -> Result<PathBuf, String> {
    let own = std::env::current_exe().and_then(std::fs::canonicalize).map_err(|e| e.to_string())?;
    let beside = own.parent().unwrap_or(Path::new("."));
    let candidates = ["libcuda_emulator.so", "deps/libcuda_emulator.so", "../lib/libcuda_emulator.so"];
    candidates
        .iter()
        .map(|name| beside.join(name))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .ok_or_else(|| format!("libcuda_emulator.so is not beside {}", own.display()))
}

/// A directory with the library under the driver's names.
fn directory() -> Result<PathBuf, String> {
    let library = library()?;
    let directory = library.with_file_name("cuda-emulator-lib");
    std::fs::create_dir_all(&directory).map_err(|e| format!("{}: {e}", directory.display()))?;
    for name in ["libcuda.so.1", "libcuda.so"] {
        link(&library, &directory.join(name))?;
    }
    Ok(directory)
}

/// A symbolic link, put in place in one step, as others may do the same at the same time.
fn link(target: &Path, name: &Path) -> Result<(), String> {
    if std::fs::read_link(name).is_ok_and(|there| there == target) {
        return Ok(());
    }
    let temporary = name.with_extension(std::process::id().to_string());
    std::os::unix::fs::symlink(target, &temporary)
        .and_then(|()| std::fs::rename(&temporary, name))
        .map_err(|e| format!("{}: {e}", name.display()))
}

fn run(program: &[OsString]) -> Result<(), String> {
    let mut paths = vec![directory()?];
    if let Some(given) = std::env::var_os("LD_LIBRARY_PATH") {
        paths.extend(std::env::split_paths(&given));
    }
    let path = std::env::join_paths(paths).map_err(|e| e.to_string())?;
    let [name, arguments @ ..] = program else { return Err("no program".to_string()) };
    let error = Command::new(name).args(arguments).env("LD_LIBRARY_PATH", path).exec();
    Err(format!("{}: {error}", name.display()))
}

fn check(files: &[PathBuf]) -> Result<(), String> {
    let device = Device::new(Settings::default()).map_err(|e| e.to_string())?;
    let mut refused = 0;
    for file in files {
        let loaded = std::fs::read_to_string(file)
            .map_err(|e| e.to_string())
            .and_then(|text| cuda_emulator::ptx::parse(&text).map_err(|e| e.to_string()))
            .and_then(|tree| Module::from_tree(&device, &tree).map_err(|e| e.to_string()));
        match loaded {
            Ok(module) => println!("{}: {} kernels", file.display(), module.kernels().len()),
            Err(message) => {
                refused += 1;
                println!("{}: {message}", file.display());
            }
        }
    }
    if refused == 0 { Ok(()) } else { Err(format!("{refused} of {} files refused", files.len())) }
}
