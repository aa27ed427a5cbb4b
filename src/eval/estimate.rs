//! How long an evaluation takes: one of a few images is run.

use super::evaluate;
use crate::attack::Attack;
use crate::backend::Backend;
use crate::data::Images;
use crate::error::Result;
use crate::model::Model;
use crate::network::{BnMode, Network};
use std::time::Instant;

/// Images whose evaluation is timed.
pub const IMAGES: usize = 128;

/// Seconds that the evaluation of an image takes, with attacks.
///
/// # Errors
/// Those of the device.
pub(crate) fn seconds_per_image<B: Backend>(
    backend: &B,
    model: &Model,
    images: &Images,
    attacks: &[Attack],
) -> Result<f64> {
    let some = images.len().min(IMAGES);
    let (graph, norm) = (model.graph.clone(), model.norm.clone());
    let network = Network::new(backend, graph, &model.weights, norm, BnMode::Running.mode());
    let run = || evaluate(&network, images, 0..some, attacks, false, |_| ());
    run()?;
    let started = Instant::now();
    run()?;
    Ok(started.elapsed().as_secs_f64() / some as f64)
}
