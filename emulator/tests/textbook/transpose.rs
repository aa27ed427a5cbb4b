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

/// 64 × 96 in 6 tiles: 32 loads and 32 stores of a warp for each. A row of 32 floats is 4 sectors; a column is 32, and
/// all of one bank where rows are 32 words apart.
#[test]
fn traffic() {
    let gpu = load("transpose");
    let accesses = 6 * 32;
    let bytes = 64 * 96 * 4;
    for (kernel, store_sectors, load_wavefronts) in
        [("transpose_naive", 32, 0), ("transpose_tile", 4, 32), ("transpose_padded", 4, 1)]
    {
        let counters = run(&gpu, kernel, 64, 96);
        for (traffic, sectors) in [(counters.global_loads, 4), (counters.global_stores, store_sectors)] {
            assert_eq!(traffic.requests, accesses, "{kernel}");
            assert_eq!(traffic.sectors, sectors * accesses, "{kernel}");
            assert_eq!(
                (traffic.bytes, traffic.used_bytes, traffic.distinct_bytes),
                (bytes, bytes, bytes),
                "{kernel}"
            );
        }
        let shared = u64::from(kernel != "transpose_naive") * accesses;
        let (stores, loads) = (counters.shared_stores, counters.shared_loads);
        assert_eq!((stores.requests, stores.wavefronts), (shared, shared), "{kernel}");
        assert_eq!((loads.requests, loads.ideal_wavefronts), (shared, shared), "{kernel}");
        assert_eq!(loads.wavefronts, load_wavefronts * shared, "{kernel}");
        assert_eq!(counters.barriers, shared / 32, "{kernel}");
        assert_eq!((counters.blocks, counters.warps), (6, 48));
    }
}
