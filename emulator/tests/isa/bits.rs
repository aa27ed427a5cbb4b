//! Bits and bit fields, bit by bit.

use crate::kit::{Reg, Snippet, columns, columns_of, edges, refusal, signed};

fn bit(v: u128, n: u32) -> u128 {
    v >> n & 1
}

fn each_width(mut run: impl FnMut(Reg, &str)) {
    run(Reg::B32, "32");
    run(Reg::B64, "64");
}

#[test]
fn counts() {
    each_width(|reg, width| {
        let bits = reg.bits();
        let rows = columns(&[reg], 500);
        let check = |text: &str, result: Reg, expected: &dyn Fn(u128) -> u128| {
            Snippet::new(text, &[reg], &[result]).check(&rows, |row| vec![expected(row[0])]);
        };
        check(&format!("popc.b{width} d0, a0;"), Reg::B32, &|v| (0..bits).map(|n| bit(v, n)).sum());
        check(&format!("clz.b{width} d0, a0;"), Reg::B32, &|v| {
            (0..bits).rev().position(|n| bit(v, n) == 1).unwrap_or(bits as usize) as u128
        });
        check(&format!("brev.b{width} d0, a0;"), reg, &|v| {
            (0..bits).map(|n| bit(v, n) << (bits - 1 - n)).sum()
        });
        for ty in ["u", "s"] {
            // The highest bit that differs from the sign; of unsigned numbers, the highest 1.
            let found = |v: u128| {
                let other = if ty == "s" && bit(v, bits - 1) == 1 { 0 } else { 1 };
                (0..bits).rev().find(|&n| bit(v, n) == other)
            };
            let none = 0xFFFF_FFFF;
            check(&format!("bfind.{ty}{width} d0, a0;"), Reg::B32, &|v| found(v).map_or(none, u128::from));
            check(&format!("bfind.shiftamt.{ty}{width} d0, a0;"), Reg::B32, &|v| {
                found(v).map_or(none, |n| u128::from(bits - 1 - n))
            });
        }
    });
}

/// Positions and lengths of bit fields: only the low 8 bits count.
fn places() -> Vec<u128> {
    vec![0, 1, 5, 31, 32, 33, 63, 64, 65, 127, 128, 255, 256, 0x105, 0xFFFF_FFFF]
}

#[test]
fn fields() {
    each_width(|reg, width| {
        let msb = reg.bits() - 1;
        for ty in ["u", "s"] {
            let registers = [reg, Reg::B32, Reg::B32];
            let rows = columns_of(&registers, &[edges(reg.bits()), places(), places()], 2000);
            Snippet::new(&format!("bfe.{ty}{width} d0, a0, a1, a2;"), &registers, &[reg]).check(
                &rows,
                |row| {
                    let (position, length) = (row[1] as u32 & 0xFF, row[2] as u32 & 0xFF);
                    let sign = match (ty, length) {
                        ("u", _) | (_, 0) => 0,
                        _ => bit(row[0], (position + length - 1).min(msb)),
                    };
                    let field = (0..=msb).map(|n| {
                        let inside = n < length && position + n <= msb;
                        if inside { bit(row[0], position + n) << n } else { sign << n }
                    });
                    vec![field.sum()]
                },
            );
        }
        let registers = [reg, reg, Reg::B32, Reg::B32];
        let some = vec![0, 0x1234_5678, u128::MAX >> (128 - reg.bits())];
        let rows = columns_of(&registers, &[some.clone(), some, places(), places()], 2000);
        Snippet::new(&format!("bfi.b{width} d0, a0, a1, a2, a3;"), &registers, &[reg]).check(&rows, |row| {
            let (position, length) = (row[2] as u32 & 0xFF, row[3] as u32 & 0xFF);
            let merged = (0..=msb).map(|n| {
                let inside = n >= position && n - position < length;
                if inside { bit(row[0], n - position) << n } else { bit(row[1], n) << n }
            });
            vec![merged.sum()]
        });
    });
}

#[test]
fn nth_set_bit() {
    let registers = [Reg::B32; 3];
    let offsets: Vec<u128> = [0, 1, 2, 3, 16, 32, 33, i32::MAX, -1, -2, -3, -16, -32, -33, i32::MIN]
        .map(|v| v as u32 as u128)
        .to_vec();
    let masks = vec![0, 1, 0x8000_0000, 0xAAAA_AAAA, 0xFFFF_FFFF, 0x00F0_0F00];
    let rows = columns_of(&registers, &[masks, (0..32).collect(), offsets], 0);
    Snippet::new("fns.b32 d0, a0, a1, a2;", &registers, &[Reg::B32]).check(&rows, |row| {
        let offset = signed(row[2], 32);
        let mut position = row[1] as i128;
        if offset == 0 {
            return vec![if bit(row[0], position as u32) == 1 { row[1] } else { 0xFFFF_FFFF }];
        }
        let mut left = offset.abs();
        while (0..32).contains(&position) {
            left -= i128::from(bit(row[0], position as u32) as u32);
            if left == 0 {
                return vec![position as u128];
            }
            position += offset.signum();
        }
        vec![0xFFFF_FFFF]
    });
}

#[test]
fn extensions_and_masks() {
    let registers = [Reg::B32; 2];
    let amounts = vec![0, 1, 8, 31, 32, 33, 40, 64, 0xFFFF_FFFF, 0x8000_0000];
    for (mode, clamp) in [("clamp", true), ("wrap", false)] {
        let amount = |n: u128| if clamp { n.min(32) } else { n % 32 } as u32;
        for ty in ["u32", "s32"] {
            let rows = columns_of(&registers, &[edges(32), amounts.clone()], 500);
            Snippet::new(&format!("szext.{mode}.{ty} d0, a0, a1;"), &registers, &[Reg::B32]).check(
                &rows,
                |row| {
                    let n = amount(row[1]);
                    let sign = if ty == "s32" && n > 0 { bit(row[0], n - 1) } else { 0 };
                    vec![(0..32).map(|i| if i < n { bit(row[0], i) << i } else { sign << i }).sum()]
                },
            );
        }
        let rows = columns_of(&registers, &[amounts.clone(), amounts.clone()], 500);
        Snippet::new(&format!("bmsk.{mode}.b32 d0, a0, a1;"), &registers, &[Reg::B32]).check(&rows, |row| {
            let (first, count) = (amount(row[0]), amount(row[1]));
            vec![(0..32).map(|i| u128::from(i >= first && i < first + count) << i).sum()]
        });
    }
}

#[test]
fn forms_that_do_not_exist() {
    for text in
        ["popc.u32 d0, a0;", "bfe.b32 d0, a0, a1, a2;", "szext.u32 d0, a0, a1;", "fns.b64 d0, a0, a1, a2;"]
    {
        refusal(text, &[Reg::B32; 3], &[Reg::B32]);
    }
}
