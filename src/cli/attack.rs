//! `synfilter attack`: accuracy against ε, under FGSM and PGD.

use super::device::Compute;
use super::making::Descent;
use super::network::Named;
use super::output::{Output, note};
use super::source::TestImages;
use super::terminal::{GOES_ON, TERMINAL, told_on_stop};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use synfilter::attack::{DEFAULT_EPS, Eps, Method, MethodName};
use synfilter::filter::FilterKind;
use synfilter::provenance::command;
use synfilter::security::{ATTACK_PARQUET, Curves, FilteredCell, SecurityRecord, Unfinished, table};
use synfilter::sweep::BnMode;
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
struct Cell {
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
    document: &'a SecurityRecord,
}

/// Attacks checkpoints.
///
/// # Errors
/// A usage error for settings that cannot be and for a folder with an attack; those of the images, the checkpoints, the device
/// and the files that are written.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let (methods, eps) = (methods(args)?, ascending(&args.eps)?);
    let found = args.out.join(SecurityRecord::NAME);
    if found.exists() {
        return Err(Error::usage(format!("{}: expected a folder without one, found one", found.display())));
    }
    let device = args.compute.open()?;
    let (images, reading) = args.images.load(Unfinished::in_file_order(&args.out)?)?;
    let curves = Curves {
        device: &device,
        checkpoints: &args.checkpoint,
        images: &images,
        reading: &reading,
        said: &args.named.choice(&args.images.normalise),
        methods: &methods,
        eps: &eps,
        cell: args.cell.filtered(),
        clamp: !args.no_clamp,
        bn: args.bn,
        batch: args.batch_size,
        command: command(),
        seed: args.compute.seed,
        watch: &TERMINAL,
    };
    let document = curves.run(&args.out).inspect_err(told_on_stop(GOES_ON))?;
    let (json, parquet) = (args.out.join(SecurityRecord::NAME), args.out.join(ATTACK_PARQUET));
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

impl Cell {
    /// As the library takes it; clap sees to it that all or nothing is said.
    fn filtered(&self) -> Option<FilteredCell> {
        let (filter, layer, threshold) = (self.filter?, self.layer.clone()?, self.threshold?);
        Some(FilteredCell { filter, layer, threshold, thresholds: self.thresholds })
    }
}
