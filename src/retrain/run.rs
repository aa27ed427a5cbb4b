//! Trains and measures the arms of a retraining, in its folder.

use super::document::{
    ALPHA, Arm, ArmComparison, ArmResult, RetrainedNetwork, RetrainingRecord, RetrainingSettings, VERSION,
};
use super::outcome::{Measured, Outcome, write_table};
use super::plan::{Retraining, RetrainingPlan};
use super::statistics::{compare, summary};
use crate::backend::opened::{Work, on_device};
use crate::backend::{Backend, Verdicts};
use crate::bits::Bits;
use crate::error::{Error, Result};
use crate::eval::{Chunks, Evaluation, Tally, chunk, seconds_per_image};
use crate::graph::{Graph, ParamKind};
use crate::input::Input;
use crate::lock::Lock;
use crate::model::{Model, Said};
use crate::network::{BnMode, Network};
use crate::provenance::Provenance;
use crate::train::{Data, Job, Session, estimate, watched};
use crate::versioned;
use std::fs;
use std::path::{Path, PathBuf};

/// What decides a retraining, in its folder.
const SETTINGS: &str = "settings.json";

impl Retraining<'_> {
    /// Seconds that what is planned would take, from a few measured steps.
    ///
    /// # Errors
    /// Those of the device.
    pub fn seconds(&self, plan: &RetrainingPlan) -> Result<f64> {
        on_device!(self.device, Work::Training, |backend| {
            let per_image = seconds_per_image(backend, &plan.model, self.test, &plan.attacks())?;
            let measured = per_image * plan.settings.measured() as f64;
            let settings = plan.train_settings(Arm::Full, 0, self);
            let trained = estimate::seconds_on(backend, &settings, self.train, self.test)?;
            let networks = plan.to_train() as f64;
            Ok(networks * trained + (networks + 1.0) * measured)
        })
    }

    /// What is read: images, and the checkpoint of a plan.
    pub fn read(&self, plan: &RetrainingPlan) -> Input {
        self.input.clone().with(vec![plan.model.taken.clone()])
    }

    /// Trains and measures in a folder, or goes on with what was begun there.
    ///
    /// # Errors
    /// As [`Retraining::plan`]; those of the device and of the folder's files; [`Error::Interrupted`] where the watcher stops it,
    /// with what is finished kept.
    pub fn run(&self, folder: &Path) -> Result<RetrainingRecord> {
        on_device!(self.device, Work::Training, |backend| self.on(backend, folder))
    }

    fn on<B: Backend>(&self, backend: &B, folder: &Path) -> Result<RetrainingRecord> {
        let (retraining, device) = (self, self.device.description()?);
        let mut plan = retraining.plan()?;
        let _lock = open(folder, &plan.settings)?;
        let input = retraining.read(&plan);
        retraining.watch.taken(&input);
        let mut found: Vec<(Arm, Vec<Outcome>)> = Vec::new();
        let mut arms = Vec::new();
        for arm in Arm::ALL {
            let (result, outcomes) = arm_of(backend, retraining, &plan, folder, arm, &device)?;
            arms.push(result);
            found.push((arm, outcomes));
        }
        let comparisons = comparisons(&plan.settings, &found);
        let Retraining { checkpoint, ref command, .. } = *retraining;
        let document = RetrainingRecord {
            version: VERSION,
            file: checkpoint.display().to_string(),
            arms,
            comparisons,
            alpha: ALPHA,
            notes: std::mem::take(&mut plan.notes),
            provenance: Provenance::of(command.clone(), plan.settings.seeds[0], device, &[checkpoint]),
            settings: plan.settings,
            input: Some(input),
        };
        write_table(folder, &document, &found)?;
        document.write(folder)?;
        Ok(document)
    }
}

/// Makes the folder ready: new, or one in which the same retraining was begun.
fn open(folder: &Path, settings: &RetrainingSettings) -> Result<Lock> {
    let lock = Lock::of(folder, "retraining")?;
    // Where the labels lie does not matter: their hash does.
    versioned::settle(&folder.join(SETTINGS), settings, "a retraining", &["/labels/run"])?;
    Ok(lock)
}

/// The networks of an arm, trained and measured as far as that is not done.
fn arm_of<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &RetrainingPlan,
    folder: &Path,
    arm: Arm,
    device: &str,
) -> Result<(ArmResult, Vec<Outcome>)> {
    let same_as = plan.arms.same_as(arm);
    let source = same_as.unwrap_or(arm);
    let seeds: Vec<Option<u64>> = match arm {
        Arm::Checkpoint => vec![None],
        _ => plan.settings.seeds.iter().copied().map(Some).collect(),
    };
    let (mut networks, mut outcomes) = (Vec::new(), Vec::new());
    for seed in seeds {
        let (relative, path) = match (source, seed) {
            (Arm::Checkpoint, _) | (_, None) => (None, retraining.checkpoint.to_owned()),
            (source, Some(seed)) => {
                let below = format!("{source}/seed-{seed}");
                if source == arm {
                    retraining.watch.note(&format!("retrain: {source}, seed {seed}"));
                }
                let path = trained(backend, retraining, plan, (source, seed), &folder.join(&below), device)?;
                let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
                (Some(format!("{below}/{}", name.unwrap_or_default())), path)
            }
        };
        let keep = match (source, seed) {
            (Arm::Checkpoint, _) | (_, None) => folder.join(Arm::Checkpoint.name()),
            (source, Some(seed)) => folder.join(format!("{source}/seed-{seed}")),
        };
        let outcome = measured(backend, retraining, plan, &path, &keep)?;
        let layers = plan.arms.trained(arm, seed.unwrap_or_default());
        networks.push(RetrainedNetwork {
            seed,
            file: relative.unwrap_or_else(|| path.display().to_string()),
            sha256: outcome.sha256.clone(),
            parameters: parameters(&plan.model.graph, &layers),
            trained: layers,
            clean: outcome.clean.count(),
            adversarial: outcome.adversarial.iter().map(Measured::count).collect(),
        });
        outcomes.push(outcome);
    }
    let images = plan.settings.measured() as f64;
    let accuracy = |correct: &dyn Fn(&RetrainedNetwork) -> usize| {
        summary(&networks.iter().map(|network| correct(network) as f64 / images).collect::<Vec<_>>())
    };
    let clean = accuracy(&|network| network.clean.correct);
    let adversarial =
        (0..plan.settings.eps.len()).map(|at| accuracy(&|network| network.adversarial[at].correct)).collect();
    Ok((ArmResult { arm, same_as, networks, clean, adversarial }, outcomes))
}

/// Trains the network of an arm, or goes on with it; its checkpoint.
fn trained<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &RetrainingPlan,
    (arm, seed): (Arm, u64),
    folder: &Path,
    device: &str,
) -> Result<PathBuf> {
    let settings = plan.train_settings(arm, seed, retraining);
    let Retraining { train, test, ref command, .. } = *retraining;
    let data = Data { train, test, weights: Some(&plan.model.weights) };
    let session = Session { command: command.clone(), device: device.to_owned() };
    let job = Job { folder, resume: true, tensorboard: false, session, input: None };
    Ok(watched(backend, &settings, data, job, retraining.watch)?.checkpoint)
}

/// What a network makes of the images, measured unless `keep` has it.
fn measured<B: Backend>(
    backend: &B,
    retraining: &Retraining,
    plan: &RetrainingPlan,
    path: &Path,
    keep: &Path,
) -> Result<Outcome> {
    let test = retraining.test;
    // The retrained networks are checkpoints of this program: what was said of the first one's file is not of theirs.
    let (arch, stem) = (plan.model.arch, Some(plan.model.stem));
    let choice = Said { arch, stem, key: None, ..retraining.said.clone() };
    let choice = if path == retraining.checkpoint { retraining.said } else { &choice };
    let model = Model::open(path, choice, test)?;
    let [first, end] = plan.settings.images;
    if let Some(outcome) = Outcome::read(keep, &model.sha256, end - first, plan.settings.eps.len())? {
        return Ok(outcome);
    }
    let network = Network::new(backend, model.graph, &model.weights, model.norm, BnMode::Running.mode());
    let what = format!("eval {}", path.display());
    let chunks = Chunks { what: &what, chunk: chunk(BnMode::Running, None), watch: retraining.watch };
    let Evaluation { clean, adversarial, .. } =
        chunks.evaluate(&network, test, first..end, &plan.attacks(), false)?;
    let of = |verdicts: &Verdicts| {
        let loss = Tally::from(verdicts).loss / verdicts.correct.len() as f64;
        Measured {
            right: verdicts.correct.iter().copied().collect(),
            loss: Some(loss).filter(|loss| loss.is_finite()),
        }
    };
    let outcome = Outcome {
        sha256: model.sha256,
        clean: of(&clean),
        adversarial: adversarial.iter().map(of).collect(),
    };
    fs::create_dir_all(keep).map_err(Error::write(keep))?;
    outcome.write(keep)?;
    Ok(outcome)
}

/// Parameters of layers that training moves.
fn parameters(graph: &Graph, layers: &[String]) -> usize {
    let of = graph.filterable().into_iter().filter(|&layer| layers.contains(&graph.params[layer].name));
    let params = of.flat_map(|layer| graph.layer(layer)).map(|param| &graph.params[param]);
    params.filter(|param| param.kind != ParamKind::Statistic).map(|param| param.len()).sum()
}

/// The selective arm against every other, on the clean images and under every attack.
fn comparisons(settings: &RetrainingSettings, found: &[(Arm, Vec<Outcome>)]) -> Vec<ArmComparison> {
    let of = |arm: Arm| {
        let outcomes = found.iter().find(|(other, _)| *other == arm).map_or(&[][..], |(_, found)| found);
        // The checkpoint itself is paired with the network of every seed.
        let each = (0..settings.seeds.len()).map(|seed| &outcomes[seed.min(outcomes.len() - 1)]);
        each.collect::<Vec<&Outcome>>()
    };
    let ours = of(Arm::Selective);
    let mut comparisons = Vec::new();
    for against in [Arm::Checkpoint, Arm::Full, Arm::Random] {
        let theirs = of(against);
        let mut add = |eps: Option<f64>, right: &dyn for<'o> Fn(&'o Outcome) -> &'o Bits| {
            let bits = |outcomes: &[&'_ Outcome]| -> Vec<Bits> {
                outcomes.iter().map(|outcome| right(outcome).clone()).collect()
            };
            let (ours, theirs) = (bits(&ours), bits(&theirs));
            let (ours, theirs): (Vec<&Bits>, Vec<&Bits>) = (ours.iter().collect(), theirs.iter().collect());
            comparisons.push(compare([Arm::Selective, against], eps, &settings.seeds, [&ours, &theirs]));
        };
        add(None, &|outcome| &outcome.clean.right);
        for (at, &eps) in settings.eps.iter().enumerate() {
            add(Some(eps), &|outcome| &outcome.adversarial[at].right);
        }
    }
    comparisons
}
