//! `synfilter eval`: accuracy on clean images and under FGSM.

use super::device::Compute;
use super::network::Named;
use super::output::{Output, note, percent};
use super::source::TestImages;
use super::terminal::TERMINAL;
use serde::Serialize;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use synfilter::Result;
use synfilter::atomic_file::AtomicFile;
use synfilter::attack::{Attack, Eps, Method};
use synfilter::eval::{Accuracy, Halving, Tally, write_outputs};
use synfilter::input::Input;
use synfilter::model::Model;
use synfilter::models::Stem;
use synfilter::sweep::BnMode;

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
    arch: String,
    #[serde(skip_serializing_if = "Stem::is_imagenet")]
    stem: Stem,
    dataset: &'static str,
    images: usize,
    correct_clean: usize,
    loss_clean: f64,
    adversarial: Vec<Adversarial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    halving: Option<Halving>,
    input: Input,
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
    let device = args.compute.open()?;
    let (images, reading) = args.images.load(false)?;
    let said = args.named.choice(&args.images.normalise);
    let model = Model::open(&args.checkpoint, &said, &images)?;
    // Asked for before the work starts: a folder that cannot be written is known at once.
    let file = args.save_outputs.as_ref().map(AtomicFile::create).transpose()?;
    let input = Input::of(reading).with(vec![model.taken.clone()]);
    note(&input.to_string());

    let accuracy =
        Accuracy::new(&device, &images, &model).bn(args.bn).batch(args.batch_size).watch(&TERMINAL);
    let attack = |eps: &Eps| eps.attack(Method::Fgsm, !args.no_clamp);
    let attacks: Vec<Attack> = args.eps.iter().map(attack).collect();
    let found = match (file, &args.save_outputs) {
        (Some(file), Some(path)) => {
            let found = accuracy.with_outputs(&attacks)?;
            write_outputs(file, path, &found, &images)?;
            note(&format!("wrote {}", path.display()));
            found
        }
        _ => accuracy.under(&attacks)?,
    };
    let clean = Tally::from(&found.clean);
    let halve = || accuracy.halving(Some(clean.correct), !args.no_clamp);

    let mean = |tally: Tally| tally.loss / images.len() as f64;
    let adversarial = args.eps.iter().zip(found.adversarial.iter().map(Tally::from));
    let document = Document {
        arch: model.name.clone(),
        stem: model.stem,
        dataset: images.name(),
        images: images.len(),
        correct_clean: clean.correct,
        loss_clean: mean(clean),
        adversarial: adversarial
            .map(|(eps, tally)| Adversarial { eps: eps.0, correct: tally.correct, loss: mean(tally) })
            .collect(),
        halving: args.halve.then(halve).transpose()?,
        input,
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
