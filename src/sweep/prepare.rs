//! A job on its device: the plan, the size of an image block, the engines.

use super::dir::RunFile;
use super::engine::bytes_per_image;
use super::estimate;
use super::plan::{BN_BATCH, CheckpointPlan, SweepPlan, resolve_layers};
use super::run::{self, Finished, Keep, SweepProgress};
use super::task::{Block, Networks, Task};
use super::{BnMode, Engine, Measure, Shard, SweepSettings, Target};
use crate::attack::{Attack, Eps, Method};
use crate::backend::{Backend, SLAB};
use crate::data::Images;
use crate::error::{Error, Result};
use crate::filter;
use crate::graph::Graph;
use crate::graph::program::Program;
use crate::input::Input;
use crate::model::{Model, Taken};
use crate::network::Network;
use crate::watch::Part;
use std::cell::RefCell;
use std::rc::Rc;

/// Bytes for a block of images on a device that shares its memory with others.
const DEFAULT_MEMORY: usize = 1 << 30;

/// A job on its device.
pub(super) struct Preparation<'a, B: Backend> {
    task: &'a Task<'a>,
    /// The images as they lie on the device.
    laid: &'a Images,
    backend: &'a B,
    /// The network that was read last, by position: the first engine needs no second reading.
    last: RefCell<Option<(usize, Rc<Model>)>>,
    /// What was taken from each checkpoint that was planned.
    taken: RefCell<Vec<Taken>>,
}

impl<'a, B: Backend> Preparation<'a, B> {
    pub(super) fn new(task: &'a Task<'a>, laid: &'a Images, backend: &'a B) -> Self {
        Preparation { task, laid, backend, last: RefCell::default(), taken: RefCell::default() }
    }

    /// The plan of the sweep. Every checkpoint is read and checked; one at a time is in memory.
    ///
    /// # Errors
    /// A usage error for choices that cannot be, an input error for checkpoints that do not fit.
    pub(super) fn plan(&self) -> Result<SweepPlan> {
        let choices = &self.task.choices;
        filter::check_settings(&choices.filters, choices.thresholds)?;
        let mut settings: Option<SweepSettings> = None;
        let (mut plans, mut block) = (Vec::new(), 0);
        self.taken.take();
        for at in 0..self.task.networks.len() {
            self.last.take();
            let (model, path) = (self.model(at)?, self.task.networks.path(at));
            let tensors = model.weights.filterable(&model.graph);
            let settings = match &mut settings {
                Some(settings) => {
                    if (&*settings.arch, settings.stem) != (&*model.name, model.stem) {
                        let first = self.task.networks.path(0);
                        return Err(Error::usage(format!(
                            "{}: expected {} as {} is, found {}; a sweep is of one architecture",
                            path.display(),
                            settings.network(),
                            first.display(),
                            model.stem.named(&model.name)
                        )));
                    }
                    settings.checkpoints.push(model.id());
                    settings
                }
                None => {
                    let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
                    let layers = resolve_layers(choices.scope, choices.layers.as_deref(), &names)?;
                    settings.insert(self.settings(&model, layers))
                }
            };
            let plan = CheckpointPlan::of(settings, &tensors, &model.graph.filterable_channels(), &path)?;
            if plans.is_empty() {
                block = self.block_size(&model.graph, &plan);
            }
            plans.push(plan);
            self.taken.borrow_mut().push(model.taken.clone());
            self.last.replace(Some((at, model)));
        }
        let settings = settings.ok_or_else(|| Error::usage("--checkpoint: expected at least one"))?;
        SweepPlan::new(settings, block, plans)
    }

    /// Seconds that a shard of the plan would take, from a few of its steps.
    ///
    /// # Errors
    /// Those of the engine.
    pub(super) fn seconds(&self, plan: &SweepPlan, shard: Shard) -> Result<f64> {
        estimate::seconds(plan, shard, &mut self.engine(plan, 0)?)
    }

    /// The engine of checkpoint `at` of the plan.
    ///
    /// # Errors
    /// An input error if the file is no longer the one that was planned.
    fn engine(&self, plan: &SweepPlan, at: usize) -> Result<Engine<'a, B>> {
        let model = match self.last.take() {
            Some((last, model)) if last == at => model,
            _ => self.model(at)?,
        };
        let planned = &plan.settings.checkpoints[at].sha256;
        if model.sha256 != *planned {
            let expected = format!("{planned} as when the sweep was planned");
            return Err(Error::input(self.task.networks.path(at), "SHA-256", expected, &model.sha256));
        }
        Ok(self.engine_of(&model, &plan.checkpoints[at]))
    }

    /// Runs a shard of the plan in a folder.
    ///
    /// # Errors
    /// Those of [`run::sweep`].
    pub(super) fn run(&self, plan: &mut SweepPlan, keep: Keep) -> Result<Finished> {
        if keep.folder.is_dir()
            && let Some(found) = RunFile::read(keep.folder)?
        {
            plan.block = found.block;
        }
        let (planned, shard, watch) = (plan.clone(), keep.shard, self.task.watch);
        let mut told = false;
        let mut open = |at| {
            // The folder is open by now: nothing has to be taken back.
            if !std::mem::replace(&mut told, true) {
                self.input().iter().for_each(|input| watch.taken(input));
                watch.note(&summary(&planned, shard));
            }
            Ok(Box::new(self.engine(&planned, at)?) as Box<dyn Measure + 'a>)
        };
        let mut begun = false;
        let mut progress = |progress: &SweepProgress| {
            if !std::mem::replace(&mut begun, true) {
                let (units, unit) = (progress.network_images, "network-images");
                watch.begins(&Part { what: "sweep", units, unit, before: 0 });
            }
            watch.done(progress.network_images_done, &|| {
                let (done, units) = (progress.units_done, progress.units);
                format!("unit {} of {units}, {}", (done + 1).min(units), progress.target)
            });
        };
        let finished = run::sweep(keep, plan, &mut open, &mut progress, &|| watch.stop());
        watch.ends();
        finished
    }

    /// The images, and the networks that were planned.
    pub(super) fn input(&self) -> Option<Input> {
        self.task.reading.map(|reading| Input::of(reading.clone()).with(self.taken.borrow().clone()))
    }

    /// A network, by position.
    fn model(&self, at: usize) -> Result<Rc<Model>> {
        match &self.task.networks {
            Networks::Given(models) => {
                let model = models[at].clone();
                model.check_images(self.task.images)?;
                Ok(model)
            }
            Networks::Files { paths, said, trained } => {
                let trained = trained.get(at).copied().unwrap_or_default();
                let model = Model::open(&paths[at], said, self.task.images)?;
                Ok(Rc::new(model.trained(trained, &paths[at])?))
            }
        }
    }

    fn engine_of(&self, model: &Model, plan: &CheckpointPlan) -> Engine<'a, B> {
        let choices = &self.task.choices;
        let (graph, norm) = (model.graph.clone(), model.norm.clone());
        let network = Network::new(self.backend, graph, &model.weights, norm, choices.bn.mode());
        Engine::new(network, self.laid, choices.attack, self.attack(), &targets(plan))
    }

    fn attack(&self) -> Attack {
        let choices = &self.task.choices;
        choices.eps.attack(choices.method, choices.clamp)
    }

    /// Images per block: as many as were asked for or fit, in whole slabs (batches), spread evenly.
    fn block_size(&self, graph: &Graph, plan: &CheckpointPlan) -> usize {
        let Task { choices, images, block, .. } = self.task;
        let whole = if choices.bn == BnMode::Batch { BN_BATCH } else { SLAB };
        let fitting = |memory: usize| {
            let program = Program::lower(graph, choices.bn.mode());
            let (mode, attack) = (choices.attack, self.attack());
            let bytes = bytes_per_image::<B>(graph, &program, mode, &attack, &targets(plan)).max(1);
            memory / bytes / whole
        };
        let most = match *block {
            Block::Images(images) => images.div_ceil(whole),
            Block::Mebibytes(mebibytes) => fitting(mebibytes.saturating_mul(1 << 20)),
            Block::Fitting => fitting(self.backend.memory().unwrap_or(DEFAULT_MEMORY)),
        };
        let all = images.len().div_ceil(whole);
        let blocks = all.div_ceil(most.max(1));
        all.div_ceil(blocks) * whole
    }

    fn settings(&self, model: &Model, layers: Vec<String>) -> SweepSettings {
        let Task { choices, images, reading, device, .. } = self.task;
        SweepSettings {
            checkpoints: vec![model.id()],
            arch: model.name.clone(),
            stem: model.stem,
            graph: model.graph.digest(),
            dataset: images.name().to_owned(),
            dataset_digest: images.digest.clone(),
            images: [0, images.len()],
            pick: reading.and_then(|reading| reading.pick.clone()),
            prepare: reading.and_then(|reading| reading.prepare),
            scope: choices.scope,
            layers,
            filters: choices.filters.clone(),
            thresholds: choices.thresholds,
            eps: choices.eps.0,
            attack: choices.attack,
            pgd: match choices.method {
                Method::Fgsm => None,
                Method::Pgd(pgd) => Some(pgd),
            },
            clamp: choices.clamp,
            bn: choices.bn,
            sampling: choices.sampling.clone(),
            dtype: device.dtype().to_owned(),
            backend: device.name().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// What a plan filters.
fn targets(plan: &CheckpointPlan) -> Vec<Target> {
    plan.targets.iter().map(|target| target.target()).collect()
}

/// What a sweep has to do, on one line.
pub fn summary(plan: &SweepPlan, shard: Shard) -> String {
    let (settings, counts) = (&plan.settings, plan.counts(shard));
    let share = if shard == Shard::WHOLE { String::new() } else { format!("shard {shard}: ") };
    format!(
        "{share}{} on {}, {} images in blocks of {}, {} ε {}, {} attack: {} units, {} cells, {} distinct networks",
        settings.network(),
        settings.dataset,
        settings.images[1] - settings.images[0],
        plan.block,
        settings.method(),
        Eps(settings.eps),
        settings.attack,
        counts.units,
        counts.cells,
        counts.distinct
    )
}
