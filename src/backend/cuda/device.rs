//! A stream of a CUDA device as a [`Backend`](crate::backend::Backend): every operation is a launch or two on it.

use super::abi;
use super::batch_norm;
use super::buffer::Buffer;
use super::context::Context;
use super::filter::Weights;
use super::format::Format;
use super::image;
use super::recording::Recording;
use super::value::{Count, View};
use crate::backend::{Batch, Device, ImageBatch, Input, Output, PixelData, SLAB, Sign, Then, Verdicts};
use crate::error::Result;
use crate::graph::Rectifier;
use crate::graph::place::Place;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// A stream of a CUDA device, on which is computed in one number format.
pub struct Cuda<T> {
    pub(super) context: Arc<Context>,
    /// Sums over parts of a weight gradient.
    pub(super) scratch: Mutex<Option<Buffer>>,
    /// Sums over parts of the rows of a channel.
    pub(super) sums: Buffer,
    format: PhantomData<fn() -> T>,
}

/// Images and labels on the device.
pub struct DeviceImages {
    pub(super) pixels: Buffer,
    pub(super) bytes: bool,
    pub(super) labels: Buffer,
}

/// What was found of each image, on the device.
pub struct DeviceVerdicts {
    pub(super) loss: Buffer,
    pub(super) correct: Buffer,
    images: usize,
}

/// Images of an evaluation that go through a network together.
const IMAGES_PER_RUN: usize = 2048;

/// Of the free memory, the part that values may take: the rest is for weights and for other programs.
const MEMORY_SHARE: f64 = 0.85;

impl<T: Format> Cuda<T> {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// As [`Context::open`].
    pub fn open(ordinal: usize) -> Result<Self> {
        Ok(Self::on(Context::open(ordinal)?))
    }

    fn on(context: Arc<Context>) -> Self {
        let sums = batch_norm::room(&context);
        Cuda { context, scratch: Mutex::default(), sums, format: PhantomData }
    }

    /// The device.
    pub fn context(&self) -> &Arc<Context> {
        &self.context
    }

    fn rows(rows: usize, batch: Batch) -> usize {
        rows * Count::of(batch.images).slabs
    }
}

// The launchers' conditions hold throughout: buffers were made by this backend for a batch, places are those of the program
// that they were made for, and a program neither reads what a step writes nor gives buffers of other batches.
impl<T: Format> Device for Cuda<T> {
    type Values = Buffer;
    type Floats = Buffer;
    type Bits = Buffer;
    type Bytes = Buffer;
    type Filter = Weights;
    type Images<'a> = DeviceImages;
    type DeviceVerdicts = DeviceVerdicts;
    type Pending = DeviceVerdicts;
    type Recording = Recording;

    const VALUE_BYTES: usize = T::BYTES;
    const CONCURRENT: bool = false;
    const IN_FLIGHT: usize = usize::MAX;
    const GRADIENT_SCALE: f32 = T::GRADIENT_SCALE;

    fn images_per_run(&self) -> usize {
        IMAGES_PER_RUN
    }

    fn memory(&self) -> Option<usize> {
        self.context.free_memory().map(|free| (free as f64 * MEMORY_SHARE) as usize)
    }

    fn queue(&self) -> Option<Self> {
        self.context.queue().map(Self::on)
    }

    fn after(&self, other: &Self) {
        self.context.after(&other.context);
    }

    fn queues_to_fill(&self, recording: &Recording) -> usize {
        recording.fill().queues()
    }

    fn values(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB * T::BYTES)
    }

    fn bits(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * size_of::<u64>())
    }

    fn bytes(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB)
    }

    fn floats(&self, len: usize) -> Buffer {
        Buffer::zeros(&self.context, len * size_of::<f32>())
    }

    fn pixels(&self, rows: usize, batch: Batch) -> Buffer {
        Buffer::zeros(&self.context, Self::rows(rows, batch) * SLAB * size_of::<f32>())
    }

    fn upload(&self, data: &[f32]) -> Buffer {
        Buffer::of(&self.context, data)
    }

    fn write(&self, buffer: &mut Buffer, data: &[f32]) {
        buffer.write(data);
    }

    fn copy(&self, from: &Buffer, to: &mut Buffer) {
        to.copy_from(from);
    }

    fn zero(&self, buffer: &mut Buffer) {
        buffer.zero();
    }

    fn download(&self, buffer: &Buffer) -> Result<Vec<f32>> {
        buffer.read()
    }

    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>> {
        let Place { h, w, c, .. } = x.place;
        let out = Buffer::new(&self.context, batch.images * c * h * w * size_of::<f32>());
        // SAFETY: as above; `out` has a number per element.
        unsafe { image::download::<T>(&self.context, Count::of(batch.images), input(&x), out.address()) };
        out.read()
    }

    fn images<'a>(&self, images: ImageBatch<'a>) -> DeviceImages {
        let (pixels, bytes) = match images.pixels {
            PixelData::Bytes(bytes) => (Buffer::of(&self.context, bytes), true),
            PixelData::Floats(floats) => (Buffer::of(&self.context, floats), false),
        };
        DeviceImages { pixels, bytes, labels: Buffer::of(&self.context, images.labels) }
    }

    fn verdicts(&self, batch: Batch) -> DeviceVerdicts {
        let slabs = Count::of(batch.images).slabs;
        DeviceVerdicts {
            loss: Buffer::zeros(&self.context, slabs * SLAB * size_of::<f32>()),
            correct: Buffer::zeros(&self.context, slabs * size_of::<u64>()),
            images: batch.images,
        }
    }

    fn fetch(&self, verdicts: &mut DeviceVerdicts) -> DeviceVerdicts {
        let mut kept = DeviceVerdicts {
            loss: Buffer::new(&self.context, verdicts.loss.bytes()),
            correct: Buffer::new(&self.context, verdicts.correct.bytes()),
            images: verdicts.images,
        };
        kept.loss.copy_from(&verdicts.loss);
        kept.correct.copy_from(&verdicts.correct);
        kept
    }

    fn wait(&self, pending: DeviceVerdicts) -> Result<Verdicts> {
        let mut loss = pending.loss.read::<f32>()?;
        loss.truncate(pending.images);
        let words = pending.correct.read::<u64>()?;
        let correct = (0..pending.images).map(|i| words[i / SLAB] >> (i % SLAB) & 1 == 1).collect();
        Ok(Verdicts { loss, correct })
    }

    fn replayable(&self, recording: &mut Option<Recording>, work: impl FnOnce()) {
        Recording::run(recording, &self.context, work);
    }
}

pub(super) fn input<T: Format>(x: &Input<Cuda<T>>) -> View {
    View { address: x.data.address(), place: x.place }
}

pub(super) fn output<T: Format>(y: &Output<Cuda<T>>) -> View {
    View { address: y.data.address(), place: y.place }
}

pub(super) fn address(buffer: Option<&Buffer>) -> u64 {
    buffer.map_or(0, Buffer::address)
}

/// As kernels take it.
pub(super) fn then<T: Format>(then: Then<Cuda<T>>) -> abi::Then {
    let (sign, Rectifier { below, capped }, bits) = match then.sign {
        Sign::None => (0, Rectifier::RELU, 0),
        Sign::Rectify(rectifier) => (1, rectifier, 0),
        Sign::RectifySave(rectifier, bits) => (2, rectifier, bits.address()),
        Sign::Mask(bits, below) => (3, Rectifier { below, capped: false }, bits.address()),
    };
    let (add, add_place) = match &then.add {
        Some(add) => (add.data.address(), add.place.into()),
        None => (0, bytemuck::Zeroable::zeroed()),
    };
    abi::Then {
        scale: address(then.scale),
        shift: address(then.shift),
        add,
        bits,
        add_place,
        sign,
        accumulate: u8::from(then.accumulate),
        capped: u8::from(capped),
        unused: 0,
        below,
    }
}
