//! Activations that are steps of their own: y = f(x), and dx = f′(x)·dy.
//!
//! One table has the values, one the derivatives, by PyTorch's definitions; kernels/activation.cuh has the same two.

use super::epilogue::Output;
use super::functions::{density, exp, exp_less_one, normal, sigmoid, tanh};
use super::launch::{check, launch, same_shape};
use super::simd::{Isa, Kernel, Level};
use super::value::{Epilogue, Source, Target};
use crate::graph::Activation;
use std::ops::Range;

/// Numbers that are computed together.
type Lanes = [f32; 16];

/// f(x).
#[inline(always)]
fn value(function: Activation, x: Lanes) -> Lanes {
    match function {
        Activation::Relu => each(x, |x| if x > 0.0 { x } else { 0.0 }),
        Activation::Relu6 => each(x, hard),
        Activation::LeakyRelu { slope } => each(x, |x| if x > 0.0 { x } else { slope * x }),
        Activation::HardSwish => each(x, |x| x * hard(x + 3.0) * SIXTH),
        Activation::HardSigmoid => each(x, |x| hard(x + 3.0) * SIXTH),
        Activation::Sigmoid => each(x, sigmoid),
        Activation::Silu => each(x, |x| x * sigmoid(x)),
        Activation::Tanh => each(x, tanh),
        Activation::Elu { alpha } => each(x, |x| if x > 0.0 { x } else { alpha * exp_less_one(x) }),
        Activation::Gelu => each(x, |x| x * normal(x)),
    }
}

/// f′(x).
#[inline(always)]
fn derivative(function: Activation, x: Lanes) -> Lanes {
    match function {
        Activation::Relu => each(x, |x| if x > 0.0 { 1.0 } else { 0.0 }),
        Activation::Relu6 => each(x, |x| if x > 0.0 && x < 6.0 { 1.0 } else { 0.0 }),
        Activation::LeakyRelu { slope } => each(x, |x| if x > 0.0 { 1.0 } else { slope }),
        Activation::HardSwish => each(x, |x| {
            let between = x * THIRD + 0.5;
            let right = if x > 3.0 { 1.0 } else { between };
            if x < -3.0 { 0.0 } else { right }
        }),
        Activation::HardSigmoid => each(x, |x| if x > -3.0 && x < 3.0 { SIXTH } else { 0.0 }),
        Activation::Sigmoid => each(x, |x| {
            let s = sigmoid(x);
            s * (1.0 - s)
        }),
        Activation::Silu => each(x, |x| {
            let s = sigmoid(x);
            s * (1.0 + x * (1.0 - s))
        }),
        Activation::Tanh => each(x, |x| {
            let t = tanh(x);
            1.0 - t * t
        }),
        Activation::Elu { alpha } => each(x, |x| if x > 0.0 { 1.0 } else { alpha * exp(x) }),
        Activation::Gelu => each(x, |x| normal(x) + x * density(x)),
    }
}

const SIXTH: f32 = 1.0 / 6.0;
const THIRD: f32 = 1.0 / 3.0;

/// min(max(x, 0), 6).
#[inline(always)]
fn hard(x: f32) -> f32 {
    let positive = if x > 0.0 { x } else { 0.0 };
    if positive > 6.0 { 6.0 } else { positive }
}

#[inline(always)]
fn each(mut x: Lanes, f: impl Fn(f32) -> f32) -> Lanes {
    for lane in &mut x {
        *lane = f(*lane);
    }
    x
}

/// f(x) for the map rows of `y`.
pub fn forward(level: Level, function: Activation, x: Source, y: Target) {
    apply(level, function, x, None, y, Epilogue::default());
}

/// f′(x)·dy for the map rows of `dx`.
pub fn backward(level: Level, function: Activation, x: Source, dy: Source, dx: Target, epilogue: Epilogue) {
    check(&dy);
    same_shape(dy.layout, x.layout);
    apply(level, function, x, Some(dy), dx, epilogue);
}

fn apply(level: Level, function: Activation, x: Source, dy: Option<Source>, y: Target, epilogue: Epilogue) {
    check(&x);
    same_shape(x.layout, y.layout);
    let rows = y.rows.clone();
    let output = Output::new(y, epilogue);
    // SAFETY: all values were checked to lie in their buffers and to have one shape; the rows are those of the target.
    unsafe { launch(level, Apply { function, x, dy, rows, output: *output }) }
}

struct Apply<'a> {
    function: Activation,
    x: Source<'a>,
    dy: Option<Source<'a>>,
    rows: Range<usize>,
    output: Output<'a>,
}

impl Kernel for Apply<'_> {
    type Output = ();
    /// Plain loops: the compiler vectorises them for the instruction set of `I`, with the same results on each.
    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let l = self.x.layout;
        for pixel in self.rows.start * l.w..self.rows.end * l.w {
            for c in 0..l.c {
                for lane in (0..l.lanes).step_by(16) {
                    let x = sixteen(&self.x, pixel, c, lane);
                    let y = match &self.dy {
                        None => value(self.function, x),
                        Some(dy) => {
                            let (mut slope, dy) = (derivative(self.function, x), sixteen(dy, pixel, c, lane));
                            for (slope, dy) in slope.iter_mut().zip(dy) {
                                *slope *= dy;
                            }
                            slope
                        }
                    };
                    // SAFETY: pixel, channel and lanes lie in the checked target; sixteen numbers are loaded.
                    unsafe { self.output.row::<I, 1>(pixel, c, lane, [I::load(y.as_ptr())]) }
                }
            }
        }
    }
}

#[inline(always)]
fn sixteen(x: &Source, pixel: usize, c: usize, lane: usize) -> Lanes {
    let mut lanes = [0.0; 16];
    lanes.copy_from_slice(&x.data[x.layout.at(pixel, c) + lane..][..16]);
    lanes
}
