//! A study as a graph of steps: what has to be done, after what, where, and under which key it counts as done.
//!
//! ```text
//! per network   train ─► eps (if searched) ─┐
//!                 ├────────────────────────► sweep of each epoch ─► score of it
//!                 │                            ├─► retrain, where it is asked for
//!                 └─► attack (after retrain)     └─► compare, all sweeps together
//! report, after everything
//! ```

use super::spec::{NetworkSpec, Spec};
use crate::attack::Method;
use crate::data::{Choice, How};
use crate::score::Which;
use crate::sweep::Scope;
use crate::text::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Something about one network, by position.
    Of(usize, Task),
    /// Compares all sweeps.
    Compare,
    /// Writes the report.
    Report,
}

/// What is done about a network. Epochs go by position among those that are analysed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// Trains it up to its last epoch.
    Train,
    /// Searches its ε.
    Eps,
    /// Sweeps an epoch.
    Sweep(usize),
    /// Scores that sweep.
    Score(usize),
    /// Retrains an epoch selectively, beside the controls.
    Retrain(usize),
    /// Draws the security curves of its last epoch and of what was retrained.
    Attack,
}

impl Work {
    /// The name of the kind: also in the name of the record.
    pub fn kind(self) -> &'static str {
        match self {
            Work::Of(_, Task::Train) => "train",
            Work::Of(_, Task::Eps) => "eps",
            Work::Of(_, Task::Sweep(_)) => "sweep",
            Work::Of(_, Task::Score(_)) => "score",
            Work::Of(_, Task::Retrain(_)) => "retrain",
            Work::Of(_, Task::Attack) => "attack",
            Work::Compare => "compare",
            Work::Report => "report",
        }
    }

    /// The network, unless the work is about several.
    pub fn network(self) -> Option<usize> {
        match self {
            Work::Of(network, _) => Some(network),
            Work::Compare | Work::Report => None,
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub work: Work,
    /// In words: "sweep digits/resnet18/seed-0 epoch 3".
    pub name: String,
    /// The steps before it, by position; all of them are smaller than its own.
    pub after: Vec<usize>,
    /// The folder that it writes into.
    pub folder: PathBuf,
    /// Everything that its results depend on, but for what the steps before it make.
    pub settings: Value,
    /// SHA-256 of the settings, of the version and of the keys of the steps before: the same key, the same results.
    pub key: String,
}

impl Step {
    /// The record of the step, once it is done.
    pub fn record(&self) -> PathBuf {
        self.folder.join(format!("study-{}.json", self.work.kind()))
    }
}

/// Where the files of a network are.
pub struct Folders {
    root: PathBuf,
}

impl Folders {
    /// Those of a network of a study.
    pub fn of(spec: &Spec, network: usize) -> Folders {
        Folders { root: spec.out.join(spec.name(network)) }
    }

    /// The training run.
    pub fn train(&self) -> PathBuf {
        self.root.join("train")
    }

    /// The search of ε.
    pub fn eps(&self) -> PathBuf {
        self.root.join("eps")
    }

    /// The sweep of an epoch.
    pub fn sweep(&self, epoch: u32) -> PathBuf {
        self.root.join(format!("epoch-{epoch:04}"))
    }

    /// The retraining of an epoch.
    pub fn retrain(&self, epoch: u32) -> PathBuf {
        self.root.join(format!("retrain-{epoch:04}"))
    }

    /// The security curves.
    pub fn attack(&self) -> PathBuf {
        self.root.join("attack")
    }
}

/// The weights of an epoch of a network: given, or what training leaves.
pub fn checkpoint_of(spec: &Spec, network: usize, at: usize) -> PathBuf {
    let (epoch, given) = &spec.networks[network].epochs[at];
    match given {
        Some(file) => file.value.clone(),
        None => Folders::of(spec, network).train().join(format!("epoch-{epoch:04}.safetensors")),
    }
}

/// All steps of a study, each after those that it needs. `compute` is what the results depend on of device and number
/// format.
pub fn steps(spec: &Spec, compute: &Value) -> Vec<Step> {
    let mut graph = Graph { spec, compute, steps: Vec::new() };
    for network in 0..spec.networks.len() {
        graph.network(network);
    }
    graph.together();
    graph.steps
}

struct Graph<'s> {
    spec: &'s Spec,
    compute: &'s Value,
    steps: Vec<Step>,
}

impl Graph<'_> {
    fn network(&mut self, at: usize) {
        let spec = self.spec;
        let (network, folders) = (&spec.networks[at], Folders::of(spec, at));
        let data = &spec.data[network.data];
        let mut of = json!({
            "arch": network.arch.name(), "dataset": data.kind.name(), "image_size": data.image_size, "seed": network.seed,
        });
        // Only what is asked for, here and below, so that the keys of studies without it stay what they were.
        if let Some(stem) = network.stem.told() {
            of["stem"] = json!(stem);
        }
        if let Some(prepare) = data.prepare.recorded(data.kind) {
            of["prepare"] = json!(prepare);
        }
        if let Some(classes) = &data.classes {
            of["classes"] = json!(classes.display().to_string());
        }
        if data.skip_broken {
            of["skip_broken"] = json!(true);
        }
        let trained = spec.train.as_ref().map(|train| {
            let settings = json!({
                "network": of, "epochs": network.epochs.last().map(|(epoch, _)| epoch), "save_every": train.save_every,
                "batch": train.batch, "optimizer": train.optimizer, "lr_drops": train.lr_drops,
                "backend": self.compute["backend"], // all training is in f32
            });
            self.of(at, Task::Train, folders.train(), settings, &[])
        });
        let images = spec.sweep.images.as_ref().map(|images| images.value);
        let picked = spec.choice(network.data).filter(|choice| choice.how != How::First);
        let with_choice = |mut settings: Value| {
            if let Some(Choice { how, seed, .. }) = picked {
                settings["pick"] = json!({ "how": how, "seed": seed });
            }
            settings
        };
        let (clamp, bn) = (spec.sweep.clamp, spec.sweep.bn);
        let last = network.epochs.len() - 1;
        let eps = spec.sweep.eps.is_none().then(|| {
            let settings = json!({
                "network": of, "checkpoint": given(network, last), "images": images, "clamp": clamp, "bn": bn,
                "compute": self.compute,
            });
            self.of(at, Task::Eps, folders.eps(), with_choice(settings), trained.as_slice())
        });
        let before: Vec<usize> = trained.into_iter().chain(eps).collect();
        let mut retrained = Vec::new();
        for (position, (epoch, _)) in network.epochs.iter().enumerate() {
            let sweep = &spec.sweep;
            let mut settings = json!({
                "network": of, "checkpoint": given(network, position), "epoch": epoch, "images": images,
                "filters": sweep.filters, "thresholds": sweep.thresholds, "scope": sweep.scope, "layers": sweep.layers,
                "eps": sweep.eps.map(|eps| eps.0), "attack": sweep.attack, "clamp": clamp, "bn": bn,
                "compute": self.compute,
            });
            if let Method::Pgd(pgd) = sweep.method(network.seed) {
                settings["pgd"] = json!(pgd);
            }
            if let Some(sampling) = &sweep.sampling {
                settings["sampling"] = json!(sampling);
            }
            let folder = folders.sweep(*epoch);
            let swept = self.of(at, Task::Sweep(position), folder.clone(), with_choice(settings), &before);
            self.of(at, Task::Score(position), folder, json!(spec.score), &[swept]);
            if let Some(retrain) = &spec.retrain
                && retrain.from.contains(epoch)
            {
                let settings = json!({
                    "network": of, "score": spec.score, "by": retrain.by, "epochs": retrain.epochs, "batch": retrain.batch,
                    "optimizer": retrain.optimizer, "seeds": retrain.seeds, "clamp": clamp,
                    "eps": retrain.eps.as_ref().map(|eps| eps.iter().map(|eps| eps.0).collect::<Vec<_>>()),
                    "backend": self.compute["backend"],
                });
                let before: Vec<usize> = trained.into_iter().chain([swept]).collect();
                let folder = folders.retrain(*epoch);
                retrained.push(self.of(at, Task::Retrain(position), folder, settings, &before));
            }
        }
        if let Some(attack) = &spec.attack {
            let settings = json!({
                "network": of, "checkpoint": given(network, last), "images": images, "clamp": clamp, "bn": bn,
                "methods": attack.methods, "eps": attack.eps.iter().map(|eps| eps.0).collect::<Vec<_>>(),
                "compute": self.compute,
            });
            let before: Vec<usize> = trained.into_iter().chain(retrained).collect();
            self.of(at, Task::Attack, folders.attack(), with_choice(settings), &before);
        }
    }

    /// What is about all networks.
    fn together(&mut self) {
        let spec = self.spec;
        if spec.sweep.scope == Scope::Layer && comparable(spec) {
            let swept = self.all(|work| matches!(work, Work::Of(_, Task::Sweep(_))));
            let settings = json!({ "score": spec.score, "by": Which::ALL });
            let folder = spec.out.join(Work::Compare.kind());
            self.add(Work::Compare, Work::Compare.kind().to_owned(), folder, settings, &swept);
        }
        let everything = self.all(|_| true);
        let settings = json!({ "score": spec.score });
        self.add(Work::Report, Work::Report.kind().to_owned(), spec.out.clone(), settings, &everything);
    }

    /// The steps of a kind, by position.
    fn all(&self, kind: impl Fn(Work) -> bool) -> Vec<usize> {
        (0..self.steps.len()).filter(|&at| kind(self.steps[at].work)).collect()
    }

    /// Adds a step about a network.
    fn of(&mut self, network: usize, task: Task, folder: PathBuf, settings: Value, after: &[usize]) -> usize {
        let spec = self.spec;
        let epoch = match task {
            Task::Sweep(at) | Task::Score(at) | Task::Retrain(at) => {
                format!(" epoch {}", spec.networks[network].epochs[at].0)
            }
            Task::Train | Task::Eps | Task::Attack => String::new(),
        };
        let work = Work::Of(network, task);
        let name = format!("{} {}{epoch}", work.kind(), spec.name(network));
        self.add(work, name, folder, settings, after)
    }

    fn add(&mut self, work: Work, name: String, folder: PathBuf, settings: Value, after: &[usize]) -> usize {
        let keys: Vec<&str> = after.iter().map(|&at| &*self.steps[at].key).collect();
        let version = env!("CARGO_PKG_VERSION");
        let text = json!({ "work": work.kind(), "settings": settings, "version": version, "after": keys })
            .to_string();
        let key = hex(&Sha256::digest(text.as_bytes()));
        self.steps.push(Step { work, name, after: after.to_vec(), folder, settings, key });
        self.steps.len() - 1
    }
}

/// Whether two of the sweeps differ in architecture, data set, seed or epoch alone.
fn comparable(spec: &Spec) -> bool {
    let all: Vec<_> = spec
        .networks
        .iter()
        .flat_map(|network| network.epochs.iter().map(move |(epoch, _)| (network, *epoch)))
        .collect();
    let differences = |(a, i): &(&NetworkSpec, u32), (b, j): &(&NetworkSpec, u32)| {
        [(a.arch, a.stem) != (b.arch, b.stem), a.data != b.data, a.seed != b.seed, i != j]
            .into_iter()
            .filter(|&differ| differ)
            .count()
    };
    all.iter().enumerate().any(|(at, one)| all[..at].iter().any(|other| differences(one, other) == 1))
}

/// The file of a given checkpoint.
fn given(network: &NetworkSpec, at: usize) -> Option<String> {
    network.epochs[at].1.as_ref().map(|file| file.value.display().to_string())
}
