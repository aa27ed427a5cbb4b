//! Accuracy of a model on a device.

use super::{Chunks, Evaluation, Halving, Tally, chunk, halving};
use crate::attack::{Attack, Eps, Method};
use crate::backend::Backend;
use crate::backend::opened::{Device, Work, on_device};
use crate::data::Images;
use crate::error::Result;
use crate::model::Model;
use crate::network::{BnMode, Network};
use crate::watch::Watch;
use std::num::NonZeroUsize;

/// A measurement of a model's accuracy: where, on what, and how.
///
/// ```
/// use synfilter::attack::{Eps, Method};
/// use synfilter::data::{DatasetKind, Split, load};
/// use synfilter::eval::{Accuracy, Tally};
/// use synfilter::model::Model;
/// use synfilter::models::{Arch, Stem};
/// use synfilter::Device;
///
/// let images = load(DatasetKind::Digits, None, Split::Test, None)?.first(64)?;
/// let model = Model::untrained((Arch::Squeezenet1_1, Stem::Imagenet), &images, 0)?;
/// let device = Device::cpu();
/// let found = Accuracy::new(&device, &images, &model).under(&[Eps(0.1).attack(Method::Fgsm, true)])?;
/// assert_eq!((found.images, found.adversarial.len()), (64, 1));
/// assert!(Tally::from(&found.clean).correct <= 64);
/// # Ok::<(), synfilter::Error>(())
/// ```
#[derive(Clone, Copy)]
pub struct Accuracy<'a> {
    device: &'a Device,
    images: &'a Images,
    model: &'a Model,
    bn: BnMode,
    batch: Option<NonZeroUsize>,
    watch: &'a dyn Watch,
}

impl<'a> Accuracy<'a> {
    /// On all of `images`, with the running statistics of batch norm.
    pub fn new(device: &'a Device, images: &'a Images, model: &'a Model) -> Self {
        Accuracy { device, images, model, bn: BnMode::Running, batch: None, watch: &() }
    }

    /// Which statistics batch norm uses.
    pub fn bn(self, bn: BnMode) -> Self {
        Accuracy { bn, ..self }
    }

    /// Images computed at a time, rounded up to whole slabs or batches; no result depends on it.
    pub fn batch(self, batch: Option<NonZeroUsize>) -> Self {
        Accuracy { batch, ..self }
    }

    /// Who hears how it goes on, and may stop it.
    pub fn watch(self, watch: &'a dyn Watch) -> Self {
        Accuracy { watch, ..self }
    }

    /// What the model makes of the clean images and of those of each attack.
    ///
    /// # Errors
    /// A usage error for images that the model is not for; those of the device;
    /// [`Error::Interrupted`](crate::Error::Interrupted).
    pub fn under(self, attacks: &[Attack]) -> Result<Evaluation> {
        self.measured(attacks, false)
    }

    /// The same with the logits of the clean images and the gradient of their cross-entropy by the pixels.
    ///
    /// # Errors
    /// As [`Accuracy::under`].
    pub fn with_outputs(self, attacks: &[Attack]) -> Result<Evaluation> {
        self.measured(attacks, true)
    }

    /// Searches the ε at which FGSM halves the clean accuracy. `clean` is how many of the clean images are right, where that is
    /// known.
    ///
    /// # Errors
    /// As [`Accuracy::under`]; those of [`halving()`].
    pub fn halving(self, clean: Option<usize>, clamp: bool) -> Result<Halving> {
        self.model.check_images(self.images)?;
        on_device!(self.device, Work::Measuring, |backend| {
            let network = self.network(backend);
            let correct = |attacks: &[Attack]| {
                let found = self.chunks().evaluate(&network, self.images, self.range(), attacks, false)?;
                Ok(Tally::from(found.adversarial.first().unwrap_or(&found.clean)).correct)
            };
            let attacked = |eps: f64| correct(&[Eps(eps).attack(Method::Fgsm, clamp)]);
            let clean = clean.map_or_else(|| correct(&[]), Ok)?;
            halving(self.images.len(), clean, attacked)
        })
    }

    fn measured(self, attacks: &[Attack], outputs: bool) -> Result<Evaluation> {
        self.model.check_images(self.images)?;
        on_device!(self.device, Work::Measuring, |backend| {
            let network = self.network(backend);
            self.chunks().evaluate(&network, self.images, self.range(), attacks, outputs)
        })
    }

    fn network<B: Backend>(self, backend: &B) -> Network<'_, B> {
        let Model { graph, weights, norm, .. } = self.model;
        Network::new(backend, graph.clone(), weights, norm.clone(), self.bn.mode())
    }

    fn chunks(self) -> Chunks<'a> {
        Chunks { what: "eval", chunk: chunk(self.bn, self.batch), watch: self.watch }
    }

    fn range(self) -> std::ops::Range<usize> {
        0..self.images.len()
    }
}
