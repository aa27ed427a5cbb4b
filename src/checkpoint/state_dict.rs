//! Finds the state dict in what a PyTorch file holds, its tensors' names, and the plain values beside it.

use super::metadata::Metadata;
use super::pickle::{Id, Object, Pickle, TensorRef};
use super::{Fault, Parsed};
use std::collections::BTreeMap;

/// Keys under which training scripts keep the state dict, the most telling first.
const WRAPPERS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];
/// How many wrappers may lie inside each other.
const MAX_WRAPPERS: usize = 3;
/// What DataParallel, Lightning modules and `torch.compile` put before every name.
const PREFIXES: [&str; 3] = ["module.", "model.", "_orig_mod."];
/// Longest name of a tensor and longest metadata text, in bytes.
const MAX_TEXT: usize = 1024;
/// Most plain values taken over as metadata.
const MAX_METADATA: usize = 256;

/// The tensors of a state dict by name, prefixes dropped, and the metadata beside them.
pub(super) struct StateDict<'a> {
    pub(super) tensors: BTreeMap<&'a str, &'a TensorRef>,
    pub(super) meta: Metadata,
}

/// Takes the state dict out of a pickle; `place` is what an error calls the pickle.
pub(super) fn extract<'a>(pickle: &'a Pickle, place: &str) -> Parsed<StateDict<'a>> {
    let items = find(pickle, pickle.root(), MAX_WRAPPERS)
        .ok_or_else(|| Fault::new(place, "a state dict with tensors", describe(pickle)))?;
    let mut tensors = BTreeMap::new();
    for (name, value) in pickle.items(items) {
        if let Object::Tensor(tensor) = value {
            if name.len() > MAX_TEXT {
                let found = format!("one of {} bytes", name.len());
                return Err(Fault::new(place, format!("tensor names of at most {MAX_TEXT} bytes"), found));
            }
            tensors.insert(name, tensor);
        }
    }
    if tensors.is_empty() {
        return Err(Fault::new(place, "tensors with text as names", "none"));
    }
    Ok(StateDict { tensors: drop_prefixes(tensors), meta: metadata(pickle) })
}

/// The innermost dict that holds tensors, looked for under the wrappers' keys first.
fn find<'a>(pickle: &'a Pickle, object: &'a Object, wrappers: usize) -> Option<&'a [(Id, Id)]> {
    let Object::Dict(items) = object else { return None };
    let inner = |key| {
        let (_, value) = pickle.items(items).filter(|(name, _)| *name == key).last()?;
        find(pickle, value, wrappers.checked_sub(1)?)
    };
    WRAPPERS.into_iter().find_map(inner).or_else(|| {
        items.iter().any(|&(_, value)| matches!(pickle.get(value), Object::Tensor(_))).then_some(items)
    })
}

fn drop_prefixes<'a>(mut tensors: BTreeMap<&'a str, &'a TensorRef>) -> BTreeMap<&'a str, &'a TensorRef> {
    while let Some(prefix) = PREFIXES
        .into_iter()
        .find(|prefix| tensors.keys().all(|name| name.len() > prefix.len() && name.starts_with(prefix)))
    {
        tensors = tensors.into_iter().map(|(name, tensor)| (&name[prefix.len()..], tensor)).collect();
    }
    tensors
}

/// The plain values of the outermost dict. A value that does not suit the field of its name (an epoch
/// of −1) is left out: these are other programs' notes, not promises.
fn metadata(pickle: &Pickle) -> Metadata {
    let mut meta = Metadata::default();
    let Object::Dict(items) = pickle.root() else { return meta };
    let plain = pickle.items(items).filter_map(|(key, value)| {
        let text = match value {
            Object::Bool(value) => value.to_string(),
            Object::Int(value) => value.to_string(),
            Object::Float(value) => value.to_string(),
            Object::Str(value) if value.len() <= MAX_TEXT => value.clone(),
            _ => return None,
        };
        (key.len() <= MAX_TEXT).then_some((key, text))
    });
    for (key, text) in plain.take(MAX_METADATA) {
        // An unsuitable value changes nothing, see above.
        let _ = meta.set(key, &text);
    }
    meta
}

/// What the pickle holds instead of a state dict.
fn describe(pickle: &Pickle) -> String {
    let Object::Dict(items) = pickle.root() else { return pickle.root().kind().to_owned() };
    let mut keys: Vec<String> = pickle
        .items(items)
        .take(5)
        .map(|(key, value)| {
            format!("`{}`: {}", key.chars().take(40).collect::<String>().escape_debug(), value.kind())
        })
        .collect();
    if items.len() > keys.len() {
        keys.push("…".to_owned());
    }
    format!("a dict of {} items {{{}}}", items.len(), keys.join(", "))
}
