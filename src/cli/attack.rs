//! `synfilter attack`: accuracy against ε, under FGSM and PGD.

use super::device::Compute;
use super::eval::{by_chunks, chunk, mode};
use super::making::Descent;
use super::network::Named;
use super::output::{Output, note};
use super::provenance;
use super::source::TestImages;
use serde::Serialize;
use serde_json::{Value, json};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use synfilter::attack::document::VERSION;
use synfilter::attack::{
    ATTACK_PARQUET, Attack, Count, Curve, DEFAULT_EPS, Document, Filtered, Method, MethodName, NetworkCurves,
    Outcomes, Point, Unfinished, table, write_outcomes,
};
use synfilter::backend::open::OnDevice;
use synfilter::backend::{Backend, Verdicts};
use synfilter::data::{DatasetKind, Images, Reading};
use synfilter::eps::Eps;
use synfilter::eval::{Evaluation, Tally, evaluate};
use synfilter::filter::{Census, FilterKind, Mask, WeightRange, variants};
use synfilter::input::Input;
use synfilter::model::{Model, Said};
use synfilter::models::Stem;
use synfilter::network::Network;
use synfilter::sweep::plan::resolve_layers;
use synfilter::sweep::{BnMode, CheckpointId, Scope};
use synfilter::{Error, Result};

/// The flags of `attack`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// The weights: safetensors, or PyTorch state dicts; several separated by commas, such as retrained ones and the one
    /// that they come from.
    #[arg(long, value_name = "F,..", value_delimiter = ',', required = true)]
    checkpoint: Vec<PathBuf>,
    #[command(flatten)]
    images: TestImages,
    /// A folder for attack.json and attack.parquet, without one; an attack that was stopped goes on there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The attacks.
    #[arg(long, value_name = "fgsm,pgd", value_delimiter = ',', default_values_t = [MethodName::Fgsm, MethodName::Pgd])]
    method: Vec<MethodName>,
    /// Sizes of the attacks in pixel units, as 8/255 or 0.03.
    #[arg(
        long,
        value_name = "E,..",
        value_delimiter = ',',
        default_value = DEFAULT_EPS,
        allow_hyphen_values = true
    )]
    eps: Vec<Eps>,
    #[command(flatten)]
    descent: Descent,
    /// Seeds of random starts, a curve for each; that of --seed if left out.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    seeds: Option<Vec<u64>>,
    #[command(flatten)]
    cell: Cell,
    /// Leave adversarial images unclipped.
    #[arg(long)]
    no_clamp: bool,
    /// Batch norm by the checkpoint's running statistics, or by those of each batch of 100.
    #[arg(long, value_name = "running|batch", default_value_t = BnMode::Running)]
    bn: BnMode,
    /// Images computed at a time, rounded up to whole slabs of 64 (batches of 100 with --bn batch); no result
    /// depends on it.
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    compute: Compute,
}

/// The cell of a sweep whose network is attacked.
#[derive(clap::Args, Clone, Debug)]
pub struct Cell {
    /// Attack the network that this filter leaves of a layer, as in a cell of a sweep.
    #[arg(long, value_name = "F", requires = "layer", requires = "threshold")]
    filter: Option<FilterKind>,
    /// The filtered layer, by the name of its tensor (conv1.weight).
    #[arg(long, value_name = "NAME", requires = "filter")]
    layer: Option<String>,
    /// The number of the threshold, from 0.
    #[arg(long, value_name = "K", requires = "filter")]
    threshold: Option<usize>,
    /// Thresholds of the filter.
    #[arg(long, value_name = "A", default_value_t = 25, requires = "filter")]
    thresholds: usize,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Printed<'a> {
    folder: &'a Path,
    #[serde(flatten)]
    document: &'a Document,
}

/// Attacks checkpoints.
///
/// # Errors
/// A usage error for settings that cannot be and for a folder with an attack; those of the images, the checkpoints, the device
/// and the files that are written.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let (methods, eps) = (methods(args)?, ascending(&args.eps)?);
    let found = args.out.join(Document::NAME);
    if found.exists() {
        return Err(Error::usage(format!("{}: expected a folder without one, found one", found.display())));
    }
    args.compute.set_threads()?;
    let (images, reading) = args.images.load(Unfinished::in_file_order(&args.out)?)?;
    let curves = Curves {
        checkpoints: &args.checkpoint,
        images: &images,
        reading: &reading,
        dataset: args.images.source.dataset,
        choice: &args.named.choice(&args.images.normalise),
        methods: &methods,
        eps: &eps,
        cell: Some(&args.cell),
        clamp: !args.no_clamp,
        bn: args.bn,
        chunk: chunk(args.bn, args.batch_size),
        compute: &args.compute,
        folder: &args.out,
        command: provenance::words(),
    };
    let document = args.compute.run(false, curves).inspect_err(|error| {
        if matches!(error, Error::Interrupted) {
            note("what is finished is kept; the same command goes on");
        }
    })?;
    let (json, parquet) = (args.out.join(Document::NAME), args.out.join(ATTACK_PARQUET));
    note(&format!("wrote {} and {}", json.display(), parquet.display()));
    let printed = Printed { folder: &args.out, document: &document };
    output.result(&printed, || table(&document))
}

/// The attacks that are asked for, each once.
fn methods(args: &Args) -> Result<Vec<Method>> {
    let names = &args.method;
    if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(Error::usage(format!("--method: expected each once, found {twice} twice")));
    }
    if !names.contains(&MethodName::Pgd) {
        args.descent.refuse_without_pgd()?;
    }
    let seeds = match &args.seeds {
        Some(_) if !args.descent.random_start() => {
            return Err(Error::usage("--seeds: expected --random-start beside it, found none"));
        }
        Some(seeds) => seeds.as_slice(),
        None => std::slice::from_ref(&args.compute.seed),
    };
    if let Some((_, twice)) = seeds.iter().enumerate().find(|(at, seed)| seeds[..*at].contains(seed)) {
        return Err(Error::usage(format!("--seeds: expected each once, found {twice} twice")));
    }
    let mut methods = Vec::new();
    for name in names {
        match name {
            MethodName::Fgsm => methods.push(Method::Fgsm),
            MethodName::Pgd => {
                for &seed in seeds {
                    methods.push(Method::Pgd(args.descent.pgd(seed)?));
                }
            }
        }
    }
    Ok(methods)
}

/// ε in order, each once.
fn ascending(eps: &[Eps]) -> Result<Vec<Eps>> {
    let mut eps = eps.to_vec();
    eps.sort_by(|a, b| a.0.total_cmp(&b.0));
    match eps.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(Error::usage(format!("--eps: expected each once, found {} twice", pair[0]))),
        None => Ok(eps),
    }
}

/// Security curves of checkpoints; they are left in a folder.
pub struct Curves<'a> {
    /// The files.
    pub checkpoints: &'a [PathBuf],
    /// The images to attack.
    pub images: &'a Images,
    /// Which they are of all, and how they were prepared.
    pub reading: &'a Reading,
    /// Their data set.
    pub dataset: DatasetKind,
    /// What the user says of the networks.
    pub choice: &'a Said,
    /// The attacks.
    pub methods: &'a [Method],
    /// Their sizes, ascending.
    pub eps: &'a [Eps],
    /// What is filtered, if anything is.
    pub cell: Option<&'a Cell>,
    /// Whether adversarial images are clipped.
    pub clamp: bool,
    /// Which statistics batch norm uses.
    pub bn: BnMode,
    /// Images computed at a time.
    pub chunk: usize,
    /// The device.
    pub compute: &'a Compute,
    /// Where attack.json and attack.parquet go.
    pub folder: &'a Path,
    /// The command that does the same, word by word.
    pub command: Vec<String>,
}

impl OnDevice for Curves<'_> {
    type Output = Document;

    fn run<B: Backend>(self, backend: &B, device: String) -> Result<Document> {
        // What cannot be is known before the first attack: of several checkpoints each is read twice.
        let (mut first, mut ids) = (None, Vec::new());
        let (mut taken, mut stems) = (Vec::new(), Vec::new());
        for path in self.checkpoints.iter().rev() {
            let model = self.load(path)?;
            stems.push(model.stem);
            ids.push((model.id(), self.filtered(&model, path)?.map(|(filtered, _)| filtered)));
            taken.push(model.taken.clone());
            first = Some(model);
        }
        ids.reverse();
        taken.reverse();
        stems.reverse();
        let unfinished = Unfinished::open(self.folder, &self.settings(&ids, &stems))?;
        let input = Input::of(self.reading.clone()).with(taken);
        note(&input.to_string());
        let (mut networks, mut outcomes) = (Vec::new(), Vec::new());
        for (at, path) in self.checkpoints.iter().enumerate() {
            let model = first.take().map_or_else(|| self.load(path), Ok)?;
            let (curves, bits) = self.network(backend, path, model, (&unfinished, at))?;
            networks.push(curves);
            outcomes.push(bits);
        }
        let Curves { compute, folder, command, checkpoints, .. } = self;
        let document = Document {
            version: VERSION,
            dataset: self.dataset.name().to_owned(),
            dataset_digest: self.images.digest.clone(),
            images: self.images.len(),
            clamp: self.clamp,
            bn: self.bn,
            dtype: compute.dtype.name().to_owned(),
            backend: compute.backend_name().to_owned(),
            networks,
            provenance: provenance::of_command(command, compute.seed, device, checkpoints),
            input: Some(input),
        };
        write_outcomes(folder, &document, &outcomes)?;
        document.write(folder)?;
        unfinished.remove()?;
        Ok(document)
    }
}

impl Curves<'_> {
    fn load(&self, path: &Path) -> Result<Model> {
        Model::open(path, self.choice, self.dataset, self.images)
    }

    /// What is filtered of a network, and the mask that does it.
    fn filtered(&self, model: &Model, path: &Path) -> Result<Option<(Filtered, Mask)>> {
        self.cell.map_or(Ok(None), |cell| cell.of(model, path))
    }

    /// The curves of one network.
    fn network<B: Backend>(
        &self,
        backend: &B,
        path: &Path,
        model: Model,
        (unfinished, at): (&Unfinished, usize),
    ) -> Result<(NetworkCurves, Outcomes)> {
        let (checkpoint, arch, stem) = (model.id(), model.arch.name().to_owned(), model.stem);
        let cell = self.filtered(&model, path)?;
        let mut network = Network::new(backend, model.graph, &model.weights, model.norm, mode(self.bn));
        let filtered = cell.map(|(filtered, mask)| {
            network.mask(filtered.layer_index, mask);
            filtered
        });
        let attacks: Vec<Attack> = self
            .methods
            .iter()
            .flat_map(|&method| self.eps.iter().map(move |eps| eps.attack(method, self.clamp)))
            .collect();
        let what = format!("attack {}", path.display());
        let found = by_chunks(&what, 0..self.images.len(), attacks.len(), self.chunk, |block, meter| {
            if let Some(kept) = unfinished.kept(at, &block, attacks.len())? {
                meter.add(block.len() as u64);
                return Ok(kept);
            }
            let done = |done| meter.add(done as u64);
            let found = evaluate(&network, self.images, block.clone(), &attacks, false, done)?;
            unfinished.keep(at, &block, &found)?;
            Ok(found)
        })?;
        let Evaluation { clean, adversarial, .. } = found;
        let points = attacks.iter().zip(&adversarial).map(|(attack, verdicts)| Point {
            eps: attack.eps,
            step_size: attack.method.step_size(attack.eps),
            count: count(verdicts),
        });
        let points: Vec<Point> = points.collect();
        let bits: Vec<_> = adversarial.iter().map(bits).collect();
        let per_curve = self.eps.len().max(1);
        let curve = |(&attack, points): (&Method, &[Point])| Curve { attack, points: points.to_vec() };
        let curves = NetworkCurves {
            file: path.display().to_string(),
            checkpoint,
            arch,
            stem,
            filtered,
            clean: count(&clean),
            curves: self.methods.iter().zip(points.chunks(per_curve)).map(curve).collect(),
        };
        let outcomes = Outcomes {
            clean: self::bits(&clean),
            curves: bits.chunks(per_curve).map(<[_]>::to_vec).collect(),
        };
        Ok((curves, outcomes))
    }

    /// Everything that results depend on, in a form to compare.
    fn settings(&self, networks: &[(CheckpointId, Option<Filtered>)], stems: &[Stem]) -> Value {
        let mut settings = json!({
            "dataset_digest": self.images.digest, "images": self.images.len(), "clamp": self.clamp, "bn": self.bn,
            "methods": self.methods, "eps": self.eps.iter().map(|eps| eps.0).collect::<Vec<_>>(), "networks": networks,
            "dtype": self.compute.dtype.name(), "backend": self.compute.backend_name(),
            "program": env!("CARGO_PKG_VERSION"),
        });
        // Only where there are others than torchvision's, so that attacks of versions that knew no other go on.
        if !stems.iter().all(Stem::is_imagenet) {
            settings["stems"] = json!(stems);
        }
        // Only where there is one, as folders of versions without a choice have it.
        if let Some(pick) = &self.reading.pick {
            settings["pick"] = json!(pick);
        }
        settings
    }
}

fn count(verdicts: &Verdicts) -> Count {
    let tally = Tally::from(verdicts);
    let loss = tally.loss / verdicts.correct.len() as f64;
    Count { correct: tally.correct, loss: Some(loss).filter(|loss| loss.is_finite()) }
}

fn bits(verdicts: &Verdicts) -> synfilter::sweep::Bits {
    verdicts.correct.iter().copied().collect()
}

impl Cell {
    /// What is filtered of a network, and the mask that does it.
    ///
    /// # Errors
    /// A usage error for a layer that it does not have and a threshold beyond the last; those of [`WeightRange::of`].
    fn of(&self, model: &Model, path: &Path) -> Result<Option<(Filtered, Mask)>> {
        let (Some(filter), Some(layer), Some(k)) = (self.filter, &self.layer, self.threshold) else {
            return Ok(None);
        };
        let tensors = model.weights.filterable(&model.graph);
        let names: Vec<&str> = tensors.iter().map(|(name, _)| *name).collect();
        resolve_layers(Scope::Layer, Some(std::slice::from_ref(layer)), &names)?;
        let found = tensors.iter().enumerate().find(|(_, (name, _))| name == layer);
        let Some((layer_index, &(_, weights))) = found else { return Ok(None) };
        let range = WeightRange::of(&[(layer, weights)], path)?;
        let variants = variants(&[filter], self.thresholds, range)?;
        let Some(variant) = variants.get(k) else {
            let last = variants.len() - 1;
            return Err(Error::usage(format!("--threshold: expected 0 to {last}, found {k}")));
        };
        let census = Census::of(&variants, &[weights]);
        let filtered = Filtered {
            layer: layer.clone(),
            layer_index,
            filter,
            thresholds: self.thresholds,
            k,
            alpha: variant.alpha,
            kept: census.kept[k],
            total: census.total,
        };
        Ok(Some((filtered, variant.mask)))
    }
}
