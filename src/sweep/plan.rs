//! What a sweep has to compute: its units, their networks, and who computes which.

use super::measure::Target;
use super::order::Order;
use super::record::{Scope, SweepSettings};
use super::sampling::Sampling;
use super::shard::Shard;
use crate::backend::SLAB;
use crate::error::{Error, Result};
use crate::filter::{self, Census, Variant, WeightRange};
use crate::network::{BnMode, STATISTICS_BATCH};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;

/// Images per batch when batch norm uses the statistics of the batch.
pub const BN_BATCH: usize = STATISTICS_BATCH;

/// One target of one checkpoint: what its variants are and which of them are distinct networks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetPlan {
    /// The tensor; `None` for the whole network.
    pub layer: Option<String>,
    /// Its position among the filterable tensors; `None` for the whole network.
    pub layer_index: Option<usize>,
    /// The output channel; `None` for all of them.
    #[serde(default)]
    pub channel: Option<usize>,
    /// The range of its weights, over which the thresholds run.
    pub range: WeightRange,
    /// Kept weights and representatives of the variants, filter by filter, k ascending.
    pub census: Census,
}

impl TargetPlan {
    /// The target as the backend is told it.
    pub fn target(&self) -> Target {
        match (self.layer_index, self.channel) {
            (None, _) => Target::Network,
            (Some(layer), None) => Target::Layer(layer),
            (Some(layer), Some(channel)) => Target::Channel { layer, channel },
        }
    }

    /// The target in words: "fc.weight", "fc.weight channel 3", "whole network".
    pub fn name(&self) -> String {
        let layer = self.layer.as_deref().unwrap_or("whole network");
        self.channel.map_or(layer.to_owned(), |channel| format!("{layer} channel {channel}"))
    }

    /// All variants, in the order of the census.
    ///
    /// # Errors
    /// A usage error for filters or thresholds that cannot be.
    pub fn variants(&self, settings: &SweepSettings) -> Result<Vec<Variant>> {
        filter::variants(&settings.filters, settings.thresholds, self.range)
    }
}

/// One checkpoint: its targets and the number of its filterable weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckpointPlan {
    /// How many weights the filterable tensors have together.
    pub weights: u64,
    /// The targets in network order.
    pub targets: Vec<TargetPlan>,
}

impl CheckpointPlan {
    /// Plans one checkpoint, read from `file`, with its filterable `tensors` (name, values; output channels come first) and
    /// their numbers of output `channels`, in network order: all of them, also those that are not swept.
    ///
    /// # Errors
    /// A usage error for a layer that is not among the tensors, an input error for weights that cannot be filtered
    /// (see [`WeightRange::of`]).
    pub fn of(
        settings: &SweepSettings,
        tensors: &[(&str, &[f32])],
        channels: &[usize],
        file: &Path,
    ) -> Result<CheckpointPlan> {
        let plan = |layer: Option<(usize, &str)>, channel, tensors: &[(&str, &[f32])]| {
            let range = WeightRange::of(tensors, file)?;
            let variants = filter::variants(&settings.filters, settings.thresholds, range)?;
            let weights: Vec<&[f32]> = tensors.iter().map(|(_, weights)| *weights).collect();
            let census = Census::of(&variants, &weights);
            let (layer_index, layer) = layer.map(|(index, name)| (index, name.to_owned())).unzip();
            Ok(TargetPlan { layer, layer_index, channel, range, census })
        };
        let at = |layer: &String| {
            let index = tensors.iter().position(|(name, _)| name == layer);
            index.ok_or_else(|| unknown_layer(layer, tensors.iter().map(|(name, _)| *name)))
        };
        let targets = match settings.scope {
            Scope::Network => vec![plan(None, None, tensors)?],
            Scope::Layer => {
                let target = |layer: &String| {
                    let index = at(layer)?;
                    plan(Some((index, layer)), None, &tensors[index..=index])
                };
                settings.layers.iter().map(target).collect::<Result<_>>()?
            }
            Scope::Channel => {
                let mut targets = Vec::new();
                for layer in &settings.layers {
                    let index = at(layer)?;
                    let (name, weights) = tensors[index];
                    let count = channels.get(index).copied().unwrap_or(0);
                    if count == 0 || !weights.len().is_multiple_of(count) {
                        let found = format!("{} weights of {count} output channels", weights.len());
                        return Err(Error::input(
                            file,
                            format!("tensor {name}"),
                            "as many weights in each",
                            found,
                        ));
                    }
                    for (channel, weights) in weights.chunks_exact(weights.len() / count).enumerate() {
                        targets.push(plan(Some((index, layer)), Some(channel), &[(name, weights)])?);
                    }
                }
                targets
            }
        };
        let weights = tensors.iter().map(|(_, weights)| weights.len() as u64).sum();
        Ok(CheckpointPlan { weights, targets })
    }
}

/// The layers to sweep, in network order: those that were asked for, or all. `names` are the filterable tensors.
/// In network scope there is nothing to choose, and the list is empty; in channel scope layers have to be chosen.
///
/// # Errors
/// A usage error for an unknown layer, a layer named twice, a choice of layers in network scope, and none in channel
/// scope.
pub fn resolve_layers(scope: Scope, wanted: Option<&[String]>, names: &[&str]) -> Result<Vec<String>> {
    let all = || names.iter().map(|name| name.to_string()).collect();
    match (scope, wanted) {
        (Scope::Network, None) => Ok(Vec::new()),
        (Scope::Network, Some(_)) => Err(Error::usage(
            "layers: network scope filters all layers at once; expected no choice of layers",
        )),
        (Scope::Layer, None) => Ok(all()),
        (Scope::Channel, None) => Err(Error::usage(
            "layers: channel scope filters one output channel after the other; expected the layers to do that to",
        )),
        (Scope::Layer | Scope::Channel, Some(wanted)) => {
            let mut chosen = Vec::new();
            for layer in wanted {
                let at = names.iter().position(|name| name == layer);
                chosen.push(at.ok_or_else(|| unknown_layer(layer, names.iter().copied()))?);
            }
            chosen.sort_unstable();
            if let Some(pair) = chosen.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Error::usage(format!(
                    "layers: expected each once, found {} twice",
                    names[pair[0]]
                )));
            }
            if chosen.is_empty() {
                return Err(Error::usage("layers: expected at least one, found none"));
            }
            Ok(chosen.into_iter().map(|at| names[at].to_owned()).collect())
        }
    }
}

/// The residue classes of a sample of so many images, with their places, in the order in which they lie.
fn classes(sampling: &Sampling, images: usize) -> Vec<(usize, Range<usize>)> {
    let order = Order::new(sampling.order_seed, images);
    let class = |residue| (residue, order.class(sampling.thin, residue));
    let mut classes: Vec<(usize, Range<usize>)> = (0..sampling.thin).map(class).collect();
    classes.sort_by_key(|(_, places)| places.start);
    classes
}

fn unknown_layer<'n>(layer: &str, names: impl Iterator<Item = &'n str>) -> Error {
    let names: Vec<&str> = names.collect();
    Error::usage(format!("unknown layer \"{layer}\": expected one of {}", names.join(", ")))
}

/// The smallest piece of work that is kept: what one target's variants (or, without a target, the unfiltered
/// network) do on one block of images.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Unit {
    /// Position of the checkpoint.
    pub checkpoint: usize,
    /// The block of images.
    pub images: Range<usize>,
    /// Position among the checkpoint's targets; `None` for the unfiltered network.
    pub target: Option<usize>,
}

/// A whole sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPlan {
    /// What was asked for.
    pub settings: SweepSettings,
    /// The hash of the settings.
    pub hash: String,
    /// Images per block. No result depends on it.
    pub block: usize,
    /// One plan per checkpoint of the settings.
    pub checkpoints: Vec<CheckpointPlan>,
    /// The residue classes of a sampled sweep with their places, in the order in which they lie.
    classes: Vec<(usize, Range<usize>)>,
}

/// How much there is to do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Units.
    pub units: usize,
    /// Cells of the finished tables, the unfiltered ones included.
    pub cells: usize,
    /// Networks that have to be measured for them, the unfiltered ones included.
    pub distinct: usize,
    /// Images times networks that the units measure.
    pub network_images: u64,
}

impl SweepPlan {
    /// A sweep with `settings` in blocks of `block` images over `checkpoints`.
    ///
    /// # Errors
    /// A usage error for settings that cannot be: no image, no target, ε outside [0, 1], a block of no image, or one
    /// that would cut a batch of batch norm, and plans that do not belong to the settings.
    pub fn new(settings: SweepSettings, block: usize, checkpoints: Vec<CheckpointPlan>) -> Result<SweepPlan> {
        filter::check_settings(&settings.filters, settings.thresholds)?;
        let [first, end] = settings.images;
        if first >= end {
            return Err(Error::usage(format!("images: expected at least one, found {first} to {end}")));
        }
        if !(0.0..=1.0).contains(&settings.eps) {
            return Err(Error::usage(format!("eps: expected 0 to 1, found {}", settings.eps)));
        }
        if block == 0 || (settings.bn == BnMode::Batch && !block.is_multiple_of(BN_BATCH)) {
            let expected = match settings.bn {
                BnMode::Batch => {
                    format!("a multiple of {BN_BATCH}, since batch norm uses each batch of as many")
                }
                BnMode::Running => "at least one image".to_owned(),
            };
            return Err(Error::usage(format!("image block: expected {expected}, found {block}")));
        }
        if let Some(sampling) = &settings.sampling {
            if first != 0 {
                return Err(Error::usage(format!(
                    "images: a sampled sweep starts at the first, found {first}"
                )));
            }
            sampling.check(end, settings.bn)?;
        }
        let classes = settings.sampling.as_ref().map_or(Vec::new(), |sampling| classes(sampling, end));
        let plan = SweepPlan { hash: settings.hash(), settings, block, checkpoints, classes };
        match plan.inconsistency() {
            Some(what) => Err(Error::usage(format!("plan: {what}"))),
            None => Ok(plan),
        }
    }

    /// What keeps the checkpoint plans from being those of the settings.
    fn inconsistency(&self) -> Option<String> {
        let (settings, variants) = (&self.settings, self.settings.filters.len() * self.settings.thresholds);
        let (expected, found) = (settings.checkpoints.len(), self.checkpoints.len());
        if expected != found || found == 0 {
            return Some(format!("expected {expected} checkpoints (at least one), found {found}"));
        }
        for (at, checkpoint) in self.checkpoints.iter().enumerate() {
            let sha256 = &settings.checkpoints[at].sha256;
            if settings.checkpoints[..at].iter().any(|earlier| earlier.sha256 == *sha256) {
                return Some(format!("expected each checkpoint once, found {sha256} twice"));
            }
            let targets = &checkpoint.targets;
            // Of the channels of a layer, which are numbered from 0, the first stands for the layer.
            let per_channel = settings.scope == Scope::Channel;
            let first = |target: &&TargetPlan| target.channel.is_none_or(|channel| channel == 0);
            let layers: Vec<&String> =
                targets.iter().filter(first).filter_map(|target| target.layer.as_ref()).collect();
            let follows = |pair: &[TargetPlan]| {
                let same = pair[0].layer == pair[1].layer;
                pair[1]
                    .channel
                    .is_none_or(|at| at == if same { pair[0].channel.map_or(0, |at| at + 1) } else { 0 })
            };
            let sound = targets.windows(2).all(follows)
                && targets.iter().all(|target| target.channel.is_some() == per_channel)
                && match settings.scope {
                    Scope::Network => targets.len() == 1,
                    Scope::Layer => targets.len() == settings.layers.len(),
                    Scope::Channel => targets.first().is_none_or(|target| target.channel == Some(0)),
                };
            if layers != settings.layers.iter().collect::<Vec<_>>() || !sound {
                return Some(format!(
                    "checkpoint {at}: expected layers {:?}, found {layers:?}",
                    settings.layers
                ));
            }
            if targets.is_empty() {
                return Some(format!("checkpoint {at}: expected at least one layer, found none"));
            }
            for target in targets {
                let Census { kept, same_as, .. } = &target.census;
                let stands_for_itself = |index: usize| same_as.get(index) == Some(&Some(index));
                if kept.len() != variants
                    || same_as.len() != variants
                    || same_as.iter().flatten().any(|&index| !stands_for_itself(index))
                {
                    let name = target.name();
                    return Some(format!(
                        "checkpoint {at}, {name}: expected a census of {variants} variants"
                    ));
                }
            }
        }
        None
    }

    /// The blocks of images in order; the last may be shorter. In a sampled sweep they are of places on the device, and a filtered
    /// network is measured on all images of a block or on none.
    pub fn blocks(&self) -> Vec<Range<usize>> {
        let [first, end] = self.settings.images;
        let pieces = |images: Range<usize>, block: usize| {
            let end = images.end;
            images.step_by(block).map(move |start| start..end.min(start.saturating_add(block)))
        };
        match &self.settings.sampling {
            None => pieces(first..end, self.block).collect(),
            // Those of a class are of nearly one size.
            Some(_) => {
                let of_class = |(_, places): &(usize, Range<usize>)| {
                    let slabs = places.len().div_ceil(SLAB);
                    let blocks = places.len().div_ceil(self.block).max(1);
                    pieces(places.clone(), slabs.div_ceil(blocks).max(1) * SLAB)
                };
                self.classes.iter().flat_map(of_class).collect()
            }
        }
    }

    /// All units, in the order in which they are computed: checkpoint by checkpoint, block by block, the unfiltered
    /// network first, then the targets.
    pub fn units(&self) -> Vec<Unit> {
        let mut units = Vec::new();
        for (checkpoint, plan) in self.checkpoints.iter().enumerate() {
            for images in self.blocks() {
                let targets = std::iter::once(None).chain((0..plan.targets.len()).map(Some));
                let of_block = targets.map(|target| Unit { checkpoint, images: images.clone(), target });
                // Of a sampled sweep's layer there may be no network that a block is for.
                let sampled = self.settings.sampling.is_some();
                units.extend(of_block.filter(|unit| !sampled || !self.networks(unit).is_empty()));
            }
        }
        units
    }

    /// The units of one shard: a contiguous share, so that few base runs are made twice.
    pub fn shard_units(&self, shard: Shard) -> Vec<Unit> {
        let mut units = self.units();
        let bound = |index: usize| (units.len() as u128 * index as u128 / shard.count() as u128) as usize;
        let (start, end) = (bound(shard.index()), bound(shard.index() + 1));
        units.truncate(end);
        units.split_off(start)
    }

    /// Whether `unit` is one of this plan's.
    pub fn has(&self, unit: &Unit) -> bool {
        self.checkpoints
            .get(unit.checkpoint)
            .is_some_and(|plan| unit.target.is_none_or(|target| target < plan.targets.len()))
            && self.blocks().contains(&unit.images)
    }

    /// The variants that a unit measures, by their index in the census; `None` stands for the unfiltered network.
    pub fn networks(&self, unit: &Unit) -> Vec<Option<usize>> {
        let Some(target) = unit.target else { return vec![None] };
        let distinct = self.checkpoints[unit.checkpoint].targets[target].census.distinct();
        // In a sampled sweep, those that the images of the unit are for.
        let class = self.classes.iter().find(|(_, places)| places.contains(&unit.images.start));
        let (residue, thin) = class.map_or((0, 1), |(residue, _)| (*residue, self.classes.len()));
        let here = |index: &usize| (residue + index % self.settings.thresholds).is_multiple_of(thin);
        distinct.into_iter().filter(here).map(Some).collect()
    }

    /// How much the shard has to do; cells and networks are those of its units' targets, each counted once.
    pub fn counts(&self, shard: Shard) -> Counts {
        let mut counts = Counts::default();
        let mut seen = std::collections::HashSet::new();
        for unit in self.shard_units(shard) {
            let networks = self.networks(&unit).len();
            counts.units += 1;
            counts.network_images += (networks * unit.images.len()) as u64;
            if seen.insert((unit.checkpoint, unit.target)) {
                let (cells, distinct) = match unit.target {
                    None => (1, 1),
                    Some(target) => {
                        let census = &self.checkpoints[unit.checkpoint].targets[target].census;
                        (census.kept.len(), census.distinct().len())
                    }
                };
                counts.cells += cells;
                counts.distinct += distinct;
            }
        }
        counts
    }

    /// A unit in words: "checkpoint 0, images 0..512, layer fc.weight".
    pub fn describe(&self, unit: &Unit) -> String {
        let target = unit.target.map(|at| &self.checkpoints[unit.checkpoint].targets[at]);
        let target = match target {
            None => "unfiltered".to_owned(),
            Some(TargetPlan { layer: None, .. }) => "whole network".to_owned(),
            Some(target) => format!("layer {}", target.name()),
        };
        format!("checkpoint {}, images {}..{}, {target}", unit.checkpoint, unit.images.start, unit.images.end)
    }
}
