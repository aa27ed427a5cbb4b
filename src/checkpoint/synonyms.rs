//! Modules under other names whose place the names themselves tell: a stem in a module of its own, stages that are
//! numbered from 0, norms called `norm1`, blocks as Hugging Face and OpenMMLab name them, and SqueezeNet's last convolution
//! under any name.
//!
//! Numbers decide which of several layers of one shape is meant, as in the network's own names; what has none is left as
//! it is. Where two tensors would get one name, no name is replaced.

use super::entry::Entry;
use super::found::Expected;
use super::tree::joined;
use std::collections::{BTreeSet, HashMap, HashSet};

/// What a convolution and a norm that stand side by side are called.
const CONVS: [&str; 4] = ["conv", "0", "convolution", "conv1"];
const NORMS: [&str; 5] = ["bn", "1", "norm", "normalization", "bn1"];
/// Modules of numbered stages, and of the blocks in a stage.
const STAGES: [&str; 2] = ["stages", "layers"];
const BLOCKS: [&str; 2] = ["blocks", "layers"];
/// The way around a block.
const SHORTCUTS: [&str; 4] = ["downsample", "shortcut", "skip", "i_downsample"];

/// Most parts of a name.
const MAX_PARTS: usize = 32;

/// The names of a file with those of the network in the place of known others; `None` where there are none.
pub(super) fn translated(entries: &[Entry], expected: &[&Expected]) -> Option<Vec<String>> {
    let has = |name: &str| expected.iter().any(|(own, _)| own == name);
    // A name of many parts must not cost many times its length.
    if entries.iter().any(|entry| entry.name.split('.').count() > MAX_PARTS) {
        return None;
    }
    let names: Vec<String> = if has("layer1.0.conv1.weight") {
        let numbered = stages(entries, 4);
        entries
            .iter()
            .map(|entry| resnet(&entry.name, &numbered).unwrap_or_else(|| entry.name.clone()))
            .collect()
    } else if has("stage2.0.branch2.0.weight") {
        entries.iter().map(|entry| shufflenet(&entry.name).unwrap_or_else(|| entry.name.clone())).collect()
    } else if has("features.0.weight") {
        let (root, module) = squeezenet_classifier(entries)?;
        let (own, theirs) = (joined(&root, "classifier.1"), module);
        let name = |entry: &Entry| match entry.name.rsplit_once('.') {
            Some((module, tensor)) if module == theirs => format!("{own}.{tensor}"),
            _ => entry.name.clone(),
        };
        entries.iter().map(name).collect()
    } else {
        return None;
    };
    let changed = names.iter().zip(entries).any(|(name, entry)| *name != entry.name);
    let different = names.iter().collect::<HashSet<_>>().len();
    let before = entries.iter().map(|entry| &entry.name).collect::<HashSet<_>>().len();
    (changed && different == before).then_some(names)
}

/// What leads to modules of stages that are numbered from 0 to one less than `count`.
fn stages(entries: &[Entry], count: usize) -> HashSet<String> {
    let mut numbers: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for entry in entries {
        let parts: Vec<&str> = entry.name.split('.').collect();
        for at in 1..parts.len() {
            if STAGES.contains(&parts[at - 1])
                && let Ok(number) = parts[at].parse()
            {
                numbers.entry(parts[..at].join(".")).or_default().insert(number);
                break;
            }
        }
    }
    let complete = |numbers: &BTreeSet<usize>| numbers.iter().copied().eq(0..count);
    let least = |numbers: &BTreeSet<usize>| numbers.len() > 1 && numbers.iter().copied().eq(0..numbers.len());
    numbers
        .into_iter()
        .filter(|(_, numbers)| complete(numbers) || numbers.len() < count && least(numbers))
        .map(|(path, _)| path)
        .collect()
}

/// Torchvision's name of a ResNet's tensor.
fn resnet(name: &str, numbered: &HashSet<String>) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let (&tensor, modules) = parts.split_last()?;
    if let [root @ .., outer, inner] = modules
        && ["stem", "conv1", "embedder"].contains(outer)
        && !modules.iter().any(|module| stage_of(module).is_some() || STAGES.contains(module))
    {
        let root = match root {
            [root @ .., "embedder"] if *outer == "embedder" => root,
            root => root,
        };
        let layer = pick(inner, "conv1", "bn1")?;
        return Some([root, &[layer, tensor]].concat().join("."));
    }
    for at in 0..modules.len() {
        let (root, stage, rest) = match stage_of(modules[at]) {
            Some(stage) => (&modules[..at], stage, &modules[at + 1..]),
            None if STAGES.contains(&modules[at]) && numbered.contains(&modules[..=at].join(".")) => {
                let stage = modules.get(at + 1)?.parse::<usize>().ok()?.checked_add(1)?;
                let root = match &modules[..at] {
                    // Hugging Face has the stages in an encoder beside the embedder.
                    [root @ .., "encoder"] if modules[at] == "stages" && hugging_face(modules) => root,
                    root => root,
                };
                (root, stage, &modules[at + 2..])
            }
            None => continue,
        };
        let rest = match rest {
            [blocks, rest @ ..] if BLOCKS.contains(blocks) => rest,
            rest => rest,
        };
        let (block, inner) = rest.split_first()?;
        block.parse::<usize>().ok()?;
        let inner = in_block(inner);
        let stage = format!("layer{stage}");
        return Some([root, &[stage.as_str(), *block], &[inner.as_str(), tensor]].concat().join("."));
    }
    None
}

/// Whether a layer is named as Hugging Face names those of its ResNets.
fn hugging_face(modules: &[&str]) -> bool {
    matches!(modules.last(), Some(&("convolution" | "normalization")))
}

/// The number of a stage that is called as torchvision's.
fn stage_of(module: &str) -> Option<usize> {
    module.strip_prefix("layer")?.parse().ok()
}

/// Torchvision's name of a module within a block; its own if it is none that is known.
fn in_block(modules: &[&str]) -> String {
    let known = match modules {
        ["layer", number, module] => number
            .parse::<usize>()
            .ok()
            .and_then(|number| Some(format!("{}{}", pick(module, "conv", "bn")?, number.checked_add(1)?))),
        ["skip_conv"] => Some("downsample.0".to_owned()),
        ["skip_bn" | "skip_norm"] => Some("downsample.1".to_owned()),
        [module] => {
            let norm =
                ["batch_norm", "batchnorm", "norm"].into_iter().find_map(|name| module.strip_prefix(name));
            norm.filter(|number| number.parse::<usize>().is_ok()).map(|number| format!("bn{number}"))
        }
        [outer, inner] if SHORTCUTS.contains(outer) => {
            pick(inner, "downsample.0", "downsample.1").map(str::to_owned)
        }
        [outer, inner] => {
            let number = outer.strip_prefix("conv").filter(|number| number.parse::<usize>().is_ok());
            number.and_then(|number| Some(format!("{}{number}", pick(inner, "conv", "bn")?)))
        }
        _ => None,
    };
    known.unwrap_or_else(|| modules.join("."))
}

/// One of two for the name of a convolution or that of a norm.
fn pick<'n>(name: &str, conv: &'n str, norm: &'n str) -> Option<&'n str> {
    if CONVS.contains(&name) { Some(conv) } else { NORMS.contains(&name).then_some(norm) }
}

/// Torchvision's name of a ShuffleNet's tensor as OpenMMLab names it: a convolution and its norm are one module, and
/// activations have no number.
fn shufflenet(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('.').collect();
    let [modules @ .., layer, tensor] = parts.as_slice() else { return None };
    let step = match *layer {
        "conv" => 0,
        "bn" => 1,
        _ => return None,
    };
    let (root, own) = match modules {
        [root @ .., conv @ ("conv1" | "conv5")] => (root, format!("{conv}.{step}")),
        [root @ .., "layers", "3"] => (root, format!("conv5.{step}")),
        [root @ .., "layers", stage @ ("0" | "1" | "2"), block, branch, number] => {
            let first = match (*branch, *number) {
                ("branch1", "0") | ("branch2", "0") => 0,
                ("branch1", "1") => 2,
                ("branch2", "1") => 3,
                ("branch2", "2") => 5,
                _ => return None,
            };
            let stage = stage.parse::<usize>().ok()? + 2;
            (root, format!("stage{stage}.{block}.{branch}.{}", first + step))
        }
        _ => return None,
    };
    Some([root, &[own.as_str(), tensor]].concat().join("."))
}

/// Where a SqueezeNet lies, and the module that is its last convolution under another name: the only one with parameters
/// beside its features, and a convolution of 1×1.
fn squeezenet_classifier(entries: &[Entry]) -> Option<(String, String)> {
    let root = entries.iter().find_map(|entry| {
        let root = entry.name.strip_suffix("features.0.weight")?;
        (root.is_empty() || root.ends_with('.')).then_some(root)
    })?;
    let features = format!("{root}features.");
    let beside =
        entries.iter().filter(|entry| entry.name.starts_with(root) && !entry.name.starts_with(&features));
    let mut module = None;
    for entry in beside {
        let (own, tensor) = entry.name.rsplit_once('.')?;
        if !["weight", "bias"].contains(&tensor) || module.is_some_and(|module| module != own) {
            return None;
        }
        module = Some(own);
        let source = entry.content.as_ref().ok()?;
        if tensor == "weight" && !matches!(source.shape[..], [_, _, 1, 1]) {
            return None;
        }
    }
    let module = module.filter(|module| *module != format!("{root}classifier.1"))?;
    Some((root.trim_end_matches('.').to_owned(), module.to_owned()))
}
