//! `synfilter inspect`: what is in a checkpoint file.

use super::output::Output;
use std::path::PathBuf;
use synfilter::Result;
use synfilter::inspect::Inspection;

/// The flags of `inspect`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// The checkpoint: safetensors, or a file of torch.save.
    file: PathBuf,
}

/// Lists what is in a file, and what would be taken.
///
/// # Errors
/// Those of [`Inspection::of`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let inspection = Inspection::of(&args.file)?;
    output.result(&inspection, || inspection.text())
}
