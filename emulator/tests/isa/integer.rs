//! Integer arithmetic against arithmetic in 128 bits.

use crate::kit::{Random, Reg, Snippet, columns, columns_of, edges, low, refusal, signed};

const TYPES: [&str; 6] = ["u16", "u32", "u64", "s16", "s32", "s64"];

/// A value as a type sees it.
fn value(ty: &str, bits: u128) -> i128 {
    if ty.starts_with('s') { signed(bits, Reg::of(ty).bits()) } else { bits as i128 }
}

/// `instruction d0, a0, …` of one type against a function of its operands' values.
fn check(instruction: &str, ty: &str, operands: usize, expected: impl Fn(&[i128]) -> i128) {
    let reg = Reg::of(ty);
    let registers = vec![reg; operands];
    let arguments: Vec<String> = (0..operands).map(|i| format!("a{i}")).collect();
    let text = format!("{instruction} d0, {};", arguments.join(", "));
    let rows = if operands == 3 { few(&registers) } else { columns(&registers, 500) };
    Snippet::new(&text, &registers, &[reg]).check(&rows, |row| {
        let values: Vec<i128> = row.iter().map(|&bits| value(ty, bits)).collect();
        vec![low(expected(&values), reg.bits())]
    });
}

/// Three operands have too many combinations of all edges.
fn few(registers: &[Reg]) -> Vec<Vec<u128>> {
    let choices: Vec<Vec<u128>> = registers
        .iter()
        .map(|r| {
            let (all, top) = (u128::MAX >> (128 - r.bits()), 1 << (r.bits() - 1));
            vec![0, 1, 5, top - 1, top, top + 1, all - 1, all]
        })
        .collect();
    columns_of(registers, &choices, 1000)
}

/// The product of two values modulo 2^128, which holds every bit of it.
fn product(a: i128, b: i128) -> i128 {
    (a as u128).wrapping_mul(b as u128) as i128
}

/// The product's bits from `bits` on.
fn high_product(a: i128, b: i128, bits: u32) -> i128 {
    (product(a, b) as u128 >> bits) as i128
}

#[test]
fn sums_and_differences() {
    for ty in TYPES {
        check(&format!("add.{ty}"), ty, 2, |v| v[0] + v[1]);
        check(&format!("sub.{ty}"), ty, 2, |v| v[0] - v[1]);
        check(&format!("sad.{ty}"), ty, 3, |v| v[2] + (v[0] - v[1]).abs());
    }
    let clamp = |v: i128| v.clamp(i32::MIN.into(), i32::MAX.into());
    check("add.sat.s32", "s32", 2, |v| clamp(v[0] + v[1]));
    check("sub.sat.s32", "s32", 2, |v| clamp(v[0] - v[1]));
}

#[test]
fn products() {
    for ty in TYPES {
        let bits = Reg::of(ty).bits();
        check(&format!("mul.lo.{ty}"), ty, 2, |v| product(v[0], v[1]));
        check(&format!("mul.hi.{ty}"), ty, 2, |v| high_product(v[0], v[1], bits));
        check(&format!("mad.lo.{ty}"), ty, 3, |v| product(v[0], v[1]).wrapping_add(v[2]));
        check(&format!("mad.hi.{ty}"), ty, 3, |v| high_product(v[0], v[1], bits).wrapping_add(v[2]));
    }
    check("mad.hi.sat.s32", "s32", 3, |v| {
        (signed(low(high_product(v[0], v[1], 32), 32), 32) + v[2]).clamp(i32::MIN.into(), i32::MAX.into())
    });
}

#[test]
fn wide_products() {
    for (ty, wide) in [("u16", Reg::B32), ("s16", Reg::B32), ("u32", Reg::B64), ("s32", Reg::B64)] {
        let reg = Reg::of(ty);
        Snippet::new(&format!("mul.wide.{ty} d0, a0, a1;"), &[reg, reg], &[wide])
            .check(&columns(&[reg, reg], 500), |row| {
                vec![low(value(ty, row[0]) * value(ty, row[1]), wide.bits())]
            });
        Snippet::new(&format!("mad.wide.{ty} d0, a0, a1, a2;"), &[reg, reg, wide], &[wide])
            .check(&few(&[reg, reg, wide]), |row| {
                vec![low(value(ty, row[0]) * value(ty, row[1]) + row[2] as i128, wide.bits())]
            });
    }
}

#[test]
fn products_of_24_bits() {
    for ty in ["u32", "s32"] {
        let narrow = |v: i128| {
            let bits = low(v, 24);
            if ty == "s32" { signed(bits, 24) } else { bits as i128 }
        };
        for (part, shift) in [("lo", 0), ("hi", 16)] {
            let part_of = |v: &[i128]| (narrow(v[0]) * narrow(v[1])) >> shift;
            check(&format!("mul24.{part}.{ty}"), ty, 2, part_of);
            check(&format!("mad24.{part}.{ty}"), ty, 3, |v| part_of(v) + v[2]);
        }
    }
    check("mad24.hi.sat.s32", "s32", 3, |v| {
        let product = (signed(low(v[0], 24), 24) * signed(low(v[1], 24), 24)) >> 16;
        (signed(low(product, 32), 32) + v[2]).clamp(i32::MIN.into(), i32::MAX.into())
    });
}

/// By zero: all bits set, as hardware gives.
#[test]
fn quotients() {
    for ty in TYPES {
        check(&format!("div.{ty}"), ty, 2, |v| v[0].checked_div(v[1]).unwrap_or(-1));
        check(&format!("rem.{ty}"), ty, 2, |v| v[0].checked_rem(v[1]).unwrap_or(-1));
    }
}

#[test]
fn signs_and_order() {
    for ty in TYPES {
        check(&format!("min.{ty}"), ty, 2, |v| v[0].min(v[1]));
        check(&format!("max.{ty}"), ty, 2, |v| v[0].max(v[1]));
        if ty.starts_with('s') {
            check(&format!("abs.{ty}"), ty, 1, |v| v[0].abs());
            check(&format!("neg.{ty}"), ty, 1, |v| -v[0]);
        }
    }
}

/// An instruction of two halves (for `sm_90`) against a function of each.
fn check_packed(instruction: &str, is_signed: bool, expected: impl Fn(i128, i128) -> i128) {
    let text = format!("{instruction} d0, a0, a1;");
    let snippet = Snippet { target: "sm_90", ..Snippet::new(&text, &[Reg::B32; 2], &[Reg::B32]) };
    let halves: Vec<u128> = edges(16).iter().flat_map(|h| [h | 0x1234 << 16, h << 16 | 0xFFFF]).collect();
    snippet.check(&columns_of(&[Reg::B32; 2], &[halves.clone(), halves], 500), |row| {
        let half = |v: u128| if is_signed { signed(v, 16) } else { low(v as i128, 16) as i128 };
        let of = |shift: u32| low(expected(half(row[0] >> shift), half(row[1] >> shift)), 16) << shift;
        vec![of(0) | of(16)]
    });
}

#[test]
fn packed_halves() {
    for (ty, is_signed) in [("u16x2", false), ("s16x2", true)] {
        check_packed(&format!("add.{ty}"), is_signed, |a, b| a + b);
        check_packed(&format!("min.{ty}"), is_signed, |a, b| a.min(b));
        check_packed(&format!("max.{ty}"), is_signed, |a, b| a.max(b));
    }
    check_packed("min.relu.s16x2", true, |a, b| a.min(b).max(0));
    check_packed("max.relu.s16x2", true, |a, b| a.max(b).max(0));
    for (text, max) in [("min.relu.s32 d0, a0, a1;", false), ("max.relu.s32 d0, a0, a1;", true)] {
        let snippet = Snippet { target: "sm_90", ..Snippet::new(text, &[Reg::B32; 2], &[Reg::B32]) };
        snippet.check(&columns(&[Reg::B32; 2], 500), |row| {
            let (a, b) = (signed(row[0], 32), signed(row[1], 32));
            vec![low(if max { a.max(b) } else { a.min(b) }.max(0), 32)]
        });
    }
}

#[test]
fn dot_products() {
    let byte = |v: u128, n: u32, ty: &str| {
        let byte = v >> (8 * n) & 0xFF;
        if ty == "s32" { signed(byte, 8) } else { byte as i128 }
    };
    for ta in ["u32", "s32"] {
        for tb in ["u32", "s32"] {
            let registers = [Reg::B32; 3];
            Snippet::new(&format!("dp4a.{ta}.{tb} d0, a0, a1, a2;"), &registers, &[Reg::B32]).check(
                &columns_of(&registers, &[edges(32), edges(32), vec![0, 0x7FFF_FFFF]], 1000),
                |row| {
                    let sum: i128 = (0..4).map(|n| byte(row[0], n, ta) * byte(row[1], n, tb)).sum();
                    vec![low(sum + row[2] as i128, 32)]
                },
            );
            for (half, first) in [("lo", 0), ("hi", 2)] {
                Snippet::new(&format!("dp2a.{half}.{ta}.{tb} d0, a0, a1, a2;"), &registers, &[Reg::B32])
                    .check(
                        &columns_of(&registers, &[edges(32), edges(32), vec![0, 0x7FFF_FFFF]], 1000),
                        |row| {
                            let word = |n: u32| {
                                let word = row[0] >> (16 * n) & 0xFFFF;
                                if ta == "s32" { signed(word, 16) } else { word as i128 }
                            };
                            let sum: i128 = (0..2).map(|n| word(n) * byte(row[1], first + n, tb)).sum();
                            vec![low(sum + row[2] as i128, 32)]
                        },
                    );
            }
        }
    }
}

/// Numbers of 128 bits in four registers of 32 and two of 64.
#[test]
fn carry_chains() {
    let wide = [Reg::B128; 2];
    let split = ".reg .b32 x<4>, y<4>, z<4>; mov.b128 {a, b}, a0; mov.b128 {c, d}, a1;
        mov.b64 {x0, x1}, a; mov.b64 {x2, x3}, b; mov.b64 {y0, y1}, c; mov.b64 {y2, y3}, d;";
    let join = "mov.b64 a, {z0, z1}; mov.b64 b, {z2, z3}; mov.b128 d0, {a, b};";
    for (name, carry, ty) in [("add", "addc", "u32"), ("sub", "subc", "s32"), ("add", "addc", "s32")] {
        let text = format!(
            "{{ .reg .b64 a, b, c, d; {split}
            {name}.cc.{ty} z0, x0, y0; {carry}.cc.{ty} z1, x1, y1; {carry}.cc.{ty} z2, x2, y2;
            {carry}.cc.{ty} z3, x3, y3; {join} {carry}.{ty} d1, 0, 0; }}"
        );
        Snippet { target: "sm_80", ..Snippet::new(&text, &wide, &[Reg::B128, Reg::B32]) }.check(
            &columns(&wide, 500),
            |row| {
                let (sum, over) = match name {
                    "add" => row[0].overflowing_add(row[1]),
                    _ => row[0].overflowing_sub(row[1]),
                };
                // What comes out is added to 0 + 0, or taken from 0 − 0.
                let out = if name == "add" { i128::from(over) } else { -i128::from(over) };
                vec![sum, low(out, 32)]
            },
        );
    }
    for name in ["add", "sub"] {
        let text = format!(
            "{{ .reg .b64 a, b, c, d; mov.b128 {{a, b}}, a0; mov.b128 {{c, d}}, a1;
            {name}.cc.u64 a, a, c; {name}c.u64 b, b, d; mov.b128 d0, {{a, b}}; }}"
        );
        Snippet::new(&text, &wide, &[Reg::B128]).check(&columns(&wide, 500), |row| {
            vec![if name == "add" { row[0].wrapping_add(row[1]) } else { row[0].wrapping_sub(row[1]) }]
        });
    }
}

/// Products of 64 bits by parts of 32, of 128 by parts of 64.
#[test]
fn products_with_carry() {
    let operands = [Reg::B64; 2];
    let text = "{ .reg .b32 x0, x1, y0, y1, z0, z1, z2, z3; .reg .b64 l, h;
        mov.b64 {x0, x1}, a0; mov.b64 {y0, y1}, a1;
        mul.lo.u32 z0, x0, y0; mul.hi.u32 z1, x0, y0;
        mad.lo.cc.u32 z1, x0, y1, z1; madc.hi.u32 z2, x0, y1, 0;
        mad.lo.cc.u32 z1, x1, y0, z1; madc.hi.cc.u32 z2, x1, y0, z2; addc.u32 z3, 0, 0;
        mad.lo.cc.u32 z2, x1, y1, z2; madc.hi.u32 z3, x1, y1, z3;
        mov.b64 l, {z0, z1}; mov.b64 h, {z2, z3}; mov.b128 d0, {l, h}; }";
    Snippet::new(text, &operands, &[Reg::B128]).check(&columns(&operands, 500), |row| vec![row[0] * row[1]]);
    let text = "mad.lo.cc.s64 d0, a0, a1, a2; madc.hi.s64 d1, a0, a1, 0;";
    let registers = [Reg::B64; 3];
    Snippet::new(text, &registers, &[Reg::B64; 2]).check(&few(&registers), |row| {
        // The low part and what it carries; the high part is that of the signed product.
        let product = signed(row[0], 64) * signed(row[1], 64);
        let (lo, carry) = (product as u64).overflowing_add(row[2] as u64);
        vec![lo.into(), ((product >> 64) as u64).wrapping_add(carry.into()).into()]
    });
    for (ty, is_signed) in [("u32", false), ("s32", true)] {
        let text =
            format!("mad.hi.cc.{ty} d0, a0, a1, a2; madc.lo.cc.{ty} d1, a0, a1, a2; addc.{ty} d2, 0, 0;");
        let registers = [Reg::B32; 3];
        Snippet::new(&text, &registers, &[Reg::B32; 3]).check(&few(&registers), |row| {
            let number = |v: u128| if is_signed { signed(v, 32) } else { v as i128 };
            let product = number(row[0]) * number(row[1]);
            let first = low(product >> 32, 32) + row[2];
            let second = low(product, 32) + row[2] + (first >> 32);
            vec![first & 0xFFFF_FFFF, second & 0xFFFF_FFFF, second >> 32]
        });
    }
}

/// The carry flag is each lane's own: lanes that do not execute an instruction keep theirs.
#[test]
fn carry_of_inactive_lanes() {
    let text = "{ .reg .pred p; .reg .b32 t; setp.ne.u32 p, a2, 0;
        add.cc.u32 t, a0, a1; @p add.cc.u32 t, 0, 0; addc.u32 d0, 0, 0; }";
    let registers = [Reg::B32; 3];
    let mut random = Random(7);
    let rows: Vec<Vec<u128>> = (0..3)
        .map(|column| {
            (0..256).map(|_| if column == 2 { random.value(32) & 1 } else { random.value(32) }).collect()
        })
        .collect();
    Snippet::new(text, &registers, &[Reg::B32])
        .check(&rows, |row| vec![if row[2] != 0 { 0 } else { (row[0] + row[1]) >> 32 }]);
}

#[test]
fn immediates() {
    let snippet = |text| Snippet::new(text, &[Reg::B32], &[Reg::B32]);
    snippet("add.s32 d0, a0, -3;").check(&columns(&[Reg::B32], 50), |r| vec![low(r[0] as i128 - 3, 32)]);
    snippet("sub.u32 d0, 0xFFFFFFFF, a0;").check(&columns(&[Reg::B32], 50), |r| vec![0xFFFF_FFFF - r[0]]);
    let wide = Snippet::new("add.s64 d0, a0, -3;", &[Reg::B64], &[Reg::B64]);
    wide.check(&columns(&[Reg::B64], 50), |r| vec![low(r[0] as i128 - 3, 64)]);
    let narrow = Snippet::new("max.s16 d0, a0, -3;", &[Reg::B16], &[Reg::B16]);
    narrow.check(&columns(&[Reg::B16], 50), |r| vec![low(signed(r[0], 16).max(-3), 16)]);
}

/// Assemblers do not mind the order of modifiers, and there is code that relies on that.
#[test]
fn modifiers_in_any_order() {
    let rows = columns(&[Reg::B32; 2], 50);
    let clamp = |v: i128| low(v.clamp(i32::MIN.into(), i32::MAX.into()), 32);
    Snippet::new("add.s32.sat d0, a0, a1;", &[Reg::B32; 2], &[Reg::B32])
        .check(&rows, |row| vec![clamp(signed(row[0], 32) + signed(row[1], 32))]);
    Snippet::new("setp.s32.lt d0, a0, a1;", &[Reg::B32; 2], &[Reg::Pred])
        .check(&rows, |row| vec![u128::from(signed(row[0], 32) < signed(row[1], 32))]);
    let snippet = Snippet::new("min.s16x2.relu d0, a0, a1;", &[Reg::B32; 2], &[Reg::B32]);
    Snippet { target: "sm_90", ..snippet }.check(&rows, |row| {
        let half = |shift: u32| signed(row[0] >> shift, 16).min(signed(row[1] >> shift, 16)).max(0);
        vec![low(half(0), 16) | low(half(16), 16) << 16]
    });
}

#[test]
fn forms_that_do_not_exist() {
    let refused = |text: &str, r: Reg| {
        let message = refusal(text, &[r; 3], &[r]);
        assert!(message.contains("snippet") && message.contains("line"), "{text}: {message}");
    };
    refused("add.sat.s64 d0, a0, a1;", Reg::B64);
    refused("add.b32 d0, a0, a1;", Reg::B32);
    refused("mad.lo.sat.s32 d0, a0, a1, a2;", Reg::B32);
    refused("mad24.lo.sat.s32 d0, a0, a1, a2;", Reg::B32);
    refused("mul.wide.u64 d0, a0, a1;", Reg::B64);
    refused("min.relu.s64 d0, a0, a1;", Reg::B64);
    refused("abs.u32 d0, a0;", Reg::B32);
    refused("add.u32 d0, a0;", Reg::B32);
    refused("add.u32 d0, a0, a1;", Reg::B64);
    refused("add.u64 d0, a0, a1;", Reg::B32);
    refused("add.u32.wrong d0, a0, a1;", Reg::B32);
}
