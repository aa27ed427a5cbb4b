//! Tensors that are parameters of a layer by their names: beside a network they may belong to a layer that it has and that
//! is not computed (a norm before the classifier, a PReLU, a learned pooling).

use super::file::File;
use super::found::Found;
use super::tensor::OPTIMIZER_PREFIX;
use std::collections::HashSet;

/// Last parts of the names of parameters and statistics.
const PARAMETERS: [&str; 7] =
    ["weight", "weight_orig", "weight_g", "weight_v", "bias", "running_mean", "running_var"];
/// And of parameters that are a layer's only one.
const LONE: [&str; 4] = ["p", "alpha", "beta", "gamma"];

impl File {
    /// Whether a tensor is a parameter or a statistic of a layer, as far as its name tells.
    pub(super) fn is_parameter(&self, entry: usize) -> bool {
        let entry = &self.entries[entry];
        let (module, last) = entry.name.rsplit_once('.').unwrap_or(("", &entry.name));
        let named = PARAMETERS.contains(&last) || LONE.contains(&last);
        let readable = entry.content.as_ref().is_ok_and(|source| source.dtype.is_floating());
        named && !module.is_empty() && readable && !entry.name.starts_with(OPTIMIZER_PREFIX)
    }

    /// The layers that lie beside a network and in none of the others, each by the name of its first tensor.
    pub fn layers_beside(&self, found: &Found, others: &[Found]) -> Vec<&str> {
        let known: HashSet<usize> = others.iter().chain([found]).flat_map(Found::entries).collect();
        let passed_over: HashSet<&str> = found.passed_over.iter().map(String::as_str).collect();
        let mut modules = HashSet::new();
        let names =
            (0..self.entries.len()).filter(|entry| !known.contains(entry) && self.is_parameter(*entry));
        let names = names.map(|entry| self.entries[entry].name.as_str());
        let beside = names.filter(|name| passed_over.contains(name));
        beside.filter(|name| modules.insert(name.rsplit_once('.').map(|(module, _)| module))).collect()
    }
}
