//! The program itself with `--device cuda`.

use crate::driver;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;
use synfilter::backend::cuda::kernels::{ARCH, NVCC};
use synfilter::checkpoint::Metadata;
use synfilter::graph::Shape;
use synfilter::models::Arch;
use synfilter::weights::Weights;
use tempfile::TempDir;

/// A folder with `net.safetensors`: the smallest network, untrained.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let graph = Arch::ShufflenetV2X0_5.build(Shape { c: 1, h: 32, w: 32 }, 10).unwrap();
    let meta = Metadata {
        arch: Some(Arch::ShufflenetV2X0_5.name().to_owned()),
        classes: Some(10),
        channels: Some(1),
        ..Metadata::default()
    };
    let net = Weights::init(&graph, 1).to_checkpoint(&graph, meta);
    net.save(folder.path().join("net.safetensors")).unwrap();
    folder
}

fn output(line: &str, folder: &Path, environment: &[(&str, &str)]) -> Output {
    let words = line.split_whitespace().map(|word| word.replace("{}", &folder.display().to_string()));
    driver::program().args(words).envs(environment.iter().copied()).output().unwrap()
}

#[track_caller]
fn json(line: &str, folder: &Path) -> Value {
    let output = output(&format!("{line} --json"), folder, &[]);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{line}\n{stderr}");
    assert!(!stderr.contains("cuda-emulator:"), "{line}\n{stderr}"); // nothing reported, nothing leaked
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The program's own line on stderr, where it ends with `code`.
#[track_caller]
fn refused(line: &str, folder: &Path, environment: &[(&str, &str)], code: i32) -> (String, String) {
    let output = output(line, folder, environment);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{line}\n{stderr}");
    let mut own = stderr.lines().filter(|line| line.starts_with("synfilter: "));
    let said = own.next().unwrap_or_else(|| panic!("{line}\n{stderr}")).to_owned();
    assert_eq!(own.next(), None, "{line}\n{stderr}");
    (said, stderr)
}

#[test]
fn devices() {
    let cuda = json("devices", Path::new("."))["cuda"].take();
    assert_eq!((&cuda["nvcc"], &cuda["arch"]), (&NVCC.into(), &ARCH.into()));
    assert_eq!((&cuda["built_in"], &cuda["missing"]), (&true.into(), &Value::Null));
    let first = &cuda["devices"][0];
    assert_eq!((&first["name"], &first["unfit"]), (&"cuda:0".into(), &Value::Null));
    assert!(
        first["memory_bytes"].as_u64() > Some(0) && first["multiprocessors"].as_u64() > Some(0),
        "{first}"
    );
    let text = output("devices", Path::new("."), &[]).stdout;
    let text = String::from_utf8_lossy(&text);
    assert!(text.contains("\ncuda:0  ") && text.contains(&format!("nvcc {NVCC} for {ARCH}")), "{text}");
}

/// Roundings of the formats: 2⁻¹¹ and 2⁻⁸ per operation, of which a network has about fifty in a row.
#[test]
fn eval_in_every_format() {
    let folder = folder();
    let eval = |rest: &str| {
        json(
            &format!("eval --dataset digits --images 80 --checkpoint {{}}/net.safetensors {rest}"),
            folder.path(),
        )
    };
    let expected = eval("--eps 0.1");
    for (dtype, limit) in [("f32", 1e-5), ("f16", 0.01), ("bf16", 0.05)] {
        let found = eval(&format!("--eps 0.1 --device cuda --dtype {dtype}"));
        assert_eq!(found["images"], 80);
        for loss in ["/loss_clean", "/adversarial/0/loss"] {
            let [a, b] = [&found, &expected].map(|v| v.pointer(loss).and_then(Value::as_f64).unwrap());
            assert!((a - b).abs() <= limit * b, "{dtype}, {loss}: {a}, on the CPU {b}");
        }
    }
}

#[test]
fn sweep_says_where_it_ran_and_keeps_what_the_cpu_keeps() {
    let folder = folder();
    let sweep = "sweep --dataset digits --images 70 --layers conv1.0.weight,fc.weight --thresholds 4 \
                 --checkpoint {}/net.safetensors";
    let cells = |device: &str, out: &str| -> Vec<Value> {
        json(&format!("{sweep} {device} --out {{}}/{out}"), folder.path());
        let lines = fs::read_to_string(folder.path().join(out).join("cells.jsonl")).unwrap();
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (cpu, cuda) = (cells("", "cpu"), cells("--device cuda --dtype f16", "cuda"));
    let kept = |cells: &[Value]| -> Vec<Value> {
        cells
            .iter()
            .map(|c| {
                [&c["layer"], &c["filter"], &c["k"], &c["kept"], &c["total"]].into_iter().cloned().collect()
            })
            .collect()
    };
    assert!(cpu.len() > 20);
    assert_eq!(kept(&cpu), kept(&cuda));
    let run = fs::read_to_string(folder.path().join("cuda/run.json")).unwrap();
    assert!(run.contains("\"f16\"") && run.contains("cuda"), "{run}");
    // The same run again, in another format, is another run.
    let again = format!("{sweep} --device cuda --dtype bf16 --out {{}}/cuda --resume");
    assert!(refused(&again, folder.path(), &[], 2).0.contains("dtype"));
}

#[test]
fn training_is_f32() {
    let folder = folder();
    let train = "train --arch shufflenet_v2_x0_5 --dataset digits --epochs 1 --device cuda --out {}/run";
    for dtype in ["f16", "bf16"] {
        let (said, _) = refused(&format!("{train} --dtype {dtype}"), folder.path(), &[], 2);
        assert!(said.contains(&format!("--dtype {dtype}: expected f32")), "{said}");
    }
    assert!(!folder.path().join("run").exists());
}

#[test]
fn devices_that_are_not_there() {
    let folder = folder();
    let eval = "eval --dataset digits --images 16 --checkpoint {}/net.safetensors --device";
    let (said, _) = refused(&format!("{eval} cuda:99"), folder.path(), &[], 4);
    assert!(said.contains("cuda:99: expected one of"), "{said}");
    if driver::on_gpu() {
        return; // whose kind and memory are what they are
    }
    let old = [("CUDA_EMULATOR_COMPUTE", "7.5")];
    let (said, _) = refused(&format!("{eval} cuda"), folder.path(), &old, 4);
    assert!(said.contains("compute capability 7.5, expected that of compute_80 or more"), "{said}");
    let listed = String::from_utf8(output("devices", folder.path(), &old).stdout).unwrap();
    assert!(listed.contains("cannot run these kernels: compute capability 7.5"), "{listed}");
    let (said, stderr) =
        refused(&format!("{eval} cuda"), folder.path(), &[("CUDA_EMULATOR_MEMORY", "4M")], 4);
    assert!(said.contains("allocating") && said.contains("OUT_OF_MEMORY"), "{said}");
    assert!(!stderr.contains("leak"), "{stderr}");
}
