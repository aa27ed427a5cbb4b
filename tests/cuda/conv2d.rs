//! kernels/conv2d.cu, depthwise.cu and weight_grad.cu against the oracle: every tile, groups, kernels that are no squares,
//! strides that do not divide the map, pixels that no tap meets, values that lie among others.

use crate::in_every_format;
use crate::twins::{On, Rounded, normals, places};
use common::compare::{Tolerance, assert_close};
use common::oracle::{self, Conv, Map};
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::format::Format;
use synfilter::backend::{Device, Infer, Input, Output, Sign, Then, Train};
use synfilter::graph::Rectifier;
use synfilter::graph::Shape;
use synfilter::graph::conv::{ConvShape, Direction};
use synfilter::graph::place::Place;

/// A full slab and one that is not.
const IMAGES: usize = 70;

/// c, k, h, w, r, s, stride, pad, groups. Those without groups are computed on FMA units in f32 alone.
const SHAPES: [[usize; 9]; 11] = [
    [19, 130, 5, 3, 3, 3, 1, 1, 1], // two tiles of 128 outputs
    [33, 70, 4, 7, 5, 2, 3, 2, 1],  // the last pixel of a row lies beyond the map
    [70, 21, 6, 5, 1, 1, 2, 0, 1],  // pixels of the input that no output reads
    [20, 16, 7, 7, 7, 7, 2, 3, 1],
    [64, 100, 1, 1, 3, 3, 1, 1, 1],
    [24, 36, 3, 5, 3, 3, 2, 1, 3],
    [40, 160, 2, 2, 3, 3, 1, 1, 2], // groups of a tile of 128
    [4, 8, 5, 5, 3, 3, 1, 1, 4],    // a channel each, but two outputs
    [7, 7, 9, 5, 3, 3, 1, 1, 7],
    [13, 13, 6, 11, 5, 3, 2, 2, 13],
    [6, 6, 1, 1, 3, 3, 1, 1, 6],
];

/// Against the oracle, within the roundings of sums of `terms` in f32 and of the format.
fn close<T: Format>(what: &str, actual: &[f32], expected: &[f64], terms: usize, unit: f64) {
    let scale = expected.iter().fold(1.0_f64, |most, v| most.max(v.abs()));
    // Terms are of the size of the result's root mean square: their roundings add up as their square roots do.
    let sums = Tolerance::f32_roundings(4.0 * (terms as f64).sqrt() + 8.0, scale);
    assert_close(format!("{what}, {}", T::NAME), actual, expected, sums.plus(unit * scale));
}

/// The largest relative error of a number of the format.
fn unit<T: Format>() -> f64 {
    match T::NAME {
        "f16" => 0.5_f64.powi(11),
        "bf16" => 0.5_f64.powi(8),
        _ => 0.0,
    }
}

fn checked<T: Rounded>(cuda: &Cuda<T>) {
    for [c, k, h, w, r, s, stride, pad, groups] in SHAPES {
        let shape = ConvShape { c, k, h, w, r, s, stride, pad, groups };
        if T::HALF.is_some() && groups == 1 {
            continue;
        }
        for place in 0..2 {
            one(cuda, shape, place);
        }
    }
}

fn one<T: Rounded>(cuda: &Cuda<T>, shape: ConvShape, place: usize) {
    let ConvShape { c, k, h, w, r, s, stride, pad, groups } = shape;
    let (oh, ow) = shape.output();
    let below = places(Shape { c, h, w })[place];
    let above = places(Shape { c: k, h: oh, w: ow })[place];
    let on = On::cuda(cuda, IMAGES);
    let value = |seed, at: Place| {
        let numbers: Vec<f32> = normals(seed, IMAGES * at.values()).into_iter().map(T::round).collect();
        (on.value(&numbers, at), Map::new([IMAGES, at.c, at.h, at.w], &numbers))
    };
    let ((x, x_map), (dy, dy_map)) = (value(1, below), value(2, above));
    let ((add, add_map), (mut dx, before)) = (value(3, above), value(4, below));
    let (oihw, scale, shift) = (normals(5, shape.weights()), normals(6, k), normals(7, k));
    let mut filter = cuda.filter(shape, true);
    let (factors, shifts) = (cuda.upload(&scale), cuda.upload(&shift));
    cuda.load_filter(&mut filter, &cuda.upload(&oihw), Some(&factors));
    let (conv, what) = (Conv { stride, pad, groups }, format!("{shape:?}, place {place}"));
    let (weight_shape, unit) = ([k, c / groups, r, s], unit::<T>());
    let weight = Map::new(weight_shape, &oihw);

    let (mut y, _) = value(8, above);
    let then = Then {
        scale: Some(&factors),
        shift: Some(&shifts),
        add: Some(Input { data: &add, place: above }),
        sign: Sign::Rectify(Rectifier::RELU),
        ..Then::default()
    };
    let out = Output { data: &mut y, place: above };
    cuda.conv(on.batch, &filter, Direction::Forward, Input { data: &x, place: below }, out, then);
    let mut expected = conv.forward(&x_map, &weight, None);
    for (i, v) in expected.data.iter_mut().enumerate() {
        let channel = i / (oh * ow) % k;
        *v = *v * f64::from(scale[channel]) + f64::from(shift[channel]) + add_map.data[i];
    }
    let (terms, back) = (c / groups * r * s, k / groups * r * s);
    let expected = oracle::relu(&expected);
    close::<T>(&format!("{what}, forward"), &on.read(&y, above), &expected.data, terms, unit);

    // Added to what stands there.
    let then = Then { accumulate: true, ..Then::default() };
    let out = Output { data: &mut dx, place: below };
    cuda.conv(on.batch, &filter, Direction::BackwardInput, Input { data: &dy, place: above }, out, then);
    let scaled: Vec<f32> = oihw.iter().enumerate().map(|(i, w)| w * scale[i / (oihw.len() / k)]).collect();
    let expected = conv.backward_input(&dy_map, &Map::new(weight_shape, &scaled), x_map.shape);
    let expected = oracle::add(&expected, &before);
    close::<T>(&format!("{what}, backward"), &on.read(&dx, below), &expected.data, back, unit);

    let (mut dw, mut db) = (cuda.upload(&vec![7.0; oihw.len()]), cuda.upload(&vec![7.0; k]));
    let (x, dy) = (Input { data: &x, place: below }, Input { data: &dy, place: above });
    cuda.conv_weight_gradient(on.batch, shape, x, dy, &mut dw, Some(&mut db));
    let terms = IMAGES * oh * ow;
    let expected = conv.backward_weight(&dy_map, &x_map, weight_shape);
    close::<T>(&format!("{what}, weights"), &on.floats(&dw), &expected.data, terms, 0.0);
    close::<T>(&format!("{what}, bias"), &on.floats(&db), &oracle::bias_backward(&dy_map), terms, 0.0);
}

#[test]
fn every_shape_in_every_format() {
    in_every_format!(checked);
}

/// Sums over parts of the pixels need room, which later ones use again: the same bits each time.
#[test]
fn parts_of_a_weight_gradient_are_added_in_order() {
    let cuda = crate::driver::open::<f32>();
    let gradient = |c: usize, k: usize| {
        let shape = ConvShape { c, k, h: 6, w: 6, r: 1, s: 1, stride: 1, pad: 0, groups: 1 };
        let (from, to) = (Place::dense(Shape { c, h: 6, w: 6 }), Place::dense(Shape { c: k, h: 6, w: 6 }));
        let on = On::cuda(&cuda, 9);
        let value = |seed, at: Place| on.value(&normals(seed, 9 * at.values()), at);
        let (x, dy, mut dw) = (value(1, from), value(2, to), cuda.floats(shape.weights()));
        let (x, dy) = (Input { data: &x, place: from }, Input { data: &dy, place: to });
        cuda.conv_weight_gradient(on.batch, shape, x, dy, &mut dw, None);
        on.floats(&dw)
    };
    let first = gradient(5, 3);
    let other = gradient(70, 65);
    assert_eq!(gradient(5, 3), first);
    assert_eq!(gradient(70, 65), other);
}
