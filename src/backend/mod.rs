//! The one seam: what a device must be able to do for a tape, a sweep and a training run.
//!
//! Three traits, each on top of the one before: [`Device`] has buffers and queues, [`Infer`] the operations of a network
//! whose parameters stay, [`Train`] those that move them; a [`Backend`] is all three. Values lie in slabs of 64 images,
//! `[slab][H][W][C][image]`; [`Batch`] says how many images there are and [`Place`] which rows of a pixel a value takes. A
//! device owns its buffers; every operation names what it reads and what it writes, and writes all of it (or adds, where
//! [`Then::accumulate`] says so).

mod adversarial;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;
mod device;
pub mod format;
mod images;
mod infer;
pub mod open;
pub mod opened;
mod train;

pub use adversarial::{Adversarial, AttackStart, AttackStep, Noise, Standard};
pub use device::Device;
pub(crate) use device::grain;
pub use images::{ImageBatch, PixelData, Verdicts};
pub use infer::{Infer, NormTensors};
pub use train::{Adam, DropoutKey, NormGradients, Optimizer, Sgd, Statistics, Train};

use crate::graph::Rectifier;
use crate::graph::place::Place;

/// A device that can do everything.
pub trait Backend: Train {}

impl<B: Train> Backend for B {}

/// Images in a full slab.
pub const SLAB: usize = 64;

/// How many images a run holds, in slabs of 64 of which the last may be narrower (a multiple of 16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Batch {
    /// Number of images.
    pub images: usize,
}

/// One slab of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slab {
    /// Its first image, and so its first lane, counted over the batch.
    pub start: usize,
    /// Lanes, 16 to 64.
    pub lanes: usize,
    /// Lanes that hold images; the others are seen by no count, loss, statistic or gradient.
    pub images: usize,
}

impl Batch {
    /// The slabs, in order.
    pub fn slabs(self) -> impl ExactSizeIterator<Item = Slab> + Clone {
        (0..self.images.div_ceil(SLAB)).map(move |i| {
            let images = (self.images - i * SLAB).min(SLAB);
            Slab { start: i * SLAB, lanes: images.next_multiple_of(16), images }
        })
    }

    /// Lanes of all slabs together: floats per row.
    pub fn lanes(self) -> usize {
        self.slabs().map(|s| s.lanes).sum()
    }
}

/// A value that is read.
pub struct Input<'a, B: Device + ?Sized> {
    /// Its buffer.
    pub data: &'a B::Values,
    /// Where it lies in it.
    pub place: Place,
}

/// A value that is written.
pub struct Output<'a, B: Device + ?Sized> {
    /// Its buffer.
    pub data: &'a mut B::Values,
    /// Where it lies in it.
    pub place: Place,
}

/// What happens to a result before it is stored: `act(result·scale + shift + add + what stands there)`.
pub struct Then<'a, B: Device + ?Sized> {
    /// Factor per channel.
    pub scale: Option<&'a B::Floats>,
    /// Term per channel.
    pub shift: Option<&'a B::Floats>,
    /// Another value of the same shape.
    pub add: Option<Input<'a, B>>,
    /// Whether to add to what stands in the output.
    pub accumulate: bool,
    /// The last step.
    pub sign: Sign<'a, B>,
}

impl<B: Device + ?Sized> Default for Then<'_, B> {
    fn default() -> Self {
        Then { scale: None, shift: None, add: None, accumulate: false, sign: Sign::None }
    }
}

/// A rectifier and its backward; one bit per element of the written buffer.
pub enum Sign<'a, B: Device + ?Sized> {
    /// Nothing.
    None,
    /// The rectifier.
    Rectify(Rectifier),
    /// The same, remembering where its derivative is 1.
    RectifySave(Rectifier, &'a mut B::Bits),
    /// v where the bit is set, else this factor times v: +0.0 where the factor is 0, whatever v is.
    Mask(&'a B::Bits, f32),
}
