//! How results came about: the command, the device, the files.

use serde::{Deserialize, Serialize};
use std::path::Path;

/// How results came about: nothing here changes one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The version of this program.
    pub version: String,
    /// The exact command, word by word.
    pub command: Vec<String>,
    /// The seed of the command.
    pub seed: u64,
    /// The device in words.
    pub device: String,
    /// The checkpoint files, in the order of the settings.
    pub checkpoints: Vec<String>,
}

impl Provenance {
    /// Results of `command` on `device`, from `checkpoints`.
    pub fn of(
        command: Vec<String>,
        seed: u64,
        device: String,
        checkpoints: &[impl AsRef<Path>],
    ) -> Provenance {
        let checkpoints = checkpoints.iter().map(|path| path.as_ref().display().to_string()).collect();
        Provenance { version: env!("CARGO_PKG_VERSION").to_owned(), command, seed, device, checkpoints }
    }
}

/// The command that is running, word by word. The program goes by its name: where it lies is nobody's business.
pub fn command() -> Vec<String> {
    let mut words = std::env::args_os();
    let program = words.next().map(std::path::PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name).unwrap_or_default();
    let words = words.map(|word| word.to_string_lossy().into_owned());
    std::iter::once(name.to_string_lossy().into_owned()).chain(words).collect()
}
