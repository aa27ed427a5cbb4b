//! The seam between the bookkeeping of a sweep and whatever computes the networks.

use crate::bits::{Bits, FixedSum};
use crate::error::{Error, Result};
use crate::filter::Mask;
use std::ops::Range;

/// What one network did on one block of images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Number of images.
    pub images: usize,
    /// One bit per image: 1 if the clean image was classified correctly.
    pub clean: Bits,
    /// One bit per image: 1 if the adversarial image was classified correctly.
    pub adv: Bits,
    /// Sum of the cross-entropies of the clean images.
    pub loss_clean: FixedSum,
    /// Sum of the cross-entropies of the adversarial images.
    pub loss_adv: FixedSum,
}

impl Outcome {
    /// Adds one image: whether it was classified correctly, and its cross-entropy, clean and adversarial.
    pub fn push(&mut self, clean: (bool, f32), adv: (bool, f32)) {
        self.images += 1;
        self.clean.push(clean.0);
        self.adv.push(adv.0);
        self.loss_clean.add(clean.1);
        self.loss_adv.add(adv.1);
    }

    /// Adds the outcome of the images that follow.
    pub fn append(&mut self, next: &Outcome) {
        self.images += next.images;
        self.clean.append(&next.clean);
        self.adv.append(&next.adv);
        self.loss_clean.merge(next.loss_clean);
        self.loss_adv.merge(next.loss_adv);
    }

    /// Whether there is one bit per image in both sets.
    pub fn is_consistent(&self) -> bool {
        self.clean.len() == self.images && self.adv.len() == self.images
    }
}

/// What is filtered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// One filterable tensor, by its position among the filterable tensors of the network.
    Layer(usize),
    /// The weights of one output channel of a filterable tensor.
    Channel {
        /// The tensor's position among the filterable tensors.
        layer: usize,
        /// The output channel.
        channel: usize,
    },
    /// All filterable tensors together.
    Network,
}

/// Hears of every finished variant, and can end the work with an error.
pub type AfterEach<'a> = dyn FnMut() -> Result<()> + 'a;

/// One network (one checkpoint) that can be filtered and measured. The calls come in the order
/// `begin_block (begin_target variants end_target)*`, again for each block of images.
pub trait Measure {
    /// Makes `images` (positions in the test set) the current block: runs the unfiltered network on them and keeps
    /// what the variants of this block need of that run. Returns what the unfiltered network did.
    ///
    /// # Errors
    /// Whatever keeps the backend from computing it.
    fn begin_block(&mut self, images: Range<usize>) -> Result<Outcome>;

    /// Makes `target` what the following variants filter.
    ///
    /// # Errors
    /// Whatever keeps the backend from preparing it.
    fn begin_target(&mut self, target: &Target) -> Result<()>;

    /// Measures the network with each of `masks` applied to the current target, on the current block. `after_each` is
    /// called when the outcome of the next variant is known.
    ///
    /// # Errors
    /// Whatever keeps the backend from computing it; what `after_each` returns, soon after it did.
    fn variants(&mut self, masks: &[Mask], after_each: &mut AfterEach) -> Result<Vec<Outcome>>;

    /// Measures the network with one mask.
    ///
    /// # Errors
    /// As [`Measure::variants`].
    fn variant(&mut self, mask: &Mask) -> Result<Outcome> {
        let outcomes = self.variants(std::slice::from_ref(mask), &mut || Ok(()))?;
        outcomes.into_iter().next().ok_or_else(|| Error::Failed("measure: no outcome of a variant".into()))
    }

    /// Restores the weights of the current target. Also called when the variants ended with an error.
    ///
    /// # Errors
    /// Whatever keeps the backend from restoring them.
    fn end_target(&mut self) -> Result<()>;
}
