//! Finds networks whose last layer, the classifier, lies beside the module that holds all else: `backbone.…` and
//! `head.fc`, `encoder.…` and `fc`.
//!
//! All tensors but the classifier's have to lie under one module. The classifier is a layer of the right shapes below the
//! nearest module that holds both, with no other layer in its part of the file. Where several layers or modules could
//! be meant, or further layers lie beside the two, which may stand between them, the reading is in doubt: only a key
//! takes it.

use super::fault::shortened;
use super::found::{Content, Expected, Found};
use super::key::is_beside;
use super::search::{MAX_UNNAMED, Search, TIERS, Tier, is_number};
use super::tree::joined;
use std::collections::HashSet;

/// Names that a doubt shows.
const SHOWN: usize = 3;
/// Most trunks of a file, and most layers beside one, that are put together.
const MOST: usize = 16;

/// A module of the file with all layers but the classifier.
struct Trunk {
    at: usize,
    network: Found,
    loose: bool,
}

impl<'a> Search<'a> {
    /// Networks in two parts, and whether their shapes are just those that are wanted; of modules that are no root of a
    /// `whole` one.
    pub(super) fn split(&self, whole: &[&Found]) -> Vec<(bool, Found)> {
        let Some(classifier) = self.classifier else { return Vec::new() };
        let of_head =
            |(name, _): &&Expected| name.rsplit_once('.').is_some_and(|(module, _)| module == classifier);
        let trunk: Vec<&Expected> = self.expected.iter().copied().filter(|tensor| !of_head(tensor)).collect();
        let head: Vec<usize> = (0..self.expected.len()).filter(|&at| of_head(&self.expected[at])).collect();
        let trunks = Search::over(self.file, trunk).trunks(whole);
        let mut found = Vec::new();
        for trunk in &trunks {
            let (above, layers) = self.classifiers(trunk, &head);
            let root = self.names.path(above);
            let beside = self.layers_beside(&root, &trunks, &layers);
            for (layer, content) in &layers {
                let mut network = self.joined(trunk, *layer, content, &head);
                let path = self.names.path(*layer);
                if path != joined(&root, classifier) {
                    network.renamed.push((classifier.to_owned(), path));
                }
                network.root = root.clone();
                network.doubt = doubt_of_layers(&network.key, &beside);
                let exact = !trunk.loose
                    && head.iter().zip(content).all(|(&at, content)| self.holds(*content, at, false));
                found.push((exact, network));
            }
        }
        let rivals: Vec<(String, String)> =
            found.iter().map(|(_, network)| (network.root.clone(), network.key.clone())).collect();
        for (_, network) in &mut found {
            let rival = |(root, key): &&(String, String)| {
                *root == network.root && *key != network.key && is_beside(key) == is_beside(&network.key)
            };
            let others = rivals.iter().filter(rival).take(SHOWN);
            let others: Vec<String> = others.map(|(_, key)| format!(", `{}`", key.escape_debug())).collect();
            if !others.is_empty() {
                network.doubt = Some(format!(
                    "expected --key with one of several pairs of trunk and classifier, found `{}`{}",
                    network.key.escape_debug(),
                    others.concat()
                ));
            }
        }
        found
    }

    /// The modules that hold all wanted tensors, of a search for those without the classifier.
    fn trunks(&self, whole: &[&Found]) -> Vec<Trunk> {
        let mut trunks: Vec<Trunk> = Vec::new();
        if self.expected.is_empty() {
            return trunks;
        }
        for tier in TIERS {
            for at in (1..self.names.len()).filter(|&at| self.names.get(at).count >= self.expected.len()) {
                let key = self.names.path(at);
                if trunks.len() < MOST
                    && whole.iter().all(|network| network.key != key)
                    && trunks.iter().all(|trunk| trunk.at != at)
                    && let Some(network) = self.at(at, tier)
                    && self.foreign(at, &network).is_empty()
                    && trunks.iter().all(|other| other.network.content != network.content)
                {
                    trunks.push(Trunk { at, network, loose: tier.loose });
                }
            }
        }
        trunks
    }

    /// The layers that can be the classifier of a trunk, and the nearest module that holds both; of layers of the right
    /// shapes and of others just the former.
    fn classifiers(&self, trunk: &Trunk, head: &[usize]) -> (usize, Vec<(usize, Vec<Content>)>) {
        let (mut below, mut above) = (trunk.at, trunk.at);
        while above != 0 {
            above = self.names.parent(below);
            for loose in [false, true] {
                let tier = Tier { loose, rename: false };
                let parts = self.names.get(above).modules.values().filter(|&&part| part != below);
                let layers: Vec<_> =
                    parts.filter_map(|&part| self.only_layer(part, head, tier)).take(MOST).collect();
                if !layers.is_empty() {
                    return (above, layers);
                }
            }
            below = above;
        }
        (0, Vec::new())
    }

    /// The layer with the tensors of the classifier that is the only one in a part of the file.
    fn only_layer(&self, part: usize, head: &[usize], tier: Tier) -> Option<(usize, Vec<Content>)> {
        let mut layers =
            self.names.with_tensors(part, MAX_UNNAMED).into_iter().filter(|&module| self.is_layer(module));
        let layer = layers.next().filter(|_| layers.next().is_none())?;
        let content = head.iter().map(|&position| {
            let (_, name) = self.expected[position].0.rsplit_once('.')?;
            self.tensor(layer, name, position, tier)
        });
        let content: Vec<Content> = content.collect::<Option<_>>()?;
        let taken = content.iter().map(|content| content.entries().count()).sum::<usize>();
        (self.names.get(layer).tensors.len() == taken).then_some((layer, content))
    }

    /// A trunk and a classifier as one network.
    fn joined(&self, trunk: &Trunk, layer: usize, classifier: &[Content], head: &[usize]) -> Found {
        let mut of_trunk = trunk.network.content.iter();
        let content = (0..self.expected.len()).filter_map(|at| {
            let of_head = head.iter().position(|&of_head| of_head == at);
            of_head.map_or_else(|| of_trunk.next(), |of_head| classifier.get(of_head)).copied()
        });
        let content: Vec<Content> = content.collect();
        let masked = content.iter().filter(|content| matches!(content, Content::Masked(..))).count();
        let key = format!("{}+{}", trunk.network.key, self.names.path(layer));
        Found { key, masked, content, ..trunk.network.clone() }
    }

    /// Weights of layers and means of norms below a module that belong neither to a trunk nor to a layer that could be the
    /// classifier; of norms without means, and of what else has parameters, those in the part of a classifier, or with a
    /// number in a Sequential of trunk and classifier.
    fn layers_beside(&self, root: &str, trunks: &[Trunk], layers: &[(usize, Vec<Content>)]) -> Vec<&'a str> {
        let of_trunks = trunks.iter().flat_map(|trunk| trunk.network.entries());
        let of_layers = layers.iter().flat_map(|(_, content)| content).flat_map(|content| content.entries());
        let known: HashSet<usize> = of_trunks.chain(of_layers).collect();
        let path = joined(root, "");
        let part = |name: &'a str| Some(name.strip_prefix(path.as_str())?.split_once('.')?.0);
        let parts = |entries: Vec<usize>| -> HashSet<&str> {
            entries.into_iter().filter_map(|entry| part(&self.file.entries[entry].name)).collect()
        };
        let of_trunks = parts(trunks.iter().flat_map(|trunk| trunk.network.entries()).collect());
        let heads = layers.iter().flat_map(|(_, content)| content).flat_map(|content| content.entries());
        let heads = parts(heads.collect());
        let numbered =
            heads.iter().any(|head| is_number(head)) && of_trunks.iter().any(|name| is_number(name));
        let between = |name: &'a str| {
            part(name).is_some_and(|part| heads.contains(part) || numbered && is_number(part))
        };
        let beside = self.file.entries.iter().enumerate().filter(|(entry, found)| {
            let is_layer = self.is_weight(*entry)
                || found.name.rsplit('.').next() == Some("running_mean")
                || between(&found.name) && self.file.is_parameter(*entry);
            found.name.starts_with(&path) && is_layer && !known.contains(entry)
        });
        beside.map(|(_, found)| found.name.as_str()).collect()
    }
}

/// Why a network is in doubt beside which there are layers.
fn doubt_of_layers(key: &str, beside: &[&str]) -> Option<String> {
    let names: Vec<String> = beside.iter().take(SHOWN).map(|name| format!("`{}`", shortened(name))).collect();
    let more = if beside.len() > SHOWN { ", …" } else { "" };
    (!names.is_empty()).then(|| {
        format!(
            "expected --key {}, which leaves out the layers beside trunk and classifier, found {}{more}",
            key.escape_debug(),
            names.join(", ")
        )
    })
}
