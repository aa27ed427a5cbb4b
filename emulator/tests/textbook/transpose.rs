//! Transposes, whose traffic is counted by hand.

use crate::gpu::{Gpu, shape};
use crate::{arguments, load};
use cuda_emulator::counters::Counters;

const KERNELS: [&str; 3] = ["transpose_naive", "transpose_tile", "transpose_padded"];

fn run(gpu: &Gpu, kernel: &str, rows: u32, columns: u32) -> Counters {
    let n = (rows * columns) as usize;
    let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
    let (input, output) = (gpu.upload(&values), gpu.allocate(4 * n));
    let config = shape([columns.div_ceil(32), rows.div_ceil(32), 1], [32, 8, 1]);
    let counters = gpu.launch_as(kernel, &config, arguments![input, output, rows, columns]);
    let got = gpu.download::<f32>(output, n);
    for y in 0..rows {
        for x in 0..columns {
            assert_eq!(
                got[(x * rows + y) as usize],
                values[(y * columns + x) as usize],
                "{kernel} ({x}, {y})"
            );
        }
    }
    counters
}

#[test]
fn odd_sizes() {
    let gpu = load("transpose");
    for kernel in KERNELS {
        for (rows, columns) in [(1, 1), (1, 100), (31, 33), (64, 96), (127, 65)] {
            run(&gpu, kernel, rows, columns);
        }
    }
}
