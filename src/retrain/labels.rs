//! The labels of a checkpoint's layers, from a sweep of it.

use super::document::{Labels, Layer};
use crate::data::{Choice, Prepare};
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::input::Input;
use crate::invariance::gather::{records, scored};
use crate::models::Stem;
use crate::score::{Options, Which};
use crate::sweep::Scope;
use crate::sweep::dir::RunFile;
use crate::sweep::export::{is_finished, unfinished};
use std::path::Path;

/// The images that a sweep measured.
#[derive(Default)]
pub struct Swept {
    /// Which of them it chose, if it made a choice.
    pub choice: Option<Choice>,
    /// How they were prepared, as far as settings say it (see [`RetrainingSettings::prepare`](crate::sweep::SweepSettings::prepare)).
    pub prepare: Option<Prepare>,
    /// The same in words, and of what data set; sweeps of versions that did not tell have none.
    pub words: Option<String>,
}

/// The images of the sweep in a folder, if there is a sweep.
///
/// # Errors
/// Those of [`RunFile::read`].
pub fn swept(run: &Path) -> Result<Swept> {
    let file = if run.is_dir() { RunFile::read(run)? } else { None };
    Ok(file.map_or(Swept::default(), |file| Swept {
        choice: file.settings.pick.map(|pick| pick.choice()),
        prepare: file.settings.prepare,
        words: file.input.map(|Input { images, .. }| {
            format!("{} {} images of {}, {}", images.of, images.split, images.dataset, images.preparation)
        }),
    }))
}

/// The labels of all `layers` of the checkpoint with the content `sha256` and the stem `stem`, by the score `by` combined over
/// its filters. Also the digest of the images that the sweep measured.
///
/// # Errors
/// An input error for a folder that holds no finished sweep, and for damaged files; a usage error for a sweep of something
/// else than layers, of fewer layers or filters, or of other checkpoints.
pub fn labels(
    run: &Path,
    (sha256, stem): (&str, Stem),
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
    if settings.stem != stem {
        return fault("stem", stem.to_string(), settings.stem.to_string());
    }
    let all = scored(run, &file, &records(run, &file)?, options)?;
    let Some(of) = all.into_iter().find(|scored| scored.checkpoint.sha256 == sha256) else {
        let swept: Vec<&str> = settings.checkpoints.iter().map(|id| &*id.sha256).collect();
        return fault("checkpoint", format!("a sweep of {sha256}"), swept.join(", "));
    };
    if let Some(missing) = layers.iter().find(|layer| !settings.layers.iter().any(|swept| swept == *layer)) {
        return fault("layers", format!("all {} of the network", layers.len()), format!("none of {missing}"));
    }
    // The mean over several filters, or the only one's.
    let which = match settings.filters[..] {
        [only] => Some(only),
        _ => None,
    };
    let layer = |name: &&str| {
        let mut of_layer = of.scores.iter().filter(|score| score.layer.as_deref() == Some(name));
        let (score, se, label) = of_layer.find(|score| score.filter == which)?.get(by);
        Some(Layer { name: (*name).to_owned(), score, se, label })
    };
    let Some(found) = layers.iter().map(layer).collect::<Option<Vec<Layer>>>() else {
        let filters: Vec<&str> = settings.filters.iter().map(|filter| filter.name()).collect();
        return fault("scores", "one of each layer".to_owned(), filters.join(", "));
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
        over: settings.filters.iter().copied().filter(|_| settings.filters != FilterKind::ALL).collect(),
        layers: found,
    };
    Ok((labels, settings.dataset_digest.clone()))
}
