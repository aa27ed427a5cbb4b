//! Calls, constants, printf, integer and half instructions, cooperation of blocks.

use crate::gpu::{Random, shape};
use crate::{arguments, load};
use cuda_emulator::exec::LaunchConfig;
use half::f16;
use std::sync::{Arc, Mutex};

#[test]
fn structures() {
    let gpu = load("calls");
    let n = 777;
    let mut random = Random(1);
    let a = random.list(n, |r| (r.next() % 10_000) as i32 - 5000);
    let b = random.list(n, |r| (r.next() % 10_000) as i32 + 1);
    let (low, high, scale) = (gpu.allocate(4 * n), gpu.allocate(8 * n), gpu.allocate(4 * n));
    gpu.launch(
        "call_structures",
        7,
        128,
        arguments![gpu.upload(&a), gpu.upload(&b), low, high, scale, n as u32],
    );
    let (low, high, scale) =
        (gpu.download::<i32>(low, n), gpu.download::<i64>(high, n), gpu.download::<f32>(scale, n));
    for i in 0..n {
        let (mut x, mut y) = (a[i], b[i]);
        while y != 0 {
            (x, y) = (y, x % y);
        }
        assert_eq!(
            (low[i], high[i], scale[i]),
            (x, i64::from(a[i]) * i64::from(b[i]), a[i] as f32 / b[i] as f32),
            "{i}"
        );
    }
}

#[test]
fn function_pointers() {
    let gpu = load("calls");
    let n = 1000;
    let mut random = Random(2);
    let which = random.list(n, |r| r.next() as u8);
    let (a, b) = (random.list(n, |r| r.real()), random.list(n, |r| r.real()));
    let out = gpu.allocate(4 * n);
    let counters = gpu.launch(
        "call_pointers",
        4,
        256,
        arguments![gpu.upload(&which), gpu.upload(&a), gpu.upload(&b), out, n as u32],
    );
    for (i, got) in gpu.download::<f32>(out, n).into_iter().enumerate() {
        let want = match which[i] % 4 {
            0 => a[i] + b[i],
            1 => a[i] - b[i],
            2 => a[i] * b[i],
            _ => a[i] / b[i],
        };
        assert_eq!(got, want, "{i}");
    }
    assert!(counters.average_active_lanes() < 32.0);
}

#[test]
fn local_arrays() {
    let gpu = load("calls");
    let n = 321;
    let order = Random(3).list(15 * n, |r| r.next() as u8);
    let out = gpu.allocate(4 * n);
    gpu.launch("local_array", 6, 64, arguments![gpu.upload(&order), out, n as u32]);
    for (i, got) in gpu.download::<u32>(out, n).into_iter().enumerate() {
        let mut values: Vec<u32> = (0..16).map(|j| (i * 16 + j) as u32).collect();
        for j in 0..15 {
            values.swap(j, order[i * 15 + j] as usize % 16);
        }
        assert_eq!(got, values.iter().fold(0u32, |h, v| h.wrapping_mul(31).wrapping_add(*v)), "{i}");
    }
}

#[test]
fn constants() {
    let gpu = load("constants");
    let n = 500;
    let values = Random(5).list(n, |r| 2.0 * r.real());
    let out = gpu.allocate(4 * n);
    for _ in 0..2 {
        gpu.launch("polynomial", 4, 128, arguments![gpu.upload(&values), out, n as u32]);
    }
    for (i, got) in gpu.download::<f32>(out, n).into_iter().enumerate() {
        let mut want = 0f32;
        for j in (0..8).rev() {
            want = want.mul_add(values[i], (-0.5f32).powi(j));
        }
        assert_eq!(got, want, "{i}");
    }
    let launches = gpu.module.global("launches").unwrap();
    assert_eq!(gpu.download::<u32>(launches.address, 1), [7]);
}

#[test]
fn constant_memory_that_the_host_fills() {
    let gpu = load("constants");
    let table: Vec<u32> = (0..256u32)
        .map(|i| (0..8).fold(i, |c, _| if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }))
        .collect();
    let place = gpu.module.global("table").unwrap();
    assert_eq!(place.bytes, 1024);
    gpu.write(place.address, &table);
    let (n, length) = (100, 77);
    let rows = Random(6).list(n * length, |r| r.next() as u8);
    let out = gpu.allocate(4 * n);
    gpu.launch("crc", 1, 128, arguments![gpu.upload(&rows), out, length as u32, n as u32]);
    for (i, got) in gpu.download::<u32>(out, n).into_iter().enumerate() {
        let crc = rows[i * length..][..length]
            .iter()
            .fold(u32::MAX, |c, &b| table[((c ^ u32::from(b)) & 0xff) as usize] ^ c >> 8);
        assert_eq!(got, !crc ^ u32::from(b"constant"[i % 8]), "{i}");
    }
}

#[test]
fn printf() {
    let gpu = load("printing");
    let text = Arc::new(Mutex::new(String::new()));
    let sink = text.clone();
    gpu.device.set_print(move |s| sink.lock().unwrap().push_str(s));
    let values = gpu.upload(&[1.5f32, -0.25, 1e10]);
    gpu.launch("print", 1, 3, arguments![values]);
    let lines = text.lock().unwrap().clone();
    assert_eq!(
        lines.lines().collect::<Vec<_>>(),
        [
            "block 0 thread 0: 1.500000 1.50e+00 0 even 0%",
            "block 0 thread 1: -0.250000 -2.50e-01 1000 odd 10000000000%",
            "block 0 thread 2: 10000000000.000000 1.00e+10 2000 even 20000000000%",
        ]
    );
}

#[test]
fn dot_products_of_bytes() {
    let gpu = load("integers");
    let (n, words) = (200, 9);
    let mut random = Random(7);
    let (a, b) = (random.list(n * words, |r| r.next() as i32), random.list(n * words, |r| r.next() as i32));
    let out = gpu.allocate(4 * n);
    gpu.launch("dot_i8", 2, 128, arguments![gpu.upload(&a), gpu.upload(&b), out, words as u32, n as u32]);
    for (i, got) in gpu.download::<i32>(out, n).into_iter().enumerate() {
        let bytes =
            |v: &[i32]| v[i * words..][..words].iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let want: i32 =
            bytes(&a).iter().zip(bytes(&b)).map(|(&x, y)| i32::from(x as i8) * i32::from(y as i8)).sum();
        assert_eq!(got, want, "{i}");
    }
}

#[test]
fn bit_tricks() {
    let gpu = load("integers");
    let n = 2000;
    let mut random = Random(8);
    let mut value = |r: &mut Random| r.next() as u32 >> (r.next() % 33).min(31);
    let a = random.list(n, &mut value);
    let b = random.list(n, |r| if r.next() % 9 == 0 { 0 } else { value(r) });
    let out = gpu.allocate(4 * n);
    gpu.launch("bit_tricks", 16, 128, arguments![gpu.upload(&a), gpu.upload(&b), out, n as u32]);
    for (i, got) in gpu.download::<u32>(out, n).into_iter().enumerate() {
        let (x, y) = (a[i], b[i]);
        let bytes = [x.to_le_bytes(), y.to_le_bytes()].concat();
        let mix = |r: u32, v: u32| r.wrapping_mul(33).wrapping_add(v);
        let mut r = 0;
        r = mix(r, x.count_ones());
        r = mix(r, x.leading_zeros());
        r = mix(r, if y == 0 { 0 } else { y.trailing_zeros() + 1 });
        r = mix(r, x.reverse_bits());
        r = mix(r, u32::from_le_bytes([bytes[0], bytes[4], bytes[1], bytes[5]]));
        r = mix(r, ((u64::from(y) << 32 | u64::from(x)) << (y & 31) >> 32) as u32);
        r = mix(r, ((u64::from(x) * u64::from(y)) >> 32) as u32);
        r = mix(r, ((i64::from(x as i32) * i64::from(y as i32)) >> 32) as u32);
        let differences =
            (0..4).map(|k| x.to_le_bytes()[k].abs_diff(y.to_le_bytes()[k])).collect::<Vec<u8>>();
        r = mix(r, u32::from_le_bytes(differences.try_into().unwrap()));
        r = mix(r, x.checked_div(y).unwrap_or(0)).wrapping_add(x.checked_rem(y).unwrap_or(0));
        r = mix(r, x.abs_diff(y).wrapping_add(7));
        r = mix(r, ((u64::from(x) << 32 | u64::from(y)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u32);
        assert_eq!(got, r, "{x:#x} {y:#x}");
    }
}

#[test]
fn pairs_of_halves() {
    let gpu = load("integers");
    let n = 301;
    let mut random = Random(9);
    let (x, y) =
        (random.list(2 * n, |r| f16::from_f32(r.real())), random.list(2 * n, |r| f16::from_f32(r.real())));
    let (out, sums) = (gpu.allocate(4 * n), gpu.upload(&[0f32; 3]));
    gpu.launch("axpy_half2", 3, 128, arguments![gpu.upload(&x), gpu.upload(&y), out, sums, 0.3f32, n as u32]);
    let got = gpu.download::<f16>(out, 2 * n);
    let a = f16::from_f32(0.3).to_f64();
    let mut want_sums = [0f64; 3];
    for i in 0..2 * n {
        // The product and sum are exact in f64.
        let want = f16::from_f64(a * x[i].to_f64() + y[i].to_f64()).max(f16::ZERO);
        assert_eq!(got[i].to_f32(), want.to_f32(), "{i}");
        want_sums[i / 256] += want.to_f64();
    }
    for (got, want) in gpu.download::<f32>(sums, 3).into_iter().zip(want_sums) {
        crate::gpu::near(got, want, want * 1e-5, "sum");
    }
}

#[test]
fn a_barrier_of_the_grid() {
    let gpu = load("cooperative");
    let (grid, block, rounds) = (9u32, 64u32, 5);
    let n = (grid * block) as usize;
    let mut values = Random(10).list(n, |r| r.next() as u32);
    let (a, b) = (gpu.upload(&values), gpu.upload(&vec![0u32; n]));
    let (arrived, phase) = (gpu.upload(&[0u32]), gpu.upload(&[0u32]));
    let config = LaunchConfig { cooperative: true, ..shape([grid, 1, 1], [block, 1, 1]) };
    gpu.launch_as("ring", &config, arguments![a, b, arrived, phase, rounds as u32]);
    for _ in 0..rounds {
        values = (0..n).map(|i| values[(i + n - 1) % n].wrapping_add(values[(i + 1) % n])).collect();
    }
    assert_eq!(gpu.download::<u32>(if rounds % 2 == 1 { b } else { a }, n), values);
}

#[test]
fn the_last_block_adds_up() {
    let gpu = load("cooperative");
    for (n, grid) in [(1000usize, 8u32), (100_000, 391)] {
        let values = Random(n as u64).list(n, |r| r.next() as u32);
        let (partial, done, total) =
            (gpu.allocate(4 * grid as usize), gpu.upload(&[0u32]), gpu.upload(&[0u32]));
        gpu.launch("last_block", grid, 256, arguments![gpu.upload(&values), partial, done, total, n as u32]);
        assert_eq!(gpu.download::<u32>(total, 1), [values.iter().fold(0u32, |a, v| a.wrapping_add(*v))]);
        assert_eq!(gpu.download::<u32>(done, 1), [0]);
    }
}
