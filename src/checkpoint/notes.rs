//! What stands beside the weights of a pickle: plain values, Python objects, and numbers that may be a normalisation.

use super::fault::shortened;
use super::metadata::Notes;
use super::torch;
use crate::pickle::array::numbers;
use crate::pickle::{Id, Object, Pickle};
use std::collections::{HashSet, VecDeque};

/// Longest text beside the weights that is kept, in bytes, and most such texts.
const MAX_NOTE: usize = 1024;
const MAX_NOTES: usize = 256;
/// Most numbers of a list that is kept, and most of a tensor that is looked at for a normalisation.
pub(super) const MAX_LIST: usize = 16;
/// What images may be normalised with.
pub(super) const NORMALISATION: [&str; 2] = ["mean", "std"];
/// What else scripts call the two.
const OTHER_NAMES: [&str; 10] = [
    "norm_mean",
    "norm_std",
    "means",
    "stds",
    "sds",
    "image_mean",
    "image_std",
    "pixel_mean",
    "pixel_std",
    "sd",
];
/// Numbers of one that is told, how deep it is looked for and among how many values, and how many are kept.
const CHANNELS: [usize; 2] = [1, 3];
const MAX_DEPTH: usize = 6;
const MAX_VALUES: usize = 1 << 16;
const MAX_ELSEWHERE: usize = 4;

/// The plain values of the outermost dict: texts, numbers, lists of numbers, also of NumPy.
pub(super) fn notes(pickle: &Pickle) -> Notes {
    let items = pickle.items(pickle.root()).unwrap_or_default().iter();
    let note = |&(key, value): &(_, _)| Some((torch::key(pickle, key)?.into_owned(), note(pickle, value)?));
    items.filter_map(note).take(MAX_NOTES).collect()
}

/// A plain value as text, unless it is long.
fn note(pickle: &Pickle, id: Id) -> Option<String> {
    match pickle.get(id) {
        Object::Str(text) => (text.len() <= MAX_NOTE).then(|| text.clone()),
        Object::List(items) | Object::Tuple(items) if (1..=MAX_LIST).contains(&items.len()) => {
            let one = |&item: &Id| numbers(pickle, item, 1)?.pop();
            Some(items.iter().map(one).collect::<Option<Vec<_>>>()?.join(","))
        }
        _ => Some(numbers(pickle, id, MAX_LIST)?.join(",")),
    }
}

/// The Python objects in the outermost dict that are neither tensors nor plain values.
pub(super) fn objects(pickle: &Pickle) -> Vec<(String, String)> {
    let items = pickle.items(pickle.root()).unwrap_or_default().iter();
    let object = |&(key, value): &(_, _)| {
        let made = matches!(pickle.get(value), Object::Made(_))
            && !torch::is_tensor(pickle, value)
            && note(pickle, value).is_none();
        made.then(|| Some((shortened(&torch::key(pickle, key)?), pickle.describe(value)))).flatten()
    };
    items.filter_map(object).take(MAX_NOTES).collect()
}

/// A `mean` and a `std` in the outermost dict that are neither numbers nor tensors, and what they are.
pub(super) fn no_numbers(pickle: &Pickle) -> Vec<(&'static str, String)> {
    let items = pickle.items(pickle.root()).unwrap_or_default().iter();
    let unread = |&(key, value): &(_, _)| {
        let key = NORMALISATION.into_iter().find(|name| torch::key(pickle, key).as_deref() == Some(name))?;
        let read = matches!(pickle.get(value), Object::None)
            || torch::is_tensor(pickle, value)
            || note(pickle, value).is_some();
        (!read).then(|| (key, pickle.describe(value)))
    };
    items.filter_map(unread).take(MAX_NOTES).collect()
}

/// Whether a `mean` and a `std` that are tensors lie beside the dict of the weights. Those that lie in it are the
/// network's own.
pub(super) fn has_tensors_beside(pickle: &Pickle) -> bool {
    let items = pickle.items(pickle.root()).unwrap_or_default();
    let is_tensor = |name: &str| {
        items.iter().any(|&(key, value)| pickle.text(key) == Some(name) && torch::is_tensor(pickle, value))
    };
    let holds_dict = items.iter().any(|&(_, value)| {
        pickle
            .items(value)
            .is_some_and(|items| items.iter().any(|&(_, value)| torch::is_tensor(pickle, value)))
    });
    holds_dict && NORMALISATION.into_iter().all(is_tensor)
}

/// Lists of as many numbers as images have channels that are called like a mean or a standard deviation, at any depth and
/// under other names: what leads to them, and their text. A `mean` and a `std` of the outermost dict are not among them.
pub(super) fn elsewhere(pickle: &Pickle) -> Notes {
    let (mut found, mut seen, mut left) = (Notes::new(), HashSet::new(), MAX_VALUES);
    let mut queue = VecDeque::from([(pickle.root(), String::new(), 0)]);
    while let Some((id, path, depth)) = queue.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        let items = pickle.items(id).or_else(|| torch::attributes(pickle, id)).unwrap_or_default();
        for &(key, value) in items.iter().take(left) {
            left -= 1;
            let Some(key) = pickle.text(key).map(shortened) else { continue };
            let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match channels_of(pickle, value) {
                Some(text) if is_normalisation(&key, depth == 0) && found.len() < MAX_ELSEWHERE => {
                    found.insert(inner, text);
                }
                _ if depth < MAX_DEPTH => queue.push_back((value, inner, depth + 1)),
                _ => {}
            }
        }
    }
    found
}

/// Those among plain values.
pub(super) fn among(notes: &Notes) -> Notes {
    let is_list = |text: &str| super::metadata::list(text).is_some_and(|list| CHANNELS.contains(&list.len()));
    let named = notes.iter().filter(|(key, text)| is_normalisation(key, true) && is_list(text));
    named.take(MAX_ELSEWHERE).map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// Whether a key is a name of a mean or a standard deviation; of the outermost dict another than those that count.
fn is_normalisation(key: &str, outermost: bool) -> bool {
    let lower = key.to_ascii_lowercase();
    OTHER_NAMES.contains(&lower.as_str())
        || NORMALISATION.contains(&lower.as_str()) && !(outermost && NORMALISATION.contains(&key))
}

/// The text of a list of as many numbers as images have channels.
fn channels_of(pickle: &Pickle, value: Id) -> Option<String> {
    let list = pickle.list(value)?;
    CHANNELS.contains(&list.len()).then(|| note(pickle, value)).flatten()
}
