//! Logic, shifts and permutations.

use crate::kit::{Reg, Snippet, columns, columns_of, edges, low, refusal, signed};

#[test]
fn bitwise() {
    for (width, reg) in [("16", Reg::B16), ("32", Reg::B32), ("64", Reg::B64)] {
        let all = u128::MAX >> (128 - reg.bits());
        let rows = columns(&[reg; 2], 200);
        let two = |name: &str, expected: fn(u128, u128) -> u128| {
            Snippet::new(&format!("{name}.b{width} d0, a0, a1;"), &[reg; 2], &[reg])
                .check(&rows, |row| vec![expected(row[0], row[1])]);
        };
        two("and", |a, b| a & b);
        two("or", |a, b| a | b);
        two("xor", |a, b| a ^ b);
        let rows = columns(&[reg], 200);
        let one = |name: &str, expected: &dyn Fn(u128) -> u128| {
            Snippet::new(&format!("{name}.b{width} d0, a0;"), &[reg], &[reg])
                .check(&rows, |row| vec![expected(row[0])]);
        };
        one("not", &|a| a ^ all);
        one("cnot", &|a| u128::from(a == 0));
    }
}

#[test]
fn predicates() {
    let rows = columns(&[Reg::Pred; 2], 0);
    let check = |text: &str, expected: fn(u128, u128) -> u128| {
        Snippet::new(text, &[Reg::Pred; 2], &[Reg::Pred]).check(&rows, |row| vec![expected(row[0], row[1])]);
    };
    check("and.pred d0, a0, a1;", |a, b| a & b);
    check("or.pred d0, a0, a1;", |a, b| a | b);
    check("xor.pred d0, a0, a1;", |a, b| a ^ b);
    check("and.pred d0, a0, !a1;", |a, b| a & (1 - b));
    check("or.pred d0, !a0, a1;", |a, b| (1 - a) | b);
    check("not.pred d0, a0;", |a, _| 1 - a);
    check("mov.pred d0, a1;", |_, b| b);
    check("mov.pred d0, !a1;", |_, b| 1 - b);
    check("mov.pred d0, 1;", |_, _| 1);
    // Lanes that a guard leaves out keep what they had.
    check("mov.pred d0, a0; @a1 mov.pred d0, 0;", |a, b| a & (1 - b));
    check("mov.pred d0, a0; @!a1 not.pred d0, a0;", |a, b| if b == 1 { a } else { 1 - a });
}

/// All 256 functions of three bits.
#[test]
fn lookup_tables() {
    let registers = [Reg::B32; 3];
    // Each combination of three bits in some position.
    let rows =
        columns_of(&registers, &[vec![0xF0F0_F0F0, 0x8000_0001], vec![0xCCCC_CCCC], vec![0xAAAA_AAAA]], 60);
    for table in 0..256u128 {
        let value = |row: &[u128]| -> u128 {
            (0..32)
                .map(|n| {
                    let entry = (row[0] >> n & 1) << 2 | (row[1] >> n & 1) << 1 | row[2] >> n & 1;
                    (table >> entry & 1) << n
                })
                .sum()
        };
        Snippet::new(&format!("lop3.b32 d0, a0, a1, a2, {table};"), &registers, &[Reg::B32])
            .check(&rows, |row| vec![value(row)]);
    }
    let registers = [Reg::B32, Reg::B32, Reg::B32, Reg::Pred];
    let some = || vec![0, 1, 0xFFFF_FFFF, 0x8000_0000];
    let rows = columns_of(&registers, &[some(), some(), some(), vec![0, 1]], 0);
    for (text, or, negated) in [
        ("lop3.or.b32 d0|d1, a0, a1, a2, 0x80, a3;", true, false),
        ("lop3.and.b32 d0|d1, a0, a1, a2, 0x80, a3;", false, false),
        ("lop3.and.b32 d0|d1, a0, a1, a2, 0x80, !a3;", false, true),
        (
            "lop3.and.b32 _|d1, a0, a1, a2, 0x80, a3; mov.u32 d0, a0; and.b32 d0, d0, a1; and.b32 d0, d0, a2;",
            false,
            false,
        ),
    ] {
        Snippet::new(text, &registers, &[Reg::B32, Reg::Pred]).check(&rows, |row| {
            let d = row[0] & row[1] & row[2];
            let q = (row[3] == 1) != negated;
            vec![d, u128::from(if or { d != 0 || q } else { d != 0 && q })]
        });
    }
}

#[test]
fn shifts() {
    let amounts = |bits: u32| {
        let bits = u128::from(bits);
        vec![0, 1, 7, bits - 1, bits, bits + 1, 2 * bits, 255, 256, 0x8000_0000, 0xFFFF_FFFF]
    };
    for (width, reg) in [("16", Reg::B16), ("32", Reg::B32), ("64", Reg::B64)] {
        let registers = [reg, Reg::B32];
        let rows = columns_of(&registers, &[edges(reg.bits()), amounts(reg.bits())], 500);
        let check = |name: &str, expected: &dyn Fn(u128, u32) -> u128| {
            Snippet::new(&format!("{name}{width} d0, a0, a1;"), &registers, &[reg])
                // Beyond 100 nothing changes any more.
                .check(&rows, |row| vec![expected(row[0], row[1].min(100) as u32)]);
        };
        check("shl.b", &|a, n| if n > 64 { 0 } else { low((a << n) as i128, reg.bits()) });
        check("shr.b", &|a, n| a >> n);
        check("shr.u", &|a, n| a >> n);
        check("shr.s", &|a, n| low(signed(a, reg.bits()) >> n, reg.bits()));
    }
}

#[test]
fn funnel_shifts() {
    let registers = [Reg::B32; 3];
    let amounts = vec![0, 1, 16, 31, 32, 33, 63, 64, 0xFFFF_FFFF];
    let rows = columns_of(&registers, &[edges(32), edges(32), amounts], 1000);
    for (mode, clamp) in [("clamp", true), ("wrap", false)] {
        let amount = |n: u128| if clamp { n.min(32) } else { n % 32 };
        Snippet::new(&format!("shf.l.{mode}.b32 d0, a0, a1, a2;"), &registers, &[Reg::B32])
            .check(&rows, |row| vec![((row[1] << 32 | row[0]) << amount(row[2])) >> 32 & 0xFFFF_FFFF]);
        Snippet::new(&format!("shf.r.{mode}.b32 d0, a0, a1, a2;"), &registers, &[Reg::B32])
            .check(&rows, |row| vec![(row[1] << 32 | row[0]) >> amount(row[2]) & 0xFFFF_FFFF]);
    }
}

#[test]
fn permutations() {
    let registers = [Reg::B32; 3];
    let byte = |row: &[u128], n: u32| (row[1] << 32 | row[0]) >> (8 * (n & 7)) & 0xFF;
    let values = vec![0x7856_3412, 0x80FF_7F01];
    let selectors = vec![0x3210, 0x7654, 0xFEDC, 0x0123, 0x8888, 0xABCD_3210, 0x9A5B];
    let rows = columns_of(&registers, &[values.clone(), values.clone(), selectors], 500);
    Snippet::new("prmt.b32 d0, a0, a1, a2;", &registers, &[Reg::B32]).check(&rows, |row| {
        let pick = |n: u32| {
            let digit = (row[2] >> (4 * n)) as u32;
            let byte = byte(row, digit);
            if digit & 8 == 0 { byte } else { byte / 128 * 255 }
        };
        vec![(0..4).map(|n| pick(n) << (8 * n)).sum()]
    });
    // Byte n of the result for each value of c, as the modes are described: a run upwards from c, a run downwards, one
    // byte, the edge clamped from the left and from the right, one half.
    type Mode = (&'static str, fn(u32, u32) -> u32);
    let modes: [Mode; 6] = [
        ("f4e", |c, n| c + n),
        ("b4e", |c, n| (8 + c - n) % 8),
        ("rc8", |c, _| c),
        ("ecl", |c, n| n.max(c)),
        ("ecr", |c, n| n.min(c)),
        ("rc16", |c, n| 2 * (c & 1) + n % 2),
    ];
    let rows = columns_of(&registers, &[values.clone(), values, vec![0, 1, 2, 3, 4, 0xFFFF_FFFE]], 100);
    for (mode, source) in modes {
        Snippet::new(&format!("prmt.b32.{mode} d0, a0, a1, a2;"), &registers, &[Reg::B32]).check(
            &rows,
            |row| {
                let c = row[2] as u32 & 3;
                vec![(0..4).map(|n| byte(row, source(c, n)) << (8 * n)).sum()]
            },
        );
    }
}

#[test]
fn forms_that_do_not_exist() {
    for text in [
        "and.u32 d0, a0, a1;",
        "lop3.b32 d0, a0, a1, a2, 256;",
        "lop3.b32 d0, a0, a1, a2, a0;",
        "lop3.xor.b32 d0, a0, a1, a2, 1;",
        "shf.l.b32 d0, a0, a1, a2;",
        "shl.s32 d0, a0, a1;",
        "prmt.b32.f5e d0, a0, a1, a2;",
        "not.pred d0, a0;",
    ] {
        refusal(text, &[Reg::B32; 3], &[Reg::B32]);
    }
}
