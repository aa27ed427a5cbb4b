//! The same operation on CUDA and on the CPU, which must agree in every number: both do the same operations in the same
//! order, each rounded once to f32, and the result once to the number format of values.

use half::{bf16, f16};
use synfilter::backend::cpu::device::Cpu;
use synfilter::backend::cpu::select::ConvMode;
use synfilter::backend::cuda::device::Cuda;
use synfilter::backend::cuda::format::Format;
use synfilter::backend::{Backend, Batch, ImageBatch, Input, Output, PixelData, SLAB, Sign, Standard, Then};
use synfilter::graph::Rectifier;
use synfilter::graph::Shape;
use synfilter::graph::place::Place;
use synfilter::random::Random;

/// A number format of values whose roundings the host can do.
pub trait Rounded: Format {
    /// To the nearest number of the format.
    fn round(v: f32) -> f32;
}

impl Rounded for f32 {
    fn round(v: f32) -> f32 {
        v
    }
}

impl Rounded for f16 {
    fn round(v: f32) -> f32 {
        f16::from_f32(v).to_f32()
    }
}

impl Rounded for bf16 {
    fn round(v: f32) -> f32 {
        bf16::from_f32(v).to_f32()
    }
}

/// What rows of other values, and on CUDA lanes without an image, hold.
const FILLING: f32 = 10_000.0;

/// A device on which an operation is tried.
pub struct On<'a, B: Backend> {
    /// The device.
    pub device: &'a B,
    /// The images.
    pub batch: Batch,
    /// With an image in every lane.
    lanes: Batch,
    round: fn(f32) -> f32,
}

impl<T: Rounded> On<'_, Cuda<T>> {
    /// On CUDA.
    pub fn cuda(device: &Cuda<T>, images: usize) -> On<'_, Cuda<T>> {
        let lanes = Batch { images: images.next_multiple_of(SLAB) };
        On { device, batch: Batch { images }, lanes, round: T::round }
    }
}

impl On<'_, Cpu> {
    /// On the CPU, whose results are rounded to the format.
    pub fn cpu<T: Rounded>(device: &Cpu, images: usize) -> On<'_, Cpu> {
        let batch = Batch { images };
        On { device, batch, lanes: Batch { images: batch.lanes() }, round: T::round }
    }
}

impl<B: Backend> On<'_, B> {
    /// A value of `[images, C, H, W]`, rounded to the format; everything else in the buffer is filling.
    pub fn value(&self, numbers: &[f32], place: Place) -> B::Values {
        self.value_in(place.rows(), numbers, place)
    }

    /// As [`On::value`], at the beginning of a buffer of so many rows.
    pub fn value_in(&self, rows: usize, numbers: &[f32], place: Place) -> B::Values {
        let mut data = self.device.values(rows, self.batch);
        let whole = whole(place);
        self.load(self.lanes, &vec![FILLING; self.lanes.images * place.rows()], &mut data, whole);
        let rounded: Vec<f32> = numbers.iter().map(|&v| (self.round)(v)).collect();
        self.load(self.batch, &rounded, &mut data, place);
        data
    }

    /// Numbers as they are.
    fn load(&self, batch: Batch, numbers: &[f32], data: &mut B::Values, place: Place) {
        let labels = vec![0; batch.images];
        let images = self.device.images(ImageBatch { pixels: PixelData::Floats(numbers), labels: &labels });
        let (mean, std) = (self.device.floats(place.c), self.device.upload(&vec![1.0; place.c]));
        let norm = Standard { mean: &mean, std: &std };
        self.device.load_images(batch, &images, norm, Output { data, place });
    }

    /// A value as `[images, C, H, W]`, rounded to the format.
    pub fn read(&self, data: &B::Values, place: Place) -> Vec<f32> {
        let numbers = self.device.download_nchw(self.batch, Input { data, place }).expect("a working device");
        numbers.into_iter().map(self.round).collect()
    }

    /// What lies in the lanes of a value that hold no image, by lane.
    pub fn padding(&self, data: &B::Values, place: Place) -> Vec<f32> {
        let all = self.device.download_nchw(self.lanes, Input { data, place }).expect("a working device");
        all[self.batch.images * place.c * place.h * place.w..].to_vec()
    }

    /// Numbers of a buffer of f32.
    pub fn floats(&self, data: &B::Floats) -> Vec<f32> {
        self.device.download(data).expect("a working device")
    }

    /// Sign bits of a value, as zeros and ones.
    pub fn signs(&self, bits: &B::Bits, place: Place) -> Vec<f32> {
        let ones = vec![1.0; self.batch.images * place.c * place.h * place.w];
        let (x, mut y) = (self.value(&ones, place), self.value(&ones, place));
        let then = Then { sign: Sign::Mask(bits, 0.0), ..Then::default() };
        self.device.map(self.batch, Input { data: &x, place }, Output { data: &mut y, place }, then);
        self.read(&y, place)
    }
}

/// All rows of the buffer of a value.
fn whole(place: Place) -> Place {
    Place::dense(Shape { c: place.pixel, h: place.h, w: place.w })
}

/// A value that fills its buffer, or lies among others.
pub fn places(shape: Shape) -> [Place; 2] {
    let Shape { c, h, w } = shape;
    [Place::dense(shape), Place { h, w, c, pixel: 2 * c + 3, offset: 2, step: 2 }]
}

/// Normal numbers, and among them zeros of both signs, ties, infinities and what is none.
pub fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut random = Random::new(seed, 0);
    (0..len)
        .map(|_| match random.below(40) {
            0 => 0.0,
            1 => -0.0,
            2 => f32::NAN,
            3 => f32::INFINITY,
            4 => f32::NEG_INFINITY,
            5 | 6 => 1.0,
            _ => random.normal(),
        })
        .collect()
}

/// Normal numbers.
pub fn normals(seed: u64, len: usize) -> Vec<f32> {
    let mut random = Random::new(seed, 1);
    (0..len).map(|_| random.normal()).collect()
}

/// Something that every device can do.
pub trait Operation {
    /// Does it, and returns everything that it wrote.
    fn run<B: Backend>(&self, on: &On<B>) -> Vec<f32>;
}

/// Does `operation` on the CPU and on CUDA in one number format.
///
/// # Panics
/// Where one number differs; zeros of both signs are equal, and so is what is no number on either side.
pub fn agree<T: Rounded>(cuda: &Cuda<T>, images: usize, what: &str, operation: &impl Operation) {
    let actual = operation.run(&On::cuda(cuda, images));
    let cpu = Cpu::new(ConvMode::Direct, false);
    let expected = operation.run(&On::cpu::<T>(&cpu, images));
    assert_eq!(actual.len(), expected.len(), "{what}");
    let differs = |(a, e): (&f32, &f32)| a != e && !(a.is_nan() && e.is_nan());
    if let Some(at) = actual.iter().zip(&expected).position(differs) {
        let count = actual.iter().zip(&expected).filter(|&pair| differs(pair)).count();
        let (a, e) = (actual[at], expected[at]);
        panic!(
            "{what}, {images} images, {}: {count} of {} differ, first {at}: {a:e}, CPU {e:e}",
            T::NAME,
            actual.len()
        );
    }
}

/// Does `work` in every number format.
#[macro_export]
macro_rules! in_every_format {
    ($work:ident) => {
        $work::<f32>(&$crate::driver::open());
        $work::<half::f16>(&$crate::driver::open());
        $work::<half::bf16>(&$crate::driver::open());
    };
}

/// How a result is stored.
#[derive(Clone, Copy, Debug)]
pub struct Ending {
    pub scale: bool,
    pub shift: bool,
    pub add: bool,
    pub accumulate: bool,
    /// As `Sign` of kernels/common.cuh.
    pub sign: u32,
}

impl Ending {
    /// Nothing happens.
    pub const PLAIN: Ending = Ending { scale: false, shift: false, add: false, accumulate: false, sign: 0 };

    /// One after the other.
    pub fn all() -> impl Iterator<Item = Ending> {
        (0..64).map(|i| Ending {
            scale: i & 1 != 0,
            shift: i & 2 != 0,
            add: i & 4 != 0,
            accumulate: i & 8 != 0,
            sign: i >> 4,
        })
    }

    /// Each part at least once.
    pub fn few() -> [Ending; 4] {
        let all = Ending { scale: true, shift: true, add: true, accumulate: true, sign: 2 };
        [
            Ending::PLAIN,
            all,
            Ending { sign: 3, scale: false, ..all },
            Ending { accumulate: false, sign: 1, ..all },
        ]
    }

    /// What `work` writes at a place, and the sign bits that it saves.
    pub fn write<B: Backend>(
        self,
        on: &On<B>,
        place: Place,
        work: impl FnOnce(Output<B>, Then<B>),
    ) -> Vec<f32> {
        let shape = Shape { c: place.c, h: place.h, w: place.w };
        let len = on.batch.images * place.c * place.h * place.w;
        let [dense, sparse] = places(shape);
        let add_place = if place == dense { sparse } else { dense };
        let (scale, shift) = (normals(91, place.c), normals(92, place.c));
        let (scale, shift) = (on.device.upload(&scale), on.device.upload(&shift));
        let add = on.value(&numbers(93, len), add_place);
        let mut bits = on.device.bits(place.rows(), on.batch);
        if self.sign == 3 {
            let (x, mut y) = (on.value(&normals(95, len), place), on.value(&normals(95, len), place));
            let then = Then { sign: Sign::RectifySave(Rectifier::RELU, &mut bits), ..Then::default() };
            on.device.map(on.batch, Input { data: &x, place }, Output { data: &mut y, place }, then);
        }
        let mut y = on.value(&numbers(94, len), place);
        let then = Then {
            scale: self.scale.then_some(&scale),
            shift: self.shift.then_some(&shift),
            add: self.add.then_some(Input { data: &add, place: add_place }),
            accumulate: self.accumulate,
            sign: match self.sign {
                0 => Sign::None,
                1 => Sign::Rectify(Rectifier::RELU),
                2 => Sign::RectifySave(Rectifier::RELU, &mut bits),
                _ => Sign::Mask(&bits, 0.0),
            },
        };
        work(Output { data: &mut y, place }, then);
        let mut written = on.read(&y, whole(place));
        if self.sign == 2 {
            written.extend(on.signs(&bits, place));
        }
        written
    }
}
