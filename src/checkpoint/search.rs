//! Looks for a network at a module of a file, by names and shapes.
//!
//! A network is a tree of modules ([`Tree`]), and so are the names of a file, whatever keys, prefixes and lists lead to
//! a state dict. Every module of the file may be the network's root. At a root, module by module:
//!
//! 1. a module that does nothing but hold another one under a name that wrappers use (`_orig_mod` of `torch.compile`,
//!    `module` of `DataParallel`) stands for that one;
//! 2. modules of the same name belong together if all their tensors have the shapes that are wanted; a pruned weight is
//!    `weight_orig` times `weight_mask`;
//! 3. what is left over on both sides belongs together where exactly one way of pairing the shapes is possible
//!    (`linear` for `fc`, `shortcut` for `downsample`), also with one module more in between (`fc.1`). Numbers stay what they
//!    are: a shift within a Sequential means a layer without tensors before the others, and that may be a pool. And no
//!    layer with weights may be left beside those that are paired so.
//!
//! Names of a known convention (`convention.rs`) are replaced before. Tensors beside the network are passed over. Tensors
//! within its modules that it does not have are not: they make it another network.

use super::convention;
use super::entry::Entry;
use super::file::File;
use super::found::{Content, Expected, Found};
use super::synonyms;
use super::tensor::is_batch_counter;
use super::tree::Tree;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Names that wrappers put between a module and its tensors.
const WRAPPERS: [&str; 5] =
    ["_orig_mod", "module", "_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"];
/// What counters of operations put beside every layer.
const COUNTED: [&str; 2] = ["total_ops", "total_params"];
/// Most modules of one level whose names are no help.
pub(super) const MAX_UNNAMED: usize = 64;
/// Most pairs of modules of different names that are tried in a file: a network of a hundred layers takes a few thousand.
const MAX_TRIES: usize = 1 << 17;

/// How exactly shapes and names have to agree.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Tier {
    /// The number of classes, and what the first convolution looks at, may differ.
    pub(super) loose: bool,
    /// Modules may have other names.
    pub(super) rename: bool,
}

pub(super) const TIERS: [Tier; 4] = [
    Tier { loose: false, rename: false },
    Tier { loose: false, rename: true },
    Tier { loose: true, rename: false },
    Tier { loose: true, rename: true },
];

/// The search for one network in one file.
pub(super) struct Search<'a> {
    pub(super) file: &'a File,
    /// The wanted tensors but for step counters, which may be missing.
    pub(super) expected: Vec<&'a Expected>,
    /// Their names.
    wanted: Tree,
    /// The file's names, those of a known convention replaced.
    pub(super) names: Tree,
    /// Whether there are such.
    translated: bool,
    first_conv: Option<&'a str>,
    pub(super) classifier: Option<&'a str>,
    /// Pairs of modules of different names that may still be tried.
    tries: Cell<usize>,
}

/// What belongs together below a pair of modules.
#[derive(Default)]
struct Pairing {
    content: Vec<(usize, Content)>,
    renamed: Vec<(String, String)>,
}

impl<'a> Search<'a> {
    pub(super) fn new(file: &'a File, expected: &'a [Expected]) -> Self {
        let expected: Vec<&Expected> = expected.iter().filter(|(name, _)| !is_batch_counter(name)).collect();
        let classifier =
            expected.last().and_then(|(name, _)| name.rsplit_once('.')).map(|(module, _)| module);
        Search { classifier, ..Search::over(file, expected) }
    }

    /// A search for tensors none of which is a classifier's.
    pub(super) fn over(file: &'a File, expected: Vec<&'a Expected>) -> Self {
        let name = |&(name, _): &&'a Expected| name.as_str();
        let translated =
            convention::translated(&file.entries).or_else(|| synonyms::translated(&file.entries, &expected));
        let names = match &translated {
            Some(names) => Tree::of(names.iter().map(String::as_str)),
            None => Tree::of(file.entries.iter().map(|entry| entry.name.as_str())),
        };
        Search {
            file,
            wanted: Tree::of(expected.iter().map(name)),
            names,
            translated: translated.is_some(),
            first_conv: expected.first().map(name),
            classifier: None,
            expected,
            tries: Cell::new(MAX_TRIES),
        }
    }

    /// The network at a module of the file, if it is there whole.
    pub(super) fn at(&self, root: usize, tier: Tier) -> Option<Found> {
        let Pairing { content, renamed } = self.pair(0, root, tier)?;
        let mut all = vec![None; self.expected.len()];
        for (position, found) in content {
            all[position] = Some(found);
        }
        let content: Vec<Content> = all.into_iter().collect::<Option<_>>()?;
        let masked = content.iter().filter(|content| matches!(content, Content::Masked(..))).count();
        let key = self.names.path(root);
        let (others, passed_over, doubt) = (Vec::new(), Vec::new(), None);
        let mut network =
            Found { root: key.clone(), key, doubt, renamed, masked, others, passed_over, content };
        if self.translated {
            network.renamed = convention::renamed(&network, &self.expected, &self.file.entries);
        }
        Some(network)
    }

    /// Pairs a wanted module with one of the file, and all that is in them.
    fn pair(&self, wanted: usize, found: usize, tier: Tier) -> Option<Pairing> {
        let found = if wanted == 0 { found } else { self.unwrapped(wanted, found) };
        let (want, have) = (self.wanted.get(wanted), self.names.get(found));
        let mut pairing = Pairing::default();
        for (name, &position) in &want.tensors {
            pairing.content.push((position, self.tensor(found, name, position, tier)?));
        }
        let mut left = Vec::new();
        let mut free: BTreeSet<usize> = have.modules.values().copied().collect();
        for (name, &module) in &want.modules {
            let same = have
                .modules
                .get(name)
                .and_then(|&same| Some((same, self.pair_or_inner(module, same, tier)?)));
            match same {
                Some((same, inner)) => {
                    free.remove(&same);
                    pairing.extend(inner);
                }
                None => left.push(module),
            }
        }
        if left.is_empty() {
            return Some(pairing);
        }
        if !tier.rename || free.len() > MAX_UNNAMED {
            return None;
        }
        for inner in self.only_way(left, free, tier)? {
            pairing.extend(inner);
        }
        Some(pairing)
    }

    /// Pairs modules whose names differ, if there is exactly one way.
    fn only_way(&self, mut left: Vec<usize>, mut free: BTreeSet<usize>, tier: Tier) -> Option<Vec<Pairing>> {
        let mut ways: BTreeMap<usize, BTreeMap<usize, Pairing>> = BTreeMap::new();
        for &wanted in &left {
            let number = is_number(self.wanted.name(wanted));
            let other = |module: &&usize| !(number && is_number(self.names.name(**module)));
            let pairs = free.iter().filter(other).filter_map(|&module| {
                self.tries.set(self.tries.get().checked_sub(1)?);
                let mut inner = self.pair_or_inner(wanted, module, tier)?;
                let network = self.wanted.path(wanted);
                if !inner.renamed.iter().any(|(other, _)| *other == network) {
                    inner.renamed.insert(0, (network, self.names.path(module)));
                }
                Some((module, inner))
            });
            ways.insert(wanted, pairs.collect());
        }
        let mut chosen = Vec::new();
        // What has one way only takes it from the others, until all have or none is left that does.
        while !left.is_empty() {
            let at = left
                .iter()
                .position(|wanted| ways[wanted].keys().filter(|way| free.contains(way)).count() == 1)?;
            let wanted = left.swap_remove(at);
            let ways = ways.remove(&wanted)?;
            let (module, pairing) = ways.into_iter().find(|(module, _)| free.contains(module))?;
            free.remove(&module);
            chosen.push(pairing);
        }
        (!free.iter().any(|&module| self.has_weights(module))).then_some(chosen)
    }

    /// Whether there are weights of a layer in a module of the file.
    fn has_weights(&self, module: usize) -> bool {
        self.names.with_tensors(module, MAX_UNNAMED).into_iter().any(|module| self.is_layer(module))
    }

    /// Whether a module of the file has weights of its own.
    pub(super) fn is_layer(&self, module: usize) -> bool {
        self.names.get(module).tensors.values().any(|&entry| self.is_weight(entry))
    }

    /// Whether a tensor of the file is the weights of a layer that is no norm.
    pub(super) fn is_weight(&self, entry: usize) -> bool {
        let Entry { name, content } = &self.file.entries[entry];
        let weight = matches!(name.rsplit('.').next(), Some("weight" | "weight_orig"));
        weight && content.as_ref().is_ok_and(|source| source.shape.len() > 1)
    }

    /// Pairs two modules, or, where the wanted one is a layer, with the only layer in the other that fits.
    fn pair_or_inner(&self, wanted: usize, found: usize, tier: Tier) -> Option<Pairing> {
        if let Some(pairing) = self.pair(wanted, found, tier) {
            return Some(pairing);
        }
        if !tier.rename || !self.wanted.get(wanted).modules.is_empty() {
            return None;
        }
        let inner = self.names.with_tensors(found, MAX_UNNAMED);
        let mut fitting = inner.into_iter().filter(|&inner| inner != found).filter_map(|inner| {
            let pairing = self.pair(wanted, inner, tier)?;
            Some((inner, pairing))
        });
        let (inner, mut pairing) = fitting.next()?;
        if fitting.next().is_some() {
            return None;
        }
        pairing.renamed.push((self.wanted.path(wanted), self.names.path(inner)));
        Some(pairing)
    }

    /// The module that one of the file stands for: itself, or what a wrapper holds.
    fn unwrapped(&self, wanted: usize, mut found: usize) -> usize {
        loop {
            let module = self.names.get(found);
            let mut inner = module.modules.iter();
            match (inner.next(), inner.next()) {
                (Some((name, &only)), None)
                    if module.tensors.keys().all(|name| COUNTED.contains(&name.as_str()))
                        && WRAPPERS.contains(&name.as_str())
                        && !self.wanted.get(wanted).modules.contains_key(name) =>
                {
                    found = only;
                }
                _ => return found,
            }
        }
    }

    /// A tensor of a module of the file, if it is as wanted.
    pub(super) fn tensor(&self, module: usize, name: &str, position: usize, tier: Tier) -> Option<Content> {
        let tensors = &self.names.get(module).tensors;
        if let Some(&entry) = tensors.get(name) {
            return self.fits(entry, position, tier.loose).then_some(Content::Plain(entry));
        }
        let [values, mask] = ["orig", "mask"].map(|part| tensors.get(&format!("{name}_{part}")).copied());
        let (values, mask) = values.zip(mask)?;
        let content = Content::Masked(values, mask);
        self.holds(content, position, tier.loose).then_some(content)
    }

    /// Whether the tensors of the file that make up a wanted one have its shape.
    pub(super) fn holds(&self, content: Content, position: usize, loose: bool) -> bool {
        match content {
            Content::Plain(values) => self.fits(values, position, loose),
            Content::Masked(values, mask) => {
                let of = |entry: usize| self.file.entries[entry].content.as_ref();
                self.fits(values, position, loose)
                    && of(mask).is_ok_and(|mask| {
                        mask.dtype.is_mask() && of(values).is_ok_and(|values| values.shape == mask.shape)
                    })
            }
        }
    }

    fn fits(&self, entry: usize, position: usize, loose: bool) -> bool {
        let Ok(source) = &self.file.entries[entry].content else { return false };
        let (name, shape) = self.expected[position];
        source.dtype.is_floating()
            && (source.shape == *shape || loose && self.almost(name, shape, &source.shape))
    }

    /// Whether a shape differs by classes, or by channels and kernel of the first convolution.
    fn almost(&self, name: &str, wanted: &[usize], found: &[usize]) -> bool {
        let of_classifier = name.rsplit_once('.').is_some_and(|(module, _)| Some(module) == self.classifier);
        let of_first = Some(name) == self.first_conv && wanted.len() == 4;
        wanted.len() == found.len()
            && (of_classifier && wanted.get(1..) == found.get(1..) || of_first && wanted[0] == found[0])
    }

    /// Tensors of the file within the modules of a network that it does not have, by position.
    pub(super) fn foreign(&self, root: usize, network: &Found) -> Vec<usize> {
        let path = self.names.path(root);
        let below = |name: &'a str| {
            if path.is_empty() { Some(name) } else { name.strip_prefix(path.as_str())?.strip_prefix('.') }
        };
        let module = |entry: usize| {
            let (module, _) = below(&self.file.entries[entry].name)?.split_once('.')?;
            Some(module)
        };
        let taken: HashSet<usize> = network.entries().collect();
        let modules: HashSet<&str> = taken.iter().filter_map(|&entry| module(entry)).collect();
        // In a Sequential what has a number of its own stands between the others.
        let numbered = modules.iter().any(|module| is_number(module));
        let within = |entry: usize| {
            module(entry).is_some_and(|module| {
                modules.contains(module) || numbered && is_number(module) && self.file.is_parameter(entry)
            })
        };
        let is_foreign = |&entry: &usize| {
            let found = &self.file.entries[entry];
            // A count beside a layer's weights computes nothing; a scale does.
            let last = found.name.rsplit('.').next().unwrap_or_default();
            let one = found.content.as_ref().is_ok_and(|source| {
                let counts = !source.dtype.is_floating() || COUNTED.contains(&last);
                counts && source.shape.iter().product::<usize>() <= 1
            });
            !taken.contains(&entry) && !one && !is_batch_counter(&found.name) && within(entry)
        };
        (0..self.file.entries.len()).filter(is_foreign).collect()
    }
}

impl Pairing {
    fn extend(&mut self, other: Pairing) {
        self.content.extend(other.content);
        self.renamed.extend(other.renamed);
    }
}

/// Whether a module's name is its number in a Sequential.
pub(super) fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
}
