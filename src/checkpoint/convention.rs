//! Names of a network whose layers are numbered where torchvision's have names. Two convolutions of a block may have one
//! shape, so that shapes cannot tell them apart; a known convention does.
//!
//! Known is that of the CIFAR-100 collection whose blocks are a Sequential `residual_function` (convolution, norm, ReLU,
//! convolution, …) beside `shortcut`, in stages `conv2_x` to `conv5_x` behind a Sequential `conv1`.

use super::entry::Entry;
use super::found::{Expected, Found};
use super::tree::joined;
use std::collections::BTreeSet;

/// The Sequential of a block's layers.
const BLOCK: &str = "residual_function";
/// What the modules of a block are for torchvision.
const IN_BLOCK: [(&str, &str); 8] = [
    ("residual_function.0", "conv1"),
    ("residual_function.1", "bn1"),
    ("residual_function.3", "conv2"),
    ("residual_function.4", "bn2"),
    ("residual_function.6", "conv3"),
    ("residual_function.7", "bn3"),
    ("shortcut.0", "downsample.0"),
    ("shortcut.1", "downsample.1"),
];
/// And those before the stages.
const BEFORE: [(&str, &str); 2] = [("conv1.0", "conv1"), ("conv1.1", "bn1")];
/// Parts of the names of their tensors, and of those within a block.
const BEFORE_PARTS: usize = 3;
const BLOCK_PARTS: usize = 5;
/// And the stages.
const STAGES: [(&str, &str); 4] =
    [("conv2_x", "layer1"), ("conv3_x", "layer2"), ("conv4_x", "layer3"), ("conv5_x", "layer4")];

/// Torchvision's names in the place of those of the convention; `None` where the file has none of them.
pub(super) fn translated(entries: &[Entry]) -> Option<Vec<String>> {
    let roots: BTreeSet<&str> = entries.iter().filter_map(|entry| root(&entry.name)).collect();
    if roots.is_empty() {
        return None;
    }
    let name = |entry: &Entry| {
        let below = |parts: usize| {
            let root = above(&entry.name, parts).filter(|root| roots.contains(root))?;
            Some(joined(root, &one(entry.name.strip_prefix(joined(root, "").as_str())?)?))
        };
        below(BEFORE_PARTS).or_else(|| below(BLOCK_PARTS)).unwrap_or_else(|| entry.name.clone())
    };
    Some(entries.iter().map(name).collect())
}

/// A name without its last parts; empty if there are no others.
fn above(name: &str, parts: usize) -> Option<&str> {
    let mut dots = name.rmatch_indices('.').map(|(at, _)| at);
    let at = dots.nth(parts - 1);
    at.map(|at| &name[..at]).or_else(|| (name.split('.').count() == parts).then_some(""))
}

/// The module whose stages follow the convention, if a name within a block says so.
fn root(name: &str) -> Option<&str> {
    let (block, _) = name.split_once(BLOCK)?;
    let (stage, _) = block.strip_suffix('.')?.rsplit_once('.')?;
    let (root, stage) = stage.rsplit_once('.').unwrap_or(("", stage));
    STAGES.iter().any(|(own, _)| *own == stage).then_some(root)
}

/// Torchvision's name of a tensor of the convention.
fn one(name: &str) -> Option<String> {
    let (module, tensor) = name.rsplit_once('.')?;
    let among = |names: &[(&str, &'static str)], module: &str| {
        names.iter().find(|(own, _)| *own == module).map(|(_, named)| *named)
    };
    if let Some(module) = among(&BEFORE, module) {
        return Some(format!("{module}.{tensor}"));
    }
    let (stage, rest) = module.split_once('.')?;
    let (block, module) = rest.split_once('.')?;
    let (stage, module) = (among(&STAGES, stage)?, among(&IN_BLOCK, module)?);
    Some(format!("{stage}.{block}.{module}.{tensor}"))
}

/// The modules of a network that have another name in the file, tensor by tensor.
pub(super) fn renamed(found: &Found, expected: &[&Expected], entries: &[Entry]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for ((name, _), content) in expected.iter().zip(&found.content) {
        let Some(entry) = content.entries().next() else { continue };
        let module =
            |name: &str| name.rsplit_once('.').map_or(String::new(), |(module, _)| module.to_owned());
        let pair = (module(name), module(&entries[entry].name));
        if joined(&found.key, &pair.0) != pair.1 && pairs.last() != Some(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}
