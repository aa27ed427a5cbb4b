//! The cases: random shapes, strides, paddings, groups, batch sizes and places, each against the naive oracle.

mod bench;
mod convolution;
mod elementwise;
mod functions;
mod images;
mod loss;
mod norm;
mod pools;

use bench::Bench;
use synfilter::backend::{Backend, Batch};
use synfilter::random::Random;

/// One kind of operation, checked on random cases.
type Case<B> = fn(&mut Bench<B>);

/// How a device stores values.
#[derive(Clone, Copy)]
pub struct Format {
    /// To the nearest number of the format.
    pub round: fn(f32) -> f32,
    /// The largest relative error of that.
    pub unit: f64,
}

/// f32.
pub const F32: Format = Format { round: |v| v, unit: 0.0 };

/// Runs `cases` random cases of each operation on a device.
pub fn conforms<B: Backend>(device: &B, format: Format, cases: u64) {
    let operations: [(&str, Case<B>); 13] = [
        ("convolution", convolution::convolution),
        ("elementwise", elementwise::elementwise),
        ("batch norm", norm::batch_norm),
        ("max pool", pools::max_pool),
        ("average pool", pools::average_pool),
        ("cross-entropy", loss::cross_entropy),
        ("images", images::images),
        ("sign bits", elementwise::sign_bits),
        ("projected gradient descent", images::descent),
        ("activation", functions::activation),
        ("rectifier", functions::rectifier),
        ("product", functions::product),
        ("means over windows", functions::means),
    ];
    for (stream, (name, case)) in operations.into_iter().enumerate() {
        for seed in 0..cases {
            let mut random = Random::new(seed, stream as u64);
            let batch = Batch { images: 1 + random.below(150) as usize };
            let what = format!("{name}, case {seed}, {} images", batch.images);
            case(&mut Bench { device, format, random, batch, what });
        }
    }
}
