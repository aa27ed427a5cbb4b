//! `synfilter compare`: which layers keep their label over epochs, data sets, architectures and seeds.

use super::output::{Output, note};
use super::score::Labelling;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use synfilter::invariance::{Allowed, InvarianceRecord, compare, gather, table};
use synfilter::provenance::{Provenance, command};
use synfilter::score::Which;
use synfilter::{Error, Result};

/// The flags of `compare`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folders of finished sweeps, or folders in which such are searched, as that of a study.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// A folder for compare.json.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The scores that are compared.
    #[arg(long, value_name = "clean|adversarial|difference|all", default_value = "all")]
    by: By,
    /// Compare sweeps although they differ in these: eps, images (of one data set).
    #[arg(long, value_name = "eps,images", value_delimiter = ',')]
    allow: Vec<Allowed>,
    #[command(flatten)]
    labelling: Labelling,
}

/// One score, or all.
#[derive(Clone, Copy, Debug)]
enum By {
    All,
    One(Which),
}

impl FromStr for By {
    type Err = Error;

    fn from_str(name: &str) -> Result<By> {
        match name {
            "all" => Ok(By::All),
            name => name.parse().map(By::One).map_err(|_| {
                Error::usage(format!(
                    "unknown score \"{name}\": expected clean, adversarial, difference or all"
                ))
            }),
        }
    }
}

/// Compares, prints the tables and writes `compare.json` if a folder is given.
///
/// # Errors
/// Those of [`gather`] and [`compare`]; [`Error::Write`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let options = args.labelling.options();
    let by = match args.by {
        By::All => Which::ALL.to_vec(),
        By::One(which) => vec![which],
    };
    let gathered = gather(&args.runs, options, &args.allow)?;
    let provenance = Provenance::of(command(), 0, "host".to_owned(), &[] as &[&Path]);
    let document = compare(&gathered, options, &by, provenance)?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder).map_err(Error::write(folder))?;
        document.write(folder)?;
        note(&format!("written to {}", folder.join(InvarianceRecord::NAME).display()));
    }
    output.result(&document, || table(&document))
}
