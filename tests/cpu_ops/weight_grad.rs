//! Weight and bias gradients of convolutions, in parts of the output channels.

use crate::value::{Value, layouts};
use synfilter::backend::cpu::simd::Level;
use synfilter::backend::cpu::weight_grad::{GradSlab, WeightGrad};
use synfilter::graph::conv::ConvShape;
use synfilter::random::Random;

#[allow(clippy::too_many_arguments)] // the fields of the struct, in order
const fn shape(
    c: usize,
    k: usize,
    h: usize,
    w: usize,
    r: usize,
    stride: usize,
    pad: usize,
    groups: usize,
) -> ConvShape {
    ConvShape { c, k, h, w, r, s: r, stride, pad, groups }
}

const SHAPES: [ConvShape; 12] = [
    shape(3, 10, 9, 8, 7, 2, 3, 1),
    shape(1, 3, 6, 6, 3, 2, 0, 1),
    shape(16, 14, 5, 4, 3, 1, 1, 1),
    shape(40, 27, 4, 4, 3, 2, 1, 1),
    shape(58, 13, 3, 2, 1, 1, 0, 1),
    shape(33, 29, 4, 3, 1, 2, 0, 1),
    shape(64, 5, 1, 1, 3, 1, 1, 1),
    shape(20, 1, 2, 2, 3, 1, 1, 1),
    shape(10, 10, 5, 5, 3, 1, 1, 10),
    shape(6, 12, 5, 4, 3, 2, 1, 3),
    shape(24, 6, 3, 3, 3, 1, 1, 2),
    shape(12, 11, 2, 5, 5, 1, 2, 1),
];

#[test]
fn any_split_of_the_output_channels_gives_the_same_bits() {
    let mut random = Random::new(1, 5);
    for (i, s) in SHAPES.into_iter().enumerate() {
        let (oh, ow) = s.output();
        let batch: Vec<(Value, Value, usize)> = [(64, 64), (48, 33), (16, 6)]
            .into_iter()
            .skip(i % 2)
            .enumerate()
            .map(|(j, (lanes, images))| {
                let dy = Value::gradient(layouts(s.k, oh, ow, lanes)[(i + j) % 3], images, &mut random);
                (dy, Value::random(layouts(s.c, s.h, s.w, lanes)[(i + j + 1) % 3], &mut random), images)
            })
            .collect();
        for level in Level::available() {
            let what = format!("{level:?} {s:?}");
            let gradient = WeightGrad::new(level, s);
            let panels: Vec<Vec<f32>> = batch
                .iter()
                .map(|(_, x, images)| {
                    let mut panels = vec![f32::NAN; gradient.panels_len(*images)];
                    gradient.pack(x.source(), *images, &mut panels);
                    panels
                })
                .collect();
            let slabs: Vec<GradSlab> = batch
                .iter()
                .zip(&panels)
                .map(|((dy, x, images), panels)| GradSlab {
                    dy: dy.source(),
                    x: x.source(),
                    panels,
                    images: *images,
                })
                .collect();
            let (mut dw, mut db) = (vec![f32::NAN; s.weights()], vec![f32::NAN; s.k]);
            gradient.weights(&slabs, 0..s.k, &mut dw);
            gradient.bias(&slabs, 0..s.k, &mut db);
            let (mut parts_w, mut parts_b) = (Vec::new(), Vec::new());
            for k in [0..s.k / 3, s.k / 3..s.k] {
                let mut part = vec![f32::NAN; k.len() * (s.weights() / s.k)];
                gradient.weights(&slabs, k.clone(), &mut part);
                parts_w.extend(part);
                let mut part = vec![f32::NAN; k.len()];
                gradient.bias(&slabs, k, &mut part);
                parts_b.extend(part);
            }
            assert_eq!((dw, db), (parts_w, parts_b), "{what}: split of output channels");
        }
    }
}
