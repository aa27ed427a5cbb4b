//! Links from a report to the files beside it.

use crate::error::{Error, Result};
use std::fmt::Write;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Makes links relative to a folder, so that a report and its results can be moved together.
#[derive(Clone, Debug)]
pub struct Links {
    base: PathBuf,
}

impl Links {
    /// Links from files in `folder`, which exists.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn from(folder: &Path) -> Result<Links> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        Ok(Links { base: fs::canonicalize(folder).map_err(Error::read(folder))? })
    }

    /// The link to a file; `None` where there is no such file, or no way to it.
    pub fn to(&self, file: &Path) -> Option<String> {
        relative(&self.base, &fs::canonicalize(file).ok()?)
    }
}

/// The way from a folder to a file, both absolute, as a relative URL.
fn relative(base: &Path, file: &Path) -> Option<String> {
    let (base, file): (Vec<Component>, Vec<Component>) =
        (base.components().collect(), file.components().collect());
    let shared = base.iter().zip(&file).take_while(|(a, b)| a == b).count();
    // On another drive there is no way.
    if shared == 0 {
        return None;
    }
    let up = base[shared..].iter().map(|_| "..".to_owned());
    let down = file[shared..].iter().map(|part| encoded(&part.as_os_str().to_string_lossy()));
    let parts: Vec<String> = up.chain(down).collect();
    // A name with a colon would be taken for a scheme; encoded it is not.
    Some(parts.join("/"))
}

/// A name within a URL.
fn encoded(name: &str) -> String {
    let mut text = String::new();
    for &byte in name.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte))
            }
            // Writing to a String cannot fail.
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_from_the_report_to_the_file() {
        let link = |base: &str, file: &str| relative(Path::new(base), Path::new(file)).unwrap();
        assert_eq!(link("/a/b", "/a/b/c/cells.parquet"), "c/cells.parquet");
        assert_eq!(link("/a/b/d", "/a/c/x y#?.parquet"), "../../c/x%20y%23%3F.parquet");
        assert_eq!(link("/a", "/a/javascript:x"), "javascript%3Ax");
    }

    #[test]
    fn to_what_is_not_there_leads_no_link() {
        let folder = tempfile::tempdir().unwrap();
        let links = Links::from(folder.path()).unwrap();
        assert_eq!(links.to(&folder.path().join("none")), None);
        fs::write(folder.path().join("some"), "").unwrap();
        assert_eq!(links.to(&folder.path().join("some")).as_deref(), Some("some"));
        assert!(Links::from(&folder.path().join("none")).is_err());
    }
}
