//! A training on a device, with somebody who watches.

use super::{Data, EpochRecord, Job, Observer, TrainSettings, Trained, TrainingProgress, train};
use crate::backend::Backend;
use crate::backend::opened::{Device, Work, on_device};
use crate::error::Result;
use crate::input::Input;
use crate::text::duration;
use crate::watch::{Part, Watch};

/// Trains a network in a folder on a device, which computes in f32: see [`train`].
///
/// # Errors
/// Those of [`train`].
pub fn run(
    device: &Device,
    settings: &TrainSettings,
    data: Data,
    job: Job,
    watch: &dyn Watch,
) -> Result<Trained> {
    on_device!(device, Work::Training, |backend| watched(backend, settings, data, job, watch))
}

/// The same on a backend.
///
/// # Errors
/// Those of [`train`].
pub(crate) fn watched<B: Backend>(
    backend: &B,
    settings: &TrainSettings,
    data: Data,
    job: Job,
    watch: &dyn Watch,
) -> Result<Trained> {
    let mut told = Told { input: job.input.clone(), begun: false, epochs: settings.epochs, watch };
    let trained = train(backend, settings, data, job, &|| watch.stop(), &mut told)?;
    watch.ends();
    Ok(trained)
}

/// Tells the watcher how a training goes on.
struct Told<'a> {
    /// What was read, until it is told.
    input: Option<Input>,
    begun: bool,
    epochs: u32,
    watch: &'a dyn Watch,
}

impl Observer for Told<'_> {
    fn batch(&mut self, progress: &TrainingProgress) {
        // There is something to do, and nothing that could still be refused.
        if let Some(input) = self.input.take() {
            self.watch.taken(&input);
        }
        let batches = progress.batches as u64;
        let done = u64::from(progress.epoch - 1) * batches + progress.batch as u64;
        if !std::mem::replace(&mut self.begun, true) {
            let units = u64::from(progress.epochs) * batches;
            self.watch.begins(&Part { what: "train", units, unit: "batches", before: done - 1 });
        }
        self.watch.done(done, &|| {
            format!(
                "epoch {}/{}, loss {:.4}, accuracy {:.2} %, {:.0} images/s",
                progress.epoch,
                progress.epochs,
                progress.loss,
                100.0 * progress.accuracy,
                progress.images_per_s
            )
        });
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.watch.note(&format!(
            "epoch {}/{}: loss {:.4}, test accuracy {:.2} %, {:.0} images/s, {}",
            record.epoch,
            self.epochs,
            record.train_loss,
            100.0 * record.test_accuracy,
            record.images_per_s,
            duration(record.seconds)
        ));
    }
}
