//! Where the files of a data set are not found, but those of another one are, the message names that.

use super::dataset::DatasetKind;
use super::listing;
use crate::error::Error;
use std::path::Path;

/// The error of a reader, with the data set that the files look like.
pub(super) fn named(error: Error, kind: DatasetKind, dir: &Path) -> Error {
    match error {
        // Unless the reader knows already.
        Error::Input { path, place, expected, found } if !found.contains("--dataset") => {
            let hint = hint(kind, dir).map(|hint| format!(" ({hint})")).unwrap_or_default();
            Error::Input { path, place, expected, found: found + &hint }
        }
        other => other,
    }
}

fn hint(kind: DatasetKind, dir: &Path) -> Option<String> {
    // What is wrong with a data set that is there is the matter of its own message. That class folders are there says
    // little: others have folders too.
    if kind != DatasetKind::Folder && kind.reader().is_in(dir) {
        return None;
    }
    let others = DatasetKind::ALL.into_iter().filter(|other| *other != kind);
    let (folder, plain): (Vec<_>, Vec<_>) = others.partition(|other| *other == DatasetKind::Folder);
    let names = |kinds: Vec<DatasetKind>| {
        let found: Vec<_> = kinds
            .into_iter()
            .filter(|kind| kind.reader().is_in(dir))
            .map(|kind| format!("--dataset {kind}"))
            .collect();
        (!found.is_empty()).then(|| format!("these look like files for {}", found.join(" or ")))
    };
    names(plain).or_else(|| names(folder)).or_else(|| archive(dir))
}

/// An archive in the place of what it holds; beside folders it may be unpacked already.
fn archive(dir: &Path) -> Option<String> {
    let is_archive = |name: &str| {
        let name = name.to_lowercase();
        [".tar.gz", ".tgz", ".zip", ".tar"].iter().any(|end| name.ends_with(end))
    };
    let named = |path: &Path| {
        path.file_name().and_then(|name| name.to_str()).filter(|name| is_archive(name)).map(str::to_owned)
    };
    let name = if dir.is_file() {
        named(dir)?
    } else if listing::subfolders(dir).is_ok_and(|folders| folders.is_empty()) {
        listing::files(dir).ok()?.iter().find_map(|path| named(path))?
    } else {
        return None;
    };
    Some(format!("{name} is an archive: unpack it first"))
}
