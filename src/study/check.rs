//! What of a study can only be known from its files: refused before anything runs.

use super::execute::Executor;
use super::spec::at_place;
use super::steps::{Step, Task, Work};
use crate::error::{Error, Result};
use crate::model::{Model, Trained};

/// Reads the images and the given checkpoints that the steps `pending` need, data set by data set, and looks whether they
/// fit one another.
///
/// # Errors
/// An input error that names line and key.
pub fn check(executor: &Executor, pending: &[&Step]) -> Result<()> {
    let spec = executor.spec;
    for data in 0..spec.data.len() {
        let works: Vec<(usize, Task, &str)> = pending
            .iter()
            .filter_map(|step| match step.work {
                Work::Of(network, task) if spec.networks[network].data == data => {
                    Some((network, task, &*step.name))
                }
                _ => None,
            })
            .collect();
        if works.iter().all(|(_, task, _)| matches!(task, Task::Score(_))) {
            continue;
        }
        let measured = executor.images.measured(data)?;
        let measured = &measured.images;
        let of_data = spec.networks.iter().enumerate().filter(|(_, network)| network.data == data);
        for (at, network) in of_data {
            for (epoch, file) in &network.epochs {
                let Some(file) = file else { continue };
                let kind = spec.data[data].kind;
                let told = |error: Error| match error {
                    Error::Interrupted => error,
                    error => {
                        let expected = format!("a checkpoint of {} for {kind}", network.name());
                        at_place(&spec.document, &file.place, expected, &error)
                    }
                };
                let model = Model::open(&file.value, &executor.said(at), measured).map_err(told)?;
                let known = Trained { epoch: Some(*epoch), seed: Some(network.seed) };
                model.trained(known, &file.value).map_err(told)?;
            }
        }
        if let Some(retrain) = &spec.retrain {
            for &(network, _, name) in works.iter().filter(|(_, task, _)| matches!(task, Task::Retrain(_))) {
                let (train, test) = (executor.images.train(data)?, executor.images.measured_first(data)?);
                let settings = executor.retrain_settings(retrain, network, &train.images);
                settings.check(&train.images, &test.images).map_err(|error| {
                    let expected = format!("settings that can do: {name}");
                    at_place(&spec.document, &retrain.place, expected, &error)
                })?;
            }
        }
        if let Some(train) = &spec.train {
            for &(network, _, name) in works.iter().filter(|(_, task, _)| *task == Task::Train) {
                let (images, test) = (executor.images.train(data)?, executor.images.test(data)?);
                let settings = executor.train_settings(train, network, &images.images);
                settings.check(&images.images, &test.images).map_err(|error| {
                    at_place(&spec.document, &train.place, format!("settings that can do: {name}"), &error)
                })?;
            }
        }
    }
    Ok(())
}
