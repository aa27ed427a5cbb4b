//! Environment variables, the profile, and the launcher.

use crate::child::{is_child, run, succeed};
use crate::kernels::AXPY;
use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg};
use cudarc::nvrtc::Ptx;
use std::process::Command;

#[test]
fn unknown_values_are_errors() {
    let test = "environment::unknown_values_are_errors";
    for (name, value) in [("CUDA_EMULATOR_REPORT", "explode"), ("CUDA_EMULATOR_MEMROY", "1G")] {
        let output = run(test, &[(name, value)], || {
            assert!(CudaContext::new(0).is_err());
        });
        let Some(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert!(text.contains(&format!("{name}={value}")), "{text}");
    }
}

#[test]
fn compute_capability_can_be_chosen() {
    let environment = [("CUDA_EMULATOR_COMPUTE", "9.0")];
    succeed("environment::compute_capability_can_be_chosen", &environment, || {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(context.compute_capability().unwrap(), (9, 0));
        context.load_module(Ptx::from_src(AXPY.replace("sm_80", "sm_90"))).unwrap();
    });
}

#[test]
fn profile() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("profile.json");
    let path = file.to_str().unwrap();
    let environment = [("CUDA_EMULATOR_PROFILE", path), ("CUDA_EMULATOR_PTXAS", "/nonexistent")];
    succeed("environment::profile", &environment, || {
        let context = CudaContext::new(0).unwrap();
        let axpy = context.load_module(Ptx::from_src(AXPY)).unwrap().load_function("axpy").unwrap();
        let stream = context.default_stream();
        let x = stream.clone_htod(&[1f32; 100]).unwrap();
        let mut y = stream.alloc_zeros::<f32>(100).unwrap();
        let config = LaunchConfig { grid_dim: (2, 1, 1), block_dim: (64, 1, 1), shared_mem_bytes: 0 };
        for _ in 0..2 {
            // SAFETY: the arguments are those of the kernel; x and y have 100 elements.
            unsafe {
                stream.launch_builder(&axpy).arg(&1f32).arg(&x).arg(&mut y).arg(&100u32).launch(config)
            }
            .unwrap();
        }
        // Still alive at the end of the process: the profile is written then, too.
        std::mem::forget(context);
    });
    if is_child() {
        return;
    }
    let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(json["schema"], 1);
    let kernel = &json["kernels"][0];
    assert_eq!(kernel["name"], "axpy");
    assert_eq!(kernel["launches"], 2);
    assert_eq!(kernel["faults"], 0);
    assert_eq!(kernel["registers_from"], "estimate");
    let shape = &kernel["shapes"][0];
    assert_eq!((&shape["blocks"], &shape["block"][0]), (&4.into(), &64.into()));
    assert_eq!(shape["possible_blocks_per_multiprocessor"], 32);
    assert_eq!(shape["possible_occupancy"], 1.0);
    // Two launches of 100 threads: one fma, two loads, one store for each.
    let lanes = &kernel["counters"]["lane_instructions"];
    assert_eq!((&lanes["load_global"], &lanes["store_global"]), (&400.into(), &200.into()));
    assert_eq!(kernel["counters"]["fma_macs"], 200);
    assert_eq!(kernel["counters"]["warps"], 8);
}

#[test]
fn launcher() {
    let launcher = env!("CARGO_BIN_EXE_cuda-emulator");
    let output = Command::new(launcher)
        .args(["run", "--", "sh", "-c", "echo $1 $LD_LIBRARY_PATH; exit 7", "sh", "--flag"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(7));
    let text = String::from_utf8(output.stdout).unwrap();
    let directory = text.trim().strip_prefix("--flag ").unwrap().split(':').next().unwrap();
    assert!(std::path::Path::new(directory).join("libcuda.so.1").exists(), "{directory}");

    let directory = tempfile::tempdir().unwrap();
    let (good, bad) = (directory.path().join("good.ptx"), directory.path().join("bad.ptx"));
    std::fs::write(&good, AXPY).unwrap();
    std::fs::write(&bad, AXPY.replace("mad.lo.s32", "mad.sideways.s32")).unwrap();
    let output = Command::new(launcher).arg("check").args([&good, &bad]).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("good.ptx: 1 kernels"), "{text}");
    assert!(text.contains("mad.sideways") && text.contains("axpy") && text.contains("line 18"), "{text}");

    let output = Command::new(launcher).args(["run", "--", "/nonexistent"]).output().unwrap();
    assert!(!output.status.success());
}
