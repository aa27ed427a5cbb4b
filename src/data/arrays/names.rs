//! Which array is what, by their names: `images` and `labels`, `x_test` and `y_test`, `test_images` and `test_labels`,
//! `data` and `targets`. Where no name says it, shapes do, if they leave one reading.

use super::npy::Spec;
use crate::data::split::Split;
use crate::data::splits::Role;
use crate::error::{Error, Result};
use std::path::Path;

/// Names of arrays of images, without the word for a split.
const IMAGES: [&str; 13] = [
    "images", "image", "imgs", "img", "x", "data", "inputs", "input", "pixels", "samples", "features",
    "pictures", "xs",
];
/// Names of arrays of labels.
const LABELS: [&str; 9] =
    ["labels", "label", "y", "targets", "target", "fine_labels", "fine_label", "ys", "lbls"];
/// Names of arrays of class names.
const CLASSES: [&str; 7] =
    ["classes", "class_names", "classnames", "label_names", "names", "list_classes", "fine_label_names"];

/// What an array is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Images,
    Labels,
    Classes,
}

/// Positions of the arrays of a split.
pub(super) struct Chosen {
    pub images: usize,
    pub labels: usize,
    pub classes: Option<usize>,
    /// Labels of all splits: they count the classes.
    pub counted: Vec<usize>,
    /// Whether the names of images or labels say a split.
    pub says_split: bool,
    /// Which arrays were taken.
    pub notes: Vec<String>,
}

/// What a name says: the split, if any, and what the array is.
fn meaning(name: &str) -> (Option<Role>, Option<Meaning>) {
    let lower = name.to_lowercase();
    let mut role = None;
    let mut words = Vec::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // `xtrain`, `trainx`.
        let letter = |letter: &'static str| {
            let rest = word.strip_prefix(letter).or_else(|| word.strip_suffix(letter))?;
            Some((Role::of_word(rest)?, letter))
        };
        if let Some(found) = Role::of_word(word) {
            role = Some(found);
        } else if let Some((found, letter)) = letter("x").or_else(|| letter("y")) {
            role = Some(found);
            words.push(letter);
        } else {
            words.push(word);
        }
    }
    let rest = words.join("_");
    let is = |known: &[&str]| known.contains(&rest.as_str());
    let meaning = if is(&IMAGES) {
        Some(Meaning::Images)
    } else if is(&LABELS) {
        Some(Meaning::Labels)
    } else {
        is(&CLASSES).then_some(Meaning::Classes)
    };
    (role, meaning)
}

/// Chooses the arrays of a split; `whole` says that arrays whose names say no split are this split's.
pub(super) fn choose(path: &Path, specs: &[Spec], split: Split, whole: bool) -> Result<Chosen> {
    let meanings: Vec<_> = specs.iter().map(|spec| meaning(&spec.name)).collect();
    let with = |role: Option<Role>, wanted: Meaning| -> Vec<usize> {
        (0..specs.len()).filter(|&index| meanings[index] == (role, Some(wanted))).collect()
    };
    let roles: &[Option<Role>] = match (split, whole) {
        (Split::Train, false) => &[Some(Role::Train)],
        (Split::Train, true) => &[Some(Role::Train), None],
        (Split::Test, _) => &[Some(Role::Test), Some(Role::Validation), None],
    };
    let place = format!("arrays of the {split} split");
    let named = roles.iter().find_map(|&role| {
        let (images, labels) = (with(role, Meaning::Images), with(role, Meaning::Labels));
        (!images.is_empty() || !labels.is_empty()).then_some((images, labels, role.is_some()))
    });
    let mut notes = Vec::new();
    let (images, labels, says_split) = match named {
        Some((images, labels, says_split)) => match (images.as_slice(), labels.as_slice()) {
            (&[images], &[labels]) => (images, labels, says_split),
            _ => {
                let shown: Vec<_> = images.iter().chain(&labels).map(|&index| &specs[index]).collect();
                let expected = "one array of images and one of labels, such as `images` and `labels`";
                return Err(Error::input(path, place, expected, list_of(&shown)));
            }
        },
        None if whole && meanings.iter().all(|(role, _)| role.is_none()) => match by_shape(specs) {
            Some((images, labels)) => {
                notes.push("the names of the arrays say nothing: their shapes do".to_owned());
                (images, labels, false)
            }
            None => return Err(nothing(path, place, specs)),
        },
        None if split == Split::Train && !whole && !with(None, Meaning::Images).is_empty() => {
            let expected = "arrays such as `x_train` and `y_train`";
            return Err(Error::input(path, place, expected, "one set of images, which is the test split"));
        }
        None => return Err(nothing(path, place, specs)),
    };
    let show = |index: usize| format!("`{}` ({})", specs[index].name.escape_debug(), specs[index].describe());
    notes.push(format!("images are {}, labels {}", show(images), show(labels)));
    let is_label = |index: &usize| {
        *index != labels && meanings[*index].1 == Some(Meaning::Labels) && specs[*index].element.is_integer()
    };
    let counted = (0..specs.len()).filter(is_label).collect();
    let is_classes = |index: &usize| {
        meanings[*index].1 == Some(Meaning::Classes) && specs[*index].element.name() == "text"
    };
    let classes = (0..specs.len()).find(is_classes);
    Ok(Chosen { images, labels, classes, counted, says_split, notes })
}

/// The only array that can be images and the only one that can be their labels.
fn by_shape(specs: &[Spec]) -> Option<(usize, usize)> {
    let only = |fits: &dyn Fn(&Spec) -> bool| {
        let mut found = (0..specs.len()).filter(|&index| fits(&specs[index]));
        found.next().filter(|_| found.next().is_none())
    };
    let images = only(&|spec| spec.element.is_number() && matches!(spec.shape.len(), 3 | 4))?;
    let count = specs.get(images)?.shape.first()?;
    let labels = only(&|spec| {
        spec.element.is_integer() && matches!(spec.shape.as_slice(), [n] | [n, 1] if n == count)
    })?;
    Some((images, labels))
}

fn nothing(path: &Path, place: String, specs: &[Spec]) -> Error {
    let expected =
        "an array of images and one of labels, such as `images` and `labels`, or `x_test` and `y_test`";
    Error::input(path, place, expected, list_of(&specs.iter().collect::<Vec<_>>()))
}

/// The first arrays, with their shapes.
fn list_of(specs: &[&Spec]) -> String {
    const SHOWN: usize = 6;
    let shown: Vec<_> = specs
        .iter()
        .take(SHOWN)
        .map(|spec| format!("`{}` {}", spec.name.escape_debug(), spec.describe()))
        .collect();
    match specs.len().checked_sub(SHOWN) {
        Some(more @ 1..) => format!("{} and {more} more", shown.join(", ")),
        _ if shown.is_empty() => "none".to_owned(),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_split_and_meaning() {
        use Meaning::{Classes, Images, Labels};
        use Role::{Test, Train, Validation};
        for (names, expected) in [
            ("images image x X data", (None, Some(Images))),
            ("labels y Y targets target", (None, Some(Labels))),
            ("x_test X_test test_x test_images testX test-data images/test", (Some(Test), Some(Images))),
            ("y_train train_labels ytrain train/targets", (Some(Train), Some(Labels))),
            ("val_images x_val valid_data", (Some(Validation), Some(Images))),
            ("classes class_names label_names", (None, Some(Classes))),
            ("weights test fc.weight", (None, None)),
        ] {
            for name in names.split(' ').filter(|name| *name != "test") {
                assert_eq!(meaning(name), expected, "{name}");
            }
        }
        assert_eq!(meaning("test"), (Some(Test), None));
    }
}
