//! What an attack that is not finished has found: kept in its folder block of images by block, so that one that was
//! stopped goes on where it was.

use crate::backend::Verdicts;
use crate::error::{Error, Result};
use crate::eval::Evaluation;
use crate::lock::Lock;
use crate::sweep::Bits;
use crate::text::hex;
use crate::versioned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs;
use std::iter;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The version of a block's file.
const VERSION: u32 = 1;
/// What decides the attack.
const SETTINGS: &str = "settings.json";

/// A folder in that of an attack, there until the attack is finished.
#[derive(Debug)]
pub struct Unfinished {
    folder: PathBuf,
    _lock: Lock,
}

/// The file of a block: what became of its clean images, and of those of each attack.
#[derive(Serialize, Deserialize)]
struct Block {
    version: u32,
    found: Vec<Found>,
}

#[derive(Serialize, Deserialize)]
struct Found {
    /// One bit per image, hexadecimal.
    right: String,
    /// One 32-bit float per image, lowest byte first, hexadecimal.
    loss: String,
}

impl Unfinished {
    /// The name of the folder.
    pub const NAME: &str = "unfinished";

    /// Begins an attack in `folder`, or goes on with one that has the same `settings`.
    ///
    /// # Errors
    /// A usage error if one with other settings was begun there; [`Error::Failed`] if another process has it;
    /// [`Error::Read`], [`Error::Write`].
    pub fn open(folder: &Path, settings: &impl Serialize) -> Result<Unfinished> {
        let folder = folder.join(Unfinished::NAME);
        let lock = Lock::of(&folder, "attack")?;
        versioned::settle(&folder.join(SETTINGS), settings, "an unfinished attack", &[])?;
        Ok(Unfinished { folder, _lock: lock })
    }

    /// Whether `folder` holds an unfinished attack on the first images in file order, as all were before there was a choice.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for settings that are no JSON.
    pub fn in_file_order(folder: &Path) -> Result<bool> {
        let path = folder.join(Unfinished::NAME).join(SETTINGS);
        if !path.exists() {
            return Ok(false);
        }
        let text = fs::read(&path).map_err(Error::read(&path))?;
        let settings: Value = serde_json::from_slice(&text)
            .map_err(|error| Error::input(&path, "content", "the settings of an attack", error))?;
        Ok(settings.get("pick").is_none())
    }

    fn path(&self, network: usize, images: &Range<usize>) -> PathBuf {
        self.folder.join(format!("network-{network}-images-{}-{}.json", images.start, images.end))
    }

    /// Keeps what was found of a network on `images`: clean, and under each attack.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn keep(&self, network: usize, images: &Range<usize>, found: &Evaluation) -> Result<()> {
        let found = iter::once(&found.clean).chain(&found.adversarial).map(|verdicts| Found {
            right: verdicts.correct.iter().copied().collect::<Bits>().to_hex(),
            loss: hex(&verdicts.loss.iter().flat_map(|loss| loss.to_le_bytes()).collect::<Vec<u8>>()),
        });
        let block = Block { version: VERSION, found: found.collect() };
        versioned::write(&self.path(network, images), &block)
    }

    /// What was kept of a network on `images` and under so many attacks, if it was.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for a file with something else.
    pub fn kept(&self, network: usize, images: &Range<usize>, attacks: usize) -> Result<Option<Evaluation>> {
        let path = self.path(network, images);
        if !path.exists() {
            return Ok(None);
        }
        let block: Block = versioned::read(&path, VERSION, "what became of every image")?;
        let [clean, adversarial @ ..] = &block.found[..] else {
            return Err(Error::input(&path, "found", 1 + attacks, 0));
        };
        if adversarial.len() != attacks {
            return Err(Error::input(&path, "found", 1 + attacks, block.found.len()));
        }
        let of = |found: &Found| {
            let right = Bits::from_hex(images.len(), &found.right)?;
            let loss = Bits::from_hex(32 * images.len(), &found.loss)?;
            let loss = loss.as_bytes().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes));
            Some(Verdicts { loss: loss.collect(), correct: right.iter().collect() })
        };
        let adversarial = adversarial.iter().map(of).collect::<Option<Vec<_>>>();
        let Some((clean, adversarial)) = of(clean).zip(adversarial) else {
            let expected = format!("bits and losses of {} images in hexadecimal", images.len());
            return Err(Error::input(&path, "found", expected, "something else"));
        };
        Ok(Some(Evaluation { images: images.len(), clean, adversarial, ..Evaluation::default() }))
    }

    /// Takes everything away, once the attack is finished and its results are on the disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(self) -> Result<()> {
        fs::remove_dir_all(&self.folder).map_err(Error::write(&self.folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(loss: [f32; 3], correct: [bool; 3]) -> Verdicts {
        Verdicts { loss: loss.to_vec(), correct: correct.to_vec() }
    }

    #[test]
    fn blocks_are_read_as_they_were_kept() {
        let folder = tempfile::tempdir().unwrap();
        let clean = verdicts([0.1, f32::INFINITY, 3e-9], [true, false, true]);
        let attacked = verdicts([2.5, 0.0, -0.0], [false, false, true]);
        let unfinished = Unfinished::open(folder.path(), &7).unwrap();
        let kept = |network, attacks| unfinished.kept(network, &(3..6), attacks).unwrap();
        assert!(kept(1, 1).is_none());
        let found =
            Evaluation { clean: clean.clone(), adversarial: vec![attacked.clone()], ..Evaluation::default() };
        unfinished.keep(1, &(3..6), &found).unwrap();
        let same = kept(1, 1).unwrap();
        assert_eq!((same.images, same.clean, same.adversarial), (3, clean, vec![attacked]));
        assert!(kept(0, 1).is_none());
        assert_eq!(unfinished.kept(1, &(3..6), 2).unwrap_err().exit_code(), 3);
        let path = unfinished.path(1, &(3..6));
        fs::write(&path, fs::read_to_string(&path).unwrap().replacen("05", "5", 1)).unwrap();
        let error = unfinished.kept(1, &(3..6), 1).unwrap_err().to_string();
        assert!(error.contains("bits and losses of 3 images in hexadecimal"), "{error}");

        assert!(Unfinished::in_file_order(folder.path()).unwrap());
        let second = Unfinished::open(folder.path(), &7).unwrap_err();
        assert_eq!(second.exit_code(), 1, "{second}");
        drop(unfinished);
        let other = Unfinished::open(folder.path(), &8).unwrap_err();
        assert_eq!(other.exit_code(), 2);
        assert!(other.to_string().contains("an unfinished attack with other settings"), "{other}");
        Unfinished::open(folder.path(), &7).unwrap().remove().unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!Unfinished::in_file_order(folder.path()).unwrap());
        Unfinished::open(folder.path(), &serde_json::json!({ "pick": {} })).unwrap();
        assert!(!Unfinished::in_file_order(folder.path()).unwrap());
    }
}
