//! Why a file does not hold a network: what is missing or differs, beside names that are there in its place. Never
//! counts alone.

use super::fault::{Fault, shortened, tensor_place};
use super::file::File;
use super::found::Expected;
use super::search::{Search, TIERS};
use super::tensor::is_batch_counter;
use super::tree::joined;
use std::collections::HashSet;

/// Names that a message shows.
const SHOWN: usize = 3;

/// Parts of names of weights that are no plain ones: what they are, and what to do.
const REWRITTEN: [(&[&str], &str, &str); 3] = [
    (
        &["_packed_params", "zero_point"],
        "those of a quantised network",
        "take the checkpoint of floating-point weights that it was made from",
    ),
    (
        &["weight_g", "parametrizations.weight.original0"],
        "weights in two parts (weight_norm)",
        "call torch.nn.utils.parametrize.remove_parametrizations (for weight_g remove_weight_norm) and torch.save the \
         state_dict() again",
    ),
    (
        &["weight_u", "parametrizations.weight.original"],
        "weights that are computed from others (spectral_norm, or another parametrisation)",
        "call torch.nn.utils.parametrize.remove_parametrizations (for weight_u remove_spectral_norm) and torch.save \
         the state_dict() again",
    ),
];

impl File {
    /// What has been done to the weights of a file, if names tell it, and what to do.
    pub fn rewritten(&self) -> Option<String> {
        REWRITTEN.iter().find_map(|(parts, kind, advice)| {
            let has =
                |name: &str| parts.iter().any(|part| format!(".{name}.").contains(&format!(".{part}.")));
            let entry = self.entries.iter().find(|entry| has(&entry.name))?;
            Some(format!("{kind}, such as `{}`; {advice}", shortened(&entry.name)))
        })
    }
}

impl Search<'_> {
    /// Why no module of the file is the network.
    pub(super) fn mismatch(&self, what: &str) -> Fault {
        if let Some(found) = self.file.rewritten() {
            return Fault::new("names of tensors", format!("plain weights of {what}"), found);
        }
        // A network that is there but for its own additions.
        for tier in TIERS {
            for root in 0..self.names.len() {
                if self.names.get(root).count >= self.expected.len()
                    && let Some(network) = self.at(root, tier)
                    && let Some(&first) = self.foreign(root, &network).first()
                {
                    let count = self.foreign(root, &network).len();
                    let found = format!("{} ({count} such tensors)", self.shape_of(first));
                    let place = tensor_place(&self.file.entries[first].name);
                    return Fault::new(place, format!("no tensor of this name in {what}"), found);
                }
            }
        }
        let present = |root: usize| {
            let there = |(name, _): &&&Expected| self.names.tensor(root, name).is_some();
            self.expected.iter().filter(there).count()
        };
        // Of modules with as many of the names the first: the one that lies least deep.
        let roots =
            (0..self.names.len()).filter(|&root| 4 * self.names.get(root).count >= self.expected.len());
        let best = roots.rev().max_by_key(|&root| (present(root), self.names.len() - root));
        let (best, most) = best.map_or((0, 0), |best| (best, present(best)));
        let count = self.expected.len();
        if most == 0 {
            let wanted: Vec<String> =
                self.expected.iter().take(SHOWN).map(|(name, shape)| shown(name, shape)).collect();
            let names = (0..self.file.entries.len())
                .filter(|&entry| !is_batch_counter(&self.file.entries[entry].name));
            let found: Vec<String> = names.take(SHOWN).map(|entry| self.listed(entry)).collect();
            let (wanted, found) = (wanted.join(", "), found.join(", "));
            let whole = self.file.whole_module.as_ref().map_or(String::new(), |class| {
                format!("; also a whole module (`{class}`), which is not read: torch.save its state_dict()")
            });
            return Fault::new(
                "names of tensors",
                format!("{wanted}, … as {what} has ({count} tensors)"),
                format!("{found}, … ({} tensors){whole}", self.file.entries.len()),
            );
        }
        let differing: Vec<(&Expected, Option<usize>)> = self
            .expected
            .iter()
            .map(|&expected| (expected, self.names.tensor(best, &expected.0)))
            .filter(|((_, shape), found)| found.is_none_or(|found| !self.is_floating_of(found, shape)))
            .collect();
        let key = &self.names.path(best);
        let place_in = |name: &str| {
            let under =
                if key.is_empty() { String::new() } else { format!(" under `{}`", key.escape_debug()) };
            format!("{}{under}", tensor_place(name))
        };
        let Some(&((name, shape), found)) = differing.first() else {
            return Fault::new("tensors", format!("one complete {what}"), "several ways to read their names");
        };
        let missing = differing.iter().filter(|(_, found)| found.is_none()).count();
        let counts = format!("{missing} missing, {} mis-shaped of {count}", differing.len() - missing);
        let known: HashSet<&str> = self.expected.iter().map(|(name, _)| name.as_str()).collect();
        let prefix = joined(key, "");
        let below = |entry: usize| self.file.entries[entry].name.strip_prefix(prefix.as_str());
        let is_other = |&entry: &usize| {
            let counter = is_batch_counter(&self.file.entries[entry].name);
            !counter && below(entry).is_none_or(|name| !known.contains(name))
        };
        let mut others: Vec<usize> = (0..self.file.entries.len()).filter(is_other).collect();
        // Those beside what fits before those elsewhere.
        others.sort_by_key(|&entry| below(entry).is_none());
        let others: Vec<String> = others.into_iter().take(SHOWN).map(|entry| self.listed(entry)).collect();
        let beside =
            if others.is_empty() { String::new() } else { format!("; other names: {}", others.join(", ")) };
        let found = found.map_or("no such tensor".to_owned(), |entry| self.shape_of(entry));
        Fault::new(place_in(name), format!("shape {shape:?}"), format!("{found} ({counts}){beside}"))
    }

    fn is_floating_of(&self, entry: usize, shape: &[usize]) -> bool {
        let content = &self.file.entries[entry].content;
        content.as_ref().is_ok_and(|source| source.dtype.is_floating() && source.shape == shape)
    }

    /// What a tensor of the file is.
    fn shape_of(&self, entry: usize) -> String {
        match &self.file.entries[entry].content {
            Ok(source) if source.dtype.is_floating() => format!("shape {:?}", source.shape),
            Ok(source) => format!("shape {:?} of {}", source.shape, source.dtype.name()),
            Err(fault) => fault.found.clone(),
        }
    }

    /// A tensor of the file by name and shape.
    fn listed(&self, entry: usize) -> String {
        let found = &self.file.entries[entry];
        shown(&found.name, found.content.as_ref().map_or(&[], |source| &source.shape))
    }
}

/// A name and a shape in a message.
fn shown(name: &str, shape: &[usize]) -> String {
    format!("`{}` {shape:?}", shortened(name))
}
