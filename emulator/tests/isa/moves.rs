//! Moves, packing and unpacking, special registers.

use crate::kit::{Reg, Snippet, columns, refusal};

#[test]
fn registers_and_literals() {
    for ty in ["b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64", "b128"] {
        let reg = Reg::of(ty);
        Snippet::new(&format!("mov.{ty} d0, a0;"), &[reg], &[reg])
            .check(&columns(&[reg], 100), |row| row.to_vec());
    }
    let constant = |text: &str, reg: Reg, value: u128| {
        Snippet::new(text, &[Reg::B32], &[reg]).check(&columns(&[Reg::B32], 10), |_| vec![value]);
    };
    constant("mov.b32 d0, -2;", Reg::B32, 0xFFFF_FFFE);
    constant("mov.b16 d0, 0xABCD;", Reg::B16, 0xABCD);
    constant("mov.u64 d0, 0x123456789ABCDEF0;", Reg::B64, 0x1234_5678_9ABC_DEF0);
    constant("mov.s64 d0, -1;", Reg::B64, u128::from(u64::MAX));
    constant("mov.f32 d0, 0f3FC00000;", Reg::B32, 0x3FC0_0000);
    constant("mov.f32 d0, 1.5;", Reg::B32, 0x3FC0_0000);
    constant("mov.f64 d0, 0d3FF8000000000000;", Reg::B64, 0x3FF8_0000_0000_0000);
    constant("mov.f64 d0, 1.5;", Reg::B64, 0x3FF8_0000_0000_0000);
}

/// Parts of a value, lowest first, of every size.
#[test]
fn packing() {
    let all = |bits: u32| u128::MAX >> (128 - bits);
    for (whole, part, count) in [
        (Reg::B32, Reg::B16, 2),
        (Reg::B64, Reg::B32, 2),
        (Reg::B64, Reg::B16, 4),
        (Reg::B128, Reg::B64, 2),
        (Reg::B128, Reg::B32, 4),
    ] {
        let (bits, width) = (part.bits(), whole.bits());
        let sources: Vec<String> = (0..count).map(|i| format!("a{i}")).collect();
        let parts = vec![part; count];
        let rows: Vec<Vec<u128>> = (0..count)
            .map(|i| columns(&[part], 200)[0].iter().map(|v| v.rotate_left(i as u32) & all(bits)).collect())
            .collect();
        Snippet::new(&format!("mov.b{width} d0, {{{}}};", sources.join(", ")), &parts, &[whole])
            .check(&rows, |row| vec![row.iter().rev().fold(0, |sum, v| sum << bits | v)]);
        let results: Vec<String> = (0..count).map(|i| format!("d{i}")).collect();
        let rows = columns(&[whole], 200);
        Snippet::new(&format!("mov.b{width} {{{}}}, a0;", results.join(", ")), &[whole], &parts)
            .check(&rows, |row| (0..count).map(|i| row[0] >> (i as u32 * bits) & all(bits)).collect());
        // What is not wanted.
        let mut results = results.clone();
        results[0] = "_".to_string();
        let text = format!("mov.b{width} {{{}}}, a0; mov.b{bits} d0, 0;", results.join(", "));
        Snippet::new(&text, &[whole], &parts).check(&rows, |row| {
            (0..count).map(|i| if i == 0 { 0 } else { row[0] >> (i as u32 * bits) & all(bits) }).collect()
        });
    }
    // Four bytes; in registers of their own size they need a conversion to be stored.
    Snippet::new(
        "{ .reg .b8 x, y, z, w; .reg .b32 t; mov.b32 {x, y, z, w}, a0; mov.b32 d0, {w, z, y, x}; }",
        &[Reg::B32],
        &[Reg::B32],
    )
    .check(&columns(&[Reg::B32], 200), |row| vec![u128::from((row[0] as u32).swap_bytes())]);
}

/// Source and destination may share registers.
#[test]
fn exchange() {
    let text =
        "mov.b64 d0, {a1, a0}; { .reg .b32 x, y; mov.b64 {x, y}, d0; mov.b64 d0, {y, x}; mov.b64 {x, y}, d0;
        mov.b64 d1, {y, x}; }";
    Snippet::new(text, &[Reg::B32; 2], &[Reg::B64; 2])
        .check(&columns(&[Reg::B32; 2], 100), |row| vec![row[0] | row[1] << 32, row[1] | row[0] << 32]);
}

#[test]
fn special_registers() {
    let text = "{ .reg .b32 t<4>; mov.v4.u32 {t0, t1, t2, t3}, %tid; mov.u32 d0, t0; mov.u32 d1, %laneid;
        mov.u32 d2, %lanemask_lt; mov.u16 d3, %tid.x; mov.u32 d4, %ctaid.x; }";
    let rows = vec![(0..256).collect::<Vec<u128>>()];
    Snippet::new(text, &[Reg::B32], &[Reg::B32, Reg::B32, Reg::B32, Reg::B16, Reg::B32]).check(
        &rows,
        |row| {
            let (thread, lane) = (row[0] % 128, row[0] % 32);
            vec![thread, lane, (1 << lane) - 1, thread, row[0] / 128]
        },
    );
    // The clock goes on.
    Snippet::new(
        "{ .reg .b64 s, e; .reg .pred p; mov.u64 s, %clock64; mov.u64 e, %clock64; setp.gt.u64 p, e, s; selp.u32 d0, 1, 0, p; }",
        &[Reg::B32],
        &[Reg::B32],
    )
    .check(&columns(&[Reg::B32], 10), |_| vec![1]);
}

#[test]
fn forms_that_do_not_exist() {
    for text in ["mov.b32 d0, {a0, a0};", "mov.b64 d0, a0;", "mov.b32 {d0, d0, d0}, a0;", "mov.b32 d0, {a0};"]
    {
        refusal(text, &[Reg::B64], &[Reg::B32]);
    }
}
