//! The command that does what one step of a study does, word by word.

use super::spec::{AttackSpec, NetworkSpec, RetrainSpec, Spec, TrainSpec};
use super::steps::{Folders, checkpoint_of};
use crate::attack::{Eps, Method, MethodName, Pgd};
use crate::backend::Optimizer;
use crate::backend::opened::Device;
use crate::data::{Choice, How, Prepare};
use crate::invariance::Allowed;
use crate::network::BnMode;
use crate::sweep::Sampling;
use std::fmt::Display;
use std::path::{Path, PathBuf};

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

    fn maybe(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    fn list(&mut self, name: &str, values: impl IntoIterator<Item = impl Display>) {
        let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
        self.set(name, values.join(","));
    }

    fn network(&mut self, network: &NetworkSpec) {
        self.set("arch", network.arch);
        if let Some(stem) = network.stem.told() {
            self.set("stem", stem);
        }
    }

    fn data(&mut self, spec: &Spec, network: &NetworkSpec) {
        let data = &spec.data[network.data];
        self.set("dataset", data.kind);
        if let Some(dir) = &data.dir {
            self.set("data-dir", dir.display());
        }
        let Prepare { resize, crop, interpolation, color } = data.prepare;
        match data.image_size {
            Some(size) => self.set("image-size", size),
            None => {
                self.maybe("resize", resize);
                self.maybe("crop", crop);
            }
        }
        self.maybe("interpolation", interpolation);
        self.maybe("color", color);
        self.maybe("classes", data.classes.as_ref().map(|classes| classes.display()));
        if data.skip_broken {
            self.flag("skip-broken");
        }
    }

    /// What a measurement of checkpoints is told.
    fn measured(&mut self, spec: &Spec, network: usize, checkpoints: impl IntoIterator<Item = impl Display>) {
        self.network(&spec.networks[network]);
        self.list("checkpoint", checkpoints);
        self.data(spec, &spec.networks[network]);
        if let Some(Choice { images, how, seed }) = spec.choice(spec.networks[network].data) {
            self.set("images", images);
            self.set("pick", how);
            self.maybe("pick-seed", (how != How::First).then_some(seed));
        }
        if !spec.sweep.clamp {
            self.flag("no-clamp");
        }
        if spec.sweep.bn != BnMode::Running {
            self.set("bn", spec.sweep.bn);
        }
    }

    /// How weights are moved.
    fn optimizer(&mut self, optimizer: Optimizer) {
        let (name, lr, momentum, weight_decay) = match optimizer {
            Optimizer::Adam(adam) => ("adam", adam.lr, None, adam.weight_decay),
            Optimizer::Sgd(sgd) => ("sgd", sgd.lr, Some(sgd.momentum), sgd.weight_decay),
        };
        self.set("optimizer", name);
        self.set("lr", lr);
        if let Some(momentum) = momentum {
            self.set("momentum", momentum);
        }
        self.set("weight-decay", weight_decay);
    }

    /// How PGD goes.
    fn descent(&mut self, pgd: Pgd) {
        self.set("steps", pgd.steps);
        if let Some(size) = pgd.step_size {
            self.set("step-size", size);
        }
        if pgd.seed.is_some() {
            self.flag("random-start");
        }
    }

    /// How scores are made and labelled.
    fn labelling(&mut self, spec: &Spec) {
        self.set("baseline", spec.score.baseline);
        self.set("tau", spec.score.tau);
        self.set("z", spec.score.z);
    }

    fn end(mut self, seed: u64, device: &Device) -> Vec<String> {
        self.set("seed", seed);
        self.device(device);
        self.0
    }

    /// What of a device results depend on, where it is not the default.
    fn device(&mut self, device: &Device) {
        self.maybe("device", device.ordinal().map(|ordinal| format!("cuda:{ordinal}")));
        self.maybe("dtype", Some(device.dtype()).filter(|&dtype| dtype != "f32"));
        if device.name() == "cpu-direct" {
            self.set("conv", "direct");
        }
    }
}

/// `synfilter train` of a network.
pub fn train(spec: &Spec, train: &TrainSpec, network: usize, device: &Device) -> Vec<String> {
    let of = &spec.networks[network];
    let mut words = Words::of("train");
    words.network(of);
    words.data(spec, of);
    words.set("epochs", of.epochs.last().map_or(0, |(epoch, _)| *epoch));
    words.set("save-every", train.save_every);
    words.set("batch-size", train.batch);
    words.optimizer(train.optimizer);
    if !train.lr_drops.is_empty() {
        words.list("lr-drops", &train.lr_drops);
    }
    if train.tensorboard {
        words.flag("tensorboard");
    }
    words.set("out", Folders::of(spec, network).train().display());
    words.end(of.seed, device)
}

/// `synfilter eval` that searches the ε of a network.
pub fn eps(spec: &Spec, network: usize, device: &Device) -> Vec<String> {
    let of = &spec.networks[network];
    let mut words = Words::of("eval");
    words.measured(spec, network, [checkpoint_of(spec, network, of.epochs.len() - 1).display()]);
    words.flag("halve");
    words.end(of.seed, device)
}

/// `synfilter sweep` of an epoch of a network.
pub fn sweep(
    spec: &Spec,
    network: usize,
    epoch: usize,
    eps: Eps,
    out: &Path,
    device: &Device,
) -> Vec<String> {
    let sweep = &spec.sweep;
    let mut words = Words::of("sweep");
    words.measured(spec, network, [checkpoint_of(spec, network, epoch).display()]);
    if let NetworkSpec { seed, epochs, .. } = &spec.networks[network]
        && let (epoch, Some(_)) = &epochs[epoch]
    {
        words.set("checkpoint-epoch", epoch);
        words.set("checkpoint-seed", seed);
    }
    words.list("filters", &sweep.filters);
    words.set("thresholds", sweep.thresholds);
    words.set("scope", sweep.scope);
    if let Some(layers) = &sweep.layers {
        words.list("layers", layers);
    }
    words.set("eps", eps.0);
    words.set("attack", sweep.attack);
    if let Some(Sampling { thin, order_seed }) = sweep.sampling {
        words.set("thin", thin);
        words.set("order-seed", order_seed);
    }
    if let Some(pgd) = sweep.pgd {
        words.set("method", MethodName::Pgd);
        words.descent(pgd);
    }
    words.set("out", out.display());
    words.end(spec.networks[network].seed, device)
}

/// `synfilter attack` of the checkpoints of a network.
pub fn attack(
    spec: &Spec,
    attack: &AttackSpec,
    network: usize,
    checkpoints: &[PathBuf],
    out: &Path,
    device: &Device,
) -> Vec<String> {
    let mut words = Words::of("attack");
    words.measured(spec, network, checkpoints.iter().map(|file| file.display()));
    let mut names: Vec<MethodName> = attack.methods.iter().map(Method::name).collect();
    names.dedup();
    words.list("method", names);
    words.list("eps", attack.eps.iter().map(|eps| eps.0));
    let descents = || {
        attack.methods.iter().filter_map(|method| match method {
            Method::Fgsm => None,
            Method::Pgd(pgd) => Some(*pgd),
        })
    };
    if let Some(pgd) = descents().next() {
        words.descent(pgd);
        if pgd.seed.is_some() {
            words.list("seeds", descents().filter_map(|pgd| pgd.seed));
        }
    }
    words.set("out", out.display());
    words.end(spec.networks[network].seed, device)
}

/// `synfilter retrain` of an epoch of a network.
pub fn retrain(
    spec: &Spec,
    retrain: &RetrainSpec,
    network: usize,
    epoch: usize,
    out: &Path,
    device: &Device,
) -> Vec<String> {
    let of = &spec.networks[network];
    let mut words = Words::of("retrain");
    words.network(of);
    words.set("checkpoint", checkpoint_of(spec, network, epoch).display());
    words.set("labels", Folders::of(spec, network).sweep(of.epochs[epoch].0).display());
    words.data(spec, of);
    words.set("epochs", retrain.epochs);
    words.list("seeds", &retrain.seeds);
    if let Some(eps) = &retrain.eps {
        words.list("eps", eps.iter().map(|eps| eps.0));
    }
    words.set("by", retrain.by);
    words.labelling(spec);
    words.set("batch-size", retrain.batch);
    words.optimizer(retrain.optimizer);
    if !spec.sweep.clamp {
        words.flag("no-clamp");
    }
    words.set("out", out.display());
    words.device(device);
    words.0
}

/// `synfilter report` of everything.
pub fn report(spec: &Spec, out: &Path) -> Vec<String> {
    let mut words = Words::of("report");
    words.0.push(spec.out.display().to_string());
    words.labelling(spec);
    words.set("out", out.display());
    words.0
}

/// `synfilter compare` of all sweeps.
pub fn compare(spec: &Spec, allowed: &[Allowed], out: &Path) -> Vec<String> {
    let mut words = Words::of("compare");
    words.0.push(spec.out.display().to_string());
    words.list("allow", allowed);
    words.labelling(spec);
    words.set("out", out.display());
    words.0
}

/// `synfilter score` of a sweep.
pub fn score(spec: &Spec, run: &Path) -> Vec<String> {
    let mut words = Words::of("score");
    words.0.push(run.display().to_string());
    words.labelling(spec);
    words.0
}
