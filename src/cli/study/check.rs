//! What of a study can only be known from its files: refused before anything runs.

use super::execute::Executor;
use synfilter::model::{Choice, Model, Trained};
use synfilter::study::spec::at_place;
use synfilter::study::{Step, Task, Work};
use synfilter::{Error, Result};

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
        for network in spec.networks.iter().filter(|network| network.data == data) {
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
                let choice =
                    Choice { arch: Some(network.arch), stem: Some(network.stem), ..Choice::default() };
                let model = Model::open(&file.value, &choice, kind, &measured).map_err(told)?;
                let known = Trained { epoch: Some(*epoch), seed: Some(network.seed) };
                model.trained(known, &file.value).map_err(told)?;
            }
        }
        if let Some(retrain) = &spec.retrain {
            for &(network, _, name) in works.iter().filter(|(_, task, _)| matches!(task, Task::Retrain(_))) {
                let (images, test) = (executor.images.train(data)?, executor.images.test(data)?);
                let settings = executor.retrain_settings(retrain, network, &images);
                settings.check(&images, &test).map_err(|error| {
                    let expected = format!("settings that can do: {name}");
                    at_place(&spec.document, &retrain.place, expected, &error)
                })?;
            }
        }
        if let Some(train) = &spec.train {
            for &(network, _, name) in works.iter().filter(|(_, task, _)| *task == Task::Train) {
                let (images, test) = (executor.images.train(data)?, executor.images.test(data)?);
                let settings = executor.train_settings(train, network, &images);
                settings.check(&images, &test).map_err(|error| {
                    at_place(&spec.document, &train.place, format!("settings that can do: {name}"), &error)
                })?;
            }
        }
    }
    Ok(())
}
