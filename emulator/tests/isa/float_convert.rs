//! `cvt` between all types against exact arithmetic.

use crate::exact::{BF16, E4M3, E5M2, Exact, F16, F32, F64, Format, MODES};
use crate::floats::{columns, edges};
use crate::kit::{Reg, Snippet, low, refusal, signed};

const INTEGERS: [&str; 8] = ["u8", "u16", "u32", "u64", "s8", "s16", "s32", "s64"];
const FLOATS: [(&str, Format); 4] = [("f16", F16), ("bf16", BF16), ("f32", F32), ("f64", F64)];
const INTEGRAL: [&str; 4] = ["rni", "rzi", "rmi", "rpi"];

fn bits_of(ty: &str) -> u32 {
    ty.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().unwrap()
}

/// The register for a type; bytes lie in registers of 16 bits.
fn register(ty: &str) -> Reg {
    match bits_of(ty) {
        8 | 16 => Reg::B16,
        32 => Reg::B32,
        _ => Reg::B64,
    }
}

fn is_signed(ty: &str) -> bool {
    ty.starts_with('s')
}

fn integer_of(ty: &str, bits: u128) -> i128 {
    let size = bits_of(ty);
    if is_signed(ty) { signed(bits, size) } else { low(bits as i128, size) as i128 }
}

fn range(ty: &str) -> (i128, i128) {
    let size = bits_of(ty);
    if is_signed(ty) { (-(1 << (size - 1)), (1 << (size - 1)) - 1) } else { (0, (1 << size) - 1) }
}

/// What a register of a size holds when a result of a type is written to it.
fn written(ty: &str, value: i128, register: Reg) -> u128 {
    low(integer_of(ty, value as u128), register.bits())
}

fn check(text: &str, from: Reg, to: Reg, columns: &[Vec<u128>], want: impl Fn(u128) -> u128) {
    let (from, to) = ([from], [to]);
    let snippet = Snippet { target: "sm_90", ..Snippet::new(text, &from, &to) };
    snippet.check(columns, |row| vec![want(row[0])]);
}

#[test]
fn integers_to_integers() {
    for from in INTEGERS {
        for to in INTEGERS {
            for source in [Reg::B16, Reg::B32, Reg::B64] {
                for target in [Reg::B16, Reg::B32, Reg::B64] {
                    if source.bits() < bits_of(from) || target.bits() < bits_of(to) {
                        continue;
                    }
                    let columns = crate::kit::columns(&[source], 100);
                    check(&format!("cvt.{to}.{from} d0, a0;"), source, target, &columns, |bits| {
                        written(to, integer_of(from, bits), target)
                    });
                    let ((low_to, high_to), (low_from, high_from)) = (range(to), range(from));
                    if low_from < low_to || high_from > high_to {
                        check(&format!("cvt.sat.{to}.{from} d0, a0;"), source, target, &columns, |bits| {
                            written(to, integer_of(from, bits).clamp(low_to, high_to), target)
                        });
                    }
                }
            }
        }
    }
}

#[test]
fn integers_to_floats() {
    for from in INTEGERS {
        let columns = crate::kit::columns(&[register(from)], 1000);
        for (to, format) in FLOATS {
            for mode in MODES {
                for modifier in ["", ".sat"] {
                    if to == "bf16" && (!modifier.is_empty() || bits_of(from) == 8) {
                        continue;
                    }
                    let text = format!("cvt.{mode}{modifier}.{to}.{from} d0, a0;");
                    check(&text, register(from), register(&to.replace("bf", "f")), &columns, |bits| {
                        let bits = format.round(&Exact::integer(integer_of(from, bits)), mode);
                        saturate(format, bits, modifier).into()
                    });
                }
            }
        }
    }
}

/// With `.sat`: to [0, 1].
fn saturate(format: Format, bits: u64, modifier: &str) -> u64 {
    let one = ((1 << (format.exponent - 1)) - 1) << format.fraction;
    if !modifier.contains("sat") {
        bits
    } else if format.is_nan(bits) || format.is_negative(bits) {
        0
    } else {
        bits.min(one)
    }
}

fn integral(x: f64, mode: &str) -> f64 {
    match mode {
        "rni" => x.round_ties_even(),
        "rzi" => x.trunc(),
        "rmi" => x.floor(),
        _ => x.ceil(),
    }
}

/// Operands of a floating type: all there are, or the edges, random ones, and those around the limits of integers.
fn operands(format: Format) -> Vec<Vec<u128>> {
    if format.bits() == 16 {
        return vec![(0..=0xFFFF).collect()];
    }
    let mut all = columns(format, 1, &edges(format), 3000);
    for power in [0, 1, 7, 8, 15, 16, 31, 32, 63, 64] {
        for offset in [-1.5, -1.0, -0.5, -0.25, 0.0, 0.25, 0.5, 1.0, 1.5] {
            for sign in [1.0, -1.0] {
                let x = sign * (2f64.powi(power) + offset);
                let bits = if format == F32 { u128::from((x as f32).to_bits()) } else { x.to_bits().into() };
                all[0].extend([bits.saturating_sub(1), bits, bits + 1]);
            }
        }
    }
    all
}

#[test]
fn floats_to_integers() {
    for (from, format) in FLOATS {
        let source = register(&from.replace("bf", "f"));
        let columns = operands(format);
        for to in INTEGERS {
            for mode in INTEGRAL {
                for modifier in ["", ".ftz", ".sat"] {
                    let brain = from == "bf16" && (modifier == ".sat" || bits_of(to) == 8);
                    if from != "f32" && modifier == ".ftz" || brain {
                        continue;
                    }
                    let text = format!("cvt.{mode}{modifier}.{to}.{from} d0, a0;");
                    check(&text, source, register(to), &columns, |bits| {
                        let bits = bits as u64;
                        let bits = if modifier == ".ftz" { format.flush(bits) } else { bits };
                        let x = integral(format.value(bits), mode);
                        let (least, largest) = range(to);
                        let result = if !x.is_nan() {
                            (x as i128).clamp(least, largest)
                        } else if from == "f64" || bits_of(to) == 64 {
                            1 << (bits_of(to) - 1)
                        } else {
                            0
                        };
                        written(to, result, register(to))
                    });
                }
            }
        }
    }
}

#[test]
fn results_fill_wider_registers() {
    let columns = operands(F32);
    check("cvt.rzi.s8.f32 d0, a0;", Reg::B32, Reg::B32, &columns, |bits| {
        low((f32::from_bits(bits as u32) as i8).into(), 32)
    });
    check("cvt.rzi.u8.f32 d0, a0;", Reg::B32, Reg::B64, &columns, |bits| {
        low((f32::from_bits(bits as u32) as u8).into(), 64)
    });
    let wide = crate::kit::columns(&[Reg::B64], 500);
    check("cvt.rn.f32.s32 d0, a0;", Reg::B64, Reg::B32, &wide, |bits| (bits as i32 as f32).to_bits().into());
    check("cvt.rn.f64.u8 d0, a0;", Reg::B32, Reg::B64, &crate::kit::columns(&[Reg::B32], 500), |bits| {
        f64::from(bits as u8).to_bits().into()
    });
    check("cvt.rn.f16.f32 d0, a0;", Reg::B32, Reg::B32, &columns, |bits| {
        convert(F32, F16, bits as u64, "rn").into()
    });
}

/// A float in another format, rounded.
fn convert(from: Format, to: Format, bits: u64, mode: &'static str) -> u64 {
    let sign = if from.is_negative(bits) { to.sign() } else { 0 };
    if from.is_nan(bits) {
        to.nan
    } else if from.is_finite(bits) {
        to.round(&from.exact(bits), mode)
    } else {
        sign | (to.max + 1)
    }
}

#[test]
fn floats_to_floats() {
    for (from, source) in FLOATS {
        let columns = operands(source);
        for (to, target) in FLOATS {
            let narrower = source.fraction > target.fraction || source.exponent > target.exponent;
            if source == target {
                continue;
            }
            for mode in if narrower { &MODES[..] } else { &[""] } {
                for modifier in ["", ".ftz", ".sat", ".ftz.sat"] {
                    let single = from == "f32" || to == "f32";
                    let brain = from == "bf16" || to == "bf16";
                    if modifier.contains("ftz") && !single || brain && modifier.contains("sat") {
                        continue;
                    }
                    let dot = if narrower { format!(".{mode}") } else { String::new() };
                    let text = format!("cvt{dot}{modifier}.{to}.{from} d0, a0;");
                    let (a, d) = (register(&from.replace("bf", "f")), register(&to.replace("bf", "f")));
                    let mode = if narrower { *mode } else { "rn" };
                    check(&text, a, d, &columns, |bits| {
                        let flush = |f: Format, b| {
                            if f == F32 && modifier.contains("ftz") { f.flush(b) } else { b }
                        };
                        let bits = flush(source, bits as u64);
                        // Doubles keep the sign and the payload of a single NaN.
                        if (from, to) == ("f32", "f64") && source.is_nan(bits) && !modifier.contains("sat") {
                            let payload = (bits & 0x7F_FFFF | 0x40_0000) << 29;
                            return ((bits >> 31) << 63 | 0x7FF << 52 | payload).into();
                        }
                        let bits = flush(target, convert(source, target, bits, mode));
                        saturate(target, bits, modifier).into()
                    });
                }
            }
        }
    }
}

#[test]
fn floats_to_integral_floats() {
    for (ty, format) in FLOATS {
        let reg = register(&ty.replace("bf", "f"));
        for mode in INTEGRAL {
            for modifier in ["", ".ftz", ".sat", ".ftz.sat"] {
                if modifier.contains("ftz") && ty != "f32" || ty == "bf16" && !modifier.is_empty() {
                    continue;
                }
                let text = format!("cvt.{mode}{modifier}.{ty}.{ty} d0, a0;");
                check(&text, reg, reg, &operands(format), |bits| {
                    let bits = bits as u64;
                    let bits = if modifier.contains("ftz") { format.flush(bits) } else { bits };
                    let x = integral(format.value(bits), mode);
                    let result =
                        if x.is_nan() { format.nan } else { convert(F64, format, x.to_bits(), "rn") };
                    saturate(format, result, modifier).into()
                });
            }
        }
    }
    for modifier in ["", ".ftz", ".sat", ".ftz.sat"] {
        check(&format!("cvt{modifier}.f32.f32 d0, a0;"), Reg::B32, Reg::B32, &operands(F32), |bits| {
            let bits = bits as u64;
            let bits = if modifier.contains("ftz") { F32.flush(bits) } else { bits };
            let bits = if F32.is_nan(bits) { F32.nan } else { bits };
            saturate(F32, bits, modifier).into()
        });
    }
}

/// A single as a half or quarter, with `.relu` and `.satfinite`.
fn clamped(from: Format, to: Format, bits: u64, mode: &'static str, modifier: &str) -> u64 {
    if from.is_nan(bits) {
        return to.nan;
    }
    let sign = if from.is_negative(bits) { to.sign() } else { 0 };
    let result = if from.is_finite(bits) { to.round(&from.exact(bits), mode) } else { sign | (to.max + 1) };
    if modifier.contains("relu") && from.is_negative(bits) {
        0
    } else if modifier.contains("satfinite") && result & (to.sign() - 1) > to.max {
        sign | to.max
    } else {
        result
    }
}

#[test]
fn singles_to_halves_and_pairs() {
    let columns = columns(F32, 2, &edges(F32), 3000);
    for (ty, format) in [("f16", F16), ("bf16", BF16)] {
        for mode in ["rn", "rz"] {
            for modifier in ["", ".relu", ".satfinite", ".relu.satfinite"] {
                let text = format!("cvt.{mode}{modifier}.{ty}.f32 d0, a0;");
                check(&text, Reg::B32, Reg::B16, &columns[..1], |a| {
                    clamped(F32, format, a as u64, mode, modifier).into()
                });
                let text = format!("cvt.{mode}{modifier}.{ty}x2.f32 d0, a0, a1;");
                Snippet::new(&text, &[Reg::B32; 2], &[Reg::B32]).check(&columns, |row| {
                    let of = |k: usize| clamped(F32, format, row[k] as u64, mode, modifier);
                    vec![(of(0) << 16 | of(1)).into()]
                });
            }
        }
    }
}

#[test]
fn quarters() {
    for (ty, format) in [("e4m3", E4M3), ("e5m2", E5M2)] {
        for modifier in ["", ".relu"] {
            let text = format!("cvt.rn{modifier}.f16x2.{ty}x2 d0, a0;");
            check(&text, Reg::B16, Reg::B32, &[(0..=0xFFFF).collect()], |bits| {
                let of = |quarter: u128| -> u128 {
                    let half = convert(format, F16, quarter as u64, "rn");
                    let relu = modifier == ".relu" && !F16.is_nan(half) && F16.is_negative(half);
                    if relu { 0 } else { half.into() }
                };
                of(bits >> 8) << 16 | of(bits & 0xFF)
            });
            let modifier = format!("{modifier}.satfinite");
            let text = format!("cvt.rn.satfinite{}.{ty}x2.f32 d0, a0, a1;", &modifier[..modifier.len() - 10]);
            let singles = columns(F32, 2, &edges(F32), 10_000);
            let near: Vec<Vec<u128>> = (0..2)
                .map(|k| (0..60_000u128).map(|n| (n * 0x1_0003 + (0x3A00_0000 << k)) & 0xFFFF_FFFF).collect())
                .collect();
            for columns in [singles, near] {
                let snippet = Snippet { target: "sm_89", ..Snippet::new(&text, &[Reg::B32; 2], &[Reg::B16]) };
                snippet.check(&columns, |row| {
                    let of = |k: usize| clamped(F32, format, row[k] as u64, "rn", &modifier);
                    vec![(of(0) << 8 | of(1)).into()]
                });
            }
            let text = format!("cvt.rn.satfinite{}.{ty}x2.f16x2 d0, a0;", &modifier[..modifier.len() - 10]);
            let pairs = [(0..=0xFFFFu128).map(|b| b << 16 | (b ^ 0x1234)).collect()];
            check(&text, Reg::B32, Reg::B16, &pairs, |bits| {
                let of = |b: u128| u128::from(clamped(F16, format, b as u64, "rn", &modifier));
                of(bits >> 16) << 8 | of(bits & 0xFFFF)
            });
        }
    }
}

#[test]
fn singles_to_tf32() {
    let tf32 = Format { fraction: 10, exponent: 8, max: 0x3_FBFF, nan: 0x3_FFFF };
    for (mode, modifier) in [("rna", ""), ("rna", ".satfinite"), ("rn", ""), ("rz", ""), ("rn", ".relu")] {
        let text = format!("cvt.{mode}{modifier}.tf32.f32 d0, a0;");
        check(&text, Reg::B32, Reg::B32, &operands(F32), |bits| {
            let bits = bits as u64;
            if F32.is_nan(bits) {
                0x7FFF_FFFF
            } else {
                (clamped(F32, tf32, bits, mode, modifier) << 13).into()
            }
        });
    }
}

#[test]
fn packing() {
    let registers = [Reg::B32; 3];
    let columns = crate::kit::columns(&registers, 1000);
    for ty in ["u16", "s16", "u8", "s8", "u4", "s4", "u2", "s2"] {
        let size = bits_of(ty);
        let third = if size < 16 { ".b32 d0, a0, a1, a2;" } else { " d0, a0, a1;" };
        let text = format!("cvt.pack.sat.{ty}.s32{third}");
        Snippet::new(&text, &registers, &[Reg::B32]).check(&columns, |row| {
            let (least, largest) = range(ty);
            let of = |bits: u128| low(signed(bits, 32).clamp(least, largest), size);
            let upper = if size < 16 { row[2] << (2 * size) } else { 0 };
            vec![(upper | of(row[0]) << size | of(row[1])) & 0xFFFF_FFFF]
        });
    }
}

#[test]
fn what_does_not_exist_is_refused() {
    for text in [
        "cvt.f16.f32 d0, a0;",
        "cvt.s32.f32 d0, a0;",
        "cvt.rn.s32.f32 d0, a0;",
        "cvt.rni.f16.f32 d0, a0;",
        "cvt.rni.s16.s32 d0, a0;",
        "cvt.f32.s32 d0, a0;",
        "cvt.rn.relu.f32.s32 d0, a0;",
        "cvt.rm.relu.f16.f32 d0, a0;",
        "cvt.rn.ftz.f16.s32 d0, a0;",
        "cvt.rn.satfinite.tf32.f32 d0, a0;",
        "cvt.rna.relu.tf32.f32 d0, a0;",
        "cvt.rs.f16x2.f32 d0, a0, a0, a0;",
        "cvt.rn.satfinite.e2m1x2.f32 d0, a0, a0;",
        "cvt.rn.satfinite.e4m3x2.f32 d0, a0, a0;",
        "cvt.rn.bf16.s32 d0, a0;",
        "cvt.sat.s32.u16 d0, a0;",
        "cvt.rn.f32.f16 d0, a0;",
        "cvt.rn.sat.bf16.f32 d0, a0;",
    ] {
        refusal(text, &[Reg::B32], &[Reg::B32]);
    }
}
