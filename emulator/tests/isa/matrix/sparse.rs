//! `mma.sp.sync`: a sparse A is laid out by the ISA's description, and its product compared with that of the whole.

use super::element::{Kind, Sum};
use super::layout;
use super::mma::{compare, list, random, registers};
use crate::kit::{Random, Reg, Snippet};

/// The bits of metadata of a row, and the columns of A that are there, for chunks chosen at random.
fn choose(kind: Kind, k: usize, ordered: bool, random: &mut Random) -> (u64, Vec<usize>) {
    let (mut bits, mut columns) = (0u64, Vec::new());
    if kind == Kind::Tf32 {
        for chunk in 0..k / 2 {
            let second = random.next() & 1;
            bits |= (if second == 1 { 0b1110 } else { 0b0100 }) << (4 * chunk);
            columns.push(2 * chunk + second as usize);
        }
        return (bits, columns);
    }
    let pair = if kind.bits() == 4 { 2 } else { 1 };
    for chunk in 0..k / (4 * pair) {
        let low = random.next() as usize % 4;
        let high = (low + 1 + random.next() as usize % 3) % 4;
        let (low, high) = if ordered { (low.min(high), low.max(high)) } else { (low, high) };
        bits |= ((high << 2 | low) as u64) << (4 * chunk);
        for index in [low, high] {
            columns.extend((0..pair).map(|i| (4 * chunk + index) * pair + i));
        }
    }
    (bits, columns)
}

/// The 32-bit word of metadata of a lane: rows i and i + 8 of lane group i. `first` is the first lane of the group that
/// contributes.
fn metadata(kind: Kind, rows: &[u64], lane: usize, first: usize, lanes: usize) -> u64 {
    let (group, Some(index)) = (lane / 4, (lane % 4).checked_sub(first).filter(|&i| i < lanes)) else {
        return 0xdead_beef; // of lanes that do not contribute
    };
    if kind.bits() >= 16 {
        // T0: columns of the first 16 bits, rows i (lower half) and i + 8; T1: the next.
        let part = |row: usize| rows[row] >> (16 * index) & 0xffff;
        part(group) | part(group + 8) << 16
    } else {
        // T0: row i, T1: row i + 8 of the first 32 bits; T2, T3: of the next.
        rows[group + index % 2 * 8] >> (32 * (index / 2)) & 0xffff_ffff
    }
}

fn check(k: usize, kind: Kind, sum: Sum, contributing: usize, ordered: bool) {
    let (m, n) = (16, 8);
    for selector in 0..4 / contributing {
        let mut numbers = Random((k + selector) as u64);
        let x = random(m, k / 2, || kind.random(&mut numbers));
        let y = random(k, n, || kind.random(&mut Random(numbers.next())));
        let z = random(m, n, || sum.random(&mut Random(numbers.next() ^ 1)));
        let chosen: Vec<Vec<(u64, Vec<usize>)>> = (0..x.len())
            .map(|_| (0..m).map(|_| choose(kind, k, ordered, &mut Random(numbers.next() ^ 2))).collect())
            .collect();
        // The compressed A is laid out as a dense one of half the depth.
        let a_shape = (16, 8, k / 2);
        let mut columns =
            registers(&x, kind.bits(), m * k / 64, |lane, i| layout::a(a_shape, kind.bits(), lane, i));
        let na = columns.len();
        columns.extend(registers(&y, kind.bits(), k * n / 32, |lane, i| {
            layout::b((16, 8, k), kind.bits(), lane, i)
        }));
        let nb = columns.len() - na;
        let sum_bits = if sum == Sum::F16 { 16 } else { 32 };
        columns.extend(registers(&z, sum_bits, 4, layout::c));
        let nc = columns.len() - na - nb;
        let word = |thread: usize| {
            let rows: Vec<u64> = chosen[thread / 32].iter().map(|row| row.0).collect();
            u128::from(metadata(kind, &rows, thread % 32, selector * contributing, contributing))
        };
        columns.push((0..columns[0].len()).map(word).collect());
        let text = format!(
            "mma.sp{}.sync.aligned.m16n8k{k}.row.col.{sum}.{kind}.{kind}.{sum} {}, {}, {}, {}, a{}, {selector};",
            if ordered { "::ordered_metadata" } else { "" },
            list("d", 0, nc),
            list("a", 0, na),
            list("a", na, nb),
            list("a", na + nb, nc),
            na + nb + nc,
            sum = sum.name(),
            kind = kind.name(),
        );
        let target = if matches!(kind, Kind::E4m3 | Kind::E5m2) { "sm_89" } else { "sm_80" };
        let (operands, results) = (vec![Reg::B32; columns.len()], vec![Reg::B32; nc]);
        let got = Snippet { target, ..Snippet::new(&text, &operands, &results) }
            .run(&columns)
            .unwrap_or_else(|e| panic!("{text}: {e}"));
        compare(&text, &got, (sum_bits, 4), layout::c, |w, row, column| {
            let products = chosen[w][row]
                .1
                .iter()
                .enumerate()
                .map(|(i, &at)| (kind.value(x[w][row][i]), kind.value(y[w][at][column])));
            sum.of(z[w][row][column], products, false, sum)
        });
    }
}

#[test]
fn every_type() {
    for ordered in [false, true] {
        for (kind, sum) in [(Kind::F16, Sum::F16), (Kind::F16, Sum::F32), (Kind::Bf16, Sum::F32)] {
            check(16, kind, sum, 1, ordered);
            check(32, kind, sum, 2, ordered);
        }
        check(8, Kind::Tf32, Sum::F32, 1, ordered);
        check(16, Kind::Tf32, Sum::F32, 2, ordered);
        for kind in [Kind::S8, Kind::U8] {
            check(32, kind, Sum::S32, 2, ordered);
            check(64, kind, Sum::S32, 4, ordered);
        }
        for kind in [Kind::S4, Kind::U4] {
            check(64, kind, Sum::S32, 2, ordered);
            check(128, kind, Sum::S32, 4, ordered);
        }
        for kind in [Kind::E4m3, Kind::E5m2] {
            check(64, kind, Sum::F32, 4, ordered);
        }
    }
}

#[test]
fn meaningless_metadata_is_reported() {
    for (variant, word) in [("sp", 0x4444_4445), ("sp::ordered_metadata", 0x4444_4441)] {
        let text = format!(
            "mma.{variant}.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {{d0, d1, d2, d3}}, {{a0, a1}}, {{a2, a3}}, {{a4, a5, a6, a7}}, a8, 1;"
        );
        let mut columns = vec![vec![0u128; 32]; 9];
        columns[8] = vec![word; 32];
        let snippet = Snippet { block: 32, ..Snippet::new(&text, &[Reg::B32; 9], &[Reg::B32; 4]) };
        let error = snippet.run(&columns).unwrap_err().to_string();
        assert!(error.contains("Undefined"), "{error}");
        columns[8] = vec![0x4444_4444; 32];
        snippet.run(&columns).unwrap();
    }
}
