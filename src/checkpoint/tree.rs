//! Names of tensors as a tree: `layer1.0.conv1.weight` is the tensor `weight` of the module `conv1` of the module `0` of
//! the module `layer1`.

use std::collections::BTreeMap;

/// Most modules of a tree, and most parts of a name that is entered: a name of many parts must not cost many times its
/// length.
const MAX_MODULES: usize = 1 << 20;
const MAX_PARTS: usize = 32;

/// A module: the modules in it, and its own tensors by position.
#[derive(Default)]
pub(super) struct Module {
    pub(super) modules: BTreeMap<String, usize>,
    pub(super) tensors: BTreeMap<String, usize>,
    /// Tensors in it and in the modules below.
    pub(super) count: usize,
    /// The module that it is in, and its name there; of the root itself and nothing.
    parent: usize,
    name: String,
}

/// All modules, the root first, each before those in it.
pub(super) struct Tree(Vec<Module>);

impl Tree {
    /// The tree of some names; a tensor is known by its position among them. Of equal names the first counts. Names of
    /// more parts than those of any network are left out.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Tree {
        let mut tree = Tree(vec![Module::default()]);
        for (position, name) in names.enumerate() {
            let (path, last) = split(name);
            if path.split('.').count() > MAX_PARTS || tree.len() > MAX_MODULES {
                continue;
            }
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
        self.0.push(Module { parent: at, name: segment.to_owned(), ..Module::default() });
        self.0[at].modules.insert(segment.to_owned(), new);
        new
    }

    pub(super) fn get(&self, at: usize) -> &Module {
        &self.0[at]
    }

    /// The module that one is in; the root is in itself.
    pub(super) fn parent(&self, at: usize) -> usize {
        self.0[at].parent
    }

    /// How many modules there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The name of a module in the one that it is in.
    pub(super) fn name(&self, at: usize) -> &str {
        &self.0[at].name
    }

    /// What leads to a module from the root, joined by dots; empty for the root.
    pub(super) fn path(&self, mut at: usize) -> String {
        let mut parts = Vec::new();
        while at != 0 {
            parts.push(self.0[at].name.as_str());
            at = self.0[at].parent;
        }
        parts.reverse();
        parts.join(".")
    }

    /// The tensor that a name leads to from module `at`.
    pub(super) fn tensor(&self, mut at: usize, name: &str) -> Option<usize> {
        let (path, last) = split(name);
        for segment in path.split('.').filter(|_| !path.is_empty()) {
            at = *self.0[at].modules.get(segment)?;
        }
        self.0[at].tensors.get(last).copied()
    }

    /// The modules below module `at` that have tensors of their own, and itself if it has; nothing if there are more than
    /// `most` modules.
    pub(super) fn with_tensors(&self, at: usize, most: usize) -> Vec<usize> {
        let (mut found, mut open, mut seen) = (Vec::new(), vec![at], 0);
        while let Some(at) = open.pop() {
            let module = &self.0[at];
            seen += 1;
            if seen + module.modules.len() > most {
                return Vec::new();
            }
            if !module.tensors.is_empty() {
                found.push(at);
            }
            open.extend(module.modules.values().rev());
        }
        found
    }
}

/// A name's path and its last part.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("", name))
}

/// A path and a name in it.
pub(super) fn joined(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}
