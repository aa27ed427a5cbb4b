//! From run folders to scored checkpoints that may be compared with one another.

use super::document::{Common, ComparedCheckpoint, Layer};
use crate::attack::Pgd;
use crate::data::order;
use crate::error::{Error, Result};
use crate::models::Stem;
use crate::named_choice::named_choice;
use crate::score::{Options, Score, score_records};
use crate::sweep::dir::RunFile;
use crate::sweep::export::{CELLS_PARQUET, HASH_KEY, is_finished, read_cells, unfinished};
use crate::sweep::record::Record;
use crate::sweep::{Scope, SweepSettings};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

named_choice!(
    /// A setting in which sweeps may be allowed to differ.
    Allowed, "setting" {
        /// The size of the attack.
        Eps = "eps",
        /// The test images of one data set.
        Images = "images"
    }
);

/// A checkpoint with the scores of its layers.
#[derive(Clone, Debug)]
pub struct Scored {
    /// The checkpoint.
    pub checkpoint: ComparedCheckpoint,
    /// The swept layers, in network order.
    pub layers: Vec<Layer>,
    /// Layer by layer, filter by filter, then combined.
    pub scores: Vec<Score>,
}

/// Checkpoints that may be compared.
#[derive(Clone, Debug)]
pub struct Gathered {
    /// What all sweeps have in common.
    pub common: Common,
    /// Sorted by architecture, data set, seed, epoch and content.
    pub checkpoints: Vec<Scored>,
    /// What a reader should know.
    pub notes: Vec<String>,
}

/// Reads and scores the sweeps in `paths`: run folders, or folders in which such are searched.
///
/// # Errors
/// A usage error where there is no sweep, for sweeps of something else than layers, for settings that differ and have to
/// agree (naming two runs and the setting), and for one checkpoint swept in two ways; an input error for a sweep that was
/// named and is not finished, and for damaged files.
pub fn gather(paths: &[PathBuf], options: Options, allowed: &[Allowed]) -> Result<Gathered> {
    let mut notes = Vec::new();
    let runs = find_runs(paths, &mut notes)?;
    let mut read = Vec::new();
    for run in runs {
        if let Some(file) = RunFile::read(&run)? {
            read.push((run, file));
        }
    }
    let Some((first, rest)) = read.split_first() else {
        return Err(Error::usage("compare: expected at least one finished sweep, found none"));
    };
    let common = common_settings(first, rest)?;
    agree(&read, allowed)?;
    notes.extend(differences(&read));
    let mut checkpoints = Vec::new();
    for (folder, file) in &read {
        checkpoints.extend(scored(folder, file, &records(folder, file)?, options)?);
    }
    let checkpoints = without_duplicates(checkpoints, &mut notes)?;
    Ok(Gathered { common, checkpoints, notes })
}

/// The run folders among `paths` and below them, each once, sorted.
fn find_runs(paths: &[PathBuf], notes: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    // By where they really are, to tell a folder that is named twice.
    let mut found: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for path in paths {
        let mut runs = Vec::new();
        if path.join(RunFile::NAME).is_file() {
            if !is_finished(path) {
                return Err(unfinished(path));
            }
            runs.push(path.clone());
        } else {
            search(path, &mut runs)?;
            if runs.is_empty() {
                let found = "none here or in the folders below";
                return Err(Error::input(path, "sweeps", RunFile::NAME, found));
            }
        }
        for run in runs {
            if !is_finished(&run) {
                notes.push(format!("{}: its sweep is not finished, and left out", run.display()));
                continue;
            }
            let place = fs::canonicalize(&run).map_err(Error::read(&run))?;
            if let Some(earlier) = found.get_mut(&place) {
                notes.push(format!("{}: named more than once, and read once", run.display()));
                // The shorter name, whatever the order.
                let shorter = |path: &Path| (path.as_os_str().len(), path.to_owned());
                if shorter(&run) < shorter(earlier) {
                    *earlier = run;
                }
            } else {
                found.insert(place, run);
            }
        }
    }
    notes.sort();
    notes.dedup();
    let mut runs: Vec<PathBuf> = found.into_values().collect();
    runs.sort();
    Ok(runs)
}

/// Collects the run folders below `folder`, which is none itself.
fn search(folder: &Path, runs: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?;
        // What a link leads to is not a part of the folder.
        if !entry.file_type().map_err(Error::read(entry.path()))?.is_dir() {
            continue;
        }
        let below = entry.path();
        if below.join(RunFile::NAME).is_file() {
            runs.push(below);
        } else {
            search(&below, runs)?;
        }
    }
    Ok(())
}

type Run = (PathBuf, RunFile);

/// What all runs have in common.
fn common_settings(first: &Run, rest: &[Run]) -> Result<Common> {
    let (folder, file) = first;
    let settings = &file.settings;
    for (folder, file) in rest.iter().chain([first]) {
        let scope = file.settings.scope;
        if scope != Scope::Layer {
            let folder = folder.display();
            return Err(Error::usage(format!(
                "{folder}: scope: expected layer, found {scope}; compare is of layers"
            )));
        }
    }
    for (other_folder, other) in rest {
        // Everything but what checkpoints, data and machines may differ in.
        let mut other = other.settings.clone();
        other.checkpoints.clone_from(&settings.checkpoints);
        for (theirs, ours) in [
            (&mut other.arch, &settings.arch),
            (&mut other.graph, &settings.graph),
            (&mut other.dataset, &settings.dataset),
            (&mut other.dataset_digest, &settings.dataset_digest),
            (&mut other.dtype, &settings.dtype),
            (&mut other.backend, &settings.backend),
            (&mut other.version, &settings.version),
        ] {
            theirs.clone_from(ours);
        }
        other.layers.clone_from(&settings.layers);
        // Held equal within a data set.
        other.pick.clone_from(&settings.pick);
        other.prepare = settings.prepare;
        (other.images, other.eps, other.stem) = (settings.images, settings.eps, settings.stem);
        // Random starts, each with the seed of its network.
        if let (Some(Pgd { seed: Some(theirs), .. }), Some(Pgd { seed: Some(ours), .. })) =
            (&mut other.pgd, &settings.pgd)
        {
            *theirs = *ours;
        }
        if let Some(difference) = settings.first_difference(&other) {
            return Err(differ(folder, other_folder, &difference));
        }
    }
    let SweepSettings { scope, filters, thresholds, attack, pgd, clamp, bn, .. } = settings.clone();
    Ok(Common { scope, filters, thresholds, attack, pgd, clamp, bn })
}

fn differ(a: &Path, b: &Path, difference: &str) -> Error {
    Error::usage(format!("{} and {} can't be compared: {difference}", a.display(), b.display()))
}

/// Refuses runs that differ in what has to agree within an architecture, within a data set, or, unless allowed, at all.
fn agree(runs: &[Run], allowed: &[Allowed]) -> Result<()> {
    let hint = |setting| format!("; --allow {setting} compares them nevertheless");
    let mut of_arch: BTreeMap<(&str, Stem), &Run> = BTreeMap::new();
    let mut of_dataset: BTreeMap<&str, &Run> = BTreeMap::new();
    let first = &runs[0];
    for run in runs {
        let (folder, settings) = (&run.0, &run.1.settings);
        let (other, expected) = of_arch.entry((&settings.arch, settings.stem)).or_insert(run);
        if settings.layers != expected.settings.layers {
            let missing =
                |of: &[String], from: &[String]| of.iter().find(|layer| !from.contains(layer)).cloned();
            let (ours, theirs) = (&settings.layers, &expected.settings.layers);
            let (only_in, layer) = match missing(theirs, ours) {
                Some(layer) => (other, layer),
                None => (folder, missing(ours, theirs).unwrap_or_default()),
            };
            let difference =
                format!("layers of {}: {layer} was swept in {} alone", settings.network(), only_in.display());
            return Err(differ(other, folder, &difference));
        }
        let (other, expected) = of_dataset.entry(&settings.dataset).or_insert(run);
        let expected = &expected.settings;
        let of = |settings: &SweepSettings| {
            (settings.images, settings.dataset_digest.clone(), settings.pick.clone())
        };
        let same = of(settings) == of(expected);
        if !same && !allowed.contains(&Allowed::Images) {
            let count = |settings: &SweepSettings| settings.images[1] - settings.images[0];
            let (dataset, hint) = (&settings.dataset, hint(Allowed::Images));
            let difference = match (count(expected), count(settings)) {
                (a, b) if a == b && settings.pick != expected.pick => {
                    let (one, other) = (order(expected.pick.as_ref()), order(settings.pick.as_ref()));
                    format!("images of {dataset}: {a} in both, expected {one}, found {other}{hint}")
                }
                (a, b) if a == b => format!("images of {dataset}: {a} in both, but others{hint}"),
                (a, b) => format!("images of {dataset}: expected {a}, found {b}{hint}"),
            };
            return Err(differ(other, folder, &difference));
        }
        let (expected, found) = (first.1.settings.eps, settings.eps);
        if found != expected && !allowed.contains(&Allowed::Eps) {
            let difference = format!("eps: expected {expected}, found {found}{}", hint(Allowed::Eps));
            return Err(differ(&first.0, folder, &difference));
        }
    }
    Ok(())
}

/// Differences that are no hindrance, and should be known.
fn differences(runs: &[Run]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut tell = |what: &str, values: Vec<String>| {
        let mut values = values;
        values.sort();
        values.dedup();
        if values.len() > 1 {
            notes.push(format!("the sweeps differ in {what}: {}", values.join(", ")));
        }
    };
    let all =
        |value: &dyn Fn(&SweepSettings) -> String| runs.iter().map(|(_, run)| value(&run.settings)).collect();
    tell("ε", all(&|settings| settings.eps.to_string()));
    let start = |settings: &SweepSettings| {
        settings.pgd.and_then(|pgd| pgd.seed).map_or(String::new(), |seed| seed.to_string())
    };
    let sample = |settings: &SweepSettings| match &settings.sampling {
        None => "all".to_owned(),
        Some(sampling) => format!("one in {} (order of seed {})", sampling.thin, sampling.order_seed),
    };
    tell("the images that filtered networks saw", all(&sample));
    tell("the seed of PGD's random starts", all(&start));
    tell("number format and backend", all(&|settings| format!("{} on {}", settings.dtype, settings.backend)));
    tell("the version of the program", all(&|settings| settings.version.clone()));
    let mut of_dataset: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (_, RunFile { settings, .. }) in runs {
        let images =
            format!("{} ({})", settings.images[1] - settings.images[0], &short(&settings.dataset_digest));
        of_dataset.entry(&settings.dataset).or_default().push(images);
    }
    for (dataset, images) in of_dataset {
        tell(&format!("the test images of {dataset}"), images);
    }
    notes
}

/// The first letters of a hash.
pub fn short(hash: &str) -> String {
    hash.chars().take(8).collect()
}

/// The records of the finished run in `folder`, whose `run.json` is `run`: checkpoint by checkpoint, in the order of its
/// settings.
///
/// # Errors
/// [`Error::Read`]; an input error for tables of another run.
pub fn records(folder: &Path, run: &RunFile) -> Result<Vec<Record>> {
    let path = folder.join(CELLS_PARQUET);
    let (metadata, records) = read_cells(&path)?;
    if metadata.get(HASH_KEY) != Some(&run.hash) {
        let found = metadata.get(HASH_KEY).map_or("none", String::as_str);
        return Err(Error::input(&path, HASH_KEY, &run.hash, found));
    }
    let found = records.chunk_by(|a, b| a.cell.checkpoint == b.cell.checkpoint);
    if !found.map(|chunk| &chunk[0].cell.checkpoint).eq(run.settings.checkpoints.iter().map(|id| &id.sha256))
    {
        return Err(Error::input(&path, "checkpoints", "those of the run's settings", "others"));
    }
    Ok(records)
}

/// The checkpoints of a run, scored from its [`records`].
///
/// # Errors
/// Those of [`score_records`]; an input error for records of other layers than the run's.
pub fn scored(folder: &Path, run: &RunFile, records: &[Record], options: Options) -> Result<Vec<Scored>> {
    let path = folder.join(CELLS_PARQUET);
    let chunks = records.chunk_by(|a, b| a.cell.checkpoint == b.cell.checkpoint);
    let settings = &run.settings;
    // A merged run's parts know the files.
    let files =
        [&run.provenance].into_iter().chain(&run.merged_from).map(|provenance| &provenance.checkpoints);
    let files = files.into_iter().find(|files| files.len() == settings.checkpoints.len());
    let mut all = Vec::new();
    for (at, (chunk, id)) in chunks.zip(&settings.checkpoints).enumerate() {
        let scores = score_records(chunk, options, &path)?;
        let mut layers: Vec<Layer> = scores
            .iter()
            .filter_map(|score| Some(Layer { name: score.layer.clone()?, index: score.layer_index? }))
            .collect();
        layers.dedup();
        if !layers.iter().map(|layer| &layer.name).eq(&settings.layers) {
            return Err(Error::input(&path, "layers", "those of the run's settings", "others"));
        }
        let unfiltered = &chunk[0].cell;
        let checkpoint = ComparedCheckpoint {
            arch: settings.arch.clone(),
            stem: settings.stem,
            dataset: settings.dataset.clone(),
            seed: id.seed,
            epoch: id.epoch,
            sha256: id.sha256.clone(),
            file: files.map(|files| files[at].clone()).unwrap_or_default(),
            run: folder.display().to_string(),
            hash: run.hash.clone(),
            dataset_digest: settings.dataset_digest.clone(),
            images: unfiltered.images,
            correct_clean: unfiltered.correct_clean,
            correct_adv: unfiltered.correct_adv,
            eps: settings.eps,
            dtype: settings.dtype.clone(),
            backend: settings.backend.clone(),
            swept_by: settings.version.clone(),
        };
        all.push(Scored { checkpoint, layers, scores });
    }
    Ok(all)
}

/// Each checkpoint once on each data set.
fn without_duplicates(mut all: Vec<Scored>, notes: &mut Vec<String>) -> Result<Vec<Scored>> {
    // Runs of older versions do not know the seed: of equals, one that does comes first.
    let identity = |scored: &Scored| {
        let ComparedCheckpoint { arch, stem, dataset, sha256, seed, run, .. } = scored.checkpoint.clone();
        ((arch, stem, dataset, sha256), seed.is_none(), run)
    };
    all.sort_by_cached_key(identity);
    let mut kept: Vec<Scored> = Vec::new();
    for scored in all {
        let Some(earlier) = kept.last().filter(|last| identity(last).0 == identity(&scored).0) else {
            kept.push(scored);
            continue;
        };
        let (earlier, found) = (&earlier.checkpoint, &scored.checkpoint);
        let (a, b, sha) = (&earlier.run, &found.run, short(&found.sha256));
        if (earlier.eps, &earlier.dataset_digest) != (found.eps, &found.dataset_digest) {
            return Err(Error::usage(format!(
                "{a} and {b} hold the same checkpoint ({sha}) with another ε or other images: name one of them"
            )));
        }
        notes.push(format!("{b}: the checkpoint {sha} is also in {a}, and read there alone"));
    }
    kept.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(kept)
}

fn key(scored: &Scored) -> ((&str, Stem), &str, Option<u64>, Option<u32>, &str) {
    let ComparedCheckpoint { arch, stem, dataset, seed, epoch, sha256, .. } = &scored.checkpoint;
    ((arch, *stem), dataset, *seed, *epoch, sha256)
}
