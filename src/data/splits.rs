//! Split folders by their names: `train` and `test` as people call them.
//!
//! A name is cut into words in lower case (`Training_Set`, `seg-test`, `valset`). One of the words must say the role;
//! the others must be words that say nothing (`set`, `images`, `seg`). Where **all** sub-folders of a folder carry a
//! role beside the same other words (`cars_train`, `cars_test`), or are for training and for testing both
//! (`train-jpg`, `test-jpg-v2`), those other words may be anything.
//!
//! Folders that hold folders of the same names are splits or folds, not classes, whatever they are called: where their
//! names say no role, none is taken. A file of classes that has their names (`--classes`) says that they are classes.

use super::classes::Known;
use super::listing;
use super::split::Split;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a split folder is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Images to train on.
    Train,
    /// Images to choose a network by, measured on where there are no test images.
    Validation,
    /// Images to measure on.
    Test,
}

/// Words that say nothing about a role.
const FILLERS: [&str; 16] = [
    "data", "dataset", "dir", "folder", "image", "images", "img", "imgs", "jpg", "photos", "pictures", "png",
    "samples", "seg", "set", "split",
];
/// Levels of folders that hold nothing but a folder of the same kind, as archives unpack.
const MAX_NESTING: usize = 4;

impl Role {
    /// The role that a word in lower case says.
    pub(super) fn of_word(word: &str) -> Option<Role> {
        Some(match word {
            "train" | "training" | "trn" | "trainval" => Role::Train,
            "val" | "valid" | "validation" | "validate" | "dev" | "eval" | "evaluation" => Role::Validation,
            "test" | "testing" | "tst" | "holdout" | "heldout" => Role::Test,
            _ => return None,
        })
    }

    /// The name that every data set with such a folder once had here.
    fn plain_name(self) -> &'static str {
        match self {
            Role::Train => "train",
            Role::Validation => "val",
            Role::Test => "test",
        }
    }
}

/// The role that a name says, and its other words; `None` without a role or with several.
fn parse(name: &str) -> Option<(Role, Vec<String>)> {
    let lower = name.to_lowercase();
    let mut role = None;
    let mut others = Vec::new();
    for word in lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        // `test1`, `val2017`; `trainset`, `testdata`, `valimages`.
        let word = word.trim_end_matches(|c: char| c.is_ascii_digit());
        let glued = FILLERS.iter().find_map(|filler| word.strip_suffix(filler)).and_then(Role::of_word);
        match Role::of_word(word).or(glued) {
            Some(found) if role.is_none() => role = Some(found),
            Some(_) => return None,
            None if word.is_empty() => {}
            None => others.push(word.to_owned()),
        }
    }
    Some((role?, others))
}

/// The role of a folder (or of an array) of this name.
pub(super) fn role(name: &str) -> Option<Role> {
    let (role, others) = parse(name)?;
    others.iter().all(|word| FILLERS.contains(&word.as_str())).then_some(role)
}

/// The role that a name says, whatever its other words are.
pub(super) fn role_in(name: &str) -> Option<Role> {
    parse(name).map(|(role, _)| role)
}

/// A split folder as it was found.
#[derive(Debug)]
pub(super) struct Found {
    /// The folder with the class folders.
    pub root: PathBuf,
    /// The folder whose class folders number the classes.
    pub numbered_by: PathBuf,
    /// What was chosen or passed over.
    pub notes: Vec<String>,
}

/// The split folders below a data folder.
struct Layout<'a> {
    dir: &'a Path,
    /// Names with roles, sorted.
    roles: Vec<(String, Role)>,
    /// Sub-folders that are no splits.
    others: Vec<String>,
}

/// The folder of a split, or `None` where `dir` has no split folders but (as far as can be seen) class folders.
///
/// # Errors
/// An input error where there are split folders, but not the one that is needed, or several of one role; where folders
/// look like splits by what is in them, and their names do not say which is which.
pub(super) fn find(dir: &Path, split: Split, known: Option<&Known>) -> Result<Option<Found>> {
    let mut top = dir.to_owned();
    for _ in 0..MAX_NESTING {
        let names = listing::subfolders(&top)?;
        if known.is_some_and(|known| !names.is_empty() && names.iter().all(|name| known.has(name))) {
            return Ok(None);
        }
        if let Some(layout) = Layout::of(&top, &names)? {
            let mut found = match split {
                Split::Train => layout.train()?,
                Split::Test => layout.test()?,
            };
            found.notes.extend(layout.doubles());
            if !layout.others.is_empty() {
                let others = list_of(&layout.others);
                found.notes.push(format!("{}: {others} passed over, being no split", top.display()));
            }
            return Ok(Some(found));
        }
        // `data/archive/{train,test}`.
        match names.as_slice() {
            [only] if !listing::has_images(&top)? => top.push(only),
            _ => return Ok(None),
        }
    }
    Ok(None)
}

impl<'a> Layout<'a> {
    /// The splits of a folder with these sub-folders, if it has any.
    fn of(dir: &'a Path, names: &[String]) -> Result<Option<Self>> {
        let layout = |role: &dyn Fn(&String) -> Option<Role>| {
            let (mut roles, mut others) = (Vec::new(), Vec::new());
            for name in names {
                match role(name) {
                    Some(role) => roles.push((name.clone(), role)),
                    None => others.push(name.clone()),
                }
            }
            Layout { dir, roles, others }
        };
        let others = |name: &String| parse(name).map(|(_, others)| others);
        let first = names.first().and_then(others);
        if names.len() > 1 && first.is_some() && names.iter().all(|name| others(name) == first) {
            return Ok(Some(layout(&|name| role_in(name))));
        }
        let found = layout(&|name| role(name));
        if !names.is_empty() && found.others.is_empty() {
            return Ok(Some(found));
        }
        let loose = layout(&|name| role_in(name));
        if loose.others.is_empty() && loose.has(Role::Train) && loose.has_measured() {
            return Ok(Some(loose));
        }
        let plain = |role: Role| names.iter().any(|name| name == role.plain_name());
        if plain(Role::Train) && (plain(Role::Validation) || plain(Role::Test)) {
            return Ok(Some(found));
        }
        // Beside other folders, a word alone is not enough: `training` and `evaluation` can be classes. Split folders
        // hold class folders, class folders hold images.
        if found.has(Role::Train) && found.has_measured() {
            let mut trains = found.roles.iter().filter(|(_, role)| *role == Role::Train);
            if trains.try_fold(true, |all, (name, _)| Ok(all && holds_folders(&dir.join(name))?))? {
                return Ok(Some(found));
            }
        }
        let (alike, inside) = alike(dir, names)?;
        if alike.is_empty() {
            return Ok(None);
        }
        if loose.has_measured() && alike.iter().all(|name| role_in(name).is_some()) {
            return Ok(Some(loose));
        }
        let found = format!(
            "{} with the same folders in them ({}), as splits or folds have: --data-dir can name the one to be measured; if \
             these are the classes, a file with their names as --classes says so",
            list_of(&alike),
            list_of(&inside)
        );
        Err(Error::input(
            dir,
            "data folder",
            "class folders with images, or splits such as train/ and test/",
            found,
        ))
    }

    fn has(&self, role: Role) -> bool {
        self.roles.iter().any(|(_, other)| *other == role)
    }

    /// Whether there is a split to measure on.
    fn has_measured(&self) -> bool {
        self.has(Role::Validation) || self.has(Role::Test)
    }

    /// Folders of one role beside the one with the plain name.
    fn doubles(&self) -> Option<String> {
        let double = |(name, role): &&(String, Role)| {
            let plain = role.plain_name();
            name != plain && self.roles.iter().any(|(other, _)| other == plain)
        };
        let doubles: Vec<&str> = self.roles.iter().filter(double).map(|(name, _)| name.as_str()).collect();
        let dir = self.dir.display();
        (!doubles.is_empty())
            .then(|| format!("{dir}: {} passed over beside the plain name of its kind", list_of(&doubles)))
    }

    /// The folder of a role, doubles followed.
    fn folder(&self, role: Role) -> Result<Option<(&str, PathBuf)>> {
        let names: Vec<&str> =
            self.roles.iter().filter(|(_, other)| *other == role).map(|(name, _)| name.as_str()).collect();
        let plain = names.iter().find(|name| **name == role.plain_name());
        let name = match (names.as_slice(), plain) {
            ([], _) => return Ok(None),
            (_, Some(name)) | ([name], None) => *name,
            _ => {
                let expected = format!(
                    "one folder of {} images (--data-dir can name the one that is meant)",
                    match role {
                        Role::Train => "train",
                        Role::Validation => "validation",
                        Role::Test => "test",
                    }
                );
                return Err(Error::input(self.dir, "split folders", expected, list_of(&names)));
            }
        };
        Ok(Some((name, follow(&self.dir.join(name))?)))
    }

    fn train(&self) -> Result<Found> {
        let Some((_, root)) = self.folder(Role::Train)? else {
            let found = self.all();
            return Err(Error::input(self.dir, "train split", "train/", found));
        };
        Ok(Found { numbered_by: root.clone(), root, notes: Vec::new() })
    }

    /// The test images, or else the validation images.
    fn test(&self) -> Result<Found> {
        let mut notes = Vec::new();
        let mut train = self.folder(Role::Train)?;
        // Not unpacked, say.
        if let Some((name, root)) = &train
            && listing::subfolders(root)?.is_empty()
        {
            notes.push(format!(
                "{}: {name}/ has no class folders, so those that are measured number the classes",
                self.dir.display()
            ));
            train = None;
        }
        let train = train.map(|(_, root)| root);
        // `val/images/CLASS`, as some scripts sort images.
        let inner = |found: Option<(&str, PathBuf)>| -> Result<Option<(String, PathBuf)>> {
            Ok(match (found, &train) {
                (Some((name, root)), Some(train)) => Some((name.to_owned(), below(root, train)?)),
                (found, _) => found.map(|(name, root)| (name.to_owned(), root)),
            })
        };
        let (test, val) = (inner(self.folder(Role::Test)?)?, inner(self.folder(Role::Validation)?)?);
        let root = match (test, val) {
            (Some((test, root)), Some((val, other))) => {
                let dir = self.dir.display();
                if is_labelled(&root, train.as_deref().unwrap_or(&other))? {
                    notes.push(format!(
                        "{dir}: took {test}/; {val}/ is there too (--data-dir {dir}/{val} takes that)"
                    ));
                    root
                } else {
                    notes.push(format!(
                        "{dir}: took {val}/, because {test}/ has no class folders with images"
                    ));
                    other
                }
            }
            (Some((test, root)), None) => {
                if let Some(train) = &train
                    && listing::subfolders(&root)?.is_empty()
                {
                    let expected = format!("class sub-folders like those of {}/", file_name(train));
                    return Err(Error::input(self.dir.join(test), "test split", expected, "none"));
                }
                root
            }
            (None, Some((_, root))) => root,
            (None, None) => {
                let expected = "a folder of test or validation images beside it, such as test/ or val/ (its own \
                                path as --data-dir measures on the training images)";
                return Err(Error::input(self.dir, "test split", expected, self.all()));
            }
        };
        Ok(Found { numbered_by: train.unwrap_or_else(|| root.clone()), root, notes })
    }

    fn all(&self) -> String {
        list_of(&self.roles.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>())
    }
}

/// The folder itself, or the one in it that has the same role or name, class folders, and no other folder or image
/// beside it.
fn follow(folder: &Path) -> Result<PathBuf> {
    let mut folder = folder.to_owned();
    for _ in 0..MAX_NESTING {
        let (names, own) = (listing::subfolders(&folder)?, file_name(&folder));
        let [only] = names.as_slice() else { break };
        let alike = *only == own || role(only).is_some_and(|found| Some(found) == role(&own));
        if !alike || listing::has_images(&folder)? || listing::subfolders(&folder.join(only))?.is_empty() {
            break;
        }
        folder.push(only);
    }
    Ok(folder)
}

/// The folder itself, or the only one in it where that is no class of `like`, but holds such.
fn below(folder: PathBuf, like: &Path) -> Result<PathBuf> {
    let (names, known) = (listing::subfolders(&folder)?, listing::subfolders(like)?);
    let is_known = |name: &String| known.binary_search(name).is_ok();
    match names.as_slice() {
        [only] if !is_known(only) => {
            let inner = folder.join(only);
            Ok(if listing::subfolders(&inner)?.iter().any(is_known) { inner } else { folder })
        }
        _ => Ok(folder),
    }
}

/// Whether a folder, doubles followed, holds folders and no images.
fn holds_folders(folder: &Path) -> Result<bool> {
    let folder = follow(folder)?;
    Ok(!listing::subfolders(&folder)?.is_empty() && !listing::has_images(&folder)?)
}

/// The folders that hold no images but folders, two or more of which another one has too, and the names of these.
fn alike(dir: &Path, names: &[String]) -> Result<(Vec<String>, Vec<String>)> {
    let mut holders: BTreeMap<String, usize> = BTreeMap::new();
    let mut candidates = Vec::new();
    for name in names {
        let folder = dir.join(name);
        if holds_folders(&folder)? {
            let inside = listing::subfolders(&follow(&folder)?)?;
            inside.iter().for_each(|inner| *holders.entry(inner.clone()).or_default() += 1);
            candidates.push((name, inside));
        }
    }
    holders.retain(|_, count| *count > 1);
    let shares = |inside: &[String]| inside.iter().filter(|inner| holders.contains_key(*inner)).count() > 1;
    let alike: Vec<String> =
        candidates.into_iter().filter(|(_, inside)| shares(inside)).map(|(name, _)| name.clone()).collect();
    Ok((alike, holders.into_keys().collect()))
}

/// Whether a folder has class folders that `like` has too, one of them with images.
fn is_labelled(folder: &Path, like: &Path) -> Result<bool> {
    let known = listing::subfolders(like)?;
    for class in listing::subfolders(folder)? {
        if known.binary_search(&class).is_ok() && !listing::image_files(&folder.join(class))?.0.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A note where `dir` is itself a split folder and its own class folders number the classes otherwise than those of
/// the train folder beside it would.
pub(super) fn numbered_alone(dir: &Path, classes: &[String]) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let (own, parent) = (dir.file_name()?.to_str()?, dir.parent()?);
    if !matches!(role(own)?, Role::Validation | Role::Test) {
        return None;
    }
    let siblings = listing::subfolders(parent).ok()?;
    let train = siblings.iter().find(|name| role(name) == Some(Role::Train))?;
    let known = listing::subfolders(&follow(&parent.join(train)).ok()?).ok()?;
    let differ = known != classes && classes.iter().all(|class| known.binary_search(class).is_ok());
    differ.then(|| {
        format!(
            "{own}/ has {} of the {} classes of {train}/ beside it, and its own folders number them; the folder above \
             as --data-dir numbers them by {train}/",
            classes.len(),
            known.len()
        )
    })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// `train/, val/`; of many the first.
fn list_of(names: &[impl std::fmt::Display]) -> String {
    const NAMED: usize = 8;
    let more = (names.len() > NAMED).then(|| "…".to_owned());
    let named = names.iter().take(NAMED).map(|name| format!("{name}/"));
    named.chain(more).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_their_role_in_any_case_and_beside_words_that_say_nothing() {
        for (names, expected) in [
            (
                "train Train TRAIN training training_set Training-Images seg_train trainset traindata",
                Role::Train,
            ),
            ("val valid Validation validation_set dev eval Val valset seg_val", Role::Validation),
            ("test Testing test_set seg_test TEST test-images testset test_data.", Role::Test),
        ] {
            for name in names.split(' ') {
                assert_eq!(role(name), Some(expected), "{name}");
            }
        }
        for name in ["cat", "trainer", "freight train", "train_test", "contest", "control", "", "cars_train"]
        {
            assert_eq!(role(name), None, "{name}");
        }
    }

    /// A folder with an image per class folder.
    fn with(classes: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for class in classes {
            std::fs::create_dir_all(dir.path().join(class)).unwrap();
            std::fs::write(dir.path().join(class).join("1.png"), "").unwrap();
        }
        dir
    }

    #[test]
    fn what_is_taken_and_what_is_passed_over_is_told() {
        let dir = with(&["train/a", "train/b", "valid/a", "Test/a", "docs"]);
        let found = find(dir.path(), Split::Test, None).unwrap().unwrap();
        assert_eq!((found.root, found.numbered_by), (dir.path().join("Test"), dir.path().join("train")));
        let notes = found.notes.join("\n");
        for needle in ["took Test/; valid/ is there too", "/valid takes that", "docs/ passed over"] {
            assert!(notes.contains(needle), "{notes}");
        }
        let dir = with(&["train/a", "train/b", "valid/a", "test/unknown"]);
        let found = find(dir.path(), Split::Test, None).unwrap().unwrap();
        assert_eq!(found.root, dir.path().join("valid"));
        let notes = found.notes.join("\n");
        assert!(notes.contains("took valid/, because test/ has no class folders with images"), "{notes}");
        assert!(find(with(&["a", "b"]).path(), Split::Test, None).unwrap().is_none());
    }

    #[test]
    fn a_split_that_numbers_its_classes_alone_is_told() {
        let dir = with(&["Training/a", "Training/b", "Training/c", "val/a", "val/c", "test/x"]);
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let note = numbered_alone(&dir.path().join("val"), &names(&["a", "c"])).unwrap();
        assert!(note.contains("val/ has 2 of the 3 classes of Training/"), "{note}");
        for (split, classes) in [("val", &["a", "b", "c"][..]), ("test", &["x"]), ("Training", &["a"])] {
            assert_eq!(numbered_alone(&dir.path().join(split), &names(classes)), None, "{split}");
        }
    }
}
