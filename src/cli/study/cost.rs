//! What the steps of a study would cost.

use super::super::preparation::{Block, Preparation};
use super::execute::Executor;
use serde::Serialize;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;
use synfilter::Result;
use synfilter::attack::{Attack, Method};
use synfilter::backend::open::OnDevice;
use synfilter::backend::{Backend, ImageBatch, PixelData};
use synfilter::data::Images;
use synfilter::eps::Eps;
use synfilter::eval::evaluate;
use synfilter::graph::program::Mode;
use synfilter::model::{Choice, Model};
use synfilter::network::Network;
use synfilter::study::spec::Network as Described;
use synfilter::study::{Record, Step, Task, Work, halving::GRID};
use synfilter::train::{Start, TrainSettings, Trainer};
use synfilter::weights::Weights;

/// Training steps that are timed, after one that is not.
const STEPS: usize = 2;
/// Images whose evaluation is timed.
const IMAGES: usize = 128;
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
pub fn costs(executor: &Executor, steps: &[Step], done: &[Option<Record>]) -> Result<Vec<Cost>> {
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
        let (images, test) = (executor.images.train(data)?, executor.images.test(data)?);
        let settings = executor.train_settings(train, network, &images);
        return executor.compute.in_f32().run(true, Training { settings, images: &images, test: &test });
    }
    if let (Task::Retrain(_), Some(retrain)) = (task, &executor.spec.retrain) {
        let (images, test) = (executor.images.train(data)?, executor.images.test(data)?);
        let settings = executor.retrain_settings(retrain, network, &images);
        let Cost { seconds, how } =
            executor.compute.in_f32().run(true, Training { settings, images: &images, test: &test })?;
        // The selective, the full and the random arm.
        let networks = 3.0 * retrain.seeds.len() as f64;
        let how = format!("{how}, for at most {networks} networks; measuring them is not estimated");
        return Ok(Cost { seconds: seconds.map(|seconds| seconds * networks), how });
    }
    let images = executor.images.measured(data)?;
    executor.compute.run(false, Measuring { executor, network, task, images: &images })
}

/// What a training from initial weights costs, on a device.
pub struct Training<'a> {
    /// Its settings.
    pub settings: TrainSettings,
    /// The images to train on.
    pub images: &'a Images,
    /// The images to test on after every epoch.
    pub test: &'a Images,
}

impl OnDevice for Training<'_> {
    type Output = Cost;

    fn run<B: Backend>(self, backend: &B, _: String) -> Result<Cost> {
        let Training { settings, images, test } = self;
        let graph = settings.check(images, test)?;
        let weights = Weights::init(&graph, settings.seed);
        let TrainSettings { optimizer, seed, batch, ref mean, ref std, .. } = settings;
        let mut trainer = Trainer::new(
            backend,
            Start { graph, weights: &weights, frozen: &[], optimizer, seed, batch, norm: [mean, std] },
        );
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
        let model = Model::untrained((settings.arch, settings.stem), settings.dataset, test, seed)?;
        let per_image = evaluation(backend, &model, test, &[])?;
        let epoch = per_step * (images.len() / batch) as f64 + per_image * test.len() as f64;
        Ok(Cost {
            seconds: Some(epoch * f64::from(settings.epochs)),
            how: format!("from {STEPS} measured training steps and an evaluation"),
        })
    }
}

/// The search of ε, the sweep or the attacks of an untrained network, on a device.
struct Measuring<'a> {
    executor: &'a Executor<'a>,
    network: usize,
    task: Task,
    images: &'a Images,
}

impl OnDevice for Measuring<'_> {
    type Output = Cost;

    fn run<B: Backend>(self, backend: &B, _: String) -> Result<Cost> {
        let Measuring { executor, network, task, images } = self;
        let spec = executor.spec;
        let network = &spec.networks[network];
        let dataset = spec.data[network.data].kind;
        let model = Model::untrained((network.arch, network.stem), dataset, images, network.seed)?;
        let attacked = |attacks: &[Attack], times: f64| {
            let per_image = evaluation(backend, &model, images, attacks)?;
            Ok(Cost {
                seconds: Some(per_image * images.len() as f64 * times),
                how: format!("from an attack on {} images", images.len().min(IMAGES)),
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
        let choices = executor.choices(spec.sweep.eps.unwrap_or(SOME_EPS));
        let prepared = Preparation {
            backend,
            backend_name: executor.compute.backend_name(),
            dtype: executor.compute.dtype.name(),
            images,
            dataset,
            checkpoints: &[],
            trained: &[],
            choice: &Choice { arch: Some(network.arch), stem: Some(network.stem), ..Choice::default() },
            choices: &choices,
            method: spec.sweep.method(network.seed),
            block: Block::Fitting,
            last: RefCell::default(),
            readings: RefCell::default(),
        };
        let seconds = prepared.estimate(model)?;
        let how = "from measured variants of a few layers of the untrained network".to_owned();
        Ok(Cost { seconds: Some(seconds), how })
    }
}

/// Seconds that the evaluation of an image takes, with attacks.
pub fn evaluation<B: Backend>(
    backend: &B,
    model: &Model,
    images: &Images,
    attacks: &[Attack],
) -> Result<f64> {
    let some = images.len().min(IMAGES);
    let (graph, norm) = (model.graph.clone(), model.norm.clone());
    let network = Network::new(backend, graph, &model.weights, norm, Mode::Inference);
    let run = || evaluate(&network, images, 0..some, attacks, false, |_| ());
    run()?;
    let started = Instant::now();
    run()?;
    Ok(started.elapsed().as_secs_f64() / some as f64)
}
