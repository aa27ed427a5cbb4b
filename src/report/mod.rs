//! Reports: what sweeps, attacks, comparisons and retrainings found, as one HTML file that people look at.
//!
//! [`gather`](mod@gather) finds and reads the results, [`figures`](mod@figures) draws them, [`page`](mod@page) puts everything into
//! one file that needs no other: no network, no fonts, and no script but for values under the pointer and sorting.

pub mod figure;
pub mod figures;
pub mod gather;
pub mod links;
mod method;
mod missing;
pub mod page;
mod palette;
pub mod png;
mod provenance;
mod results;
mod retraining;
pub mod scale;
pub mod svg;
mod table;
mod words;

use crate::atomic_file::AtomicFile;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::named_choice::named_choice;
use crate::score::Options;
use links::Links;
use png::Painter;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a report is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReportSettings {
    /// Its title; `None` for one that names the networks.
    pub title: Option<String>,
    /// How scores are made and labelled.
    pub options: Options,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    /// The files, in the order of the report.
    pub files: Vec<PathBuf>,
    /// What they were made from: every file that was read, by path.
    pub read: Vec<Content>,
}

/// Writes the report on the results in `folders` and below them to `out`. The same results give the same bytes.
///
/// # Errors
/// Those of [`gather`](gather::gather); [`Error::Write`], and then an older file stays as it was.
pub fn write_html(folders: &[PathBuf], out: &Path, settings: &ReportSettings) -> Result<Written> {
    let material = gather::gather(folders, settings.options)?;
    let folder = out.parent().unwrap_or(Path::new(""));
    if !folder.as_os_str().is_empty() {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
    }
    let links = Links::from(folder)?;
    let title = settings.title.clone().unwrap_or_else(|| title(&material));
    write(out, page::page(&material, &title, settings.options, &links).as_bytes())?;
    Ok(Written { files: vec![out.to_owned()], read: material.read })
}

named_choice!(
    /// The form of figures of their own.
    Picture, "format of figures" {
        /// Vectors.
        Svg = "svg",
        /// Pixels.
        Png = "png"
    }
);

/// Writes the figures of the report on the results in `folders`, a file each, into the folder `out`: all, or those that are
/// named.
///
/// # Errors
/// Those of [`gather`](gather::gather); a usage error for a name that no figure has; [`Error::Write`].
pub fn write_figures(
    folders: &[PathBuf],
    out: &Path,
    picture: Picture,
    names: &[String],
    options: Options,
) -> Result<Written> {
    let material = gather::gather(folders, options)?;
    let mut figures = figures::figures(&material);
    if let Some(unknown) = names.iter().find(|name| figures.iter().all(|figure| figure.name != **name)) {
        let known: Vec<&str> = figures.iter().map(|figure| figure.name.as_str()).collect();
        return Err(Error::usage(format!(
            "--figure: no figure is called \"{unknown}\": expected one of {}",
            known.join(", ")
        )));
    }
    figures.retain(|figure| names.is_empty() || names.contains(&figure.name));
    fs::create_dir_all(out).map_err(Error::write(out))?;
    let painter = Painter::with_font();
    let mut files = Vec::new();
    for figure in &figures {
        let path = out.join(format!("{}.{picture}", figure.name));
        let svg = figure.alone();
        let bytes = match picture {
            Picture::Svg => svg.into_bytes(),
            Picture::Png => painter.paint(&svg)?,
        };
        write(&path, &bytes)?;
        files.push(path);
    }
    Ok(Written { files, read: material.read })
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::write(path))?;
    file.commit()
}

/// The networks by name, each once.
fn title(material: &gather::Material) -> String {
    let mut names: Vec<String> = Vec::new();
    let swept = material.networks.iter().map(|swept| &swept.scored.checkpoint);
    let swept = swept.map(|of| format!("{} on {}", of.network(), of.dataset));
    let attacked = material.attacks.iter().flat_map(|found| {
        let dataset = &found.document.dataset;
        found.document.networks.iter().map(move |network| format!("{} on {dataset}", network.network()))
    });
    let compared = material.comparisons.iter().flat_map(|found| &found.document.checkpoints);
    let compared = compared.map(|of| format!("{} on {}", of.network(), of.dataset));
    let retrained = material.retrainings.iter().map(|found| &found.document.settings);
    let retrained = retrained.map(|of| format!("{} on {}", of.network(), of.dataset));
    for name in swept.chain(attacked).chain(compared).chain(retrained) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.len() {
        0..=4 => format!("Synaptic filtering: {}", names.join(", ")),
        count => format!("Synaptic filtering: {}, … ({count} networks)", names[..3].join(", ")),
    }
}
