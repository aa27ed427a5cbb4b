//! Comparisons and selections over all types.

use crate::kit::{Random, Reg, Snippet, columns, columns_of, edges, refusal, signed};
use half::{bf16, f16};
use std::cmp::Ordering;

/// What a comparison says of two values that compare so (`None`: one of them is NaN).
fn holds(name: &str, order: Option<Ordering>) -> bool {
    use Ordering::*;
    match name {
        "eq" => order == Some(Equal),
        "ne" => matches!(order, Some(Less | Greater)),
        "lt" | "lo" => order == Some(Less),
        "le" | "ls" => matches!(order, Some(Less | Equal)),
        "gt" | "hi" => order == Some(Greater),
        "ge" | "hs" => matches!(order, Some(Greater | Equal)),
        "num" => order.is_some(),
        "nan" => order.is_none(),
        unordered => order.is_none() || holds(unordered.strip_suffix('u').unwrap(), order),
    }
}

const FLOATING: [&str; 14] =
    ["eq", "ne", "lt", "le", "gt", "ge", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"];

fn integer_order(ty: &str, a: u128, b: u128) -> Option<Ordering> {
    let bits = Reg::of(ty).bits();
    Some(if ty.starts_with('s') { signed(a, bits).cmp(&signed(b, bits)) } else { a.cmp(&b) })
}

fn float_order(ty: &str, ftz: bool, a: u128, b: u128) -> Option<Ordering> {
    let number = |bits: u128| {
        let (value, least) = match ty {
            "f16" => (f64::from(f16::from_bits(bits as u16)), f64::from(f16::MIN_POSITIVE)),
            "bf16" => (f64::from(bf16::from_bits(bits as u16)), 0.0),
            "f32" => (f64::from(f32::from_bits(bits as u32)), f64::from(f32::MIN_POSITIVE)),
            _ => (f64::from_bits(bits as u64), 0.0),
        };
        if ftz && value.abs() < least { 0.0 } else { value }
    };
    number(a).partial_cmp(&number(b))
}

/// Floats of a type at which something may go wrong.
fn float_edges(ty: &str) -> Vec<u128> {
    let (bits, fraction) = match ty {
        "f16" => (16, 10),
        "bf16" => (16, 7),
        "f32" => (32, 23),
        _ => (64, 52),
    };
    let infinity: u128 = (1 << (bits - 1)) - (1 << fraction);
    let one = (infinity / 2) >> fraction << fraction;
    let magnitudes =
        [0, 1, (1 << fraction) - 1, 1 << fraction, one, one + 1, infinity - 1, infinity, infinity + 1];
    magnitudes.iter().flat_map(|m| [*m, m | 1 << (bits - 1)]).collect()
}

#[test]
fn integers() {
    for ty in ["b16", "b32", "b64", "u16", "u32", "u64", "s16", "s32", "s64"] {
        let reg = Reg::of(ty);
        let rows = columns(&[reg; 2], 200);
        let names: &[&str] = match &ty[..1] {
            "b" => &["eq", "ne"],
            "u" => &["eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs"],
            _ => &["eq", "ne", "lt", "le", "gt", "ge"],
        };
        for name in names {
            Snippet::new(&format!("setp.{name}.{ty} d0|d1, a0, a1;"), &[reg; 2], &[Reg::Pred; 2]).check(
                &rows,
                |row| {
                    let t = holds(name, integer_order(ty, row[0], row[1]));
                    vec![u128::from(t), u128::from(!t)]
                },
            );
        }
    }
}

#[test]
fn floats() {
    for (ty, ftz) in
        [("f16", false), ("f16", true), ("bf16", false), ("f32", false), ("f32", true), ("f64", false)]
    {
        let reg = match ty {
            "bf16" | "f16" => Reg::B16,
            _ => Reg::of(ty),
        };
        let edges = float_edges(ty);
        let rows = columns_of(&[reg; 2], &[edges.clone(), edges], 300);
        let flush = if ftz { ".ftz" } else { "" };
        for name in FLOATING {
            let text = format!("setp.{name}{flush}.{ty} d0, a0, a1;");
            Snippet { target: "sm_90", ..Snippet::new(&text, &[reg; 2], &[Reg::Pred]) }
                .check(&rows, |row| vec![u128::from(holds(name, float_order(ty, ftz, row[0], row[1])))]);
        }
    }
}

#[test]
fn pairs_of_halves() {
    for (ty, element, ftz) in [("f16x2", "f16", false), ("f16x2", "f16", true), ("bf16x2", "bf16", false)] {
        let halves = float_edges(element);
        let mut random = Random(3);
        let mut word = || {
            halves[random.next() as usize % halves.len()]
                | halves[random.next() as usize % halves.len()] << 16
        };
        let rows: Vec<Vec<u128>> = (0..2).map(|_| (0..2000).map(|_| word()).collect()).collect();
        let flush = if ftz { ".ftz" } else { "" };
        for name in FLOATING {
            let each = |row: &[u128]| {
                [0, 16].map(|shift| {
                    holds(name, float_order(element, ftz, row[0] >> shift & 0xFFFF, row[1] >> shift & 0xFFFF))
                })
            };
            let text = format!("setp.{name}{flush}.{ty} d0|d1, a0, a1;");
            Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B32; 2], &[Reg::Pred; 2]) }
                .check(&rows, |row| each(row).map(u128::from).to_vec());
            for (out, ones) in
                [(ty, if ty == "f16x2" { 0x3C00 } else { 0x3F80 }), ("u32", 0xFFFF), ("s32", 0xFFFF)]
            {
                let text = format!("set.{name}{flush}.{out}.{ty} d0, a0, a1;");
                Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B32; 2], &[Reg::B32]) }.check(
                    &rows,
                    |row| {
                        let [low, high] = each(row).map(|t| u128::from(t) * ones);
                        vec![low | high << 16]
                    },
                );
            }
        }
    }
}

#[test]
fn combined_with_a_predicate() {
    let registers = [Reg::B32, Reg::B32, Reg::Pred];
    let rows = columns_of(&registers, &[vec![1, 2, 3], vec![2], vec![0, 1]], 0);
    for operation in ["and", "or", "xor"] {
        for (sign, negated) in [("", false), ("!", true)] {
            let combine = |t: bool, c: u128| {
                let c = (c == 1) != negated;
                u128::from(match operation {
                    "and" => t && c,
                    "or" => t || c,
                    _ => t != c,
                })
            };
            let text = format!("setp.lt.{operation}.s32 d0|d1, a0, a1, {sign}a2;");
            Snippet::new(&text, &registers, &[Reg::Pred; 2]).check(&rows, |row| {
                let t = row[0] < row[1];
                vec![combine(t, row[2]), combine(!t, row[2])]
            });
            let text = format!("setp.lt.{operation}.s32 _|d0, a0, a1, {sign}a2;");
            Snippet::new(&text, &registers, &[Reg::Pred])
                .check(&rows, |row| vec![combine(row[0] >= row[1], row[2])]);
            let text = format!("set.lt.{operation}.f32.s32 d0, a0, a1, {sign}a2;");
            Snippet::new(&text, &registers, &[Reg::B32])
                .check(&rows, |row| vec![combine(row[0] < row[1], row[2]) * u128::from(1f32.to_bits())]);
            // Halves: one predicate for both.
            let text = format!("setp.lt.{operation}.f16x2 d0|d1, a0, a1, {sign}a2;");
            let halves =
                columns_of(&registers, &[vec![0x3C00_4000, 0x4000_3C00], vec![0x3E00_3E00], vec![0, 1]], 0);
            Snippet::new(&text, &registers, &[Reg::Pred; 2]).check(&halves, |row| {
                vec![combine(row[0] == 0x4000_3C00, row[2]), combine(row[0] == 0x3C00_4000, row[2])]
            });
        }
    }
}

#[test]
fn set_of_all_types() {
    for ty in ["b16", "u32", "s64", "f32", "f64"] {
        let reg = Reg::of(ty);
        let edges = if ty.starts_with('f') { float_edges(ty) } else { edges(reg.bits()) };
        let rows = columns_of(&[reg; 2], &[edges.clone(), edges], 100);
        let name = if ty.starts_with('b') { "ne" } else { "le" };
        let order =
            |a, b| if ty.starts_with('f') { float_order(ty, false, a, b) } else { integer_order(ty, a, b) };
        for (out, reg_out, ones) in [
            ("u32", Reg::B32, 0xFFFF_FFFF),
            ("s32", Reg::B32, 0xFFFF_FFFF),
            ("f32", Reg::B32, 0x3F80_0000),
            ("f16", Reg::B16, 0x3C00),
            ("bf16", Reg::B16, 0x3F80),
        ] {
            let text = format!("set.{name}.{out}.{ty} d0, a0, a1;");
            Snippet { target: "sm_90", ..Snippet::new(&text, &[reg; 2], &[reg_out]) }
                .check(&rows, |row| vec![u128::from(holds(name, order(row[0], row[1]))) * ones]);
        }
    }
    for ty in ["f16", "bf16"] {
        let rows = columns_of(&[Reg::B16; 2], &[float_edges(ty), float_edges(ty)], 0);
        for (out, reg_out, ones) in [
            ("u16", Reg::B16, 0xFFFF),
            ("s16", Reg::B16, 0xFFFF),
            ("u32", Reg::B32, 0xFFFF_FFFF),
            (ty, Reg::B16, 1),
        ] {
            let ones = match (out, ones) {
                ("f16", _) => 0x3C00,
                ("bf16", _) => 0x3F80,
                (_, ones) => ones,
            };
            let text = format!("set.gtu.{out}.{ty} d0, a0, a1;");
            Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B16; 2], &[reg_out]) }
                .check(&rows, |row| {
                    vec![u128::from(holds("gtu", float_order(ty, false, row[0], row[1]))) * ones]
                });
        }
    }
}

#[test]
fn selections() {
    for ty in ["b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"] {
        let reg = Reg::of(ty);
        let registers = [reg, reg, Reg::Pred];
        let rows = columns(&registers, 100);
        Snippet::new(&format!("selp.{ty} d0, a0, a1, a2;"), &registers, &[reg])
            .check(&rows, |row| vec![if row[2] == 1 { row[0] } else { row[1] }]);
        let registers = [reg, reg, Reg::B32];
        let rows = columns_of(&registers, &[vec![1, 2], vec![3], edges(32)], 100);
        Snippet::new(&format!("slct.{ty}.s32 d0, a0, a1, a2;"), &registers, &[reg])
            .check(&rows, |row| vec![if row[2] >> 31 == 0 { row[0] } else { row[1] }]);
        let rows = columns_of(&registers, &[vec![1, 2], vec![3], float_edges("f32")], 100);
        for (flush, ftz) in [("", false), (".ftz", true)] {
            Snippet::new(&format!("slct{flush}.{ty}.f32 d0, a0, a1, a2;"), &registers, &[reg]).check(
                &rows,
                |row| {
                    let order = float_order("f32", ftz, row[2], 0);
                    vec![if holds("ge", order) { row[0] } else { row[1] }]
                },
            );
        }
    }
    // A negated predicate and constants.
    Snippet::new("selp.b32 d0, 7, -1, a0;", &[Reg::Pred], &[Reg::B32])
        .check(&columns(&[Reg::Pred], 0), |row| vec![if row[0] == 1 { 7 } else { 0xFFFF_FFFF }]);
}

#[test]
fn forms_that_do_not_exist() {
    for text in [
        "setp.lt.b32 d0, a0, a1;",
        "setp.lo.s32 d0, a0, a1;",
        "setp.equ.u32 d0, a0, a1;",
        "setp.lt.ftz.s32 d0, a0, a1;",
        "setp.lt.and.s32 d0, a0, a1;",
        "setp.lt.s32 d0, a0, a1, d0;",
        "setp.between.s32 d0, a0, a1;",
    ] {
        refusal(text, &[Reg::B32; 2], &[Reg::Pred]);
    }
    for text in [
        "set.lt.u64.s32 d0, a0, a1;",
        "set.lt.f32.f16x2 d0, a0, a1;",
        "set.lt.f16x2.bf16x2 d0, a0, a1;",
        "selp.pred d0, a0, a1, a0;",
        "slct.b32.u32 d0, a0, a1, a1;",
    ] {
        refusal(text, &[Reg::B32; 2], &[Reg::B32]);
    }
}
