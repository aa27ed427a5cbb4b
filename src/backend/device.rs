//! A device, or one of its queues: buffers, what is brought to it and from it, and in which order things run.

use super::{Batch, ImageBatch, Input, Verdicts};
use crate::error::Result;

/// A device, or one of its queues.
///
/// Operations run in the order in which they are called, but may still be running when a call returns. Those that
/// bring something to the host wait for it, and report what went wrong with any operation before them.
///
/// A device may have further queues, which run beside each other. A queue writes only to buffers that it made and to filters
/// of its own; what others made it reads after it has waited for them.
pub trait Device: Sync {
    /// Values and gradients by values, in the device's number format.
    type Values: Send + Sync;
    /// Parameters, their gradients, statistics, factors per channel: f32.
    type Floats: Send + Sync;
    /// Sign bits.
    type Bits: Send + Sync;
    /// Winners of a max pool.
    type Bytes: Send + Sync;
    /// A convolution's weights, ready to run in both directions.
    type Filter: Send + Sync;
    /// Images and labels where the device reads them.
    type Images<'a>: Send + Sync;
    /// [`Verdicts`] where the device writes them.
    type DeviceVerdicts: Send + Sync;
    /// [`Verdicts`] on their way to the host.
    type Pending: Send;
    /// Operations that can be run again.
    type Recording: Send;

    /// Bytes of one element of a value.
    const VALUE_BYTES: usize;
    /// Whether runs on several threads at once make good use of the device; otherwise it gets one run after the other.
    const CONCURRENT: bool;
    /// How many networks of a sweep may be waited for at once.
    const IN_FLIGHT: usize;
    /// Factor of a loss under which its gradients by values keep to the range of the number format: a power of two.
    const GRADIENT_SCALE: f32;

    /// How many images one run should hold where nothing else decides it.
    fn images_per_run(&self) -> usize;
    /// Bytes that values may take; `None` where the device does not say.
    fn memory(&self) -> Option<usize>;

    /// Another queue of the device; `None` where it has only one, or no more.
    fn queue(&self) -> Option<Self>
    where
        Self: Sized;
    /// Lets what is begun from now on wait for all that was begun on `other`, a queue of the same device.
    fn after(&self, other: &Self);
    /// How many queues it takes to fill the device, each with runs as that of `recording`.
    fn queues_to_fill(&self, recording: &Self::Recording) -> usize;

    /// A buffer of `rows` rows for `batch`.
    fn values(&self, rows: usize, batch: Batch) -> Self::Values;
    /// Sign bits for such a buffer.
    fn bits(&self, rows: usize, batch: Batch) -> Self::Bits;
    /// A byte per element of such a buffer.
    fn bytes(&self, rows: usize, batch: Batch) -> Self::Bytes;
    /// A buffer of `len` zeros.
    fn floats(&self, len: usize) -> Self::Floats;
    /// Room for `batch` in pixel units, with `rows` values per image: f32, whatever the number format of values.
    fn pixels(&self, rows: usize, batch: Batch) -> Self::Floats;
    /// A buffer that holds `data`.
    fn upload(&self, data: &[f32]) -> Self::Floats;
    /// Overwrites a buffer with `data` of its length.
    fn write(&self, buffer: &mut Self::Floats, data: &[f32]);
    /// Overwrites a buffer with another of its length.
    fn copy(&self, from: &Self::Floats, to: &mut Self::Floats);
    /// Zeroes a buffer.
    fn zero(&self, buffer: &mut Self::Values);
    /// What a buffer holds.
    ///
    /// # Errors
    /// What went wrong on the device, now or earlier.
    fn download(&self, buffer: &Self::Floats) -> Result<Vec<f32>>;
    /// A value as `[images, C, H, W]`.
    ///
    /// # Errors
    /// As [`Device::download`].
    fn download_nchw(&self, batch: Batch, x: Input<Self>) -> Result<Vec<f32>>;
    /// Takes images to the device.
    fn images<'a>(&self, images: ImageBatch<'a>) -> Self::Images<'a>;
    /// Room for what is found of the images of `batch`.
    fn verdicts(&self, batch: Batch) -> Self::DeviceVerdicts;
    /// Sets out to bring verdicts to the host; the buffer may be overwritten by what follows.
    fn fetch(&self, verdicts: &mut Self::DeviceVerdicts) -> Self::Pending;
    /// Waits for verdicts.
    ///
    /// # Errors
    /// As [`Device::download`].
    fn wait(&self, pending: Self::Pending) -> Result<Verdicts>;
    /// Runs `work`, or what earlier calls with the same `recording` recorded of it: the same operations on the same
    /// buffers. `work` allocates nothing and brings nothing to the host.
    fn replayable(&self, recording: &mut Option<Self::Recording>, work: impl FnOnce());
}

/// The least number of runs that a thread should take at once: all of them where the device runs one at a time.
pub(crate) fn grain<B: Device>() -> usize {
    if B::CONCURRENT { 1 } else { usize::MAX }
}
