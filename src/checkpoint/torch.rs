//! What PyTorch means by the calls and outside values of its pickles: tensors, parameters, storages; and the names
//! of all tensors that a pickle holds, whatever dicts, lists and objects they lie in.

use super::dtype::Dtype;
use super::fault::{Fault, Parsed, tensor_place};
use crate::pickle::{Id, Object, Pickle};
use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Wrappers within wrappers: a tensor that a state dict holds under a module's own attributes lies deep.
const MAX_DEPTH: usize = 32;
/// Longest name of a tensor, in bytes.
const MAX_NAME: usize = 1024;
/// Most parts of a key that is a tuple.
const MAX_PARTS: usize = 8;
/// Most bytes of names of the containers and tensors that are looked at.
const MAX_NAMES: usize = 1 << 27;
/// What a container costs beside its name.
const COST: usize = 64;
/// Parameters of parameters: `_rebuild_parameter` and `_rebuild_from_type_v2` around a tensor.
const MAX_WRAPS: usize = 4;

/// Where a run of elements lies in the file.
#[derive(Clone, Debug)]
pub(super) struct Storage {
    /// The text that names it.
    pub(super) key: String,
    pub(super) dtype: Dtype,
    /// Elements that the pickle says it has.
    pub(super) elements: usize,
    /// First element of it, where it is itself a view (PyTorch before 1.6).
    pub(super) offset: usize,
}

/// A tensor: a view of a storage. Offset and strides count elements.
#[derive(Clone, Debug)]
pub(super) struct TensorRef {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// A tensor that a pickle holds, and the dict keys and list positions that lead to it, joined by dots.
pub(super) struct Named {
    pub(super) name: String,
    /// The tensor, or why it is none that can be read.
    pub(super) tensor: Parsed<TensorRef>,
}

/// All tensors of a pickle, each container once, those that lie less deep first, else in the order of the file.
pub(super) fn tensors(pickle: &Pickle) -> Vec<Named> {
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut cost = 0;
    let mut queue = VecDeque::from([(pickle.root(), String::new(), 0)]);
    while let Some((id, path, depth)) = queue.pop_front() {
        if let Some(tensor) = tensor(pickle, id) {
            let place = |fault: Fault| Fault { place: tensor_place(&path), ..fault };
            found.push(Named { tensor: tensor.map_err(place), name: path });
            continue;
        }
        if depth == MAX_DEPTH || !seen.insert(id) {
            continue;
        }
        let mut enter = |segment: &str, value: Id| {
            let holds = match pickle.get(value) {
                Object::Dict(items) => !items.is_empty(),
                Object::List(items) | Object::Tuple(items) => !items.is_empty(),
                Object::Made(_) => is_tensor(pickle, value) || holds_values(pickle, value),
                _ => false,
            };
            let length = path.len() + 1 + segment.len();
            if holds && length <= MAX_NAME && cost + COST + length <= MAX_NAMES {
                cost += COST + length;
                let below = if path.is_empty() { segment.to_owned() } else { format!("{path}.{segment}") };
                queue.push_back((value, below, depth + 1));
            }
        };
        if let Some(items) = pickle.items(id) {
            for (position, &(key, value)) in items.iter().enumerate() {
                // What cannot be shown is known by its position.
                enter(&self::key(pickle, key).unwrap_or_else(|| format!("#{position}").into()), value);
            }
        }
        if let Some(attributes) = attributes(pickle, id) {
            for &(key, value) in attributes {
                if let Object::Str(key) = pickle.get(key) {
                    enter(key, value);
                }
            }
        }
        if let Some(list) = pickle.list(id) {
            for (position, &value) in list.iter().enumerate() {
                enter(&position.to_string(), value);
            }
        }
    }
    found
}

/// The key of a dict as text, parts of a tuple joined by dots; `None` for what cannot be shown, or is very long.
pub(super) fn key(pickle: &Pickle, id: Id) -> Option<Cow<'_, str>> {
    match pickle.get(id) {
        Object::Tuple(parts) if (1..=MAX_PARTS).contains(&parts.len()) => {
            let parts = parts.iter().map(|&part| simple_key(pickle, part));
            Some(parts.collect::<Option<Vec<_>>>()?.join(".").into())
        }
        _ => simple_key(pickle, id),
    }
}

/// The key of a dict as text, unless it is a tuple.
fn simple_key(pickle: &Pickle, id: Id) -> Option<Cow<'_, str>> {
    match pickle.get(id) {
        Object::Str(text) => (text.len() <= MAX_NAME).then(|| text.into()),
        Object::Bytes(bytes) => (bytes.len() <= MAX_NAME).then(|| String::from_utf8_lossy(bytes)),
        Object::Int(value) => Some(value.to_string().into()),
        Object::Float(value) => Some(value.to_string().into()),
        Object::Bool(value) => Some(if *value { "True" } else { "False" }.into()),
        Object::None => Some("None".into()),
        _ => None,
    }
}

/// Whether an object is a dict or list, or has attributes, that may hold tensors.
fn holds_values(pickle: &Pickle, id: Id) -> bool {
    pickle.items(id).is_some() || pickle.list(id).is_some() || attributes(pickle, id).is_some()
}

/// The attributes of an object, unless it is a module, whose tensors lie under its code's own names.
pub(super) fn attributes(pickle: &Pickle, id: Id) -> Option<&[(Id, Id)]> {
    let Object::Made(made) = pickle.get(id) else { return None };
    let items = pickle.items(made.state?)?;
    (!is_module(pickle, items)).then_some(items)
}

/// Whether attributes are those of a network.
fn is_module(pickle: &Pickle, attributes: &[(Id, Id)]) -> bool {
    let has = |name| attributes.iter().any(|&(key, _)| pickle.text(key) == Some(name));
    has("_parameters") && has("_modules")
}

/// Whether a value is a tensor.
pub(super) fn is_tensor(pickle: &Pickle, id: Id) -> bool {
    tensor(pickle, id).is_some()
}

/// The tensor that a value is, if it is one.
fn tensor(pickle: &Pickle, mut id: Id) -> Option<Parsed<TensorRef>> {
    for _ in 0..MAX_WRAPS {
        let (global, arguments) = pickle.call(id)?;
        match (global.module.as_str(), global.name.as_str()) {
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => {
                return Some(rebuilt(pickle, arguments));
            }
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => {
                id = *arguments.first()?;
            }
            ("torch._utils", name) => return Some(Err(unread(pickle, name, arguments)?)),
            // (function, type, arguments, state): a tensor with attributes of its own.
            ("torch._tensor", "_rebuild_from_type_v2") => {
                let &[function, _, inner, ..] = arguments else { return None };
                let (Object::Global(function), Object::Tuple(inner)) =
                    (pickle.get(function), pickle.get(inner))
                else {
                    return None;
                };
                match function.name.as_str() {
                    "_rebuild_tensor" | "_rebuild_tensor_v2" => return Some(rebuilt(pickle, inner)),
                    "_rebuild_parameter" | "_rebuild_parameter_with_state" => id = *inner.first()?,
                    _ => return None,
                }
            }
            _ => return None,
        }
    }
    None
}

/// What a tensor of a kind that is not read is; `None` for what is no tensor.
fn unread(pickle: &Pickle, function: &str, arguments: &[Id]) -> Option<Fault> {
    let found = match function {
        "_rebuild_sparse_tensor" | "_rebuild_sparse_csr_tensor" => {
            "a sparse tensor (to_dense() makes it plain)".into()
        }
        "_rebuild_qtensor" => "a quantised tensor (dequantize() makes it plain)".into(),
        "_rebuild_meta_tensor_no_storage" => "a tensor on the device meta, which has no elements".into(),
        "_rebuild_nested_tensor" => "a nested tensor".into(),
        // Types without a storage class of their own: 8-bit floats, unsigned integers.
        "_rebuild_tensor_v3" => {
            let name = arguments.iter().find_map(|&argument| match pickle.get(argument) {
                Object::Global(global) if global.module == "torch" => Some(global.name.escape_debug()),
                _ => None,
            });
            name.map_or("a tensor of an unknown type".to_owned(), |name| {
                format!("a tensor of {name} (float() makes it plain)")
            })
        }
        _ => return None,
    };
    Some(fault("float32, float64, float16 or bfloat16", found))
}

/// A tensor from the arguments of its rebuild function: storage, offset, size, stride.
fn rebuilt(pickle: &Pickle, arguments: &[Id]) -> Parsed<TensorRef> {
    let Some(&[storage, offset, shape, strides]) = arguments.first_chunk() else {
        return Err(fault("storage, offset, size and stride", format!("{} arguments", arguments.len())));
    };
    let Object::Persistent(storage) = pickle.get(storage) else {
        return Err(fault("a storage", pickle.describe(storage)));
    };
    let storage = self::storage(pickle, *storage)?;
    let (shape, strides) = (sizes(pickle, shape)?, sizes(pickle, strides)?);
    if shape.len() != strides.len() {
        return Err(fault(format!("{} strides", shape.len()), strides.len().to_string()));
    }
    Ok(TensorRef { storage, offset: size(pickle, offset)?, shape, strides })
}

/// A storage from its persistent id: `('storage', class, key, device, elements)`; before PyTorch 1.6
/// also a sixth item, None or `(view key, offset, elements)`.
pub(super) fn storage(pickle: &Pickle, id: Id) -> Parsed<Storage> {
    let not_storage = || fault("the id of a storage", "another value".to_owned());
    let items = match pickle.get(id) {
        Object::Tuple(items) => items,
        Object::Str(text) => return written_storage(text).ok_or_else(not_storage),
        _ => return Err(not_storage()),
    };
    let (&[tag, class, key, _, elements], view) = items.split_first_chunk().ok_or_else(not_storage)?;
    let (Some("storage"), Some(key)) = (pickle.text(tag), pickle.text(key)) else {
        return Err(not_storage());
    };
    let dtype = match pickle.get(class) {
        Object::Global(class) if class.name == "UntypedStorage" => Some(Dtype::U8),
        Object::Global(class) => Dtype::from_storage_class(&class.name),
        _ => None,
    };
    let dtype = dtype.ok_or_else(|| fault("a storage class", pickle.describe(class)))?;
    let offset = match view.first().map(|&view| pickle.get(view)) {
        Some(Object::Tuple(view)) => match view[..] {
            [_, offset, _] => size(pickle, offset)?,
            _ => return Err(not_storage()),
        },
        _ => 0,
    };
    Ok(Storage { key: key.to_owned(), dtype, elements: size(pickle, elements)?, offset })
}

/// A storage from its id as protocol 0 writes it: Python's text of the tuple.
fn written_storage(text: &str) -> Option<Storage> {
    let (class, rest) = text.strip_prefix("('storage', <class 'torch.")?.split_once("'>, '")?;
    let (key, rest) = rest.split_once("', '")?;
    let (_device, rest) = rest.split_once("', ")?;
    let elements = rest.strip_suffix(')')?;
    let elements = elements.strip_suffix(", None").unwrap_or(elements).parse().ok()?;
    Some(Storage { key: key.to_owned(), dtype: Dtype::from_storage_class(class)?, elements, offset: 0 })
}

fn sizes(pickle: &Pickle, id: Id) -> Parsed<Vec<usize>> {
    // `torch.Size` is a call with the tuple as its argument.
    let inner = match pickle.call(id) {
        Some((global, &[inner])) if (global.module.as_str(), global.name.as_str()) == ("torch", "Size") => {
            inner
        }
        _ => id,
    };
    match pickle.get(inner) {
        Object::Tuple(items) | Object::List(items) if items.len() <= MAX_RANK => {
            items.iter().map(|&id| size(pickle, id)).collect()
        }
        Object::Tuple(items) | Object::List(items) => {
            Err(fault(format!("at most {MAX_RANK} dimensions"), items.len().to_string()))
        }
        _ => Err(fault("a tuple of sizes", pickle.describe(inner))),
    }
}

fn size(pickle: &Pickle, id: Id) -> Parsed<usize> {
    match pickle.get(id) {
        Object::Int(value) => {
            usize::try_from(*value).map_err(|_| fault("a size that is not negative", value.to_string()))
        }
        _ => Err(fault("a size", pickle.describe(id))),
    }
}

/// The class of a network that was pickled whole, if there is one: an object with modules and parameters.
pub(super) fn whole_module(pickle: &Pickle) -> Option<String> {
    (0..pickle.objects().len() as Id).find_map(|id| {
        let Object::Made(made) = pickle.get(id) else { return None };
        is_module(pickle, pickle.items(made.state?)?).then(|| pickle.class(id)).flatten()
    })
}

/// How many of a pickle's values are numpy arrays, at the places where tensors are looked for.
pub(super) fn numpy_arrays(pickle: &Pickle) -> usize {
    let is_array = |id| {
        pickle.call(id).is_some_and(|(global, _)| {
            matches!(global.name.as_str(), "_reconstruct" | "_frombuffer")
                && global.module.starts_with("numpy")
        })
    };
    (0..pickle.objects().len() as Id).filter(|&id| is_array(id)).count()
}

/// A fault whose place is set where the name of the tensor is known.
fn fault(expected: impl Into<String>, found: String) -> Fault {
    Fault { place: String::new(), expected: expected.into(), found }
}

impl TensorRef {
    /// Bytes of the elements; `None` beyond `usize`.
    pub(super) fn length(&self) -> Option<usize> {
        let size = self.storage.dtype.size();
        self.shape.iter().try_fold(size, |product, &extent| product.checked_mul(extent))
    }

    /// The elements in row-major order out of the bytes of the storage; `None` if they reach beyond it.
    pub(super) fn elements(&self, storage: &[u8]) -> Option<Vec<u8>> {
        let TensorRef { shape, strides, .. } = self;
        let size = self.storage.dtype.size();
        let length = self.length()?;
        if length == 0 {
            return Some(Vec::new());
        }
        let start = self.storage.offset.checked_add(self.offset)?;
        let last = shape.iter().zip(strides).try_fold(start, |last, (&extent, &stride)| {
            last.checked_add((extent - 1).checked_mul(stride)?)
        })?;
        if last.checked_add(1)?.checked_mul(size)? > storage.len() {
            return None;
        }

        let mut run = 1;
        let row_major = shape.iter().zip(strides).rev().all(|(&extent, &stride)| {
            let fits = extent == 1 || stride == run;
            run *= extent;
            fits
        });
        if row_major {
            return Some(storage[start * size..start * size + length].to_vec());
        }
        // Along an extent of one nothing is ever stepped, and its stride may be any number.
        let step = |(&extent, &stride): (&usize, &usize)| if extent == 1 { 0 } else { stride };
        let steps: Vec<usize> = shape.iter().zip(strides).map(step).collect();
        let mut elements = Vec::with_capacity(length);
        let mut index = vec![0; shape.len()];
        let mut at = start;
        while elements.len() < length {
            elements.extend_from_slice(&storage[at * size..(at + 1) * size]);
            for axis in (0..shape.len()).rev() {
                index[axis] += 1;
                at += steps[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= index[axis] * steps[axis];
                index[axis] = 0;
            }
        }
        Some(elements)
    }
}
