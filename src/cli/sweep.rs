//! `synfilter sweep`: every filter at every threshold on every layer.

use super::device::Compute;
use super::making::Descent;
use super::network::Named;
use super::output::{Output, note};
use super::source::TestImages;
use super::terminal::{TERMINAL, told_on_stop};
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use synfilter::attack::{Eps, Method, MethodName};
use synfilter::filter::FilterKind;
use synfilter::model::Trained;
use synfilter::provenance::command;
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use synfilter::sweep::job::began_in_file_order;
use synfilter::sweep::plan::Counts;
use synfilter::sweep::{
    AttackMode, Block, BnMode, Choices, Finished, Job, Outlook, Run, Sampling, Scope, Shard,
};
use synfilter::text::duration;
use synfilter::{Error, Result};

/// The flags of `sweep`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// The weights: safetensors, or PyTorch state dicts; several of one architecture separated by commas.
    #[arg(long, value_name = "F,..", value_delimiter = ',', required = true)]
    checkpoint: Vec<PathBuf>,
    /// Epochs of training of each checkpoint, for files that do not tell: `compare` and `report` go by them.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    checkpoint_epoch: Option<Vec<u32>>,
    /// Seed of the training of each checkpoint, for files that do not tell.
    #[arg(long, value_name = "N,..", value_delimiter = ',')]
    checkpoint_seed: Option<Vec<u64>>,
    #[command(flatten)]
    images: TestImages,
    /// The folder of the run.
    #[arg(long, value_name = "RUN", required_unless_present = "dry_run")]
    out: Option<PathBuf>,
    #[command(flatten)]
    measured: Measured,
    /// How adversarial images are made.
    #[arg(long, value_name = "fgsm|pgd", default_value_t = MethodName::Fgsm)]
    method: MethodName,
    #[command(flatten)]
    descent: Descent,
    /// Do the I-th of N shares of the work; see `synfilter merge`.
    #[arg(long, value_name = "I/N", default_value_t = Shard::WHOLE)]
    shard: Shard,
    /// Go on with the run that is in the folder.
    #[arg(long)]
    resume: bool,
    /// Say what there is to do and how long it would take, and stop.
    #[arg(long)]
    dry_run: bool,
    /// Images held at a time, rounded up to whole slabs of 64 (batches of 100 with --bn batch), in the place of what
    /// --block-mib allows; no result depends on it.
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    /// Memory for the stored activations of a block of images, in MiB; no result depends on it. If left out: 1024, or
    /// what a CUDA device has free.
    #[arg(long, value_name = "MIB")]
    block_mib: Option<NonZeroUsize>,
    #[command(flatten)]
    compute: Compute,
}

/// What is measured.
#[derive(clap::Args, Clone, Debug)]
struct Measured {
    /// The filters.
    #[arg(long, value_name = "F,..", value_delimiter = ',', default_values_t = FilterKind::ALL)]
    filters: Vec<FilterKind>,
    /// Thresholds per filter.
    #[arg(long, value_name = "A", default_value_t = 25)]
    thresholds: usize,
    /// Filter one layer at a time, or one output channel of one layer (--layers says which layers), or the whole network
    /// at once.
    #[arg(long, value_name = "layer|channel|network", default_value_t = Scope::Layer)]
    scope: Scope,
    /// Only these layers, by the names of their tensors (conv1.weight).
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    layers: Option<Vec<String>>,
    /// The most that the attack moves a pixel, in pixel units, as 8/255 or 0.03: the size of FGSM's step.
    #[arg(long, value_name = "E", default_value = "8/255", allow_hyphen_values = true)]
    eps: Eps,
    /// Attack every filtered network anew, or reuse the attack on the unfiltered one.
    #[arg(long, value_name = "adaptive|fixed", default_value_t = AttackMode::Adaptive)]
    attack: AttackMode,
    /// Leave adversarial images unclipped.
    #[arg(long)]
    no_clamp: bool,
    /// Batch norm by the checkpoint's running statistics, or by those of each batch of 100.
    #[arg(long, value_name = "running|batch", default_value_t = BnMode::Running)]
    bn: BnMode,
    /// Measure every filtered network on one image in G, neighbouring thresholds on others: 2, 4, 8, 16, 32 or 64. All images
    /// are used; at 8, scores are known nearly as well as from all of them.
    #[arg(long, value_name = "G")]
    thin: Option<usize>,
    /// Seed of the order in which a sampled sweep visits images.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "thin")]
    order_seed: u64,
}

#[derive(Serialize)]
struct DryRun<'a> {
    shard: String,
    #[serde(flatten)]
    counts: Counts,
    images: usize,
    block: usize,
    eps: f64,
    estimated_seconds: f64,
    hash: &'a str,
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a Path,
    hash: &'a str,
    shard: String,
    units: usize,
    missing: usize,
    cells: Option<usize>,
    block: usize,
    seconds: f64,
}

/// Sweeps, or says what a sweep would be.
///
/// # Errors
/// Those of the images, the checkpoints, the device and the run's folder.
pub fn run(args: &Args, output: Output) -> Result<()> {
    let device = args.compute.open()?;
    let method = args.descent.method(args.method, args.compute.seed)?;
    let trained = args.trained()?;
    let in_file_order = args.out.as_deref().map_or(Ok(false), began_in_file_order)?;
    let (images, reading) = args.images.load(in_file_order)?;
    let said = args.named.choice(&args.images.normalise);
    let job = Job::of_files(&device, &images, &args.checkpoint, &said)
        .choices(args.measured.choices(method))
        .reading(&reading)
        .trained(&trained)
        .block(match (args.batch_size, args.block_mib) {
            (Some(images), _) => Block::Images(images.get()),
            (None, Some(mebibytes)) => Block::Mebibytes(mebibytes.get()),
            (None, None) => Block::Fitting,
        })
        .shard(args.shard)
        .resume(args.resume)
        .recorded(command(), args.compute.seed)
        .watch(&TERMINAL);
    let (Some(folder), false) = (&args.out, args.dry_run) else {
        return dry_run(&job.outlook()?, args.shard, output);
    };
    let started = Instant::now();
    let goes_on =
        format!("the journal in {} is intact; the same command with --resume goes on", folder.display());
    let Run { plan, finished, .. } = job.run(folder).inspect_err(told_on_stop(goes_on))?;
    let document = Document {
        run: folder,
        hash: &plan.hash,
        shard: args.shard.to_string(),
        units: finished.units,
        missing: finished.missing,
        cells: finished.cells,
        block: plan.block,
        seconds: started.elapsed().as_secs_f64(),
    };
    output.result(&document, || closing(folder, args.shard, &finished, document.seconds))
}

impl Measured {
    /// Which images networks are measured on, if not all.
    fn sampling(&self) -> Option<Sampling> {
        self.thin.map(|thin| Sampling { order_seed: self.order_seed, thin })
    }

    /// As the library takes them.
    fn choices(&self, method: Method) -> Choices {
        Choices {
            filters: self.filters.clone(),
            thresholds: self.thresholds,
            scope: self.scope,
            layers: self.layers.clone(),
            eps: self.eps,
            method,
            attack: self.attack,
            clamp: !self.no_clamp,
            bn: self.bn,
            sampling: self.sampling(),
        }
    }
}

impl Args {
    /// What is known of the training of every checkpoint.
    ///
    /// # Errors
    /// A usage error for as many values as there are no checkpoints.
    fn trained(&self) -> Result<Vec<Trained>> {
        let count = self.checkpoint.len();
        let of_each = |flag: &str, values: Option<usize>| match values {
            Some(values) if values != count => {
                Err(Error::usage(format!("{flag}: expected {count}, one per checkpoint, found {values}")))
            }
            _ => Ok(()),
        };
        let (epochs, seeds) = (&self.checkpoint_epoch, &self.checkpoint_seed);
        of_each("--checkpoint-epoch", epochs.as_ref().map(Vec::len))?;
        of_each("--checkpoint-seed", seeds.as_ref().map(Vec::len))?;
        let trained = |at: usize| Trained {
            epoch: epochs.as_ref().map(|epochs| epochs[at]),
            seed: seeds.as_ref().map(|seeds| seeds[at]),
        };
        Ok((0..count).map(trained).collect())
    }
}

fn dry_run(outlook: &Outlook, shard: Shard, output: Output) -> Result<()> {
    let Outlook { plan, counts, seconds, input, summary } = outlook;
    if let Some(input) = input {
        note(&input.to_string());
    }
    let [first, end] = plan.settings.images;
    let document = DryRun {
        shard: shard.to_string(),
        counts: *counts,
        images: end - first,
        block: plan.block,
        eps: plan.settings.eps,
        estimated_seconds: *seconds,
        hash: &plan.hash,
    };
    output.result(&document, || {
        format!("{summary}\nestimated time: {} (from measured steps)\n", duration(*seconds))
    })
}

fn closing(folder: &Path, shard: Shard, finished: &Finished, seconds: f64) -> String {
    let (folder, time) = (folder.display(), duration(seconds));
    match finished.cells {
        Some(cells) => format!(
            "{cells} cells in {time}: {folder}/{CELLS_PARQUET}, {folder}/{CELLS_JSONL}\n\
             scores: synfilter score {folder}\n"
        ),
        None => format!(
            "shard {shard} is finished ({} units in {time}); {} units of other shards are missing in {folder}\n\
             when all shards are done: synfilter merge RUN.. --out RUN\n",
            finished.units, finished.missing
        ),
    }
}
