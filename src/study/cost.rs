//! What the steps of a study would cost.

use super::execute::Executor;
use super::spec::NetworkSpec as Described;
use super::state::StepRecord;
use super::steps::{Step, Task, Work};
use crate::attack::{Attack, Eps, Method};
use crate::backend::opened::{Work as At, on_device};
use crate::error::Result;
use crate::eval::halving::GRID;
use crate::eval::{estimate, seconds_per_image};
use crate::model::Model;
use crate::sweep::Job;
use crate::train::estimate::{STEPS, seconds};
use serde::Serialize;
use std::collections::HashMap;

/// ε on which time does not depend.
const SOME_EPS: Eps = Eps(8.0 / 255.0);

/// What a step costs, and how that is known.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds; `None` where nothing is known.
    pub seconds: Option<f64>,
    /// From what.
    pub how: String,
}

/// The cost of every step: of those that are done what they took; of others that of a done one of the same kind,
/// architecture and data set (their seed or epoch alone differ), else measured from a few of its operations on this
/// machine; scores take seconds and are not estimated.
///
/// # Errors
/// Those of images and device.
pub fn costs(executor: &Executor, steps: &[Step], done: &[Option<StepRecord>]) -> Result<Vec<Cost>> {
    let kind = |step: &Step| {
        let of = step.work.network().map(|network| {
            let Described { arch, stem, data, .. } = executor.spec.networks[network];
            (arch, stem, data)
        });
        (step.work.kind(), of)
    };
    let mut measured: HashMap<_, Cost> = HashMap::new();
    let mut costs = Vec::new();
    for (step, record) in steps.iter().zip(done) {
        let like = || {
            let same = steps.iter().zip(done).filter(|(other, _)| kind(other) == kind(step));
            same.filter_map(|(_, record)| record.as_ref()).max_by(|a, b| a.seconds.total_cmp(&b.seconds))
        };
        let cost = match (record, like()) {
            (Some(record), _) => Cost { seconds: Some(record.seconds), how: "done; it took that".to_owned() },
            (None, Some(like)) => Cost { seconds: Some(like.seconds), how: format!("as {} took", like.step) },
            (None, None) => match measured.get(&kind(step)) {
                Some(cost) => cost.clone(),
                None => {
                    let cost = measure(executor, step)?;
                    measured.insert(kind(step), cost.clone());
                    cost
                }
            },
        };
        costs.push(cost);
    }
    Ok(costs)
}

fn measure(executor: &Executor, step: &Step) -> Result<Cost> {
    let (network, task) = match step.work {
        Work::Compare | Work::Report | Work::Of(_, Task::Score(_)) => {
            return Ok(Cost { seconds: None, how: "seconds, not estimated".to_owned() });
        }
        Work::Of(network, task) => (network, task),
    };
    let data = executor.spec.networks[network].data;
    if let (Task::Train, Some(train)) = (task, &executor.spec.train) {
        let (train_images, test) = (executor.images.train(data)?, executor.images.test(data)?);
        let (images, test) = (&train_images.images, &test.images);
        let settings = executor.train_settings(train, network, images);
        let seconds = seconds(&executor.device.in_f32()?, &settings, images, test)?;
        return Ok(Cost { seconds: Some(seconds), how: of_steps() });
    }
    if let (Task::Retrain(_), Some(retrain)) = (task, &executor.spec.retrain) {
        let (train, test) = (executor.images.train(data)?, executor.images.measured_first(data)?);
        let (images, test) = (&train.images, &test.images);
        let settings = executor.retrain_settings(retrain, network, images);
        let seconds = seconds(&executor.device.in_f32()?, &settings, images, test)?;
        // The selective, the full and the random arm.
        let networks = 3.0 * retrain.seeds.len() as f64;
        let how = format!("{}, for at most {networks} networks; measuring them is not estimated", of_steps());
        return Ok(Cost { seconds: Some(seconds * networks), how });
    }
    measuring(executor, network, task)
}

fn of_steps() -> String {
    format!("from {STEPS} measured training steps and an evaluation")
}

/// What the search of ε, the sweep or the attacks of a network cost, from an untrained one.
fn measuring(executor: &Executor, at: usize, task: Task) -> Result<Cost> {
    let (spec, network) = (executor.spec, &executor.spec.networks[at]);
    let read = executor.images.measured(network.data)?;
    let images = &read.images;
    let model = Model::untrained((network.arch, network.stem), images, network.seed)?;
    let attacked = |attacks: &[Attack], times: f64| {
        let per_image = on_device!(executor.device, At::Measuring, |backend| {
            seconds_per_image(backend, &model, images, attacks)
        })?;
        Ok(Cost {
            seconds: Some(per_image * images.len() as f64 * times),
            how: format!("from an attack on {} images", images.len().min(estimate::IMAGES)),
        })
    };
    match (task, &spec.attack) {
        (Task::Eps, _) => {
            let tries = f64::from(GRID).log2().ceil() + 1.0;
            return attacked(&[SOME_EPS.attack(Method::Fgsm, true)], tries);
        }
        (Task::Attack, Some(attack)) => {
            let of_one_eps: Vec<Attack> =
                attack.methods.iter().map(|&method| SOME_EPS.attack(method, true)).collect();
            return attacked(&of_one_eps, attack.eps.len() as f64);
        }
        _ => {}
    }
    let choices = executor.choices(at, spec.sweep.eps.unwrap_or(SOME_EPS));
    let job = Job::new(executor.device, images, [model]).choices(choices).reading(&read.reading);
    let how = "from measured variants of a few layers of the untrained network".to_owned();
    Ok(Cost { seconds: Some(job.outlook()?.seconds), how })
}
