//! Single and double precision against exact arithmetic: every rounding, `.ftz`, `.sat`.

use crate::exact::{Exact, F32, F64, Format, MODES, Mode};
use crate::floats::{columns, edges, few_edges};
use crate::kit::{Reg, Snippet, refusal};

const NAN32: u64 = 0x7FFF_FFFF;

fn single(bits: u128) -> f32 {
    f32::from_bits(bits as u32)
}

fn double(bits: u128) -> f64 {
    f64::from_bits(bits as u64)
}

/// What becomes of a result in single precision.
fn finish(bits: u64, ftz: bool, sat: bool) -> u64 {
    let bits = if ftz { F32.flush(bits) } else { bits };
    let value = f32::from_bits(bits as u32);
    match value {
        v if v.is_nan() => {
            if sat {
                0
            } else {
                NAN32
            }
        }
        v if sat && v <= 0.0 => 0,
        v if sat && v > 1.0 => 1f32.to_bits().into(),
        _ => bits,
    }
}

/// An operation: what it gives for finite operands, exactly rounded, and for others.
struct Operation {
    name: &'static str,
    operands: usize,
    exact: fn(Format, &[Exact], Mode) -> Option<u64>,
    single: fn(&[f32]) -> f32,
    double: fn(&[f64]) -> f64,
}

const OPERATIONS: [Operation; 8] = [
    Operation {
        name: "add",
        operands: 2,
        exact: |f, v, m| Some(f.round(&v[0].plus(&v[1], m == "rm"), m)),
        single: |v| v[0] + v[1],
        double: |v| v[0] + v[1],
    },
    Operation {
        name: "sub",
        operands: 2,
        exact: |f, v, m| {
            let minus = Exact { negative: !v[1].negative, magnitude: v[1].magnitude.clone() };
            Some(f.round(&v[0].plus(&minus, m == "rm"), m))
        },
        single: |v| v[0] - v[1],
        double: |v| v[0] - v[1],
    },
    Operation {
        name: "mul",
        operands: 2,
        exact: |f, v, m| Some(f.round(&v[0].times(&v[1]), m)),
        single: |v| v[0] * v[1],
        double: |v| v[0] * v[1],
    },
    Operation {
        name: "div",
        operands: 2,
        exact: |f, v, m| (!v[1].magnitude.is_zero()).then(|| f.quotient(&v[0], &v[1], m)),
        single: |v| v[0] / v[1],
        double: |v| v[0] / v[1],
    },
    Operation {
        name: "fma",
        operands: 3,
        exact: |f, v, m| Some(f.round(&v[0].times(&v[1]).plus(&v[2], m == "rm"), m)),
        single: |v| v[0].mul_add(v[1], v[2]),
        double: |v| v[0].mul_add(v[1], v[2]),
    },
    Operation {
        name: "mad",
        operands: 3,
        exact: |f, v, m| Some(f.round(&v[0].times(&v[1]).plus(&v[2], m == "rm"), m)),
        single: |v| v[0].mul_add(v[1], v[2]),
        double: |v| v[0].mul_add(v[1], v[2]),
    },
    Operation {
        name: "rcp",
        operands: 1,
        exact: |f, v, m| (!v[0].magnitude.is_zero()).then(|| f.quotient(&Exact::integer(1), &v[0], m)),
        single: |v| 1.0 / v[0],
        double: |v| 1.0 / v[0],
    },
    Operation {
        name: "sqrt",
        operands: 1,
        exact: |f, v, m| (!v[0].negative || v[0].magnitude.is_zero()).then(|| f.root(&v[0], m)),
        single: |v| v[0].sqrt(),
        double: |v| v[0].sqrt(),
    },
];

/// The exact result for these encodings, if they are finite and it is.
fn exact(op: &Operation, format: Format, row: &[u64], mode: Mode) -> Option<u64> {
    if row.iter().all(|&bits| format.is_finite(bits)) {
        let values: Vec<Exact> = row.iter().map(|&bits| format.exact(bits)).collect();
        return (op.exact)(format, &values, mode);
    }
    None
}

fn rows(format: Format, operands: usize) -> Vec<Vec<u128>> {
    match operands {
        1 => columns(format, 1, &edges(format), 2000),
        2 => columns(format, 2, &edges(format), 1500),
        _ => columns(format, 3, &few_edges(format), 1500),
    }
}

fn check_single(op: &Operation, modifier: &str, mode: Mode) {
    let (ftz, sat) = (modifier.contains("ftz"), modifier.contains("sat"));
    let arguments: Vec<String> = (0..op.operands).map(|k| format!("a{k}")).collect();
    let text = format!("{}{modifier}.f32 d0, {};", op.name, arguments.join(", "));
    let registers = vec![Reg::B32; op.operands];
    Snippet::new(&text, &registers, &[Reg::B32]).check(&rows(F32, op.operands), |row| {
        let row: Vec<u64> = row.iter().map(|&b| if ftz { F32.flush(b as u64) } else { b as u64 }).collect();
        let bits = exact(op, F32, &row, mode).unwrap_or_else(|| {
            let values: Vec<f32> = row.iter().map(|&b| single(b.into())).collect();
            (op.single)(&values).to_bits().into()
        });
        vec![finish(bits, ftz, sat).into()]
    });
}

#[test]
fn single_precision() {
    for op in &OPERATIONS {
        for mode in MODES {
            check_single(op, &format!(".{mode}"), mode);
            check_single(op, &format!(".{mode}.ftz"), mode);
            if matches!(op.name, "add" | "sub" | "mul" | "fma" | "mad") {
                check_single(op, &format!(".{mode}.sat"), mode);
                check_single(op, &format!(".{mode}.ftz.sat"), mode);
            }
        }
    }
    for op in &OPERATIONS[..3] {
        check_single(op, "", "rn");
        check_single(op, ".ftz.sat", "rn");
    }
}

fn check_double(op: &Operation, modifier: &str, mode: Mode) {
    let arguments: Vec<String> = (0..op.operands).map(|k| format!("a{k}")).collect();
    let text = format!("{}{modifier}.f64 d0, {};", op.name, arguments.join(", "));
    let registers = vec![Reg::B64; op.operands];
    Snippet::new(&text, &registers, &[Reg::B64]).check(&rows(F64, op.operands), |row| {
        let row: Vec<u64> = row.iter().map(|&b| b as u64).collect();
        if let Some(&nan) = row.iter().find(|&&b| F64.is_nan(b)) {
            return vec![(nan | 1 << 51).into()];
        }
        let bits = exact(op, F64, &row, mode).unwrap_or_else(|| {
            let values: Vec<f64> = row.iter().map(|&b| double(b.into())).collect();
            let value = (op.double)(&values);
            if value.is_nan() { F64.nan } else { value.to_bits() }
        });
        vec![bits.into()]
    });
}

#[test]
fn double_precision() {
    for op in &OPERATIONS {
        for mode in MODES {
            check_double(op, &format!(".{mode}"), mode);
        }
    }
    for op in &OPERATIONS[..3] {
        check_double(op, "", "rn");
    }
}

/// The lesser or greater by the rules that PTX states, on magnitudes and signs.
pub fn extremum(format: Format, a: u64, b: u64, min: bool, propagate: bool, signs: bool) -> u64 {
    let magnitudes = format.sign() - 1;
    let sign = (a ^ b) & format.sign();
    let (x, y) = if signs { (a & magnitudes, b & magnitudes) } else { (a, b) };
    let chosen = match (format.is_nan(a), format.is_nan(b)) {
        (true, true) => return format.nan,
        (true, false) | (false, true) if propagate => return format.nan,
        (true, false) => y,
        (false, true) => x,
        (false, false) => {
            let rank = |v: u64| {
                let magnitude = (v & magnitudes) as i128;
                if v & format.sign() != 0 { -magnitude - 1 } else { magnitude }
            };
            if (rank(x) < rank(y)) == min { x } else { y }
        }
    };
    if signs { chosen | sign } else { chosen }
}

#[test]
fn minimum_and_maximum() {
    for name in ["min", "max"] {
        for modifier in ["", ".ftz", ".NaN", ".ftz.NaN", ".xorsign.abs", ".ftz.NaN.xorsign.abs"] {
            let text = format!("{name}{modifier}.f32 d0, a0, a1;");
            let snippet = Snippet { target: "sm_86", ..Snippet::new(&text, &[Reg::B32; 2], &[Reg::B32]) };
            snippet.check(&rows(F32, 2), |row| {
                let flush = |b: u128| {
                    if modifier.contains("ftz") { F32.flush(b as u64) } else { b as u64 }
                };
                let (propagate, signs) = (modifier.contains("NaN"), modifier.contains("abs"));
                vec![extremum(F32, flush(row[0]), flush(row[1]), name == "min", propagate, signs).into()]
            });
        }
        let text = format!("{name}.f64 d0, a0, a1;");
        Snippet::new(&text, &[Reg::B64; 2], &[Reg::B64]).check(&rows(F64, 2), |row| {
            let (a, b) = (row[0] as u64, row[1] as u64);
            let both = F64.is_nan(a) && F64.is_nan(b);
            let want = if both { a | 1 << 51 } else { extremum(F64, a, b, name == "min", false, false) };
            vec![want.into()]
        });
    }
}

#[test]
fn signs() {
    let (top32, top64) = (1u128 << 31, 1u128 << 63);
    for ftz in ["", ".ftz"] {
        let flush = |b: u128| if ftz.is_empty() { b } else { F32.flush(b as u64).into() };
        let text = format!("abs{ftz}.f32 d0, a0; neg{ftz}.f32 d1, a0;");
        Snippet::new(&text, &[Reg::B32], &[Reg::B32; 2])
            .check(&rows(F32, 1), |row| vec![flush(row[0]) & !top32, flush(row[0]) ^ top32]);
    }
    Snippet::new("abs.f64 d0, a0; neg.f64 d1, a0;", &[Reg::B64], &[Reg::B64; 2]).check(
        &rows(F64, 1),
        |row| {
            let nan = F64.is_nan(row[0] as u64);
            vec![if nan { row[0] } else { row[0] & !top64 }, row[0] ^ top64]
        },
    );
    Snippet::new("copysign.f32 d0, a0, a1;", &[Reg::B32; 2], &[Reg::B32])
        .check(&rows(F32, 2), |row| vec![row[0] & top32 | row[1] & !top32]);
    Snippet::new("copysign.f64 d0, a0, a1;", &[Reg::B64; 2], &[Reg::B64])
        .check(&rows(F64, 2), |row| vec![row[0] & top64 | row[1] & !top64]);
}

#[test]
fn properties() {
    type Property = fn(Format, u64) -> bool;
    let properties: [(&str, Property); 6] = [
        ("finite", |f, b| f.is_finite(b)),
        ("infinite", |f, b| !f.is_finite(b) && !f.is_nan(b)),
        ("number", |f, b| !f.is_nan(b)),
        ("notanumber", |f, b| f.is_nan(b)),
        ("normal", |f, b| f.is_finite(b) && !f.is_subnormal(b)),
        ("subnormal", |f, b| f.is_subnormal(b)),
    ];
    for (format, ty, reg) in [(F32, "f32", Reg::B32), (F64, "f64", Reg::B64)] {
        for (name, holds) in properties {
            Snippet::new(&format!("testp.{name}.{ty} d0, a0;"), &[reg], &[Reg::Pred])
                .check(&rows(format, 1), |row| vec![holds(format, row[0] as u64).into()]);
        }
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let registers = [Reg::B32; 3];
    for text in [
        "fma.f32 d0, a0, a1, a2;",
        "fma.rn.rz.f32 d0, a0, a1, a2;",
        "fma.rn.relu.f32 d0, a0, a1, a2;",
        "add.rna.f32 d0, a0, a1;",
        "div.f32 d0, a0, a1;",
        "div.approx.rn.f32 d0, a0, a1;",
        "sqrt.f32 d0, a0;",
        "min.abs.f32 d0, a0, a1;",
        "max.f32 d0, a0, a1, a2;",
        "testp.f32 d0, a0;",
        "tanh.f32 d0, a0;",
        "ex2.f32 d0, a0;",
    ] {
        let message = refusal(text, &registers, &[Reg::B32]);
        assert!(message.contains("snippet"), "{text}: {message}");
    }
    for text in ["add.sat.f64 d0, a0, a1;", "add.ftz.f64 d0, a0, a1;", "fma.f64 d0, a0, a1, a1;"] {
        refusal(text, &[Reg::B64; 2], &[Reg::B64]);
    }
    refusal("add.f32x2 d0, a0, a1;", &[Reg::B64; 2], &[Reg::B64]);
}
