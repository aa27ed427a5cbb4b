//! Class folders and the image files in them, in the order of torchvision's `ImageFolder`: classes sorted by
//! name, within a class the folders sorted by path, within a folder the files sorted by name, always byte by
//! byte. Names that begin with a dot are passed over, and so are folders that archivers and servers leave beside the
//! classes (`__MACOSX`, `@eaDir`).

use crate::error::{Error, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Levels of sub-folders below a class folder that are searched; more means a loop of links.
const MAX_DEPTH: usize = 16;

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

/// The image files (by extension) below a class folder, and how many other files were passed over. GIF files count as
/// images only where there are no others: `ImageFolder` passes them over.
pub(super) fn image_files(class_folder: &Path) -> Result<(Vec<PathBuf>, usize)> {
    let mut folders = vec![class_folder.to_owned()];
    let mut level = folders.clone();
    for _ in 0..MAX_DEPTH {
        let mut below = Vec::new();
        for folder in &level {
            below.extend(entries(folder)?.0);
        }
        if below.is_empty() {
            break;
        }
        folders.extend(below.iter().cloned());
        level = below;
    }
    // Sorted as text, not component by component: "a-b" comes before "a/b", as in Python.
    folders.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut files = Vec::new();
    for folder in &folders {
        files.extend(entries(folder)?.1);
    }
    let count = files.len();
    let kinds: &[&str] =
        if files.iter().any(|path| has_extension(path, &EXTENSIONS)) { &EXTENSIONS } else { &["gif"] };
    files.retain(|path| has_extension(path, kinds));
    let others = count - files.len();
    Ok((files, others))
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
