//! `synfilter data fetch`: the official files of MNIST, CIFAR-10 and Tiny ImageNet.
//!
//! Each file has several mirrors, tried in turn, and a known size and SHA-256; what doesn't match them is never put
//! under its final name. A file that is in place already isn't downloaded again, so an archive that was brought by
//! other means is checked and unpacked. The SHA-256 values are those widely published for these files (tfds,
//! Homebrew, nixpkgs and others agree).

use super::dataset::DatasetKind;
use super::unpack::{Form, unpack};
use crate::error::{Error, Result};
use crate::text::hex;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What happens during a fetch, for whoever shows it to the user. Any method may return an error (such as
/// [`Error::Interrupted`]) to stop the fetch; temporary files are then removed.
pub trait Progress {
    /// A download of `bytes` bytes begins, or begins again from another mirror.
    fn download(&mut self, file: &str, mirror: &str, bytes: u64) -> Result<()>;
    /// `bytes` of the present download have arrived.
    fn received(&mut self, bytes: u64) -> Result<()>;
    /// The present archive has given `files` files so far.
    fn unpacked(&mut self, file: &str, files: u64) -> Result<()>;
    /// One line to tell: a mirror failed, a file is there already.
    fn note(&mut self, line: &str) -> Result<()>;
}

/// A file of a data set: what it must be and where it can be had.
#[derive(Clone, Debug)]
struct Source {
    name: &'static str,
    bytes: u64,
    sha256: &'static str,
    mirrors: Vec<String>,
}

/// A data set's files and what becomes of them.
#[derive(Clone, Debug)]
struct Plan {
    kind: DatasetKind,
    sources: Vec<Source>,
    /// The folder, below the one that the user names, in which the data set ends up.
    folder: &'static str,
    /// The form of the archive that unpacks to `folder`; without, the files themselves go there.
    archive: Option<Form>,
    /// A file in the folder that says that an unpacked archive is there.
    marker: &'static str,
}

/// Gets the official files of a data set into `dir`, which is made if it is missing. The result is the folder
/// with the data; [`super::load`] takes it as well as `dir` itself.
///
/// # Errors
/// [`Error::Usage`] for a data set that has no files to fetch, or whose files are not known here. [`Error::Failed`] where no mirror
/// gives a file; the message says which files to put where by hand. [`Error::Input`] for a file in place that
/// isn't the official one, which is left alone.
pub fn fetch(kind: DatasetKind, dir: &Path, progress: &mut dyn Progress) -> Result<PathBuf> {
    carry_out(&plan(kind)?, dir, &agent(), progress)
}

fn plan(kind: DatasetKind) -> Result<Plan> {
    let source = |name: &'static str, bytes, sha256, bases: &[&str]| Source {
        name,
        bytes,
        sha256,
        mirrors: bases.iter().map(|base| format!("{base}{name}")).collect(),
    };
    match kind {
        DatasetKind::Digits => Err(Error::usage("digits are part of the program: there is nothing to fetch")),
        DatasetKind::Folder | DatasetKind::Arrays => {
            Err(Error::usage(format!("{kind} is your own data: there is nothing to fetch")))
        }
        DatasetKind::Mnist => {
            let bases = [
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "http://yann.lecun.com/exdb/mnist/",
            ];
            let sources = vec![
                source(
                    "train-images-idx3-ubyte.gz",
                    9_912_422,
                    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    &bases,
                ),
                source(
                    "train-labels-idx1-ubyte.gz",
                    28_881,
                    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    &bases,
                ),
                source(
                    "t10k-images-idx3-ubyte.gz",
                    1_648_877,
                    "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    &bases,
                ),
                source(
                    "t10k-labels-idx1-ubyte.gz",
                    4_542,
                    "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    &bases,
                ),
            ];
            Ok(Plan { kind, sources, folder: "mnist", archive: None, marker: "" })
        }
        DatasetKind::Cifar10 => Ok(Plan {
            kind,
            sources: vec![source(
                "cifar-10-binary.tar.gz",
                170_052_171,
                "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                &[
                    "https://www.cs.toronto.edu/~kriz/",
                    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
                ],
            )],
            folder: "cifar-10-batches-bin",
            archive: Some(Form::TarGz),
            marker: "test_batch.bin",
        }),
        DatasetKind::TinyImagenet => Ok(Plan {
            kind,
            sources: vec![source(
                "tiny-imagenet-200.zip",
                248_100_043,
                "6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821",
                &[
                    "https://cs231n.stanford.edu/",
                    "http://cs231n.stanford.edu/",
                    "https://image-net.org/data/",
                ],
            )],
            folder: "tiny-imagenet-200",
            archive: Some(Form::Zip),
            marker: "wnids.txt",
        }),
        other => {
            let what =
                "only mnist, cifar10 and tiny-imagenet can be fetched; docs/files.md says how the files of";
            Err(Error::usage(format!("{what} {other} must lie")))
        }
    }
}

fn carry_out(plan: &Plan, dir: &Path, agent: &ureq::Agent, progress: &mut dyn Progress) -> Result<PathBuf> {
    let folder = dir.join(plan.folder);
    if plan.archive.is_some() && folder.exists() {
        if !folder.join(plan.marker).exists() {
            let expected = format!("{} in it, or no such folder (then it's fetched)", plan.marker);
            return Err(Error::input(&folder, "data folder", expected, "a folder without it"));
        }
        progress.note(&format!("{} is there already", folder.display()))?;
        return Ok(folder);
    }
    let files_go_to = if plan.archive.is_some() { dir } else { &folder };
    fs::create_dir_all(files_go_to).map_err(Error::write(files_go_to))?;
    for source in &plan.sources {
        let path = files_go_to.join(source.name);
        let brought = path.exists();
        if brought {
            check(&path, source)?;
            progress.note(&format!("{} is there already", path.display()))?;
        } else {
            download(plan, source, &path, agent, progress)?;
        }
        if let Some(form) = plan.archive {
            unpack(&path, form, dir, plan.folder, &mut |files| progress.unpacked(source.name, files))?;
            // What the user brought stays the user's; what was downloaded has done its work.
            if !brought {
                fs::remove_file(&path).map_err(Error::write(&path))?;
            }
        }
    }
    Ok(folder)
}

/// The client: a proxy as the environment says, and no waiting for ever on a mirror that went silent.
fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .timeout_connect(Some(Duration::from_secs(15)))
        .timeout_resolve(Some(Duration::from_secs(15)))
        .timeout_recv_response(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(Duration::from_secs(60)))
        .user_agent(concat!("synfilter/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// Holds a file in place against what it must be.
fn check(path: &Path, source: &Source) -> Result<()> {
    let mut file = File::open(path).map_err(Error::read(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(Error::read(path))? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    let found = hex(&hash.finalize());
    if found != source.sha256 {
        return Err(Error::input(path, "SHA-256", source.sha256, found));
    }
    Ok(())
}

/// Downloads from the first mirror that gives the right bytes.
fn download(
    plan: &Plan,
    source: &Source,
    path: &Path,
    agent: &ureq::Agent,
    progress: &mut dyn Progress,
) -> Result<()> {
    let mut reasons = Vec::new();
    for url in &source.mirrors {
        progress.download(source.name, url, source.bytes)?;
        match download_from(agent, url, source, path, progress) {
            Ok(()) => return Ok(()),
            Err(Attempt::Mirror(reason)) => {
                let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
                progress.note(&format!("{url}: {reason}"))?;
                reasons.push(format!("{}: {reason}", host(url)));
            }
            Err(Attempt::Here(error)) => return Err(error),
        }
    }
    let names = plan.sources.iter().map(|source| source.name).collect::<Vec<_>>().join(", ");
    let folder = path.parent().unwrap_or(path).display();
    let then = if plan.archive.is_some() {
        format!(" and run `synfilter data fetch {}` again to unpack it", plan.kind)
    } else {
        String::new()
    };
    Err(Error::Failed(format!(
        "{} could not be downloaded ({}); without a network put {names} into {folder}{then}",
        source.name,
        reasons.join("; ")
    )))
}

/// Why one attempt failed.
enum Attempt {
    /// The mirror's fault: the next one may do better.
    Mirror(String),
    /// This side's: a full disk, an interruption.
    Here(Error),
}

fn download_from(
    agent: &ureq::Agent,
    url: &str,
    source: &Source,
    path: &Path,
    progress: &mut dyn Progress,
) -> Result<(), Attempt> {
    let response = agent.get(url).call().map_err(|error| Attempt::Mirror(error.to_string()))?;
    // One byte more than expected is enough to see that it's another file.
    let mut body = response.into_body().into_reader().take(source.bytes + 1);
    let mut part = TemporaryFile::create(path).map_err(Attempt::Here)?;
    let mut hash = Sha256::new();
    let mut received = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(Attempt::Mirror(error.to_string())),
        };
        hash.update(&buffer[..n]);
        part.file.write_all(&buffer[..n]).map_err(|e| Attempt::Here(Error::write(&part.path)(e)))?;
        received += n as u64;
        progress.received(received).map_err(Attempt::Here)?;
    }
    if received != source.bytes {
        let more = if received > source.bytes { "more" } else { "fewer" };
        return Err(Attempt::Mirror(format!("{more} than the {} bytes of the official file", source.bytes)));
    }
    let found = hex(&hash.finalize());
    if found != source.sha256 {
        return Err(Attempt::Mirror(format!("SHA-256 {found}, expected {}", source.sha256)));
    }
    part.file.sync_all().map_err(|e| Attempt::Here(Error::write(&part.path)(e)))?;
    fs::rename(&part.path, path).map_err(|e| Attempt::Here(Error::write(path)(e)))
}

/// The host of an address, for a message.
fn host(url: &str) -> &str {
    url.split('/').nth(2).unwrap_or(url)
}

/// A file that is removed again unless it was renamed.
struct TemporaryFile {
    path: PathBuf,
    file: File,
}

impl TemporaryFile {
    fn create(target: &Path) -> Result<Self> {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.part", std::process::id()));
        let path = target.with_file_name(name);
        let file = File::create(&path).map_err(Error::write(&path))?;
        Ok(TemporaryFile { path, file })
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // After the rename there is nothing left under this name.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests;
