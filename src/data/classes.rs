//! A file with the classes of a network, for images of a part of them: it says which output each folder is.
//!
//! Text: a class a line, in the order of the network's outputs; a line may hold several names of the class, separated by
//! tabs or commas, and a WordNet id at its beginning is a name by itself (`n01440764 tench, Tinca tinca`). Empty lines and
//! lines that begin with `#` are passed over. JSON: a list of names, or of lists of names, or an object from the number of
//! the output to these (`{"0": ["n01440764", "tench"], …}`).

use crate::error::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use strsim::damerau_levenshtein;

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Names that a message offers in the place of an unknown one.
const NEAR: usize = 3;

/// Reads the names of every class.
///
/// # Errors
/// [`Error::Read`]; [`Error::Input`] for a file that is too long or no text, for JSON of another form, and for none or more
/// than 65,535 classes.
pub(super) fn read(path: &Path) -> Result<Vec<Vec<String>>> {
    let mut text = String::new();
    let file = File::open(path).map_err(Error::read(path))?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(Error::read(path))?;
    let text = text.trim_start_matches('\u{feff}').to_owned();
    if text.len() as u64 > MAX_BYTES {
        return Err(Error::input(path, "length", format_args!("at most {MAX_BYTES} bytes"), "more"));
    }
    let classes = match text.trim_start().chars().next() {
        Some('{' | '[') => of_json(&text, path)?,
        _ => text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(of_line)
            .collect(),
    };
    if !(1..=usize::from(u16::MAX)).contains(&classes.len()) {
        return Err(Error::input(path, "classes", "1 to 65,535, one a line", classes.len()));
    }
    match classes.iter().position(Vec::is_empty) {
        Some(at) => Err(Error::input(path, format_args!("class {at}"), "a name", "none")),
        None => Ok(classes),
    }
}

fn of_line(line: &str) -> Vec<String> {
    let (id, rest) = line.split_once(' ').unwrap_or((line, ""));
    let is_id = id
        .strip_prefix('n')
        .is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()));
    let (id, names) = if is_id { (id, rest) } else { ("", line) };
    let names = std::iter::once(id).chain(names.split(['\t', ',']));
    names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn of_json(text: &str, path: &Path) -> Result<Vec<Vec<String>>> {
    let fault = |place: &str, found: &Value| {
        Error::input(
            path,
            place,
            "a name or a list of names",
            found.to_string().chars().take(40).collect::<String>(),
        )
    };
    let names = |place: &str, value: &Value| match value {
        Value::String(name) => Ok(vec![name.clone()]),
        Value::Array(names) if !names.is_empty() => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(|| fault(place, value)))
            .collect(),
        _ => Err(fault(place, value)),
    };
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Error::input(path, "content", "classes as JSON, or one a line", error))?;
    match value {
        Value::Array(classes) => {
            classes.iter().enumerate().map(|(at, class)| names(&format!("[{at}]"), class)).collect()
        }
        Value::Object(classes) => (0..classes.len())
            .map(|at| {
                let key = at.to_string();
                let class = classes.get(&key).ok_or_else(|| {
                    let expected = format!("the outputs 0 to {}", classes.len() - 1);
                    Error::input(path, "keys", expected, format_args!("none of {at}"))
                })?;
                names(&key, class)
            })
            .collect(),
        _ => Err(fault("content", &value)),
    }
}

/// For each of `folders`, the class whose names hold it.
///
/// # Errors
/// An input error that names the folder below `root` and near names, for one that no class has or several have.
pub(super) fn positions(
    folders: &[String],
    classes: &[Vec<String>],
    path: &Path,
    root: &Path,
) -> Result<Vec<u16>> {
    let mut found: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, names) in classes.iter().enumerate() {
        for name in names {
            let classes = found.entry(name).or_default();
            if classes.last() != Some(&at) {
                classes.push(at);
            }
        }
    }
    let position = |folder: &String| match found.get(folder.as_str()).map(Vec::as_slice) {
        Some(&[at]) => Ok(at as u16),
        Some(several) => {
            let expected = format!("one class called {folder:?}, as a folder in {} is", root.display());
            Err(Error::input(path, "classes", expected, format_args!("the outputs {several:?}")))
        }
        None => {
            let mut near: Vec<&str> = found.keys().copied().collect();
            near.sort_by_cached_key(|name| (damerau_levenshtein(name, folder), *name));
            near.truncate(NEAR);
            let expected = format!("a class called {folder:?}, as a folder in {} is", root.display());
            Err(Error::input(path, "classes", expected, format_args!("none; the nearest names are {near:?}")))
        }
    };
    folders.iter().map(position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Vec<String>>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("classes.txt");
        std::fs::write(&path, text).unwrap();
        read(&path)
    }

    #[test]
    fn lines_and_json_say_the_same() {
        let wanted = vec![
            vec!["n01440764".to_owned(), "tench".to_owned(), "Tinca tinca".to_owned()],
            vec!["goldfish".to_owned()],
        ];
        for text in [
            "# two fish\nn01440764\ttench\tTinca tinca\n\n  goldfish\r\n",
            "n01440764, tench, Tinca tinca\ngoldfish",
            "n01440764 tench, Tinca tinca\ngoldfish\n",
            r#"{"1": "goldfish", "0": ["n01440764", "tench", "Tinca tinca"]}"#,
            r#"[["n01440764", "tench", "Tinca tinca"], "goldfish"]"#,
        ] {
            assert_eq!(of(text).unwrap(), wanted, "{text}");
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for (text, needle) in [
            ("# nothing\n", "1 to 65,535"),
            (r#"{"0": "a", "2": "b"}"#, "none of 1"),
            (r#"{"0": 3}"#, "a name or a list of names"),
            ("a\n , ,\nb\n", "class 1: expected a name, found none"),
            ("[[]]", "a name or a list of names"),
            ("[\"a\", ", "classes as JSON"),
        ] {
            let error = of(text).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(error.to_string().contains(needle), "{error}");
        }
    }

    #[test]
    fn folders_find_their_class_and_an_unknown_one_its_neighbours() {
        let classes = of("n01 crane\tbird\nn02 crane\tmachine\ntench\n").unwrap();
        let positions = |folders: &[&str]| {
            let folders: Vec<String> = folders.iter().map(|&name| name.to_owned()).collect();
            positions(&folders, &classes, Path::new("c.txt"), Path::new("data/val"))
        };
        assert_eq!(positions(&["tench", "bird"]).unwrap(), [2, 0]);
        let unknown = positions(&["tensh"]).unwrap_err().to_string();
        assert!(unknown.starts_with("c.txt: classes: expected a class called \"tensh\", as a folder in data/val is, found none; the nearest names are [\"tench\""), "{unknown}");
    }
}
