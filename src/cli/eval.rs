//! `synfilter eval`: accuracy on clean images and under FGSM.

use super::device::Compute;
use super::interrupt;
use super::network::{Named, tell};
use super::output::{Output, note, percent};
use super::progress::Meter;
use super::source::TestImages;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde::Serialize;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path, PathBuf};
use synfilter::atomic_file::AtomicFile;
use synfilter::attack::{Attack, Method};
use synfilter::backend::open::OnDevice;
use synfilter::backend::{Backend, SLAB, Verdicts};
use synfilter::data::Images;
use synfilter::eps::Eps;
use synfilter::eval::{Evaluation, Tally, evaluate};
use synfilter::graph::program::Mode;
use synfilter::model::Model;
use synfilter::models::Stem;
use synfilter::network::{Network, STATISTICS_BATCH};
use synfilter::study::{Halving, halving};
use synfilter::sweep::BnMode;
use synfilter::{Error, Result};

/// Images computed at a time if nothing is said.
const DEFAULT_CHUNK: usize = 1000;

/// The flags of `eval`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    #[command(flatten)]
    named: Named,
    /// The weights: safetensors, or a PyTorch state dict.
    #[arg(long, value_name = "F")]
    checkpoint: PathBuf,
    #[command(flatten)]
    images: TestImages,
    /// Sizes of the FGSM step in pixel units, as 8/255 or 0.03.
    #[arg(
        long,
        value_name = "E,..",
        value_delimiter = ',',
        default_value = "8/255",
        allow_hyphen_values = true
    )]
    eps: Vec<Eps>,
    /// Leave adversarial images unclipped.
    #[arg(long)]
    no_clamp: bool,
    /// Batch norm by the checkpoint's running statistics, or by those of each batch of 100.
    #[arg(long, value_name = "running|batch", default_value_t = BnMode::Running)]
    bn: BnMode,
    /// Also search the smallest ε, of the multiples of a quarter of a grey level, at which FGSM halves the clean accuracy.
    #[arg(long)]
    halve: bool,
    /// Write logits, input_grad (of the summed cross-entropy, in pixel units) and labels to a safetensors file.
    #[arg(long, value_name = "F.safetensors")]
    save_outputs: Option<PathBuf>,
    /// Images computed at a time, rounded up to whole slabs of 64 (batches of 100 with --bn batch); no result
    /// depends on it.
    #[arg(long, value_name = "N")]
    batch_size: Option<NonZeroUsize>,
    #[command(flatten)]
    compute: Compute,
}

#[derive(Serialize)]
struct Document {
    arch: &'static str,
    #[serde(skip_serializing_if = "Stem::is_imagenet")]
    stem: Stem,
    dataset: &'static str,
    images: usize,
    correct_clean: usize,
    loss_clean: f64,
    adversarial: Vec<Adversarial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halving: Option<Halving>,
}

#[derive(Serialize)]
struct Adversarial {
    eps: f64,
    correct: usize,
    loss: f64,
}

/// Evaluates a checkpoint.
///
/// # Errors
/// Those of the images, the checkpoint, the device and the files that are written.
pub fn run(args: &Args, output: Output) -> Result<()> {
    args.compute.run(false, Eval { args, output })
}

/// The evaluation, on a device.
struct Eval<'a> {
    args: &'a Args,
    output: Output,
}

impl OnDevice for Eval<'_> {
    type Output = ();

    fn run<B: Backend>(self, backend: &B, _: String) -> Result<()> {
        evaluated(backend, self.args, self.output)
    }
}

fn evaluated<B: Backend>(backend: &B, args: &Args, output: Output) -> Result<()> {
    let images = args.images.load()?;
    let dataset = args.images.source.dataset;
    let choice = args.named.choice(&args.images.normalise);
    let model = Model::open(&args.checkpoint, &choice, dataset, &images)?;
    tell([&model.reading]);
    // Asked for before the work starts: a folder that cannot be written is known at once.
    let file = args.save_outputs.as_ref().map(AtomicFile::create).transpose()?;

    let (arch, stem) = (model.arch, model.stem);
    let network = Network::new(backend, model.graph, &model.weights, model.norm, mode(args.bn));
    let attack = |eps: &Eps| eps.attack(Method::Fgsm, !args.no_clamp);
    let attacks: Vec<Attack> = args.eps.iter().map(attack).collect();
    let chunk = chunk(args.bn, args.batch_size);
    let evaluation = in_chunks("eval", &network, &images, 0..images.len(), &attacks, file.is_some(), chunk)?;
    if let (Some(file), Some(path)) = (file, &args.save_outputs) {
        save_outputs(file, path, &evaluation, &images)?;
        note(&format!("wrote {}", path.display()));
    }

    let correct_clean = Tally::from(&evaluation.clean).correct;
    let halving =
        args.halve.then(|| halve(&network, &images, correct_clean, !args.no_clamp, chunk)).transpose()?;

    let mean = |tally: Tally| tally.loss / images.len() as f64;
    let clean = Tally::from(&evaluation.clean);
    let adversarial = args.eps.iter().zip(evaluation.adversarial.iter().map(Tally::from));
    let document = Document {
        arch: arch.name(),
        stem,
        dataset: dataset.name(),
        images: images.len(),
        correct_clean: clean.correct,
        loss_clean: mean(clean),
        adversarial: adversarial
            .map(|(eps, tally)| Adversarial { eps: eps.0, correct: tally.correct, loss: mean(tally) })
            .collect(),
        halving,
    };
    output.result(&document, || table(&document))
}

fn table(document: &Document) -> String {
    let Document { arch, stem, dataset, images, .. } = document;
    let mut rows = vec![("clean".to_owned(), document.correct_clean, document.loss_clean)];
    rows.extend(document.adversarial.iter().map(|a| (format!("FGSM ε {}", Eps(a.eps)), a.correct, a.loss)));
    let width = rows.iter().map(|row| row.0.chars().count()).max().unwrap_or_default();
    let mut text = format!("{} on {dataset}, {images} test images\n", stem.named(arch));
    text += &format!("{:width$}  {:>9}  {:>9}  {:>9}\n", "", "correct", "accuracy", "mean loss");
    for (what, correct, loss) in rows {
        text += &format!("{what:width$}  {correct:>9}  {:>9}  {loss:>9.4}\n", percent(correct, *images));
    }
    if let Some(Halving { eps, .. }) = document.halving {
        text += &format!("FGSM halves the clean accuracy from ε {} on\n", Eps(eps));
    }
    text
}

/// How a network runs.
pub fn mode(bn: BnMode) -> Mode {
    match bn {
        BnMode::Running => Mode::Inference,
        BnMode::Batch => Mode::BatchStatistics,
    }
}

/// Images computed at a time, in whole slabs or batches.
pub fn chunk(bn: BnMode, wanted: Option<NonZeroUsize>) -> usize {
    let whole = if bn == BnMode::Batch { STATISTICS_BATCH } else { SLAB };
    wanted.map_or(DEFAULT_CHUNK, NonZeroUsize::get).div_ceil(whole).saturating_mul(whole)
}

/// Searches the ε at which FGSM halves the clean accuracy of a network.
///
/// # Errors
/// Those of [`halving`] and of the device.
pub fn searched<B: Backend>(
    backend: &B,
    model: Model,
    images: &Images,
    bn: BnMode,
    clamp: bool,
) -> Result<Halving> {
    let network = Network::new(backend, model.graph, &model.weights, model.norm, mode(bn));
    let chunk = chunk(bn, None);
    let clean = Tally::from(&in_chunks("eval", &network, images, 0..images.len(), &[], false, chunk)?.clean);
    halve(&network, images, clean.correct, clamp, chunk)
}

fn halve<B: Backend>(
    network: &Network<B>,
    images: &Images,
    correct_clean: usize,
    clamp: bool,
    chunk: usize,
) -> Result<Halving> {
    halving(images.len(), correct_clean, |eps| {
        let attacked = in_chunks(
            "eval",
            network,
            images,
            0..images.len(),
            &[Eps(eps).attack(Method::Fgsm, clamp)],
            false,
            chunk,
        )?;
        Ok(attacked.adversarial.iter().map(|verdicts| Tally::from(verdicts).correct).sum())
    })
}

/// Evaluates `chunk` images at a time, so that progress shows and an interruption is heard.
///
/// # Errors
/// Those of [`evaluate`]; [`Error::Interrupted`].
pub fn in_chunks<B: Backend>(
    what: &str,
    network: &Network<B>,
    images: &Images,
    range: Range<usize>,
    attacks: &[Attack],
    outputs: bool,
    chunk: usize,
) -> Result<Evaluation> {
    by_chunks(what, range, attacks.len(), chunk, |part, meter| {
        evaluate(network, images, part, attacks, outputs, |done| meter.add(done as u64))
    })
}

/// The same of chunks that are found in another way; `find` tells the meter of its images.
///
/// # Errors
/// Those of `find`; [`Error::Interrupted`].
pub fn by_chunks(
    what: &str,
    range: Range<usize>,
    attacks: usize,
    chunk: usize,
    mut find: impl FnMut(Range<usize>, &Meter) -> Result<Evaluation>,
) -> Result<Evaluation> {
    let meter = Meter::new(what, range.len() as u64, "images");
    let adversarial = vec![Verdicts::default(); attacks];
    let mut all = Evaluation { adversarial, ..Evaluation::default() };
    for start in range.clone().step_by(chunk) {
        interrupt::check()?;
        all.append(find(start..range.end.min(start.saturating_add(chunk)), &meter)?);
    }
    Ok(all)
}

/// Writes what the network said of each image.
fn save_outputs(mut file: AtomicFile, path: &Path, evaluation: &Evaluation, images: &Images) -> Result<()> {
    let n = images.len();
    let [c, h, w] = images.shape;
    let bytes = |values: &[f32]| values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
    let (logits, gradient) = (bytes(&evaluation.logits), bytes(&evaluation.input_gradient));
    let labels: Vec<u8> = images.labels.iter().flat_map(|&label| i64::from(label).to_le_bytes()).collect();
    let tensors = [
        ("logits", Dtype::F32, vec![n, images.classes.len()], &logits),
        ("input_grad", Dtype::F32, vec![n, c, h, w], &gradient),
        ("labels", Dtype::I64, vec![n], &labels),
    ];
    let failed = |error: safetensors::SafeTensorError| Error::Failed(format!("{}: {error}", path.display()));
    let views = tensors
        .into_iter()
        .map(|(name, dtype, shape, data)| Ok((name, TensorView::new(dtype, shape, data).map_err(failed)?)))
        .collect::<Result<Vec<_>>>()?;
    let content = safetensors::serialize(views, None).map_err(failed)?;
    file.write_all(&content).map_err(Error::write(path))?;
    file.commit()
}
