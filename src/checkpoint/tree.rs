//! Names of tensors as a tree: `layer1.0.conv1.weight` is the tensor `weight` of the module `conv1` of the module `0` of
//! the module `layer1`.

use std::collections::BTreeMap;

/// A module: the modules in it, and its own tensors by position.
#[derive(Default)]
pub(super) struct Module {
    pub(super) modules: BTreeMap<String, usize>,
    pub(super) tensors: BTreeMap<String, usize>,
    /// Tensors in it and in the modules below.
    pub(super) count: usize,
    /// What leads to it from the root, joined by dots; empty for the root.
    pub(super) path: String,
}

/// All modules, the root first, each before those in it.
pub(super) struct Tree(Vec<Module>);

impl Tree {
    /// The tree of some names; a tensor is known by its position among them. Of equal names the first counts.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Tree {
        let mut tree = Tree(vec![Module::default()]);
        for (position, name) in names.enumerate() {
            let (path, last) = name.rsplit_once('.').map_or(("", name), |(path, last)| (path, last));
            let mut at = 0;
            tree.0[0].count += 1;
            for segment in path.split('.').filter(|_| !path.is_empty()) {
                at = tree.enter(at, segment);
                tree.0[at].count += 1;
            }
            tree.0[at].tensors.entry(last.to_owned()).or_insert(position);
        }
        tree
    }

    /// The module of this name in module `at`.
    fn enter(&mut self, at: usize, segment: &str) -> usize {
        if let Some(&found) = self.0[at].modules.get(segment) {
            return found;
        }
        let new = self.0.len();
        let path = joined(&self.0[at].path, segment);
        self.0.push(Module { path, ..Module::default() });
        self.0[at].modules.insert(segment.to_owned(), new);
        new
    }

    pub(super) fn get(&self, at: usize) -> &Module {
        &self.0[at]
    }

    /// How many modules there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The module that a path leads to from module `at`.
    pub(super) fn descend(&self, mut at: usize, path: &str) -> Option<usize> {
        for segment in path.split('.').filter(|_| !path.is_empty()) {
            at = *self.0[at].modules.get(segment)?;
        }
        Some(at)
    }

    /// The tensor that a name leads to from module `at`.
    pub(super) fn tensor(&self, at: usize, name: &str) -> Option<usize> {
        let (path, last) = name.rsplit_once('.').map_or(("", name), |(path, last)| (path, last));
        self.0[self.descend(at, path)?].tensors.get(last).copied()
    }

    /// The modules below module `at` that have tensors of their own, at most `most` of them, and itself if it has.
    pub(super) fn with_tensors(&self, at: usize, most: usize) -> Vec<usize> {
        let (mut found, mut open) = (Vec::new(), vec![at]);
        while let Some(at) = open.pop() {
            if found.len() == most {
                break;
            }
            let module = &self.0[at];
            if !module.tensors.is_empty() {
                found.push(at);
            }
            open.extend(module.modules.values().rev());
        }
        found
    }
}

/// A path and a name in it.
pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
