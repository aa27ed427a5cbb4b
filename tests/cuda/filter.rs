//! kernels/filter.cu: masked weights are a zeroed copy of the weights, bit for bit, in every form that kernels read.

use crate::in_every_format;
use crate::twins::{On, Rounded, normals};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::filter::Weights;
use synfilter::backend::{Device, Infer, Input, Output, Then};
use synfilter::filter::Mask;
use synfilter::graph::Shape;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;

/// Both directions of a convolution of random values.
fn both<T: Rounded>(cuda: &Cuda<T>, filter: &Weights, shape: ConvShape) -> [Vec<f32>; 2] {
    let on = On::cuda(cuda, 5);
    let (h, w) = shape.output();
    let below = Place::dense(Shape { c: shape.c, h: shape.h, w: shape.w });
    let above = Place::dense(Shape { c: shape.k, h, w });
    let directions = [(Direction::Forward, below, above), (Direction::BackwardInput, above, below)];
    directions.map(|(direction, from, to)| {
        let x = on.value(&normals(1, 5 * from.c * from.h * from.w), from);
        let mut y = cuda.values(to.rows(), on.batch);
        let (x, out) = (Input { data: &x, place: from }, Output { data: &mut y, place: to });
        cuda.conv(on.batch, filter, direction, x, out, Then::default());
        on.read(&y, to)
    })
}

/// c, k, h, r, s, stride, pad, groups.
const SHAPES: [[usize; 8]; 9] = [
    [40, 70, 3, 3, 3, 1, 1, 1], // unfinished tiles both ways
    [64, 32, 1, 1, 1, 1, 0, 1], // whole ones
    [3, 20, 7, 7, 7, 2, 3, 1],  // few channels: packed forward, by residues backward
    [3, 16, 6, 3, 3, 1, 1, 1],
    [12, 8, 5, 5, 5, 1, 2, 1],   // tiles of fewer inputs than 32
    [2, 3, 10, 19, 19, 1, 9, 1], // tiles of less than a kernel
    [6, 9, 4, 3, 3, 2, 1, 3],    // groups
    [10, 10, 4, 3, 3, 1, 1, 10], // depthwise
    [64, 40, 2, 3, 1, 1, 1, 1],
];

fn masks<T: Rounded>(cuda: &Cuda<T>) {
    for [c, k, h, r, s, stride, pad, groups] in SHAPES {
        let shape = ConvShape { c, k, h, w: h, r, s, stride, pad, groups };
        let mut masters = normals(2, shape.weights());
        // Weights on the very bounds: the lower one is kept, the upper one is not.
        for (i, w) in masters.iter_mut().enumerate().skip(1) {
            *w = match i % 50 {
                0 => -0.25,
                1 => 0.75,
                2 => -0.0,
                _ => *w,
            };
        }
        let factors = normals(3, k);
        let (master, scale) = (cuda.upload(&masters), cuda.upload(&factors));
        let mut filter = cuda.filter(shape, true);
        cuda.load_filter(&mut filter, &master, Some(&scale));
        let whole = both(cuda, &filter, shape);
        let mask = Mask { lo: -0.25, hi: 0.75, keep_inside: c % 3 == 0 };
        cuda.mask_filter(&mut filter, mask, 0..k);
        let kept = masters.iter().filter(|w| mask.keeps(**w)).count();
        assert_eq!(filter.kept().expect("a working device") as usize, kept, "{shape:?} {mask:?}");
        let copy: Vec<f32> = masters.iter().map(|&w| if mask.keeps(w) { w } else { 0.0 }).collect();
        let mut zeroed = cuda.filter(shape, true);
        cuda.load_filter(&mut zeroed, &cuda.upload(&copy), Some(&scale));
        let (masked, expected) = (both(cuda, &filter, shape), both(cuda, &zeroed, shape));
        for (direction, (masked, expected)) in masked.iter().zip(&expected).enumerate() {
            let same = masked.iter().zip(expected).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same, "{shape:?} {mask:?}, direction {direction}, {}", T::NAME);
        }
        assert!(masked != whole, "{shape:?} {mask:?}: the mask drops something");
        // The same weights come back.
        cuda.mask_filter(&mut filter, Mask::ALL, 0..k);
        assert_eq!(both(cuda, &filter, shape), whole, "{shape:?}: nothing is dropped");
        // Some channels after others, whose mask is taken back.
        cuda.mask_filter(&mut filter, mask, k / 2..k);
        for channels in [0..1, k / 3..k / 2 + 1] {
            cuda.mask_filter(&mut filter, mask, channels.clone());
            let keeps = |i: usize, w: f32| !channels.contains(&(i / (masters.len() / k))) || mask.keeps(w);
            let copy: Vec<f32> =
                masters.iter().enumerate().map(|(i, &w)| if keeps(i, w) { w } else { 0.0 }).collect();
            cuda.load_filter(&mut zeroed, &cuda.upload(&copy), Some(&scale));
            assert_eq!(both(cuda, &filter, shape), both(cuda, &zeroed, shape), "{shape:?} {channels:?}");
        }
        // A factor of the backward direction is one of the weights.
        let scaled: Vec<f32> =
            masters.iter().enumerate().map(|(i, w)| w * factors[i / (masters.len() / k)]).collect();
        cuda.load_filter(&mut filter, &cuda.upload(&scaled), None);
        let [forward, backward] = both(cuda, &filter, shape);
        assert_eq!(backward, whole[1], "{shape:?}: factors of the backward direction");
        assert!(forward != whole[0], "{shape:?}: forward has no factor");
    }
}

#[test]
fn masked_weights_are_a_zeroed_copy() {
    in_every_format!(masks);
}
