//! A study as a graph of steps: what has to be done, after what, where, and under which key it counts as done.
//!
//! ```text
//! per network   train ─► eps (if searched) ─┐
//!                 └────────────────────────► sweep of each epoch ─► score of it
//! ```

use super::spec::{Network, Spec};
use crate::attack::Method;
use crate::sweep::bits::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// Trains a network up to its last epoch.
    Train,
    /// Searches the ε of a network.
    Eps,
    /// Sweeps the network of an epoch, by position among the network's.
    Sweep(usize),
    /// Scores that sweep.
    Score(usize),
}

impl Work {
    /// The name of the kind: also in the name of the record.
    pub fn kind(self) -> &'static str {
        match self {
            Work::Train => "train",
            Work::Eps => "eps",
            Work::Sweep(_) => "sweep",
            Work::Score(_) => "score",
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What it does.
    pub work: Work,
    /// To which network, by position.
    pub network: usize,
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
        let of = json!({
            "arch": network.arch.name(), "dataset": data.kind.name(), "image_size": data.image_size, "seed": network.seed,
        });
        let trained = spec.train.as_ref().map(|train| {
            let settings = json!({
                "network": of, "epochs": network.epochs.last().map(|(epoch, _)| epoch), "save_every": train.save_every,
                "batch": train.batch, "optimizer": train.optimizer, "lr_drops": train.lr_drops,
                "backend": self.compute["backend"], // all training is in f32
            });
            self.add(Work::Train, at, None, folders.train(), settings, &[])
        });
        let images = spec.sweep.images.as_ref().map(|images| images.value);
        let (clamp, bn) = (spec.sweep.clamp, spec.sweep.bn);
        let last = network.epochs.len() - 1;
        let eps = spec.sweep.eps.is_none().then(|| {
            let settings = json!({
                "network": of, "checkpoint": given(network, last), "images": images, "clamp": clamp, "bn": bn,
                "compute": self.compute,
            });
            self.add(Work::Eps, at, None, folders.eps(), settings, trained.as_slice())
        });
        let before: Vec<usize> = trained.into_iter().chain(eps).collect();
        for (position, (epoch, _)) in network.epochs.iter().enumerate() {
            let sweep = &spec.sweep;
            let mut settings = json!({
                "network": of, "checkpoint": given(network, position), "epoch": epoch, "images": images,
                "filters": sweep.filters, "thresholds": sweep.thresholds, "scope": sweep.scope, "layers": sweep.layers,
                "eps": sweep.eps.map(|eps| eps.0), "attack": sweep.attack, "clamp": clamp, "bn": bn,
                "compute": self.compute,
            });
            // Only where it is not FGSM, so that the keys of studies without PGD stay what they were.
            if let Method::Pgd(pgd) = sweep.method(network.seed) {
                settings["pgd"] = json!(pgd);
            }
            let folder = folders.sweep(*epoch);
            let swept = self.add(Work::Sweep(position), at, Some(*epoch), folder.clone(), settings, &before);
            let settings = json!(spec.score);
            self.add(Work::Score(position), at, Some(*epoch), folder, settings, &[swept]);
        }
    }

    fn add(
        &mut self,
        work: Work,
        network: usize,
        epoch: Option<u32>,
        folder: PathBuf,
        settings: Value,
        after: &[usize],
    ) -> usize {
        let keys: Vec<&str> = after.iter().map(|&at| &*self.steps[at].key).collect();
        let version = env!("CARGO_PKG_VERSION");
        let text = json!({ "work": work.kind(), "settings": settings, "version": version, "after": keys })
            .to_string();
        let epoch = epoch.map_or(String::new(), |epoch| format!(" epoch {epoch}"));
        self.steps.push(Step {
            work,
            network,
            name: format!("{} {}{epoch}", work.kind(), self.spec.name(network)),
            after: after.to_vec(),
            folder,
            settings,
            key: hex(&Sha256::digest(text.as_bytes())),
        });
        self.steps.len() - 1
    }
}

/// The file of a given checkpoint.
fn given(network: &Network, at: usize) -> Option<String> {
    network.epochs[at].1.as_ref().map(|file| file.value.display().to_string())
}
