//! A file with the classes of a network, for images of a part of them: it says which output each folder is.
//!
//! Text: a class a line, in the order of the network's outputs; a line may hold several names of the class, separated by
//! tabs or commas, and a WordNet id at its beginning is a name by itself (`n01440764 tench, Tinca tinca`). Empty lines and
//! lines that begin with `#` are passed over. Where every line has a number of its own, at its beginning, behind the WordNet
//! id or at its end (`9,n02124075`, `n02124075 9`), the numbers say which output a class is, not the order of the lines.
//! JSON: a list of names, or of lists of names, an object from the number of the output to these
//! (`{"0": ["n01440764", "tench"], …}`) or from names to numbers (torchvision's `class_to_idx`), or an object with one of
//! these as its `classes` or `class_to_idx`.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use strsim::damerau_levenshtein;

/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Names that a message offers in the place of an unknown one.
const NEAR: usize = 3;

/// The classes of a network, as a file says them.
pub(super) struct Known {
    /// The names of each class, at least one.
    pub classes: Vec<Vec<String>>,
    /// Whether the file's own numbers order them, not the order of its lines.
    pub numbered: bool,
}

impl Known {
    /// Whether a class has this name.
    pub fn has(&self, name: &str) -> bool {
        self.classes.iter().flatten().any(|known| known == name)
    }
}

/// Reads the names of every class.
///
/// # Errors
/// [`Error::Read`]; [`Error::Input`] for a file that is too long or no text, for JSON of another form, and for none or more
/// than 65,535 classes.
pub(super) fn read(path: &Path) -> Result<Known> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::read(path))?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::read(path))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::input(path, "length", format_args!("at most {MAX_BYTES} bytes"), "more"));
    }
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Error::input(
            path,
            "content",
            "text in UTF-8",
            "other bytes (UTF-16, say: save it as UTF-8)",
        ));
    };
    let text = text.trim_start_matches('\u{feff}').to_owned();
    let (classes, numbered) = match text.trim_start().chars().next() {
        Some('{' | '[') => (of_json(&text, path)?, false),
        _ => of_lines(&text, path)?,
    };
    if !(1..=usize::from(u16::MAX)).contains(&classes.len()) {
        return Err(Error::input(path, "classes", "1 to 65,535, one a line", classes.len()));
    }
    match classes.iter().position(Vec::is_empty) {
        Some(at) => Err(Error::input(path, format_args!("class {at}"), "a name", "none")),
        None => Ok(Known { classes, numbered }),
    }
}

/// A line's place in the file and its names, and its number with the names behind it, if it has one.
struct Line<'a> {
    at: usize,
    names: Vec<&'a str>,
    number: Option<(&'a str, Vec<&'a str>)>,
}

/// The classes, and whether numbers in the lines order them.
fn of_lines(text: &str, path: &Path) -> Result<(Vec<Vec<String>>, bool)> {
    let lines: Vec<Line> = (1..)
        .zip(text.lines().map(str::trim))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| of_line(at, line))
        .collect();
    let lines = without_heading(lines);
    let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    if lines.iter().any(|line| line.number.is_none()) {
        return Ok((lines.iter().map(|line| owned(&line.names)).collect(), false));
    }
    let mut classes = vec![None; lines.len()];
    for Line { at, names, number } in &lines {
        let Some((number, behind)) = number else { continue };
        let place = format!("line {at}");
        let last = classes.len() - 1;
        let free = number.parse::<usize>().ok().and_then(|number| classes.get_mut(number));
        match free {
            Some(class @ None) => *class = Some([owned(names), owned(behind)].concat()),
            // As many lines as outputs, so that one is missing where another is there twice.
            Some(_) => {
                let expected = "each number once, as every line has the number of its output";
                return Err(Error::input(path, place, expected, format_args!("{number} again")));
            }
            None => {
                let expected = format!(
                    "numbers from 0 to {last}, as every line has one and outputs count from 0 (without numbers the order \
                     of the lines counts)"
                );
                return Err(Error::input(path, place, expected, number));
            }
        }
    }
    Ok((classes.into_iter().flatten().collect(), true))
}

/// Names of columns that tables of classes begin with.
const HEADINGS: [&str; 16] = [
    "class",
    "class_id",
    "class_name",
    "classes",
    "folder",
    "id",
    "idx",
    "index",
    "label",
    "labels",
    "name",
    "number",
    "synset",
    "target",
    "wnid",
    "words",
];

/// The lines without a heading: a first one of nothing but names of columns, two or more, and no number where all others have
/// one or a WordNet id.
fn without_heading(mut lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let is_heading = |line: &Line| {
        let known = |name: &&str| HEADINGS.contains(&name.to_lowercase().replace(' ', "_").as_str());
        line.number.is_none() && line.names.len() > 1 && line.names.iter().all(known)
    };
    if lines.len() > 1 && lines.first().is_some_and(is_heading) {
        lines.remove(0);
    }
    lines
}

/// The names in a line. A number beside them leaves the names that they would be with it: a folder may be called `0 - zero`.
fn of_line(at: usize, line: &str) -> Line<'_> {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let names = names_of(line);
    // `9: tench`, `9,tench`, `9 n01440764 tench`; behind a WordNet id `n01440764 9 tench`.
    let (id, rest) = id_of(line);
    let (first, behind) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    let apart = behind.chars().next().is_none_or(|c| c.is_whitespace() || ",:".contains(c));
    let behind = behind.trim_start().trim_start_matches([',', ':']).trim_start();
    let number = if is_number(first) && apart && !(id.is_none() && behind.is_empty()) {
        Some((first, names_of(behind)))
    } else {
        let last = names.last().copied().filter(|last| names.len() > 1 && is_number(last));
        last.map(|last| (last, Vec::new()))
    };
    Line { at, names, number }
}

/// The WordNet id at the beginning, and the rest.
fn id_of(text: &str) -> (Option<&str>, &str) {
    let (id, rest) = text.split_once(|c: char| c.is_whitespace() || c == ',').unwrap_or((text, ""));
    let is_id = id
        .strip_prefix('n')
        .is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()));
    if is_id { (Some(id), rest.trim_start()) } else { (None, text) }
}

/// A WordNet id, and what stands between tabs and commas.
fn names_of(text: &str) -> Vec<&str> {
    let (id, rest) = id_of(text);
    let names = fields(rest).map(|name| name.trim().trim_matches('"').trim()).filter(|name| !name.is_empty());
    id.into_iter().chain(names).collect()
}

/// What stands between tabs and commas outside of quotation marks.
fn fields(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c: char| {
        quoted ^= c == '"';
        !quoted && matches!(c, '\t' | ',')
    })
}

fn of_json(text: &str, path: &Path) -> Result<Vec<Vec<String>>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // What ImageNet's list is often copied as.
        let python = text.contains("{0:").then_some(" (a Python dictionary? json.dump writes it as JSON)");
        let found = format!("{error}{}", python.unwrap_or_default());
        Error::input(path, "content", "classes as JSON, or one a line", found)
    })?;
    // The classes beside other settings.
    let inner = ["classes", "class_to_idx", "class_names", "names", "id2label", "label2id"];
    let chosen = value.as_object().and_then(|object| {
        inner.iter().find_map(|key| object.get(*key).filter(|value| value.is_array() || value.is_object()))
    });
    of_value(chosen.unwrap_or(&value), path)
}

/// Whether an object leads from names to numbers: where both may be numbers, keys are those of the outputs.
fn is_from_names(classes: &Map<String, Value>) -> bool {
    let all_numbers = classes.values().all(|value| number(value).is_some());
    let keys_are = classes.keys().all(|key| key.parse::<u64>().is_ok());
    let plain = classes.values().all(Value::is_u64);
    !classes.is_empty() && all_numbers && (plain || !keys_are)
}

/// A whole number, or one as text.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn of_value(value: &Value, path: &Path) -> Result<Vec<Vec<String>>> {
    let fault = |place: &str, found: &Value| {
        let found = found.to_string().chars().take(40).collect::<String>();
        Error::input(path, place, "a name or a list of names", found)
    };
    let names = |place: &str, value: &Value| match value {
        Value::String(name) => Ok(vec![name.clone()]),
        Value::Array(names) if !names.is_empty() => names
            .iter()
            .map(|name| name.as_str().map(str::to_owned).ok_or_else(|| fault(place, value)))
            .collect(),
        _ => Err(fault(place, value)),
    };
    let missing = |of: usize, at: usize| {
        let expected = format!("the outputs 0 to {}", of - 1);
        Error::input(path, "keys", expected, format_args!("none of {at}"))
    };
    match value {
        Value::Array(classes) => {
            classes.iter().enumerate().map(|(at, class)| names(&format!("[{at}]"), class)).collect()
        }
        // From names to numbers, which may be text.
        Value::Object(classes) if is_from_names(classes) => {
            let numbers = || classes.values().filter_map(number).map(|number| number as usize);
            let outputs = numbers().max().map_or(0, |last| last.saturating_add(1));
            let mut found = vec![Vec::new(); classes.len().min(outputs)];
            for (name, number) in classes.keys().zip(numbers()) {
                // With more numbers than names one is missing, which is found below.
                if let Some(class) = found.get_mut(number) {
                    class.push(name.clone());
                }
            }
            match found.iter().position(Vec::is_empty) {
                Some(at) => Err(missing(outputs, at)),
                None => Ok(found),
            }
        }
        Value::Object(classes) => (0..classes.len())
            .map(|at| {
                let key = at.to_string();
                names(&key, classes.get(&key).ok_or_else(|| missing(classes.len(), at))?)
            })
            .collect(),
        _ => Err(fault("content", value)),
    }
}

/// For each of `folders` with images, the class whose names hold it; for the others 0.
///
/// # Errors
/// An input error that names the folder below `root` and near names, for one that no class has or several have.
pub(super) fn positions(
    folders: &[String],
    with_images: &[bool],
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
    let with_images = with_images.iter().copied();
    folders
        .iter()
        .zip(with_images)
        .map(|(folder, seen)| if seen { position(folder) } else { Ok(0) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Vec<String>>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("classes.txt");
        std::fs::write(&path, text).unwrap();
        Ok(read(&path)?.classes)
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
            r#"{"classes": {"n01440764": 0, "goldfish": 1, "tench": 0, "Tinca tinca": 0}, "epoch": 3}"#,
        ] {
            let mut found = of(text).unwrap();
            found[0].sort_by_key(|name| wanted[0].iter().position(|other| other == name));
            assert_eq!(found, wanted, "{text}");
        }
    }

    #[test]
    fn numbers_of_the_lines_say_which_output_a_class_is() {
        for text in [
            "1,n02124075\n0,n01440764\n",
            "n02124075 1\nn01440764 0\n",
            "n02124075 1 Egyptian cat\nn01440764 0 tench\n",
            "1: n02124075, Egyptian cat\n0: n01440764\n",
            "1\tn02124075\n0\tn01440764\n",
            "n02124075,1\nn01440764,0\n",
            r#"{"n02124075": 1, "n01440764": 0}"#,
        ] {
            let classes = of(text).unwrap();
            let holds = |at: usize, name: &str| classes[at].iter().any(|other| other == name);
            assert!(classes.len() == 2 && holds(0, "n01440764") && holds(1, "n02124075"), "{classes:?}");
        }
        // A heading, quotation marks, numbers as text.
        let table = of("class_id,wnid,words\n1,n02124075,\"cat, Egyptian\"\n0,n01440764,tench\n").unwrap();
        assert!(table.len() == 2 && table[1].contains(&"cat, Egyptian".to_owned()), "{table:?}");
        assert_eq!(of(r#"{"cat": "1", "dog": "0"}"#).unwrap(), [["dog"], ["cat"]]);
        assert_eq!(of(r#"{"0": "1", "1": "0"}"#).unwrap(), [["1"], ["0"]]);
        // Names that are numbers, names with numbers, and numbers of a part of the lines.
        assert_eq!(of("1\n0\n").unwrap(), [["1"], ["0"]]);
        assert_eq!(of("0 - zero\n1 - one\n").unwrap()[1], ["1 - one", "- one"]);
        assert_eq!(of("3 wolf moon\ncat\n").unwrap(), [["3 wolf moon"], ["cat"]]);
    }

    #[test]
    fn other_forms_are_refused() {
        for (text, needle) in [
            ("# nothing\n", "1 to 65,535"),
            (r#"{"0": "a", "2": "b"}"#, "none of 1"),
            (r#"{"0": 3}"#, "the outputs 0 to 3, found none of 0"),
            (r#"{"0": 3, "1": "cat"}"#, "a name or a list of names"),
            ("a\n , ,\nb\n", "class 1: expected a name, found none"),
            // The numbers of ImageNet's development kit, which are no outputs.
            ("n02119789 1 kit_fox\nn02100735 2 English_setter\n", "line 2: expected numbers from 0 to 1"),
            ("0 cat\n0 dog\n", "line 2: expected each number once"),
            (r#"{"cat": 0, "dog": 2}"#, "none of 1"),
            (r#"{"cat": 0, "dog": 18446744073709551615}"#, "none of 1"),
            ("{0: 'tench', 1: 'goldfish'}", "a Python dictionary?"),
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
            positions(&folders, &[true, true], &classes, Path::new("c.txt"), Path::new("data/val"))
        };
        assert_eq!(positions(&["tench", "bird"]).unwrap(), [2, 0]);
        let unknown = positions(&["tensh"]).unwrap_err().to_string();
        assert!(unknown.starts_with("c.txt: classes: expected a class called \"tensh\", as a folder in data/val is, found none; the nearest names are [\"tench\""), "{unknown}");
    }
}
