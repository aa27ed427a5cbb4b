//! How fast the emulator is: `cargo bench -p cuda-emulator --bench speed`.
//!
//! Measures on one host thread (the last on two), takes the best of several runs, and says whether the goals hold:
//! a loop of `fma.rn.f32` in lane-instructions, a loop of `mma.sync` of halves in multiply-adds, what the checks cost
//! over textbook kernels, and a product of 1024 × 1024 matrices of halves.

#[path = "../tests/textbook/gpu.rs"]
mod gpu;

use cuda_emulator::exec::cx::Checks;
use cuda_emulator::exec::{Device, LaunchConfig, Module, Settings};
use gpu::{Gpu, Random, near, shape};
use half::f16;
use std::fmt::Write;
use std::time::Instant;

/// Measurements of which the best counts.
const RUNS: usize = 5;

fn main() {
    let mut missed = 0;
    let mut goal = |what: &str, value: f64, unit: &str, met: bool, wanted: &str| {
        println!("{what:<44} {value:>8.2} {unit:<24} {} {wanted}", if met { "reaches" } else { "MISSES" });
        missed += u32::from(!met);
    };
    let rate = lane_instructions();
    goal("fma.rn.f32, one thread, checks on", rate / 1e9, "G lane-instructions/s", rate >= 1e9, "1");
    let rate = matrix_macs();
    goal("mma.m16n8k16 f16, one thread, checks on", rate / 1e9, "G multiply-adds/s", rate >= 2e9, "2");
    let seconds = matmul_1024();
    goal("matmul_f16 1024³, two threads, checks off", seconds, "s", seconds <= 1.0, "1");

    println!();
    let mut worst: f64 = 0.0;
    for workload in workloads() {
        let (checked, plain) = (workload.seconds(true), workload.seconds(false));
        let ratio = checked / plain;
        let (name, checked, plain) = (workload.name, 1e3 * checked, 1e3 * plain);
        println!("{name:<44} {checked:>8.2} ms {plain:>8.2} ms without checks, {ratio:.2}×");
        worst = worst.max(ratio);
    }
    goal("checks, the textbook kernel that pays most", worst, "× the time without", worst <= 3.0, "3");
    if missed > 0 {
        std::process::exit(1);
    }
}

fn settings(threads: usize, checks: bool) -> Settings {
    let checks = Checks { uninitialized: checks, races: checks, async_copies: checks };
    Settings { threads, checks, memory_bytes: 1 << 30, ..Settings::default() }
}

fn best(mut run: impl FnMut()) -> f64 {
    run();
    (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

/// A kernel that repeats `body` `rounds` times; registers `r0..r63` of 32 bits hold ones of any type.
fn looping(body: &str, rounds: u32) -> String {
    let mut text = String::from(".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry loop()\n{\n");
    text += "  .reg .b32 r<64>;\n  .reg .u32 left;\n  .reg .pred more;\n";
    for i in 0..64 {
        writeln!(text, "  mov.b32 r{i}, 0x3c003c00;").unwrap();
    }
    write!(text, "  mov.u32 left, {rounds};\nAGAIN:\n{body}").unwrap();
    text + "  sub.u32 left, left, 1;\n  setp.ne.u32 more, left, 0;\n  @more bra AGAIN;\n  ret;\n}\n"
}

/// Four blocks of four warps.
fn run_loop(text: &str) -> (f64, cuda_emulator::counters::Counters) {
    let device = Device::new(settings(1, true)).unwrap();
    let module = Module::load(&device, text).unwrap();
    let kernel = module.kernel("loop").unwrap();
    let config = shape([4, 1, 1], [128, 1, 1]);
    let seconds = best(|| {
        kernel.launch(&config, &[]).unwrap();
    });
    (seconds, kernel.launch(&config, &[]).unwrap())
}

fn lane_instructions() -> f64 {
    let body: String = (0..32).map(|i| format!("  fma.rn.f32 r{0}, r{0}, r62, r63;\n", i % 16)).collect();
    let (seconds, counters) = run_loop(&looping(&body, 10_000));
    counters.lane_instructions.total() as f64 / seconds
}

fn matrix_macs() -> f64 {
    let list = |from: usize, count: usize| {
        format!("{{{}}}", (from..from + count).map(|i| format!("r{i}")).collect::<Vec<_>>().join(", "))
    };
    let body: String = (0..32)
        .map(|i| {
            let (a, b, c) = (list(32 + i / 8 * 4, 4), list(48 + i % 8 * 2, 2), list(i % 8 * 4, 4));
            format!("  mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {c}, {a}, {b}, {c};\n")
        })
        .collect();
    let (seconds, counters) = run_loop(&looping(&body, 1000));
    counters.matrix_macs as f64 / seconds
}

/// A product of n × n matrices of halves on matrix units.
struct Product {
    gpu: Gpu,
    n: usize,
    factors: [Vec<f16>; 2],
    result: u64,
    config: LaunchConfig,
    arguments: Vec<Vec<u8>>,
}

impl Product {
    fn new(settings: Settings, n: usize) -> Product {
        let gpu = Gpu::with("matmul_mma", settings);
        let mut random = Random(1);
        let mut matrix = || random.list(n * n, |r| f16::from_f32(r.real()));
        let factors = [matrix(), matrix()];
        let [a, b] = [gpu.upload(&factors[0]), gpu.upload(&factors[1])];
        let c = gpu.allocate(4 * n * n);
        let tiles = n.div_ceil(128) as u32;
        let config = LaunchConfig { dynamic_shared: 3 << 14, ..shape([tiles, tiles, 1], [128, 1, 1]) };
        let size = n as i32;
        let arguments = arguments![a, b, c, size, size, size, size, size].to_vec();
        Product { gpu, n, factors, result: c, config, arguments }
    }

    fn run(&self) {
        self.gpu.launch_as("matmul_f16", &self.config, &self.arguments);
    }

    /// Compares some elements of the result.
    fn check(&self) {
        let (n, [a, b]) = (self.n, &self.factors);
        let result: Vec<f32> = self.gpu.download(self.result, n * n);
        for (i, j) in [(0, 0), (n - 1, 1), (n / 2, n - 1), (n / 3, n / 5)] {
            let products = (0..n).map(|k| a[i * n + k].to_f64() * b[k * n + j].to_f64());
            let (sum, magnitude) = products.fold((0.0, 0.0), |(s, m), p| (s + p, m + p.abs()));
            near(result[i * n + j], sum, magnitude * n as f64 * 6e-8, format_args!("[{i}][{j}]"));
        }
    }
}

fn matmul_1024() -> f64 {
    let product = Product::new(settings(2, false), 1024);
    let seconds = best(|| product.run());
    product.check();
    seconds
}

/// A textbook kernel at work.
struct Workload {
    name: &'static str,
    prepare: fn(Settings) -> Box<dyn Fn()>,
}

impl Workload {
    fn seconds(&self, checks: bool) -> f64 {
        let run = (self.prepare)(settings(1, checks));
        best(run)
    }
}

fn workloads() -> Vec<Workload> {
    const N: usize = 1 << 18;
    fn words(gpu: &Gpu, count: usize) -> u64 {
        gpu.upload(&Random(count as u64).list(count, |r| r.next() as u32 >> 8))
    }
    fn reals(gpu: &Gpu, count: usize) -> u64 {
        gpu.upload(&Random(count as u64).list(count, |r| r.real()))
    }
    macro_rules! workload {
        ($name:literal, |$settings:ident| $prepare:block) => {
            Workload { name: $name, prepare: |$settings| Box::new($prepare) }
        };
    }
    vec![
        workload!("sum_f32", |settings| {
            let gpu = Gpu::with("reduction", settings);
            let args = arguments![reals(&gpu, N), gpu.allocate(4096), N as u32].to_vec();
            move || {
                gpu.launch("sum_f32", 64, 256, &args);
            }
        }),
        workload!("scan_blelloch", |settings| {
            let gpu = Gpu::with("scan", settings);
            let args =
                arguments![words(&gpu, N), gpu.allocate(4 * N), gpu.allocate(4 * N / 512), N as u32].to_vec();
            let config = LaunchConfig { dynamic_shared: 2048, ..shape([N as u32 / 512, 1, 1], [256, 1, 1]) };
            move || {
                gpu.launch_as("scan_blelloch", &config, &args);
            }
        }),
        workload!("transpose_padded", |settings| {
            let gpu = Gpu::with("transpose", settings);
            let args = arguments![reals(&gpu, N), gpu.allocate(4 * N), 512u32, 512u32].to_vec();
            move || {
                gpu.launch_as("transpose_padded", &shape([16, 16, 1], [32, 8, 1]), &args);
            }
        }),
        workload!("histogram", |settings| {
            let gpu = Gpu::with("histogram", settings);
            let args = arguments![words(&gpu, N / 4), gpu.upload(&[0u32; 256]), N as u32].to_vec();
            move || {
                gpu.launch("histogram", 16, 256, &args);
            }
        }),
        workload!("sort_tiles", |settings| {
            let gpu = Gpu::with("sort", settings);
            let args = arguments![words(&gpu, 1 << 15), 2u32, 1024u32].to_vec();
            move || {
                gpu.launch("sort_tiles", 32, 512, &args);
            }
        }),
        workload!("softmax", |settings| {
            let gpu = Gpu::with("softmax", settings);
            let args = arguments![reals(&gpu, N), gpu.allocate(4 * N), 512u32, 512u32].to_vec();
            move || {
                gpu.launch_as("softmax", &shape([128, 1, 1], [32, 4, 1]), &args);
            }
        }),
        workload!("mandelbrot", |settings| {
            let gpu = Gpu::with("mandelbrot", settings);
            let args = arguments![gpu.allocate(4 << 14), 128u32, 128u32, 200u32].to_vec();
            move || {
                gpu.launch_as("mandelbrot", &shape([8, 16, 1], [16, 8, 1]), &args);
            }
        }),
        workload!("dot_i8", |settings| {
            let gpu = Gpu::with("integers", settings);
            let args = arguments![words(&gpu, N), words(&gpu, N), gpu.allocate(N / 4), 64u32, N as u32 / 64]
                .to_vec();
            move || {
                gpu.launch("dot_i8", N as u32 / 64 / 128, 128, &args);
            }
        }),
        workload!("matmul_f32 256³", |settings| {
            let gpu = Gpu::with("matmul", settings);
            let (a, b, c) = (reals(&gpu, 1 << 16), reals(&gpu, 1 << 16), gpu.allocate(4 << 16));
            let args = arguments![a, b, c, 256u32, 256u32, 256u32].to_vec();
            move || {
                gpu.launch_as("matmul_f32", &shape([4, 4, 1], [16, 16, 1]), &args);
            }
        }),
        workload!("matmul_f16 256³", |settings| {
            let product = Product::new(settings, 256);
            move || product.run()
        }),
    ]
}
