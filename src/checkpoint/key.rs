//! Which of several networks of a file a key names, and which is rather meant where none is said.

use super::file::File;
use super::found::Found;
use crate::error::Error;

/// Keys under which training scripts keep the state dict, the most telling first.
const KEYS: [&str; 4] = ["state_dict", "model_state_dict", "model", "net"];
/// Words in keys of networks that stand beside the one that is trained.
const BESIDE: [&str; 8] = ["ema", "teacher", "swa", "average", "averaged", "target", "momentum", "shadow"];
/// And in those of what no training has made, or of what is no network: initial weights and gradients.
const NEVER_MEANT: [&str; 8] =
    ["init", "initial", "initialization", "initialisation", "grad", "grads", "gradient", "gradients"];

/// The network that is meant by a key: it is its path, or what that begins with, or one of its parts.
pub(super) fn named<'n>(networks: &'n [Found], key: &str) -> Option<&'n Found> {
    let is = |path: &str| path == key;
    let begins = |path: &str| path.strip_prefix(key).is_some_and(|rest| rest.starts_with(['.', '+']));
    let has = |path: &str| path.split('+').chain(path.split(['.', '+'])).any(|part| part == key);
    let by = |meant: &dyn Fn(&str) -> bool| networks.iter().find(|network| meant(&network.key));
    by(&is).or_else(|| by(&begins)).or_else(|| by(&has))
}

pub(super) fn no_such_key(file: &File, what: &str, key: &str, networks: &[Found]) -> Error {
    let keys: Vec<String> =
        networks.iter().map(|network| format!("`{}`", network.key.escape_debug())).collect();
    let found = match keys.len() {
        0 => "none under any key".to_owned(),
        _ => format!("such under {}", keys.join(", ")),
    };
    let place = file.path.display();
    Error::usage(format!("{place}: key `{}`: expected a complete {what}, found {found}", key.escape_debug()))
}

/// Smaller for keys that are rather meant.
pub(super) fn preference(key: &str) -> (bool, usize) {
    let known = key.split('.').next().and_then(|first| KEYS.iter().position(|key| *key == first));
    (is_beside(key), known.unwrap_or(KEYS.len()))
}

/// Whether a key speaks of a network beside the one that is trained.
pub(super) fn is_beside(key: &str) -> bool {
    has_word(key, &BESIDE)
}

/// Whether a key speaks of initial weights or of gradients.
pub(super) fn is_never_meant(key: &str) -> bool {
    has_word(key, &NEVER_MEANT)
}

fn has_word(key: &str, words: &[&str]) -> bool {
    let lower = key.to_ascii_lowercase();
    lower.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| words.contains(&word))
}
