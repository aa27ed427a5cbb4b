//! Reports: what sweeps, attacks and comparisons found, as one HTML file that people look at.
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
mod provenance;
pub mod scale;
pub mod svg;
mod table;
mod words;

use crate::atomic_file::AtomicFile;
use crate::error::{Error, Result};
use crate::score::Options;
use crate::study::Content;
use links::Links;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// How a report is made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
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
pub fn write_html(folders: &[PathBuf], out: &Path, settings: &Settings) -> Result<Written> {
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

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes).map_err(Error::write(path))?;
    file.commit()
}

/// The networks by name, each once.
fn title(material: &gather::Material) -> String {
    let mut names: Vec<String> = Vec::new();
    let swept = material.networks.iter().map(|swept| &swept.scored.checkpoint);
    let swept = swept.map(|of| format!("{} on {}", of.arch, of.dataset));
    let attacked = material.attacks.iter().flat_map(|found| {
        let dataset = &found.document.dataset;
        found.document.networks.iter().map(move |network| format!("{} on {dataset}", network.arch))
    });
    let compared = material.comparisons.iter().flat_map(|found| &found.document.checkpoints);
    let compared = compared.map(|of| format!("{} on {}", of.arch, of.dataset));
    for name in swept.chain(attacked).chain(compared) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    match names.len() {
        0..=4 => format!("Synaptic filtering: {}", names.join(", ")),
        count => format!("Synaptic filtering: {}, … ({count} networks)", names[..3].join(", ")),
    }
}
