//! What is swept, on what, and how: what a job tells its preparation.

use super::order::Order;
use super::record::{AttackMode, Scope};
use super::sampling::Sampling;
use crate::attack::{Eps, Method};
use crate::backend::opened::Device;
use crate::data::{Images, Reading};
use crate::error::Result;
use crate::filter::FilterKind;
use crate::model::{Model, Said, Trained};
use crate::network::BnMode;
use crate::watch::Watch;
use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;

/// What a sweep measures.
#[derive(Clone, Debug, PartialEq)]
pub struct Choices {
    /// The filters.
    pub filters: Vec<FilterKind>,
    /// Thresholds per filter, evenly spread over the weights' range.
    pub thresholds: usize,
    /// What is filtered at once.
    pub scope: Scope,
    /// The layers that are filtered, by the names of their tensors; all if nothing is said.
    pub layers: Option<Vec<String>>,
    /// The most that the attack moves a pixel.
    pub eps: Eps,
    /// How adversarial images are made.
    pub method: Method,
    /// Against which network.
    pub attack: AttackMode,
    /// Whether adversarial images are clipped to [0, 1].
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// Which images each network is measured on; `None` for all.
    pub sampling: Option<Sampling>,
}

impl Default for Choices {
    /// All filters, 25 thresholds, layer by layer, FGSM with ε = 8/255 against every filtered network.
    fn default() -> Self {
        Choices {
            filters: FilterKind::ALL.to_vec(),
            thresholds: 25,
            scope: Scope::Layer,
            layers: None,
            eps: Eps(8.0 / 255.0),
            method: Method::Fgsm,
            attack: AttackMode::Adaptive,
            clamp: true,
            bn: BnMode::Running,
            sampling: None,
        }
    }
}

/// How many images are held at a time. No result depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// As many as that, rounded up to whole slabs or batches.
    Images(usize),
    /// As many as fit in that many MiB.
    Mebibytes(usize),
    /// As many as fit in the device's free memory, or in 1 GiB where it does not say.
    Fitting,
}

/// The networks of a job, all of one architecture.
pub(super) enum Networks<'a> {
    /// Files, opened one after the other: one network at a time is in memory.
    Files { paths: &'a [PathBuf], said: &'a Said, trained: &'a [Trained] },
    /// Networks in memory.
    Given(Vec<Rc<Model>>),
}

impl Networks<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Networks::Files { paths, .. } => paths.len(),
            Networks::Given(models) => models.len(),
        }
    }

    /// The file of a network, by position.
    pub(super) fn path(&self, at: usize) -> PathBuf {
        match self {
            Networks::Files { paths, .. } => paths[at].clone(),
            Networks::Given(models) => PathBuf::from(&models[at].taken.file),
        }
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        (0..self.len()).map(|at| self.path(at)).collect()
    }
}

/// All of that.
pub(super) struct Task<'a> {
    pub device: &'a Device,
    pub images: &'a Images,
    /// Which they are of all, and how they were prepared; `None` for the first as they are.
    pub reading: Option<&'a Reading>,
    pub networks: Networks<'a>,
    pub choices: Choices,
    pub block: Block,
    /// Who hears how it goes on.
    pub watch: &'a dyn Watch,
}

impl Task<'_> {
    /// The images as they lie on the device.
    ///
    /// # Errors
    /// A usage error for a sample that cannot be.
    pub(super) fn laid(&self) -> Result<Cow<'_, Images>> {
        let Some(sampling) = &self.choices.sampling else { return Ok(Cow::Borrowed(self.images)) };
        sampling.check(self.images.len(), self.choices.bn)?;
        let order = Order::new(sampling.order_seed, self.images.len());
        Ok(Cow::Owned(self.images.arranged(&order.laid())))
    }
}
