//! `synfilter merge`: the runs of several shards become one.

use super::output::Output;
use serde::Serialize;
use std::path::{Path, PathBuf};
use synfilter::Result;
use synfilter::provenance::{Provenance, command};
use synfilter::sweep::export::CELLS_PARQUET;
use synfilter::sweep::merge;

/// The flags of `merge`.
#[derive(clap::Args, Clone, Debug)]
pub struct Args {
    /// Folders that together hold all units of one sweep.
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The folder of the joined run.
    #[arg(long, value_name = "RUN")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Document<'a> {
    run: &'a Path,
    cells: usize,
}

/// Joins the runs.
///
/// # Errors
/// Those of [`merge`].
pub fn run(args: &Args, output: Output) -> Result<()> {
    let provenance = Provenance::of(command(), 0, String::new(), &[] as &[&Path]);
    let cells = merge(&args.runs, &args.out, provenance)?;
    let out = args.out.display();
    output.result(&Document { run: &args.out, cells }, || {
        format!("{cells} cells: {out}/{CELLS_PARQUET}\nscores: synfilter score {out}\n")
    })
}
