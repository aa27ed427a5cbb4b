//! Values in slabs for tests, and their comparison.

use synfilter::backend::cpu::layout::Layout;
use synfilter::backend::cpu::value::{Source, Target};
use synfilter::random::Random;

/// What stands in the rows of a buffer that belong to other values: a kernel must neither use nor change it.
pub const ALIEN: f32 = 1e30;

/// A value in a slab, and how it lies there.
#[derive(Clone)]
pub struct Value {
    pub data: Vec<f32>,
    pub layout: Layout,
}

impl Value {
    pub fn source(&self) -> Source<'_> {
        Source { data: &self.data, layout: self.layout }
    }

    /// All map rows, to be written.
    pub fn target(&mut self) -> Target<'_> {
        let rows = 0..self.layout.h;
        Target { data: &mut self.data, layout: self.layout, rows }
    }

    /// Map rows `rows`, to be written.
    pub fn part(&mut self, rows: std::ops::Range<usize>) -> Target<'_> {
        Target { data: &mut self.data[self.layout.rows(rows.clone())], layout: self.layout, rows }
    }

    pub fn empty(layout: Layout) -> Self {
        Value { data: vec![ALIEN; layout.buffer_len()], layout }
    }

    /// Normal values in every lane.
    pub fn random(layout: Layout, random: &mut Random) -> Self {
        let mut value = Value::empty(layout);
        for pixel in 0..layout.h * layout.w {
            for c in 0..layout.c {
                for lane in 0..layout.lanes {
                    value.data[layout.at(pixel, c) + lane] = random.normal();
                }
            }
        }
        value
    }

    /// Normal values in the first `images` lanes, zeros beyond.
    pub fn gradient(layout: Layout, images: usize, random: &mut Random) -> Self {
        let mut value = Value::random(layout, random);
        for pixel in 0..layout.h * layout.w {
            for c in 0..layout.c {
                let at = layout.at(pixel, c);
                value.data[at + images..at + layout.lanes].fill(0.0);
            }
        }
        value
    }

    pub fn get(&self, lane: usize, c: usize, pixel: usize) -> f64 {
        f64::from(self.data[self.layout.at(pixel, c) + lane])
    }

    /// Checks every element against `want(lane, c, pixel)`, to within `limit · (1 + |want|)`, and all alien rows.
    pub fn assert_close(&self, limit: f64, what: &str, want: impl Fn(usize, usize, usize) -> f64) {
        let l = self.layout;
        let mut alien = vec![true; self.data.len()];
        for pixel in 0..l.h * l.w {
            for c in 0..l.c {
                for lane in 0..l.lanes {
                    alien[l.at(pixel, c) + lane] = false;
                    let (got, want) = (self.get(lane, c, pixel), want(lane, c, pixel));
                    let bound = limit * (1.0 + want.abs());
                    assert!(
                        (got - want).abs() <= bound,
                        "{what}: lane {lane}, channel {c}, pixel {pixel} of {l:?}: {got}, expected {want} ± {bound}"
                    );
                }
            }
        }
        for (i, alien) in alien.into_iter().enumerate() {
            assert!(!alien || self.data[i] == ALIEN, "{what}: another value's row was changed at {i}");
        }
    }
}

/// The same value dense, in a part of a concatenation, and as every other channel.
pub fn layouts(c: usize, h: usize, w: usize, lanes: usize) -> [Layout; 3] {
    [
        Layout::dense(c, h, w, lanes),
        Layout { h, w, c, pixel: c + 5, offset: 3, step: 1, lanes },
        Layout { h, w, c, pixel: 2 * c + 1, offset: 1, step: 2, lanes },
    ]
}

/// Largest difference relative to the largest expected value.
pub fn assert_all_close(got: &[f32], want: &[f64], limit: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    let scale = want.iter().fold(1e-30, |m: f64, v| m.max(v.abs()));
    for (i, (&got, &want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(got) - want).abs() / scale;
        assert!(
            error <= limit,
            "{what}: element {i}: {got}, expected {want}: {error:.2e} of the largest, limit {limit:.0e}"
        );
    }
}
