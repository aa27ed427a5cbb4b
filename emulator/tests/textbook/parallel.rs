//! Reductions, scans, histograms, sorting, softmax.

use crate::gpu::{Random, near, shape};
use crate::{arguments, load};

#[test]
fn sums() {
    let gpu = load("reduction");
    for n in [1usize, 31, 32, 33, 1000, 4097, 100_003] {
        for (grid, block) in [(1, 32), (3, 256), (7, 1024)] {
            let mut random = Random(n as u64);
            let wide = random.list(n, |r| r.next() >> 8);
            let (input, partial) = (gpu.upload(&wide), gpu.allocate(8 * grid as usize));
            gpu.launch("sum_u64", grid, block, arguments![input, partial, n as u32]);
            let total: u64 =
                gpu.download::<u64>(partial, grid as usize).iter().fold(0, |a, b| a.wrapping_add(*b));
            assert_eq!(total, wide.iter().fold(0, |a: u64, b| a.wrapping_add(*b)), "{n} on {grid} × {block}");

            let reals = random.list(n, |r| r.real());
            let magnitude: f64 = reals.iter().map(|v| f64::from(v.abs())).sum();
            let want: f64 = reals.iter().map(|&v| f64::from(v)).sum();
            let (input, partial) = (gpu.upload(&reals), gpu.allocate(4 * grid as usize));
            gpu.launch("sum_f32", grid, block, arguments![input, partial, n as u32]);
            let total: f32 = gpu.download::<f32>(partial, grid as usize).iter().sum();
            near(total, want, magnitude * 2e-5, n);

            let doubles: Vec<f64> = reals.iter().map(|&v| f64::from(v)).collect();
            let (input, partial) = (gpu.upload(&doubles), gpu.allocate(8 * grid as usize));
            gpu.launch("sum_f64", grid, block, arguments![input, partial, n as u32]);
            let total: f64 = gpu.download::<f64>(partial, grid as usize).iter().sum();
            assert!((total - want).abs() <= magnitude * 1e-14);
        }
        let values = Random(9).list(n, |r| r.next() as i32);
        let grid = n.div_ceil(512) as u32;
        let (input, partial) = (gpu.upload(&values), gpu.allocate(4 * grid as usize));
        gpu.launch("sum_tree_i32", grid, 512, arguments![input, partial, n as u32]);
        let total = gpu.download::<i32>(partial, grid as usize).iter().fold(0i32, |a, b| a.wrapping_add(*b));
        assert_eq!(total, values.iter().fold(0i32, |a, b| a.wrapping_add(*b)));
    }
}

#[test]
fn scans() {
    let gpu = load("scan");
    for n in [1usize, 100, 256, 1023, 5000, 20_001] {
        let values = Random(n as u64).list(n, |r| r.next() as u32 & 0xffff);
        let input = gpu.upload(&values);

        let (block, tile) = (128, 256);
        let grid = n.div_ceil(tile);
        let (output, sums) = (gpu.allocate(4 * n), gpu.allocate(4 * grid));
        let config = cuda_emulator::exec::LaunchConfig {
            dynamic_shared: 4 * tile as u32,
            ..shape([grid as u32, 1, 1], [block, 1, 1])
        };
        gpu.launch_as("scan_blelloch", &config, arguments![input, output, sums, n as u32]);
        let (got, sums) = (gpu.download::<u32>(output, n), gpu.download::<u32>(sums, grid));
        for (t, tile) in values.chunks(tile).enumerate() {
            let mut sum = 0u32;
            for (i, v) in tile.iter().enumerate() {
                assert_eq!(got[256 * t + i], sum, "tile {t}, element {i} of {n}");
                sum += v;
            }
            assert_eq!(sums[t], sum);
        }

        let grid = n.div_ceil(256);
        let (output, state, ticket) =
            (gpu.allocate(4 * n), gpu.upload(&vec![0u64; grid]), gpu.upload(&[0u32]));
        gpu.launch("scan_lookback", grid as u32, 256, arguments![input, output, state, ticket, n as u32]);
        let got = gpu.download::<u32>(output, n);
        let mut sum = 0u32;
        for (i, v) in values.iter().enumerate() {
            sum += v;
            assert_eq!(got[i], sum, "element {i} of {n}");
        }
    }
}

#[test]
fn histograms() {
    let gpu = load("histogram");
    for n in [1usize, 255, 10_007, 65_536] {
        let values = Random(n as u64).list(n, |r| (r.next() & r.next()) as u8);
        let (input, counts) = (gpu.upload(&values), gpu.upload(&[3u32; 256]));
        gpu.launch("histogram", 5, 192, arguments![input, counts, n as u32]);
        let mut want = [3u32; 256];
        values.iter().for_each(|&v| want[v as usize] += 1);
        assert_eq!(gpu.download::<u32>(counts, 256), want, "{n}");
    }
}

#[test]
fn atomics_and_a_lock() {
    let gpu = load("histogram");
    let n = 3001;
    let values = Random(4).list(n, |r| r.next() as i32);
    let input = gpu.upload(&values);
    let out = gpu.upload(&[0, i32::MAX, i32::MIN, 0, 0, -1]);
    let (total, lock, guarded) = (gpu.upload(&[0u64]), gpu.upload(&[0i32]), gpu.upload(&[0i32]));
    gpu.launch("atomics", 13, 256, arguments![input, out, total, lock, guarded, n as u32]);
    let fold = |f: fn(i32, i32) -> i32, start: i32| values.iter().fold(start, |a, &b| f(a, b));
    let want = [
        fold(i32::wrapping_add, 0),
        fold(i32::min, i32::MAX),
        fold(i32::max, i32::MIN),
        fold(|a, b| a | b, 0),
        fold(|a, b| a ^ b, 0),
        fold(|a, b| a & (b | 1), -1),
    ];
    assert_eq!(gpu.download::<i32>(out, 6), want);
    let sum: i64 = values.iter().map(|&v| i64::from(v)).sum();
    assert_eq!(gpu.download::<u64>(total, 1), [sum as u64]);
    let every_seventh = values.iter().step_by(7).fold(0i32, |a, &b| a.wrapping_add(b));
    assert_eq!(gpu.download::<i32>(guarded, 1), [every_seventh]);
}

#[test]
fn sorting() {
    let gpu = load("sort");
    for n in [1024u32, 4096, 16_384] {
        let mut keys = Random(u64::from(n)).list(n as usize, |r| r.next() as u32 >> (r.next() % 32));
        let address = gpu.upload(&keys);
        gpu.launch("sort_tiles", n / 1024, 512, arguments![address, 2u32, 1024u32]);
        let mut size = 2048;
        while size <= n {
            let mut stride = size / 2;
            while stride >= 1024 {
                gpu.launch("sort_step", n / 512, 256, arguments![address, size, stride]);
                stride /= 2;
            }
            gpu.launch("sort_tiles", n / 1024, 512, arguments![address, size, size]);
            size *= 2;
        }
        keys.sort_unstable();
        assert_eq!(gpu.download::<u32>(address, n as usize), keys, "{n}");
    }
}

#[test]
fn softmax() {
    let gpu = load("softmax");
    for (rows, columns) in [(1usize, 1usize), (5, 31), (9, 33), (16, 1000)] {
        let values = Random(columns as u64).list(rows * columns, |r| 20.0 * r.real());
        let (input, output) = (gpu.upload(&values), gpu.allocate(4 * rows * columns));
        let config = shape([rows.div_ceil(4) as u32, 1, 1], [32, 4, 1]);
        gpu.launch_as("softmax", &config, arguments![input, output, rows as u32, columns as u32]);
        let got = gpu.download::<f32>(output, rows * columns);
        for (row, values) in values.chunks(columns).enumerate() {
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let e: Vec<f64> = values.iter().map(|v| f64::from(v - largest).exp()).collect();
            let sum: f64 = e.iter().sum();
            for (i, e) in e.iter().enumerate() {
                near(got[row * columns + i], e / sum, e / sum * 4e-6 + 1e-38, format_args!("[{row}][{i}]"));
            }
        }
    }
}

#[test]
fn mandelbrot() {
    let gpu = load("mandelbrot");
    let (width, height, limit) = (83u32, 45u32, 300u32);
    let out = gpu.allocate(4 * (width * height) as usize);
    let config = shape([width.div_ceil(16), height.div_ceil(8), 1], [16, 8, 1]);
    let counters = gpu.launch_as("mandelbrot", &config, arguments![out, width, height, limit]);
    let got = gpu.download::<u32>(out, (width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let re = (3.0 * f64::from(x)) / f64::from(width) + -2.25;
            let im = (2.5 * f64::from(y)) / f64::from(height) + -1.25;
            let (mut a, mut b, mut n) = (0.0f64, 0.0f64, 0);
            // Contracted as nvcc does: both squares are rounded, their difference is not fused.
            while n < limit && a * a + b * b <= 4.0 {
                let (a2, b2) = (a * a, b * b);
                b = (2.0 * a).mul_add(b, im);
                a = a2 - b2 + re;
                n += 1;
            }
            assert_eq!(got[(y * width + x) as usize], n, "({x}, {y})");
        }
    }
    assert!(counters.divergent_branches > 0 && counters.average_active_lanes() < 31.0);
}
