//! A test that runs itself once more, in a process where the emulator is `libcuda.so.1`.

use std::path::PathBuf;
use std::process::{Command, Output};

const CHILD: &str = "CUDA_TEST_CHILD";

/// The directory of `libcuda.so.1`, as the launcher says.
pub fn library_directory() -> PathBuf {
    let output =
        Command::new(env!("CARGO_BIN_EXE_cuda-emulator")).arg("dir").output().expect("the launcher runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim())
}

/// Runs the body in a child process; the output of the child. Within the child, runs the body and returns nothing.
///
/// `test` is the path of the calling test in this crate.
pub fn run(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> Option<Output> {
    if std::env::var_os(CHILD).is_some_and(|name| name == test) {
        body();
        return None;
    }
    // What was there before stays: NVRTC may be found through it.
    let mut path = library_directory().into_os_string();
    if let Some(given) = std::env::var_os("LD_LIBRARY_PATH") {
        path.push(":");
        path.push(given);
    }
    let output = Command::new(std::env::current_exe().expect("a path"))
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .env("LD_LIBRARY_PATH", path)
        .envs(environment.iter().copied())
        .output()
        .expect("the child starts");
    Some(output)
}

/// The same, where the child must succeed; its standard error.
pub fn succeed(test: &str, environment: &[(&str, &str)], body: impl FnOnce()) -> String {
    let Some(output) = run(test, environment, body) else { return String::new() };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test}: {}\n{out}\n{err}", output.status);
    assert!(out.contains("1 passed"), "{test} did not run:\n{out}");
    err.into_owned()
}

/// Whether this is the child.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}
