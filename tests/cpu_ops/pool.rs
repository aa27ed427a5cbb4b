//! Max pooling in parts of the map.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::pool::{max_backward, max_forward};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::value::Epilogue;
use synfilter::graph::Pool;
use synfilter::random::Random;

#[test]
fn row_ranges_equal_the_whole() {
    let mut random = Random::new(1, 1);
    let (c, lanes) = (3, 48);
    for level in Level::available() {
        for (h, w, kernel, stride, pad, ceil) in
            [(16, 9, 3, 2, 1, false), (7, 9, 3, 2, 0, true), (5, 4, 2, 2, 1, true), (4, 5, 3, 1, 1, false)]
        {
            let pool = Pool { kernel, stride, pad, ceil };
            let (oh, ow) = (pool.output(h), pool.output(w));
            let (xl, yl) = (layouts(c, h, w, lanes)[1], layouts(c, oh, ow, lanes)[2]);
            let (x, dy) = (Value::random(xl, &mut random), Value::random(yl, &mut random));
            let run = |forward: &[usize], backward: &[usize]| {
                let (mut y, mut dx) = (Value::empty(yl), Value::empty(xl));
                let mut winners = vec![255; oh * ow * c * lanes];
                for cut in forward.windows(2) {
                    let part = &mut winners[cut[0] * ow * c * lanes..cut[1] * ow * c * lanes];
                    max_forward(level, pool, x.source(), y.part(cut[0]..cut[1]), Some(part));
                }
                for cut in backward.windows(2) {
                    let part = dx.part(cut[0]..cut[1]);
                    max_backward(level, pool, dy.source(), &winners, part, Epilogue::default());
                }
                (y.data, winners, dx.data)
            };
            let whole = run(&[0, oh], &[0, h]);
            assert!(run(&[0, oh / 2, oh], &[0, 1, h / 2, h]) == whole, "{level:?} {pool:?}");
        }
    }
}
