//! Convolutions on a GPU's FMA units, and the gradients of weights, at the shapes of the four networks:
//!
//! ```text
//! cargo bench --features cuda --bench cuda_fma -- [NAME]   cases whose name has that part, or all
//! ```
//!
//! Times are those of the device, between events; f32, 256 images (`SYNFILTER_IMAGES`). Depthwise convolutions are bound by
//! memory: the last column is for them. On the software device they mean nothing.

mod shapes;

use std::error::Error;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::{Batch, Device, Infer, Input, Output, Then, Train};
use synfilter::graph::Shape;
use synfilter::graph::conv::Direction;
use synfilter::graph::place::Place;

/// Launches of which the mean is taken, after one that warms up.
const LAUNCHES: usize = 4;

fn main() -> Result<(), Box<dyn Error>> {
    let part = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    let images = std::env::var("SYNFILTER_IMAGES").ok().map_or(Ok(256), |text| text.parse())?;
    let cuda = Cuda::<f32>::open(0)?;
    println!("{}, {images} images\n", cuda.context().facts()?.name);
    println!("| convolution | of | µs | TFLOP/s | GB/s |\n|---|---|---|---|---|");
    for case in shapes::cases().iter().filter(|case| case.name().contains(&part)) {
        let (shape, batch) = (case.shape, Batch { images });
        let (h, w) = shape.output();
        let below = Place::dense(Shape { c: shape.c, h: shape.h, w: shape.w });
        let above = Place::dense(Shape { c: shape.k, h, w });
        let value = |place: Place| cuda.values(place.rows(), batch);
        let (x, dy, mut dx, mut y) = (value(below), value(above), value(below), value(above));
        let (filter, mut dw) = (cuda.filter(shape, true), cuda.floats(shape.weights()));
        let (x, dy) = (|| Input { data: &x, place: below }, || Input { data: &dy, place: above });
        let flops = (2 * shape.multiply_adds() * images) as f64;
        let bytes = (4 * (below.rows() + above.rows()) * images + 4 * shape.weights()) as f64;
        let row = |what: &str, work: &mut dyn FnMut()| -> Result<(), Box<dyn Error>> {
            work();
            let seconds = cuda.context().timed(|| (0..LAUNCHES).for_each(|_| work()))? / LAUNCHES as f64;
            let (rate, width) = (flops / seconds / 1e12, bytes / seconds / 1e9);
            println!("| {} | {what} | {:.1} | {rate:.2} | {width:.0} |", case.name(), seconds * 1e6);
            Ok(())
        };
        row("values", &mut || {
            let out = Output { data: &mut y, place: above };
            cuda.conv(batch, &filter, Direction::Forward, x(), out, Then::default());
        })?;
        row("gradients by values", &mut || {
            let out = Output { data: &mut dx, place: below };
            cuda.conv(batch, &filter, Direction::BackwardInput, dy(), out, Then::default());
        })?;
        row("gradients by weights", &mut || {
            cuda.conv_weight_gradient(batch, shape, x(), dy(), &mut dw, None);
        })?;
    }
    Ok(())
}
