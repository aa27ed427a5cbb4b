//! Which checkpoints are compared with which, and how.

use super::axis::Axis;
use super::depth::{self, Frame};
use super::document::{ComparedCheckpoint, Comparison, Findings, InvarianceRecord, VERSION};
use super::gather::{Gathered, Scored, short};
use super::layers;
use crate::error::{Error, Result};
use crate::filter::FilterKind;
use crate::models::Stem;
use crate::provenance::Provenance;
use crate::score::{Options, Which};
use crate::text::of_training;
use std::collections::BTreeMap;

/// What checkpoints have in common and in what they differ: architecture with its stem, data set, seed, epoch.
type Place = (Option<(String, Stem)>, Option<String>, Option<u64>, Option<u32>);

/// Compares checkpoints that differ in one respect alone, by the scores `by`.
///
/// Over seeds the same training differs by chance alone: what agrees no better over epochs, data sets or architectures than
/// over seeds is not told apart from chance. Seeds and epochs are compared only where they are recorded; checkpoints that
/// are different and alike in all that is recorded are compared with one another, and with nothing else.
///
/// # Errors
/// A usage error if no two checkpoints differ in one respect alone; an input error for a network that this program does not
/// know.
pub fn compare(
    gathered: &Gathered,
    options: Options,
    by: &[Which],
    provenance: Provenance,
) -> Result<InvarianceRecord> {
    let all = &gathered.checkpoints;
    let mut notes = gathered.notes.clone();
    let mut by_place: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
    for (at, scored) in all.iter().enumerate() {
        by_place.entry(place(&scored.checkpoint)).or_default().push(at);
    }
    let alone: Vec<usize> = by_place.values().filter(|same| same.len() == 1).map(|same| same[0]).collect();

    let mut groups: Vec<(Axis, Place, Vec<usize>)> = Vec::new();
    for axis in [Axis::Epochs, Axis::Seeds, Axis::Datasets, Axis::Architectures] {
        let mut of_axis: BTreeMap<Place, Vec<usize>> = BTreeMap::new();
        for &at in &alone {
            let Some(fixed) = without(axis, place(&all[at].checkpoint)) else { continue };
            of_axis.entry(fixed).or_default().push(at);
        }
        groups.extend(
            of_axis
                .into_iter()
                .filter(|(_, members)| members.len() > 1)
                .map(|(fixed, members)| (axis, fixed, members)),
        );
    }
    let ambiguous = by_place.into_iter().filter(|(_, same)| same.len() > 1);
    groups.extend(ambiguous.map(|(fixed, members)| (Axis::Checkpoints, fixed, members)));
    if groups.is_empty() {
        return Err(nothing_to_compare(all));
    }

    let compared: Vec<bool> =
        (0..all.len()).map(|at| groups.iter().any(|(_, _, members)| members.contains(&at))).collect();
    for scored in all.iter().zip(&compared).filter(|(_, compared)| !**compared).map(|(scored, _)| scored) {
        notes.push(format!(
            "{} is compared with nothing: no other differs in one respect alone",
            name(&scored.checkpoint)
        ));
    }
    if groups.iter().any(|(axis, (_, _, seed, _), _)| *axis == Axis::Epochs && seed.is_none()) {
        notes
            .push("checkpoints whose seed is not recorded are taken for one training over epochs".to_owned());
    }

    let mut filters: Vec<Option<FilterKind>> = gathered.common.filters.iter().copied().map(Some).collect();
    if filters.len() > 1 {
        filters.push(None);
    }
    let comparisons = groups.into_iter().map(|(over, fixed, members)| {
        let scored: Vec<&Scored> = members.iter().map(|&at| &all[at]).collect();
        let each = by.iter().flat_map(|by| filters.iter().map(move |filter| (*by, *filter)));
        let findings = match over {
            Axis::Architectures => {
                let frames: Vec<Frame> =
                    scored.iter().map(|scored| Frame::of(scored)).collect::<Result<_>>()?;
                Findings::ByDepth {
                    agreements: each
                        .map(|(by, filter)| depth::agreement(&scored, &frames, by, filter))
                        .collect(),
                    landmarks: frames.into_iter().map(|frame| frame.landmarks).collect(),
                }
            }
            _ => {
                let layers = scored[0].layers.clone();
                let agreements =
                    each.map(|(by, filter)| layers::agreement(&scored, &layers, by, filter)).collect();
                Findings::ByLayer { layers, agreements }
            }
        };
        let names = scored.iter().map(|scored| name_on(over, &scored.checkpoint)).collect();
        let (network, dataset, seed, epoch) = fixed;
        let (arch, stem) = network.unzip();
        let stem = stem.unwrap_or_default();
        Ok(Comparison { over, arch, stem, dataset, seed, epoch, members, names, findings })
    });
    Ok(InvarianceRecord {
        version: VERSION,
        options,
        sweeps: gathered.common.clone(),
        comparisons: comparisons.collect::<Result<_>>()?,
        checkpoints: all.iter().map(|scored| scored.checkpoint.clone()).collect(),
        notes,
        provenance,
    })
}

fn place(checkpoint: &ComparedCheckpoint) -> Place {
    let ComparedCheckpoint { arch, stem, dataset, seed, epoch, .. } = checkpoint.clone();
    (Some((arch, stem)), Some(dataset), seed, epoch)
}

/// What is left without what differs on the axis; `None` if that is not recorded.
fn without(axis: Axis, (arch, dataset, seed, epoch): Place) -> Option<Place> {
    match axis {
        Axis::Epochs => epoch.map(|_| (arch, dataset, seed, None)),
        Axis::Seeds => seed.map(|_| (arch, dataset, None, epoch)),
        Axis::Datasets => Some((arch, None, seed, epoch)),
        Axis::Architectures => Some((None, dataset, seed, epoch)),
        Axis::Checkpoints => Some((arch, dataset, seed, epoch)),
    }
}

/// What a checkpoint is on an axis.
fn name_on(axis: Axis, checkpoint: &ComparedCheckpoint) -> String {
    let ComparedCheckpoint { dataset, seed, epoch, sha256, file, .. } = checkpoint;
    let number =
        |what, number: Option<u64>| number.map_or(String::new(), |number| format!("{what} {number}"));
    match axis {
        Axis::Epochs => number("epoch", epoch.map(u64::from)),
        Axis::Seeds => number("seed", *seed),
        Axis::Datasets => dataset.clone(),
        Axis::Architectures => checkpoint.network(),
        Axis::Checkpoints => match std::path::Path::new(file).file_name() {
            Some(file) => format!("{} ({})", file.to_string_lossy(), short(sha256)),
            None => short(sha256),
        },
    }
}

/// A checkpoint in words: "resnet18 on digits, seed 0, epoch 3".
pub fn name(checkpoint: &ComparedCheckpoint) -> String {
    let ComparedCheckpoint { dataset, seed, epoch, .. } = checkpoint;
    words(Some(&checkpoint.network()), Some(dataset), *seed, *epoch)
}

/// The same where some of it is left open.
pub fn words(network: Option<&str>, dataset: Option<&str>, seed: Option<u64>, epoch: Option<u32>) -> String {
    let network = match (network, dataset) {
        (Some(network), Some(dataset)) => format!("{network} on {dataset}"),
        (Some(network), None) => network.to_owned(),
        (None, Some(dataset)) => format!("on {dataset}"),
        (None, None) => String::new(),
    };
    network + &of_training(seed, epoch)
}

fn nothing_to_compare(all: &[Scored]) -> Error {
    /// How many checkpoints an error names.
    const NAMED: usize = 4;
    if let [one] = all {
        return Error::usage(format!(
            "compare: expected at least two checkpoints, found one: {}",
            name(&one.checkpoint)
        ));
    }
    let mut names: Vec<String> = all.iter().take(NAMED).map(|scored| name(&scored.checkpoint)).collect();
    if all.len() > NAMED {
        names.push(format!("and {} more", all.len() - NAMED));
    }
    Error::usage(format!(
        "compare: expected checkpoints that differ in one respect alone (epoch, seed, data set or architecture), found {}",
        names.join("; ")
    ))
}
