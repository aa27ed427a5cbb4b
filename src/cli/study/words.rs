//! The command that does what one step of a study does, word by word.

use super::super::device::Compute;
use std::fmt::Display;
use std::path::Path;
use synfilter::attack::{MethodName, Pgd};
use synfilter::backend::Optimizer;
use synfilter::eps::Eps;
use synfilter::study::spec::{Network, Spec, Train};
use synfilter::study::{Folders, checkpoint_of};
use synfilter::sweep::BnMode;

/// A command in the making.
struct Words(Vec<String>);

impl Words {
    fn of(command: &str) -> Words {
        Words(vec!["synfilter".to_owned(), command.to_owned()])
    }

    fn flag(&mut self, name: &str) {
        self.0.push(format!("--{name}"));
    }

    fn set(&mut self, name: &str, value: impl Display) {
        self.flag(name);
        self.0.push(value.to_string());
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.set(name, values.join(","));
    }

    fn data(&mut self, spec: &Spec, network: &Network) {
        let data = &spec.data[network.data];
        self.set("dataset", data.kind);
        if let Some(dir) = &data.dir {
            self.set("data-dir", dir.display());
        }
        if let Some(size) = data.image_size {
            self.set("image-size", size);
        }
    }

    /// What a measurement of a checkpoint is told.
    fn measured(&mut self, spec: &Spec, network: usize, epoch: usize) {
        self.set("arch", spec.networks[network].arch);
        self.set("checkpoint", checkpoint_of(spec, network, epoch).display());
        self.data(spec, &spec.networks[network]);
        if let Some(images) = &spec.sweep.images {
            self.set("images", images.value);
        }
        if !spec.sweep.clamp {
            self.flag("no-clamp");
        }
        if spec.sweep.bn != BnMode::Running {
            self.set("bn", spec.sweep.bn);
        }
    }

    fn end(mut self, seed: u64, compute: &Compute) -> Vec<String> {
        self.set("seed", seed);
        self.0.extend(compute.words());
        self.0
    }
}

/// `synfilter train` of a network.
pub fn train(spec: &Spec, train: &Train, network: usize, compute: &Compute) -> Vec<String> {
    let of = &spec.networks[network];
    let mut words = Words::of("train");
    words.set("arch", of.arch);
    words.data(spec, of);
    words.set("epochs", of.epochs.last().map_or(0, |(epoch, _)| *epoch));
    words.set("save-every", train.save_every);
    words.set("batch-size", train.batch);
    let (name, lr, momentum, weight_decay) = match train.optimizer {
        Optimizer::Adam(adam) => ("adam", adam.lr, None, adam.weight_decay),
        Optimizer::Sgd(sgd) => ("sgd", sgd.lr, Some(sgd.momentum), sgd.weight_decay),
    };
    words.set("optimizer", name);
    words.set("lr", lr);
    if let Some(momentum) = momentum {
        words.set("momentum", momentum);
    }
    words.set("weight-decay", weight_decay);
    if !train.lr_drops.is_empty() {
        words.list("lr-drops", &train.lr_drops);
    }
    if train.tensorboard {
        words.flag("tensorboard");
    }
    words.set("out", Folders::of(spec, network).train().display());
    words.end(of.seed, compute)
}

/// `synfilter eval` that searches the ε of a network.
pub fn eps(spec: &Spec, network: usize, compute: &Compute) -> Vec<String> {
    let of = &spec.networks[network];
    let mut words = Words::of("eval");
    words.measured(spec, network, of.epochs.len() - 1);
    words.flag("halve");
    words.end(of.seed, compute)
}

/// `synfilter sweep` of an epoch of a network.
pub fn sweep(
    spec: &Spec,
    network: usize,
    epoch: usize,
    eps: Eps,
    out: &Path,
    compute: &Compute,
) -> Vec<String> {
    let sweep = &spec.sweep;
    let mut words = Words::of("sweep");
    words.measured(spec, network, epoch);
    words.list("filters", &sweep.filters);
    words.set("thresholds", sweep.thresholds);
    words.set("scope", sweep.scope);
    if let Some(layers) = &sweep.layers {
        words.list("layers", layers);
    }
    words.set("eps", eps.0);
    words.set("attack", sweep.attack);
    if let Some(Pgd { steps, step_size, seed }) = sweep.pgd {
        words.set("method", MethodName::Pgd);
        words.set("steps", steps);
        if let Some(size) = step_size {
            words.set("step-size", size);
        }
        if seed.is_some() {
            words.flag("random-start");
        }
    }
    words.set("out", out.display());
    words.end(spec.networks[network].seed, compute)
}

/// `synfilter score` of a sweep.
pub fn score(spec: &Spec, run: &Path) -> Vec<String> {
    let mut words = Words::of("score");
    words.0.push(run.display().to_string());
    words.set("baseline", spec.score.baseline);
    words.set("tau", spec.score.tau);
    words.set("z", spec.score.z);
    words.0
}
