//! Max pooling.

use crate::value::{ALIEN, Value, layouts};
use synfilter::backend::cpu::pool::{max_backward, max_forward};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::{Act, Epilogue};
use synfilter::graph::Pool;
use synfilter::random::Random;

/// A pool on a map.
#[derive(Clone, Copy, Debug)]
struct Case {
    h: usize,
    w: usize,
    pool: Pool,
}

impl Case {
    fn output(self) -> (usize, usize) {
        (self.pool.output(self.h), self.pool.output(self.w))
    }
}

const CASES: [Case; 7] = [
    Case { h: 16, w: 16, pool: Pool { kernel: 3, stride: 2, pad: 1, ceil: false } },
    Case { h: 7, w: 9, pool: Pool { kernel: 3, stride: 2, pad: 0, ceil: true } },
    Case { h: 8, w: 6, pool: Pool { kernel: 3, stride: 2, pad: 0, ceil: true } },
    Case { h: 5, w: 4, pool: Pool { kernel: 2, stride: 2, pad: 1, ceil: true } },
    Case { h: 4, w: 5, pool: Pool { kernel: 3, stride: 1, pad: 1, ceil: false } },
    Case { h: 5, w: 5, pool: Pool { kernel: 2, stride: 3, pad: 0, ceil: false } },
    Case { h: 1, w: 1, pool: Pool { kernel: 3, stride: 2, pad: 1, ceil: true } },
];

/// Sizes that PyTorch 2's `max_pool2d` gives.
#[test]
fn output_sizes() {
    let sizes = CASES.map(|s| s.output());
    assert_eq!(sizes, [(8, 8), (3, 4), (4, 3), (3, 3), (4, 5), (2, 2), (1, 1)]);
}

/// Maximum and place of the first maximum of a window.
fn window(s: Case, x: &Value, lane: usize, c: usize, out: usize) -> (f64, usize, usize) {
    let (oy, ox) = (out / s.output().1, out % s.output().1);
    let mut best = (f64::NEG_INFINITY, 0, 0);
    for place in 0..s.pool.kernel * s.pool.kernel {
        let y = (oy * s.pool.stride + place / s.pool.kernel).wrapping_sub(s.pool.pad);
        let x_ = (ox * s.pool.stride + place % s.pool.kernel).wrapping_sub(s.pool.pad);
        if y < s.h && x_ < s.w && x.get(lane, c, y * s.w + x_) > best.0 {
            best = (x.get(lane, c, y * s.w + x_), place, y * s.w + x_);
        }
    }
    best
}

#[test]
fn max_pool() {
    let mut random = Random::new(1, 1);
    for level in Level::available() {
        for (i, s) in CASES.into_iter().enumerate() {
            let ((oh, ow), c, lanes) = (s.output(), 3, 16 * (i % 4 + 1));
            for (xl, yl) in
                layouts(c, s.h, s.w, lanes).into_iter().zip(layouts(c, oh, ow, lanes).into_iter().rev())
            {
                let what = format!("{level:?} {s:?}");
                let mut x = Value::random(xl, &mut random);
                // Few distinct values, so that many windows have ties.
                x.data.iter_mut().filter(|v| **v != ALIEN).for_each(|v| *v = (*v * 1.5).round());
                let mut y = Value::empty(yl);
                max_forward(level, s.pool, x.source(), y.target(), None);
                y.assert_close(0.0, &what, |lane, c, out| window(s, &x, lane, c, out).0);

                let mut split = Value::empty(yl);
                let mut winners = vec![255; oh * ow * c * lanes];
                for rows in [0..oh / 2, oh / 2..oh] {
                    let part = &mut winners[rows.start * ow * c * lanes..rows.end * ow * c * lanes];
                    max_forward(level, s.pool, x.source(), split.part(rows), Some(part));
                }
                assert_eq!(y.data, split.data, "{what}");
                for out in 0..oh * ow {
                    for c_ in 0..c {
                        for lane in 0..lanes {
                            let place = winners[(out * c + c_) * lanes + lane];
                            assert_eq!(usize::from(place), window(s, &x, lane, c_, out).1, "{what}");
                        }
                    }
                }

                let dy = Value::random(yl, &mut random);
                let bits: Vec<u16> = (0..xl.buffer_len() / 16).map(|_| random.bits() as u16).collect();
                let old = Value::random(xl, &mut random);
                let mut dx = old.clone();
                for rows in [0..s.h / 2, s.h / 2..s.h] {
                    let words = xl.rows(rows.clone());
                    let act = Act::Mask(&bits[words.start / 16..words.end / 16], 0.0);
                    let epilogue = Epilogue { accumulate: true, act, ..Epilogue::default() };
                    max_backward(level, s.pool, dy.source(), &winners, dx.part(rows), epilogue);
                }
                dx.assert_close(2e-6, &what, |lane, c, pixel| {
                    let hits = (0..oh * ow).filter(|&out| window(s, &x, lane, c, out).2 == pixel);
                    let sum: f64 =
                        hits.map(|out| dy.get(lane, c, out)).sum::<f64>() + old.get(lane, c, pixel);
                    let kept = bits[(xl.at(pixel, c) + lane) / 16] >> (lane % 16) & 1 == 1;
                    if kept { sum } else { 0.0 }
                });
            }
        }
    }
}
