//! Where one case is tried: random numbers and places, values on the device, the comparison with f64.

use super::Format;
use common::compare::{Tolerance, assert_close};
use common::oracle::Map;
use synfilter::backend::{Backend, Batch, ImageBatch, Input, Output, PixelData, Standard};
use synfilter::graph::Shape;
use synfilter::graph::place::Place;
use synfilter::random::Random;

/// Where one case is tried: a device, a batch, random numbers.
pub struct Bench<'b, B: Backend> {
    pub device: &'b B,
    pub format: Format,
    pub random: Random,
    pub batch: Batch,
    pub what: String,
}

/// A value on the device and what it is in f64.
pub struct Value<B: Backend> {
    pub data: B::Values,
    pub place: Place,
    pub map: Map,
}

impl<B: Backend> Value<B> {
    pub fn input(&self) -> Input<'_, B> {
        Input { data: &self.data, place: self.place }
    }
}

impl<B: Backend> Bench<'_, B> {
    pub fn between(&mut self, least: usize, most: usize) -> usize {
        least + self.random.below((most - least + 1) as u32) as usize
    }

    pub fn chance(&mut self) -> bool {
        self.random.below(2) == 1
    }

    /// Normal numbers, as the format stores them.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| (self.format.round)(self.random.normal())).collect()
    }

    pub fn shape(&mut self) -> Shape {
        Shape { c: self.between(1, 24), h: self.between(1, 9), w: self.between(1, 9) }
    }

    /// A value that fills its buffer, or is some of its channels.
    pub fn place(&mut self, Shape { c, h, w }: Shape) -> Place {
        let step = self.between(1, 2);
        match self.chance() {
            true => Place::dense(Shape { c, h, w }),
            false => Place { h, w, c, pixel: c * step + 3, offset: self.between(0, 3), step },
        }
    }

    /// Normal numbers.
    pub fn value(&mut self, shape: Shape) -> Value<B> {
        let numbers = self.normals(self.batch.images * shape.c * shape.h * shape.w);
        self.value_of(shape, &numbers)
    }

    /// These numbers, in lanes without an image others.
    pub fn value_of(&mut self, shape: Shape, numbers: &[f32]) -> Value<B> {
        let place = self.place(shape);
        let mut data = self.filled(place, 1e4);
        self.load(numbers, &mut data, place);
        Value { data, place, map: Map::new([self.batch.images, shape.c, shape.h, shape.w], numbers) }
    }

    /// A gradient, whose lanes beyond the batch hold zeros.
    pub fn gradient(&mut self, shape: Shape) -> Value<B> {
        let numbers = self.normals(self.batch.images * shape.c * shape.h * shape.w);
        self.gradient_of(shape, &numbers)
    }

    /// These numbers, in lanes without an image zeros.
    pub fn gradient_of(&mut self, shape: Shape, numbers: &[f32]) -> Value<B> {
        let mut value = self.value_of(shape, numbers);
        let mut data = self.filled(value.place, 0.0);
        self.load(numbers, &mut data, value.place);
        value.data = data;
        value
    }

    /// Writes `[images, C, H, W]` as it is.
    pub fn load(&self, numbers: &[f32], data: &mut B::Values, place: Place) {
        load(self.device, self.batch, numbers, data, place);
    }

    /// A buffer of one number, in lanes without an image too.
    pub fn filled(&self, place: Place, number: f32) -> B::Values {
        let mut data = self.device.values(place.rows(), self.batch);
        let (all, place) = (self.lanes(), whole(place));
        load(self.device, all, &vec![number; all.images * place.rows()], &mut data, place);
        data
    }

    /// The batch with an image in every lane.
    pub fn lanes(&self) -> Batch {
        Batch { images: self.batch.lanes() }
    }

    pub fn nchw(&self, data: &B::Values, place: Place) -> Vec<f32> {
        self.device.download_nchw(self.batch, Input { data, place }).expect("a device that works")
    }

    pub fn floats(&self, data: &B::Floats) -> Vec<f32> {
        self.device.download(data).expect("a device that works")
    }

    /// All of a buffer.
    pub fn all(&self, data: &B::Values, place: Place) -> Vec<f32> {
        let x = Input { data, place: whole(place) };
        self.device.download_nchw(self.lanes(), x).expect("a device that works")
    }

    /// What `work` writes into a buffer that holds other values already, which it leaves alone.
    pub fn written(&mut self, shape: Shape, work: impl FnOnce(&B, Output<B>)) -> Vec<f32> {
        let place = self.place(shape);
        self.written_to(place, work)
    }

    pub fn written_to(&mut self, place: Place, work: impl FnOnce(&B, Output<B>)) -> Vec<f32> {
        const OTHER: f32 = 12.5;
        let mut data = self.filled(place, OTHER);
        work(self.device, Output { data: &mut data, place });
        let all = self.all(&data, place);
        let others = place.pixel - place.c;
        let left = all.iter().filter(|&&v| v == OTHER).count();
        assert!(
            left >= others * place.h * place.w * self.batch.lanes(),
            "{}: a row of another value was changed",
            self.what
        );
        self.nchw(&data, place)
    }

    /// Compares with a tolerance for sums of `terms` products in f32, relative to the largest element.
    pub fn close(&self, what: &str, actual: &[f32], expected: &[f64], terms: usize) {
        let scale = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
        let tolerance = Tolerance::f32_roundings(8.0 + 2.0 * (terms as f64).sqrt(), scale);
        // Operands and results are rounded to the format a few times, sums of products once per operand.
        let tolerance = tolerance.plus(8.0 * self.format.unit * scale);
        assert_close(format!("{}: {what}", self.what), actual, expected, tolerance);
    }
}

/// All rows of the buffer of a value.
fn whole(place: Place) -> Place {
    Place::dense(Shape { c: place.pixel, h: place.h, w: place.w })
}

/// Writes `[images, C, H, W]` as it is.
fn load<B: Backend>(device: &B, batch: Batch, numbers: &[f32], data: &mut B::Values, place: Place) {
    let labels = vec![0; batch.images];
    let images = device.images(ImageBatch { pixels: PixelData::Floats(numbers), labels: &labels });
    let (mean, std) = (device.floats(place.c), device.upload(&vec![1.0; place.c]));
    let norm = Standard { mean: &mean, std: &std };
    device.load_images(batch, &images, norm, Output { data, place });
}

pub fn shape_of(map: &Map) -> Shape {
    Shape { c: map.shape[1], h: map.shape[2], w: map.shape[3] }
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}
