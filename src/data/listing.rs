//! Class folders and the image files in them, in the order of torchvision's `ImageFolder`: classes sorted by
//! name, within a class the folders sorted by path, within a folder the files sorted by name, always byte by
//! byte. Names that begin with a dot are passed over, and so are folders that archivers and servers leave beside the
//! classes (`__MACOSX`, `@eaDir`). Links are followed; one to a folder that it lies in is an error.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders below a class folder, at most: links to folders side by side can multiply without a loop.
const MAX_FOLDERS: usize = 100_000;

/// The extensions of torchvision's `ImageFolder`.
const EXTENSIONS: [&str; 9] = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];
/// How the names of folders begin that are no classes.
const STRANGERS: [&str; 2] = ["__MACOSX", "@eaDir"];

/// Names of the sub-folders of `folder`, sorted, without those that are no classes.
pub(super) fn subfolders(folder: &Path) -> Result<Vec<String>> {
    let mut names = all_subfolders(folder)?;
    names.retain(|name| !is_stranger(name));
    Ok(names)
}

/// Names of the sub-folders of `folder` that are no classes.
pub(super) fn strangers(folder: &Path) -> Result<Vec<String>> {
    let mut names = all_subfolders(folder)?;
    names.retain(|name| is_stranger(name));
    Ok(names)
}

fn is_stranger(name: &str) -> bool {
    STRANGERS.iter().any(|stranger| name.starts_with(stranger))
}

fn all_subfolders(folder: &Path) -> Result<Vec<String>> {
    let (folders, _) = entries(folder)?;
    folders.iter().map(|path| file_name(path)).collect()
}

/// The image files (by extension) below a class folder, and what else is there. GIF files count as images only where there
/// are no others: `ImageFolder` passes them over.
pub(super) fn image_files(class_folder: &Path) -> Result<(Vec<PathBuf>, PassedOver)> {
    let mut folders = folders_below(class_folder)?;
    // Sorted as text, not component by component: "a-b" comes before "a/b", as in Python.
    folders.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut files = Vec::new();
    for folder in &folders {
        files.extend(entries(folder)?.1);
    }
    let kinds: &[&str] =
        if files.iter().any(|path| has_extension(path, &EXTENSIONS)) { &EXTENSIONS } else { &["gif"] };
    let (files, others): (Vec<_>, Vec<_>) = files.into_iter().partition(|path| has_extension(path, kinds));
    let mut passed_over = PassedOver::default();
    others.iter().for_each(|path| passed_over.add(path));
    Ok((files, passed_over))
}

/// A folder and all folders below it. A link to a folder on the way to it, which would make them endless, is an error.
fn folders_below(top: &Path) -> Result<Vec<PathBuf>> {
    let real = |folder: &Path| folder.canonicalize().map_err(Error::read(folder));
    let mut found = Vec::new();
    // With the real folders on the way, the first of them above the class folder.
    let above = top.parent().map(|parent| if parent == Path::new("") { Path::new(".") } else { parent });
    let way = above.map(real).transpose()?.into_iter().collect::<Vec<_>>();
    let mut open = vec![(top.to_owned(), way)];
    while let Some((folder, mut way)) = open.pop() {
        let target = real(&folder)?;
        if way.iter().any(|passed| passed.starts_with(&target)) {
            let expected = "a folder that does not lie in itself";
            let found = format!("a link to {}, which holds it", target.display());
            return Err(Error::input(&folder, "folder", expected, found));
        }
        way.push(target);
        open.extend(entries(&folder)?.0.into_iter().map(|below| (below, way.clone())));
        found.push(folder);
        if found.len() > MAX_FOLDERS {
            return Err(Error::input(top, "folders below it", format!("at most {MAX_FOLDERS}"), "more"));
        }
    }
    Ok(found)
}

/// Files that are no images by their extension.
#[derive(Default)]
pub(super) struct PassedOver {
    /// How many by extension, in lower case.
    counts: BTreeMap<String, usize>,
}

impl PassedOver {
    /// How many extensions are named.
    const NAMED: usize = 5;

    fn add(&mut self, path: &Path) {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        *self.counts.entry(extension.unwrap_or_default()).or_default() += 1;
    }

    /// Adds those of another folder.
    pub fn extend(&mut self, other: PassedOver) {
        for (extension, count) in other.counts {
            *self.counts.entry(extension).or_default() += count;
        }
    }

    /// What is told of them, if there are any: the most frequent first.
    pub fn note(&self) -> Option<String> {
        let mut kinds: Vec<(&String, usize)> =
            self.counts.iter().map(|(kind, &count)| (kind, count)).collect();
        kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let named = kinds.iter().take(PassedOver::NAMED).map(|(kind, count)| match kind.as_str() {
            "" => format!("{count} without one"),
            kind => format!("{count} of .{}", kind.escape_debug()),
        });
        let mut named: Vec<_> = named.collect();
        if kinds.len() > PassedOver::NAMED {
            named.push("…".to_owned());
        }
        let count: usize = self.counts.values().sum();
        let files = if count == 1 { "file" } else { "files" };
        let named = named.join(", ");
        (count > 0).then(|| format!("{count} {files} without an image's extension: passed over ({named})"))
    }
}

/// Whether image files (by extension) lie in a folder itself.
pub(super) fn has_images(folder: &Path) -> Result<bool> {
    Ok(files(folder)?.iter().any(|path| has_extension(path, &EXTENSIONS) || has_extension(path, &["gif"])))
}

/// The files in a folder itself, sorted.
pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(folder)?.1)
}

/// A file's or folder's own name; one that isn't Unicode can't be a class name.
pub(super) fn file_name(path: &Path) -> Result<String> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| Error::input(path, "name", "Unicode", "other bytes"))
}

/// The sub-folders and the files of a folder, each sorted, links followed.
fn entries(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let mut folders = Vec::new();
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(Error::read(folder))? {
        let entry = entry.map_err(Error::read(folder))?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        let mut kind = entry.file_type().map_err(Error::read(&path))?;
        if kind.is_symlink() {
            // A link to nothing is a file, which matters when it is to be read.
            kind = fs::metadata(&path).map_or(kind, |target| target.file_type());
        }
        if kind.is_dir() {
            folders.push(path);
        } else {
            files.push(path);
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn has_extension(path: &Path, known: &[&str]) -> bool {
    path.extension().is_some_and(|extension| known.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}
