//! Which networks a file holds, and which of them is taken.
//!
//! Roots of just the shapes that are wanted come before those of other classes, then those where names alone suffice before
//! those where modules of other names are paired (`search.rs`). Where no root holds the whole network, its classifier may lie
//! beside the rest (`split.rs`).

use super::file::File;
use super::found::{Expected, Found};
use super::key::{is_never_meant, named, no_such_key, preference};
use super::search::{Search, TIERS};
use super::tensor::is_batch_counter;
use crate::error::Result;
use std::collections::HashSet;

impl File {
    /// The network of the `expected` tensors (names and shapes in the order of the network, so that the first belongs to
    /// its first layer and the last to its classifier), which `what` is called in messages. The classifier may have
    /// another number of classes, and the first convolution other channels and another kernel: [`File::read`] is exact.
    ///
    /// Of several complete networks it is that under `key`; without a key one of just these shapes goes first, then one of
    /// just these names, then the one under the key that is used most (`state_dict`, …), an average (`ema`) or teacher
    /// after them; initial weights and gradients last; [`Found::others`] has the rest.
    ///
    /// # Errors
    /// [`Error::Usage`](crate::Error::Usage) for a key under which there is no complete network; [`Error::Input`](crate::Error::Input) where there is none at all,
    /// naming what is missing or differs, and names that are there in its place.
    pub fn find(&self, what: &str, expected: &[Expected], key: Option<&str>) -> Result<Found> {
        let search = Search::new(self, expected);
        let key = key.map(|key| key.trim_end_matches('.'));
        let mut networks = search.networks(false);
        let enough = match key {
            None => {
                networks.iter().any(|network| search.has_classes(network) && !is_never_meant(&network.key))
            }
            Some(key) => named(&networks, key).is_some(),
        };
        if !enough {
            networks = search.networks(true);
        }
        let chosen = match key {
            None => networks.first(),
            // A key of several networks, such as a list: the best of them.
            Some(key) => match named(&networks, key) {
                None => return Err(no_such_key(self, what, key, &networks)),
                found => found,
            },
        };
        let Some(chosen) = chosen else {
            return Err(search.mismatch(what).at(&self.path));
        };
        let mut found = chosen.clone();
        found.doubt = found.doubt.filter(|_| key != Some(&found.key));
        let others = networks.iter().filter(|network| network.key != found.key);
        found.others = others.clone().map(|network| network.key.clone()).collect();
        let taken: HashSet<usize> = networks.iter().flat_map(|network| network.entries()).collect();
        let stranger =
            |entry: &usize| !taken.contains(entry) && !is_batch_counter(&self.entries[*entry].name);
        let (layers, others): (Vec<usize>, Vec<usize>) =
            (0..self.entries.len()).filter(stranger).partition(|&entry| self.is_parameter(entry));
        // What may be a layer before counters and the like.
        let names = layers.into_iter().chain(others).map(|entry| self.entries[entry].name.clone());
        found.passed_over = names.collect();
        Ok(found)
    }

    /// Every complete network of the `expected` tensors, the one that [`File::find`] would take first.
    pub fn networks(&self, expected: &[Expected]) -> Vec<Found> {
        Search::new(self, expected).networks(true)
    }
}

impl Search<'_> {
    /// All complete networks, the best first; with those in two parts if `split`.
    fn networks(&self, split: bool) -> Vec<Found> {
        let mut found: Vec<(usize, Found)> = Vec::new();
        if self.expected.is_empty() {
            return Vec::new();
        }
        for (rank, tier) in TIERS.into_iter().enumerate() {
            for root in
                (0..self.names.len()).filter(|&root| self.names.get(root).count >= self.expected.len())
            {
                let key = self.names.path(root);
                if found.iter().all(|(_, other)| other.key != key)
                    && let Some(network) = self.at(root, tier)
                    && self.foreign(root, &network).is_empty()
                    && found.iter().all(|(_, other)| other.content != network.content)
                {
                    // Names of a convention are other names.
                    let rank = if network.renamed.is_empty() { rank } else { rank | 1 };
                    found.push((2 * rank, network));
                }
            }
        }
        if split {
            let whole: Vec<&Found> = found.iter().map(|(_, network)| network).collect();
            // Those of just these shapes before whole ones of others.
            let ranked =
                self.split(&whole).into_iter().map(|(exact, found)| (if exact { 3 } else { 7 }, found));
            found.extend(ranked.collect::<Vec<_>>());
        }
        found.sort_by_key(|(rank, network)| {
            (
                is_never_meant(&network.key),
                network.doubt.is_some(),
                *rank,
                preference(&network.key),
                network.entries().min(),
            )
        });
        found.into_iter().map(|(_, network)| network).collect()
    }

    /// Whether a network has as many classes as are wanted.
    fn has_classes(&self, network: &Found) -> bool {
        let last = self.expected.len().saturating_sub(1);
        self.expected.last().is_some_and(|(_, shape)| network.shape(self.file, last) == shape)
    }
}
