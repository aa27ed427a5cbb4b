//! What a study file says: networks, data, training, sweeps, scores; and what of it cannot be.
//!
//! ```toml
//! out = "runs/small"                  # the folder of everything
//!
//! [networks]                          # each with every data set and every seed
//! arch = ["resnet18", "shufflenet_v2_x1_0"]
//! seeds = [0, 1]
//!
//! [[data]]
//! dataset = "digits"                  # the others need `dir`
//!
//! [train]
//! epochs = [1, 2, 3]                  # the ones that are analysed; training ends with the last
//!
//! [sweep]
//! eps = "auto"                        # or 0.03 or "8/255"
//! method = "pgd"                      # with `steps`, `step-size`, `random-start`; FGSM if left out
//!
//! [attack]                            # security curves; none if left out
//! methods = ["fgsm", "pgd"]           # with `steps`, `step-size`, `random-start` and `seeds`
//! eps = ["1/255", "8/255"]
//!
//! [retrain]                           # selective retraining with its controls; none if left out
//! epochs = 2                          # after the checkpoint
//! from = [1]                          # of the epochs that are analysed; the last if left out
//! seeds = [0, 1, 2]
//! ```

pub use super::data_set::Data;
use super::document::{At, Place, Section, StudyFile, at_least, flag, named, number, text, whole};
use crate::attack::{DEFAULT_EPS, DEFAULT_STEPS, MAX_STEPS, Method, MethodName, Pgd};
use crate::attack::{Eps, StepSize};
use crate::backend::Optimizer;
use crate::data::How;
use crate::error::{Error, Result};
use crate::filter::{FilterKind, MAX_THRESHOLDS};
use crate::graph::Shape;
use crate::models::{Arch, Stem};
use crate::score::{Baseline, Options, Which};
use crate::statistics::sample::GROUPS;
use crate::sweep::plan::resolve_layers;
use crate::sweep::{AttackMode, BnMode, Sampling, Scope};
use crate::train::{self, optimizer};
use std::fmt::{Debug, Display};
use std::path::{Path, PathBuf};
use toml::de::DeValue;

/// A study as its file describes it, in order and without contradiction.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The file.
    pub document: StudyFile,
    /// The folder of everything.
    pub out: PathBuf,
    /// The data sets.
    pub data: Vec<Data>,
    /// The networks: data set by data set, architecture by architecture, seed by seed.
    pub networks: Vec<NetworkSpec>,
    /// How they are trained, unless they are given.
    pub train: Option<TrainSpec>,
    /// How they are swept.
    pub sweep: SweepSpec,
    /// How they are scored.
    pub score: Options,
    /// How their security curves are drawn, if they are.
    pub attack: Option<AttackSpec>,
    /// How they are retrained, if they are.
    pub retrain: Option<RetrainSpec>,
}

/// A network on a data set.
#[derive(Clone, Debug)]
pub struct NetworkSpec {
    /// The architecture.
    pub arch: Arch,
    /// Its stem.
    pub stem: Stem,
    /// The data set, by position.
    pub data: usize,
    /// The seed of its training.
    pub seed: u64,
    /// The epochs that are analysed, ascending, each with its checkpoint if that is given.
    pub epochs: Vec<(u32, Option<At<PathBuf>>)>,
}

impl NetworkSpec {
    /// The network in words: "resnet18", "resnet18 (3x3 stem)".
    pub fn name(&self) -> String {
        self.stem.named(self.arch.name())
    }
}

/// How networks are trained.
#[derive(Clone, Debug)]
pub struct TrainSpec {
    /// Epochs from one checkpoint to the next.
    pub save_every: u32,
    /// Images per step.
    pub batch: usize,
    /// How weights are moved.
    pub optimizer: Optimizer,
    /// Epochs after each of which the learning rate is divided by ten.
    pub lr_drops: Vec<u32>,
    /// Whether TensorBoard's event files are written.
    pub tensorboard: bool,
    /// Where it is described.
    pub place: Place,
}

/// How networks are swept.
#[derive(Clone, Debug)]
pub struct SweepSpec {
    /// The filters.
    pub filters: Vec<FilterKind>,
    /// Thresholds of each.
    pub thresholds: usize,
    /// What is filtered at once.
    pub scope: Scope,
    /// The layers, if not all.
    pub layers: Option<Vec<String>>,
    /// The most that the attack moves a pixel; `None` where it is searched for each network, with FGSM.
    pub eps: Option<Eps>,
    /// Against which network it is made.
    pub attack: AttackMode,
    /// PGD, with any seed; `None` for FGSM.
    pub pgd: Option<Pgd>,
    /// Whether adversarial images are clipped.
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// How many test images, if not all.
    pub images: Option<At<usize>>,
    /// Which, where something is said of it.
    pub pick: Option<How>,
    /// The seed of the choice, likewise.
    pub pick_seed: Option<u64>,
    /// Which images each network is measured on, if not all.
    pub sampling: Option<Sampling>,
}

/// Selective retraining with its controls.
#[derive(Clone, Debug)]
pub struct RetrainSpec {
    /// The analysed epochs that it starts from.
    pub from: Vec<u32>,
    /// Epochs of training after each.
    pub epochs: u32,
    /// Images per step.
    pub batch: usize,
    /// How weights are moved: as in training.
    pub optimizer: Optimizer,
    /// The seeds.
    pub seeds: Vec<u64>,
    /// Sizes of the attack that accuracy is measured under; that of the sweep if there are none.
    pub eps: Option<Vec<Eps>>,
    /// The score whose labels decide.
    pub by: Which,
    /// Where it is described.
    pub place: Place,
}

/// The security curves of a network's last epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct AttackSpec {
    /// The attacks, a curve for each.
    pub methods: Vec<Method>,
    /// Their sizes, ascending.
    pub eps: Vec<Eps>,
}

impl SweepSpec {
    /// How adversarial images of a network are made; a random start has the seed of the network.
    pub fn method(&self, seed: u64) -> Method {
        self.pgd.map_or(Method::Fgsm, |pgd| Method::Pgd(Pgd { seed: pgd.seed.map(|_| seed), ..pgd }))
    }
}

impl Spec {
    /// Reads a study file. `out` takes the place of the file's own.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] with line and key of the first thing that cannot be.
    pub fn read(path: &Path, out: Option<&Path>) -> Result<Spec> {
        let document = StudyFile::read(path)?;
        let table = document.parse()?;
        let root = Section::root(&document, &table);
        let own = root.optional("out", "a folder", text)?;
        let out = match (out, own) {
            (Some(out), _) => out.to_owned(),
            (None, Some(own)) if !own.value.is_empty() => own.value.into(),
            (None, Some(own)) => return Err(root.fault(&own.place, "a folder", "an empty text")),
            (None, None) => return Err(root.missing("out", "the folder of the study, here or as --out")),
        };
        let data = root.sections("data")?.into_iter().map(Data::read).collect::<Result<Vec<_>>>()?;
        if data.is_empty() {
            return Err(root.missing("data", "at least one section [[data]]"));
        }
        no_twins(&root, data.iter().map(|data| (&data.name, &data.place)))?;
        let (networks, train) = networks(&root, &data)?;
        let sweep = match root.section("sweep")? {
            Some(section) => sweep(section, &networks)?,
            None => return Err(root.missing("sweep", "a section [sweep]")),
        };
        let score = root.section("score")?.map_or(Ok(Options::default()), score)?;
        let attack = root.section("attack")?.map(attack).transpose()?;
        let retrain =
            root.section("retrain")?.map(|section| retrain(section, &networks, train.as_ref(), &sweep));
        let retrain = retrain.transpose()?;
        root.finish()?;
        drop(table);
        Ok(Spec { document, out, data, networks, train, sweep, score, attack, retrain })
    }

    /// A network in words, which is also its folder below the study's: `digits/resnet18/seed-0`.
    pub fn name(&self, network: usize) -> String {
        let NetworkSpec { arch, stem, data, seed, .. } = &self.networks[network];
        let stem = stem.told().map_or(String::new(), |stem| format!("-{stem}"));
        format!("{}/{arch}{stem}/seed-{seed}", self.data[*data].name)
    }
}

/// The networks: trained, with the training's settings, or given as checkpoints.
fn networks(root: &Section, data: &[Data]) -> Result<(Vec<NetworkSpec>, Option<TrainSpec>)> {
    let given = root.sections("checkpoint")?;
    let (networks, train) = (root.section("networks")?, root.section("train")?);
    if given.is_empty() {
        let networks =
            networks.ok_or_else(|| root.missing("networks", "a section [networks], or [[checkpoint]]"))?;
        let train = train.ok_or_else(|| root.missing("train", "a section [train], or [[checkpoint]]"))?;
        let (epochs, train) = training(train)?;
        return Ok((combinations(networks, data.len(), &epochs)?, Some(train)));
    }
    if let Some(section) = networks.or(train) {
        let place = section.place();
        let expected = "either this section or [[checkpoint]], whose networks are trained already";
        return Err(root.fault(&place, expected, "both"));
    }
    let mut all: Vec<NetworkSpec> = Vec::new();
    for section in given {
        let place = section.place();
        let (found, epoch, file) = checkpoint(section, data)?;
        let of = |n: &NetworkSpec| (n.arch, n.stem, n.data, n.seed);
        let same = |n: &&mut NetworkSpec| of(n) == of(&found);
        match all.iter_mut().find(same) {
            None => all.push(NetworkSpec { epochs: vec![(epoch, Some(file))], ..found }),
            Some(network) if network.epochs.iter().any(|(other, _)| *other == epoch) => {
                let found = format!("two of epoch {epoch}");
                return Err(root.fault(&place, "one checkpoint for each epoch of a network", found));
            }
            Some(network) => network.epochs.push((epoch, Some(file))),
        }
    }
    all.iter_mut().for_each(|network| network.epochs.sort_by_key(|(epoch, _)| *epoch));
    Ok((all, None))
}

fn combinations(section: Section, data: usize, epochs: &[u32]) -> Result<Vec<NetworkSpec>> {
    let archs = section.list("arch", &Arch::ALL.map(Arch::name).join(", "), named::<Arch>)?;
    let archs = some(&section, "arch", archs, "at least one architecture")?;
    let stem = stem(&section, &archs)?;
    let seeds = match section.list("seeds", "a whole number of at least 0", whole::<u64>)? {
        None => vec![0],
        seeds => some(&section, "seeds", seeds, "at least one seed")?,
    };
    section.finish()?;
    let mut all = Vec::new();
    for data in 0..data {
        for &arch in &archs {
            for &seed in &seeds {
                let epochs = epochs.iter().map(|&epoch| (epoch, None)).collect();
                all.push(NetworkSpec { arch, stem, data, seed, epochs });
            }
        }
    }
    Ok(all)
}

/// The stem of the networks of a section.
fn stem(section: &Section, archs: &[Arch]) -> Result<Stem> {
    let found = section.optional("stem", "imagenet, 3x3, 3x3-pool or 7x7-no-pool", named::<Stem>)?;
    let Some(At { value: stem, place }) = found else { return Ok(Stem::Imagenet) };
    match archs.iter().find(|arch| arch.check_stem(stem).is_err()) {
        Some(arch) => {
            Err(section.fault(&place, format!("none beside {arch}, which has one of its own"), stem))
        }
        None => Ok(stem),
    }
}

fn training(section: Section) -> Result<(Vec<u32>, TrainSpec)> {
    let epochs = section.list("epochs", "a whole number of at least 1", at_least(1))?;
    let listed = epochs.clone().map_or(Vec::new(), |list| list.value);
    if let Some(pair) = listed.windows(2).find(|pair| pair[0].value >= pair[1].value) {
        let expected = format!("an epoch after {}", pair[0].value);
        return Err(section.fault(&pair[1].place, expected, pair[1].value));
    }
    let epochs: Vec<u32> = some(&section, "epochs", epochs, "at least one epoch to analyse")?;
    let batch = section.optional("batch-size", "at least 2, as batch norm needs", at_least(2))?;
    let method = section.optional("optimizer", "adam or sgd", named::<train::Method>)?;
    let method = method.map_or(train::Method::Adam, |method| method.value);
    let lr = section.optional("lr", "a positive number", number_where(|lr| lr > 0.0))?;
    let momentum = section.optional(
        "momentum",
        "a number of at least 0 and below 1",
        number_where(|m| (0.0..1.0).contains(&m)),
    )?;
    if let (Some(momentum), train::Method::Adam) = (&momentum, method) {
        let expected = "none: momentum belongs to optimizer = \"sgd\"";
        return Err(section.fault(&momentum.place, expected, momentum.value));
    }
    let weight_decay =
        section.optional("weight-decay", "a number of at least 0", number_where(|decay| decay >= 0.0))?;
    let drops = section.list("lr-drops", "a whole number of at least 1", at_least(1))?;
    let drops = drops.map_or(Vec::new(), |drops| drops.value);
    let last = epochs.last().copied().unwrap_or_default();
    if let Some(late) = drops.iter().find(|drop| drop.value >= last) {
        let expected = format!("an epoch before the last, {last}");
        return Err(section.fault(&late.place, expected, late.value));
    }
    let tensorboard = section.optional("tensorboard", "true or false", flag)?;
    let place = section.place();
    section.finish()?;
    let value = |at: Option<At<f64>>| at.map(|at| at.value);
    let train = TrainSpec {
        save_every: save_every(&epochs),
        batch: batch.map_or(100, |batch: At<usize>| batch.value),
        optimizer: optimizer(method, value(lr), value(momentum), value(weight_decay).unwrap_or(0.0)),
        lr_drops: drops.into_iter().map(|drop| drop.value).collect(),
        tensorboard: tensorboard.is_some_and(|flag| flag.value),
        place,
    };
    Ok((epochs, train))
}

/// The greatest distance of checkpoints that has one at each of `epochs`; the last has one anyway.
fn save_every(epochs: &[u32]) -> u32 {
    let gcd = |mut a: u32, mut b: u32| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    match epochs {
        [only] => *only,
        [before @ .., _] => before.iter().copied().fold(0, gcd),
        [] => 1,
    }
}

fn checkpoint(section: Section, data: &[Data]) -> Result<(NetworkSpec, u32, At<PathBuf>)> {
    let file = section.required("file", "a file with weights", text)?.map(PathBuf::from);
    let arch = section.required("arch", &Arch::ALL.map(Arch::name).join(", "), named::<Arch>)?;
    let stem = stem(&section, &[arch.value])?;
    let names: Vec<&str> = data.iter().map(|data| &*data.name).collect();
    let position = |name: &str| names.iter().position(|known| *known == name);
    let known = format!("the name of a data set: {}", names.join(", "));
    let data = match section.optional("data", &known, |value| position(value.as_str()?))? {
        Some(data) => data.value,
        None if data.len() == 1 => 0,
        None => return Err(section.missing("data", known)),
    };
    let seed = section.optional("seed", "a whole number of at least 0", whole::<u64>)?;
    let epoch = section.required("epoch", "a whole number of at least 0", whole::<u32>)?;
    section.finish()?;
    let seed = seed.map_or(0, |seed| seed.value);
    Ok((NetworkSpec { arch: arch.value, stem, data, seed, epochs: Vec::new() }, epoch.value, file))
}

fn sweep(section: Section, networks: &[NetworkSpec]) -> Result<SweepSpec> {
    let filters = section.list("filters", "high-pass, low-pass or pulse", named::<FilterKind>)?;
    let filters = match filters {
        None => FilterKind::ALL.to_vec(),
        filters => some(&section, "filters", filters, "at least one filter")?,
    };
    let expected = format!("2 to {MAX_THRESHOLDS}");
    let thresholds = section.optional("thresholds", &expected, |value| {
        whole::<usize>(value).filter(|count| (2..=MAX_THRESHOLDS).contains(count))
    })?;
    let scope = section.optional("scope", "layer, channel or network", named::<Scope>)?;
    let place = scope.as_ref().map_or(section.place(), |scope| scope.place.clone());
    let scope = scope.map_or(Scope::Layer, |scope| scope.value);
    let layers = section.list("layers", "the name of a weight tensor", text)?;
    match (&layers, scope) {
        (None, Scope::Channel) => {
            let expected = "`layers` beside scope = \"channel\": the layers whose channels are filtered";
            return Err(section.fault(&place, expected, "none"));
        }
        (Some(layers), Scope::Network) => {
            let expected = "none: scope = \"network\" filters all layers at once";
            return Err(section.fault(&layers.place, expected, "a choice of layers"));
        }
        _ => {}
    }
    let layers = match layers {
        None => None,
        Some(list) => {
            for layer in &list.value {
                check_layer(&section, layer, scope, networks)?;
            }
            Some(some(&section, "layers", Some(list), "at least one layer")?)
        }
    };
    let eps = section.optional("eps", &format!("auto, or {SIZES}"), |value| match value.as_str() {
        Some("auto") => Some(None),
        _ => size(value).map(Some),
    })?;
    let attack = section.optional("attack", "adaptive or fixed", named::<AttackMode>)?;
    let method = section.optional("method", "fgsm or pgd", named::<MethodName>)?;
    let pgd = descent(&section, method.is_some_and(|method| method.value == MethodName::Pgd))?;
    let clamp = section.optional("clamp", "true or false", flag)?;
    let bn = section.optional("bn", "running or batch", named::<BnMode>)?;
    let images = section.optional("images", "a whole number of at least 1", at_least(1))?;
    let pick = section.optional("pick", "stratified or first", named::<How>)?;
    let pick_seed = section.optional("pick-seed", "a whole number of at least 0", whole::<u64>)?;
    let place = pick.as_ref().map(|pick| &pick.place).or(pick_seed.as_ref().map(|seed| &seed.place));
    if let (Some(place), None) = (place, &images) {
        return Err(section.fault(place, "`images` beside it, of which it says which", "none"));
    }
    if let (Some(pick), Some(seed)) = (&pick, &pick_seed)
        && pick.value == How::First
    {
        return Err(section.fault(&seed.place, "pick = \"stratified\" beside it", "first"));
    }
    let bn = bn.map_or(BnMode::Running, |bn| bn.value);
    let sampling = sampling(&section, bn)?;
    section.finish()?;
    Ok(SweepSpec {
        filters,
        thresholds: thresholds.map_or(25, |count| count.value),
        scope,
        layers,
        eps: eps.and_then(|eps| eps.value),
        attack: attack.map_or(AttackMode::Adaptive, |attack| attack.value),
        pgd,
        clamp: clamp.is_none_or(|clamp| clamp.value),
        bn,
        images,
        pick: pick.map(|pick| pick.value),
        pick_seed: pick_seed.map(|seed| seed.value),
        sampling,
    })
}

/// How sweeps are sampled, if they are.
fn sampling(section: &Section, bn: BnMode) -> Result<Option<Sampling>> {
    let thin = section.optional("thin", "2, 4, 8, 16, 32 or 64", |value| {
        whole::<usize>(value).filter(|thin| (2..=GROUPS).contains(thin) && thin.is_power_of_two())
    })?;
    let seed = section.optional("order-seed", "a whole number of at least 0", whole::<u64>)?;
    match (thin, seed) {
        (Some(thin), _) if bn == BnMode::Batch => {
            let expected =
                "none: batch norm by the statistics of batches depends on which images are measured together";
            Err(section.fault(&thin.place, expected, format!("thin = {}", thin.value)))
        }
        (None, Some(seed)) => {
            Err(section.fault(&seed.place, "`thin` beside it, whose order it says", "none"))
        }
        (thin, seed) => {
            let order_seed = seed.map_or(0, |seed| seed.value);
            Ok(thin.map(|thin| Sampling { order_seed, thin: thin.value }))
        }
    }
}

/// PGD's settings, where PGD is asked for.
fn descent(section: &Section, wanted: bool) -> Result<Option<Pgd>> {
    let expected = format!("a whole number, 1 to {MAX_STEPS}");
    let steps = section
        .optional("steps", &expected, |value| whole(value).filter(|steps| (1..=MAX_STEPS).contains(steps)))?;
    let expected = "more than 0, to 1: a number such as 0.01 or a fraction such as \"2/255\"";
    let size = section.optional("step-size", expected, |value| match value.as_str() {
        Some(text) => text.parse::<StepSize>().ok().map(|size| size.0),
        None => number(value).filter(|size| *size > 0.0 && *size <= 1.0),
    })?;
    let random = section.optional("random-start", "true or false", flag)?;
    if wanted {
        return Ok(Some(Pgd {
            steps: steps.map_or(DEFAULT_STEPS, |steps| steps.value),
            step_size: size.map(|size| size.value),
            seed: random.is_some_and(|random| random.value).then_some(0),
        }));
    }
    let place = steps.map(|s| s.place).or(size.map(|s| s.place)).or(random.map(|r| r.place));
    match place {
        Some(place) => Err(section.fault(&place, "the method pgd beside it", "FGSM, which has one step")),
        None => Ok(None),
    }
}

/// Security curves.
fn attack(section: Section) -> Result<AttackSpec> {
    let names = section.list("methods", "fgsm or pgd", named::<MethodName>)?;
    let names = match names {
        None => vec![MethodName::Fgsm, MethodName::Pgd],
        names => some(&section, "methods", names, "at least one method")?,
    };
    let pgd = descent(&section, names.contains(&MethodName::Pgd))?;
    let seeds = section.list("seeds", "a whole number of at least 0", whole::<u64>)?;
    let place = seeds.as_ref().map(|seeds| seeds.place.clone());
    let seeds = seeds.map(|seeds| some(&section, "seeds", Some(seeds), "at least one seed")).transpose()?;
    let starts = pgd.is_some_and(|pgd| pgd.seed.is_some());
    if let (Some(place), false) = (place, starts) {
        return Err(section.fault(&place, "random-start = true beside it", "none"));
    }
    let seeds: Vec<Option<u64>> = match seeds {
        Some(seeds) => seeds.into_iter().map(Some).collect(),
        None => vec![starts.then_some(0)],
    };
    let methods = names.iter().flat_map(|name| match (name, pgd) {
        (MethodName::Pgd, Some(pgd)) => {
            seeds.iter().map(|&seed| Method::Pgd(Pgd { seed, ..pgd })).collect::<Vec<_>>()
        }
        _ => vec![Method::Fgsm],
    });
    let methods = methods.collect();
    let eps = section.list("eps", SIZES, size)?;
    let mut eps = match eps {
        None => DEFAULT_EPS.split(',').map(str::parse).collect::<Result<Vec<Eps>>>()?,
        eps => some(&section, "eps", eps, "at least one size")?,
    };
    eps.sort_by(|a, b| a.0.total_cmp(&b.0));
    section.finish()?;
    Ok(AttackSpec { methods, eps })
}

/// Selective retraining.
fn retrain(
    section: Section,
    networks: &[NetworkSpec],
    train: Option<&TrainSpec>,
    sweep: &SweepSpec,
) -> Result<RetrainSpec> {
    let place = section.place();
    let whole_sweep = "a sweep of all layers, whose labels it needs";
    let found = match sweep {
        SweepSpec { scope, .. } if *scope != Scope::Layer => Some(format!("scope = \"{scope}\"")),
        SweepSpec { layers: Some(_), .. } => Some("a choice of layers".to_owned()),
        _ => None,
    };
    if let Some(found) = found {
        return Err(section.fault(&place, whole_sweep, found));
    }
    let epochs = section.required("epochs", "a whole number of at least 1", at_least::<u32>(1))?.value;
    let analysed =
        |epoch: u32| networks.iter().all(|network| network.epochs.iter().any(|(other, _)| *other == epoch));
    let from = section.list("from", "one of the epochs that are analysed", |value| {
        whole::<u32>(value).filter(|&epoch| analysed(epoch))
    })?;
    let mut last: Vec<u32> =
        networks.iter().filter_map(|n| n.epochs.last()).map(|(epoch, _)| *epoch).collect();
    last.sort_unstable();
    last.dedup();
    let from = match from {
        None => last,
        from => some(&section, "from", from, "at least one epoch")?,
    };
    let seeds = match section.list("seeds", "a whole number of at least 0", whole::<u64>)? {
        None => vec![0, 1, 2],
        seeds => some(&section, "seeds", seeds, "at least one seed")?,
    };
    let eps = section.list("eps", SIZES, size)?;
    let eps = eps.map(|eps| some(&section, "eps", Some(eps), "at least one size")).transpose()?;
    let by = section.optional("by", "clean, adversarial or difference", named::<Which>)?;
    section.finish()?;
    Ok(RetrainSpec {
        from,
        epochs,
        batch: train.map_or(100, |train| train.batch),
        optimizer: train.map_or(optimizer(train::Method::Adam, None, None, 0.0), |train| train.optimizer),
        seeds,
        eps,
        by: by.map_or(Which::Adversarial, |by| by.value),
        place,
    })
}

/// What sizes of attacks look like.
const SIZES: &str = "0 to 1: a number such as 0.03 or a fraction such as \"8/255\"";

/// A size of an attack, in pixel units.
fn size(value: &DeValue) -> Option<Eps> {
    match value.as_str() {
        Some(text) => text.parse().ok(),
        None => number(value).filter(|eps| (0.0..=1.0).contains(eps)).map(Eps),
    }
}

/// Whether every network has a layer.
fn check_layer(section: &Section, layer: &At<String>, scope: Scope, networks: &[NetworkSpec]) -> Result<()> {
    let mut archs: Vec<Arch> = Vec::new();
    for network in networks {
        if archs.contains(&network.arch) {
            continue;
        }
        archs.push(network.arch);
        // Names do not depend on the images; any that the network takes will do.
        let graph = network.arch.build(Shape { c: 3, h: 64, w: 64 }, 10)?;
        let names: Vec<&str> =
            graph.filterable().into_iter().map(|param| graph.params[param].name.as_str()).collect();
        if resolve_layers(scope, Some(std::slice::from_ref(&layer.value)), &names).is_err() {
            let expected = format!("a layer that {} has: {}", network.arch, names.join(", "));
            return Err(section.fault(&layer.place, expected, format!("\"{}\"", layer.value)));
        }
    }
    Ok(())
}

fn score(section: Section) -> Result<Options> {
    let default = Options::default();
    let baseline = section.optional("baseline", "density or unfiltered", named::<Baseline>)?;
    let tau = section.optional("tau", "a number of at least 0", number_where(|tau| tau >= 0.0))?;
    let z = section.optional("z", "a number of at least 0", number_where(|z| z >= 0.0))?;
    section.finish()?;
    Ok(Options {
        baseline: baseline.map_or(default.baseline, |baseline| baseline.value),
        tau: tau.map_or(default.tau, |tau| tau.value),
        z: z.map_or(default.z, |z| z.value),
    })
}

/// A reader of numbers of which something holds.
fn number_where(holds: impl Fn(f64) -> bool) -> impl Fn(&DeValue) -> Option<f64> {
    move |value| number(value).filter(|&number| holds(number))
}

/// The values of a list that has to hold something, each once.
fn some<T: Clone + PartialEq + Debug>(
    section: &Section,
    key: &'static str,
    list: Option<At<Vec<At<T>>>>,
    expected: &str,
) -> Result<Vec<T>> {
    let list = list.ok_or_else(|| section.missing(key, expected))?;
    if list.value.is_empty() {
        return Err(section.fault(&list.place, expected, "an empty list"));
    }
    for (at, element) in list.value.iter().enumerate() {
        if list.value[..at].iter().any(|earlier| earlier.value == element.value) {
            let found = format!("{:?} twice", element.value);
            return Err(section.fault(&element.place, "each once", found));
        }
    }
    Ok(list.value.into_iter().map(|element| element.value).collect())
}

/// Refuses two things of one name.
fn no_twins<'a, T: PartialEq + Display + 'a>(
    section: &Section,
    named: impl Iterator<Item = (&'a T, &'a Place)>,
) -> Result<()> {
    let mut seen: Vec<&T> = Vec::new();
    for (name, place) in named {
        if seen.contains(&name) {
            let expected = "data sets of different names (`name` gives one another)";
            return Err(section.fault(place, expected, format!("{name} twice")));
        }
        seen.push(name);
    }
    Ok(())
}

/// The error of a setting that turned out not to be possible, told with its place in the file.
pub fn at_place(document: &StudyFile, place: &Place, expected: impl Display, error: &Error) -> Error {
    document.fault(place, expected, error)
}
