//! Video instructions against arithmetic in 128 bits.

use crate::kit::{Random, Reg, Snippet, columns_of, edges, low, refusal, signed};

/// Three operands: interesting words and random ones.
fn rows() -> Vec<Vec<u128>> {
    let words =
        vec![0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0x80FF_7F01];
    columns_of(&[Reg::B32; 3], &[words.clone(), words, vec![0, 0x1234_5678, 0x8765_4321, 0xFFFF_FFFF]], 300)
}

fn snippet(text: &str) -> Snippet<'_> {
    Snippet::new(text, &[Reg::B32; 3], &[Reg::B32])
}

/// The part of a word that a selector names, as a number; and a selector's first bit and width.
fn part(word: u128, selector: &str, is_signed: bool) -> i128 {
    let (shift, bits) = place(selector);
    let field = low(word as i128 >> shift, bits);
    if is_signed { signed(field, bits) } else { field as i128 }
}

fn place(selector: &str) -> (u32, u32) {
    match selector.as_bytes() {
        [] => (0, 32),
        [b'.', b'b', n] => (8 * u32::from(n - b'0'), 8),
        [_, _, n] => (16 * u32::from(n - b'0'), 16),
        other => panic!("{other:?}"),
    }
}

fn clamp(v: i128, bits: u32, is_signed: bool) -> i128 {
    if is_signed { v.clamp(-1 << (bits - 1), (1 << (bits - 1)) - 1) } else { v.clamp(0, (1 << bits) - 1) }
}

fn is_signed(ty: &str) -> bool {
    ty == "s32"
}

type Operation = fn(i128, i128) -> i128;

/// The operations of two numbers.
const OPERATIONS: [(&str, Operation); 5] = [
    ("vadd", |a, b| a + b),
    ("vsub", |a, b| a - b),
    ("vabsdiff", |a, b| (a - b).abs()),
    ("vmin", |a, b| a.min(b)),
    ("vmax", |a, b| a.max(b)),
];

/// What becomes of an exact result: a secondary operation with `c` or a merge into it.
fn finish(result: i128, second: &str, merge: &str, c: u128, signed_c: bool) -> u128 {
    let third = if signed_c { signed(c, 32) } else { c as i128 };
    let result = match second {
        ".add" => result + third,
        ".min" => result.min(third),
        ".max" => result.max(third),
        _ => result,
    };
    let (shift, bits) = place(merge);
    let hole = low(-1, bits) << shift;
    low(result, bits) << shift | c & !hole & 0xFFFF_FFFF
}

/// Every type, with selectors, saturation and what follows drawn from all there are.
#[test]
fn scalar() {
    let mut random = Random(11);
    let mut pick = |choices: &[&'static str]| choices[random.next() as usize % choices.len()];
    let rows = rows();
    let parts = ["", ".b0", ".b1", ".b2", ".b3", ".h0", ".h1"];
    let types = ["u32", "s32"];
    for (name, operation) in OPERATIONS {
        for _ in 0..40 {
            let (td, ta, tb) = (pick(&types), pick(&types), pick(&types));
            let (pa, pb, sat) = (pick(&parts), pick(&parts), pick(&["", ".sat"]));
            let second = pick(&["", ".add", ".min", ".max"]);
            let merge = if second.is_empty() { pick(&parts) } else { "" };
            let c = if second.is_empty() && merge.is_empty() { "" } else { ", a2" };
            let text = format!("{name}.{td}.{ta}.{tb}{sat}{second} d0{merge}, a0{pa}, a1{pb}{c};");
            snippet(&text).check(&rows, |row| {
                let exact = operation(part(row[0], pa, is_signed(ta)), part(row[1], pb, is_signed(tb)));
                let bits = place(merge).1;
                let result = if sat.is_empty() { exact } else { clamp(exact, bits, is_signed(td)) };
                vec![finish(result, second, merge, row[2], is_signed(td))]
            });
        }
    }
}

#[test]
fn shifts() {
    let mut random = Random(12);
    let mut pick = |choices: &[&'static str]| choices[random.next() as usize % choices.len()];
    let amounts = vec![0, 1, 31, 32, 33, 63, 64, 255, 0xFFFF_FFFF];
    let rows = columns_of(&[Reg::B32; 3], &[edges(32), amounts, vec![0, 0x8765_4321]], 300);
    for name in ["vshl", "vshr"] {
        for _ in 0..40 {
            let (td, ta, mode) = (pick(&["u32", "s32"]), pick(&["u32", "s32"]), pick(&["clamp", "wrap"]));
            let (pa, pb, sat) = (pick(&["", ".b1", ".h1"]), pick(&["", ".b0", ".h0"]), pick(&["", ".sat"]));
            let second = pick(&["", ".add", ".min", ".max"]);
            let merge = if second.is_empty() { pick(&["", ".b2", ".h1"]) } else { "" };
            let c = if second.is_empty() && merge.is_empty() { "" } else { ", a2" };
            let text = format!("{name}.{td}.{ta}.u32{sat}.{mode}{second} d0{merge}, a0{pa}, a1{pb}{c};");
            snippet(&text).check(&rows, |row| {
                let n = part(row[1], pb, false);
                let n = if mode == "clamp" { n.min(32) } else { n % 32 };
                let a = part(row[0], pa, is_signed(ta));
                let exact = if name == "vshl" { a << n } else { a >> n };
                let result = if sat.is_empty() { exact } else { clamp(exact, place(merge).1, is_signed(td)) };
                vec![finish(result, second, merge, row[2], is_signed(td))]
            });
        }
    }
}

fn compare(name: &str, a: i128, b: i128) -> i128 {
    i128::from(match name {
        "eq" => a == b,
        "ne" => a != b,
        "lt" => a < b,
        "le" => a <= b,
        "gt" => a > b,
        _ => a >= b,
    })
}

#[test]
fn comparisons() {
    let rows = rows();
    for name in ["eq", "ne", "lt", "le", "gt", "ge"] {
        for (ta, tb, pa, pb, second, merge) in [
            ("u32", "u32", "", "", "", ""),
            ("s32", "u32", "", "", ".add", ""),
            ("s32", "s32", ".b0", ".h1", ".max", ""),
            ("u32", "s32", ".h0", ".b3", ".min", ""),
            ("u32", "u32", ".b1", ".b1", "", ".h1"),
            ("s32", "s32", "", ".b2", "", ".b3"),
        ] {
            let c = if second.is_empty() && merge.is_empty() { "" } else { ", a2" };
            let text = format!("vset.{ta}.{tb}.{name}{second} d0{merge}, a0{pa}, a1{pb}{c};");
            snippet(&text).check(&rows, |row| {
                let holds = compare(name, part(row[0], pa, is_signed(ta)), part(row[1], pb, is_signed(tb)));
                vec![finish(holds, second, merge, row[2], false)]
            });
        }
    }
}

#[test]
fn multiply_add() {
    let mut random = Random(13);
    let mut pick = |choices: &[&'static str]| choices[random.next() as usize % choices.len()];
    let rows = rows();
    for _ in 0..120 {
        let (ta, tb) = (pick(&["u32", "s32"]), pick(&["u32", "s32"]));
        let (pa, pb) = (pick(&["", ".b3", ".h1"]), pick(&["", ".b0", ".h0"]));
        let (sat, scale) = (pick(&["", ".sat"]), pick(&["", ".shr7", ".shr15"]));
        let form = pick(&["", ".po", "-a", "-b", "-c"]);
        let minus = |operand: &str| if form == operand { "-" } else { "" };
        let po = if form == ".po" { ".po" } else { "" };
        let final_signed = is_signed(ta) || is_signed(tb) || form.starts_with('-');
        let td = if final_signed { "s32" } else { "u32" };
        let text = format!(
            "vmad.{td}.{ta}.{tb}{po}{sat}{scale} d0, {}a0{pa}, {}a1{pb}, {}a2;",
            minus("-a"),
            minus("-b"),
            minus("-c")
        );
        snippet(&text).check(&rows, |row| {
            let product = part(row[0], pa, is_signed(ta)) * part(row[1], pb, is_signed(tb));
            let c = |bits: u128| if final_signed { signed(bits, 32) } else { bits as i128 };
            let sum = match form {
                ".po" => product + c(row[2]) + 1,
                "-a" | "-b" => c(row[2]) - product,
                // The complement is taken in 32 bits, then extended.
                "-c" => product + c(low(!(row[2] as i128), 32)) + 1,
                _ => product + c(row[2]),
            };
            let scaled = match scale {
                ".shr7" => sum >> 7,
                ".shr15" => sum >> 15,
                _ => sum,
            };
            vec![low(if sat.is_empty() { scaled } else { clamp(scaled, 32, final_signed) }, 32)]
        });
    }
}

/// Halves or bytes: each element picked from either operand, kept or merged, or all summed.
#[test]
fn packed() {
    let mut random = Random(14);
    let rows = rows();
    for (suffix, letter, count, bits) in [("2", "h", 2usize, 16u32), ("4", "b", 4, 8)] {
        let names = ["vadd", "vsub", "vabsdiff", "vmin", "vmax", "vavrg", "vset"];
        for case in 0..names.len() * 30 {
            let name = names[case % names.len()];
            let mut pick = |choices: &[&'static str]| choices[random.next() as usize % choices.len()];
            let (td, ta, tb) = (pick(&["u32", "s32"]), pick(&["u32", "s32"]), pick(&["u32", "s32"]));
            let mut tail = pick(&["", ".sat", ".add"]);
            let comparison = pick(&["eq", "ne", "lt", "le", "gt", "ge"]);
            if name == "vset" && tail == ".sat" {
                tail = "";
            }
            // Selectors are written highest element first; none stands for a's elements, or b's.
            let mut selector = |first: usize| {
                if random.next().is_multiple_of(3) {
                    return (String::new(), (first..first + count).collect::<Vec<_>>());
                }
                let picks: Vec<usize> = (0..count).map(|_| random.next() as usize % (2 * count)).collect();
                let digits: String = picks.iter().rev().map(ToString::to_string).collect();
                (format!(".{letter}{digits}"), picks)
            };
            let ((pa, picks_a), (pb, picks_b)) = (selector(0), selector(count));
            let chosen = random.next() as usize % (1 << count);
            let enabled: Vec<usize> = (0..count).filter(|n| chosen == 0 || chosen >> n & 1 == 1).collect();
            let mask = match chosen {
                0 => String::new(),
                _ => {
                    format!(".{letter}{}", enabled.iter().rev().map(ToString::to_string).collect::<String>())
                }
            };
            let types =
                if name == "vset" { format!("{ta}.{tb}.{comparison}") } else { format!("{td}.{ta}.{tb}") };
            let text = format!("{name}{suffix}.{types}{tail} d0{mask}, a0{pa}, a1{pb}, a2;");
            snippet(&text).check(&rows, |row| {
                let element = |n: usize, ty: &str| {
                    let field = low((row[1] << 32 | row[0]) as i128 >> (n as u32 * bits), bits);
                    if is_signed(ty) { signed(field, bits) } else { field as i128 }
                };
                let result = |n: usize| {
                    let (a, b) = (element(picks_a[n], ta), element(picks_b[n], tb));
                    let exact = match name {
                        "vavrg" if a + b >= 0 => (a + b + 1).div_euclid(2),
                        "vavrg" => (a + b).div_euclid(2),
                        "vset" => compare(comparison, a, b),
                        _ => OPERATIONS.iter().find(|o| o.0 == name).unwrap().1(a, b),
                    };
                    if tail == ".sat" { clamp(exact, bits, is_signed(td)) } else { exact }
                };
                if tail == ".add" {
                    return vec![low(row[2] as i128 + enabled.iter().map(|&n| result(n)).sum::<i128>(), 32)];
                }
                let merged = (0..count).map(|n| {
                    let field = if enabled.contains(&n) {
                        low(result(n), bits)
                    } else {
                        row[2] >> (n as u32 * bits) & low(-1, bits)
                    };
                    field << (n as u32 * bits)
                });
                vec![merged.sum()]
            });
        }
    }
}

#[test]
fn forms_that_do_not_exist() {
    for text in [
        "vadd.u32.u32.u32 d0, a0.b4, a1;",
        "vadd.u32.u32.u32.add d0, a0, a1;",
        "vadd.u32.u32.u32 d0.h0, a0, a1;",
        "vadd.u32.u32.u32.add d0.h0, a0, a1, a2;",
        "vadd.u32.u32.u32 d0, -a0, a1;",
        "vshl.u32.u32.s32.clamp d0, a0, a1;",
        "vshl.u32.u32.u32 d0, a0, a1;",
        "vmad.u32.u32.u32.po d0, a0, a1, -a2;",
        "vadd2.u32.u32.u32 d0, a0, a1;",
        "vadd2.u32.u32.u32 d0, a0.h4, a1, a2;",
        "vadd2.u32.u32.u32 d0, a0.h40, a1, a2;",
        "vadd4.u32.u32.u32.sat.add d0, a0, a1, a2;",
        "vset4.u32.u32.lo d0, a0, a1, a2;",
    ] {
        refusal(text, &[Reg::B32; 3], &[Reg::B32]);
    }
}
