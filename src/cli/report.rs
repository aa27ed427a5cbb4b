//! `synfilter report`: results as one HTML file, or as figures.

use super::output::Output;
use super::score::Labelling;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use synfilter::content::Content;
use synfilter::report::{Picture, ReportSettings, write_figures, write_html};
use synfilter::{Error, Result};

/// The flags of `report`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folders of results, of sweeps, attacks, comparisons and retrainings, or folders in which such are searched, as that of a study.
    #[arg(value_name = "FOLDER", required = true)]
    folders: Vec<PathBuf>,
    /// The file to write, report.html if left out; for svg and png the folder of the figures.
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// One page with everything, or every figure as a file of its own.
    #[arg(long, value_name = "html|svg|png", default_value = "html")]
    format: Format,
    /// With svg and png: these figures only, by their names.
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    figure: Vec<String>,
    /// Its title; names the networks if left out.
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
    #[command(flatten)]
    labelling: Labelling,
}

/// The page, or figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Figures(Picture),
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Format> {
        match name {
            "html" => Ok(Format::Html),
            name => name
                .parse()
                .map(Format::Figures)
                .map_err(|_| Error::usage(format!("unknown format \"{name}\": expected html, svg or png"))),
        }
    }
}

#[derive(Serialize)]
struct Document {
    written: Vec<PathBuf>,
    read: Vec<Content>,
}

/// Writes the report and says where it is.
///
/// # Errors
/// A usage error for flags that contradict one another; those of [`write_html`] and [`write_figures`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let options = args.labelling.options();
    let written = match args.format {
        Format::Html => {
            if !args.figure.is_empty() {
                return Err(Error::usage("--figure: chooses figures of --format svg or png"));
            }
            let settings = ReportSettings { title: args.title.clone(), options };
            let out = args.out.as_deref().unwrap_or(Path::new("report.html"));
            write_html(&args.folders, out, &settings)?
        }
        Format::Figures(picture) => {
            if args.title.is_some() {
                return Err(Error::usage("--title: is that of a page; figures have titles of their own"));
            }
            let Some(out) = &args.out else {
                return Err(Error::usage(format!(
                    "--format {picture}: expected a folder for the figures, --out DIR"
                )));
            };
            write_figures(&args.folders, out, picture, &args.figure, options)?
        }
    };
    let document = Document { written: written.files, read: written.read };
    output.result(&document, || {
        let lines = document.written.iter().map(|file| format!("written to {}\n", file.display()));
        lines.collect::<String>() + &format!("from {} files\n", document.read.len())
    })
}
