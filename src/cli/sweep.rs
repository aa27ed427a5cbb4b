//! `synfilter sweep`: every filter at every threshold on every layer.

use super::device::Compute;
use super::estimate;
use super::making::Descent;
use super::network::{Named, tell};
use super::output::{Output, note};
use super::preparation::{Block, Choices, Preparation, summary};
use super::progress::duration;
use super::provenance;
use super::source::TestImages;
use serde::Serialize;
use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use synfilter::attack::MethodName;
use synfilter::backend::Backend;
use synfilter::backend::open::OnDevice;
use synfilter::model::Trained;
use synfilter::sweep::export::{CELLS_JSONL, CELLS_PARQUET};
use synfilter::sweep::plan::Counts;
use synfilter::sweep::run::Job;
use synfilter::sweep::{Finished, Plan, Shard};
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
    choices: Choices,
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
    args.compute.run(false, Sweep { args, output })
}

/// The sweep, on a device.
struct Sweep<'a> {
    args: &'a Args,
    output: Output,
}

impl OnDevice for Sweep<'_> {
    type Output = ();

    fn run<B: Backend>(self, backend: &B, description: String) -> Result<()> {
        swept(backend, self.args, description, self.output)
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

fn swept<B: Backend>(backend: &B, args: &Args, description: String, output: Output) -> Result<()> {
    let method = args.descent.method(args.method, args.compute.seed)?;
    let trained = args.trained()?;
    let images = args.images.load()?;
    let prepared = Preparation {
        backend,
        backend_name: args.compute.backend_name(),
        dtype: args.compute.dtype.name(),
        images: &images,
        dataset: args.images.source.dataset,
        checkpoints: &args.checkpoint,
        trained: &trained,
        choice: &args.named.choice(&args.images.normalise),
        choices: &args.choices,
        method,
        block: match (args.batch_size, args.block_mib) {
            (Some(images), _) => Block::Images(images.get()),
            (None, Some(mebibytes)) => Block::Mebibytes(mebibytes.get()),
            (None, None) => Block::Fitting,
        },
        last: RefCell::default(),
        readings: RefCell::default(),
    };
    let mut plan = prepared.plan()?;
    tell(&*prepared.readings.borrow());
    let (Some(folder), false) = (&args.out, args.dry_run) else {
        let seconds = estimate::seconds(&plan, args.shard, &mut prepared.engine(&plan, 0)?)?;
        return dry_run(&plan, args.shard, seconds, output);
    };
    let started = Instant::now();
    let provenance = provenance::of_this_command(args.compute.seed, description, &args.checkpoint);
    let job = Job { folder, shard: args.shard, resume: args.resume, provenance };
    let finished = prepared.run(&mut plan, job).inspect_err(|error| {
        if matches!(error, Error::Interrupted) {
            note(&format!(
                "the journal in {} is intact; the same command with --resume goes on",
                folder.display()
            ));
        }
    })?;
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

fn dry_run(plan: &Plan, shard: Shard, seconds: f64, output: Output) -> Result<()> {
    let [first, end] = plan.settings.images;
    let document = DryRun {
        shard: shard.to_string(),
        counts: plan.counts(shard),
        images: end - first,
        block: plan.block,
        eps: plan.settings.eps,
        estimated_seconds: seconds,
        hash: &plan.hash,
    };
    output.result(&document, || {
        format!("{}\nestimated time: {} (from measured steps)\n", summary(plan, shard), duration(seconds))
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
