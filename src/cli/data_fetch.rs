//! `synfilter data fetch`: the official files of a data set.

use super::interrupt;
use super::output::{Output, note};
use super::progress::Meter;
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::Result;
use synfilter::data::DatasetKind;
use synfilter::data::fetch::{Progress, fetch};

/// The flags of `data fetch`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// mnist, cifar10 or tiny-imagenet.
    #[arg(value_name = "D")]
    dataset: DatasetKind,
    /// Where to put it: the data set gets a sub-folder here.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data_dir: PathBuf,
}

#[derive(Serialize)]
struct Document<'a> {
    dataset: &'a str,
    folder: &'a Path,
}

/// Fetches the data set.
///
/// # Errors
/// Those of [`fetch`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let folder = fetch(args.dataset, &args.data_dir, &mut Shown::default())?;
    output.result(&Document { dataset: args.dataset.name(), folder: &folder }, || {
        format!("{} is in {}\n", args.dataset, folder.display())
    })
}

/// Shows a fetch on stderr and stops it when the user asks.
#[derive(Default)]
struct Shown {
    meter: Option<Meter>,
    unpacking: bool,
}

impl Progress for Shown {
    fn download(&mut self, file: &str, mirror: &str, bytes: u64) -> Result<()> {
        self.meter = None;
        note(&format!("{file} from {mirror}"));
        self.meter = Some(Meter::bytes(file, bytes));
        interrupt::check()
    }

    fn received(&mut self, bytes: u64) -> Result<()> {
        if let Some(meter) = &self.meter {
            meter.set(bytes, String::new);
        }
        interrupt::check()
    }

    fn unpacked(&mut self, file: &str, _files: u64) -> Result<()> {
        self.meter = None;
        if !self.unpacking {
            note(&format!("unpacking {file}"));
            self.unpacking = true;
        }
        interrupt::check()
    }

    fn note(&mut self, line: &str) -> Result<()> {
        self.meter = None;
        note(line);
        interrupt::check()
    }
}
