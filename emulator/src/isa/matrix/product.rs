//! The product loops: 8 × 8 tiles, everything in registers of the host.
//!
//! Sums run over k from 0 up, starting from C, one fused multiply-add after the other: the result does not depend on
//! the host. Hardware adds in an order that PTX leaves open.

use super::accumulator::Tile;
use super::fragment::{PANEL, Planes, Rows};

/// `c += a · b` for a panel of A and one of B.
#[inline(always)]
pub fn dense<const E: usize, const P: usize>(a: &Planes<P>, b: &Rows<P>, c: &mut Tile) {
    for i in 0..PANEL {
        let mut sum = c[i];
        for g in 0..P / E {
            for t in 0..4 {
                for j in 0..E {
                    step(&mut sum, a[g * E + j][4 * i + t], &b[g * E + j][t]);
                }
            }
        }
        c[i] = sum;
    }
}

/// The same for an A of which only every other element is there: `selected[i][n]` is the k of element n of row i.
/// B comes in two halves, of k below and above `4·P`.
#[inline(always)]
pub fn sparse<const E: usize, const P: usize>(
    a: &Planes<P>,
    b: &[Rows<P>; 2],
    selected: &[[u8; MAX_SELECTED]; PANEL],
    c: &mut Tile,
) {
    for i in 0..PANEL {
        let mut sum = c[i];
        for g in 0..P / E {
            for t in 0..4 {
                for j in 0..E {
                    let k = usize::from(selected[i][(4 * g + t) * E + j]);
                    let (word, part) = (k / E, k % E);
                    let row = &b[k / (4 * P)][word % (4 * P / E) / 4 * E + part][word % 4];
                    step(&mut sum, a[g * E + j][4 * i + t], row);
                }
            }
        }
        c[i] = sum;
    }
}

/// The most elements of a row of a sparse A: half of 128.
pub const MAX_SELECTED: usize = 64;

#[inline(always)]
fn step(sum: &mut [f32; PANEL], a: f32, b: &[f32; PANEL]) {
    for n in 0..PANEL {
        sum[n] = a.mul_add(b[n], sum[n]);
    }
}
