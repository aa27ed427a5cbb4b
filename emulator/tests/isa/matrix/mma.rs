//! `mma.sync`, every shape and type but `m8n8k4.f16`.

use super::element::{Kind, Sum};
use super::layout::{self, Shape};
use crate::kit::{Random, Reg, Snippet, refusal};

/// Warps, and so matrices, per launch.
const WARPS: usize = 8;

/// Elements of a matrix for every warp, as bits.
pub type Matrices = Vec<Vec<Vec<u64>>>;

pub fn random(rows: usize, columns: usize, mut element: impl FnMut() -> u64) -> Matrices {
    (0..WARPS).map(|_| (0..rows).map(|_| (0..columns).map(|_| element()).collect()).collect()).collect()
}

/// The registers of a fragment: for each, a value per thread. `place` says what element `i` of a lane is.
pub fn registers(
    matrices: &Matrices,
    bits: usize,
    elements: usize,
    place: impl Fn(usize, usize) -> (usize, usize),
) -> Vec<Vec<u128>> {
    let width = bits.max(32);
    let mut out = vec![vec![0; 32 * WARPS]; (elements * bits).div_ceil(width)];
    for (w, matrix) in matrices.iter().enumerate() {
        for lane in 0..32 {
            for i in 0..elements {
                let (row, column) = place(lane, i);
                out[i * bits / width][32 * w + lane] |= u128::from(matrix[row][column]) << (i * bits % width);
            }
        }
    }
    out
}

pub fn list(letter: &str, from: usize, count: usize) -> String {
    format!("{{{}}}", (from..from + count).map(|i| format!("{letter}{i}")).collect::<Vec<_>>().join(", "))
}

/// Checks `D` where `sum(warp, row, column)` says what it should be.
pub fn compare(
    text: &str,
    results: &[Vec<u128>],
    (bits, elements): (usize, usize),
    place: impl Fn(usize, usize) -> (usize, usize),
    sum: impl Fn(usize, usize, usize) -> u64,
) {
    let width = bits.max(32);
    for w in 0..WARPS {
        for lane in 0..32 {
            for i in 0..elements {
                let (row, column) = place(lane, i);
                let word = results[i * bits / width][32 * w + lane] >> (i * bits % width);
                let got = word as u64 & (u64::MAX >> (64 - bits));
                let want = sum(w, row, column);
                assert_eq!(
                    got, want,
                    "{text}: warp {w}, lane {lane}, element {i} = D[{row}][{column}]: {got:#x} {want:#x}"
                );
            }
        }
    }
}

struct Case {
    shape: Shape,
    a: Kind,
    b: Kind,
    sum: Sum,
    suffix: &'static str,
    saturate: bool,
}

fn check(case: &Case) {
    let Case { shape, a, b, sum, suffix, saturate } = *case;
    let (m, n, k) = shape;
    let mut numbers = Random((m * n * k) as u64);
    let (x, y, z) = (
        random(m, k, || a.random(&mut numbers)),
        random(k, n, || b.random(&mut Random(numbers.next()))),
        random(m, n, || sum.random(&mut Random(numbers.next() ^ 1))),
    );
    let elements = |rows: usize, columns: usize| rows * columns / 32;
    let sum_bits = match sum {
        Sum::F16 => 16,
        Sum::F64 => 64,
        _ => 32,
    };
    let mut operands = registers(&x, a.bits(), elements(m, k), |lane, i| layout::a(shape, a.bits(), lane, i));
    let (na, mut columns) = (operands.len(), std::mem::take(&mut operands));
    let b_registers = registers(&y, b.bits(), elements(k, n), |lane, i| layout::b(shape, b.bits(), lane, i));
    let nb = b_registers.len();
    columns.extend(b_registers);
    let c_registers = registers(&z, sum_bits, elements(m, n), layout::c);
    let nc = c_registers.len();
    columns.extend(c_registers);
    let text = format!(
        "mma.sync.aligned.m{m}n{n}k{k}.row.col{}.{sum}.{}.{}.{sum}{suffix} {}, {}, {}, {};",
        if saturate { ".satfinite" } else { "" },
        a.name(),
        b.name(),
        list("d", 0, nc),
        list("a", 0, na),
        list("a", na, nb),
        list("a", na + nb, nc),
        sum = sum.name(),
    );
    let register = if sum == Sum::F64 { Reg::B64 } else { Reg::B32 };
    let (operands, results) = (vec![register; na + nb + nc], vec![register; nc]);
    let target = if matches!(a, Kind::E4m3 | Kind::E5m2) {
        "sm_89"
    } else if sum == Sum::F64 {
        "sm_90"
    } else {
        "sm_80"
    };
    let got = Snippet { target, ..Snippet::new(&text, &operands, &results) }
        .run(&columns)
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let product = |x: u64, y: u64| match suffix {
        ".xor.popc" => ((x ^ y) as f64, 1.0),
        ".and.popc" => ((x & y) as f64, 1.0),
        _ => (a.value(x), b.value(y)),
    };
    compare(&text, &got, (sum_bits, elements(m, n)), layout::c, |w, row, column| {
        let products = (0..k).map(|i| product(x[w][row][i], y[w][i][column]));
        sum.of(z[w][row][column], products, saturate, sum)
    });
}

fn all(shapes: &[Shape], kinds: &[(Kind, Kind)], sums: &[Sum], suffix: &'static str) {
    for &shape in shapes {
        for &(a, b) in kinds {
            for &sum in sums {
                for saturate in [false, true] {
                    if !saturate || a.is_integer() {
                        check(&Case { shape, a, b, sum, suffix, saturate });
                    }
                }
            }
        }
    }
}

#[test]
fn halves() {
    all(&[(16, 8, 8), (16, 8, 16)], &[(Kind::F16, Kind::F16)], &[Sum::F32, Sum::F16], "");
    all(&[(16, 8, 8), (16, 8, 16)], &[(Kind::Bf16, Kind::Bf16)], &[Sum::F32], "");
}

#[test]
fn tf32() {
    all(&[(16, 8, 4), (16, 8, 8)], &[(Kind::Tf32, Kind::Tf32)], &[Sum::F32], "");
}

#[test]
fn doubles() {
    let shapes = [(8, 8, 4), (16, 8, 4), (16, 8, 8), (16, 8, 16)];
    all(&shapes, &[(Kind::F64, Kind::F64)], &[Sum::F64], "");
}

#[test]
fn eight_bits_of_floats() {
    use Kind::{E4m3, E5m2};
    let kinds = [(E4m3, E4m3), (E4m3, E5m2), (E5m2, E4m3), (E5m2, E5m2)];
    all(&[(16, 8, 16), (16, 8, 32)], &kinds, &[Sum::F32], "");
    all(&[(16, 8, 16), (16, 8, 32)], &kinds[..1], &[Sum::F16], "");
}

#[test]
fn bytes() {
    use Kind::{S8, U8};
    let kinds = [(S8, S8), (S8, U8), (U8, S8), (U8, U8)];
    all(&[(8, 8, 16), (16, 8, 16), (16, 8, 32)], &kinds, &[Sum::S32], "");
}

#[test]
fn nibbles() {
    use Kind::{S4, U4};
    let kinds = [(S4, S4), (S4, U4), (U4, S4), (U4, U4)];
    all(&[(8, 8, 32), (16, 8, 32), (16, 8, 64)], &kinds, &[Sum::S32], "");
}

#[test]
fn single_bits() {
    let shapes = [(8, 8, 128), (16, 8, 128), (16, 8, 256)];
    all(&shapes, &[(Kind::B1, Kind::B1)], &[Sum::S32], ".xor.popc");
    all(&shapes, &[(Kind::B1, Kind::B1)], &[Sum::S32], ".and.popc");
}

/// D in the registers of A, B and C, in any order.
#[test]
fn destinations_may_be_sources() {
    let text =
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {a6, a4, a9, a0}, {a0, a1, a2, a3}, {a4, a5},
        {a6, a7, a8, a9}; mov.b32 d0, a6; mov.b32 d1, a4; mov.b32 d2, a9; mov.b32 d3, a0;";
    let plain =
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {d0, d1, d2, d3}, {a0, a1, a2, a3}, {a4, a5},
        {a6, a7, a8, a9};";
    let mut numbers = Random(5);
    let mut register = |halves: bool| -> Vec<u128> {
        let mut one = || if halves { Kind::F16.random(&mut numbers) } else { 0 };
        (0..128).map(|i| u128::from(one() | one() << 16) | if halves { 0 } else { i << 20 }).collect()
    };
    let columns: Vec<Vec<u128>> = (0..10).map(|i| register(i < 6)).collect();
    let run = |text| Snippet::new(text, &[Reg::B32; 10], &[Reg::B32; 4]).run(&columns).unwrap();
    assert_eq!(run(text), run(plain));
}

#[test]
fn special_values() {
    let (inf, nan, one) = (0x7c00u128, 0x7e01u128, 0x3c00u128);
    // Row 0 of A is (x, 1, 0, …), column 0 of B is (1, y, 0, …), the rest is zero.
    let run = |x: u128, y: u128, c: u32| {
        let only =
            |lane: usize, value: u128| (0..32).map(|l| if l == lane { value } else { 0 }).collect::<Vec<_>>();
        let columns = [
            only(0, x | one << 16),
            only(0, 0),
            only(0, one | y << 16),
            only(0, u128::from(c)),
            only(0, 0),
            only(0, 0),
            only(0, 0),
        ];
        let text = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {d0, d1, d2, d3}, {a0, a1}, {a2}, {a3, a4, a5, a6};";
        Snippet { block: 32, ..Snippet::new(text, &[Reg::B32; 7], &[Reg::B32; 4]) }.run(&columns).unwrap()[0]
            [0]
    };
    assert_eq!(run(inf, one, 0), 0x7f80_0000);
    assert_eq!(run(inf, inf | 0x8000, 0), 0x7fff_ffff);
    assert_eq!(run(nan, one, 0), 0x7fff_ffff);
    assert_eq!(run(one, one, 0xff80_0000), 0xff80_0000);
    assert_eq!(run(one, one, 0xffc0_1234), 0x7fff_ffff);
    assert_eq!(run(1, 1, 0), u128::from(2f32.powi(-23).to_bits()));
}

#[test]
fn all_lanes_must_take_part() {
    let text = "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {d0, d1, d2, d3}, {a0, a1}, {a2}, {a3, a4, a5, a6};";
    let columns = vec![vec![0; 24]; 7];
    let error = Snippet { block: 32, ..Snippet::new(text, &[Reg::B32; 7], &[Reg::B32; 4]) }
        .run(&columns)
        .unwrap_err();
    assert!(error.to_string().contains("InactiveLane"), "{error}");
}

#[test]
fn what_there_is_not() {
    let refused = |modifiers: &str, count: usize, part: &str| {
        let text = format!(
            "mma.{modifiers} {}, {}, {}, {};",
            list("d", 0, count),
            list("a", 0, 4),
            list("a", 0, 2),
            list("a", 0, count)
        );
        let message = refusal(&text, &[Reg::B32; 8], &[Reg::B32; 8]);
        assert!(message.contains(part), "{modifiers}: {message}");
    };
    refused("sync.aligned.m16n8k16.col.col.f32.f16.f16.f32", 4, ".row");
    refused("sync.aligned.m16n8k32.row.col.f32.f16.f16.f32", 4, "m16n8k32");
    refused("sync.aligned.m16n8k16.row.col.f16.f16.f16.f32", 2, "F32");
    refused("sync.aligned.m16n8k16.row.col.f32.f16.bf16.f32", 4, "Bf16");
    refused("sync.aligned.m16n8k16.row.col.satfinite.f32.f16.f16.f32", 4, "satfinite");
    refused("sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", 3, "registers");
    refused("sync.aligned.m16n8k16.row.col.f32.f16.f16.f32.xor.popc", 4, "m16n8k16");
    refused("aligned.m16n8k16.row.col.f32.f16.f16.f32", 4, "sync");
}
