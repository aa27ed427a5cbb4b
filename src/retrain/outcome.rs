//! What became of every image: kept for each network as soon as it is known, and for all of them in `retrain.parquet`.

use super::document::{Arm, RetrainingRecord, RetrainingSettings};
use crate::columnar::{Field, Kind, TableWriter, Value};
use crate::error::{Error, Result};
use crate::security::Count;
use crate::sweep::Bits;
use crate::versioned;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The name of the table in its folder.
pub const RETRAIN_PARQUET: &str = "retrain.parquet";

/// The version of [`Outcome`]'s file.
const VERSION: u32 = 1;

/// Its columns. A row without `eps` is of the clean images; `seed` is u64 in the bits of a signed number.
pub const COLUMNS: &[Field] = &[
    Field { name: "arm", kind: Kind::Text, optional: false },
    Field { name: "seed", kind: Kind::Int, optional: true },
    Field { name: "file", kind: Kind::Text, optional: false },
    Field { name: "arch", kind: Kind::Text, optional: false },
    Field { name: "stem", kind: Kind::Text, optional: true },
    Field { name: "dataset", kind: Kind::Text, optional: false },
    Field { name: "eps", kind: Kind::Double, optional: true },
    Field { name: "first_image", kind: Kind::Int, optional: false },
    Field { name: "images", kind: Kind::Int, optional: false },
    Field { name: "correct", kind: Kind::Int, optional: false },
    Field { name: "loss", kind: Kind::Double, optional: true },
    Field { name: "bits", kind: Kind::Bytes, optional: false },
];

/// What a network made of the images.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// SHA-256 of the network's file.
    pub sha256: String,
    /// Of the clean images.
    pub clean: Measured,
    /// Of the adversarial images, for each ε.
    pub adversarial: Vec<Measured>,
}

/// One bit per image, 1 where it was classified correctly, and the mean loss.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The bits.
    pub right: Bits,
    /// The mean loss, if it is finite.
    pub loss: Option<f64>,
}

impl Measured {
    /// As documents tell it.
    pub fn count(&self) -> Count {
        Count { correct: self.right.count_ones(), loss: self.loss }
    }
}

/// The file of an outcome.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    sha256: String,
    images: usize,
    clean: KeptBits,
    adversarial: Vec<KeptBits>,
}

/// Bits in hexadecimal, with their loss.
#[derive(Serialize, Deserialize)]
struct KeptBits {
    right: String,
    loss: Option<f64>,
}

impl Outcome {
    /// The name of its file.
    pub const NAME: &str = "outcome.json";

    /// Keeps it in `folder`.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn write(&self, folder: &Path) -> Result<()> {
        let kept = |measured: &Measured| KeptBits { right: measured.right.to_hex(), loss: measured.loss };
        let document = Kept {
            version: VERSION,
            sha256: self.sha256.clone(),
            images: self.clean.right.len(),
            clean: kept(&self.clean),
            adversarial: self.adversarial.iter().map(kept).collect(),
        };
        versioned::write(&folder.join(Outcome::NAME), &document)
    }

    /// The outcome that was kept in `folder`, if there is one and it is of the network with the content `sha256`.
    ///
    /// # Errors
    /// [`Error::Read`]; [`Error::Input`] for another content than `images` bits for the clean images and for each of the `eps`
    /// sizes.
    pub fn read(folder: &Path, sha256: &str, images: usize, eps: usize) -> Result<Option<Outcome>> {
        let path = folder.join(Outcome::NAME);
        if !path.exists() {
            return Ok(None);
        }
        let kept: Kept = versioned::read(&path, VERSION, "what became of every image")?;
        if kept.sha256 != sha256 {
            return Ok(None);
        }
        let (found, sizes) = (kept.images, kept.adversarial.len());
        if (found, sizes) != (images, eps) {
            let words = |images, eps| format!("{images} images and {eps} sizes of the attack");
            return Err(Error::input(&path, "outcomes", words(images, eps), words(found, sizes)));
        }
        let measured = |kept: &KeptBits| {
            let right = Bits::from_hex(images, &kept.right).ok_or_else(|| {
                Error::input(&path, "right", format!("{images} bits in hexadecimal"), "something else")
            })?;
            Ok(Measured { right, loss: kept.loss })
        };
        let clean = measured(&kept.clean)?;
        let adversarial = kept.adversarial.iter().map(measured).collect::<Result<_>>()?;
        Ok(Some(Outcome { sha256: kept.sha256, clean, adversarial }))
    }
}

/// Writes `retrain.parquet` into `folder`: the outcomes of the networks of every arm, in the order of the document.
///
/// # Errors
/// [`Error::Write`].
pub fn write_table(
    folder: &Path,
    document: &RetrainingRecord,
    outcomes: &[(Arm, Vec<Outcome>)],
) -> Result<()> {
    let RetrainingSettings { arch, stem, dataset, images, eps, .. } = &document.settings;
    let mut table = TableWriter::create(&folder.join(RETRAIN_PARQUET), COLUMNS, &[])?;
    for (result, (_, outcomes)) in document.arms.iter().zip(outcomes) {
        for (network, outcome) in result.networks.iter().zip(outcomes) {
            let row = |eps: Option<f64>, measured: &Measured| -> Vec<Value> {
                vec![
                    result.arm.name().into(),
                    network.seed.map(|seed| seed as i64).into(),
                    network.file.as_str().into(),
                    arch.as_str().into(),
                    stem.told().into(),
                    dataset.as_str().into(),
                    eps.into(),
                    (images[0] as i64).into(),
                    (measured.right.len() as i64).into(),
                    (measured.right.count_ones() as i64).into(),
                    measured.loss.into(),
                    measured.right.as_bytes().to_vec().into(),
                ]
            };
            let attacked = eps.iter().zip(&outcome.adversarial);
            let rows = std::iter::once(row(None, &outcome.clean))
                .chain(attacked.map(|(&eps, measured)| row(Some(eps), measured)));
            table.write_rows(&rows.collect::<Vec<_>>())?;
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_read_as_it_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let measured = |n: usize| Measured {
            right: (0..11).map(|i| i % n == 0).collect(),
            loss: Some(1.0 / n as f64).filter(|_| n != 2),
        };
        let outcome =
            Outcome { sha256: "ab".into(), clean: measured(3), adversarial: vec![measured(2), measured(5)] };
        assert_eq!(Outcome::read(folder.path(), "ab", 11, 2).unwrap(), None);
        outcome.write(folder.path()).unwrap();
        assert_eq!(Outcome::read(folder.path(), "ab", 11, 2).unwrap(), Some(outcome));
        assert_eq!(Outcome::read(folder.path(), "cd", 11, 2).unwrap(), None, "of another network");
        for (images, eps) in [(12, 2), (11, 1)] {
            let error = Outcome::read(folder.path(), "ab", images, eps).unwrap_err();
            assert!(error.to_string().contains("found 11 images and 2 sizes"), "{error}");
        }
        let path = folder.path().join(Outcome::NAME);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"right\": \"", "\"right\": \"x", 1)).unwrap();
        let error = Outcome::read(folder.path(), "ab", 11, 2).unwrap_err();
        assert!(error.to_string().contains("expected 11 bits"), "{error}");
    }
}
