//! `synfilter report`: results as one HTML file.

use super::output::Output;
use super::score::Labelling;
use serde::Serialize;
use std::path::PathBuf;
use synfilter::Result;
use synfilter::report::{Settings, write_html};
use synfilter::study::Content;

/// The flags of `report`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folders of results, of sweeps, attacks and comparisons, or folders in which such are searched, as that of a study.
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "PATH", default_value = "report.html")]
    out: PathBuf,
    /// Its title; names the networks if left out.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    labelling: Labelling,
}

#[derive(Serialize)]
struct Document {
    written: Vec<PathBuf>,
    read: Vec<Content>,
}

/// Writes the report and says where it is.
///
/// # Errors
/// Those of [`write_html`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let settings = Settings { title: args.title.clone(), options: args.labelling.options() };
    let written = write_html(&args.folders, &args.out, &settings)?;
    let document = Document { written: written.files, read: written.read };
    output.result(&document, || {
        let lines = document.written.iter().map(|file| format!("written to {}\n", file.display()));
        lines.collect::<String>() + &format!("from {} files\n", document.read.len())
    })
}
