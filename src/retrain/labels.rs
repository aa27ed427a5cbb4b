//! The labels of a checkpoint's layers, from a sweep of it.

use super::document::{Labels, Layer};
use crate::data::Choice;
use crate::error::{Error, Result};
use crate::invariance::gather::{records, scored};
use crate::score::{Options, Which};
use crate::sweep::Scope;
use crate::sweep::dir::RunFile;
use crate::sweep::export::{is_finished, unfinished};
use std::path::Path;

/// The choice of images of the sweep in a folder, if there is a sweep and it made one.
///
/// # Errors
/// Those of [`RunFile::read`].
pub fn choice(run: &Path) -> Result<Option<Choice>> {
    let file = if run.is_dir() { RunFile::read(run)? } else { None };
    Ok(file.and_then(|file| file.settings.pick).map(|pick| pick.choice()))
}

/// The labels of all `layers` of the checkpoint with the content `sha256`, by the score `by` combined over the three filters.
/// Also the digest of the images that the sweep measured.
///
/// # Errors
/// An input error for a folder that holds no finished sweep, and for damaged files; a usage error for a sweep of something
/// else than layers, of fewer layers or filters, or of other checkpoints.
pub fn labels(
    run: &Path,
    sha256: &str,
    layers: &[&str],
    by: Which,
    options: Options,
) -> Result<(Labels, String)> {
    let Some(file) = RunFile::read(run)? else {
        return Err(Error::input(run, "sweep", RunFile::NAME, "none"));
    };
    if !is_finished(run) {
        return Err(unfinished(run));
    }
    let settings = &file.settings;
    let fault = |what: &str, expected: String, found: String| {
        Err(Error::usage(format!("{}: {what}: expected {expected}, found {found}", run.display())))
    };
    if settings.scope != Scope::Layer {
        return fault("scope", "layer".to_owned(), settings.scope.to_string());
    }
    let all = scored(run, &file, &records(run, &file)?, options)?;
    let Some(of) = all.into_iter().find(|scored| scored.checkpoint.sha256 == sha256) else {
        let swept: Vec<&str> = settings.checkpoints.iter().map(|id| &*id.sha256).collect();
        return fault("checkpoint", format!("a sweep of {sha256}"), swept.join(", "));
    };
    if let Some(missing) = layers.iter().find(|layer| !settings.layers.iter().any(|swept| swept == *layer)) {
        return fault("layers", format!("all {} of the network", layers.len()), format!("none of {missing}"));
    }
    let layer = |name: &&str| {
        let mut combined = of.scores.iter().filter(|score| score.filter.is_none());
        let (score, se, label) = combined.find(|score| score.layer.as_deref() == Some(name))?.get(by);
        Some(Layer { name: (*name).to_owned(), score, se, label })
    };
    let Some(found) = layers.iter().map(layer).collect::<Option<Vec<Layer>>>() else {
        let filters: Vec<&str> = settings.filters.iter().map(|filter| filter.name()).collect();
        return fault("filters", "all three".to_owned(), filters.join(", "));
    };
    let labels = Labels {
        run: run.display().to_string(),
        hash: file.hash.clone(),
        images: settings.images,
        pick: settings.pick.clone(),
        eps: settings.eps,
        by,
        baseline: options.baseline,
        tau: options.tau,
        z: options.z,
        layers: found,
    };
    Ok((labels, settings.dataset_digest.clone()))
}
