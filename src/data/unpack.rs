//! Unpacking of `.tar.gz` and `.zip` archives into a fresh folder.
//!
//! Only regular files and folders below one expected top folder are accepted; a path that leads elsewhere, a link or
//! a device is an error, never followed and never renamed to something harmless. The content appears under its final
//! name only when all of it is there: it's unpacked into a temporary folder, which is then renamed.

use crate::error::{Error, Result};
use flate2::read::GzDecoder;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

/// The form of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    TarGz,
    Zip,
}

/// Unpacks `archive`, whose entries all lie below the folder `top`, so that `dir/top` comes to be. `on_file` is
/// called after each file with the number of files so far; its error ends the work.
pub(super) fn unpack(
    archive: &Path,
    form: Form,
    dir: &Path,
    top: &str,
    on_file: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    let temporary = TemporaryFolder::create(dir, top)?;
    let mut target = Target { archive, top, root: &temporary.path, files: 0, on_file };
    match form {
        Form::TarGz => unpack_tar_gz(&mut target)?,
        Form::Zip => unpack_zip(&mut target)?,
    }
    let from = temporary.path.join(top);
    if !from.is_dir() {
        return Err(Error::input(archive, "entries", format_args!("a folder {top}"), "none"));
    }
    let to = dir.join(top);
    fs::rename(&from, &to).map_err(Error::write(&to))
}

/// Where entries go.
struct Target<'a> {
    archive: &'a Path,
    top: &'a str,
    root: &'a Path,
    files: u64,
    on_file: &'a mut dyn FnMut(u64) -> Result<()>,
}

impl Target<'_> {
    /// The place of an entry below the root.
    fn place(&self, name: &Path) -> Result<PathBuf> {
        // A leading "./" is how `tar` writes relative names.
        let parts: Vec<_> = name.components().filter(|part| *part != Component::CurDir).collect();
        let inside = parts.iter().all(|part| matches!(part, Component::Normal(_)))
            && parts.first().is_some_and(|first| first.as_os_str() == self.top);
        if !inside {
            let expected = format!("names below {}/", self.top);
            return Err(Error::input(self.archive, "entry", expected, name.display()));
        }
        Ok(self.root.join(parts.iter().collect::<PathBuf>()))
    }

    fn folder(&self, name: &Path) -> Result<()> {
        let path = self.place(name)?;
        fs::create_dir_all(&path).map_err(Error::write(path))
    }

    fn file(&mut self, name: &Path, content: &mut dyn Read) -> Result<()> {
        let path = self.place(name)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(Error::write(parent))?;
        }
        let mut file = File::create_new(&path).map_err(Error::write(&path))?;
        copy(content, &mut file, &path, |error| self.broken(error))?;
        self.files += 1;
        (self.on_file)(self.files)
    }

    /// An archive that can't be read as what it should be.
    fn broken(&self, error: impl std::fmt::Display) -> Error {
        Error::input(self.archive, "archive", "an intact archive", error)
    }
}

/// Copies to the end and tells apart which side failed.
fn copy(
    from: &mut dyn Read,
    to: &mut File,
    to_path: &Path,
    broken: impl Fn(io::Error) -> Error,
) -> Result<()> {
    let mut buffer = [0; 1 << 16];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        };
        io::Write::write_all(to, &buffer[..n]).map_err(Error::write(to_path))?;
    }
}

fn unpack_tar_gz(target: &mut Target) -> Result<()> {
    let file = File::open(target.archive).map_err(Error::read(target.archive))?;
    let mut archive = tar::Archive::new(GzDecoder::new(BufReader::new(file)));
    for entry in archive.entries().map_err(|error| target.broken(error))? {
        let mut entry = entry.map_err(|error| target.broken(error))?;
        let name = entry.path().map_err(|error| target.broken(error))?.into_owned();
        match entry.header().entry_type() {
            tar::EntryType::Directory => target.folder(&name)?,
            tar::EntryType::Regular | tar::EntryType::Continuous => target.file(&name, &mut entry)?,
            tar::EntryType::XGlobalHeader => {}
            other => return Err(not_plain(target.archive, &name, format_args!("{other:?}"))),
        }
    }
    Ok(())
}

fn unpack_zip(target: &mut Target) -> Result<()> {
    let file = File::open(target.archive).map_err(Error::read(target.archive))?;
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| target.broken(error))?;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(|error| target.broken(error))?;
        let name = PathBuf::from(entry.name().map_err(|error| target.broken(error))?.into_owned());
        if entry.is_symlink() {
            return Err(not_plain(target.archive, &name, "a link"));
        }
        if entry.is_dir() {
            target.folder(&name)?;
        } else {
            target.file(&name, &mut entry)?;
        }
    }
    Ok(())
}

fn not_plain(archive: &Path, name: &Path, found: impl std::fmt::Display) -> Error {
    Error::input(archive, format_args!("entry {}", name.display()), "a regular file or a folder", found)
}

/// A folder that is removed again, whatever happens.
struct TemporaryFolder {
    path: PathBuf,
}

impl TemporaryFolder {
    fn create(dir: &Path, top: &str) -> Result<Self> {
        let path = dir.join(format!(".{top}.{}.tmp", std::process::id()));
        fs::create_dir(&path).map_err(Error::write(&path))?;
        Ok(TemporaryFolder { path })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // Nothing more can be done about what can't be removed; the error of the work itself is the one to report.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    /// A tar.gz whose raw entry names are as given: the tar crate's writer refuses harmful ones.
    fn tar_gz(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
        let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
        for (name, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_size(content.len() as u64);
            header.set_cksum();
            gz.write_all(header.as_bytes()).unwrap();
            gz.write_all(content).unwrap();
            gz.write_all(&vec![0; content.len().next_multiple_of(512) - content.len()]).unwrap();
        }
        gz.write_all(&[0; 1024]).unwrap();
        gz.finish().unwrap()
    }

    fn zip_of(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, content) in entries {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(content).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    /// Unpacks into a new folder; gives back the result and what lies in the folder afterwards, the archive aside.
    fn try_unpack(bytes: &[u8], form: Form) -> (Result<()>, Vec<String>, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let result = unpack(&archive, form, &inner, "top", &mut |_| Ok(()));
        let left = fs::read_dir(&inner).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let left = left.collect();
        (result, left, dir)
    }

    #[test]
    fn good_archives_unpack_whole() {
        use tar::EntryType::{Directory, Regular};
        let tar = tar_gz(&[("./top/", Directory, b""), ("top/sub/a.txt", Regular, b"abc")]);
        let zip = zip_of(&[("top/sub/a.txt", b"abc")]);
        for (bytes, form) in [(tar, Form::TarGz), (zip, Form::Zip)] {
            let (result, left, dir) = try_unpack(&bytes, form);
            result.unwrap();
            assert_eq!(left, ["top"]);
            assert_eq!(fs::read(dir.path().join("inner/top/sub/a.txt")).unwrap(), b"abc");
        }
    }

    #[test]
    fn harmful_and_broken_archives_leave_nothing() {
        use tar::EntryType::{Link, Regular, Symlink};
        let good = tar_gz(&[("top/a", Regular, &[7; 4000])]);
        let cases = [
            (tar_gz(&[("top/a", Regular, b"x"), ("../evil", Regular, b"x")]), Form::TarGz, "../evil"),
            (tar_gz(&[("top/../../evil", Regular, b"x")]), Form::TarGz, "evil"),
            (tar_gz(&[("/evil", Regular, b"x")]), Form::TarGz, "/evil"),
            (tar_gz(&[("other/a", Regular, b"x")]), Form::TarGz, "other/a"),
            (tar_gz(&[("top/link", Symlink, b"")]), Form::TarGz, "Symlink"),
            (tar_gz(&[("top/link", Link, b"")]), Form::TarGz, "Link"),
            (good[..good.len() / 2].to_vec(), Form::TarGz, "intact archive"),
            (b"not an archive".to_vec(), Form::TarGz, "intact archive"),
            (tar_gz(&[]), Form::TarGz, "a folder top"),
            (zip_of(&[("top/a", b"x"), ("../evil", b"x")]), Form::Zip, "../evil"),
            (zip_of(&[("/evil", b"x")]), Form::Zip, "evil"),
            (b"PK not an archive".to_vec(), Form::Zip, "intact archive"),
        ];
        for (bytes, form, needle) in cases {
            let (result, left, dir) = try_unpack(&bytes, form);
            let error = result.expect_err(needle);
            assert_eq!(error.exit_code(), 3, "{error}");
            assert!(error.to_string().contains(needle), "{error} lacks {needle}");
            assert!(left.is_empty(), "{left:?}");
            assert!(!dir.path().join("evil").exists());
        }
    }

    #[test]
    fn the_callback_can_stop_the_work() {
        let dir = tempfile::tempdir().unwrap();
        let archive = dir.path().join("a.zip");
        fs::write(&archive, zip_of(&[("top/a", b"x"), ("top/b", b"x")])).unwrap();
        let mut stop = |_| Err(Error::Interrupted);
        let error = unpack(&archive, Form::Zip, dir.path(), "top", &mut stop).unwrap_err();
        assert!(matches!(error, Error::Interrupted));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
