//! A network that was found in a file: which of its tensors are the wanted ones.

use super::file::File;

/// A tensor's name and the shape the network wants.
pub type Expected = (String, Vec<usize>);

/// A complete network in a file.
#[derive(Clone, Debug)]
pub struct Found {
    /// The path of the module of the file that is the network, empty if the file's own names are the network's. Where the
    /// classifier lies elsewhere, the paths of the module with all else and of the classifier, with a `+` between.
    pub key: String,
    /// The path of the module that holds all of it: the key, unless that is of two paths.
    pub root: String,
    /// Why it is taken only if its key is said: what is expected, and what is found.
    pub doubt: Option<String>,
    /// Modules that have another name in the file: the network's, the file's.
    pub renamed: Vec<(String, String)>,
    /// How many weights are pruned: an original times a mask.
    pub masked: usize,
    /// The other complete networks of the file, by key.
    pub others: Vec<String>,
    /// Tensors of the file that are not taken, by name; those of the other networks and step counters are not among them.
    pub passed_over: Vec<String>,
    /// For each wanted tensor, step counters left out, where it lies.
    pub(super) content: Vec<Content>,
}

/// Where a tensor of the network lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Content {
    Plain(usize),
    /// Values, and a mask that they are multiplied with.
    Masked(usize, usize),
}

impl Content {
    /// The positions of its tensors.
    pub(super) fn entries(self) -> impl Iterator<Item = usize> {
        let (values, mask) = self.parts();
        std::iter::once(values).chain(mask)
    }

    /// Those of its values and of their mask.
    pub(super) fn parts(self) -> (usize, Option<usize>) {
        match self {
            Content::Plain(entry) => (entry, None),
            Content::Masked(values, mask) => (values, Some(mask)),
        }
    }
}

impl Found {
    /// The positions of its tensors in the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = usize> {
        self.content.iter().flat_map(|content| content.entries())
    }

    /// The shape in the file of tensor `at` of those that were expected, step counters left out.
    pub fn shape<'f>(&self, file: &'f File, at: usize) -> &'f [usize] {
        let entry = self.content.get(at).and_then(|content| content.entries().next());
        let source = entry.and_then(|entry| file.entries[entry].content.as_ref().ok());
        source.map_or(&[], |source| &source.shape)
    }
}
