//! How a run came about, for its `run.json`.

use std::path::Path;
use synfilter::sweep::Provenance;

/// A command that does a part of what is running, on `device`.
pub fn of_command(
    command: Vec<String>,
    seed: u64,
    device: String,
    checkpoints: &[impl AsRef<Path>],
) -> Provenance {
    Provenance { command, ..of_this_command(seed, device, checkpoints) }
}

/// The command that is running, on `device`, over `checkpoints`. The program goes by its name: where it lies is
/// nobody's business.
pub fn of_this_command(seed: u64, device: String, checkpoints: &[impl AsRef<Path>]) -> Provenance {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: std::iter::once("synfilter".to_owned()).chain(words).collect(),
        seed,
        device,
        checkpoints: checkpoints.iter().map(|path| path.as_ref().display().to_string()).collect(),
    }
}
