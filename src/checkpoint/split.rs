//! Finds networks whose last layer, the classifier, lies beside the module that holds all else: `backbone.…` and
//! `head.fc`, `encoder.…` and `fc`.
//!
//! All tensors but the classifier's have to lie under one module. The classifier is a layer of the right shapes below the
//! nearest module that holds both, with no other layer in its part of the file. Where several layers or modules could
//! be meant, or further layers lie beside the two, which may stand between them, the reading is in doubt: only a key
//! takes it.

use super::find::{Content, Expected, Found, MAX_UNNAMED, Search, TIERS, Tier};
use super::format::shortened;
use super::key::is_beside;
use super::tree::joined;
use std::collections::HashSet;

/// Names that a doubt shows.
const SHOWN: usize = 3;

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
            for (layer, content) in &layers {
                let mut network = self.joined(trunk, *layer, content, &head);
                let path = self.names.path(*layer);
                if path != joined(&root, classifier) {
                    network.renamed.push((classifier.to_owned(), path));
                }
                let exact = !trunk.loose
                    && head.iter().zip(content).all(|(&at, content)| self.holds(*content, at, false));
                let beside = self.layers_beside(above, &network, &trunks, &layers);
                found.push((exact, Found { root: root.clone(), ..doubted(network, &beside) }));
            }
        }
        let rivals: Vec<(String, String)> =
            found.iter().map(|(_, network)| (network.root.clone(), network.key.clone())).collect();
        for (_, network) in &mut found {
            let rival = |(root, key): &&(String, String)| {
                *root == network.root && *key != network.key && is_beside(key) == is_beside(&network.key)
            };
            let others: Vec<String> = rivals
                .iter()
                .filter(rival)
                .take(SHOWN)
                .map(|(_, key)| format!("`{}`", shortened(key)))
                .collect();
            if !others.is_empty() {
                let key = shortened(&network.key);
                network.doubt = Some(format!(
                    "expected --key with one of several pairs of trunk and classifier, found `{key}`, {}",
                    others.join(", ")
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
                if whole.iter().all(|network| network.key != key)
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
                let layers: Vec<_> = parts.filter_map(|&part| self.only_layer(part, head, tier)).collect();
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

    /// Weights of layers and means of norms below a module that are neither the network's, nor those of another trunk, nor of another layer
    /// that could be the classifier.
    fn layers_beside(
        &self,
        above: usize,
        network: &Found,
        trunks: &[Trunk],
        layers: &[(usize, Vec<Content>)],
    ) -> Vec<String> {
        let of_trunks = trunks.iter().flat_map(|trunk| trunk.network.entries());
        let of_layers = layers.iter().flat_map(|(_, content)| content).flat_map(|content| content.entries());
        let known: HashSet<usize> = network.entries().chain(of_trunks).chain(of_layers).collect();
        let path = joined(&self.names.path(above), "");
        let beside = (0..self.file.entries.len()).filter(|entry| !known.contains(entry)).filter(|&entry| {
            let name = &self.file.entries[entry].name;
            let is_layer = self.is_weight(entry) || name.rsplit('.').next() == Some("running_mean");
            name.starts_with(&path) && is_layer
        });
        beside.map(|entry| self.file.entries[entry].name.clone()).collect()
    }
}

/// The network, in doubt if there are layers beside it.
fn doubted(network: Found, beside: &[String]) -> Found {
    let doubt = (!beside.is_empty()).then(|| {
        let names: Vec<String> =
            beside.iter().take(SHOWN).map(|name| format!("`{}`", shortened(name))).collect();
        let more = if beside.len() > SHOWN { ", …" } else { "" };
        format!(
            "expected --key {}, which leaves out the layers beside trunk and classifier, found {}{more}",
            shortened(&network.key),
            names.join(", ")
        )
    });
    Found { doubt, ..network }
}
