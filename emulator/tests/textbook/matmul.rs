//! Matrix products, from the plainest tile to matrix units fed by asynchronous copies.

use crate::gpu::{Random, near, shape};
use crate::{arguments, load};
use cuda_emulator::counters::Counters;
use cuda_emulator::exec::LaunchConfig;
use half::{bf16, f16};

/// Checks `c = a · b` in f32, with a bound that holds for any order of summation. `a(i, k)` and `b(k, j)` are exact.
fn check(
    c: &[f32],
    (m, n, k): (usize, usize, usize),
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
) {
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut magnitude) = (0f64, 0f64);
            for l in 0..k {
                let product = f64::from(a(i, l)) * f64::from(b(l, j));
                sum += product;
                magnitude += product.abs();
            }
            let bound = magnitude * (k as f64 + 1.0) * f64::from(f32::EPSILON) / 2.0;
            near(c[i * n + j], sum, bound, format_args!("[{i}][{j}] of {m} × {n} × {k}"));
        }
    }
}

#[test]
fn single_precision() {
    let gpu = load("matmul");
    for (m, n, k) in [(1, 1, 1), (64, 64, 16), (65, 63, 17), (100, 130, 77)] {
        let mut random = Random((m * n * k) as u64);
        let (a, b) = (random.list(m * k, |r| r.real()), random.list(k * n, |r| r.real()));
        let c = gpu.allocate(4 * m * n);
        let config = shape([n.div_ceil(64) as u32, m.div_ceil(64) as u32, 1], [16, 16, 1]);
        let args = arguments![gpu.upload(&a), gpu.upload(&b), c, m as u32, n as u32, k as u32];
        gpu.launch_as("matmul_f32", &config, args);
        check(&gpu.download(c, m * n), (m, n, k), |i, l| a[i * k + l], |l, j| b[l * n + j]);
    }
}

/// 64 × 64 × 96 in 4 blocks of 32 warps and 3 steps: a warp loads a row of 128 bytes of A and of B in each, and of shared
/// memory, for each of 32 k, one word of A that all lanes want and a row of B.
#[test]
fn traffic_of_the_plainest_tile() {
    let gpu = load("matmul");
    let (m, n, k) = (64, 64, 96);
    let mut random = Random(3);
    let (a, b) = (random.list(m * k, |r| r.real()), random.list(k * n, |r| r.real()));
    let c = gpu.allocate(4 * m * n);
    let config = shape([n as u32 / 32, m as u32 / 32, 1], [32, 32, 1]);
    let args = arguments![gpu.upload(&a), gpu.upload(&b), c, n as u32, k as u32];
    let counters = gpu.launch_as("matmul_tile32", &config, args);
    check(&gpu.download(c, m * n), (m, n, k), |i, l| a[i * k + l], |l, j| b[l * n + j]);

    let steps = 4 * 32 * 3;
    assert_eq!(counters.fma_macs, (m * n * k) as u64);
    assert_eq!((counters.global_loads.requests, counters.global_loads.sectors), (2 * steps, 8 * steps));
    assert_eq!(counters.global_loads.distinct_bytes, 4 * (m * k + k * n) as u64);
    assert_eq!((counters.global_stores.requests, counters.global_stores.sectors), (128, 512));
    assert_eq!((counters.shared_stores.requests, counters.shared_stores.wavefronts), (2 * steps, 2 * steps));
    assert_eq!((counters.shared_loads.requests, counters.shared_loads.wavefronts), (64 * steps, 64 * steps));
    assert_eq!(counters.barriers, 4 * 3 * 2);
    assert_eq!(counters.divergent_branches, 0);
}

/// Rows of `columns` elements, `pitch` apart.
fn padded<T: Copy>(values: &[T], columns: usize, pitch: usize, fill: T) -> Vec<T> {
    values.chunks(columns).flat_map(|row| row.iter().copied().chain(vec![fill; pitch - columns])).collect()
}

const SIZES: [(usize, usize, usize); 5] =
    [(128, 128, 32), (1, 1, 1), (130, 100, 33), (16, 257, 95), (200, 8, 160)];

fn config(m: usize, n: usize) -> LaunchConfig {
    LaunchConfig {
        dynamic_shared: 3 * 16384,
        ..shape([n.div_ceil(128) as u32, m.div_ceil(128) as u32, 1], [128, 1, 1])
    }
}

/// What the matrix units of `matmul_mma` do for a product: whole tiles of 128 × 128 × `depth`.
fn tiles(m: usize, n: usize, k: usize, depth: usize) -> u64 {
    (m.next_multiple_of(128) * n.next_multiple_of(128) * k.next_multiple_of(depth)) as u64
}

/// The swapped chunks keep every access of matrix rows, and every copy, out of the others' banks.
fn no_conflicts(counters: &Counters) {
    for traffic in [counters.shared_loads, counters.async_copies] {
        assert!(traffic.requests > 0);
        assert_eq!(traffic.wavefronts, traffic.ideal_wavefronts);
    }
}

#[test]
fn halves_on_matrix_units() {
    let gpu = load("matmul_mma");
    for (m, n, k) in SIZES {
        let mut random = Random((m + n * k) as u64);
        let (a, b) = (random.list(m * k, |r| r.real()), random.list(k * n, |r| r.real()));
        let (lda, ldb) = (k.next_multiple_of(8), n.next_multiple_of(8));
        macro_rules! run {
            ($kernel:literal, $t:ty) => {
                let round = |v: &[f32]| v.iter().map(|&v| <$t>::from_f32(v)).collect::<Vec<_>>();
                let (x, y) = (round(&a), round(&b));
                let c = gpu.allocate(4 * m * n);
                let counters = gpu.launch_as(
                    $kernel,
                    &config(m, n),
                    arguments![
                        gpu.upload(&padded(&x, k, lda, <$t>::NAN)),
                        gpu.upload(&padded(&y, n, ldb, <$t>::NAN)),
                        c,
                        m as i32,
                        n as i32,
                        k as i32,
                        lda as i32,
                        ldb as i32
                    ],
                );
                check(
                    &gpu.download(c, m * n),
                    (m, n, k),
                    |i, l| x[i * k + l].to_f32(),
                    |l, j| y[l * n + j].to_f32(),
                );
                assert_eq!(counters.matrix_macs, tiles(m, n, k, 32), "{}", $kernel);
                no_conflicts(&counters);
            };
        }
        run!("matmul_f16", f16);
        run!("matmul_bf16", bf16);
    }
}

#[test]
fn tf32_on_matrix_units() {
    let gpu = load("matmul_mma");
    for (m, n, k) in SIZES {
        let mut random = Random((m * n + k) as u64);
        let (a, b) = (random.list(m * k, |r| r.real()), random.list(n * k, |r| r.real()));
        let ld = k.next_multiple_of(4);
        let c = gpu.allocate(4 * m * n);
        let counters = gpu.launch_as(
            "matmul_tf32",
            &config(m, n),
            arguments![
                gpu.upload(&padded(&a, k, ld, f32::NAN)),
                gpu.upload(&padded(&b, k, ld, f32::NAN)),
                c,
                m as i32,
                n as i32,
                k as i32,
                ld as i32,
                ld as i32
            ],
        );
        let tf32 = |v: f32| f32::from_bits(v.to_bits() & !0x1fff);
        check(&gpu.download(c, m * n), (m, n, k), |i, l| tf32(a[i * k + l]), |l, j| tf32(b[j * k + l]));
        assert_eq!(counters.matrix_macs, tiles(m, n, k, 16));
        no_conflicts(&counters);
    }
}

#[test]
fn fragments_of_halves() {
    let gpu = load("matmul_wmma");
    let (m, n, k) = (48usize, 32usize, 80usize);
    let mut random = Random(1);
    let (a, b) =
        (random.list(m * k, |r| f16::from_f32(r.real())), random.list(n * k, |r| f16::from_f32(r.real())));
    let old = random.list(m * n, |r| r.real());
    let c = gpu.upload(&old);
    let counters = gpu.launch_as(
        "matmul_wmma_f16",
        &shape([n as u32 / 16, m as u32 / 16, 1], [32, 1, 1]),
        arguments![gpu.upload(&a), gpu.upload(&b), c, n as u32, k as u32, 0.5f32, -2.0f32],
    );
    assert_eq!(counters.matrix_macs, (m * n * k) as u64);
    let got: Vec<f32> = gpu.download(c, m * n);
    for i in 0..m {
        for j in 0..n {
            let sum: f64 = (0..k).map(|l| a[i * k + l].to_f64() * b[j * k + l].to_f64()).sum();
            near(
                got[i * n + j],
                0.5 * sum - 2.0 * f64::from(old[i * n + j]),
                1e-4,
                format_args!("[{i}][{j}]"),
            );
        }
    }
}

#[test]
fn fragments_of_bytes() {
    let gpu = load("matmul_wmma");
    let (m, n, k) = (32usize, 48usize, 64usize);
    let mut random = Random(2);
    let (a, b) = (random.list(m * k, |r| r.next() as i8), random.list(n * k, |r| r.next() as i8));
    let c = gpu.allocate(4 * m * n);
    gpu.launch_as(
        "matmul_wmma_s8",
        &shape([n as u32 / 16, m as u32 / 16, 1], [32, 1, 1]),
        arguments![gpu.upload(&a), gpu.upload(&b), c, m as u32, n as u32, k as u32],
    );
    let got: Vec<i32> = gpu.download(c, m * n);
    for i in 0..m {
        for j in 0..n {
            let sum: i32 = (0..k).map(|l| i32::from(a[l * m + i]) * i32::from(b[l * n + j])).sum();
            assert_eq!(got[j * m + i], sum, "[{i}][{j}]");
        }
    }
}
