//! The driver that the tests run on.

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use synfilter::backend::cuda::context::{self, Context};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::format::Format;
use tempfile::TempDir;

/// The first device, computing in one format.
pub fn open<T: Format>() -> Cuda<T> {
    load();
    Cuda::open(0).expect("a device opens")
}

/// The first device.
pub fn context() -> Arc<Context> {
    load();
    Context::open(0).expect("a device opens")
}

/// Whether the driver is one of this machine, and not the emulator that these tests bring along.
pub fn on_gpu() -> bool {
    load().is_none()
}

/// Makes the emulator the driver where there is none that drives a GPU.
fn load() -> &'static Option<Library> {
    static EMULATOR: OnceLock<Option<Library>> = OnceLock::new();
    EMULATOR.get_or_init(|| {
        if context::count().is_ok_and(|devices| devices > 0) {
            eprintln!("CUDA tests run on a GPU");
            return None;
        }
        // Its name as a library is libcuda.so.1: once it is loaded, whoever asks for that gets it.
        let library = emulator();
        eprintln!("CUDA tests run on {}", library.display());
        // SAFETY: the emulator's library has no initialisers but those of Rust.
        let library = unsafe { Library::open(Some(&library), RTLD_NOW | RTLD_GLOBAL) };
        Some(library.expect("the emulator's library loads"))
    })
}

/// The emulator's shared library, which cargo builds beside the tests.
fn emulator() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().expect("a file lies in a folder");
    folder.join("libcuda_emulator.so")
}

/// The program itself, on the driver of these tests.
pub fn program() -> Command {
    static NAMED: OnceLock<TempDir> = OnceLock::new();
    let mut command = Command::new(env!("CARGO_BIN_EXE_synfilter"));
    if !on_gpu() {
        let folder = NAMED.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a folder");
            for name in ["libcuda.so", "libcuda.so.1"] {
                symlink(emulator(), folder.path().join(name)).expect("a link");
            }
            folder
        });
        command.env("LD_LIBRARY_PATH", folder.path());
    }
    command
}
