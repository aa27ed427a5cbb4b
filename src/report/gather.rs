//! What there is to report: finds and reads the results in any number of folders.

use crate::content::Content;
use crate::error::{Error, Result};
use crate::invariance;
use crate::invariance::gather::{Scored, records, scored};
use crate::retrain;
use crate::score::Options;
use crate::score::curves::{Responses, curves};
use crate::security;
use crate::sweep::dir::RunFile;
use crate::sweep::export::{CELLS_PARQUET, is_finished, unfinished};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Everything that a report shows.
#[derive(Clone, Debug, Default)]
pub struct Material {
    /// Swept networks by architecture, data set, seed and epoch.
    pub networks: Vec<SweptNetwork>,
    /// Finished sweeps, by folder.
    pub sweeps: Vec<FinishedSweep>,
    /// Security curves.
    pub attacks: Vec<Found<security::SecurityRecord>>,
    /// Comparisons.
    pub comparisons: Vec<Found<invariance::InvarianceRecord>>,
    /// Selective retrainings.
    pub retrainings: Vec<Found<retrain::RetrainingRecord>>,
    /// Sweeps that are not finished.
    pub unfinished: Vec<PathBuf>,
    /// The files that were read, by path.
    pub read: Vec<Content>,
}

/// A document and the folder it lies in.
#[derive(Clone, Debug)]
pub struct Found<T> {
    /// The folder.
    pub folder: PathBuf,
    /// The document.
    pub document: T,
}

/// A finished sweep.
#[derive(Clone, Debug)]
pub struct FinishedSweep {
    /// Its folder.
    pub folder: PathBuf,
    /// Its `run.json`.
    pub run: RunFile,
}

/// A swept network.
#[derive(Clone, Debug)]
pub struct SweptNetwork {
    /// The checkpoint and the scores of its layers.
    pub scored: Scored,
    /// Its response curves.
    pub responses: Responses,
    /// The sweep that it is of, by position in [`Material::sweeps`].
    pub sweep: usize,
}

impl SweptNetwork {
    /// Whether single channels were filtered.
    pub fn is_of_channels(&self) -> bool {
        self.responses.targets.iter().any(|target| target.channel.is_some())
    }
}

/// The results that a folder may hold, by the name of the file.
#[derive(Default)]
struct Places {
    sweeps: Vec<PathBuf>,
    attacks: Vec<PathBuf>,
    comparisons: Vec<PathBuf>,
    retrainings: Vec<PathBuf>,
}

impl Places {
    fn is_empty(&self) -> bool {
        let all = [&self.sweeps, &self.attacks, &self.comparisons, &self.retrainings];
        all.iter().all(|places| places.is_empty())
    }

    /// Takes what lies in `folder` itself.
    fn take(&mut self, folder: &Path) {
        for (name, places) in [
            (RunFile::NAME, &mut self.sweeps),
            (security::SecurityRecord::NAME, &mut self.attacks),
            (invariance::InvarianceRecord::NAME, &mut self.comparisons),
            (retrain::RetrainingRecord::NAME, &mut self.retrainings),
        ] {
            if folder.join(name).is_file() {
                places.push(folder.to_owned());
            }
        }
    }

    /// Takes what lies in `folder` and below it, by name.
    fn search(&mut self, folder: &Path) -> Result<()> {
        self.take(folder);
        let mut below = Vec::new();
        for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
            let entry = entry.map_err(Error::read(folder))?;
            // What a link leads to is not a part of the folder.
            if entry.file_type().map_err(Error::read(entry.path()))?.is_dir() {
                below.push(entry.path());
            }
        }
        below.sort();
        below.iter().try_for_each(|folder| self.search(folder))
    }
}

/// Reads the results in `folders` and below them; scores the sweeps.
///
/// # Errors
/// An input error for a folder in which there is nothing to report, where nothing is finished, and for damaged files, which
/// are named; a usage error for options that cannot be.
pub fn gather(folders: &[PathBuf], options: Options) -> Result<Material> {
    let mut all = Places::default();
    for folder in folders {
        let mut places = Places::default();
        places.search(folder)?;
        if places.is_empty() {
            let expected = [
                RunFile::NAME,
                security::SecurityRecord::NAME,
                invariance::InvarianceRecord::NAME,
                retrain::RetrainingRecord::NAME,
            ];
            let expected = expected.join(", ");
            return Err(Error::input(
                folder,
                "results",
                format!("one of {expected}"),
                "none here or in the folders below",
            ));
        }
        all.sweeps.extend(places.sweeps);
        all.attacks.extend(places.attacks);
        all.comparisons.extend(places.comparisons);
        all.retrainings.extend(places.retrainings);
    }
    let mut material = Material::default();
    for folder in each_once(all.sweeps)? {
        material.take_sweep(folder, options)?;
    }
    let read = &mut material.read;
    material.attacks =
        documents(all.attacks, security::SecurityRecord::NAME, security::SecurityRecord::read, read)?;
    material.comparisons = documents(
        all.comparisons,
        invariance::InvarianceRecord::NAME,
        invariance::InvarianceRecord::read,
        read,
    )?;
    material.retrainings =
        documents(all.retrainings, retrain::RetrainingRecord::NAME, retrain::RetrainingRecord::read, read)?;
    let nothing = material.networks.is_empty()
        && material.attacks.is_empty()
        && material.comparisons.is_empty()
        && material.retrainings.is_empty();
    if let Some(folder) = material.unfinished.first().filter(|_| nothing) {
        return Err(unfinished(folder));
    }
    let key = |swept: &SweptNetwork| {
        let of = &swept.scored.checkpoint;
        ((of.arch.clone(), of.stem), of.dataset.clone(), of.seed, of.epoch, of.run.clone())
    };
    // Checkpoints of one run keep their order.
    material.networks.sort_by_key(key);
    material.read.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(material)
}

impl Material {
    fn take_sweep(&mut self, folder: PathBuf, options: Options) -> Result<()> {
        let Some(run) = RunFile::read(&folder)? else {
            return Ok(());
        };
        if !is_finished(&folder) {
            self.unfinished.push(folder);
            return Ok(());
        }
        let records = records(&folder, &run)?;
        let scored = scored(&folder, &run, &records, options)?;
        for (scored, responses) in scored.into_iter().zip(curves(&records)) {
            self.networks.push(SweptNetwork { scored, responses, sweep: self.sweeps.len() });
        }
        for name in [RunFile::NAME, CELLS_PARQUET] {
            self.read.push(Content::of(&folder.join(name))?);
        }
        self.sweeps.push(FinishedSweep { folder, run });
        Ok(())
    }
}

/// The documents called `name` in folders, each once; what was read is added to `content`.
fn documents<T>(
    folders: Vec<PathBuf>,
    name: &str,
    read: impl Fn(&Path) -> Result<T>,
    content: &mut Vec<Content>,
) -> Result<Vec<Found<T>>> {
    let mut found = Vec::new();
    for folder in each_once(folders)? {
        let path = folder.join(name);
        let document = read(&path)?;
        content.push(Content::of(&path)?);
        found.push(Found { folder, document });
    }
    Ok(found)
}

/// Folders by where they really are, each by its first name.
fn each_once(folders: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    for folder in folders {
        let place = fs::canonicalize(&folder).map_err(Error::read(&folder))?;
        found.entry(place).or_insert(folder);
    }
    Ok(found.into_values().collect())
}
