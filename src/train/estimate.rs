//! What a training would take: a few of its steps are run.

use super::{Start, TrainSettings, Trainer};
use crate::backend::opened::{Device, Work, on_device};
use crate::backend::{Backend, ImageBatch, PixelData};
use crate::data::Images;
use crate::error::Result;
use crate::eval::seconds_per_image;
use crate::model::Model;
use crate::weights::Weights;
use std::time::Instant;

/// Training steps that are timed, after one that is not.
pub const STEPS: usize = 2;

/// Seconds that a training from initial weights on `images` takes on a device, with the test on `test` after every epoch, from
/// [`STEPS`] measured steps and an evaluation.
///
/// # Errors
/// Those of [`TrainSettings::check`] and of the device.
pub fn seconds(device: &Device, settings: &TrainSettings, images: &Images, test: &Images) -> Result<f64> {
    on_device!(device, Work::Training, |backend| seconds_on(backend, settings, images, test))
}

/// The same on a backend.
pub(crate) fn seconds_on<B: Backend>(
    backend: &B,
    settings: &TrainSettings,
    images: &Images,
    test: &Images,
) -> Result<f64> {
    let graph = settings.check(images, test)?;
    let weights = Weights::init(&graph, settings.seed);
    let TrainSettings { optimizer, seed, batch, ref mean, ref std, .. } = *settings;
    let start = Start { graph, weights: &weights, frozen: &[], optimizer, seed, batch, norm: [mean, std] };
    let mut trainer = Trainer::new(backend, start);
    let size = images.shape.iter().product::<usize>();
    let mut step = || {
        let pixels = PixelData::Bytes(&images.pixels[..batch * size]);
        trainer.step(ImageBatch { pixels, labels: &images.labels[..batch] })
    };
    step()?;
    let started = Instant::now();
    for _ in 0..STEPS {
        step()?;
    }
    let per_step = started.elapsed().as_secs_f64() / STEPS as f64;
    let model = Model::untrained((settings.arch, settings.stem), test, seed)?;
    let per_image = seconds_per_image(backend, &model, test, &[])?;
    let epoch = per_step * (images.len() / batch) as f64 + per_image * test.len() as f64;
    Ok(epoch * f64::from(settings.epochs))
}
