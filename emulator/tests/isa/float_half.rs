//! Half precision against exact arithmetic: both formats, alone and packed, with all modifiers.

use crate::exact::{BF16, Exact, F16, Format};
use crate::float_arithmetic::extremum;
use crate::floats::{columns, edges, few_edges};
use crate::kit::{Reg, Snippet, refusal};

/// The two formats by name.
const FORMATS: [(&str, Format); 2] = [("f16", F16), ("bf16", BF16)];

/// What becomes of a result.
fn finish(format: Format, bits: u64, modifier: &str) -> u64 {
    let bits = if modifier.contains("ftz") { format.flush(bits) } else { bits };
    let one = ((1 << (format.exponent - 1)) - 1) << format.fraction;
    let (nan, negative) = (format.is_nan(bits), format.is_negative(bits));
    if modifier.contains("sat") {
        return if nan || negative { 0 } else { bits.min(one) };
    }
    if modifier.contains("relu") && negative && !nan {
        0
    } else if nan {
        format.nan
    } else {
        bits
    }
}

/// Runs an instruction on single halves and on pairs (the same rows, and the rows from the end) against a function.
fn check(instruction: &str, ty: &str, columns: &[Vec<u128>], want: impl Fn(&[u64]) -> u64) {
    let operands = columns.len();
    let arguments: Vec<String> = (0..operands).map(|k| format!("a{k}")).collect();
    let arguments = arguments.join(", ");
    let text = format!("{instruction}.{ty} d0, {arguments};");
    let of = |row: &[u128], shift: u32| -> u128 {
        let row: Vec<u64> = row.iter().map(|&b| (b >> shift) as u64 & 0xFFFF).collect();
        want(&row).into()
    };
    let registers = vec![Reg::B16; operands];
    let snippet = Snippet { target: "sm_90", ..Snippet::new(&text, &registers, &[Reg::B16]) };
    snippet.check(columns, |row| vec![of(row, 0)]);
    let text = format!("{instruction}.{ty}x2 d0, {arguments};");
    let pairs: Vec<Vec<u128>> =
        columns.iter().map(|c| c.iter().zip(c.iter().rev()).map(|(a, b)| a | b << 16).collect()).collect();
    let registers = vec![Reg::B32; operands];
    let snippet = Snippet { target: "sm_90", ..Snippet::new(&text, &registers, &[Reg::B32]) };
    snippet.check(&pairs, |row| vec![of(row, 0) | of(row, 16) << 16]);
}

/// The encoding of a result that is zero, infinite or NaN, for operands of which one is.
fn special(format: Format, value: f64) -> u64 {
    let sign = if value.is_sign_negative() { format.sign() } else { 0 };
    match value {
        v if v.is_nan() => format.nan,
        v if v.is_infinite() => sign | (format.max + 1),
        _ => panic!("{value} is not special"),
    }
}

type Operation = (&'static str, usize, fn(&[Exact]) -> Exact, fn(&[f64]) -> f64);

const OPERATIONS: [Operation; 4] = [
    ("add", 2, |v| v[0].plus(&v[1], false), |v| v[0] + v[1]),
    (
        "sub",
        2,
        |v| v[0].plus(&Exact { negative: !v[1].negative, magnitude: v[1].magnitude.clone() }, false),
        |v| v[0] - v[1],
    ),
    ("mul", 2, |v| v[0].times(&v[1]), |v| v[0] * v[1]),
    ("fma.rn", 3, |v| v[0].times(&v[1]).plus(&v[2], false), |v| v[0] * v[1] + v[2]),
];

#[test]
fn arithmetic() {
    for (ty, format) in FORMATS {
        for (name, operands, exact, host) in OPERATIONS {
            let modifiers: &[&str] = match (ty, name) {
                ("f16", "fma.rn") => &["", ".ftz", ".sat", ".ftz.sat", ".relu", ".ftz.relu"],
                ("f16", _) => &["", ".rn", ".ftz", ".sat", ".rn.ftz.sat"],
                (_, "fma.rn") => &["", ".relu"],
                _ => &["", ".rn"],
            };
            let choices = if operands == 2 { edges(format) } else { few_edges(format) };
            let columns = columns(format, operands, &choices, 10_000);
            for modifier in modifiers {
                check(&format!("{name}{modifier}"), ty, &columns, |row| {
                    let flush = |&b: &u64| if modifier.contains("ftz") { format.flush(b) } else { b };
                    let row: Vec<u64> = row.iter().map(flush).collect();
                    let bits = if row.iter().all(|&b| format.is_finite(b)) {
                        let values: Vec<Exact> = row.iter().map(|&b| format.exact(b)).collect();
                        format.round(&exact(&values), "rn")
                    } else {
                        let values: Vec<f64> = row.iter().map(|&b| format.value(b)).collect();
                        special(format, host(&values))
                    };
                    finish(format, bits, modifier)
                });
            }
        }
    }
}

#[test]
fn minimum_and_maximum() {
    for (ty, format) in FORMATS {
        let columns = columns(format, 2, &edges(format), 5000);
        for name in ["min", "max"] {
            for modifier in ["", ".ftz", ".NaN", ".ftz.NaN", ".xorsign.abs", ".NaN.xorsign.abs"] {
                if ty == "bf16" && modifier.contains("ftz") {
                    continue;
                }
                check(&format!("{name}{modifier}"), ty, &columns, |row| {
                    let flush = |b| if modifier.contains("ftz") { format.flush(b) } else { b };
                    let (propagate, signs) = (modifier.contains("NaN"), modifier.contains("abs"));
                    extremum(format, flush(row[0]), flush(row[1]), name == "min", propagate, signs)
                });
            }
        }
    }
}

/// Every encoding.
fn all() -> Vec<Vec<u128>> {
    vec![(0..=0xFFFF).collect()]
}

#[test]
fn signs() {
    for (ty, format) in FORMATS {
        for modifier in if ty == "f16" { &["", ".ftz"][..] } else { &[""] } {
            let flush = |b| if modifier.is_empty() { b } else { format.flush(b) };
            check(&format!("abs{modifier}"), ty, &all(), |row| flush(row[0]) & 0x7FFF);
            check(&format!("neg{modifier}"), ty, &all(), |row| flush(row[0]) ^ 0x8000);
        }
    }
}

/// Runs a function of one half on every encoding, alone and packed; gives the results.
fn every(instruction: &str, ty: &str) -> Vec<u64> {
    let text = format!("{instruction}.{ty} d0, a0;");
    let snippet = Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B16], &[Reg::B16]) };
    let single = snippet.run(&all()).unwrap().remove(0);
    let text = format!("{instruction}.{ty}x2 d0, a0;");
    let snippet = Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B32], &[Reg::B32]) };
    let pairs = vec![(0..=0xFFFFu128).map(|b| b | (b ^ 0xFFFF) << 16).collect()];
    for (bits, pair) in snippet.run(&pairs).unwrap()[0].iter().enumerate() {
        assert_eq!(*pair, single[bits] | single[bits ^ 0xFFFF] << 16, "{text} {bits:#x}");
    }
    single.iter().map(|&b| b as u64).collect()
}

#[test]
fn hyperbolic_tangents() {
    for (ty, format) in FORMATS {
        let bound = if ty == "f16" { 2f64.powf(-10.987) } else { 2f64.powi(-8) };
        for (bits, result) in every("tanh.approx", ty).into_iter().enumerate() {
            let (x, got) = (format.value(bits as u64), format.value(result));
            if x.is_nan() {
                assert_eq!(result, format.nan);
            } else {
                assert!((got - x.tanh()).abs() <= bound, "tanh {x} is not {got} ({ty})");
                assert_eq!(got.is_sign_negative(), x.is_sign_negative(), "tanh {x} ({ty})");
            }
        }
    }
}

#[test]
fn powers_of_two() {
    for (ty, format) in FORMATS {
        let (instruction, bound) =
            if ty == "f16" { ("ex2.approx", 2f64.powf(-9.9)) } else { ("ex2.approx.ftz", 2f64.powi(-7)) };
        let (least, largest) = (format.value(1 << format.fraction), format.value(format.max));
        for (bits, result) in every(instruction, ty).into_iter().enumerate() {
            let (x, got) = (format.value(bits as u64), format.value(result));
            let want = x.exp2();
            if x.is_nan() {
                assert_eq!(result, format.nan);
            } else if want > largest {
                assert!(got >= largest, "2^{x} is not {got} ({ty})");
            } else if want >= least {
                assert!((got - want).abs() <= bound * want, "2^{x} is not {got} ({ty})");
            } else if ty == "f16" {
                assert!((got - want).abs() <= 2f64.powi(-24), "2^{x} is not {got} ({ty})");
            } else {
                assert!(got == 0.0 || got == least, "2^{x} is not {got} ({ty})");
            }
        }
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    let halves = [Reg::B16; 3];
    for text in [
        "add.rz.f16 d0, a0, a1;",
        "fma.f16 d0, a0, a1, a2;",
        "fma.rn.sat.relu.f16 d0, a0, a1, a2;",
        "fma.rn.ftz.bf16 d0, a0, a1, a2;",
        "add.bf16 d0, a0, a1;",
        "min.xorsign.f16 d0, a0, a1;",
        "max.xorsign.abs.f16 d0, a0, a1;",
        "tanh.approx.bf16 d0, a0;",
        "ex2.approx.ftz.f16 d0, a0;",
        "fma.rn.oob.f16 d0, a0, a1, a2;",
    ] {
        refusal(text, &halves, &[Reg::B16]);
    }
    refusal("add.f32.f16 d0, a0, a1;", &[Reg::B16, Reg::B32], &[Reg::B32]);
}
