//! How a run came about, for its `run.json`.

use std::path::Path;
use synfilter::sweep::Provenance;

/// A command that does a part of what is running, or all of it, on `device`, over `checkpoints`.
pub fn of_command(
    command: Vec<String>,
    seed: u64,
    device: String,
    checkpoints: &[impl AsRef<Path>],
) -> Provenance {
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command,
        seed,
        device,
        checkpoints: checkpoints.iter().map(|path| path.as_ref().display().to_string()).collect(),
    }
}

/// The command that is running, on `device`, over `checkpoints`.
pub fn of_this_command(seed: u64, device: String, checkpoints: &[impl AsRef<Path>]) -> Provenance {
    of_command(words(), seed, device, checkpoints)
}

/// The command that is running, word by word. The program goes by its name: where it lies is nobody's business.
pub fn words() -> Vec<String> {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    std::iter::once("synfilter".to_owned()).chain(words).collect()
}
