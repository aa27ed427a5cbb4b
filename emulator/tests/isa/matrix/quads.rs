//! `mma.sync.m8n8k4` of `f16`: four products by lanes 0–3 and 16–19, 4–7 and 20–23, and so on.

use super::element::{Kind, Sum};
use super::mma::{list, random};
use crate::kit::{Random, Reg, Snippet};

fn high(lane: usize) -> usize {
    if lane < 16 { 0 } else { 4 }
}

fn a(column_major: bool, lane: usize, i: usize) -> (usize, usize) {
    if column_major { (i % 4 + high(lane), lane % 4) } else { (lane % 4 + high(lane), i) }
}

fn b(column_major: bool, lane: usize, i: usize) -> (usize, usize) {
    if column_major { (i, lane % 4 + high(lane)) } else { (lane % 4, i + high(lane)) }
}

fn c(sum: Sum, lane: usize, i: usize) -> (usize, usize) {
    match sum {
        Sum::F16 => (lane % 4 + high(lane), i),
        _ => ((lane & 1) + (i & 2) + high(lane), (i & 4) + (lane & 2) + (i & 1)),
    }
}

#[test]
fn four_products() {
    for (a_column, b_column) in [(false, false), (false, true), (true, false), (true, true)] {
        for (d_sum, c_sum) in [(Sum::F32, Sum::F32), (Sum::F16, Sum::F16), (Sum::F32, Sum::F16)] {
            let mut numbers = Random(7);
            // Matrices 4w + p: product p of warp w.
            let mut many =
                |rows, columns, element: &mut dyn FnMut(&mut Random) -> u64| -> Vec<Vec<Vec<u64>>> {
                    (0..4).flat_map(|_| random(rows, columns, || element(&mut numbers))).take(16).collect()
                };
            let x = many(8, 4, &mut |r| Kind::F16.random(r));
            let y = many(4, 8, &mut |r| Kind::F16.random(r));
            let z = many(8, 8, &mut |r| c_sum.random(r));
            let warps = 4;
            let fill = |matrices: &[Vec<Vec<u64>>],
                        bits: usize,
                        elements: usize,
                        place: &dyn Fn(usize, usize) -> (usize, usize)| {
                let mut out = vec![vec![0u128; 32 * warps]; elements * bits / 32];
                for (w, lane) in (0..warps).flat_map(|w| (0..32).map(move |lane| (w, lane))) {
                    for i in 0..elements {
                        let (row, column) = place(lane, i);
                        out[i * bits / 32][32 * w + lane] |=
                            u128::from(matrices[4 * w + lane / 4 % 4][row][column]) << (i * bits % 32);
                    }
                }
                out
            };
            let bits = |sum| if sum == Sum::F16 { 16 } else { 32 };
            let mut columns = fill(&x, 16, 4, &|lane, i| a(a_column, lane, i));
            columns.extend(fill(&y, 16, 4, &|lane, i| b(b_column, lane, i)));
            columns.extend(fill(&z, bits(c_sum), 8, &|lane, i| c(c_sum, lane, i)));
            let (nc, nd) = (bits(c_sum) / 4, bits(d_sum) / 4);
            let layout = |column| if column { "col" } else { "row" };
            let text = format!(
                "mma.sync.aligned.m8n8k4.{}.{}.{}.f16.f16.{} {}, {{a0, a1}}, {{a2, a3}}, {};",
                layout(a_column),
                layout(b_column),
                d_sum.name(),
                c_sum.name(),
                list("d", 0, nd),
                list("a", 4, nc),
            );
            let (operands, results) = (vec![Reg::B32; 4 + nc], vec![Reg::B32; nd]);
            let got = Snippet::new(&text, &operands, &results)
                .run(&columns)
                .unwrap_or_else(|e| panic!("{text}: {e}"));
            for (w, lane) in (0..warps).flat_map(|w| (0..32).map(move |lane| (w, lane))) {
                let product = w * 4 + lane / 4 % 4;
                for i in 0..8 {
                    let (row, column) = c(d_sum, lane, i);
                    let products = (0..4).map(|k| {
                        (Kind::F16.value(x[product][row][k]), Kind::F16.value(y[product][k][column]))
                    });
                    let want = c_sum.of(z[product][row][column], products, false, d_sum);
                    let word = got[i * bits(d_sum) / 32][32 * w + lane] >> (i * bits(d_sum) % 32);
                    assert_eq!(
                        word as u64 & (u64::MAX >> (64 - bits(d_sum))),
                        want,
                        "{text} warp {w} lane {lane} element {i}"
                    );
                }
            }
        }
    }
}
